"""Claims about faults in the Chatterbox port: repeated while it helps, halved once, handed to the fallback, told in one line."""

import gzip
from contextlib import suppress

import anyio
import attrs
import numpy as np
import pytest

from adapters.audio.wav import MAX_AUDIO_S
from adapters.chatterbox import fallback as chatterbox_fallback, source as chatterbox_source
from adapters.chatterbox.figures import Count
from adapters.chatterbox.port import check
from adapters.chatterbox.servers import DIALECTS, Server as Asked
from fsm.call.effects import Synthesise
from fsm.call.events import ErrorReceived, SynthesisDiscarded, SynthesisFailed
from tests.shared.shell import until
from tests.shared.speech import (
    PATIENCE_S,
    Ends,
    Played,
    Reply,
    Request,
    always,
    answering,
    each_backend,
    free_port,
    never,
    saying,
    seed,
    sine,
    voicing,
    wav,
)

SOUND = wav(sine(1))


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds."""
    monkeypatch.setattr(chatterbox_fallback, "CHECK_S", 0.05)
    monkeypatch.setattr(chatterbox_source, "PAUSES_S", (0.01, 0.02, 0.03))


@attrs.define
class Scripted:
    """Answers with each reply in turn, and with the last one for ever; a health check is answered by `health`."""

    replies: list[Reply]
    health: Reply = attrs.field(factory=Reply)
    said: list[str] = attrs.field(factory=list)
    field: str = "text"

    async def __call__(self, request: Request) -> Reply:
        if request.path == "/health":
            return self.health
        self.said.append(request.json()[self.field])
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


async def sound_of(ends: Ends, session_id: str, size: int) -> bytes:
    """The sound of a sentence, once there is so much of it."""
    with anyio.fail_after(PATIENCE_S):
        while len(ends.pcm(session_id)) < size:
            await ends.until(Played, session_id)
            await anyio.sleep(0.01)
    return ends.pcm(session_id)


@each_backend
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, b'{"detail": "text:\\n no words"}', "the server answered 400: text: no words"),
        (400, b'{"error": {"message": "no such voice"}}', "the server answered 400: no such voice"),
        (422, b'{"detail": [{"input": "what was to be said"}]}', "the server answered 422"),
        (401, b"", "the server answered 401"),
        (404, b"", "the server answered 404"),
        (302, b"", "the server answered 302, which points elsewhere: give the url that it points to"),
        (200, b"", "that is no WAV: it is empty"),
        (200, b"RIFF", "that is no WAV"),
        (200, b'{"audio": "UklGRg=="}', "that is no WAV but JSON"),
        (200, b'{"detail": "Voice \'Emily\' not found"}', "the server answered 200: Voice 'Emily' not found"),
        (200, b"\x00" * 400, "that is no WAV"),
        (200, b"ID3" + b"\x00" * 400, "that is no WAV but an MP3"),
        (200, SOUND[:-100], "the WAV is cut off: 48000 bytes are declared and 47900 came"),
        (200, wav(np.zeros(0, "<i2")), "the WAV holds no sound"),
        (200, wav(np.zeros(4_000 * MAX_AUDIO_S + 1, "<i2"), rate=4_000), "the WAV lasts more than 120 s"),
    ],
)
async def test_a_bad_answer_fails_the_sentence_in_one_line_at_once(status: int, body: bytes, words: str) -> None:
    server = Scripted([Reply(status, body)])
    async with answering(server) as url, saying("Hello.", seed(url)) as (ends, _):
        assert (await ends.until(SynthesisFailed, "s")).reason == words
    assert ends.played == []
    assert len(server.said) == 1


@each_backend
@pytest.mark.parametrize(
    "fault",
    [
        *[Reply(500), Reply(503), Reply(429, headers=("Retry-After: 0",)), Reply(200, SOUND[:9_000], whole=False)],
        *[Reply(200, wav(sine(40))), Reply(201, b'{"error": "no GPU"}')],
        *[Reply(200, b'{"error": "no GPU"}'), Reply(200, parts=(b'{"er', b'ror": {"mess', b'age": "no GPU"}}'))],
    ],
)
async def test_a_passing_fault_is_tried_again(fault: Reply) -> None:
    server = Scripted([fault, Reply(200, SOUND)])
    async with answering(server) as url, saying("Hello.", seed(url)) as (ends, port):
        await ends.until(Played, "s")
    assert server.said == ["Hello."] * 2
    assert ends.pcm("s") == SOUND[44:]
    assert dict(port.figures.lines())["requests repeated"] == "1"


@each_backend
@pytest.mark.usefixtures("soon")
async def test_a_server_that_goes_on_failing_fails_the_sentence_after_four_requests() -> None:
    server = Scripted([Reply(500, b'{"detail": "no GPU"}')])
    async with answering(server) as url, saying("Hello.", seed(url)) as (ends, _):
        assert (await ends.until(SynthesisFailed, "s")).reason == "the server answered 500: no GPU"
    assert len(server.said) == 4


@each_backend
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("wait", ["²", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
async def test_a_pause_that_is_none_is_our_own(wait: str) -> None:
    server = Scripted([Reply(429, headers=(f"Retry-After: {wait}",)), Reply(200, SOUND)])
    async with answering(server) as url, saying("Hello.", seed(url)) as (ends, _):
        await ends.until(Played, "s")


@each_backend
@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, headers=("Retry-After: 7",)),
        Reply(429, headers=("Retry-After: 7.5",)),
        Reply(503, headers=("Date: Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After: Wed, 21 Oct 2015 07:28:07 GMT")),
        Reply(429, headers=("x-ratelimit-reset-requests: 7s", "x-ratelimit-remaining-requests: 0")),
        Reply(429, b'{"retry_after": 7}'),
        Reply(429, b'{"detail": "Busy. Try again in 7 s"}'),
    ],
    ids=lambda reply: repr(reply.headers or reply.body),
)
async def test_the_pause_that_the_server_asks_for_is_kept(reply: Reply) -> None:
    server = Scripted([reply, Reply(200, SOUND)])
    async with answering(server) as url, saying("Hello.", seed(url), timeout_s=7.0) as (ends, _):
        assert (await ends.until(SynthesisFailed, "s")).reason.startswith(f"the server answered {reply.status}")
    assert len(server.said) == 1, "there is no time for it"


@each_backend
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(200, b'{"error": {"message": "no GPU"}}'), "the server answered 200: no GPU"),
        (Reply(200, b'[{"loc": ["body", "text"], "msg": "field required"}]'), "the server answered 200: body.text: field required"),
        (Reply(200, b"<html></html>", headers=("Content-Type: text/html; charset=utf-8",)), "that is no WAV but text/html"),
        (Reply(200, bytes(9_000), headers=("Content-Type: audio/aac",)), "that is no WAV but audio/aac"),
        (Reply(200, bytes(9_000), headers=("Content-Type: audio/wav",)), "that is no WAV"),
    ],
    ids=lambda value: repr(getattr(value, "body", value))[:40],
)
async def test_what_is_no_sound_says_what_it_is(reply: Reply, reason: str) -> None:
    """R108: an error that is told with 200 is told in its own words."""
    async with answering(Scripted([reply])) as url, saying("Hello.", seed(url)) as (ends, _):
        assert (await ends.until(SynthesisFailed, "s")).reason == reason


@each_backend
@pytest.mark.parametrize("dialect", ["seed", "travisvn"])
async def test_sound_is_asked_for_unpacked_and_heard_where_it_comes_packed_all_the_same(dialect: str) -> None:
    heads: list[str] = []

    async def packs(request: Request) -> Reply:
        heads.append(request.head)
        packed = gzip.compress(SOUND)
        return Reply(parts=(packed[:1_000], packed[1_000:]), headers=("Content-Encoding: gzip",))

    async with answering(packs) as url, saying("Hello.", Asked(url=url, dialect=dialect)) as (ends, _):
        assert await sound_of(ends, "s", len(SOUND) - 44) == SOUND[44:]
    assert "Accept-Encoding: identity" in heads[0]


@each_backend
async def test_what_is_called_packed_and_is_not_says_so() -> None:
    async with (
        answering(Scripted([Reply(200, SOUND, headers=("Content-Encoding: gzip",))])) as url,
        saying("Hello.", seed(url)) as (ends, _),
    ):
        assert (await ends.until(SynthesisFailed, "s")).reason == "the answer is packed, and cannot be unpacked"


@each_backend
async def test_what_unpacks_to_a_thousand_times_its_size_is_refused() -> None:
    bomb = gzip.compress(SOUND + bytes(60_000_000))
    async with (
        answering(Scripted([Reply(200, bomb, headers=("Content-Encoding: gzip",))])) as url,
        saying("Hello.", seed(url)) as (ends, _),
    ):
        assert (await ends.until(SynthesisFailed, "s")).reason == "the answer is packed, and a part of it is more than 4000000 bytes"


SILENCES = {"of zeros": wav(np.zeros(24_000, "<i2")), "at another rate": wav(np.zeros(22_050, "<i2"), rate=22_050)}


@each_backend
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("dialect", ["seed", "travisvn"])
@pytest.mark.parametrize("silence", SILENCES)
async def test_a_sentence_of_silence_alone_is_none(silence: str, dialect: str) -> None:
    """R91: it was heard as nothing, and remembered as said; a model that fails so once may do it well the next time."""
    server = Scripted([Reply(200, SILENCES[silence]), Reply(200, SOUND)], field=DIALECTS[dialect].text)
    async with answering(server) as url, saying("Hello.", Asked(url=url, dialect=dialect)) as (ends, port):
        assert await sound_of(ends, "s", len(SOUND) - 44) == SOUND[44:]
        server.replies = [Reply(200, SILENCES[silence])]
        port.do(Synthesise("s2", "r", "Hello."))
        assert (await ends.until(SynthesisFailed, "s2")).reason == "its sound is 1.0 s of silence alone"


@each_backend
async def test_the_silence_before_a_voice_is_heard_with_it() -> None:
    quiet = wav(np.concatenate([np.zeros(12_000, "<i2"), sine(1)]))
    parts = tuple(quiet[at : at + 4_800] for at in range(0, len(quiet), 4_800))
    async with (
        answering(Scripted([Reply(parts=parts)], field="input")) as url,
        saying("Hello.", Asked(url=url, dialect="travisvn")) as (ends, _),
    ):
        assert await sound_of(ends, "s", len(quiet) - 44) == quiet[44:]


@each_backend
async def test_a_connection_that_fails_for_another_reason_than_a_refusal_says_so() -> None:

    async def plainly(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 X\r\n\r\n")

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, plainly)
        with pytest.raises(ConnectionError, match=r"no connection: \[SSL"):
            await check(seed(f"https://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"))
        group.cancel_scope.cancel()


@each_backend
async def test_a_redirect_is_not_followed_and_says_what_to_do() -> None:
    async with answering(always(307, headers=("Location: http://127.0.0.1:1/",))) as url:
        with pytest.raises(ConnectionError, match="answered 307, which points elsewhere: give the url that it points to"):
            await check(seed(url))


@each_backend
async def test_control_characters_are_not_sent_to_the_voice() -> None:
    server = Scripted([Reply(200, SOUND)])
    async with answering(server) as url, saying("One\0\x07 two\x9f\u200d.", seed(url)) as (ends, _):
        await ends.until(Played, "s")
    assert server.said == ["One two."]


@each_backend
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_voice_is_given_words_in_each_dialect(dialect: str) -> None:
    """R100: what the model wrote for the eye stays in the effect, and so in what it is told that it said (R34)."""
    server = Scripted([Reply(200, SOUND)], field=DIALECTS[dialect].text)
    text = '## Hours\n- **Monday** at `9:00`, see [our site](https://shop.example/h?x=1) 😀 and "ask"'
    async with answering(server) as url, saying(text, Asked(url=url, dialect=dialect, voice="v")) as (ends, _):
        await ends.until(Played, "s")
    assert server.said == ["Hours. Monday at 9:00, see our site and ask"]


@each_backend
async def test_what_holds_no_words_is_not_asked_for_and_fails_nothing() -> None:
    server = Scripted([Reply(200, SOUND)])
    async with answering(server) as url, saying("```python\nx = 1\n```", seed(url)) as (ends, _):
        await ends.until(SynthesisDiscarded, "s")
    assert server.said == []


@each_backend
@pytest.mark.usefixtures("soon")
async def test_a_text_far_beyond_the_servers_limit_costs_two_requests() -> None:
    server = Scripted([Reply(422, b'{"detail": [{"type": "string_too_long"}]}')])
    async with answering(server) as url, saying("word " * 2_000, seed(url)) as (ends, _):
        assert (await ends.until(SynthesisFailed, "s")).reason == "the server answered 422"
    assert [len(text) for text in server.said] == [9_999, 4_999]


@each_backend
async def test_no_request_is_repeated_when_the_sentences_time_would_be_over() -> None:
    server = Scripted([Reply(503, headers=("Retry-After: 60",))])
    async with answering(server) as url, saying("Hello.", seed(url)) as (ends, _):
        await ends.until(SynthesisFailed, "s")
    assert len(server.said) == 1


@each_backend
@pytest.mark.usefixtures("soon")
async def test_a_refused_connection_is_tried_again_and_then_fails_the_sentence() -> None:
    port_number = free_port()
    async with saying("Hello.", seed(f"http://127.0.0.1:{port_number}")) as (ends, port):
        assert (await ends.until(SynthesisFailed, "s")).reason == "the connection was refused"
        assert port.figures.counts[Count.RETRIED] == 3
        async with answering(always(200, SOUND), port=port_number):
            port.do(Synthesise("later", "r", "Hello."))
            await ends.until(Played, "later")


@each_backend
async def test_a_server_that_was_restarted_between_two_sentences_is_reached_without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection that was kept is dead: the server closes it as it reads the second request."""
    monkeypatch.setattr(chatterbox_source, "PAUSES_S", (60.0,))
    requests = 0

    async def serve(stream: anyio.abc.ByteStream) -> None:
        nonlocal requests
        async with stream:
            with suppress(anyio.EndOfStream):
                while True:
                    head = b""
                    while b"}" not in head:
                        head += await stream.receive()
                    requests += 1
                    if requests == 2:
                        return
                    await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(SOUND), SOUND))

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        async with voicing(seed(f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}")) as (ends, port):
            for name in ("one", "two"):
                port.do(Synthesise(name, "r", "Hello."))
                await ends.until(Played, name)
        group.cancel_scope.cancel()
    assert requests == 3


@each_backend
@pytest.mark.parametrize(
    "refusal", [Reply(413), Reply(422, b'{"detail": [{"type": "string_too_long"}]}'), Reply(400, b'{"detail": "at most 9"}')]
)
async def test_a_sentence_that_is_too_long_is_said_in_halves_and_that_is_told(refusal: Reply) -> None:
    server = Scripted([refusal, Reply(200, SOUND)])
    async with answering(server) as url, saying("One two three. Four, five.", seed(url)) as (ends, port):
        await until(lambda: len(ends.pcm("s")) >= 96_000)
        told = await ends.until(ErrorReceived)
    assert server.said[1:] == ["One two three.", "Four, five."]
    assert (told.code, told.message[:3]) == ("sentence_split", "s: ")
    assert dict(port.figures.lines())["sentences split"] == "1"


@each_backend
async def test_a_half_that_is_too_long_is_not_halved_again() -> None:
    server = Scripted([Reply(413)])
    async with answering(server) as url, saying("One two three. Four, five.", seed(url)) as (ends, _):
        assert (await ends.until(SynthesisFailed, "s")).reason == "the server answered 413"
    assert server.said == ["One two three. Four, five.", "One two three."]


# The fallback.


@each_backend
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("fault", [Reply(401), Reply(200, b"oops"), Reply(500)])
async def test_a_second_server_speaks_when_the_first_cannot(fault: Reply) -> None:
    first, second = Scripted([fault]), Scripted([Reply(200, SOUND)])
    async with answering(first) as url, answering(second) as other, saying("Hello.", seed(url), fallback=seed(other)) as (ends, port):
        await ends.until(Played, "s")
        tried = len(first.said)
        port.do(Synthesise("next", "r", "Good day."))
        await ends.until(Played, "next")
        told = await ends.until(ErrorReceived)
    assert second.said == ["Hello.", "Good day."]
    assert len(first.said) == tried
    assert told.code == "voice_fallback"
    assert told.message.startswith(f"{url}: ")
    assert told.message.endswith(f"{other} speaks now")


@each_backend
async def test_a_first_server_that_hangs_leaves_time_for_the_second() -> None:
    second = Scripted([Reply(200, SOUND)])
    async with (
        answering(never) as url,
        answering(second) as other,
        saying("Hello.", seed(url), fallback=seed(other), timeout_s=0.6) as (ends, _),
    ):
        await ends.until(Played, "s")


@each_backend
@pytest.mark.usefixtures("soon")
async def test_the_first_server_speaks_again_once_it_is_well() -> None:
    first = Scripted([Reply(401), Reply(200, SOUND)], health=Reply(503))
    second = Scripted([Reply(200, SOUND)])
    async with answering(first) as url, answering(second) as other, saying("Hello.", seed(url), fallback=seed(other)) as (ends, port):
        await ends.until(Played, "s")
        port.do(Synthesise("still", "r", "Still."))
        await ends.until(Played, "still")
        first.health = Reply(200, b'{"status": "ok"}')
        await until(lambda: len(ends.of(ErrorReceived)) >= 2)
        await anyio.wait_all_tasks_blocked()
        assert port._sources._wait_s == pytest.approx(0.1), "it would be trusted later, should it fail again"
        port.do(Synthesise("again", "r", "Again."))
        await ends.until(Played, "again")
        await until(lambda: port.figures.counts[Count.SYNTHESISED] >= 3)
        await anyio.wait_all_tasks_blocked()
        assert port._sources._wait_s == pytest.approx(0.05)
    assert (first.said, second.said) == (["Hello.", "Again."], ["Hello.", "Still."])
    assert [told.code for told in ends.of(ErrorReceived)] == ["voice_fallback", "voice_recovered"]


@each_backend
@pytest.mark.usefixtures("soon")
async def test_a_server_that_loads_its_model_is_not_well_yet() -> None:
    first = Scripted([Reply(401)], health=Reply(200, b'{"status": "initializing"}'))
    second = Scripted([Reply(200, SOUND)])
    asked = 0

    async def counted(request: Request) -> Reply:
        nonlocal asked
        asked += request.path == "/health"
        return await first(request)

    async with answering(counted) as url, answering(second) as other, saying("Hello.", seed(url), fallback=seed(other)) as (ends, _):
        await ends.until(Played, "s")
        await until(lambda: asked >= 3)
    assert len(ends.of(ErrorReceived)) == 1


@each_backend
async def test_a_fault_of_the_text_is_no_reason_to_change_the_voice() -> None:
    second = Scripted([Reply(200, SOUND)])
    async with answering(always(400)) as url, answering(second) as other, saying("One.", seed(url), fallback=seed(other)) as (ends, _):
        await ends.until(SynthesisFailed, "s")
    assert second.said == []


@each_backend
async def test_when_both_fail_the_reason_names_both() -> None:
    async with (
        answering(always(401)) as url,
        answering(always(403)) as other,
        saying("Hello.", seed(url), fallback=seed(other)) as (ends, _),
    ):
        assert (await ends.until(SynthesisFailed, "s")).reason == "the server answered 401; the fallback: the server answered 403"
