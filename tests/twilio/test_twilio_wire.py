"""Claims about the wire of Twilio Media Streams: every documented message is read, and nothing else gets through or raises."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from adapters.twilio import wire
from adapters.twilio.wire import Connected, Marked, Media, Pressed, Started, Stopped, Unreadable, Wire, read

SID, CALL, ACCOUNT = "MZ" + "1" * 32, "CA" + "2" * 32, "AC" + "3" * 32
SOUND = bytes(range(160))
PAYLOAD = base64.b64encode(SOUND).decode()
START = {
    "accountSid": ACCOUNT,
    "streamSid": SID,
    "callSid": CALL,
    "tracks": ["inbound"],
    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    "customParameters": {"token": "secret"},
}
STARTED = Started(SID, CALL, ACCOUNT, {"token": "secret"})


def text(event: str, number: int | None = None, **fields: Any) -> str:
    """A message of Twilio's."""
    numbered = {} if number is None else {"sequenceNumber": str(number)}
    sid = {} if event == "connected" else {"streamSid": SID}
    return json.dumps({"event": event, **numbered, **sid, **fields})


def sound(number: int | None = None, **more: Any) -> str:
    return text("media", number, media={"track": "inbound", "chunk": "1", "timestamp": "20", "payload": PAYLOAD, **more})


def opened() -> Wire:
    """A wire whose stream has begun."""
    made = Wire()
    made.receive(text("start", 1, start=START))
    return made


def changed(event: str, *path: str, to: Any) -> str:
    """A good message with one field changed; `...` takes it away."""
    good = {
        "start": {"start": START},
        "media": {"media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": PAYLOAD}},
        "mark": {"mark": {"name": "m1"}},
        "dtmf": {"dtmf": {"track": "inbound_track", "digit": "5"}},
        "stop": {"stop": {"accountSid": ACCOUNT, "callSid": CALL}},
    }[event]
    fields = json.loads(text(event, 2, **good))
    inner = fields
    for name in path[:-1]:
        inner = inner[name]
    if to is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(fields)


# What Twilio sends.


def test_every_message_of_the_documentation_is_read() -> None:
    messages = {
        text("connected", protocol="Call", version="1.0.0"): Connected(),
        text("start", 1, start=START): STARTED,
        sound(2): Media(SID, SOUND, 20),
        text("mark", 3, mark={"name": "m1"}): Marked(SID, "m1"),
        text("dtmf", 4, dtmf={"track": "inbound_track", "digit": "#"}): Pressed(SID, "#"),
        text("stop", 5, stop={"accountSid": ACCOUNT, "callSid": CALL}): Stopped(SID),
    }
    stream = Wire()
    assert [stream.receive(message) for message in messages] == list(messages.values())
    assert (stream.started, stream.gaps, stream.quarantined) == (STARTED, 0, {})


def test_what_is_sent_is_what_the_documentation_shows() -> None:
    assert json.loads(wire.media(SID, SOUND)) == {"event": "media", "streamSid": SID, "media": {"payload": PAYLOAD}}
    assert json.loads(wire.mark(SID, "m1")) == {"event": "mark", "streamSid": SID, "mark": {"name": "m1"}}
    assert json.loads(wire.clear(SID)) == {"event": "clear", "streamSid": SID}


def test_custom_parameters_and_sound_are_in_no_repr() -> None:
    assert "secret" not in repr(STARTED)
    assert "\\x01" not in repr(Media(SID, SOUND))


