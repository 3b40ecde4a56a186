"""Every parser of what comes from outside, with good inputs to be mutated; each may only refuse in its own words."""

import json
import random
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from adapters.audio.wav import WavError, WavStream
from adapters.hosts.phone.signature import is_signed
from adapters.proof.cases.judge import judge
from adapters.proof.cases.reading import CaseError, read_case
from adapters.proof.sim.plan import PlanError, plan_from_json
from adapters.realtime.session_file import read_session_file
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.wire import Wire as RealtimeWire
from adapters.seam.wellformed import read_json
from adapters.standin.faults import ScriptError, parse
from adapters.standin.realtime.faults import REALTIME
from adapters.standin.twilio.http import Refused, read_twiml
from adapters.telling.report import report_on
from adapters.telling.trace import TraceError, TraceWriter, read_trace
from adapters.tools import Tools, _arguments
from adapters.twilio.wire import Unreadable, Wire as TwilioWire, media, read
from fsm import Policy, events as ev, start, step
from fsm.call.effects import ConfigureSession

ROOT = Path(__file__).parents[2]
ODD = [
    b"null", b"-1", b"1e999", b"NaN", b"true", b'""', b"[]", b"{}", b'"\\ud800"', b'"\\udc00\\ud800"', b"9" * 400, b"[" * 3_000,
    b'{"a":' * 2_000, b"\x00", b"\xff\xfe", b"\n", b'"' + b"x" * 70_000 + b'"', "\u2028😀".encode(), b"RIFF", b"\x7f\xff\xff\xff",
]  # fmt: skip


@attrs.frozen
class Parser:
    """`feed` takes an input, and raises nothing but what the parser itself declares, which it catches."""

    name: str
    seeds: tuple[bytes, ...] = attrs.field(repr=False)
    feed: Callable[[bytes], None]


def mutated(seed: bytes, chance: random.Random) -> bytes:
    """A good input with a few things wrong."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(data) + 1)
        end = min(len(data), place + chance.choice((0, 1, 2, 8, 64)))
        match chance.randrange(5):
            case 0:
                data[place:end] = chance.randbytes(chance.choice((0, 1, 4)))
            case 1:
                data[place:end] = chance.choice(ODD)
            case 2:
                del data[place:end]
            case 3:
                data[place:place] = data[place:end] * chance.choice((1, 3))
            case _:
                data = _value_changed(data, chance)
    return bytes(data)


def _value_changed(data: bytearray, chance: random.Random) -> bytearray:
    """One value of a line of JSON in place of another kind, or gone."""
    lines = bytes(data).split(b"\n")
    number = chance.randrange(len(lines))
    try:
        value = json.loads(lines[number])
    except (ValueError, RecursionError):
        return data
    holder = value
    while isinstance(holder, dict) and holder:
        name = chance.choice(sorted(holder))
        if isinstance(holder[name], dict) and chance.random() < 0.7:
            holder = holder[name]
            continue
        if chance.random() < 0.2:
            del holder[name]
        else:
            holder[name] = chance.choice([None, True, -1, 0.5, 10**20, "", "\ud800", [], {}, [None], {"a": None}, "x" * 300])
        break
    lines[number] = json.dumps(value).encode()
    return bytearray(b"\n".join(lines))


@contextmanager
def parsers() -> Iterator[list[Parser]]:
    """All of them, with a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        yield [*_made(Path(folder))]


