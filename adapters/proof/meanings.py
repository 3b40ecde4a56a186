"""What each state says of the world, held against the world as it is: a region that says what is not so is wrong, whatever it does next.

The same sentences as in `fsm.call.states`, as questions to ghost state (`adapters.proof.world`). What the world does not know, a noise
floor, an echo, how long a call is, is asked by nobody here.
"""

from collections.abc import Callable, Collection, Iterator

from adapters.proof.world import GREETING, Answer, Device, Sound, World
from fsm.call import states as st
from fsm.call.snapshot import Call
from fsm.engine.notation import State

Says = Callable[[Call, World], bool]


def untrue(call: Call, world: World, still: Collection[str] = ()) -> Iterator[str]:
    """The regions of a call that is not over whose state is not so, each with its state; those of `still` are not asked."""
    for name, says in _SAYS.items():
        if name in still:
            continue
        state: State = getattr(call, name).state
        if state is st.OVER or not says(call, world):
            yield f"{name} is {state.name}"


def _live(call: Call, world: World) -> Answer | None:
    answer = world.answer(call.response.id)
    return answer if answer is not None and answer.live else None


def _line(call: Call, world: World) -> bool:
    return (call.line.state is st.OPEN) is world.line


def _session(call: Call, world: World) -> bool:
    match call.session.state:
        case st.LOST:
            return not world.confirmed
        case st.CONNECTING:
            return not world.opened
        case st.CONFIGURING:
            return world.opened and world.configured and not world.confirmed
        case st.GUARDED:
            return world.confirmed and not world.rights
        case _:
            return world.confirmed


def _turn(call: Call, world: World) -> bool:
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
    return (call.interruption.state is st.SUSPECTED) is world.held


def _synthesis(call: Call, world: World) -> bool:
    session = call.synthesis.session_id
    if call.synthesis.state is st.SYNTHESISING:
        return bool(session) and world.synthesis == session
    if world.synthesis:
        return False
    if call.synthesis.state is st.AHEAD:
        return any(one.session == session and one.audio_ms and one.from_ms is None for answer in world.answers for one in answer.sentences)
    return True


def _response(call: Call, world: World) -> bool:
    live, asked = _live(call, world), world.asked is not None
    match call.response.state:
        case st.REQUESTED:
            return asked
        case st.WITHDRAWN:
            return asked
        case st.BLOCKED:
            return not asked
        case st.IN_PROGRESS:
            return live is not None and not live.cancelled
        case st.SERVER_CANCELLING:
            return live is not None and not live.cancelled
        case st.CANCEL_IN_FLIGHT:
            return live is not None and (live.cancelled or live.unsent > 0)
        case st.CANCEL_UNSENT:
            return live is not None
        case st.COMPLETED:
            ended = world.answer(call.response.id)
            return ended is None or ended.completed
        case _:
            return live is None or live.overdue


def _playout(call: Call, world: World) -> bool:
    front = world.front
    if call.playout.state is st.SILENT or front is None:
        return call.playout.state is st.SILENT and front is None
    if call.playout.id != front.id:
        return False
    match call.playout.state:
        case st.ADMITTED:
            return front.sound <= Sound.CAME
        case st.VOICELESS:
            return front.sound is Sound.NONE
        case st.STARVED:
            return True
        case _:
            return front.sound >= Sound.CAME


def _truncation(call: Call, world: World) -> bool:
    flushed = {answer.id for answer in world.answers if answer.device is Device.FLUSHED}
    return set(call.truncation.awaited) == flushed and (call.truncation.state is st.POSITION_AWAITED) is bool(flushed)


def _phase(call: Call, world: World) -> bool:
    front = world.front
    match call.phase.state:
        case st.LISTENING:
            return front is None or not front.sound
        case st.CANCELLING:
            return front is None
        case _:
            return front is not None


def _tool(call: Call, world: World) -> bool:
    return (call.tool.state is not st.NO_TOOL) is bool(world.running)


def _hangup(call: Call, world: World) -> bool:
    return call.hangup.state is st.STAYING or bool(world.bye)


def _pending(call: Call, world: World) -> bool:
    match call.pending.state:
        case st.NOTHING:
            # of a server that answers by itself, or before a commit, nobody can tell what a response knows of
            untold = call.policy.create_response or world.early or call.turn.state is not st.QUIET
            return untold or not _due(world) - {GREETING}
        case st.PAUSED:
            return world.failed
        case st.PREPARING:
            return GREETING in _due(world)
        case st.OWED:
            return call.policy.create_response
        case _:
            return True


def _due(world: World) -> frozenset[str]:
    """What is owed that nothing under way could pay."""
    under_way = [answer.pays for answer in world.answers if answer.generated or answer.audible]
    return world.owed.difference(*under_way, frozenset() if world.asked is None else world.asked.pays)


_SAYS: dict[str, Says] = {
    "line": _line,
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
