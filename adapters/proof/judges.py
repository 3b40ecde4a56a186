"""The judges: the rules that a call must keep, stated over the world as it really is, and over nothing that the core keeps.

`Judge` follows a call step by step and says which rules each step broke; `at_rest` says it of a call in which no deadline runs. One set
for the checker, the simulation and the walks of the tests.
"""

from collections.abc import Iterator

from adapters.proof.corrections import corrected_by_record, late_item, never_heard, rewritten, truncations
from adapters.proof.deadlines import Moment
from adapters.proof.demands import DEMANDS, Asking, is_fatal, to_interrupt
from adapters.proof.effects import done
from adapters.proof.events import came_to_nothing, failed_to_pay, forgiven, happened, interrupted, prompted, resumed, settled
from adapters.proof.laws import Rule
from adapters.proof.notes import mistold
from adapters.proof.world import (
    GREETING,
    Answer,
    Device,
    Sound,
    World,
    asks_the_silent,
    is_quiet,
    sentences_waiting,
)
from fsm.call import effects as fx, events as ev
from fsm.call.effects import Cause
from fsm.call.policy import Policy


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
            if ev.BargedIn in signals:
                world = interrupted(world)
            elif ev.VoiceResumed in signals and not isinstance(event, ev.ResponseCancelled | ev.TurnCommitted | ev.Transcribed):
                world = resumed(world)
        over = over or isinstance(event, ev.OwnershipLost)
        asked = Asking(policy, event, () if over or stale else signals, effects, before)
        for effect in effects:
            if over and not isinstance(effect, fx.Log):
                self.faults.append(Rule.OVER)
                break
            demand = DEMANDS.get(type(effect))
            if demand is not None:
                self.faults += demand(asked, world, effect)
            world = done(world, effect, policy)
            if isinstance(effect, fx.Log) and effect.code == "notice_dropped":
                world = forgiven(world, event)
        if isinstance(event, ev.IdleExpired) and any(
            isinstance(one, fx.CreateResponse) and one.cause is Cause.IDLE_PROMPT for one in effects
        ):
            world = prompted(world)
        if not (over or stale):
            world = failed_to_pay(before, world, event, signals, policy)
        if isinstance(event, ev.ResponseCancelled | ev.CreateRefused) or any(
            one in signals for one in (ev.VoiceMissing, ev.AnswerFailed, ev.PlayoutStalled)
        ):
            world = world._replace(failures=min(world.failures + 1, policy.recoveries + 1))
        if ev.VoiceMissing in signals or ev.AnswerFailed in signals or (ev.PlayoutStalled in signals and not _plays(before.front)):
            world = self._came_to_nothing(before, world)
        world = world._replace(awaited=world.held and _lasted(before, event, policy))
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
        if isinstance(event, ev.ToolExpired) and not policy.tool_filler_ms and after.running == before.running:
            yield Rule.LASTS
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
        if ev.BargedIn in self.moment.signals:
            if any(answer.audible and answer.cut for answer in after.answers) or after.held:
                yield Rule.INTERRUPTED
            if after.synthesis and any(_speaks(answer, after.synthesis) and answer.cut for answer in after.answers):
                yield Rule.SYNTHESIS_ENDS
            alive = [answer for answer in after.answers if answer.generated and not answer.withdrawn]
            if policy.interrupts == "client" and alive:
                yield Rule.INTERRUPTED_ENDS
            if not to_interrupt(before, policy) and before.front is not None:
                yield Rule.PROTECTED
            if isinstance(event, ev.DigitPressed) and not policy.keys_interrupt:
                yield Rule.KEYS
        elif before.awaited:
            if isinstance(event, ev.InterruptionExpired | ev.SpeechStarted) or _told(before, event, says=True):
                yield Rule.INTERRUPTS
        elif before.held and before.speaking and policy.interruption_by == "duration":
            lasted = isinstance(event, ev.SpeechStopped) and event.spoken_ms >= policy.interruption_min_ms + policy.interruption_words_ms
            if lasted or (isinstance(event, ev.InterruptionExpired) and not after.awaited):
                yield Rule.INTERRUPTS
        if before.awaited and _told(before, event, says=False) and (after.held or ev.BargedIn in self.moment.signals):
            yield Rule.EXCUSED
        if after.synthesis and not any(_speaks(answer, after.synthesis) and answer.audible for answer in after.answers):
            yield Rule.SYNTHESIS_ENDS
        cut = before.answer(event.response_id) if isinstance(event, ev.ResponseCancelled) else None
        if cut is not None and cut.audible and cut.generated and fx.Flush(cut.id) not in self.effects:
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
            if due and _beyond_memory(before, self.policy):
                return
            if due and self.policy.voice == "chatterbox":
                kept = rewritten(answer, event, made)  # type: ignore[arg-type]
            else:
                kept = sorted(map(repr, made)) == (sorted(map(repr, truncations(answer, event))) if due else [])  # type: ignore[arg-type]
            if not kept:
                yield Rule.CORRECTION
            return
        if isinstance(event, ev.TakenUp):
            if not corrected_by_record(before, event, made, self.policy):
                yield Rule.CORRECTION
            return
        late = late_item(before, event)
        if late is not None and made != [fx.DeleteItem(late)]:
            yield Rule.LATE_ITEM
        elif late is None and not all(never_heard(self.world, before, effect) for effect in made):
            yield Rule.CORRECTION


def _beyond_memory(world: World, policy: Policy) -> bool:
    """Are there more items than are remembered, so that the oldest need no correction (R07)?"""
    known = [item for answer in world.answers if answer.audible or answer.device is Device.FLUSHED for item in answer.items]
    return len(known) > policy.queued_sentences


def _lasted(before: World, event: ev.Event, policy: Policy) -> bool:
    """Are the words of the sound awaited, over which the voice is held?"""
    now = isinstance(event, ev.BargeInDetected) or (isinstance(event, ev.InterruptionExpired) and before.held)
    return before.awaited or (now and policy.interruption_words_ms > 0)


def _told(world: World, event: ev.Event, *, says: bool) -> bool:
    """Are the words told of the turn that was taken last, with the caller silent since, and does it say anything but that they listen?"""
    if not isinstance(event, ev.Transcribed) or event.item_id != world.turn or world.speaking or world.stopped:
        return False
    return says is (bool(event.text.strip()) and not event.backchannel)


def _ends(before: World, after: World, event: ev.Event, policy: Policy) -> bool:
    """Is the call to end by what happened, whatever is being said?"""
    match event:
        case ev.LineExpired():
            return True
        case ev.SessionExpired():
            return not (before.away or before.confirmed)
        case ev.LimitExpired():
            return before.warned or event.at_ms >= policy.call_ms
        case ev.CreateRefused() if is_fatal(event):
            return before.asked is not None and not (before.asked.cut or before.asked.crossed)
        case ev.ResponseFailed() if is_fatal(event):
            failed = before.answer(event.response_id)
            return failed is not None and failed.audible and failed.generated
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