# What is set aside.


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b'\xff{"event": "connected"}', "not text"),
        ("", "not JSON"),
        ("[" * 5_000, "not JSON"),
        ('{"event": "media", "media": NaN}', "not JSON"),
        ("[]", "not an object"),
        ('"media"', "not an object"),
        ("{}", "unknown event"),
        ('{"event": ["media"]}', "unknown event"),
        (text("warning"), "unknown event"),
        (sound(more="x" * wire.MAX_MESSAGE_CHARS), "oversized"),
        (sound(payload=base64.b64encode(bytes(wire.MAX_OCTETS + 1)).decode()), "malformed media"),
        (sound(payload=""), "malformed media"),
        (sound(payload="a"), "malformed media"),
        (sound(payload="äää="), "malformed media"),
        (sound(payload=PAYLOAD + "*"), "malformed media"),
        (sound(track="outbound"), "malformed media"),
        (changed("media", "media", to=None), "malformed media"),
        (changed("media", "media", "payload", to=...), "malformed media"),
        (changed("media", "streamSid", to="M" * 257), "malformed media"),
        (changed("mark", "mark", "name", to=[7]), "malformed mark"),
        (changed("mark", "mark", "name", to=True), "malformed mark"),
        (changed("media", "streamSid", to=[SID]), "malformed media"),
        (changed("dtmf", "dtmf", "digit", to="12"), "malformed dtmf"),
        (changed("dtmf", "dtmf", "digit", to="E"), "malformed dtmf"),
        (changed("start", "start", "mediaFormat", to={"encoding": "audio/x-alaw", "sampleRate": 8000, "channels": 1}), wire.NOT_MULAW),
        (changed("start", "start", "mediaFormat", "encoding", to="audio/x-l16"), wire.NOT_MULAW),
        (changed("start", "start", "mediaFormat", "sampleRate", to="16000"), wire.NOT_MULAW),
        (changed("start", "start", "mediaFormat", "sampleRate", to="8 kHz"), wire.NOT_MULAW),
        (changed("start", "start", "mediaFormat", "channels", to=2), wire.NOT_MULAW),
        (changed("start", "start", "customParameters", to=["a"]), "malformed start"),
        (changed("start", "start", "callSid", to=...), "malformed start"),
        (changed("start", "start", "callSid", to="../../etc"), "malformed start"),
        (changed("start", "start", "callSid", to="a/b"), "malformed start"),
        (changed("start", "start", "callSid", to=".."), "malformed start"),
        (changed("start", "start", "callSid", to="CA 1"), "malformed start"),
        (changed("start", "start", "accountSid", to="AC1/../AC2?"), "malformed start"),
        (changed("start", "start", "streamSid", to='MZ"'), "malformed start"),
        (changed("start", "start", to=["MZ1"]), "malformed start"),
        (changed("start", "start", "mediaFormat", to="audio/x-mulaw"), "malformed start"),
        (changed("media", "media", "chunk", to={"a": []}) + "}", "not JSON"),
        ('{"event": "media", "media": ' + "9" * 5_000 + "}", "not JSON"),
        (changed("start", "streamSid", to="MZother"), "malformed start"),
    ],
)
def test_a_message_that_is_none_is_set_aside_by_its_reason(message: str | bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        read(message)
    stream = Wire()
    assert stream.receive(message) is None
    assert stream.quarantined == {reason: 1}


def test_a_message_in_a_binary_frame_is_read_as_its_text() -> None:
    """R102."""
    assert read(sound().encode()) == read(sound())


def test_sound_before_the_start_is_ignored() -> None:
    """R40."""
    stream = Wire()
    assert stream.receive(sound(1)) is None
    assert stream.quarantined == {"before the start": 1}


def test_sound_of_another_stream_is_ignored() -> None:
    """R09."""
    stream = opened()
    assert stream.receive(sound(2).replace(SID, "MZother")) is None
    assert stream.quarantined == {"of another stream": 1}


def test_a_second_start_changes_nothing() -> None:
    stream = opened()
    assert stream.receive(text("start", 2, start={**START, "callSid": "CAother"})) is None
    assert stream.started == STARTED
    assert stream.quarantined == {"a second start": 1}


def test_what_comes_twice_or_late_is_set_aside() -> None:
    stream = opened()
    assert [stream.receive(sound(number)) is None for number in (2, 3, 3, 2, 4)] == [False, False, True, True, False]
    assert stream.quarantined == {"out of order": 2}


def test_missing_numbers_are_counted_and_no_more() -> None:
    stream = opened()
    assert stream.receive(sound(5)) is not None
    assert stream.gaps == 3


@pytest.mark.parametrize("far", [wire.MAX_GAP + 4, 10**17])
def test_a_number_far_ahead_does_not_make_all_others_late(far: int) -> None:
    """Whether it is a jump or a mistake: what follows it or the one before it is heard, but for one message."""
    stream = opened()
    assert [stream.receive(sound(number)) is None for number in (2, far, 3, 4, 5)] == [False, False, True, False, False]
    assert (stream.gaps, stream.quarantined) == (0, {"out of order": 1})
    stream = opened()
    assert [stream.receive(sound(number)) is None for number in (2, far, far + 1, far + 2)] == [False] * 4
    new = Wire()
    assert new.receive(text("start", far, start=START)) == STARTED


@pytest.mark.parametrize("first", [0, 1, 7])
def test_numbers_that_begin_anew_cost_one_message(first: int) -> None:
    stream = opened()
    numbers = [*range(2, 600), *range(first, 600)]
    assert [stream.receive(sound(number)) for number in numbers].count(None) == 1
    assert stream.quarantined == {"out of order": 1}


@pytest.mark.parametrize("numbers", [[1] * 500, list(range(500, 0, -1)), [0, 5] * 250])
def test_numbers_that_mean_nothing_do_not_make_the_caller_deaf(numbers: list[int]) -> None:
    stream = opened()
    assert [stream.receive(sound(number)) for number in numbers].count(None) <= 2 * wire.MISNUMBERED


# How compatible carriers write it.


@pytest.mark.parametrize("sid", ["b4eaa4ee-1f8c-4a55-9d4b-0c8f5f1f0001", "v3:9X2vxPDFY2RHSJ1EdMS0_RHR-q.w~", "7", "a" * 256])
def test_an_id_may_have_any_form_that_cuts_nothing_apart(sid: str) -> None:
    stream = Wire()
    start = {**START, "streamSid": sid, "callSid": sid, "accountSid": sid}
    message = json.loads(text("start", 1, start=start)) | {"streamSid": sid}
    assert stream.receive(json.dumps(message)) == Started(sid, sid, sid, {"token": "secret"})
    assert stream.receive(sound(2).replace(SID, sid)) == Media(sid, SOUND, 20)
    assert json.loads(wire.media(sid, SOUND))["streamSid"] == sid


@pytest.mark.parametrize(
    "layout",
    [
        ...,
        None,
        {},
        {"encoding": None, "sampleRate": None},
        {"encoding": "audio/x-mulaw", "sampleRate": "8000", "channels": "1"},
        {"encoding": "audio/PCMU", "sampleRate": 8000.0},
        {"encoding": "MULAW"},
        {"encoding": "g711_ulaw"},
        {"encoding": "audio/basic"},
        {"encoding": "mu-law", "bitRate": 64},
        {"encoding": "audio/PCMU;rate=8000"},
        {"encoding": "audio/x-mulaw; rate=8000; channels=1", "sampleRate": 8000},
    ],
)
def test_sound_whose_coding_is_not_said_or_said_otherwise_is_mulaw(layout: Any) -> None:
    """R102."""
    assert read(changed("start", "start", "mediaFormat", to=layout))[0] == STARTED


TELNYX = {
    "event": "start",
    "sequence_number": "1",
    "stream_id": SID,
    "start": {
        "user_id": ACCOUNT,
        "call_control_id": "v3:u5OAKGEPT3Dx8SZSSDRWEMdNH2OripQhO",
        "custom_parameters": {"token": "secret", "call_sid": "theirs"},
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    },
}
EXOTEL = {
    "event": "start",
    "sequence_number": "1",
    "stream_sid": SID,
    "start": {
        "stream_sid": SID,
        "call_sid": CALL,
        "account_sid": ACCOUNT,
        "custom_parameters": {"token": "secret"},
        "media_format": {"encoding": "audio/x-mulaw", "sample_rate": "8000"},
    },
}


@pytest.mark.parametrize(
    ("start", "name", "meant"),
    [
        (TELNYX, "stream_id", ("v3:u5OAKGEPT3Dx8SZSSDRWEMdNH2OripQhO", "", {"token": "secret", "call_sid": "theirs"})),
        (EXOTEL, "stream_sid", (CALL, ACCOUNT, {"token": "secret"})),
    ],
)
def test_a_carrier_whose_names_have_underscores_is_read_and_answered_in_its_own(
    start: dict[str, Any], name: str, meant: tuple[Any, ...]
) -> None:
    """R102: Telnyx's and Exotel's documentation; sound that is not mu-law is refused as anybody's."""
    stream = Wire()
    assert stream.receive(json.dumps(start)) == Started(SID, *meant, stream_name=name)
    heard = {"event": "media", "sequence_number": "3", name: SID, "media": {"track": "inbound", "timestamp": "40", "payload": PAYLOAD}}
    assert stream.receive(json.dumps(heard)) == Media(SID, SOUND, 40)
    assert stream.receive(json.dumps(heard)) is None
    assert (stream.gaps, stream.quarantined) == (1, {"out of order": 1})
    assert json.loads(wire.media(SID, SOUND, name)) == {"event": "media", name: SID, "media": {"payload": PAYLOAD}}
    assert json.loads(wire.mark(SID, "m1", name)) == {"event": "mark", name: SID, "mark": {"name": "m1"}}
    assert json.loads(wire.clear(SID, name)) == {"event": "clear", name: SID}
    raw = {**start, "start": {**start["start"], "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"}}}
    with pytest.raises(Unreadable, match=wire.NOT_MULAW):
        read(json.dumps(raw))


