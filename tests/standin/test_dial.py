"""Claims about `callfsm dial` and the stand-in of Twilio over real sockets: calls, and whole ones."""

import random
import sys
import wave
from collections.abc import Callable, Coroutine
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
from adapters.seam.channel import Channel, ChannelClosed
from adapters.seam.driver import Driver
from adapters.seam.ports import PCM, PCMU, Sound
from adapters.standin.caller import IntoSpeech, Line, ScriptedCaller
from adapters.standin.dialling import Telephone, summary
from adapters.standin.realtime.connection import Pace
from adapters.standin.twilio import http
from adapters.standin.twilio.call import Call, CallFailed
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.rest import Calls, serve_rest
from adapters.standin.twilio.stream import Conditions, Hung
from adapters.standin.voice import Voice
from adapters.twilio.port import LineError, TwilioLine, answer
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import start
from tests.shared.phone_model import TOKEN
from tests.shared.shell import PATIENCE_S, PATIENT, environment, write_wav
from tests.shared.standin_client import serving as standing_in
from tests.shared.telephone import Log, Silent, serving, sound

PARAMETER = '<Parameter name="who" value="me"/>'
STREAM = f'<Response><Connect><Stream url="/stream" statusCallback="/status">{PARAMETER}</Stream></Connect></Response>'


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


async def test_the_position_is_true_over_real_sockets() -> None:
    """Within 40 ms of what Twilio's buffer played, wherever the interruption comes (R71), and what a busy machine is late by."""
    chance = random.Random(7)
    stopped: dict[str, float] = {}
    late_ms = [0.0]

    async def watch() -> None:
        while True:
            due_s = anyio.current_time() + 0.01
            await anyio.sleep_until(due_s)
            late_ms.append((anyio.current_time() - due_s) * 1000)

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
        stopped[answered.started.call_sid] = event.played_ms

    calls = [placed(conditions=Conditions(jitter_ms=jitter_ms)) for jitter_ms in (0, 0, 0, 20)]
    async with serving(*Application(interrupt).routes) as url, anyio.create_task_group() as watching:
        watching.start_soon(watch)
        async with anyio.create_task_group() as tasks:
            for one in calls:
                tasks.start_soon(one.dial, f"{url.replace('http', 'ws')}/stream", {})
        watching.cancel_scope.cancel()
    for one in calls:
        assert one.hung is Hung.APPLICATION
        assert stopped[one.application.ids.call] == pytest.approx(one.stream.buffer.played * 20, abs=40 + max(late_ms))


async def test_everything_that_is_posted_is_signed_and_complete() -> None:
    app = Application(ignore_the_caller)

    async with serving(*app.routes) as url:
        call = placed(http.Application(Ids(), token=TOKEN), frames=10, status_callback=f"{url}/status")
        await call.dial(f"{url}/voice", {})
        assert call.hung is Hung.CALLER
        for url, fields, given in app.signatures:
            assert given == http.signature(url, fields, TOKEN)
        assert {fields["CallSid"] for fields in app.posted} == {call.application.ids.call}
    ring, started, stopped, completed = app.posted
    assert (ring["CallStatus"], ring["Direction"], ring["FromCity"]) == ("ringing", "inbound", "")
    assert [fields["StreamEvent"] for fields in (started, stopped)] == ["stream-started", "stream-stopped"]
    assert (completed["CallStatus"], completed["CallDuration"], completed["CallbackSource"]) == ("completed", "0", "call-progress-events")
    assert len(app.signatures) == 5, "and the WebSocket's handshake"


async def test_a_busy_application_rejects_the_call() -> None:
    async with serving(*Application(ignore_the_caller, '<Response><Reject reason="busy"/></Response>').routes) as url:
        call = placed()
        await call.dial(f"{url}/voice", {})
    assert (call.rejected, call.stream) == ("busy", None)


@pytest.mark.parametrize("path", ["/nothing", "/stream"])
async def test_what_is_no_telephone_server_fails_in_one_line(path: str) -> None:
    async with serving(*Application(ignore_the_caller).routes) as url:
        with pytest.raises(CallFailed, match=r"404|405"):
            await placed().dial(f"{url}{path}", {})
        with pytest.raises(CallFailed, match="31920"):
            await placed().dial(f"{url.replace('http', 'ws')}/voice", {})


