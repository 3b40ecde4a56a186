"""The faults of the fault matrix, each with its script and what may come of it, and the calls of the product; `matrix` holds them."""

import itertools
from collections.abc import Mapping
from typing import Any

import attrs

from fsm.call import effects as fx
from fsm.call.policy import Policy

VOICES, OWNERS, BACKENDS = ("realtime", "chatterbox"), ("client", "server"), ("asyncio", "trio")
DELTA = "DELTA"
"""In a script: the delta of the answers, which is called otherwise in each voice."""
DELTAS = {"realtime": "response.output_audio.delta", "chatterbox": "response.output_text.delta"}


@attrs.frozen
class Fault:
    """A fault of the matrix: its script, which server it befalls, and what may come of it."""

    name: str
    script: str
    server: str = "realtime"
    voices: tuple[str, ...] = VOICES
    owners: tuple[str, ...] = OWNERS
    reason: fx.Reason | None = None
    """Why the call ends; None when the next turn is to be answered."""
    codes: frozenset[str] = frozenset()
    """What the server says is wrong, because the script has it say so."""
    races: bool = False
    """May a command of ours be refused as one that comes too late?"""
    speaks_again: bool = False
    """Does the caller speak again before the answer has begun, and not over its sound?"""
    pings: bool = False
    """Is the server to be asked often whether it is there?"""
    without: tuple[str, ...] = ()
    """What of the original's the server lacks."""
    dialect: str = "seed"
    """Which kind of speech server it befalls."""
    settings: Mapping[str, float] = attrs.Factory(dict)
    """What of the policy is otherwise under it."""


def fault(name: str, *strikes: str, **more: Any) -> Fault:
    """A fault whose script has one [[fault]] for each of `strikes`, written in a line."""
    lines = (strike.replace(";", "\n") for strike in strikes)
    more["codes"] = frozenset(more.pop("codes", ()))
    return Fault(name, "".join(f"[[fault]]\n{line}\n" for line in lines), **more)


def _simple(kind: str, when: str = f'on = "{DELTA}"; nth = 3', **more: Any) -> Fault:
    """A fault of the stand-in by its own name."""
    return fault(kind, f'name = "{kind}"; {when}', **more)


AUDIO_ONLY, SPOKEN = ("realtime",), ("chatterbox",)
OURS = ("client",)
"""Where the server interrupts and answers by itself, we send neither a cancel nor a create as long as it does."""
EVERY = 'nth = "every"; connection = "every"'

