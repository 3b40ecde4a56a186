"""What is explored: the scopes and the policies, small enough to be walked to their end; what a scope leaves out stands in it, by name.

The product of all regions is too large to be walked, so a scope leaves out the events that its rules do not turn on. A
region is still where nothing that would move it happens, or where no other region reads it: then nothing else is lost by it.
"""

from typing import Any

import attrs

from adapters.proof.verify.alphabet import Scope
from fsm.call import events as ev
from fsm.call.policy import Policy

BEGUN = (ev.LineOpened, ev.SessionOpened, ev.SessionConfirmed, ev.VadCalibrated)
SENTENCES: tuple[type[ev.Event], ...] = (
    ev.SentenceCut,
    ev.SentenceSynthesised,
    ev.SynthesisDiscarded,
    ev.SynthesisFailed,
    ev.SynthesisCancelAnswered,
    ev.SentenceStarted,
    ev.SynthesisExpired,
)
WISHES = (ev.GoodbyeSaid, ev.HangupRequested)
KEYS = (ev.DigitPressed, ev.EntryExpired)
TOOLS = (ev.ToolCalled, ev.ToolFinished, ev.ToolExpired)
IDLE, LIMIT = (ev.IdleExpired,), (ev.LimitExpired,)
CALIBRATION = (ev.VadCalibrated, ev.CalibrationExpired)
OUTAGES = (ev.SessionLost, ev.SessionExpired)
NOTICES = (ev.NoticeRequested, ev.NoticeExpired)
BARGE_IN = (ev.SpeechStarted, ev.SpeechStopped, ev.BargeInDetected, ev.InterruptionExpired)
ODD = (ev.CancelUnsent, ev.CreateRefused, ev.ResponseFailed, ev.ResponseIncomplete, ev.TurnDismissed)
SIDE = frozenset({"entry", "tool", "notice", "idle", "limit", "calibration"})
NO_REPEAT = frozenset({("asking", "item_id")})

TALK = Scope(
    "talk",
    "the conversation itself: responses, playout, sentences, interruptions, turns, faults",
    BEGUN,
    frozenset((*WISHES, *KEYS, *TOOLS, *IDLE, *LIMIT, *CALIBRATION, *OUTAGES, *NOTICES)),
    SIDE | {"memory"},
    NO_REPEAT,
    ids=2,
)
OPENING = Scope(
    "opening",
    "session, line, noise floor and greeting, in any order",
    (),
    frozenset((*WISHES, *KEYS, *TOOLS, *IDLE, *LIMIT, *SENTENCES, *NOTICES, ev.SessionLost)),
    frozenset({"entry", "tool", "notice", "idle", "limit", "memory"}),
    NO_REPEAT,
    ids=1,
)
ENDING = Scope(
    "ending",
    "goodbyes, and the application's wish to end",
    BEGUN,
    frozenset((*KEYS, *TOOLS, *IDLE, *LIMIT, *CALIBRATION, *OUTAGES, *NOTICES, ev.CancelUnsent, ev.CreateRefused, ev.TurnDismissed)),
    SIDE | {"memory"},
    repeated=True,
    ids=1,
)
SILENCE = Scope(
    "silence",
    "the silent caller, the limit of the call, and tools",
    BEGUN,
    frozenset((*WISHES, *KEYS, *CALIBRATION, *BARGE_IN, *ODD, *OUTAGES, *NOTICES)),
    frozenset({"entry", "notice", "calibration", "memory"}),
    NO_REPEAT,
    ids=1,
)
KEYPAD = Scope(
    "keypad",
    "keys, among turns and silence",
    BEGUN,
    frozenset((*WISHES, *TOOLS, *LIMIT, *CALIBRATION, *BARGE_IN, *ODD, *OUTAGES, *NOTICES)),
    frozenset({"tool", "notice", "limit", "calibration", "memory"}),
    NO_REPEAT,
    ids=1,
)
OUTAGE = Scope(
    "outage",
    "the session is lost, or grows old, and is opened anew",
    BEGUN,
    frozenset((*WISHES, *KEYS, *TOOLS, *IDLE, *LIMIT, *CALIBRATION, *NOTICES, ev.BackchannelHeard)),
    SIDE | {"memory"},
    NO_REPEAT,
    ids=1,
)
NOTICE = Scope(
    "notice",
    "what the application has to say, among turns and interruptions",
    BEGUN,
    frozenset((*WISHES, *KEYS, *TOOLS, *IDLE, *LIMIT, *CALIBRATION, *OUTAGES)),
    (SIDE - {"notice"}) | {"memory"},
    NO_REPEAT,
    ids=1,
)
TURNS = attrs.evolve(
    TALK, name="turns", about="turns told twice", without=TALK.without | frozenset(ODD), unread=frozenset(), repeated=True, ids=1
)
MEMORY = attrs.evolve(TALK, name="memory", about="what the model is made to forget", still=SIDE, ids=1)
FOLLOWING = attrs.evolve(
    TALK,
    name="following",
    about="one response behind another",
    without=TALK.without | frozenset((*BARGE_IN, *ODD, ev.TurnCommitted, ev.TurnExpired)),
)
EVERYTHING = Scope("everything", "all of it at once, as far as there is room", repeated=True, ids=3)


