"""Claims about Twilio's stand-in and `callfsm dial`: strict, as documented, over real sockets; and whole calls through them."""

import base64
import json
import random
import sys
import wave
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import anyio
import attrs
import httpx
import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from adapters.cli import main
from adapters.hosts.channel import StarletteChannel
from adapters.hosts.terminal.live import Prompter
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam import mulaw
from adapters.seam.channel import Channel, ChannelClosed
from adapters.seam.driver import Driver
from adapters.seam.ports import PCM, PCMU, Sound
from adapters.standin.caller import IntoSpeech, Line, ScriptedCaller
from adapters.standin.dialling import Telephone, summary
from adapters.standin.realtime.connection import Pace
from adapters.standin.realtime.server import serve as serve_model
from adapters.standin.twilio import grammar, http
from adapters.standin.twilio.buffer import Buffer
from adapters.standin.twilio.call import Call, CallFailed
from adapters.standin.twilio.ears import Ears
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.rest import Calls, serve_rest
from adapters.standin.twilio.stream import Conditions, Hung, Stream
from adapters.standin.voice import Voice
from adapters.twilio.port import LineError, TwilioLine, answer
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import start
from tests.shared.shell import PATIENCE_S, PATIENT, at_most, environment, write_wav
from tests.shared.telephone import QUIET, Log, Silent, serving, sound

TOKEN = "12345678901234567890123456789012"
FRAME = bytes(range(160))
LOUD = mulaw.encode((9_000 * np.sin(2 * np.pi * 400 * np.arange(160) / 8_000)).astype("<i2").tobytes())