REALTIME_FAULTS = (
    fault("none"),
    _simple("malformed_json", codes=["malformed_event"]),
    _simple("unknown_type", codes=["unknown_event"]),
    _simple("oversized_frame"),
    _simple("binary_frame", codes=["malformed_event"]),
    _simple("rate_limits"),
    _simple("foreign_done"),
    _simple("server_error", codes=["server_error"]),
    fault("server_error on create", 'name = "server_error"; on = "response.create"', codes=["server_error"], owners=OURS),
    fault(
        "server_error on create, naming nothing",
        'name = "server_error"; on = "response.create"',
        codes=["server_error"],
        owners=OURS,
        without=("error_event_id",),
    ),
    fault(
        "server_error on cancel",
        'name = "server_error"; on = "response.cancel"',
        codes=["server_error"],
        owners=OURS,
        voices=AUDIO_ONLY,
        races=True,
    ),
    fault(
        "server_error on cancel, short answer",
        'name = "server_error"; on = "response.cancel"',
        codes=["server_error"],
        owners=OURS,
        voices=SPOKEN,
        races=True,
    ),
    _simple("failed_response", 'code = "server_error"', codes=["server_error"]),
    fault("failed without an end", 'name = "failed_response"', codes=["inference_failed"], without=("failed_end",)),
    fault("failed_response in the middle", f'name = "failed_response"; on = "{DELTA}"; nth = 4', codes=["server_error"]),
    fault(
        "no quota",
        f'name = "failed_response"; code = "insufficient_quota"; {EVERY}',
        reason=fx.Reason.MODEL_FAILED,
        codes=["insufficient_quota"],
    ),
    fault("always fails", f'name = "failed_response"; {EVERY}', reason=fx.Reason.MODEL_FAILED, codes=["server_error"]),
    _simple("incomplete_response", 'reason = "content_filter"'),
    _simple("session_expired", codes=["session_expired"]),
    *(fault(f"close {code}", f'name = "close"; code = {code}; on = "{DELTA}"; nth = 4') for code in (1000, 1001, 1006, 1011)),
    fault(
        "close in a turn",
        'name = "close"; code = 1006; on = "input_audio_buffer.speech_started"; nth = 2',
        settings={"reconnect_pause_ms": 150},
    ),
    fault(
        "close while the caller interrupts",
        f'name = "close"; code = 1006; on = "{DELTA}"; nth = 4',
        settings={"reconnect_pause_ms": 900},
    ),
    fault("close after a turn", 'name = "close"; code = 1011; on = "input_audio_buffer.committed"'),
    fault("close on a cancel", 'name = "close"; code = 1006; on = "response.cancel"', owners=OURS),
    fault("close at created", 'name = "close"; code = 1006; on = "response.created"'),
    fault("closes for ever", f'name = "close"; on = "session.updated"; {EVERY}', reason=fx.Reason.SESSION_LOST),
    _simple("half_open", pings=True),
    _simple("hiccup", f'on = "{DELTA}"; nth = 3; ms = 400'),
    _simple("delay", 'on = "session.updated"; ms = 60'),
    _simple("refuse_session", "nth = 1", reason=fx.Reason.SESSION_REFUSED),
    _simple("session_never_updated", EVERY, reason=fx.Reason.SESSION_UNCONFIRMED),
    _simple("refuse_connection", "nth = 1"),
    fault("refused for ever", f'name = "refuse_connection"; times = 99; {EVERY}', reason=fx.Reason.SESSION_LOST),
    fault("refused for good", 'name = "refuse_connection"; status = 401; times = 99', reason=fx.Reason.RECEIVER_FAILED),
    fault("refused after a loss", f'name = "close"; on = "{DELTA}"; nth = 4', 'name = "refuse_connection"; connection = 2'),
    _simple("slow_created", "ms = 300"),
    fault("speech between create and created", 'name = "slow_created"; ms = 900', speaks_again=True, races=True),
    _simple("slow_cancel", 'ms = 800; nth = "every"', owners=("server",), races=True),
    fault(
        "slow_cancel, too late",
        'name = "slow_cancel"; ms = 800; nth = "every"',
        owners=OURS,
        races=True,
    ),
    fault("slow_cancel, in time", 'name = "slow_cancel"; ms = 150; nth = "every"'),
    fault("stragglers", f'name = "stragglers"; count = 5; {EVERY}'),
    fault("stragglers after done", f'name = "stragglers"; count = 5; after_done = true; {EVERY}'),
    _simple("duplicate_speech_started", 'times = 2; nth = "every"'),
    fault(
        "duplicate_speech_started with stragglers",
        'name = "duplicate_speech_started"; times = 2; nth = "every"',
        f'name = "stragglers"; count = 5; {EVERY}',
    ),
    _simple("cancel_races_done", 'nth = "every"', races=True),
    *(
        fault(f"{kind} {event}", *(f'name = "{kind}"; on = "{name}"; nth = "every"' for name in names))
        for kind in ("duplicate", "out_of_order")
        for event, names in {
            "created": ("response.created",),
            "done": ("response.done",),
            "delta": (DELTA,),
            "speech": ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"),
        }.items()
    ),
    fault("lost done", 'name = "lost"; on = "response.done"', races=True),
    fault("lost speech_stopped", 'name = "lost"; on = "input_audio_buffer.speech_stopped"; nth = "every"'),
    fault("lost committed", 'name = "lost"; on = "input_audio_buffer.committed"'),
    fault("foreign_id", f'name = "foreign_id"; on = "{DELTA}"; nth = 3'),
    _simple("silent_response", "nth = 1", voices=AUDIO_ONLY),
    fault("always silent", f'name = "silent_response"; {EVERY}', voices=AUDIO_ONLY, reason=fx.Reason.MODEL_FAILED),
    _simple("empty_response", "nth = 1"),
    _simple("stalled_response", "nth = 1"),
    _simple("response_never_created", "nth = 1"),
    _simple("no_transcript", 'nth = "every"'),
    _simple("text_response", "nth = 1", voices=AUDIO_ONLY),
    _simple("two_items", EVERY, voices=AUDIO_ONLY),
    _simple("error_flood", codes=["invalid_request_error"]),
    fault("rate limit with its wait", 'name = "failed_response"; code = "rate_limit_exceeded"; wait_s = 0.5'),
)
SERVER_LACKS = (
    fault("a beta server", without=("ga_names", "ga_session")),
    fault("formats and falsehoods left out", without=("told_formats", "session_created")),
    fault("text echoed and not obeyed", without=("session_text",)),
    fault("turns told by their transcripts", without=("committed",)),
    fault("every turn is answered unasked", without=("own_answers",), races=True),
    fault(
        "answered unasked, and told late",
        'name = "slow_created"; ms = 600; busy = true; nth = "every"',
        without=("own_answers", "committed", "cancel_order", "delete"),
        codes=["unknown_or_invalid_event", "invalid_value"],
        races=True,
    ),
    fault(
        "a session that ends with a transcript that fails",
        'name = "no_transcript"; told = true',
        'name = "close"; code = 1006; on = "conversation.item.input_audio_transcription.failed"',
        codes=["audio_unintelligible"],
    ),
    fault("ended before speech_started", without=("cancel_order",), races=True),
    fault(
        "one place, released late", f'name = "close"; on = "{DELTA}"; nth = 4', without=("places",), settings={"reconnect_pause_ms": 1_300}
    ),
    fault("a subprotocol unasked", without=("subprotocol",)),
    fault("delete done and create refused", without=("assistant_items",), codes=["invalid_value"]),
    fault("delete and truncate refused", without=("delete", "truncate"), codes=["invalid_value"]),
    fault("responses without output or conversation", without=("output", "conversation_id")),
    fault("no item ids", without=("item_id",)),
    fault("ids that are numbers", without=("text_ids",)),
    fault("an LLM that reads transcripts", without=("early_hearing",)),
    fault(
        "voice and VAD in the session itself",
        without=("ga_places", "deleted_id", "race_codes", "whole_transcripts", "truncate"),
        codes=["invalid_value"],
        races=True,
    ),
    fault("errors that name nothing", without=("error_event_id",), races=True),
)