async def test_an_application_that_breaks_the_protocol_is_cut_off_with_its_code() -> None:
    async def break_it(channel: Channel) -> None:
        await answer(channel)
        await channel.send('{"event": "hello"}')
        with pytest.raises(ChannelClosed, match="1008 31951"):
            while True:
                await channel.receive()

    app = Application(break_it)

    call = placed()
    async with serving(*app.routes) as url:
        await call.dial(f"{url}/voice", {})
    assert call.hung is Hung.VIOLATION
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


async def test_the_command_calls_records_and_sums_up(tmp_path: Path) -> None:
    heard: list[str] = []

    async def greet(channel: Channel) -> None:
        answered = await answer(channel)
        line = TwilioLine(answered)
        log = Log()
        heard.append(answered.started.parameters["who"])
        log.on[ev.LineOpened] = lambda: (line.do(fx.Admit("a")), line.play("a", sound(600)))
        log.on[ev.DigitPressed] = lambda: heard.append("key")
        await line.run(log.post)

    wav = write_wav(tmp_path / "caller.wav", sound(300))
    options = ["--caller", wav, "--hang-up-after", 1.2, "--dtmf", "1@0.5", "--parameter", "who=me", "--out", tmp_path / "out"]
    async with serving(*Application(greet).routes) as url:
        program = ["-m", "adapters.cli", "dial", f"{url.replace('http', 'ws')}/stream", *map(str, options)]
        done = await anyio.run_process([sys.executable, *program], check=False, env=environment(TWILIO_AUTH_TOKEN=TOKEN))
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"the caller hung up" in done.stdout
    assert b"30 frames received, 30 played" in done.stdout
    assert TOKEN.encode() not in done.stdout
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
async def test_a_call_that_the_server_cut_off_counts_as_that(code: int, code_of_command: int, words: str, tmp_path: Path) -> None:
    """An application may close its stream (1000); where it breaks, or its connection does, the caller stands there."""

    async def end(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.close(code)

    wav = write_wav(tmp_path / "caller.wav", sound(300))
    async with serving(WebSocketRoute("/stream", end)) as url:
        program = [
            "-m",
            "adapters.cli",
            "dial",
            f"{url.replace('http', 'ws')}/stream",
            "--caller",
            str(wav),
            "--out",
            str(tmp_path / "out"),
        ]
        done = await anyio.run_process([sys.executable, *program], check=False, env=environment())
    assert (done.returncode, done.stderr) == (code_of_command, b"")
    assert f"the end      the application {words}" in (tmp_path / "out" / "dial.txt").read_text()


def test_an_older_call_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dial.wav").touch()
    assert main(["dial", "ws://127.0.0.1:1/", "--out", str(tmp_path)]) == 2
    assert f"--out {tmp_path}: it holds dial.wav of another call" in capsys.readouterr().err


# A whole call.


GOODBYE = "All right, thank you very much. Goodbye!"


@pytest.mark.parametrize("sound_format", [PCM, PCMU], ids=lambda one: one.name)
async def test_a_whole_call_is_greeted_interrupted_and_hung_up_by_rest(sound_format: Sound) -> None:
    """The caller interrupts the greeting, to say goodbye."""
    line = Line(b"".join(Voice.load().speak(GOODBYE, pitch=0.8)), GOODBYE, IntoSpeech(800))
    ids = Ids()
    caller = Telephone(ScriptedCaller([line], hang_up_after_ms=PATIENCE_S * 2_000))
    call = Call(http.Application(ids, token=TOKEN), caller, Conditions(jitter_ms=10), lambda _: None)
    policy = Policy(**PATIENT, voice="realtime", greeting_protected=False)
    steps: list[tuple[ev.Event, Any]] = []
    lines_held: list[TwilioLine] = []

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

    with standing_in(pace=Pace(hearing_s=30)) as url:
        async with serve_rest(calls) as rest, serving(*Application(hold).routes) as place:
            await call.dial(f"{place}/voice", {})
    assert calls.updates == 1, "R47"
    effects = [effect for _, step in steps for effect in step.effects]
    [ended] = [effect for effect in effects if isinstance(effect, fx.TellEnded)]
    assert ended.reason is fx.Reason.GOODBYE, "\n".join(str(event) for event, _ in steps if not isinstance(event, ev.PlayoutProgressed))
    assert call.hung is Hung.API
    stream = call.stream
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