def on_asyncio(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run it in real time; what hangs fails."""
    with at_most(2 * PATIENCE_S):
        return anyio.run(work)


# What Twilio takes.


def message(event: str = "media", sid: str = "MZ1", **fields: Any) -> str:
    return json.dumps({"event": event, "streamSid": sid, **fields})


def test_media_marks_and_clears_are_taken() -> None:
    assert grammar.read(message(media={"payload": base64.b64encode(FRAME * 2).decode()}), "MZ1") == grammar.Play([FRAME, FRAME])
    assert grammar.read(message("mark", mark={"name": "m"}), "MZ1") == grammar.Mark("m")
    assert grammar.read(message("clear"), "MZ1") == grammar.Clear()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"\x00", grammar.MALFORMED),
        ("{", grammar.INVALID),
        ("[]", grammar.INVALID),
        (message("stop"), grammar.INVALID),
        (message("clear", sid="MZ2"), grammar.INVALID),
        (message("clear", clear={}), grammar.INVALID),
        (json.dumps({"event": "clear", "stream_sid": "MZ1"}), grammar.INVALID),
        (message("mark"), grammar.INVALID),
        (message("mark", mark={"name": ""}), grammar.INVALID),
        (message("mark", mark={"name": "m", "more": 1}), grammar.INVALID),
        (message(media={"payload": 7}), grammar.INVALID),
        (message(media={"payload": "*"}), grammar.INVALID),
        (message(media={"payload": "AAAA"}), grammar.PROTOCOL),
        (message(media={"payload": "UklGRgAA" * 20}), grammar.PROTOCOL),
    ],
)
def test_anything_else_breaks_the_protocol(text: str | bytes, code: int) -> None:
    with pytest.raises(grammar.Violation, match=str(code)):
        grammar.read(text, "MZ1")


# What Twilio plays.


def test_frames_are_played_in_order_and_marks_come_back_when_they_are_reached() -> None:
    buffer = Buffer()
    buffer.put([b"a", b"b"])
    assert buffer.mark("after b") == []
    buffer.put([b"c"])
    assert [buffer.take() for _ in range(4)] == [(b"a", []), (b"b", []), (b"c", ["after b"]), (None, [])]
    assert (buffer.played, buffer.dropped, buffer.most_ms) == (3, 0, 60)


def test_a_mark_on_an_empty_buffer_comes_back_at_once() -> None:
    buffer = Buffer()
    assert buffer.mark("m") == ["m"]
    buffer.put([b"a"])
    buffer.take()
    assert buffer.mark("n") == [], "the frame is still being played"
    assert buffer.take() == (None, ["n"])


def test_a_clear_gives_all_marks_back_and_empties_the_buffer() -> None:
    buffer = Buffer()
    buffer.put([b"a", b"b"])
    buffer.mark("m")
    buffer.mark("n")
    assert buffer.clear() == ["m", "n"]
    assert (buffer.take(), buffer.dropped, buffer.held_ms) == ((None, []), 2, 0)
    assert buffer.mark("o") == ["o"]


def test_an_interruption_is_timed_from_the_callers_first_sound() -> None:
    ears = Ears()
    for _ in range(50):
        ears.hear(QUIET, LOUD)
    for number in range(100):
        if number == 9:
            ears.clears_ms.append(ears.now_ms)
        ears.hear(LOUD, LOUD if number < 11 else None)
    [one] = ears.barge_ins()
    assert (one.at_ms, one.clear_ms, one.silent_ms) == (1_000, 180, 220)


def test_a_short_dry_buffer_is_a_gap_and_a_long_one_is_not() -> None:
    ears = Ears()
    for frames, agent in ((10, LOUD), (3, None), (10, LOUD), (40, None), (10, LOUD)):
        for _ in range(frames):
            ears.hear(QUIET, agent)
    assert ears.gaps_ms() == [60]


# Webhooks.

PARAMETER = '<Parameter name="who" value="me"/>'
STREAM = f'<Response><Connect><Stream url="/stream" statusCallback="/status">{PARAMETER}</Stream></Connect></Response>'
LONG_PARAMETER = STREAM.replace('me"/', "x" * 498 + '"/').encode()


def test_the_signature_is_that_of_twilios_documentation() -> None:
    """The example of "Webhooks security": the parameters of a call, and its published result."""
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+12349013030",
        "Digits": "1234",
        "From": "+12349013030",
        "To": "+18005551212",
    }
    assert http.signature("https://mycompany.com/myapp.php?foo=1&bar=2", fields, "12345") == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


def test_the_twiml_of_a_call_is_read() -> None:
    twiml = b"""<?xml version="1.0" encoding="UTF-8"?><Response><Say>Hello</Say><Connect>
        <Stream url="wss://a.b/stream" name="n" statusCallback="/status"><Parameter name="token" value="x"/></Stream></Connect>
        <Hangup/></Response>"""
    say, stream, hang_up = http.read_twiml(twiml, "https://a.b/voice")
    assert (say, hang_up) == (http.Other("Say"), http.Other("Hangup"))
    assert stream == http.Stream("wss://a.b/stream", {"token": "x"}, "https://a.b/status", "n")
    assert http.read_twiml(b'<Response><Reject reason="busy"/></Response>', "") == [http.Rejected("busy")]


def test_a_relative_stream_is_at_the_webhooks_server() -> None:
    [stream] = http.read_twiml(b'<Response><Connect><Stream url="/stream"/></Connect></Response>', "http://127.0.0.1:8080/voice")
    assert stream == http.Stream("ws://127.0.0.1:8080/stream", {})


@pytest.mark.parametrize(
    ("twiml", "words"),
    [
        (b"hello", "12100"),
        (b"<!DOCTYPE a><Response/>", "12100"),
        (b"<Answer/>", "12101"),
        (b"<Response><Connect/></Response>", "12200"),
        (b'<Response><Connect><Stream url="ftp://a/b"/></Connect></Response>', "31920"),
        (b'<Response><Connect><Stream url="wss://["/></Connect></Response>', "31920"),
        (b'<Response><Connect><Stream url="wss://a:99999/b"/></Connect></Response>', "31920"),
        (b'<Response><Connect><Stream url="wss://a/b" statusCallback="ftp://a/"/></Connect></Response>', "31920"),
        (b'<Response><Connect><Stream url="wss://a/b?token=1"/></Connect></Response>', "query"),
        (b'<Response><Connect><Stream url="wss://a/b"><Parameter name="a"/></Stream></Connect></Response>', "12200"),
        (LONG_PARAMETER, "501 char"),
    ],
)
def test_twiml_that_twilio_could_not_run_is_refused(twiml: bytes, words: str) -> None:
    with pytest.raises(http.Refused, match=words):
        http.read_twiml(twiml, "https://a.b/voice")


# REST.


@pytest.mark.parametrize(
    ("account", "password", "call", "status", "answered", "ended"),
    [
        ("AC1", TOKEN, "CA1", "completed", 200, 1),
        ("AC1", "wrong", "CA1", "completed", 401, 0),
        ("AC2", TOKEN, "CA1", "completed", 401, 0),
        ("AC1", TOKEN, "CA2", "completed", 404, 0),
        ("AC1", TOKEN, "CA1", "busy", 400, 0),
    ],
)
def test_a_call_is_ended_by_whoever_may(account: str, password: str, call: str, status: str, answered: int, ended: int) -> None:
    asked: list[int] = []

    async def be() -> None:
        async with serve_rest(Calls(Ids("AC1", "CA1"), TOKEN, lambda: asked.append(1))) as root, httpx.AsyncClient() as client:
            url = f"{root}/2010-04-01/Accounts/AC1/Calls/{call}.json"
            response = await client.post(url, data={"Status": status}, auth=(account, password))
        assert response.status_code == answered
        assert response.json()["sid" if answered == 200 else "code"]

    on_asyncio(be)
    assert len(asked) == ended


# Over a real socket.


@attrs.define
class Application:
    """A telephone server of one route each, whose calls `hold` holds."""

    hold: Callable[[Channel], Coroutine[Any, Any, None]]
    twiml: str = STREAM
    posted: list[dict[str, str]] = attrs.Factory(list)
    signatures: list[tuple[str, dict[str, str], str]] = attrs.Factory(list)

    @property
    def routes(self) -> tuple[Route | WebSocketRoute, ...]:
        """Its routes."""
        return (
            Route("/voice", partial(self.take, then=self.twiml), methods=["POST"]),
            Route("/status", partial(self.take, then=""), methods=["POST"]),
            WebSocketRoute("/stream", self.stream),
        )

    async def take(self, request: Request, then: str) -> Response:
        """Note what Twilio posts."""
        fields = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        self.posted.append(fields)
        self.signatures.append((str(request.url), fields, request.headers.get("X-Twilio-Signature", "")))
        return Response(then, media_type="text/xml")

    async def stream(self, websocket: WebSocket) -> None:
        """Hold a call."""
        self.signatures.append((str(websocket.url), {}, websocket.headers.get("X-Twilio-Signature", "")))
        await websocket.accept()
        await self.hold(StarletteChannel(websocket))


def placed(application: http.Application | None = None, conditions: Conditions | None = None, **more: Any) -> Call:
    """A call of somebody silent."""
    return Call(application or http.Application(Ids()), Silent(more.pop("frames", 500)), conditions or Conditions(), lambda _: None, **more)


async def ignore_the_caller(channel: Channel) -> None:
    """An application that does nothing until the call is over."""
    await TwilioLine(await answer(channel)).run(Log().post)


def test_the_position_is_true_over_real_sockets() -> None:
    """Within 40 ms of what Twilio's buffer played, wherever the interruption comes (R71)."""
    chance = random.Random(7)
    stopped: dict[str, float] = {}

    async def interrupt(channel: Channel) -> None:
        log, answered = Log(), await answer(channel)
        line = TwilioLine(answered)

        async def act() -> None:
            line.do(fx.Admit("a"))
            line.play("a", sound(2_000))
            await anyio.sleep(chance.uniform(0.05, 1.5))
            line.do(fx.Hold())
            await anyio.sleep(0.15)
            line.do(fx.Flush("a"))
            line.do(fx.Resume())

        log.on[ev.PlayoutStopped] = lambda: line.do(fx.HangUp(fx.Reason.APPLICATION))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(line.run, log.post)
            tasks.start_soon(act)
        [event] = log.of(ev.PlayoutStopped)
        assert isinstance(event, ev.PlayoutStopped)
        stopped[answered.started.call_sid] = event.played_ms

    async def be() -> None:
        calls = [placed(conditions=Conditions(jitter_ms=jitter_ms)) for jitter_ms in (0, 0, 0, 20)]
        async with serving(*Application(interrupt).routes) as place, anyio.create_task_group() as tasks:
            for one in calls:
                tasks.start_soon(one.dial, f"ws://{place}/stream", {})
        for one in calls:
            assert one.stream is not None
            assert one.hung is Hung.APPLICATION
            assert stopped[one.application.ids.call] == pytest.approx(one.stream.buffer.played * 20, abs=40)

    on_asyncio(be)


def test_everything_that_is_posted_is_signed_and_complete() -> None:
    app = Application(ignore_the_caller)

    async def be() -> None:
        async with serving(*app.routes) as place:
            call = placed(http.Application(Ids(), token=TOKEN), frames=10, status_callback=f"http://{place}/status")
            await call.dial(f"http://{place}/voice", {})
            assert call.hung is Hung.CALLER
            for url, fields, given in app.signatures:
                assert given == http.signature(url, fields, TOKEN)
            assert {fields["CallSid"] for fields in app.posted} == {call.application.ids.call}

    on_asyncio(be)
    ring, started, stopped, completed = app.posted
    assert (ring["CallStatus"], ring["Direction"], ring["FromCity"]) == ("ringing", "inbound", "")
    assert [fields["StreamEvent"] for fields in (started, stopped)] == ["stream-started", "stream-stopped"]
    assert (completed["CallStatus"], completed["CallDuration"], completed["CallbackSource"]) == ("completed", "0", "call-progress-events")
    assert len(app.signatures) == 5, "and the WebSocket's handshake"


def test_a_busy_application_rejects_the_call() -> None:
    async def be() -> None:
        async with serving(*Application(ignore_the_caller, '<Response><Reject reason="busy"/></Response>').routes) as place:
            call = placed()
            await call.dial(f"http://{place}/voice", {})
        assert (call.rejected, call.stream) == ("busy", None)

    on_asyncio(be)


@pytest.mark.parametrize("path", ["/nothing", "/stream"])
def test_what_is_no_telephone_server_fails_in_one_line(path: str) -> None:
    async def be() -> None:
        async with serving(*Application(ignore_the_caller).routes) as place:
            with pytest.raises(CallFailed, match=r"404|405"):
                await placed().dial(f"http://{place}{path}", {})
            with pytest.raises(CallFailed, match="31920"):
                await placed().dial(f"ws://{place}/voice", {})

    on_asyncio(be)


def test_an_application_that_breaks_the_protocol_is_cut_off_with_its_code() -> None:
    async def break_it(channel: Channel) -> None:
        await answer(channel)
        await channel.send('{"event": "hello"}')
        with pytest.raises(ChannelClosed, match="1008 31951"):
            while True:
                await channel.receive()

    app = Application(break_it)

    async def be() -> Call:
        call = placed()
        async with serving(*app.routes) as place:
            await call.dial(f"http://{place}/voice", {})
        return call

    call: Call = on_asyncio(be)
    assert call.hung is Hung.VIOLATION
    assert call.stream is not None
    assert call.stream.words.startswith("31951")
    assert app.posted[-1]["StreamEvent"] == "stream-error"
    assert "31951" in app.posted[-1]["StreamError"]


# The command.


def test_bad_input_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (("127.0.0.1:8080",), "URL 127.0.0.1:8080: it takes a URL that begins with http://"),
        (("ftp://127.0.0.1/",), "URL ftp://127.0.0.1/: it takes a URL that begins with http://"),
        (("http:///voice",), "URL http:///voice"),
        (("http://127.0.0.1:99999/voice",), "URL http://127.0.0.1:99999/voice: it is no URL (Port out of range"),
        (("http://127.0.0.1:0/voice",), "URL http://127.0.0.1:0/voice"),
        (("http://[::1/voice",), "URL http://[::1/voice: it is no URL"),
        (("http://xn--a/voice",), "URL http://xn--a/voice: it is no URL"),
        (("http://a b/voice",), "URL http://a b/voice"),
        (("ws://",), "URL ws://: it"),
        (("ws://127.0.0.1:abc/stream",), "URL ws://127.0.0.1:abc/stream: it is no URL"),
        (("ws://127.0.0.1/stream#a",), "URL ws://127.0.0.1/stream#a"),
        (("HTTP://127.0.0.1:1/voice",), "URL http://127.0.0.1:1/voice did not answer"),
        (("ws://127.0.0.1:1/stream",), "URL 31920: the WebSocket ws://127.0.0.1:1/stream did not open"),
        (("http://nobody.invalid/voice",), "URL http://nobody.invalid/voice did not answer"),
        (("http://127.0.0.1:1/", "--status-callback", "me"), "--status-callback me: it takes a URL"),
        (("http://127.0.0.1:1/", "--caller", "/nowhere.wav"), "--caller /nowhere.wav"),
        (("http://127.0.0.1:1/", "--out", __file__), f"--out {__file__}"),
        (("http://127.0.0.1:1/", "--out", f"{__file__}/in"), f"--out {__file__}/in"),
        (("ws://127.0.0.1:1/", "--loss", "101"), "--loss 101"),
        (("ws://127.0.0.1:1/", "--dtmf", "12x@5"), "--dtmf 12x@5"),
        (("ws://127.0.0.1:1/", "--parameter", "a"), "NAME=VALUE"),
    ):
        assert main(["dial", *arguments]) == 2
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1
        assert words in told


