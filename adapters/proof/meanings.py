"""What each state says of the world, held against the world as it is: a region that says what is not so is wrong, whatever it does next.

The same sentences as in `fsm.call.states`, as questions to ghost state (`adapters.proof.world`). What the world does not know, a noise
floor, an echo, how long a call is, is asked by nobody here.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator

from adapters.proof.deadlines import running
from adapters.proof.world import (
    ENTRY,
    GREETING,
    NOTICE,
    SOUND,
    TOOL,
    TURN,
    WARNING,
    Answer,
    Device,
    Sound,
    World,
    asks_the_silent,
    is_protected,
    is_quiet,
    sentences_waiting,
)
from fsm.call import states as st
from fsm.call.effects import Cause
from fsm.call.machine import admits
from fsm.call.snapshot import Call
from fsm.engine.notation import State

Says = Callable[[Call, World], bool]


def untrue(call: Call, world: World, still: Collection[str] = ()) -> Iterator[str]:
    """The regions of a call that is not over whose state is not so, each with its state; those of `still` are not asked."""
    if any(admits(call, answer.id) is not (answer.audible and not world.held) for answer in world.answers) or admits(call, ""):
        yield "frames are let through that may not be heard, or are not"
    for name, says in _SAYS.items():
        if name in still:
            continue
        record = getattr(call, name)
        state: State = record.state
        if state is st.OVER or not running(state, record.due_ms) or not says(call, world):
            yield f"{name} is {state.name}"


def _live(call: Call, world: World) -> Answer | None:
    answer = world.answer(call.response.id)
    return answer if answer is not None and answer.live else None


def _line(call: Call, world: World) -> bool:
    return (call.line.state is st.OPEN) is world.line


def _calibration(call: Call, world: World) -> bool:
    return (call.calibration.state is st.CALIBRATED) is world.calibrated


def _limit(call: Call, world: World) -> bool:
    return (call.limit.state is st.WARNED) is world.warned


def _dtmf(call: Call, world: World) -> bool:
    state = st.ENTERING if world.digits else st.SUBMITTED if world.handed else st.NO_ENTRY
    return call.dtmf.state is state and call.dtmf.digits == world.digits


def _session(call: Call, world: World) -> bool:
    if call.session.lost != world.lost or (call.session.state is st.LOST) is not world.away:
        return False
    match call.session.state:
        case st.LOST:
            return not world.confirmed
        case st.CONNECTING:
            return not world.opened
        case st.CONFIGURING:
            return world.opened and world.configured and not world.confirmed
        case st.GUARDED:
            return world.confirmed and not world.rights and _protects(call, world)
        case _:
            return world.confirmed and world.rights


def _protects(call: Call, world: World) -> bool:
    """Is anything asked for or said that is protected, or is anything to be asked for yet?"""
    causes = [answer.cause for answer in world.answers if answer.generated or answer.audible]
    asked = [] if world.asked is None else [world.asked.cause]
    waits = not asked and (world.failed or bool(world.owed | world.optional))
    return waits or any(is_protected(cause, call.policy) for cause in (*causes, *asked))


def _turn(call: Call, world: World) -> bool:
    if call.turn.item_id != world.turn or call.turn.uncommitted is not world.early or call.turn.turns != world.turns:
        return False
    if not world.confirmed:
        return True
    match call.turn.state:
        case st.SPEAKING:
            return world.speaking
        case st.STOPPED:
            return (world.stopped or world.early) and not world.speaking
        case _:
            return not (world.speaking or world.stopped)


def _interruption(call: Call, world: World) -> bool:
    return (call.interruption.state in (st.SUSPECTED, st.WORDS_AWAITED)) is world.held


def _synthesis(call: Call, world: World) -> bool:
    region = call.synthesis
    waiting = [(f"call.{one.response_id}.{one.number}", one.text, one.item_id) for one in region.queue]
    if waiting != [(one.session, one.text, one.item) for one in sentences_waiting(world)] or region.failed != world.unvoiced:
        return False
    if region.state is st.RESTING:
        return not (world.synthesis or region.session_id or region.response_id or region.item_id or region.text)
    said = next(((answer.id, one) for answer in world.answers for one in answer.sentences if one.session == region.session_id), None)
    if said is None or (region.response_id, region.item_id, region.text) != (said[0], said[1].item, said[1].text):
        return False
    return world.synthesis == region.session_id if region.state is st.SYNTHESISING else not world.synthesis and said[1].ahead


def _response(call: Call, world: World) -> bool:
    live, asked = _live(call, world), world.asked is not None
    if live is not None and call.response.state is st.IN_PROGRESS:
        known = (call.response.cause, call.response.called, call.response.whole) == (live.cause, live.called, live.whole)
        if not known or live.cancelled or call.response.over_speech is not live.over:
            return False
    match call.response.state:
        case st.REQUESTED:
            return world.asked is not None and not world.asked.cut and call.response.cause is world.asked.cause
        case st.WITHDRAWN:
            return world.asked is not None and world.asked.cut
        case st.BLOCKED:
            return not asked and world.busy
        case st.IN_PROGRESS:
            return live is not None
        case st.SERVER_CANCELLING:
            return live is not None and not live.cancelled and not live.audible
        case st.CANCEL_IN_FLIGHT:
            return live is not None and (live.cancelled or (live.unsent > 0 and live.device is Device.NEVER))
        case st.CANCEL_UNSENT:
            return live is not None and not live.cancelled and live.unsent == call.response.unsent > 0
        case st.COMPLETED:
            ended = world.answer(call.response.id)
            return ended is None or ended.completed
        case _:
            return live is None or live.overdue


def _playout(call: Call, world: World) -> bool:
    heard = [answer for answer in world.answers if answer.audible]
    front, follows = (*heard, None, None)[:2]
    region = call.playout
    next_id = "" if follows is None else follows.id
    arrived = next_id if follows is not None and follows.sound is not Sound.NONE else ""
    if region.next_id != next_id or region.arrived_id != arrived or len(heard) > 2:
        return False
    if region.state is st.SILENT or front is None:
        return region.state is st.SILENT and front is None and not region.id and not region.notice and not region.asks
    if region.heard and front.sound < Sound.HEARD:
        return False
    if region.id != front.id or region.notice is not front.notice or region.asks is not front.asks:
        return False
    match region.state:
        case st.ADMITTED:
            return front.sound <= Sound.CAME and not (front.words and front.sound is Sound.NONE and call.policy.voice == "realtime")
        case st.VOICELESS:
            return front.sound is Sound.NONE and front.words and call.policy.voice == "realtime"
        case st.STARVED:
            # a sentence that began tells no more than that: its progress and its end come in any order
            return bool(front.sentences) or not front.completed or front.overdue
        case _:
            return front.sound >= Sound.CAME


def _truncation(call: Call, world: World) -> bool:
    flushed = {answer.id for answer in world.answers if answer.device is Device.FLUSHED}
    kept = set(call.truncation.awaited) == flushed and (call.truncation.state is st.POSITION_AWAITED) is bool(flushed)
    counts = [answer for answer in world.answers if answer.audible or answer.id in flushed]
    items = {(answer.id, item.name, item.came) for answer in counts for item in answer.items}
    known = {(item.response_id, item.item_id, item.sounds) for item in call.truncation.items}
    spoken = [(answer.id, one.item, one.text, one.audio_ms) for answer in counts for one in answer.sentences if one.audio_ms]
    told = [(one.response_id, one.item_id, one.text, one.audio_ms) for one in call.truncation.spoken]
    begun = {(one.text, one.from_ms) for answer in counts for one in answer.sentences if one.from_ms is not None}
    listed = begun <= {(one.text, one.from_ms) for one in call.truncation.spoken} and spoken == told and items <= known
    most = call.policy.queued_sentences
    past = {one.id for one in world.answers if one.device is Device.RETIRED and one.sound >= Sound.HEARD and _uncorrected(one)}
    wrong = past & {item.response_id for item in call.truncation.items} or {one.id for one in counts if one.audible} & set(
        call.truncation.cut
    )
    return kept and not wrong and (listed or len(known) == most or len(spoken) > most)


def _uncorrected(answer: Answer) -> bool:
    return any(not item.settled for item in answer.items)


def _phase(call: Call, world: World) -> bool:
    front = world.front
    match call.phase.state:
        case st.LISTENING:
            return front is None or not front.sound
        case st.CANCELLING:
            return front is None or any(answer.live and answer.device is Device.NEVER for answer in world.answers)
        case st.GREETING_LOCK:
            return front is not None and front.cause is Cause.GREETING
        case _:
            return front is not None and front.sound is not Sound.NONE


def _tool(call: Call, world: World) -> bool:
    waiting = [(one.id, one.name, one.arguments) for one in call.tool.waiting]
    known = [(tool.id, tool.name, tool.arguments) for tool in world.tools if tool.how in ("told", "late")]
    if not set(waiting) <= set(known) or any(
        tool.how == "told" and tool.id not in dict.fromkeys(one[0] for one in waiting) for tool in world.tools
    ):
        return False
    return call.tool.pending == world.running and (call.tool.state is not st.NO_TOOL) is bool(world.running)


def _hangup(call: Call, world: World) -> bool:
    region = call.hangup
    if region.state is st.STAYING:
        said = world.answer(world.bye)
        # whether what was flushed was a goodbye that was heard, and what was said over it a turn, nobody can tell
        return not world.bye or bool(world.optional) or (said is not None and said.device in (Device.FLUSHED, Device.SILENCED))
    if (region.reason, region.detail) != (world.why, world.wish):
        return False
    if region.state is st.PARTING:
        return world.bye == "*"
    return world.bye == region.id


def _cooldown(call: Call, world: World) -> bool:
    return call.cooldown.state is st.WARM or world.replaced


def _idle(call: Call, world: World) -> bool:
    silent = call.pending.state is st.NOTHING and is_quiet(world) and asks_the_silent(world, call.policy)
    counted = (call.idle.prompts, call.idle.asked) == (world.prompts, world.prompts_in_all)
    return counted and (call.idle.state is st.ARMED or not silent)


def _pending(call: Call, world: World) -> bool:
    if not _owes_what_is_owed(call, world) or not world.sure <= call.pending.recoveries <= world.failures:
        return False
    match call.pending.state:
        case st.NOTHING:
            return not call.pending.owed and (_untold(call, world) or not _due(world) - {GREETING})
        case st.PAUSED:
            return world.failed
        case st.PREPARING:
            return GREETING in _due(world) | world.optional
        case st.OWED:
            return call.policy.create_response
        case _:
            return bool(call.pending.owed)


def _untold(call: Call, world: World) -> bool:
    """Can nobody tell what a response knows of: of a server that answers by itself, or before a commit?"""
    return call.policy.create_response or world.early or call.turn.state is not st.QUIET


def _owes_what_is_owed(call: Call, world: World) -> bool:
    """Does the call owe what the world does, and no notice that nobody asked for?"""
    named = Counter(NOTICE + debt.text if debt.cause is Cause.NOTICE else _NAMES.get(debt.cause, "") for debt in call.pending.owed)
    left = _due(world)
    due = Counter(debt.rstrip("+") for debt in left | ({TURN} if SOUND in left else set()) if debt not in (GREETING, SOUND))
    notices = Counter(debt.rstrip("+") for debt in world.owed if debt.startswith(NOTICE))
    asked_for = all(count <= notices[name] for name, count in named.items() if name.startswith(NOTICE))
    told = Counter({name: count for name, count in due.items() if name.startswith(NOTICE) or name == WARNING})
    firm = any(debt.cause is Cause.USER_TURN and not debt.noise for debt in call.pending.owed)
    # with a listener's word before it, either may be the turn that is owed
    unsure = world.front is not None and world.front.id == world.doubt and not {TURN, SOUND} & world.owed and TURN not in world.optional
    if firm and unsure and not (world.failed or _untold(call, world)):
        return False
    return asked_for and (told if _untold(call, world) else due) <= named


_NAMES = {Cause.USER_TURN: TURN, Cause.ENTRY: ENTRY, Cause.TOOL_RESULT: TOOL, Cause.LIMIT_WARNING: WARNING}


def _due(world: World) -> frozenset[str]:
    """What is owed that nothing under way could pay."""
    under_way = [answer.pays for answer in world.answers if answer.generated or answer.audible]
    return world.owed.difference(*under_way, frozenset() if world.asked is None else world.asked.pays)


_SAYS: dict[str, Says] = {
    "line": _line,
    "calibration": _calibration,
    "limit": _limit,
    "dtmf": _dtmf,
    "cooldown": _cooldown,
    "idle": _idle,
    "session": _session,
    "turn": _turn,
    "interruption": _interruption,
    "synthesis": _synthesis,
    "response": _response,
    "playout": _playout,
    "truncation": _truncation,
    "phase": _phase,
    "tool": _tool,
    "hangup": _hangup,
    "pending": _pending,
}
"""Of each region, whether its state is so."""
