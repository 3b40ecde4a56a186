"""The stand-in realtime LLM: hearing, turns, responses, doors and the process, over real sockets with real speech."""

import asyncio
import base64
import json
import signal
from functools import partial
from pathlib import Path

import attrs
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.standin.dialogue import BluebirdCycles, Call, Say, Turn
from adapters.standin.ears import Transcriber, decode, encode
from adapters.standin.realtime.connection import Pace
from adapters.standin.realtime.server import run_realtime, serve
from tests.shared.shell import PATIENCE_S, begin_callfsm
from tests.shared.standin_client import QUICK, SECOND, WRITTEN, Client, calling, meeting, serving, text_of

ROOT = Path(__file__).parents[2]


# Hearing.


async def test_speech_is_heard_to_begin_and_end_by_its_sound_alone(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.hear(SECOND, question, SECOND)
        await client.until("response.created")
    started, stopped = client.of("input_audio_buffer.speech_started")[0], client.of("input_audio_buffer.speech_stopped")[0]
    committed = client.of("input_audio_buffer.committed")[0]
    assert 650 <= started["audio_start_ms"] <= 850, "a second of silence, less 300 ms of padding, and the voice's own onset"
    length_ms = len(question) // 48
    assert 1_000 + length_ms <= stopped["audio_end_ms"] <= 1_000 + length_ms + 500, "the end holds the silence that proved it"
    assert started["item_id"] == stopped["item_id"] == committed["item_id"]
    assert client.kinds() == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]


async def test_silence_and_noise_are_not_speech(server: str) -> None:
    noise = (np.random.default_rng(1).normal(0, 2_000, 48_000)).astype("<i2").tobytes()
    async with calling(server) as client:
        await client.hear(SECOND, noise, SECOND)
        await client.barrier()
    assert client.kinds() == ["error"]