def test_the_command_calls_records_and_sums_up(tmp_path: Path) -> None:
    heard: list[str] = []

    async def greet(channel: Channel) -> None:
        answered = await answer(channel)
        line = TwilioLine(answered)
        log = Log()
        heard.append(answered.started.parameters["who"])
        log.on[ev.LineOpened] = lambda: (line.do(fx.Admit("a")), line.play("a", sound(600)))
        log.on[ev.DigitPressed] = lambda: heard.append("key")
        await line.run(log.post)

    async def be() -> None:
        wav = write_wav(tmp_path / "caller.wav", sound(300))
        options = ["--caller", wav, "--hang-up-after", 1.2, "--dtmf", "1@0.5", "--parameter", "who=me", "--out", tmp_path / "out"]
        async with serving(*Application(greet).routes) as place:
            program = ["-m", "adapters.cli", "dial", f"ws://{place}/stream", *map(str, options)]
            done = await anyio.run_process([sys.executable, *program], check=False, env=environment(TWILIO_AUTH_TOKEN=TOKEN))
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"the caller hung up" in done.stdout
        assert b"30 frames received, 30 played" in done.stdout
        assert TOKEN.encode() not in done.stdout

    on_asyncio(be)
    assert heard == ["me", "key"]
    with wave.open(str(tmp_path / "out" / "dial.wav")) as file:
        assert file.getparams()[:4] == (2, 2, 8_000, 60 * 160)
        both = np.frombuffer(file.readframes(60 * 160), "<i2").reshape(-1, 2)
    assert np.abs(both[:, 0]).max() > 2_500
    assert (np.abs(both[:, 1]) > 2_500).sum() == pytest.approx(600 * 8, abs=100)
    text = tmp_path / "out" / "dial.txt"
    assert "gaps" in text.read_text()
    assert "the end      the caller hung up" in text.read_text()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (text.parent, *text.parent.iterdir())}
    assert modes == {"out": 0o700, "dial.txt": 0o600, "dial.wav": 0o600}


