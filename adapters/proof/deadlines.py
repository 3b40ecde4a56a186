"""How long each state lasts, and from what it counts: said of policy and of the world, and held against each deadline that begins.

A state that is not named here lasts for ever. One that is counts from the fact that it was entered by, and anew only from what `_ANEW`
says: progress lets a playout go on, noise does not refill the silence.
"""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from adapters.proof.world import Device, World, is_protected, is_quiet, is_spoken_yet
from fsm.call import effects as fx, events as ev, states as st
from fsm.call.policy import Policy
from fsm.call.snapshot import Call
from fsm.engine.notation import NEVER, State


class Moment(NamedTuple):
    """A step: the policy, what happened, what it raised and asked for, and the world before and after."""

    policy: Policy
    event: ev.Event
    signals: tuple[type, ...]
    effects: tuple[fx.Effect, ...]
    before: World
    after: World


def untimely(was: Call, call: Call, moment: Moment, still: Collection[str] = ()) -> Iterator[str]:
    """The regions whose deadline does not stand where it must after a step, each with its state."""
    if call.interruption.state is st.CLEAR and _may_be_interrupted(moment):
        yield "interruption is CLEAR"
    for name in _REGIONS:
        before, now = getattr(was, name), getattr(call, name)
        if name in still or now.state in (st.OVER, st.CLOSED) or (now is before and now.state is st.PAUSED):
            continue
        began = now.epoch != before.epoch
        fired = isinstance(moment.event, ev.Expired) and moment.event.region == name
        same = now.state is before.state and getattr(now, "id", "") == getattr(before, "id", "")
        stays = same and now.state in _LASTS and not fired
        late = began and now.due_ms != _due_ms(now.state, before.due_ms, moment)
        unfounded = began and not _begun_by(now.state, moment)
        endless = fired and began and now.state is before.state and not _GOES_ON.get(now.state, _never)(moment)
        over = stays and not began and now.state is st.ARMED and ev.TurnTaken in moment.signals
        if late or unfounded or endless or over or (stays and began is not _ANEW.get(now.state, _never)(moment)):
            yield f"{name} is {now.state.name}"


def running(state: State, due_ms: float) -> bool:
    """Has the state its deadline, if it is to have one?"""
    return (due_ms != NEVER) is (state in _LASTS)


def _due_ms(state: State, was_ms: float, moment: Moment) -> float:
    if state not in _LASTS:
        return NEVER
    # the end of the call counts from its beginning, however late the warning comes
    return (was_ms if state is st.WARNED else moment.event.at_ms) + _LASTS[state](moment.policy, moment)


def _setting(*names: str) -> Callable[[Policy, Moment], float]:
    """The sum of these settings."""

    def lasts(policy: Policy, _: Moment) -> float:
        return float(sum(getattr(policy, name) for name in names))

    return lasts


def _stall(policy: Policy, moment: Moment) -> float:
    return float(policy.goodbye_stall_ms if moment.before.bye not in ("", "*") else policy.stall_ms)


def _decision(policy: Policy, _: Moment) -> float:
    return float(policy.interruption_min_ms if policy.interruption_by == "duration" else policy.detector_ms)


def _retry(policy: Policy, moment: Moment) -> float:
    stated = policy.retry_after_most_ms if moment.after.wait_ms > policy.retry_after_most_ms else moment.after.wait_ms
    return float(stated if stated > policy.recovery_pause_ms else policy.recovery_pause_ms)


def _reconnect(policy: Policy, moment: Moment) -> float:
    return float(policy.reconnect_pause_ms * (1 << moment.before.lost))


def _filler(policy: Policy, _: Moment) -> float:
    return float(policy.tool_filler_ms if policy.tool_filler_ms else policy.tool_ms)


def _rest_of_tool(policy: Policy, _: Moment) -> float:
    return float(policy.tool_ms - policy.tool_filler_ms)


def _until_warning(policy: Policy, _: Moment) -> float:
    return float(policy.call_ms - policy.call_warning_ms)