@attrs.frozen
class Plan:
    """One exploration; of its states the `most` nearest are explored, or all."""

    scope: Scope
    policy: Policy
    most: int | None = None

    @property
    def name(self) -> str:
        """The scope, and what the policy has that the plainest one has not."""
        plain = Policy(**PLAIN)
        names = [field.name for field in attrs.fields(Policy)]
        other = [f"{name}={getattr(self.policy, name)}" for name in names if getattr(self.policy, name) != getattr(plain, name)]
        return " ".join([f"{self.scope.name}:", *other])


PLAIN: dict[str, Any] = {
    "voice": "realtime",
    "greeting": False,
    "remembered_ids": 1,
    "queued_sentences": 1,
    "cancel_attempts": 1,
    "recoveries": 0,
    "idle_prompts": 1,
    "tools_at_once": 1,
    "reconnects": 1,
    "queued_notices": 1,
    "voice_failures": 1,
    "idle_prompts_in_all": 2,
}
"""The smallest bounds: a space with larger ones is the same, drawn out."""
COUNTED: dict[str, Any] = {"remembered_ids": 2, "cancel_attempts": 2, "recoveries": 1, "tools_at_once": 2}
"""Bounds under which each count has a step between none and all."""
OWNERS: tuple[dict[str, Any], ...] = tuple(
    {"interrupts": owner, "create_response": creates} for owner in ("client", "server") for creates in (False, True)
)
MOST = 1_000_000
"""How many states of `EVERYTHING` are explored: the machine's memory bounds it."""


TAKEN_OUT = """\
taken out: times (deadlines fire in any order, those of 0 ms first), ids (r1, r2, …; what is forgotten is as good as new, and no server
creates anew a response that is still heard), texts (one), counts (as small as each policy below says).
left in: every event of a scope in every state of it, late, twice, unasked or of a foreign id; every deadline in time, stale or early."""
"""What the checker does not tell apart, and what it does: said wherever its result is."""


def left_out(scope: Scope) -> str:
    """What a scope is about, how many response ids it knows at once, and which events never happen in it."""
    names = ", ".join(sorted(kind.__name__ for kind in scope.without)) or "nothing"
    turns = "" if scope.repeated else ", nor a turn told twice"
    return f"{scope.name}: {scope.about}; unknown ids while it knows fewer than {scope.ids}; without {names}{turns}"


def plans(deep: bool = False, **policy: Any) -> list[Plan]:
    """What is explored, the smallest first; `policy` overrides settings of every policy. Raises ValueError for one that is none."""
    made = _deep() if deep else _daily()
    found = [_plan(scope, {**settings, **policy}) for scope, settings in made]
    return list(dict.fromkeys(found))


def _daily() -> list[tuple[Scope, dict[str, Any]]]:
    chatterbox = {"voice": "chatterbox"}
    by_client, server_answers, by_server, all_by_server = OWNERS
    return [
        *[(KEYPAD, {"dtmf_digits": digits}) for digits in (0, 2)],
        *[(SILENCE, {"idle_hangup": hangs_up, "tools_at_once": 2}) for hangs_up in (True, False)],
        (FOLLOWING, {**chatterbox, "voice_failures": 2}),
        (OUTAGE, {}),
        (attrs.evolve(OUTAGE, without=OUTAGE.without | frozenset((*ODD, *BARGE_IN))), {**chatterbox, **server_answers}),
        (attrs.evolve(NOTICE, without=NOTICE.without | frozenset(ODD)), {"queued_notices": 2}),
        (attrs.evolve(NOTICE, without=(NOTICE.without - frozenset(OUTAGES)) | frozenset((*ODD, *BARGE_IN))), {}),
        (TURNS, {"interruption_by": "detector", "turns": "local"}),
        (TURNS, {}),
        (MEMORY, {}),
        (MEMORY, chatterbox),
        (ENDING, {}),
        (attrs.evolve(ENDING, without=ENDING.without | frozenset(BARGE_IN)), {"greeting": True, "goodbye_min_turns": 1}),
        (attrs.evolve(OPENING, without=OPENING.without | frozenset(ODD)), {"greeting": True, **server_answers}),
        (attrs.evolve(OPENING, without=OPENING.without | frozenset(ODD)), {"greeting": True, "greeting_protected": False, **by_server}),
        (attrs.evolve(TALK, ids=1), COUNTED),
        (attrs.evolve(TALK, ids=1), {**chatterbox, **by_client}),
        *[(TALK, owner) for owner in (by_client, all_by_server)],
    ]


def _deep() -> list[tuple[Scope, dict[str, Any]]]:
    voices: tuple[dict[str, Any], ...] = ({"voice": "realtime"}, {"voice": "chatterbox"})
    all_of = [{**COUNTED, **voice, **owner} for voice in voices for owner in OWNERS]
    openings = [{**settings, "greeting": True, "greeting_protected": protected} for settings in all_of for protected in (True, False)]
    return [
        *_daily(),
        *[
            (attrs.evolve(scope, ids=2), settings)
            for scope in (KEYPAD, SILENCE, OUTAGE, NOTICE, TURNS, MEMORY, ENDING, TALK)
            for settings in all_of
        ],
        *[(OPENING, settings) for settings in openings],
        *[(EVERYTHING, settings) for settings in openings],
    ]


def _plan(scope: Scope, settings: dict[str, Any]) -> Plan:
    policy = Policy(**{**PLAIN, **settings})
    without = frozenset(SENTENCES) if policy.voice == "realtime" else frozenset()
    return Plan(attrs.evolve(scope, without=scope.without | without), policy, MOST if scope.name == EVERYTHING.name else None)
