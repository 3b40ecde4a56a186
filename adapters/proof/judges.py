"""The judges: the rules that a call must keep, stated over the world as it really is, and over nothing that the core keeps.

`Judge` follows a call step by step and says which rules each step broke; `at_rest` says it of a call in which no deadline runs. One set
for the checker, the simulation and the walks of the tests. `Rule` is what they tell.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from adapters.proof.deadlines import Moment
from adapters.proof.effects import done
from adapters.proof.events import came_to_nothing, forgiven, happened, interrupted, prompted, resumed, settled
from adapters.proof.notes import mistold
from adapters.proof.world import (
    GREETING,
    IN_CONVERSATION,
    OWN_WORDS,
    Answer,
    Device,
    Sound,
    World,
    asks_the_silent,
    is_notice,
    is_protected,
    is_quiet,
    may_ask_the_silent,
    sentences_waiting,
)
from fsm.call import effects as fx, events as ev
from fsm.call.effects import Cause, Reason
from fsm.call.policy import Policy


class Rule(StrEnum):
    """A rule, in words, with the numbers of the rules that it stands for."""

    CANCEL_ONCE = "a response is cancelled once, while it lives (R01, R06)"
    CREATE_ALONE = "a response is asked for only when none is asked for, generated or heard (R08, R11, R73)"
    CREATE_FREE = "a response is asked for only in a confirmed session, on an open line, while the caller is silent (R19, R39)"
    CREATE_CAUSE = "a response is asked for only to pay what is owed, or what failed (R12, R37, R43)"
    PROMPT_QUIET = "a silent caller is asked only while nothing goes on (R51, R52)"
    ADMIT = "a response is admitted once, at its birth, and not where the caller interrupted (R09, R68, R69)"
    FLUSH = "a response is flushed once, while it may be heard (R31)"
    INTERRUPTED = "after an interruption nothing that was under way may be heard (R30, R68, R69)"
    INTERRUPTED_ENDS = "after an interruption what is generated is cancelled by its owner (R02, R30)"
    INTERRUPTS = "a caller who speaks on over a held voice interrupts it (R29, R74)"
    HOLD = "a voice is held once, and resumed once (R70, R74)"
    SYNTHESIS = "a sentence is synthesised only while its response may be heard, one at a time (R66, R67)"
    SYNTHESIS_ENDS = "a synthesis is cancelled once, while it runs, and with its response (R64, R77)"
    CORRECTION = "after a flush each item is corrected by what was heard of it, and nothing else is (R34, R71, R88)"
    LATE_ITEM = "an item of a response that was flushed or refused is deleted when it comes (R88)"
    TOOL_ONCE = "a tool call is run once, and answered once (R80, R89)"
    TOOL_CUT = "a tool call of what the caller interrupted is not run (R90)"
    SESSION = "a session is configured once, when it is opened (R39)"
    RIGHTS = "the server's VAD loses its rights before what is protected, and gets them once (R36)"
    HANGUP = "the line is hung up once, for a reason that is true (R41, R42, R45, R47)"
    TOLD = "the application is told of the end once, and only of an end (R86)"
    OVER = "nothing is asked for once the call is over, or another's (R50, R62, R110)"
    COMMIT = "a turn is committed by us only where the server has no VAD, when the caller stops (R22)"
    EXPIRY = "a deadline that fires is answered, and does not run on (R78)"
    SPOKEN = "the sentences of an answer are spoken in their order, or told as lost (R64, R66)"
    ENTRY = "what is entered on the keypad is handed in once, whole (R63)"
    KEYS = "a key stops what is heard, where policy lets it (R101)"
    PROTECTED = "what is protected is heard to its end, and a silence is no voice to interrupt (R28, R36)"
    NOTED = "what goes wrong is noted, once, by its name (R02, R03)"
    LASTS = "a wait lasts as long as policy says, from the fact that it counts from (R44, R51, R78, R81)"
    ONCE = "nothing is asked for twice in one step (R01, R30)"
    ENDS = "what ends a call ends it (R39, R60, R82)"
    STALE = "a deadline of the past, or before its time, is nothing (R49)"
    DEBTS = "whatever is owed is paid by a response that could know of it, or forgiven by name (R24, R63, R68, R93)"
    REST = "every wait has an end (R74, R78, R79)"
    REST_RIGHTS = "the server's VAD has its rights when nothing is protected (R36, R76)"
    REST_MEMORY = "the model remembers of each item what was heard (R88)"
    MEANING = "a state says what is so (R22, R27, R75)"
    BOUNDED = "what a call remembers is bounded (R07)"
    CLOSES = "closing ends every region, and closed is reached (R50, R83)"
    RAISES = "no event in any state raises (R59)"
    LIVELOCK = "deadlines alone bring a call to rest (R78)"


class Judge:
    """One step of a call, judged: `world` is the world after it, `faults` the rules that it broke."""

    def __init__(
        self,
        world: World,
        policy: Policy,
        event: ev.Event,
        effects: tuple[fx.Effect, ...],
        signals: tuple[type, ...],
        *,
        over: bool = False,
        stale: bool = False,
        by_itself: bool = False,
        memory: bool = True,
    ) -> None:
        """`over`: the call was over before; `stale`: the event is a deadline of the past; `by_itself`: see `events.happened`."""
        self.policy, self.event, self.effects = policy, event, effects
        self.faults: list[Rule] = []
        self.memory = memory
        before = world
        if not (over or stale):
            world = happened(world, event, policy, by_itself=by_itself)
            self.barged_in = ev.BargedIn in signals
            if self.barged_in:
                world = interrupted(world)
            elif ev.VoiceResumed in signals:
                world = resumed(world)
        over = over or isinstance(event, ev.OwnershipLost)
        for effect in effects:
            if over and not isinstance(effect, fx.Log):
                self.faults.append(Rule.OVER)
                break
            judge = _JUDGES.get(type(effect))
            if judge is not None:
                self.faults += judge(self, world, effect)
            world = done(world, effect, policy)
            if isinstance(effect, fx.Log) and effect.code == "notice_dropped":
                world = forgiven(world, event)
        if isinstance(event, ev.IdleExpired) and any(
            isinstance(one, fx.CreateResponse) and one.cause is Cause.IDLE_PROMPT for one in effects
        ):
            world = prompted(world)
        if isinstance(event, ev.ResponseCancelled | ev.CreateRefused) or any(
            one in signals for one in (ev.VoiceMissing, ev.AnswerFailed, ev.PlayoutStalled)
        ):
            world = world._replace(failures=min(world.failures + 1, policy.recoveries + 1))
        if ev.VoiceMissing in signals or ev.AnswerFailed in signals or (ev.PlayoutStalled in signals and not _plays(before.front)):
            world = self._came_to_nothing(before, world)
        if world.told and not before.told and (world.synthesis or world.front is not None):
            self.faults.append(Rule.CLOSES)
        self.moment = Moment(policy, event, signals, effects, before, world)
        if not (over or stale) and mistold(self.moment):
            self.faults.append(Rule.NOTED)
        if len(set(effects)) < len(effects):
            self.faults.append(Rule.ONCE)
        self.world = settled(world)
        if stale:
            if effects:
                self.faults.append(Rule.STALE)
        elif not over:
            self.faults += self._step(before, self.world)

    def _came_to_nothing(self, before: World, world: World) -> World:
        """The world after a response failed, or brought no sound."""
        front = before.front
        if isinstance(self.event, ev.ResponseEnded):
            return came_to_nothing(world, self.event.response_id)
        if front is None:
            return world
        return came_to_nothing(world._replace(replaced=world.replaced or front.sound is Sound.NONE), front.id)

    def _step(self, before: World, after: World) -> Iterator[Rule]:
        """What must hold of the step as a whole."""
        event, policy = self.event, self.policy
        if before.told and not isinstance(event, ev.Ending):
            return
        if not after.told and not isinstance(event, ev.Ending) and _ends(before, self.moment.after, event, policy):
            yield Rule.ENDS
        if after.told:
            if not (after.hung_up or after.closed):
                yield Rule.HANGUP
            return
        if isinstance(event, ev.Ending):
            yield Rule.TOLD
        front = before.front
        stalled = ev.PlayoutStalled in self.moment.signals and front is not None and front.id == before.bye and _plays(front)
        # whether what was said over it was a turn, nobody can tell
        if after.bye and not after.optional and (stalled or _is_said(after.answer(after.bye))):
            yield Rule.ENDS
        heard_still = front is not None and front.id == before.bye and front.sound >= Sound.CAME
        if isinstance(event, ev.HangupExpired) and not heard_still:
            yield Rule.ENDS
        if after.entry:
            yield Rule.ENTRY
        if (
            isinstance(event, ev.IdleExpired)
            and is_quiet(before)
            and not before.failed
            and asks_the_silent(before, policy)
            and after.asked is None
        ):
            yield Rule.PROMPT_QUIET
        if sentences_waiting(after) and not after.synthesis and not any(one.ahead for answer in after.answers for one in answer.sentences):
            yield Rule.SPOKEN
        if self.barged_in:
            if any(answer.audible and answer.cut for answer in after.answers) or after.held:
                yield Rule.INTERRUPTED
            if after.synthesis and any(_speaks(answer, after.synthesis) and answer.cut for answer in after.answers):
                yield Rule.SYNTHESIS_ENDS
            alive = [answer for answer in after.answers if answer.generated and not (answer.cancelled or answer.unsent)]
            if policy.interrupts == "client" and alive:
                yield Rule.INTERRUPTED_ENDS
        elif before.held and isinstance(event, ev.InterruptionExpired) and before.speaking and policy.interruption_by == "duration":
            yield Rule.INTERRUPTS
        if after.synthesis and not any(_speaks(answer, after.synthesis) and answer.audible for answer in after.answers):
            yield Rule.SYNTHESIS_ENDS
        cut = after.answer(event.response_id) if isinstance(event, ev.ResponseCancelled) else None
        if cut is not None and cut.audible and cut.cut and not cut.overdue:
            yield Rule.INTERRUPTED
        if isinstance(event, ev.ResponseCreated):
            yield from self._birth(before, after, event)
        if self.memory:
            yield from self._corrections(before)

    def _birth(self, before: World, after: World, event: ev.ResponseCreated) -> Iterator[Rule]:
        """What was asked for and interrupted before it was born is cancelled at its birth (R68)."""
        born = after.answer(event.response_id)
        if born is None or before.answer(event.response_id) is not None or born.audible:
            return
        if born.live and not born.cancelled and self.policy.interrupts == "client":
            yield Rule.INTERRUPTED_ENDS

    def _corrections(self, before: World) -> Iterator[Rule]:
        """The items that the step corrects are those that it must, each by its own figure."""
        event = self.event
        made = [effect for effect in self.effects if isinstance(effect, fx.TruncateItem | fx.DeleteItem | fx.RewriteItem)]
        if isinstance(event, ev.PlayoutStopped):
            answer = before.answer(event.response_id)
            due = answer is not None and answer.device is Device.FLUSHED
            if due and self.policy.voice == "chatterbox":
                kept = _rewritten(answer, event, made)  # type: ignore[arg-type]
            else:
                kept = sorted(map(repr, made)) == (sorted(map(repr, _truncations(answer, event))) if due else [])  # type: ignore[arg-type]
            if not kept:
                yield Rule.CORRECTION
            return
        if isinstance(event, ev.TakenUp):
            if not _corrected_by_record(before, event, made, self.policy):
                yield Rule.CORRECTION
            return
        late = _late_item(before, event)
        if late is not None and made != [fx.DeleteItem(late)]:
            yield Rule.LATE_ITEM
        elif late is None and not all(_never_heard(self.world, before, effect) for effect in made):
            yield Rule.CORRECTION


def _ends(before: World, after: World, event: ev.Event, policy: Policy) -> bool:
    """Is the call to end by what happened, whatever is being said?"""
    match event:
        case ev.LineExpired():
            return True
        case ev.SessionExpired():
            return not (before.away or before.confirmed)
        case ev.LimitExpired():
            return before.warned or event.at_ms >= policy.call_ms
    return after.lost > policy.reconnects or after.unvoiced >= policy.voice_failures


def _plays(front: Answer | None) -> bool:
    """Was any of it heard, and need it not be heard whole?"""
    return front is not None and front.sound >= Sound.HEARD and not front.notice


def _is_said(goodbye: Answer | None) -> bool:
    """Was the goodbye heard to its end, so that nothing more is to be waited for (R42)?"""
    over = goodbye is not None and goodbye.device is Device.RETIRED and goodbye.completed and not goodbye.overdue
    return over and goodbye.sound >= Sound.HEARD  # type: ignore[union-attr]


def _speaks(answer: Answer, session: str) -> bool:
    return session.startswith(f"call.{answer.id}.")


def _corrected_by_record(before: World, event: ev.TakenUp, made: list[Any], policy: Policy) -> bool:
    """Is each item that was to be heard, or to be accounted for, left with what the record tells?"""
    due = [(answer, of) for of in event.heard if (answer := before.answer(of.response_id)) is not None and _unaccounted(answer)]
    if policy.voice != "chatterbox":
        return sorted(map(repr, made)) == sorted(repr(effect) for answer, of in due for effect in _truncations(answer, of))
    names = {item.name: answer.id for answer, _ in due for item in answer.items}
    return all(effect.item_id in names for effect in made) and all(
        _rewritten(answer, of, [effect for effect in made if names[effect.item_id] == answer.id]) for answer, of in due
    )


def _unaccounted(answer: Answer) -> bool:
    return answer.audible or answer.device is Device.FLUSHED


def _truncations(answer: Answer, event: ev.PlayoutStopped) -> list[fx.Effect]:
    """What the model must forget of a flushed response: each item by what was heard of it."""
    due: list[fx.Effect] = []
    for item in answer.items:
        parts = [part for part in event.items if part.item_id == item.name]
        if not parts and len(answer.items) == 1:
            parts = [ev.Heard(item.name, 0, event.played_ms, event.received_ms)]
        cut = next((part for part in parts if part.played_ms < part.received_ms), None)
        if not any(part.played_ms for part in parts):
            due.append(fx.DeleteItem(item.name))
        elif cut is not None:
            due.append(fx.TruncateItem(item.name, int(cut.played_ms), cut.content_index))
    return due


def _rewritten(answer: Answer, event: ev.PlayoutStopped, made: list[Any]) -> bool:
    """Is each item left with the words that were heard: all of the sentences before the last one that began, and a part of that one?"""
    begun = [sentence for sentence in answer.sentences if sentence.from_ms is not None and sentence.from_ms < event.played_ms]
    by_item = {effect.item_id: effect for effect in made}
    last = begun[-1].item if begun else ""
    for item in answer.items:
        effect = by_item.pop(item.name, None)
        heard = [sentence for sentence in begun if sentence.item == item.name]
        if not heard:
            kept = isinstance(effect, fx.DeleteItem)
        elif item.name == last:
            kept = isinstance(effect, fx.RewriteItem) and _words_heard(heard, event.played_ms, effect.text)
        else:
            kept = effect is None
        if not kept:
            return False
    return not by_item


def _words_heard(heard: list[Any], played_ms: float, text: str) -> bool:
    whole = [word for sentence in heard[:-1] for word in sentence.text.split()]
    last, words = heard[-1], text.split()
    most = [*whole, *last.text.split()]
    all_of_it = played_ms - last.from_ms >= last.audio_ms
    return words == most if all_of_it else words == most[: len(words)] and len(whole) < len(words) < max(len(most), len(whole) + 2)


def _never_heard(after: World, before: World, effect: fx.Effect) -> bool:
    """Is an item deleted, for the first time, of which no sound came, as its response is over?"""
    if not isinstance(effect, fx.DeleteItem):
        return False
    for answer in before.answers:
        item = next((item for item in answer.items if item.name == effect.item_id), None)
        now = after.answer(answer.id)
        if item is not None:
            return not item.came and not item.settled and (now is None or not now.audible)
    return False


def _late_item(before: World, event: ev.Event) -> str | None:
    """The item that an event tells for the first time, of a response that was flushed or refused."""
    if not isinstance(event, ev.ItemAdded | ev.AudioArrived | ev.SentenceCut) or not event.item_id:
        return None
    answer = before.answer(event.response_id)
    if answer is None or any(item.name == event.item_id for item in answer.items):
        return None
    unheard = answer.device is Device.RETIRED and answer.sound < Sound.HEARD
    return event.item_id if unheard or answer.device in (Device.SILENCED, Device.NEVER) else None


# What effects may be asked for. Each gives the rules that it breaks in the world in which it is asked for.


def _cancel(_: Judge, world: World, effect: fx.CancelResponse) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    if answer is None or not answer.live or answer.cancelled:
        yield Rule.CANCEL_ONCE


def _create(judge: Judge, world: World, effect: fx.CreateResponse) -> Iterator[Rule]:
    if (world.asked is not None and not world.asked.crossed) or world.live or world.front is not None:
        yield Rule.CREATE_ALONE
    if not (world.confirmed and world.line) or world.speaking or world.stopped:
        yield Rule.CREATE_FREE
    owed = world.owed | world.optional
    match effect.cause:
        case Cause.GREETING:
            due = GREETING in owed or world.failed
        case Cause.NOTICE:
            due = any(is_notice(debt, effect.instructions) for debt in owed)
        case cause if cause in OWN_WORDS:
            due = not world.owed & IN_CONVERSATION
        case _:
            due = bool(owed & IN_CONVERSATION) or world.failed
    if not due:
        yield Rule.CREATE_CAUSE
    protected = effect.cause is Cause.NOTICE or (effect.cause is Cause.GREETING and judge.policy.greeting_protected)
    if protected and world.rights and judge.policy.create_response:
        yield Rule.RIGHTS
    if effect.cause is Cause.TOOL_FILLER and not (isinstance(judge.event, ev.ToolExpired) or world.failed):
        yield Rule.PROMPT_QUIET
    if effect.cause in (Cause.IDLE_PROMPT, Cause.FAREWELL):
        silent = isinstance(judge.event, ev.IdleExpired)
        due = may_ask_the_silent(world, judge.policy) is (effect.cause is Cause.IDLE_PROMPT)
        if world.running or world.digits or (silent and not due):
            yield Rule.PROMPT_QUIET


def _admit(judge: Judge, world: World, effect: fx.Admit) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    born = isinstance(judge.event, ev.ResponseCreated) and judge.event.response_id == effect.response_id
    if answer is None or not born or answer.device is not Device.NEVER or answer.cut or answer.cancelled or not answer.live:
        yield Rule.ADMIT


def _flush(_: Judge, world: World, effect: fx.Flush) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    if answer is None or not answer.audible:
        yield Rule.FLUSH


def _hold(judge: Judge, world: World, __: fx.Hold) -> Iterator[Rule]:
    if world.held:
        yield Rule.HOLD
    if not judge.barged_in and not _to_interrupt(world, judge.policy):
        yield Rule.PROTECTED


def _to_interrupt(world: World, policy: Policy) -> bool:
    """Is anything heard or on its way, and nothing protected?"""
    asked = [] if world.asked is None or world.asked.cut else [world.asked.cause]
    causes = [*asked, *(answer.cause for answer in world.answers if answer.audible or (answer.generated and not answer.cancelled))]
    return bool(causes) and not any(is_protected(cause, policy) for cause in causes)


def _resume(_: Judge, world: World, __: fx.Resume) -> Iterator[Rule]:
    if not world.held:
        yield Rule.HOLD


def _synthesise(judge: Judge, world: World, effect: fx.Synthesise) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    if (
        answer is None
        or not answer.audible
        or world.synthesis
        or any(one.ahead for other in world.answers if other.audible for one in other.sentences)
    ):
        yield Rule.SYNTHESIS
    waiting = [(one.session, one.text) for one in sentences_waiting(world) if answer is not None and one in answer.sentences]
    if (effect.session_id, effect.text) != (waiting[0] if waiting else _patience(judge, effect)):
        yield Rule.SPOKEN


def _patience(judge: Judge, effect: fx.Synthesise) -> tuple[str, str] | None:
    """What a voice of ours says of a wait that the server asks for (R92)."""
    event, policy = judge.event, judge.policy
    asked = isinstance(event, ev.ResponseFailed) and event.retry_after_ms >= policy.wait_words_ms
    return (f"call.{effect.response_id}.0", policy.wait_words) if asked else None


def _unsynthesise(_: Judge, world: World, effect: fx.CancelSynthesis) -> Iterator[Rule]:
    if world.synthesis != effect.session_id:
        yield Rule.SYNTHESIS_ENDS


def _run(_: Judge, world: World, effect: fx.RunTool) -> Iterator[Rule]:
    tool = world.tool(effect.tool_call_id)
    answer = None if tool is None else world.answer(tool.response_id)
    if tool is None or tool.how not in ("told", "late") or (effect.name, effect.arguments) != (tool.name, tool.arguments):
        yield Rule.TOOL_ONCE
    if world.held or (answer is not None and answer.cut and not answer.completed):
        yield Rule.TOOL_CUT


def _result(judge: Judge, world: World, effect: fx.SendToolResult) -> Iterator[Rule]:
    tool, event = world.tool(effect.tool_call_id), judge.event
    if tool is None or tool.how not in ("told", "late", "runs"):
        yield Rule.TOOL_ONCE
        return
    if tool.how == "runs":
        finished = isinstance(event, ev.ToolFinished) and (event.tool_call_id, event.output) == (tool.id, effect.output)
        given_up = isinstance(event, ev.ToolExpired) and tool.id == world.running[0] and _tells(effect, "in time")
        unknown = isinstance(event, ev.TakenUp) and _tells(effect, "not known")
        if not (finished or given_up or unknown):
            yield Rule.TOOL_ONCE
        return
    answer = world.answer(tool.response_id)
    cut = judge.barged_in or isinstance(event, ev.ResponseCancelled | ev.TakenUp)
    cut = cut or answer is None or answer.cut or answer.cancelled or answer.overdue
    cut = cut or (answer is not None and answer.device is Device.NEVER)
    cut = cut or (world.asked is not None and world.asked.cut)
    full = sum(other.how in ("told", "runs") for other in world.tools) > judge.policy.tools_at_once
    lost = isinstance(event, ev.TakenUp)
    why = {"cut off": cut and not lost, "connection": lost, "too many": full}
    if not any(so and _tells(effect, word) for word, so in why.items()):
        yield Rule.TOOL_CUT


def _tells(effect: fx.SendToolResult, word: str) -> bool:
    return effect.output.startswith("error: ") and word in effect.output


def _enter(_: Judge, world: World, effect: fx.AddEntry) -> Iterator[Rule]:
    if not effect.digits or effect.digits != world.entry:
        yield Rule.ENTRY


def _configure(_: Judge, world: World, __: fx.ConfigureSession) -> Iterator[Rule]:
    if not world.opened or world.configured:
        yield Rule.SESSION


def _protect(_: Judge, world: World, __: fx.ProtectResponse) -> Iterator[Rule]:
    if not world.rights:
        yield Rule.RIGHTS


def _release(judge: Judge, world: World, __: fx.ReleaseResponse) -> Iterator[Rule]:
    given_up = isinstance(judge.event, ev.SessionExpired | ev.ResponseCancelled)
    front, asked = world.front, world.asked
    heard = front is not None and is_protected(front.cause, judge.policy)
    wanted = asked is not None and not asked.cut and is_protected(asked.cause, judge.policy)
    if world.rights or ((heard or wanted) and not given_up):
        yield Rule.RIGHTS


def _commit(judge: Judge, world: World, _: fx.CommitTurn) -> Iterator[Rule]:
    if judge.policy.turns != "local" or not world.stopped:
        yield Rule.COMMIT


def _hang_up(judge: Judge, world: World, effect: fx.HangUp) -> Iterator[Rule]:
    if world.hung_up or world.closed or not _true_reason(judge, world, effect.reason):
        yield Rule.HANGUP


def _true_reason(judge: Judge, world: World, reason: Reason) -> bool:
    """Is the reason one that the world knows?"""
    event = judge.event
    if reason in (Reason.GOODBYE, Reason.APPLICATION, Reason.IDLE):
        if reason is not world.why or not world.bye:
            return False
        if isinstance(event, ev.HangupExpired):
            return bool(world.bye)
        if world.bye == "*":
            return (world.asked is None or world.asked.crossed or world.asked.cut) and world.front is None
        said = world.answer(world.bye)
        if said is None:
            return True
        lasts = said.audible or (said.generated and not (said.cancelled or said.cut))
        return not lasts and (said.sound >= Sound.HEARD or said.device is Device.SILENCED)
    if reason is Reason.VOICE_FAILED and world.unvoiced < judge.policy.voice_failures:
        return False
    if reason is Reason.MODEL_FAILED and not (world.failures >= judge.policy.recoveries or world.replaced or _fatal(event)):
        return False
    return isinstance(event, _REASONS[reason])


def _fatal(event: ev.Event) -> bool:
    """Did the server say that it cannot answer, for a reason that may not pass (R18)?"""
    said = event.reason if isinstance(event, ev.ResponseFailed) else event.code if isinstance(event, ev.CreateRefused) else ""
    return said not in PASSING


PASSING = ("", "boom", "server_error", "rate_limit_exceeded", "invalid_value", "conversation_already_has_active_response")
"""Errors after which the server may be asked again, of those that the checker's and the simulation's servers tell."""
_REASONS: dict[Reason, tuple[type[ev.Event], ...]] = {
    Reason.CALLER_HUNG_UP: (ev.CallerHungUp,),
    Reason.RECEIVER_FAILED: (ev.ReceiverFailed,),
    Reason.INTERNAL: (ev.PortFailed,),
    Reason.SESSION_REFUSED: (ev.SessionRefused,),
    Reason.DEVICE_FAILED: (ev.DeviceFailed, ev.PlayoutExpired),
    Reason.SESSION_LOST: (ev.SessionLost,),
    Reason.SESSION_UNCONFIRMED: (ev.SessionExpired,),
    Reason.LIMIT: (ev.LimitExpired,),
    Reason.NO_LINE: (ev.LineExpired,),
    Reason.VOICE_FAILED: (ev.SynthesisFailed, ev.SynthesisExpired),
    Reason.MODEL_FAILED: (
        ev.ResponseEnded,
        ev.CreateRefused,
        ev.ResponseExpired,
        ev.PlayoutExpired,
        ev.SynthesisEnded,
        ev.SynthesisExpired,
    ),
}


def _tell(judge: Judge, world: World, effect: fx.TellEnded) -> Iterator[Rule]:
    hung_up = next((one.reason for one in judge.effects if isinstance(one, fx.HangUp)), Reason.CALLER_HUNG_UP)
    words = _words(judge, world, effect.reason)
    if world.told or not (world.hung_up or world.closed) or effect.reason is not hung_up or words not in (None, effect.detail):
        yield Rule.TOLD


def _words(judge: Judge, world: World, reason: Reason) -> str | None:
    """What the application is told beside the reason: the words of whoever knows of the fault, or of its own wish; None: whatever it is."""
    event = judge.event
    match reason:
        case Reason.APPLICATION:
            return world.wish
        case Reason.DEVICE_FAILED if isinstance(event, ev.PlayoutExpired):
            return "it plays nothing"
        case Reason.MODEL_FAILED if isinstance(event, ev.ResponseCompleted):
            return "nothing_to_hear"
        case Reason.MODEL_FAILED if isinstance(event, ev.CreateRefused):
            return event.code
        case Reason.MODEL_FAILED if isinstance(event, ev.SynthesisEnded | ev.SynthesisExpired):
            return None
        case Reason.MODEL_FAILED | Reason.VOICE_FAILED:
            said = event.reason if isinstance(event, ev.ResponseFailed | ev.ResponseIncomplete | ev.SynthesisFailed) else ""
            return said or "no answer came"
    return event.reason if isinstance(event, ev.Ending | ev.SessionLost) else ""


_JUDGES: dict[type[fx.Effect], Callable[[Judge, World, Any], Iterator[Rule]]] = {
    fx.CancelResponse: _cancel,
    fx.CreateResponse: _create,
    fx.Admit: _admit,
    fx.Flush: _flush,
    fx.Hold: _hold,
    fx.Resume: _resume,
    fx.Synthesise: _synthesise,
    fx.CancelSynthesis: _unsynthesise,
    fx.RunTool: _run,
    fx.SendToolResult: _result,
    fx.ConfigureSession: _configure,
    fx.ProtectResponse: _protect,
    fx.ReleaseResponse: _release,
    fx.CommitTurn: _commit,
    fx.AddEntry: _enter,
    fx.HangUp: _hang_up,
    fx.TellEnded: _tell,
}


def at_rest(world: World, *, memory: bool = True) -> Iterator[Rule]:
    """What a call breaks in which nothing is awaited any more: no deadline runs but those of the silent caller, the session, the call."""
    if world.owed - {GREETING} or (world.owed and world.line and world.confirmed):
        yield Rule.DEBTS
    waits = (
        world.held
        or world.synthesis
        or world.running
        or (world.asked is not None and not world.asked.crossed)
        or world.live
        or world.front is not None
        or world.speaking
        or world.stopped
        or any(tool.how == "told" for tool in world.tools)
    )
    if waits:
        yield Rule.REST
    if world.confirmed and not world.rights:
        yield Rule.REST_RIGHTS
    if memory and any(not answer.generated and answer.device is not Device.FLUSHED and unsaid(answer) for answer in world.answers):
        yield Rule.REST_MEMORY


def unsaid(answer: Answer) -> bool:
    """Does the model remember an item of which nothing was heard?"""
    return any(not item.came and not item.settled for item in answer.items)
