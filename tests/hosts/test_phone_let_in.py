"""Claims about who the phone server lets in, over real sockets: what is no call's is refused in one line, told and counted."""

import json
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from adapters.hosts.phone.calls import TAKEN_OVER
from adapters.hosts.phone.signature import sign
from adapters.standin.twilio import http
from adapters.standin.twilio.call import CallFailed
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.stream import Hung
from tests.shared.phone_model import (
    TOKEN,
    Lines,
    ToneCaller,
    exchange,
    heard_pitches,
    until_spoken_to,
)
from tests.shared.shell import until
from tests.shared.telephone import Silent


async def test_a_second_stream_takes_the_call_over_and_the_first_is_closed_with_its_reason(log: Lines) -> None:
    """R61: one handler a call id; the old call ends once, is told why, and hangs nobody up."""
    ids = Ids()
    async with exchange() as phone:
        first, second = phone.place(ToneCaller(600), ids=ids), phone.place(ToneCaller(800, length_ms=1_500), ids=ids)
        first.status_callback = ""  # The telephone call goes on.
        async with phone.dialling(first):
            await until_spoken_to(first)
            await phone.dial(second)
        assert first.hung is Hung.APPLICATION
        assert second.hung is Hung.CALLER
        assert heard_pitches(second), "the newcomer is served"
        assert phone.count("taken_over_total") == 1
        assert phone.count("ended_total", reason="caller_hung_up") == 2
        assert phone.rest.calls[ids.call].updates == 0
        assert phone.count("places_taken") == 0
    old, new = log.of("call_ended")
    assert old["detail"] == TAKEN_OVER
    assert old["call"] != new["call"]
    assert {line["call"].partition("-")[0] for line in (old, new)} == {ids.call}


L16 = {"mediaFormat": {"encoding": "audio/x-l16"}}


@pytest.mark.parametrize(("start", "words"), [(L16, "not mu-law"), ({"callSid": None}, "malformed start")])
async def test_a_start_that_cannot_be_used_is_logged_as_that(start: dict[str, Any], words: str, log: Lines) -> None:
    good = {"accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1"}
    async with exchange(token=None) as phone, connect(phone.stream_url) as stream:
        await stream.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": {**good, **start}}))
        await stream.close()
        await until(lambda: phone.count("refused_total", why="no_start") == 1)
    assert words in log.of("refused")[0]["words"]


async def test_a_mistyped_webhook_is_answered_logged_and_counted(log: Lines) -> None:
    async with exchange() as phone, httpx.AsyncClient(base_url=phone.server.url) as client:
        path = await client.post("/voices")
        method = await client.get("/voice")
        assert (path.status_code, method.status_code, method.headers["allow"]) == (404, 405, "POST")
        assert "POST /voice" in path.text
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(phone.server.url.replace("http", "ws") + "/streams"):
                pass
        assert phone.count("refused_total", why="wrong_address") == 3
    assert [line["words"].partition(":")[0] for line in log.of("refused")] == ["POST /voices", "GET /voice", "a stream at /streams"]


async def test_a_call_beyond_the_last_place_hears_busy(log: Lines) -> None:
    async with exchange(max_calls=1) as phone:
        first, second = phone.place(Silent(100)), phone.place(Silent(10))
        async with phone.dialling(first):
            await until(lambda: first.stream is not None)
            await phone.dial(second)
            assert second.rejected == "busy"
            async with httpx.AsyncClient(trust_env=False) as client:
                health = await client.get(f"{phone.server.url}/healthz")
            assert (health.status_code, health.json()) == (200, {"status": "busy", "places": 1, "places_taken": 1})
            first.end(Hung.CALLER)
        third = await phone.dial(phone.place(Silent(5)))
        assert third.rejected == ""
        assert phone.count("refused_total", why="busy") == 1
    assert [line["why"] for line in log.of("refused")] == ["busy"]


async def test_a_stream_with_a_wrong_token_or_of_an_unknown_call_is_refused() -> None:
    async with exchange() as phone:
        url = phone.stream_url
        unknown = phone.place(Silent(100))
        await unknown.dial(url, {"token": "x"})
        assert (unknown.hung, unknown.stream is not None) == (Hung.CUT_OFF, True)
        announced, ids = phone.place(Silent(100)), Ids()
        phone.server.calls.announce(announced.application.ids.call)
        await announced.dial(url, {"token": "guessed"})
        assert announced.hung is Hung.CUT_OFF
        token = phone.server.calls.announce(ids.call)
        once, again = phone.place(Silent(5), ids=ids), phone.place(Silent(5), ids=ids)
        await once.dial(url, {"token": token})
        assert once.hung is Hung.CALLER
        await again.dial(url, {"token": token})
        assert again.hung is Hung.CUT_OFF, "a token is good for one stream"
        assert phone.count("refused_total", why="unknown_call") == 2
        assert phone.count("refused_total", why="wrong_token") == 1
        assert phone.count("began_total") == 1


@pytest.mark.parametrize("token", [None, "another token"])
async def test_nothing_that_twilio_has_not_signed_is_taken(token: str | None) -> None:
    async with exchange() as phone:
        with pytest.raises(CallFailed, match="403"):
            await phone.dial(phone.place(Silent(5), token=token))
        url = phone.stream_url
        with pytest.raises(CallFailed, match="31920"):
            await phone.place(Silent(5), token=token).dial(url, {"token": "x"})
        async with httpx.AsyncClient() as client:
            status = await client.post(f"{phone.server.url}/status", data={"CallSid": "CA1", "CallStatus": "completed"})
        assert status.status_code == 403
        assert phone.count("refused_total", why="wrong_signature") == 3