_LASTS: dict[State, Callable[[Policy, Moment], float]] = {
    st.CLOSING: _setting("closing_ms"),
    st.REQUESTED: _setting("create_ack_ms"),
    st.WITHDRAWN: _setting("create_ack_ms"),
    st.BLOCKED: _setting("busy_ms"),
    st.IN_PROGRESS: _setting("response_ms"),
    st.SERVER_CANCELLING: _setting("server_cancel_ms"),
    st.CANCEL_IN_FLIGHT: _setting("cancel_ack_ms"),
    st.CANCEL_UNSENT: _setting("cancel_retry_ms"),
    st.ADMITTED: _setting("first_audio_ms"),
    st.VOICELESS: _setting("no_sound_ms"),
    st.ONSET: _setting("echo_window_ms"),
    st.PLAYING: _stall,
    st.TAIL: _setting("line_tail_ms"),
    st.STARVED: _setting("mid_answer_ms"),
    st.ECHOED: _setting("echo_window_ms", "interruption_min_ms"),
    st.SUSPECTED: _decision,
    st.WORDS_AWAITED: _setting("interruption_words_ms"),
    st.LOCKED: _setting("interruption_lock_ms"),
    st.SYNTHESISING: _setting("synthesis_ms"),
    st.POSITION_AWAITED: _setting("position_ms"),
    st.CONNECTING: _setting("session_ms"),
    st.CONFIGURING: _setting("session_ms"),
    st.LOST: _reconnect,
    st.GUARDED: _setting("greeting_ms"),
    st.READY: _setting("session_life_ms"),
    st.AGED: _setting("session_recycle_ms"),
    st.LINE_AWAITED: _setting("line_ms"),
    st.CALIBRATING: _setting("calibration_ms"),
    st.SPEAKING: _setting("speaking_ms"),
    st.STOPPED: _setting("turn_close_ms"),
    st.PREPARING: _setting("session_ms"),
    st.PAUSED: _retry,
    st.OWED: _setting("watchdog_ms"),
    st.ENTERING: _setting("dtmf_pause_ms"),
    st.SUBMITTED: _setting("dtmf_pause_ms"),
    st.TOOL_RUNNING: _filler,
    st.TOOL_SLOW: _rest_of_tool,
    st.COOLING: _setting("no_sound_cooldown_ms"),
    st.ARMED: _setting("idle_ms"),
    st.UNLIMITED: _until_warning,
    st.WARNED: _setting("call_warning_ms"),
    st.GOODBYE: _setting("goodbye_ms"),
    st.PARTING: _setting("goodbye_ms"),
}
"""How long each state lasts."""


def _never(_: Moment) -> bool:
    return False


def _on(*kinds: type) -> Callable[[Moment], bool]:
    """The events, signals or effects of these kinds."""

    def anew(moment: Moment) -> bool:
        return isinstance(moment.event, kinds) or any(kind in moment.signals for kind in kinds) or _asks(moment, *kinds)

    return anew


def _asks(moment: Moment, *kinds: type) -> bool:
    return any(isinstance(effect, kinds) for effect in moment.effects)


def _heard_on(moment: Moment) -> bool:
    front = moment.before.front
    return isinstance(moment.event, ev.PlayoutProgressed) and front is not None and moment.event.response_id == front.id


def _sound_to_come(moment: Moment) -> bool:
    return isinstance(moment.event, ev.SentenceSynthesised) and moment.event.session_id == moment.before.synthesis


def _protects(moment: Moment) -> bool:
    asked = moment.after.asked
    return _asks(moment, fx.CreateResponse) and asked is not None and is_protected(asked.cause, moment.policy)


def _fails(moment: Moment) -> bool:
    return any(kind in moment.signals for kind in (ev.AnswerFailed, ev.VoiceMissing, ev.PlayoutStalled))