def _made(folder: Path) -> Iterator[Parser]:
    yield Parser("twilio", _twilio_seeds(), _twilio)
    yield Parser("realtime", _realtime_seeds(), _realtime)
    yield Parser("json", (b'{"a": [1, 2.5, "\\ud83d\\ude00", null]}',), _refusing(ValueError, _text(_said_again)))
    yield Parser("wav", (_wav(16, 1, 24_000), _wav(8, 2, 8_000)), _refusing(WavError, _wav_stream))
    yield Parser("signature", (b"https://a.example:443/voice?x=1\nCallSid=CA1&From=%2B1", b"ws://[::1]:80/stream/\na=b"), _signature)
    scripts = tuple(path.read_bytes() for path in sorted((ROOT / "tests/faults").glob("*.toml"))[:8])
    yield Parser("faults", scripts, _refusing(ScriptError, _text(lambda text: parse(text, REALTIME))))
    plan = b'{"seed": 1, "settings": {"voice": "realtime"}, "items": [["say", "start", 1, 20, 0.5]]}'
    yield Parser("plan", (plan,), _refusing(PlanError, _text(plan_from_json)))
    answers = (_TWIML, b'<Response><Reject reason="busy"/></Response>')
    yield Parser("twiml", answers, _refusing(Refused, lambda data: read_twiml(data, "https://a.example/voice")))
    yield Parser("arguments", (b'{"day": "Friday", "seats": 4, "notes": ["late"]}',), _arguments_of_a_tool)
    session = b'{"session": {"audio": {"input": {"turn_detection": {"threshold": 0.5}}}}}'
    read_session = _file(folder / "session.json", lambda path: json.dumps(read_session_file(path)))
    yield Parser("session", (session,), _refusing(ValueError, read_session))
    yield Parser("trace", (_trace_seed(folder),), _refusing(TraceError, _file(folder / "call.trace", _trace)))
    cases = tuple(path.read_bytes() for path in sorted((ROOT / "tests/cases").glob("*.jsonl"))[:8])
    yield Parser("case", cases, _refusing(CaseError, _file(folder / "case.jsonl", lambda path: judge(read_case(path)))))