def _speech(name: str, *strikes: str, **more: Any) -> Fault:
    return fault(f"speech: {name}", *strikes, server="chatterbox", voices=SPOKEN, **more)


SPEECH_FAULTS = (
    _speech("refuse", 'name = "refuse"; on = "tts"; ms = 400'),
    _speech("crash", 'name = "crash"; on = "tts"; nth = 2; ms = 300'),
    _speech("status 500", 'name = "status"; code = 500'),
    _speech("status 500 for ever", 'name = "status"; code = 500; nth = "every"', reason=fx.Reason.VOICE_FAILED),
    _speech("status 503", 'name = "status"; code = 503'),
    _speech("slow", 'name = "slow"; ms = 700'),
    _speech("hang", 'name = "hang"'),
    _speech("damaged_wav", 'name = "damaged_wav"'),
    _speech("empty_wav", 'name = "empty_wav"'),
    _speech("silent_wav", 'name = "silent_wav"'),
    _speech("silent_wav for ever", 'name = "silent_wav"; nth = "every"', reason=fx.Reason.VOICE_FAILED),
    _speech("cut_off", 'name = "cut_off"; nth = 2'),
    _speech("lost_cancel", 'name = "slow"; ms = 600; nth = 2', 'name = "lost_cancel"; nth = "every"'),
    _speech("cancel_404", 'name = "slow"; ms = 600; nth = 2', 'name = "cancel_404"; nth = "every"'),
)
SPEECH_SERVERS = (
    *(
        # its first sentence comes late, so that the answer may be generated to its end just as it is interrupted
        _speech(f"{dialect} loads its model", 'name = "loading"; on = "tts"; ms = 500', dialect=dialect, races=True)
        for dialect in ("seed", "devnen", "travisvn")
    ),
    _speech(
        "crash, then it loads its model", 'name = "crash"; on = "tts"; nth = 2; ms = 200; loading_ms = 500', dialect="travisvn", races=True
    ),
    _speech("it stands still", dialect="devnen", without=("loop",)),
    _speech("packed", dialect="travisvn", without=("plain_encoding",)),
    _speech("no default voice", dialect="devnen", without=("default_voice", "description")),
    _speech("bursts", 'name = "bursts"; nth = "every"; burst_ms = 200; pause_ms = 150', dialect="travisvn"),
    _speech("a wrong voice", 'name = "wrong_voice"'),
    _speech(
        "errors in objects for ever",
        'name = "status"; code = 500; nth = "every"',
        reason=fx.Reason.VOICE_FAILED,
        without=("plain_errors",),
    ),
)
FAULTS = {one.name: one for one in (*REALTIME_FAULTS, *SERVER_LACKS, *SPEECH_FAULTS, *SPEECH_SERVERS)}