_ANEW: dict[State, Callable[[Moment], bool]] = {
    st.REQUESTED: _on(fx.CreateResponse),
    st.PLAYING: _heard_on,
    st.STARVED: _sound_to_come,
    st.SYNTHESISING: _on(fx.Synthesise),
    st.POSITION_AWAITED: _on(fx.Flush),
    st.GUARDED: _protects,
    st.ENTERING: _on(ev.DigitPressed),
    st.SUBMITTED: _on(fx.AddEntry),
    st.ARMED: _on(ev.DigitPressed, ev.PlayoutOver),
    st.CONNECTING: _on(ev.TakenUp),
    st.LINE_AWAITED: _on(ev.TakenUp),
    st.STOPPED: _on(ev.SessionLost, ev.SessionConfirmed, ev.TakenUp),
    st.OWED: _on(ev.TurnTaken),
    st.PAUSED: _fails,
}
"""What lets a state last anew that lasts already."""


def _speech_explains(moment: Moment) -> bool:
    """Is a sentence of what is heard with the speech server, or synthesised and not heard yet?"""
    front = moment.before.front
    return front is not None and is_spoken_yet(moment.before, front)


def _silence_explained(moment: Moment) -> bool:
    """Does a tool that runs, or a sentence, explain the silence in the middle of an answer (R97)?"""
    front = moment.before.front
    return _speech_explains(moment) or (front is not None and front.live and bool(moment.before.running))


def _unplayable(moment: Moment) -> bool:
    return moment.before.held or not moment.before.line


def _follows(moment: Moment) -> bool:
    front = moment.before.front
    return front is not None and any(answer.generated and answer.audible and answer is not front for answer in moment.before.answers)


def _sessionless(moment: Moment) -> bool:
    return not moment.before.confirmed


def _disturbed(moment: Moment) -> bool:
    before = moment.before
    return not is_quiet(before) or before.failed or bool(before.optional)


def _others_run(moment: Moment) -> bool:
    return len(moment.before.running) > 1


def _goodbye_heard(moment: Moment) -> bool:
    front = moment.before.front
    return front is not None and front.id == moment.before.bye


_GOES_ON: dict[State, Callable[[Moment], bool]] = {
    st.ADMITTED: _speech_explains,
    st.STARVED: _silence_explained,
    st.PLAYING: _unplayable,
    st.IN_PROGRESS: _follows,
    st.REQUESTED: _on(fx.CreateResponse),
    st.SYNTHESISING: _on(fx.Synthesise),
    st.STOPPED: _sessionless,
    st.AGED: _disturbed,
    st.ARMED: _disturbed,
    st.TOOL_SLOW: _others_run,
    st.GOODBYE: _goodbye_heard,
}
"""What explains that a state goes on though its own deadline has passed; no other does (R78)."""


def _may_be_interrupted(moment: Moment) -> bool:
    """Does the caller begin to speak over a voice that is heard, or on its way, and that may be interrupted (R29, R68)?"""
    before, asked = moment.before, moment.before.asked
    causes = [answer.cause for answer in before.answers if answer.audible]
    causes += [] if asked is None or asked.cut or asked.crossed else [asked.cause]
    begins = isinstance(moment.event, ev.SpeechStarted) and not (before.speaking or before.held) and before.calibrated
    return begins and bool(causes) and not any(is_protected(cause, moment.policy) for cause in causes)


def _of_front(moment: Moment) -> bool:
    """Is what the device tells of what is heard, and of nothing else (R31)?"""
    front, event = moment.before.front, moment.event
    if not isinstance(event, ev.PlayoutProgressed | ev.QueueEmptied | ev.PlayoutFinished):
        return True
    return front is not None and event.response_id == front.id


def _was_cut(moment: Moment) -> bool:
    """Was what is under way at the server cut already?"""
    asked = moment.before.asked
    if asked is not None and not asked.crossed:
        return asked.cut
    alive = moment.before.live
    return bool(alive) and all(answer.cut or answer.withdrawn or answer.device is Device.NEVER for answer in alive)