async def test_the_signature_is_that_of_the_public_url() -> None:
    """A proxy in front changes host and scheme; what Twilio signed is the URL that it was given."""
    ids = Ids()
    async with exchange(public_url="https://phone.example.com/line") as phone, httpx.AsyncClient() as client:
        twilio = http.Application(ids, token=TOKEN)
        fields = twilio._fields("ringing")
        public = "https://phone.example.com/line/voice"
        for signed, query, status in (
            (f"{phone.server.url}/voice", "", 403),
            (f"{public}?a=1%202&b", "?a=1%202", 403),
            (f"{public}?a=1%202&b", "?a=1%202&b", 200),
            (public, "", 200),
        ):
            answer = await client.post(f"{phone.server.url}/voice{query}", data=fields, headers=twilio.headers(signed, fields))
            assert answer.status_code == status
        [stream] = http.read_twiml(answer.content, "https://phone.example.com/line/voice")
        assert (stream.url, stream.status_callback) == (
            "wss://phone.example.com/line/stream",
            "https://phone.example.com/line/status",
        )
        assert list(stream.parameters) == ["token"]


BAD_FORMS = (
    (b"CallSid=CA1&AccountSid=AC1&x=" + b"x" * 40_000, 400),
    (b"&".join(b"a%d=1" % n for n in range(300)), 400),
    (b"\xff\xfe", 400),
    (b"CallSid=CA1", 400),
    (b"CallSid=../../etc&AccountSid=AC1", 400),
    (b"CallSid=CA1&AccountSid=AC2", 403),
)


async def test_a_form_that_is_none_is_refused() -> None:
    async with exchange(token=None, account="AC1") as phone, httpx.AsyncClient() as client:
        for body, status in BAD_FORMS:
            answer = await client.post(f"{phone.server.url}/voice", content=body)
            assert (answer.status_code, len(answer.text.splitlines())) == (status, 1)
        assert phone.count("places_taken") == 0
        assert phone.count("refused_total", why="bad_request") == len(BAD_FORMS) - 1


async def test_a_form_that_does_not_come_whole_is_given_up(log: Lines) -> None:
    """Too slow, or cut off: neither holds a task for long, nor fills the log."""
    head = (
        b"POST /voice HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 50\r\n\r\nCallSid="
    )
    async with exchange(token=None, start_s=0.2) as phone:
        port = int(phone.server.url.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as slow, await anyio.connect_tcp("127.0.0.1", port) as cut:
            await slow.send(head)
            await cut.send(head)
            await cut.aclose()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await slow.receive()
        assert phone.count("refused_total", why="silent") == 1
    assert {line["event"] for line in log.lines} == {"refused"}


async def test_the_answer_to_a_webhook_is_well_formed_whatever_the_host_says() -> None:
    """Where no public URL is set the Host header names the stream; what a proxy says of itself is not believed."""
    fields = http.Application(Ids())._fields("ringing")
    said = {"Host": 'a"b&c.d', "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    async with exchange() as phone, httpx.AsyncClient() as client:
        signed = {**said, "X-Twilio-Signature": sign('http://a"b&c.d/voice?x=1', fields.items(), TOKEN)}
        answer = await client.post(f"{phone.server.url}/voice?x=1", data=fields, headers=signed)
        [stream] = http.read_twiml(answer.content, f"{phone.server.url}/voice")
        assert (stream.url, stream.status_callback) == ('ws://a"b&c.d/stream', 'http://a"b&c.d/status')


async def test_a_host_that_is_none_is_not_signed() -> None:
    async with exchange() as phone, httpx.AsyncClient() as client:
        for host in ("[", "a:b", "a:99999"):
            answer = await client.post(f"{phone.server.url}/voice", data={"CallSid": "CA1"}, headers={"Host": host})
            assert answer.status_code == 403


async def test_a_stream_of_what_is_no_message_harms_itself_alone(log: Lines) -> None:
    """Binary and odd frames are set aside; text that is no UTF-8 closes that stream, as WebSockets demand."""
    start = {"accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "mediaFormat": _MULAW}
    odd = (b"\x00" * 160, "[", '{"event": "media"}', '{"event": "start", "start": {}}', "x" * 60_000)
    async with exchange(token=None) as phone:
        call = phone.place(Silent(60), token=None)
        async with phone.dialling(call):
            await until(lambda: phone.count("began_total") == 1)
            start["customParameters"] = {"token": phone.server.calls.announce("CA1")}
            async with connect(phone.stream_url) as stream:
                await stream.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))
                for message in odd:
                    await stream.send(message)
                await until(lambda: phone.count("began_total") == 2)
                await stream.send(b"\xff\xfe", text=True)
                await stream.wait_closed()
                assert stream.close_code == 1007
        assert (call.hung, call.duration_ms) == (Hung.CALLER, 1_200)
        assert phone.count("messages_set_aside_total") == len(odd)
        assert phone.count("crashed_total") == 0


_MULAW = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}


async def test_a_stream_that_never_starts_is_closed() -> None:
    async with exchange(token=None, start_s=1.0) as phone:
        url = phone.stream_url
        async with connect(url) as silent, connect(url) as early, connect(url) as large:
            await early.close()
            await large.send("x" * 70_000)
            await silent.wait_closed()
            await large.wait_closed()
            assert (silent.close_code, large.close_code) == (1008, 1009)
            assert "no start" in (silent.close_reason or "")
        await until(lambda: phone.count("refused_total", why="no_start") == 3)