def _refusing(declared: type[Exception], read: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Feed what may refuse an input in these words, which are one line."""

    def feed(data: bytes) -> None:
        try:
            read(data)
        except declared as error:
            assert "\n" not in str(error)

    return feed


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """Feed what takes text."""
    return lambda data: read(data.decode(errors="replace"))


def _file(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Feed what takes a file, by way of this one."""

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return feed


def _said_again(text: str) -> None:
    json.dumps(read_json(text), ensure_ascii=False, allow_nan=False).encode()


def _twilio_seeds() -> tuple[bytes, ...]:
    layout = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    begun = {"streamSid": "MZ1", "callSid": "CA1", "accountSid": "AC1", "mediaFormat": layout, "customParameters": {"token": "t"}}
    messages: list[Any] = [
        {"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": begun},
        {"event": "mark", "sequenceNumber": "3", "streamSid": "MZ1", "mark": {"name": "a"}},
        {"event": "dtmf", "sequenceNumber": "4", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": "1"}},
        {"event": "stop", "sequenceNumber": "5", "streamSid": "MZ1", "stop": {"callSid": "CA1"}},
    ]
    return (*(json.dumps(message).encode() for message in messages), media("MZ1", b"\xff" * 160).encode())


def _twilio(data: bytes) -> None:
    text = data.decode(errors="replace")
    with suppress(Unreadable):
        read(text)
    wire = TwilioWire()
    for one in (_twilio_seeds()[0].decode(), text):
        wire.receive(one)
    wire.receive(data)


def _realtime_seeds() -> tuple[bytes, ...]:
    of = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
    response = {"id": "r1", "conversation_id": "c1", "status": "completed", "output": [{"id": "i1", "type": "message", "content": []}]}
    kinds: list[dict[str, Any]] = [
        {"type": "session.created", "session": {"type": "realtime"}},
        {"type": "session.updated", "session": {"audio": {"input": {}}}},
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "response_id": "r1", "item": {"id": "i1", "type": "message"}},
        {"type": "response.output_audio.delta", **of, "delta": "AAAA"},
        {"type": "response.output_audio_transcript.delta", **of, "delta": "Hel"},
        {"type": "response.output_audio_transcript.done", **of, "transcript": "Hello?"},
        {"type": "response.function_call_arguments.done", **of, "call_id": "c", "name": "f", "arguments": '{"a": "\\ud800"}'},
        {"type": "response.done", "response": response},
        {"type": "error", "error": {"type": "invalid_request_error", "code": "x", "message": "m", "event_id": "cf_1"}},
        {"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 10},
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u1", "transcript": "hm"},
        {"type": "rate_limits.updated", "rate_limits": [{"name": "requests", "remaining": 0, "reset_seconds": 1.5}]},
    ]
    return tuple(json.dumps(kind).encode() for kind in kinds)


def _realtime(data: bytes) -> None:
    """Whatever is told goes to the tables, as the port would send it."""
    policy = Policy(voice="realtime")
    wire, call = RealtimeWire(RealtimeSettings(), policy), start(policy)
    wire.send(ConfigureSession())
    for text in (_realtime_seeds()[2].decode(), data.decode(errors="replace"), *(seed.decode() for seed in _realtime_seeds()[8:9])):
        for told in wire.receive(text):
            if isinstance(getattr(told, "event", None), type) and issubclass(told.event, ev.Event):
                call = step(call, told.event(10.0, *told.args)).snapshot


def _wav(bits: int, channels: int, rate: int) -> bytes:
    sound = b"\x01\x02\x03\x04" * 60
    width = bits // 8 * channels
    layout = struct.pack("<HHIIHH", 1, channels, rate, rate * width, width, bits)
    return b"RIFF" + struct.pack("<I", 36 + len(sound)) + b"WAVEfmt \x10\0\0\0" + layout + b"data" + struct.pack("<I", len(sound)) + sound


def _wav_stream(data: bytes) -> None:
    stream = WavStream(longest_s=60)
    for start_at in range(0, len(data), 100):
        stream.feed(data[start_at : start_at + 100])
    stream.end()


def _signature(data: bytes) -> None:
    url, _, form = data.decode(errors="surrogateescape").partition("\n")
    fields = [(name, value) for name, _, value in (field.partition("=") for field in form.split("&"))]
    assert not is_signed(url[:28], url, fields, "token")


_TWIML = b"""<Response><Connect><Stream url="wss://a.example/stream" statusCallback="/status" name="a"><Parameter name="token" value="t"/>
</Stream></Connect></Response>"""


def _booked(day: str, seats: int = 2, notes: list[str] | None = None) -> str:
    """A tool."""
    return f"{day} {seats} {notes}"


def _arguments_of_a_tool(data: bytes) -> None:
    tools = Tools()
    tools.tool(_booked)
    try:
        given = _arguments(tools._tools["_booked"], data.decode(errors="replace"))
    except ValueError as error:
        str(error).encode()
        return
    _booked(**given).encode()


def _trace_seed(folder: Path) -> bytes:
    policy = Policy(voice="realtime", greeting=False)
    call = start(policy)
    writer = TraceWriter(folder / "seed.trace", call)
    events: list[ev.Event] = [
        ev.LineOpened(0), ev.SessionOpened(0), ev.SessionConfirmed(1), ev.VadCalibrated(2), ev.SpeechStarted(3, "u1"),
        ev.SpeechStopped(400, "u1"), ev.TurnCommitted(400, "u1"), ev.ResponseCreated(500, "r1"), ev.AudioArrived(600, "r1", "i1"),
        ev.PlayoutStopped(700, "r1", 80.0, 100.0, (ev.Heard("i1", 0, 80.0, 100.0),)), ev.CallerHungUp(900, "gone"),
    ]  # fmt: skip
    for event in events:
        answer = step(call, event)
        writer(event, answer)
        call = answer.snapshot
    writer.close()
    lines = (folder / "seed.trace").read_bytes().splitlines(keepends=True)
    # Without its seal, so that what is changed is looked at.
    return b"".join(lines[:-1])


def _trace(path: Path) -> None:
    trace = read_trace(path)
    trace.first_difference()
    report_on(trace).summary()
