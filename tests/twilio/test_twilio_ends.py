"""Claims about how a telephone call begins and ends on its line, in virtual time against Twilio's stand-in."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from adapters.standin.twilio.stream import Hung
from adapters.twilio.port import LineError, TwilioLine, answer
from fsm.call.effects import CloseSession, HangUp, Reason
from fsm.call.events import CallerHungUp, DeviceFailed, LineClosed
from tests.shared.telephone import IDS, ApplicationEnd, Log, Silent, Wire, answered, call, do, twice

HANG_UP = do(HangUp(Reason.GOODBYE))


# Before the call.


ALAW = '{"event": "start", "start": {"streamSid": "MZ1", "callSid": "CA1", "mediaFormat": {"encoding": "audio/x-alaw"}}}'
NO_CALL = '{"event": "start", "start": {"streamSid": "MZ1"}}'
EARLY = '{"event": "media", "streamSid": "MZ", "media": {"payload": "/w=="}}'


@pytest.mark.parametrize(
    ("sent", "close", "words"),
    [
        ([], True, "^the stream ended before its start: closed with 1000$"),
        ([], False, "^the stream sent no start within 10 s$"),
        ([NO_CALL], False, r"^no start could be used; set aside: malformed start \(1\)$"),
        ([EARLY, EARLY, NO_CALL], False, r"set aside: before the start \(2\), malformed start \(1\)$"),
        ([ALAW], False, r"set aside: a start of sound that is not mu-law at 8 kHz \(1\)$"),
    ],
)
@pytest.mark.virtual_time
async def test_a_stream_without_a_start_is_refused_in_one_line_that_says_what_was_set_aside(
    sent: list[str], close: bool, words: str
) -> None:
    wire = Wire()
    for text in ('{"event": "connected"}', *sent):
        await wire.socket.send(text)
    if close:
        wire.up.close()
    began_s = anyio.current_time()
    with pytest.raises(LineError, match=words):
        await answer(wire.channel)
    assert anyio.current_time() - began_s == (0 if sent or close else 10), "nobody waits for another start"


@pytest.mark.virtual_time
async def test_why_a_message_of_the_stream_cannot_be_used_is_logged_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    """A caller whose sound cannot be read is not merely silent."""
    wire = Wire()
    await wire.socket.send(EARLY)
    line = await answered(wire)
    odd = '{"event": "media", "media": {"track": "both_tracks", "payload": "/w=="}}'
    for text in (odd, odd, EARLY, '{"event": "ping"}', '{"event": "dtmf", "dtmf": {"digits": "12"}}'):
        await wire.socket.send(text)
    wire.up.close()
    await line.run(Log().post)
    reasons = [record.getMessage().rpartition(": ")[2] for record in caplog.records if record.name == "callfsm.twilio"]
    assert reasons == ["malformed media", "of another stream", "malformed dtmf"]


# The end.


def test_the_caller_hangs_up() -> None:
    asked: list[int] = []
    held = call(caller=Silent(50), hang_up=hanging_up(asked))
    assert held.log.of(CallerHungUp, LineClosed) == [CallerHungUp(0.0, "the stream stopped")]
    assert asked == []
    assert held.hung is Hung.CALLER


@pytest.mark.virtual_time
async def test_a_socket_that_ends_is_a_caller_who_hung_up() -> None:
    wire, log = Wire(), Log()
    line = await answered(wire)
    wire.up.close()
    await line.run(log.post)
    assert wire.down.closed
    assert log.of(CallerHungUp) == [CallerHungUp(0.0, "closed with 1000")]


def hanging_up(asked: list[int], then: Callable[[], Awaitable[None]] | None = None) -> Callable[[], Awaitable[None]]:
    """What ends the call at Twilio, and counts how often it is asked."""

    async def hang_up() -> None:
        asked.append(1)
        if then is not None:
            await then()

    return hang_up


def test_a_hang_up_is_carried_out_once_and_then_told() -> None:
    """R47."""
    asked: list[int] = []
    held = call((500, twice(HANG_UP)), (600, HANG_UP), caller=Silent(500), hang_up=hanging_up(asked))
    assert asked == [1]
    assert held.log.of(LineClosed, CallerHungUp) == [LineClosed(0.0), LineClosed(0.0)], "the second wish, after the end, is answered too"
    assert held.hung is Hung.APPLICATION


@pytest.mark.virtual_time
async def test_a_hang_up_before_the_line_opens_ends_the_call_too() -> None:
    asked: list[int] = []
    wire, log = Wire(), Log()
    line = await answered(wire, hang_up=hanging_up(asked))
    line.do(HangUp(Reason.APPLICATION))
    await line.run(log.post)
    assert [type(event) for _, event in log.posted] == [LineClosed]
    assert asked == [1]


def test_a_hang_up_that_fails_or_hangs_is_counted_and_the_stream_is_closed() -> None:
    async def fail() -> None:
        raise LineError("503")

    for then, name in ((fail, "hang-ups failed"), (anyio.sleep_forever, "hang-ups timed out")):
        held = call((500, HANG_UP), caller=Silent(500), hang_up=hanging_up([], then), hang_up_timeout_s=2.0)
        assert held.line.counts[name] == 1
        assert held.log.of(LineClosed) == [LineClosed(0.0)]
        assert held.log.when(LineClosed) == (500 if then is fail else 2_500)
        assert held.hung is Hung.APPLICATION


@pytest.mark.virtual_time
async def test_a_hang_up_is_carried_out_even_when_the_call_is_torn_down() -> None:
    done: list[int] = []

    async def slow() -> None:
        await anyio.sleep(1)
        done.append(1)

    wire, log = Wire(), Log()
    line = await answered(wire, hang_up=slow)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.run, log.post)
        await anyio.sleep(0.1)
        line.do(HangUp(Reason.GOODBYE))
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert wire.down.closed
    assert done == [1]


@pytest.mark.virtual_time
async def test_a_channel_that_takes_nothing_is_a_failed_device_and_can_still_be_hung_up() -> None:
    asked: list[int] = []
    wire, log = Wire(), Log()
    line = await answered(wire, Stuck(wire), hang_up=hanging_up(asked))
    log.on[DeviceFailed] = lambda: line.do(HangUp(Reason.DEVICE_FAILED))
    await line.run(log.post)
    assert log.of(DeviceFailed, LineClosed) == [DeviceFailed(0.0, "the stream took nothing for 5 s"), LineClosed(0.0)]
    assert asked == [1]


class Stuck(ApplicationEnd):
    """A channel that takes nothing."""

    async def send(self, text: str) -> None:
        await anyio.sleep_forever()


def test_a_line_serves_one_call() -> None:
    held = call(caller=Silent(10))
    assert repr(held.line) == f"<TwilioLine {IDS.call} gone>"
    with pytest.raises(RuntimeError, match="serves one call"):
        anyio.run(held.line.run, Log().post)


def test_a_stranger_of_an_effect_is_a_bug() -> None:
    held = call(caller=Silent(10))
    with pytest.raises(ValueError, match="CloseSession"):
        held.line.do(CloseSession())


@pytest.mark.parametrize("ahead_ms", [59, 401, float("nan")])
def test_too_little_or_too_much_ahead_is_refused(ahead_ms: float) -> None:
    held = call(caller=Silent(10))
    with pytest.raises(ValueError, match="from 60 to 400"):
        TwilioLine(held.line._answered, ahead_ms=ahead_ms)
