"""Claims about Twilio's stand-in: what it takes, what it plays, its webhooks and its REST API, strict and as documented."""

import base64
import json
from typing import Any

import httpx
import numpy as np
import pytest

from adapters.seam import mulaw
from adapters.standin.twilio import grammar, http
from adapters.standin.twilio.buffer import Buffer
from adapters.standin.twilio.ears import Ears
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.rest import Calls, serve_rest
from tests.shared.phone_model import TOKEN
from tests.shared.telephone import QUIET

FRAME = bytes(range(160))
LOUD = mulaw.encode((9_000 * np.sin(2 * np.pi * 400 * np.arange(160) / 8_000)).astype("<i2").tobytes())


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

LONG = b'<Response><Connect><Stream url="wss://a/b"><Parameter name="who" value="me"/></Stream></Connect></Response>'


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
        (LONG.replace(b'me"', b"x" * 498 + b'"'), "501 char"),
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
async def test_a_call_is_ended_by_whoever_may(account: str, password: str, call: str, status: str, answered: int, ended: int) -> None:
    asked: list[int] = []

    async with serve_rest(Calls(Ids("AC1", "CA1"), TOKEN, lambda: asked.append(1))) as root, httpx.AsyncClient() as client:
        url = f"{root}/2010-04-01/Accounts/AC1/Calls/{call}.json"
        response = await client.post(url, data={"Status": status}, auth=(account, password))
    assert response.status_code == answered
    assert response.json()["sid" if answered == 200 else "code"]
    assert len(asked) == ended