def _cancels(moment: Moment) -> bool:
    return isinstance(moment.event, ev.ResponseCancelled) or _was_cut(moment)


def _fails_whole(moment: Moment) -> bool:
    return isinstance(moment.event, ev.ResponseEnded) or not _was_cut(moment)


_BEGUN_IF: dict[State, Callable[[Moment], bool]] = {
    st.CANCELLED: _cancels,
    st.FAILED: _fails_whole,
    st.NONE: _never,
    **dict.fromkeys((st.PLAYING, st.TAIL, st.STARVED), _of_front),
}
"""What must be so where a state begins, besides (R15): what was cut is told as cancelled, and what nobody cut as failed."""
_FAILURES = (ev.AnswerFailed, ev.VoiceMissing, ev.PlayoutStalled, ev.ResponseCancelled, ev.SessionLost)
_BEGUN_BY: dict[State, tuple[type, ...]] = {
    st.CANCELLED: (ev.ResponseCancelled, ev.ResponseExpired, ev.CancelUnsent, ev.SessionLost, ev.TakenUp, ev.CreateRefused),
    st.FAILED: (ev.ResponseFailed, ev.CreateRefused, ev.ResponseExpired, ev.ResponseEnded, ev.SessionLost, ev.TakenUp),
    st.INCOMPLETE: (ev.ResponseIncomplete,),
    st.COMPLETED: (ev.ResponseCompleted,),
    st.REQUESTED: (fx.CreateResponse,),
    st.BLOCKED: (ev.CreateRefused,),
    st.WITHDRAWN: (ev.BargedIn,),
    st.CANCEL_UNSENT: (ev.CancelUnsent,),
    st.CANCEL_IN_FLIGHT: (fx.CancelResponse, ev.ResponseEnded),
    st.ADMITTED: (fx.Admit, ev.PlayoutOver, ev.PlayoutExpired),
    st.VOICELESS: (ev.TextArrived,),
    st.ONSET: (ev.AudioArrived, ev.PlayoutProgressed, ev.PlayoutOver),
    st.PLAYING: (ev.PlayoutProgressed, ev.PlayoutExpired, ev.AudioArrived),
    st.TAIL: (ev.QueueEmptied,),
    st.STARVED: (ev.PlayoutFinished, ev.PlayoutExpired, ev.SentenceSynthesised, ev.ToolsAnswered),
    st.SILENT: (ev.PlayoutOver, ev.BargedIn, ev.TakenUp),
    st.ECHOED: (ev.SpeechStarted,),
    st.SUSPECTED: (fx.Hold,),
    st.WORDS_AWAITED: (ev.BargeInDetected, ev.InterruptionExpired),
    st.LOCKED: (ev.BargedIn,),
    st.SYNTHESISING: (fx.Synthesise,),
    st.AHEAD: (ev.SentenceSynthesised,),
    st.POSITION_AWAITED: (fx.Flush,),
    st.LOST: (ev.SessionLost,),
    st.AGED: (ev.SessionExpired,),
    st.PAUSED: _FAILURES,
    st.OWED: (ev.TurnTaken,),
    st.TOOL_RUNNING: (fx.RunTool,),
    st.TOOL_SLOW: (ev.ToolExpired,),
    st.COOLING: (ev.VoiceMissing,),
    st.WARNED: (ev.LimitExpired,),
}
"""By which facts a state begins, or lasts anew: any of these events, signals or effects; others are told by the world itself."""


def _begun_by(state: State, moment: Moment) -> bool:
    kinds = _BEGUN_BY.get(state)
    return (kinds is None or _on(*kinds)(moment)) and (state not in _BEGUN_IF or _BEGUN_IF[state](moment))


_REGIONS = (
    *("playout", "interruption", "synthesis", "session", "response", "truncation", "phase", "line", "calibration"),
    *("turn", "dtmf", "tool", "cooldown", "idle", "limit", "pending", "hangup"),
)
