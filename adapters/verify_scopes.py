"""What is explored: the scopes and the policies, small enough to be walked to their end; what a scope leaves out stands in it, by name.

The product of all regions is too large to be walked, so a scope leaves out the events that its rules do not turn on. A
region is still where nothing that would move it happens, or where no other region reads it: then nothing else is lost by it.
"""

from adapters.verify_alphabet import Scope
from fsm.call import events as ev

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
BARGE_IN = (ev.SpeechStarted, ev.SpeechStopped, ev.BargeInDetected, ev.InterruptionExpired)
ODD = (ev.CancelUnsent, ev.CreateRefused, ev.ResponseFailed, ev.ResponseIncomplete, ev.TurnDismissed)
SIDE = frozenset({"entry", "tool", "idle", "limit", "calibration"})
NO_REPEAT = frozenset({("asking", "item_id")})

TALK = Scope(
    "talk",
    "the conversation itself: responses, playout, interruptions, turns, faults",
    BEGUN,
    frozenset((*WISHES, *KEYS, *TOOLS, *IDLE, *LIMIT, *CALIBRATION)),
    SIDE | {"memory"},
    NO_REPEAT,
    ids=2,
)
OPENING = Scope(
    "opening",
    "session, line, noise floor and greeting, in any order",
    (),
    frozenset((*WISHES, *KEYS, *TOOLS, *IDLE, *LIMIT, *SENTENCES)),
    frozenset({"entry", "tool", "idle", "limit", "memory"}),
    NO_REPEAT,
    ids=1,
)
ENDING = Scope(
    "ending",
    "goodbyes, and the application's wish to end",
    BEGUN,
    frozenset((*KEYS, *TOOLS, *IDLE, *LIMIT, *CALIBRATION, *ODD)),
    SIDE | {"memory"},
    NO_REPEAT,
    ids=2,
)
SILENCE = Scope(
    "silence",
    "the silent caller, the limit of the call, and tools",
    BEGUN,
    frozenset((*WISHES, *KEYS, *CALIBRATION, *BARGE_IN, *ODD)),
    frozenset({"entry", "calibration", "memory"}),
    NO_REPEAT,
    ids=1,
)
KEYPAD = Scope(
    "keypad",
    "keys, silence, and turns told twice",
    BEGUN,
    frozenset((*WISHES, *TOOLS, *LIMIT, *CALIBRATION, ev.BargeInDetected, *ODD)),
    frozenset({"tool", "limit", "calibration", "memory"}),
    repeated=True,
    ids=1,
)
MEMORY = Scope(
    "memory",
    "what the model is made to forget",
    BEGUN,
    frozenset((*WISHES, *KEYS, *TOOLS, *IDLE, *LIMIT, *CALIBRATION)),
    SIDE,
    NO_REPEAT,
    ids=1,
)
EVERYTHING = Scope("everything", "all of it at once, as far as there is room", repeated=True, ids=3)