@attrs.frozen
class Cell:
    """One call of the matrix."""

    fault: str
    voice: str
    owner: str
    backend: str

    def __str__(self) -> str:
        return f"{self.fault}, {self.voice}, {self.owner}, {self.backend}"

    @property
    def policy(self) -> Policy:
        """Short waits, and no greeting: the caller speaks first."""
        settings: dict[str, Any] = {
            "voice": self.voice,
            "interrupts": self.owner,
            "create_response": self.owner == "server",
            "greeting": False,
            "calibration_ms": 0,
            "echo_window_ms": 0,
            "interruption_min_ms": 60,
            "interruption_lock_ms": 100,
            "create_ack_ms": 1_000,
            "first_audio_ms": 2_500,
            "cancel_ack_ms": 400,
            "server_cancel_ms": 400,
            "recovery_pause_ms": 50,
            "reconnect_pause_ms": 50,
            "session_ms": 4_000,
            "watchdog_ms": 1_000,
            "turn_close_ms": 700,
            "speaking_ms": 1_500,
            "no_sound_ms": 400,
            "closing_ms": 500,
            "position_ms": 300,
            "synthesis_ms": 1_500,
            "idle_ms": 4_000,
        }
        return Policy(**settings | FAULTS[self.fault].settings)


def every_cell() -> list[Cell]:
    """The whole product; a fault that a voice cannot meet is left out for it."""
    return [Cell(*one) for one in itertools.product(FAULTS, VOICES, OWNERS, BACKENDS) if _meets(*one)]


def _meets(name: str, voice: str, owner: str, _: str) -> bool:
    return voice in FAULTS[name].voices and owner in FAULTS[name].owners


def covering_cells() -> list[Cell]:
    """Two calls a fault that differ in every dimension, in turn one of both pairs: all pairs of values of two dimensions are met."""
    cells = []
    for number, one in enumerate(FAULTS.values()):
        turned = number % 4
        for half in (0, 1):
            voice, owner = one.voices[half % len(one.voices)], one.owners[(half ^ turned & 1) % len(one.owners)]
            cells.append(Cell(one.name, voice, owner, BACKENDS[half ^ turned >> 1]))
    return cells