def test_numbers_may_begin_with_nought() -> None:
    """The start is believed whatever its number, and the next ones follow it."""
    for first in (0, 1, 7):
        stream = Wire()
        assert stream.receive(text("start", first, start=START)) == STARTED
        assert [stream.receive(sound(number)) is None for number in (first + 1, first + 2)] == [False, False]
        assert (stream.gaps, stream.quarantined) == (0, {})


def test_sound_may_be_written_in_either_base64_with_line_breaks_and_without_its_padding() -> None:
    octets = b"\xff\xfe\xfb" * 53 + b"\xff"
    for written in (
        base64.b64encode(octets),
        base64.urlsafe_b64encode(octets),
        base64.b64encode(octets).rstrip(b"="),
        base64.encodebytes(octets),
    ):
        assert read(sound(payload=written.decode()))[0] == Media(SID, octets, 20)


def test_numbers_and_truth_may_stand_for_texts_and_null_for_nothing() -> None:
    given = {"token": "secret", "n": 7, "share": 0.5, "vip": True, "note": None}
    meant = {"token": "secret", "n": "7", "share": "0.5", "vip": "true", "note": ""}
    unread = {"headers": {"x": "y"}, "flags": ["a"]}
    started, _ = read(changed("start", "start", "customParameters", to=given | unread))
    assert started == Started(SID, CALL, ACCOUNT, meant)
    for absent in (..., None):
        assert read(changed("start", "start", "customParameters", to=absent))[0] == Started(SID, CALL, ACCOUNT, {})
        assert read(changed("start", "start", "accountSid", to=absent))[0] == Started(SID, CALL, "", {"token": "secret"})
        assert read(changed("start", "start", "streamSid", to=absent))[0] == STARTED
        assert read(changed("media", "streamSid", to=absent))[0] == Media("", SOUND, 20)
        assert read(changed("media", "media", "track", to=absent))[0] == Media(SID, SOUND, 20)
    assert read(changed("start", "streamSid", to=...))[0] == STARTED
    assert read(changed("mark", "mark", "name", to=7))[0] == Marked(SID, "7")
    assert read(changed("dtmf", "dtmf", "digit", to=5))[0] == Pressed(SID, "5")
    assert read(changed("dtmf", "dtmf", "digit", to="a"))[0] == Pressed(SID, "A")