CUT_OFF = "cut the call off: closed with 1011"


@pytest.mark.parametrize(("code", "code_of_command", "words"), [(1000, 0, "closed the stream"), (1011, 1, CUT_OFF)])
def test_a_call_that_the_server_cut_off_counts_as_that(code: int, code_of_command: int, words: str, tmp_path: Path) -> None:
    """An application may close its stream (1000); where it breaks, or its connection does, the caller stands there."""

    async def end(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.close(code)

    async def be() -> None:
        wav = write_wav(tmp_path / "caller.wav", sound(300))
        async with serving(WebSocketRoute("/stream", end)) as place:
            program = ["-m", "adapters.cli", "dial", f"ws://{place}/stream", "--caller", str(wav), "--out", str(tmp_path / "out")]
            done = await anyio.run_process([sys.executable, *program], check=False, env=environment())
        assert (done.returncode, done.stderr) == (code_of_command, b"")
        assert f"the end      the application {words}" in (tmp_path / "out" / "dial.txt").read_text()

    on_asyncio(be)


def test_an_older_call_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dial.wav").touch()
    assert main(["dial", "ws://127.0.0.1:1/", "--out", str(tmp_path)]) == 2
    assert f"--out {tmp_path}: it holds dial.wav of another call" in capsys.readouterr().err


# A whole call.


GOODBYE = "All right, thank you very much. Goodbye!"


@asynccontextmanager
async def model() -> AsyncIterator[str]:
    """A realtime LLM in this process, which waits for what the caller said however long the machine takes to make it out."""
    ready: list[str] = []
    began = anyio.Event()

    def note(url: str) -> None:
        ready.append(url)
        began.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve_model, port=0, pace=Pace(hearing_s=30), on_ready=note))
        await began.wait()
        yield ready[0]
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("sound_format", [PCM, PCMU], ids=lambda one: one.name)
def test_a_whole_call_is_greeted_interrupted_and_hung_up_by_rest(sound_format: Sound) -> None:
    """The caller interrupts the greeting, to say goodbye."""
    line = Line(b"".join(Voice.load().speak(GOODBYE, pitch=0.8)), GOODBYE, IntoSpeech(800))
    ids = Ids()
    caller = Telephone(ScriptedCaller([line], hang_up_after_ms=PATIENCE_S * 2_000))
    call = Call(http.Application(ids, token=TOKEN), caller, Conditions(jitter_ms=10), lambda _: None)
    policy = Policy(**PATIENT, voice="realtime", greeting_protected=False)
    steps: list[tuple[ev.Event, Any]] = []
    lines_held: list[TwilioLine] = []

    async def be() -> None:
        calls = Calls(ids, TOKEN, call.end)

        async def hold(channel: Channel) -> None:
            answered = await answer(channel)

            async def hang_up() -> None:
                url = f"{rest}/2010-04-01/Accounts/{answered.started.account_sid}/Calls/{answered.started.call_sid}.json"
                async with httpx.AsyncClient() as client:
                    response = await client.post(url, data={"Status": "completed"}, auth=(ids.account, TOKEN))
                if response.status_code != 200:
                    raise LineError(f"{response.status_code}")

            line = TwilioLine(answered, sound=sound_format, hang_up=hang_up)
            settings = RealtimeSettings()
            llm = RealtimeLLM(url=url, key=None, settings=settings, policy=policy, speaker=line, openai=True, sound=sound_format)
            line.ears.append(llm)
            lines_held.append(line)
            await Driver(start(policy, "call"), [line, llm, Prompter()], [lambda event, step: steps.append((event, step))]).run()

        async with model() as url, serve_rest(calls) as rest, serving(*Application(hold).routes) as place:
            await call.dial(f"http://{place}/voice", {})
        assert calls.updates == 1, "R47"

    on_asyncio(be)
    effects = [effect for _, step in steps for effect in step.effects]
    [ended] = [effect for effect in effects if isinstance(effect, fx.TellEnded)]
    assert ended.reason is fx.Reason.GOODBYE, "\n".join(str(event) for event, _ in steps if not isinstance(event, ev.PlayoutProgressed))
    assert call.hung is Hung.API
    stream = call.stream
    assert isinstance(stream, Stream)
    assert stream.counts["clears"] >= 1
    assert any(one.clear_ms is not None for one in stream.ears.barge_ins()), "\n".join(summary(stream))
    told = sum(event.played_ms for event, _ in steps if isinstance(event, ev.PlayoutStopped | ev.PlayoutFinished))
    assert told == pytest.approx(stream.buffer.played * 20, abs=40 * 3), "each response's last frame may be padded"
    truncated = [effect for effect in effects if isinstance(effect, fx.TruncateItem)]
    assert len(truncated) == 1
    assert not [event for event, _ in steps if isinstance(event, ev.ErrorReceived | ev.SessionRefused)], "the server has so much of it"
    counts = lines_held[0].counts
    assert counts["frames sent"] == counts["frames heard"] + counts["frames cleared"]
    assert counts["set aside: malformed media"] == 0