async def test_a_longer_silence_keeps_the_turn_open(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.detect(silence_duration_ms=2_000)
        await client.hear(question, SECOND, question, SECOND)
        await client.barrier()
        assert len(client.of("input_audio_buffer.speech_started")) == 1
        assert not client.of("input_audio_buffer.speech_stopped")
        await client.hear(SECOND, SECOND)
        await client.until("input_audio_buffer.committed")


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_a_telephone_line_is_heard_and_answered_in_its_own_format(server: str, question: bytes, kind: str) -> None:
    async with calling(server) as client:
        line = {"format": {"type": kind}}
        await client.update(output_modalities=["audio"], audio={"input": {**line, "transcription": {}}, "output": line})
        await client.hear(encode(kind, question + SECOND))
        told = await client.until("conversation.item.input_audio_transcription.completed")
        assert "opening hours" in told["transcript"]
        await client.send("response.cancel")
        await client.done()
        await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": text_of("goodbye")})
        await client.send("response.create")
        done = await client.done()
    item_id = done["output"][0]["id"]
    sound = b"".join(base64.b64decode(one["delta"]) for one in client.of("response.output_audio.delta") if one["item_id"] == item_id)
    assert done["audio"]["output"]["format"] == {"type": kind}
    assert "thank you for" in Transcriber().words(kind, sound)


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_g711_is_taken_back_to_within_its_own_step(kind: str) -> None:
    every = bytes(range(256))
    levels = decode(kind, every)
    assert len(set(levels.tolist())) >= 255
    assert abs(int(levels.max()) - 32_124) <= 132 and levels.min() == -levels.max()
    tone = (np.sin(np.arange(24_000) / 24_000 * 2 * np.pi * 400) * 10_000).astype("<i2")
    back = decode(kind, encode(kind, tone.tobytes())).astype(float)
    wanted = np.sin(np.arange(8_000) / 8_000 * 2 * np.pi * 400) * 10_000
    assert len(back) == 8_000
    assert np.abs(back[500:-500] - wanted[500:-500]).max() < 400


# Turns.


async def test_a_question_is_answered_and_its_transcript_comes_after_the_answer_began(question: bytes) -> None:
    # A busy machine may take longer to answer than the transcript is held back.
    for transcript_s in (1.5, 6.0, 24.0):
        with serving(pace=attrs.evolve(QUICK, transcript_s=transcript_s)) as url:
            async with calling(url) as client:
                await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
                await client.hear(SECOND, question, SECOND)
                told = await client.until("conversation.item.input_audio_transcription.completed")
        if client.of("response.output_text.delta"):
            break
    assert "opening hours" in told["transcript"]
    assert told["item_id"] == client.of("input_audio_buffer.committed")[0]["item_id"]
    said = "".join(one["delta"] for one in client.of("response.output_text.delta"))
    assert said and BluebirdCycles.HOURS.startswith(said)


async def test_the_sound_of_a_turn_is_what_lies_between_its_two_times(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.hear(SECOND, question, SECOND)
        item_id = (await client.until("input_audio_buffer.committed"))["item_id"]
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
    start_ms = client.of("input_audio_buffer.speech_started")[0]["audio_start_ms"]
    end_ms = client.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
    assert base64.b64decode(item["content"][0]["audio"]) == (SECOND + question + SECOND)[start_ms * 48 : end_ms * 48]


async def test_a_transcript_is_told_only_to_a_client_that_asked(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.hear(question, SECOND)
        done = await client.done()
        await client.barrier()
    assert done["output"][0]["content"][0]["text"] == BluebirdCycles.HOURS, "the agent heard it all the same"
    assert not client.of("conversation.item.input_audio_transcription.completed")


async def test_a_turn_is_not_answered_by_itself_without_create_response(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.detect(create_response=False)
        await client.hear(question, SECOND)
        await client.until("input_audio_buffer.committed")
        await client.barrier()
        assert not client.of("response.created")
        await client.send("response.create")
        done = await client.done()
    assert done["output"][0]["content"][0]["text"] == BluebirdCycles.HOURS


async def test_without_detection_the_client_commits_and_clears(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.update(audio={"input": {"turn_detection": None, "transcription": {}}})
        await client.hear(question)
        await client.send("input_audio_buffer.clear")
        await client.send("input_audio_buffer.commit", event_id="empty")
        refused = await client.error()
        await client.hear(question, SECOND)
        await client.send("input_audio_buffer.commit")
        told = await client.until("conversation.item.input_audio_transcription.completed")
        await client.barrier()
    assert (refused["code"], refused["event_id"]) == ("input_audio_buffer_commit_empty", "empty")
    assert "opening hours" in told["transcript"]
    assert not client.of("response.created") and not client.of("input_audio_buffer.speech_started")


async def test_speech_interrupts_a_response(server: str, question: bytes) -> None:
    async with calling(server) as client:
        created = await client.ask("When are you open?", output_modalities=["audio"])
        await client.until("response.output_audio.delta")
        await client.hear(question)
        done = await client.done()
        await client.hear(SECOND)
        answer = await client.done()
    assert (done["id"], done["status"]) == (created["id"], "cancelled")
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert client.kinds().index("input_audio_buffer.speech_started") < client.kinds().index("response.done")
    assert answer["status"] == "completed"
    assert_silent_after(client, created["id"])


async def test_speech_does_not_interrupt_without_interrupt_response(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.detect(interrupt_response=False)
        created = await client.ask("When are you open?", output_modalities=["audio"])
        await client.until("response.output_audio.delta")
        await client.hear(question, SECOND)
        await client.until("input_audio_buffer.committed")
        refused = await client.error()
        done = await client.done()
    assert (refused["code"], refused["event_id"]) == ("conversation_already_has_active_response", None)
    assert (done["id"], done["status"]) == (created["id"], "completed")


def assert_silent_after(client: Client, response_id: str) -> None:
    """Nothing of the response follows its response.done."""
    ends = [place for place, event in enumerate(client.events) if event.get("response", {}).get("id") == response_id]
    assert not [event for event in client.events[ends[-1] + 1 :] if event.get("response_id") == response_id]


# Responses.


async def test_an_empty_conversation_is_greeted_in_text(server: str) -> None:
    async with calling(server) as client:
        await client.send("response.create", response={"metadata": {"cause": "greeting"}})
        done = await client.done()
    text = BluebirdCycles.GREETING
    assert "".join(one["delta"] for one in client.of("response.output_text.delta")) == text
    assert client.of("response.output_text.done")[0]["text"] == done["output"][0]["content"][0]["text"] == text
    assert done["metadata"] == client.of("response.created")[0]["response"]["metadata"] == {"cause": "greeting"}
    assert client.kinds() == list(WRITTEN)
    assert len({event["event_id"] for event in client.events}) == len(client.events)


async def test_an_answer_in_sound_is_the_words_of_its_transcript(server: str) -> None:
    async with calling(server) as client:
        await client.update(output_modalities=["audio"])
        await client.send("response.create")
        done = await client.done()
    deltas = [base64.b64decode(one["delta"]) for one in client.of("response.output_audio.delta")]
    assert "".join(one["delta"] for one in client.of("response.output_audio_transcript.delta")) == BluebirdCycles.GREETING
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": BluebirdCycles.GREETING}]
    assert {len(delta) for delta in deltas[:5]} == {9_600}
    assert "how can i help you today" in Transcriber().words("audio/pcm", b"".join(deltas))
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > usage["output_token_details"]["audio_tokens"] > 100
    assert client.kinds()[-6:] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]


async def test_a_cancelled_response_says_no_more(server: str) -> None:
    async with calling(server) as client:
        created = await client.ask("When are you open?", output_modalities=["audio"])
        await client.until("response.output_audio.delta")
        await client.send("response.cancel", response_id=created["id"])
        done = await client.done()
        await client.answer("Goodbye")
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert done["output"][0]["status"] == "incomplete"
    assert_silent_after(client, created["id"])


async def test_a_second_cancel_and_one_of_an_unknown_response_are_refused(server: str) -> None:
    async with calling(server) as client:
        created = await client.ask("When are you open?")
        for event_id in ("first", "second"):
            await client.send("response.cancel", response_id=created["id"], event_id=event_id)
        second = await client.error()
        await client.send("response.cancel", response_id="resp_unknown", event_id="third")
        third = await client.error()
    assert [(one["code"], one["event_id"]) for one in (second, third)] == [
        ("response_cancel_not_active", "second"),
        ("response_cancel_not_active", "third"),
    ]
    assert len(client.of("response.done")) == 1


async def test_a_conversation_has_one_response_at_a_time_and_others_beside_it(server: str) -> None:
    async with calling(server) as client:
        first = await client.ask("When are you open?")
        await client.send("response.create", event_id="too-soon")
        refused = await client.error()
        await client.send("response.create", response={"conversation": "none", "input": []})
        beside = (await client.until("response.created"))["response"]
        done = [await client.done() for _ in range(2)]
    assert (refused["code"], refused["event_id"]) == ("conversation_already_has_active_response", "too-soon")
    assert first["id"] in refused["message"]
    assert {one["id"]: one["status"] for one in done} == {first["id"]: "completed", beside["id"]: "completed"}
    assert beside["conversation_id"] is None
    items = {one["item"]["id"] for one in client.of("conversation.item.added")}
    assert next(one for one in done if one["id"] == beside["id"])["output"][0]["id"] not in items


async def test_a_response_that_reaches_its_limit_is_incomplete(server: str) -> None:
    async with calling(server) as client:
        done = await client.answer("When are you open?", max_output_tokens=3)
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["output"][0]["content"][0]["text"] == "We are open"


# Dialogues, doors and the process.


class Odd:
    """A dialogue that calls a function first, and breaks when it is told to."""

    def answer(self, turn: Turn) -> Say | Call:
        """Call, then say what came back."""
        if turn.heard == "break":
            raise RuntimeError("broken on purpose")
        return Call("hours", '{"day": "Monday"}') if turn.tool_output is None else Say(f"It said {turn.tool_output}.")


async def test_a_dialogue_may_call_a_function_and_a_broken_one_ends_that_call_alone() -> None:
    with serving(dialogue=Odd()) as url:
        async with calling(url) as client, calling(url) as other:
            await client.ask("Are you open?")
            call = (await client.done())["output"][0]
            assert (call["type"], call["name"], call["arguments"]) == ("function_call", "hours", '{"day": "Monday"}')
            assert client.of("response.function_call_arguments.done")[0]["call_id"] == call["call_id"]
            answer = {"type": "function_call_output", "call_id": call["call_id"], "output": "yes"}
            await client.send("conversation.item.create", item=answer)
            await client.send("response.create")
            done = await client.done()
            assert done["output"][0]["content"][0]["text"] == "It said yes."
            with pytest.raises(ConnectionClosed) as closed:
                await other.ask("break")
                await other.until("response.done")
            assert closed.value.rcvd and closed.value.rcvd.code == 1011
            await client.barrier()


async def test_a_session_ends_when_its_time_is_up() -> None:
    with serving(pace=Pace(session_s=0.2)) as url:
        async with meeting(url) as client:
            assert (await client.error())["code"] == "session_expired"
            with pytest.raises(ConnectionClosed) as closed:
                await client.until("nothing")
            assert closed.value.rcvd and closed.value.rcvd.code == 1001


async def test_a_key_and_the_right_path_open_the_door() -> None:
    with serving(key="sk-mine") as url:
        for address, headers, status in ((url, {}, 401), (url, {"Authorization": "Bearer sk-other"}, 401), (url + "/x", {}, 404)):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(address, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == status
        async with calling(url, additional_headers={"Authorization": "Bearer sk-mine"}) as client:
            await client.barrier()


def test_a_taken_port_is_an_oserror(server: str) -> None:
    with pytest.raises(OSError, match="address already in use"):
        run_realtime(partial(serve, port=int(server.split(":")[2].split("/")[0])))


@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_one_line_writes_down_what_it_is_told_and_stops_quietly(tmp_path: Path, one: signal.Signals) -> None:
    log = tmp_path / "client.jsonl"
    process = begin_callfsm("stand-in", "realtime", "--log", log)
    try:
        ready = await asyncio.to_thread(process.stdout.readline)
        async with calling(ready.removeprefix("ready ").strip()) as client:
            await client.hear(SECOND)
            await client.send("response.create")
            await client.until("response.created")
            process.send_signal(one)
            with pytest.raises(ConnectionClosed):
                await client.until("nothing")
        rest, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, rest, errors) == (0, "", "")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    events = [line["event"] for line in lines if "event" in line]
    assert [event["type"] for event in events] == ["session.update", *["input_audio_buffer.append"] * 10, "response.create"]
    assert events[1]["audio"] == {"bytes": 4_800}
    assert "closed" in lines[-1] and {line["connection"] for line in lines} == {1}


def test_the_receptionist_knows_its_keywords_and_says_goodbye_only_at_the_end() -> None:
    shop = BluebirdCycles()
    said = {
        heard: answer.text for heard in HEARD if isinstance(answer := shop.answer(Turn(heard=heard, replies=1, caller_spoke=True)), Say)
    }
    assert [said[heard] for heard in HEARD[:4]] == [shop.HOURS, shop.PRICES, shop.REPAIR, shop.APPOINTMENT]
    assert all("goodbye" in said[heard].lower() for heard in HEARD[4:])
    others = (shop.GREETING, shop.HOURS, shop.PRICES, shop.REPAIR, shop.APPOINTMENT, *shop.OTHERWISE)
    assert not any("goodbye" in text.lower() for text in others)
    listed = [shop.answer(Turn(heard="well", replies=replies, caller_spoke=True)) for replies in range(1, 6)]
    assert listed[0] == listed[4] and len({str(one) for one in listed}) == 4


HEARD = (
    "what are your opening hours",
    "how much does a puncture repair cost",
    "my bike has a flat tire",
    "i would like to make an appointment",
    "thank you goodbye",
    "all right thank you very much could buy",
    "bye bye",
    "thanks that is all",
)