ODD = ("-1", -1, "٢", "", True, "1" * 19, 10**19, 1.5, None, [])


@pytest.mark.parametrize(("given", "meant"), [(20, 20), ("20", 20), (20.0, 20), *((odd, None) for odd in ODD)])
def test_a_number_that_is_none_says_nothing_and_takes_nothing_from_the_sound(given: Any, meant: int | None) -> None:
    assert read(changed("media", "media", "timestamp", to=given)) == (Media(SID, SOUND, meant), 2)
    assert read(changed("media", "sequenceNumber", to=given)) == (Media(SID, SOUND, 20), meant)


def test_what_does_not_say_its_stream_is_of_this_one() -> None:
    stream = opened()
    assert stream.receive(changed("media", "streamSid", to=...)) == Media("", SOUND, 20)


def test_chunks_may_come_in_any_order_as_the_messages_are_numbered() -> None:
    stream = opened()
    assert [stream.receive(sound(number, chunk=str(chunk))) is None for number, chunk in ((2, 7), (3, 5), (4, -1))] == [False] * 3


def test_numbers_are_not_needed() -> None:
    stream = opened()
    assert stream.receive(sound()) == stream.receive(sound())
    assert stream.quarantined == {}


def test_the_stop_is_believed_whatever_its_number() -> None:
    stream = opened()
    stream.receive(sound(9))
    assert stream.receive(text("stop", 3, stop={})) == Stopped(SID)


def test_nothing_comes_after_the_stop() -> None:
    stream = opened()
    stream.receive(text("stop", 2, stop={}))
    assert stream.receive(sound(3)) is None
    assert stream.quarantined == {"after the stop": 1}


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


def nested(inner: "st.SearchStrategy[Any]") -> "st.SearchStrategy[Any]":
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)


JSON = st.recursive(LEAVES, nested, max_leaves=6)
NAMES = ("streamSid", "sequenceNumber", "start", "media", "mark", "dtmf", "stop")
EVENTS = st.sampled_from(("start", "media", "mark", "dtmf", "stop"))
LIKELY = st.fixed_dictionaries({"event": EVENTS}, optional=dict.fromkeys(NAMES, JSON)).map(json.dumps)


@given(st.lists(st.text(max_size=20) | LIKELY, max_size=8))
def test_nothing_that_comes_raises_and_all_of_it_is_counted(messages: list[str]) -> None:
    stream = opened()
    taken = [stream.receive(message) for message in messages]
    assert sum(stream.quarantined.values()) == taken.count(None)
