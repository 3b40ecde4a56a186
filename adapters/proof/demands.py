"""What a call may ask of the world: of each effect, the rules that are broken where it is asked for as the world is then."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from adapters.proof.laws import Rule
from adapters.proof.world import (
    GREETING,
    IN_CONVERSATION,
    OWN_WORDS,
    SOUND,
    TURN,
    Answer,
    Device,
    Sound,
    World,
    is_notice,
    is_protected,
    may_ask_the_silent,
    sentences_waiting,
    was_heard_last,
)
from fsm.call import effects as fx, events as ev
from fsm.call.effects import Cause, Reason
from fsm.call.policy import Policy


class Asking(NamedTuple):
    """The step in which effects are asked for: the policy, what happened, and what it raised and asks for."""

    policy: Policy
    event: ev.Event
    signals: tuple[type, ...]
    effects: tuple[fx.Effect, ...]
    before: World
    """The world as it was when it happened."""

    @property
    def barged_in(self) -> bool:
        """Is it decided in this step that the caller interrupts?"""
        return ev.BargedIn in self.signals


def _cancel(asked: Asking, world: World, effect: fx.CancelResponse) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    if answer is None or not answer.live or answer.cancelled:
        yield Rule.CANCEL_ONCE
    born = isinstance(asked.event, ev.ResponseCreated) and asked.event.response_id == effect.response_id
    owned = asked.policy.interrupts == "server" and asked.before.confirmed
    if born and owned and asked.before.asked is None and not asked.before.live:
        yield Rule.OWNER


def _create(asked: Asking, world: World, effect: fx.CreateResponse) -> Iterator[Rule]:
    if (world.asked is not None and not world.asked.crossed) or world.live or world.front is not None:
        yield Rule.CREATE_ALONE
    if not (world.confirmed and world.line) or world.speaking or world.stopped:
        yield Rule.CREATE_FREE
    owed = world.owed | world.optional
    spoken_since = frozenset({TURN, SOUND}) if {TURN, SOUND} <= owed else frozenset[str]()
    match effect.cause:
        case Cause.GREETING:
            due = GREETING in owed
        case Cause.NOTICE:
            due = any(is_notice(debt, effect.instructions) for debt in owed)
        case cause if cause in OWN_WORDS:
            due = not world.owed & IN_CONVERSATION
        case Cause.RECOVERY:
            due = bool(owed & (world.tried | world.maybe_tried)) or world.failed
        case _:
            due = (bool(owed & IN_CONVERSATION) or world.failed) and not (
                world.owed & world.tried & IN_CONVERSATION
            ) - world.maybe_tried - spoken_since
    if not due:
        yield Rule.CREATE_CAUSE
    protected = effect.cause is Cause.NOTICE or (effect.cause is Cause.GREETING and asked.policy.greeting_protected)
    if protected and world.rights and asked.policy.create_response:
        yield Rule.RIGHTS
    given_up = any(isinstance(one, fx.SendToolResult) for one in asked.effects)
    fills = isinstance(asked.event, ev.ToolExpired) and asked.policy.tool_filler_ms > 0 and not given_up
    if effect.cause is Cause.TOOL_FILLER and not fills:
        yield Rule.PROMPT_QUIET
    if effect.cause in (Cause.IDLE_PROMPT, Cause.FAREWELL):
        silent = isinstance(asked.event, ev.IdleExpired)
        due = may_ask_the_silent(world, asked.policy) is (effect.cause is Cause.IDLE_PROMPT)
        if world.running or world.digits or (silent and not due):
            yield Rule.PROMPT_QUIET


def _admit(asked: Asking, world: World, effect: fx.Admit) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    born = isinstance(asked.event, ev.ResponseCreated) and asked.event.response_id == effect.response_id
    if answer is None or not born or answer.device is not Device.NEVER or answer.cut or answer.cancelled or not answer.live:
        yield Rule.ADMIT


def _flush(_: Asking, world: World, effect: fx.Flush) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    if answer is None or not answer.audible:
        yield Rule.FLUSH


def _retire(_: Asking, world: World, effect: fx.Retire) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    if answer is not None and answer.device is Device.ADMITTED and (answer.more or answer.sound is Sound.CAME):
        yield Rule.RETIRE


def _hold(asked: Asking, world: World, __: fx.Hold) -> Iterator[Rule]:
    if world.held:
        yield Rule.HOLD
    if not asked.barged_in and not to_interrupt(world, asked.policy):
        yield Rule.PROTECTED


def to_interrupt(world: World, policy: Policy) -> bool:
    """Is anything heard or on its way, and nothing protected?"""
    asked = [] if world.asked is None or world.asked.cut else [world.asked.cause]
    causes = [*asked, *(answer.cause for answer in world.answers if answer.audible or (answer.generated and not answer.cancelled))]
    return bool(causes) and not any(is_protected(cause, policy) for cause in causes)


def _resume(asked: Asking, world: World, __: fx.Resume) -> Iterator[Rule]:
    event = asked.event
    cut = asked.before.answer(event.response_id) if isinstance(event, ev.ResponseCancelled) else None
    if not world.held or (isinstance(event, ev.ResponseCancelled) and (cut is None or not cut.live)):
        yield Rule.HOLD


def _synthesise(asked: Asking, world: World, effect: fx.Synthesise) -> Iterator[Rule]:
    answer = world.answer(effect.response_id)
    if (
        answer is None
        or not answer.audible
        or world.synthesis
        or any(one.ahead for other in world.answers if other.audible for one in other.sentences)
    ):
        yield Rule.SYNTHESIS
    waiting = [(one.session, one.text) for one in sentences_waiting(world) if answer is not None and one in answer.sentences]
    if (effect.session_id, effect.text) != (waiting[0] if waiting else _patience(asked, effect)):
        yield Rule.SPOKEN


def _patience(asked: Asking, effect: fx.Synthesise) -> tuple[str, str] | None:
    """What a voice of ours says of a wait that the server asks for (R92)."""
    event, policy = asked.event, asked.policy
    told = isinstance(event, ev.ResponseFailed) and event.retry_after_ms >= policy.wait_words_ms
    return (f"call.{effect.response_id}.0", policy.wait_words) if told else None


def _unsynthesise(_: Asking, world: World, effect: fx.CancelSynthesis) -> Iterator[Rule]:
    if world.synthesis != effect.session_id:
        yield Rule.SYNTHESIS_ENDS


def _run(_: Asking, world: World, effect: fx.RunTool) -> Iterator[Rule]:
    tool = world.tool(effect.tool_call_id)
    answer = None if tool is None else world.answer(tool.response_id)
    if tool is None or tool.how not in ("told", "late") or (effect.name, effect.arguments) != (tool.name, tool.arguments):
        yield Rule.TOOL_ONCE
    if world.held or (answer is not None and answer.cut and not answer.completed):
        yield Rule.TOOL_CUT


def _result(asked: Asking, world: World, effect: fx.SendToolResult) -> Iterator[Rule]:
    tool, event = world.tool(effect.tool_call_id), asked.event
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
    cut = asked.barged_in or isinstance(event, ev.ResponseCancelled | ev.TakenUp)
    cut = cut or answer is None or answer.cut or answer.withdrawn or answer.overdue
    cut = cut or (answer is not None and answer.device is Device.NEVER)
    cut = cut or (world.asked is not None and world.asked.cut)
    full = sum(other is not tool and other.how in ("told", "runs") for other in world.tools) >= asked.policy.tools_at_once
    lost = isinstance(event, ev.TakenUp)
    why = {"cut off": cut and not lost, "connection": lost, "too many": full}
    if not any(so and _tells(effect, word) for word, so in why.items()):
        yield Rule.TOOL_CUT


def _tells(effect: fx.SendToolResult, word: str) -> bool:
    return effect.output.startswith("error: ") and word in effect.output


def _enter(_: Asking, world: World, effect: fx.AddEntry) -> Iterator[Rule]:
    if not effect.digits or effect.digits != world.entry:
        yield Rule.ENTRY


def _configure(_: Asking, world: World, __: fx.ConfigureSession) -> Iterator[Rule]:
    if not world.opened or world.configured:
        yield Rule.SESSION


def _protect(_: Asking, world: World, __: fx.ProtectResponse) -> Iterator[Rule]:
    if not world.rights:
        yield Rule.RIGHTS


def _release(asked: Asking, world: World, __: fx.ReleaseResponse) -> Iterator[Rule]:
    event = asked.event
    given_up = isinstance(event, ev.SessionExpired) or (isinstance(event, ev.ResponseCancelled) and event.reason == "turn_detected")
    front, create = world.front, world.asked
    heard = front is not None and is_protected(front.cause, asked.policy)
    wanted = create is not None and not (create.cut or create.crossed) and is_protected(create.cause, asked.policy)
    begun = GREETING in world.maybe_tried
    begun = begun or any(answer.cause is Cause.GREETING and (answer.sound or answer.sentences) for answer in world.answers)
    owed = GREETING in world.owed and is_protected(Cause.GREETING, asked.policy) and not begun
    ends = ev.HangupDue in asked.signals
    if world.rights or ((heard or wanted or owed) and not (given_up or ends)):
        yield Rule.RIGHTS


def _commit(asked: Asking, world: World, _: fx.CommitTurn) -> Iterator[Rule]:
    if asked.policy.turns != "local" or not world.stopped:
        yield Rule.COMMIT


def _hang_up(asked: Asking, world: World, effect: fx.HangUp) -> Iterator[Rule]:
    if world.hung_up or world.closed or not _true_reason(asked, world, effect.reason):
        yield Rule.HANGUP


def _true_reason(asked: Asking, world: World, reason: Reason) -> bool:
    """Is the reason one that the world knows?"""
    event = asked.event
    if reason in (Reason.GOODBYE, Reason.APPLICATION, Reason.IDLE):
        if not world.bye and isinstance(event, ev.GoodbyeSaid | ev.HangupRequested):
            # behind it came a response that was cancelled at its birth: whether that says more nobody can tell
            said = world.answer(event.response_id)
            return said is not None and was_heard_last(world, said)
        if reason is not world.why or not world.bye:
            return False
        if isinstance(event, ev.HangupExpired):
            return bool(world.bye)
        if world.bye == "*":
            return (world.asked is None or world.asked.crossed or world.asked.cut) and world.front is None
        said = world.answer(world.bye)
        if said is None:
            return True
        lasts = said.audible or (said.generated and not (said.withdrawn or said.cut))
        return not (lasts or _broken_off(asked, said)) and (said.sound >= Sound.HEARD or said.device is Device.SILENCED)
    if reason is Reason.SESSION_LOST and world.lost <= asked.policy.reconnects:
        return False
    if reason is Reason.VOICE_FAILED and world.unvoiced < asked.policy.voice_failures:
        return False
    soundless = asked.before.front is None or asked.before.front.sound is Sound.NONE
    again = world.replaced and soundless
    if reason is Reason.MODEL_FAILED and not (world.failures >= asked.policy.recoveries or again or is_fatal(event)):
        return False
    return isinstance(event, _REASONS[reason])


def _broken_off(asked: Asking, goodbye: Answer) -> bool:
    """Does the session go as the goodbye is generated, so that its last words may be missing (R42)?"""
    before = asked.before.answer(goodbye.id)
    return isinstance(asked.event, ev.SessionLost) and before is not None and before.generated


def is_fatal(event: ev.Event) -> bool:
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


def _tell(asked: Asking, world: World, effect: fx.TellEnded) -> Iterator[Rule]:
    hung_up = next((one.reason for one in asked.effects if isinstance(one, fx.HangUp)), Reason.CALLER_HUNG_UP)
    words = _words(asked, world, effect.reason)
    if world.told or not (world.hung_up or world.closed) or effect.reason is not hung_up or words not in (None, effect.detail):
        yield Rule.TOLD


def _words(asked: Asking, world: World, reason: Reason) -> str | None:
    """What the application is told beside the reason: the words of whoever knows of the fault, or of its own wish; None: whatever it is."""
    event = asked.event
    match reason:
        case Reason.APPLICATION:
            return event.reason if isinstance(event, ev.HangupRequested) else world.wish
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
        case Reason.SESSION_LOST if isinstance(event, ev.SessionLost):
            return event.reason
    return event.reason if isinstance(event, ev.Ending) else ""


DEMANDS: dict[type[fx.Effect], Callable[[Asking, World, Any], Iterator[Rule]]] = {
    fx.CancelResponse: _cancel,
    fx.CreateResponse: _create,
    fx.Admit: _admit,
    fx.Flush: _flush,
    fx.Retire: _retire,
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
