"""The stand-in realtime LLM as a compatible server: what it may lack, or write otherwise."""

import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from adapters.standin.realtime.events import Events
from adapters.standin.realtime.lacks import LACKS, Lacks
from adapters.standin.realtime.session import Session
from tests.shared.standin_client import SECOND, WEATHER, Client, Json, calling, meeting, serving, update


@pytest.mark.parametrize(
    ("lack", "event", "code"),
    [
        ("truncate", {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1}, "invalid_value"),
        ("retrieve", {"type": "conversation.item.retrieve", "item_id": "i"}, "invalid_value"),
        ("delete", {"type": "conversation.item.delete", "item_id": "i"}, "invalid_value"),
        ("semantic_vad", update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}}), "invalid_value"),
        ("g711", update(audio={"output": {"format": {"type": "audio/pcmu"}}}), "invalid_value"),
        ("out_of_band", {"type": "response.create", "response": {"conversation": "none"}}, "invalid_value"),
    ],
)
def test_what_a_server_lacks_is_refused(lack: str, event: Json, code: str) -> None:
    refused, whole = (Session(Events("t"), lacks=Lacks(names)).receive(json.dumps(event))[0] for names in ((lack,), ()))
    assert isinstance(refused, dict) and refused["error"]["code"] == code and "does not support" in refused["error"]["message"]
    assert isinstance(whole, dict) and "does not support" not in json.dumps(whole)


async def test_what_a_server_lacks_is_ignored_or_untold(question: bytes) -> None:
    lacks = ["transcription", "metadata", "interrupt_response", "create_response", "noise_reduction", "tools"]
    untold = ["rate_limits", "error_event_id", "usage", "ga_names"]
    with serving(without=[*lacks, *untold]) as url:
        async with calling(url) as client:
            detection = {"type": "server_vad", "create_response": False, "interrupt_response": False}
            hearing = {"transcription": {"model": "m"}, "turn_detection": detection, "noise_reduction": {"type": "near_field"}}
            session = await client.update(audio={"input": hearing}, tools=[WEATHER])
            done = await client.answer("What is the weather?", metadata={"a": "b"})
            await client.send("response.cancel", event_id="mine")
            error = await client.error()
            await client.hear(SECOND, question, SECOND)
            await client.done()
    heard = session["audio"]["input"]
    assert (session["tools"], heard["transcription"], heard["noise_reduction"]) == ([], None, None)
    assert heard["turn_detection"]["create_response"] and heard["turn_detection"]["interrupt_response"]
    assert (done["metadata"], done["usage"], error["event_id"]) == (None, None, None)
    kinds = set(client.kinds())
    assert {"response.text.delta", "response.text.done", "conversation.item.created"} < kinds
    assert not kinds & {"rate_limits.updated", "response.output_text.delta", "conversation.item.done", "conversation.item.added"}


async def test_a_beta_server_speaks_the_beta_alone() -> None:
    with serving(without=["ga_session", "ga_names"]) as url:
        async with meeting(url) as client:
            first = (await client.until("session.created"))["session"]
            await client.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
            refused = await client.error()
            beta = {"modalities": ["text"], "voice": "alloy", "input_audio_format": "pcm16", "input_audio_transcription": None}
            await client.send("session.update", session=beta)
            session = (await client.until("session.updated"))["session"]
            said = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
            await client.send("conversation.item.create", item=said)
            await client.until("conversation.item.created")
            await client.send("response.create", response={"modalities": ["text"]})
            await client.until("response.text.done")
            await client.send("response.create", response={"output_modalities": ["text"]})
            assert (await client.error())["code"] == "unknown_parameter"
    assert (first["modalities"], first["turn_detection"]["type"]) == (["audio", "text"], "server_vad")
    assert refused["code"] == "unknown_parameter"
    assert (session["modalities"], session["voice"], session["input_audio_format"]) == (["text"], "alloy", "pcm16")


async def test_a_session_is_told_without_its_formats_and_falsehoods_and_text_is_not_obeyed() -> None:
    with serving(without=["told_formats", "session_text", "output", "conversation_id", "item_id", "call_name"]) as url:
        async with calling(url) as client:
            detection = {"type": "server_vad", "create_response": False, "interrupt_response": True}
            told = await client.update(audio={"input": {"turn_detection": detection}}, tools=[WEATHER])
            ended = await client.answer("Goodbye")
            assert (ended["output"], ended["conversation_id"]) == (None, None)
            await client.answer("What is the weather in Paris?", output_modalities=["text"])
    assert "format" not in told["audio"]["input"]
    assert (told["output_modalities"], "create_response" in told["audio"]["input"]["turn_detection"]) == (["text"], False)
    (sound, *_), (call,) = client.of("response.output_audio.delta"), client.of("response.function_call_arguments.done")
    assert "item_id" not in sound
    assert not {"item_id", "name"} & call.keys()


async def test_a_response_fails_by_an_error_alone() -> None:
    with serving(without=["failed_end"], faults='fault = [{name = "failed_response"}]') as url:
        async with calling(url) as client:
            await client.ask("Goodbye")
            assert (await client.error())["code"] == "inference_failed"
    assert client.of("response.created")
    assert not client.of("response.done")


async def test_a_call_and_a_turn_are_told_by_one_message_alone(question: bytes) -> None:
    with serving(without=["arguments", "committed", "early_hearing", "cancel_order", "assistant_items"]) as url:
        async with calling(url) as client:
            shown = await client.update(tools=[WEATHER])
            await client.answer("What is the weather in Paris?")
            said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
            await client.send("conversation.item.create", item=said)
            assert (await client.error())["param"] == "item.role"
            await client.detect(create_response=False, interrupt_response=True)
            await client.send("response.create", response={"output_modalities": ["audio"], "instructions": "Say goodbye."})
            await client.until("response.output_audio.delta")
            client.events.clear()
            await client.hear(question, SECOND, SECOND)
            await client.until("conversation.item.input_audio_transcription.completed")
    assert shown["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    kinds = client.kinds()
    assert "input_audio_buffer.committed" not in kinds
    if "response.done" in kinds:
        assert kinds.index("response.done") < kinds.index("input_audio_buffer.speech_started")


async def test_a_turn_is_answered_unasked_and_that_keeps_others_away_before_it_is_told(question: bytes) -> None:
    script = '[[fault]]\nname = "slow_created"\nms = 500\nbusy = true\n'
    with serving(without=["own_answers"], faults=script) as url:
        async with calling(url) as client:
            await client.update()
            await client.detect(create_response=False, interrupt_response=False)
            await client.hear(question, SECOND)
            await client.until("input_audio_buffer.committed")
            await client.send("response.create")
            assert (await client.error())["code"] == "conversation_already_has_active_response"
            await client.done()
    kinds = client.kinds()
    assert kinds.count("response.created") == 1
    assert kinds.index("error") < kinds.index("response.created")


async def test_one_place_is_released_late_and_a_subprotocol_is_answered_unasked() -> None:
    with serving(without=["places", "subprotocol"]) as url:
        async with calling(url, subprotocols=[Subprotocol("realtime-by-the-server")]) as client:
            async with connect(url, subprotocols=[Subprotocol("realtime-by-the-server")]) as second:
                assert (await Client(second).error())["type"] == "session_limit_reached"
            assert client.socket.subprotocol == "realtime-by-the-server"
        async with connect(url, subprotocols=[Subprotocol("realtime-by-the-server")]) as late:
            assert (await Client(late).error())["type"] == "session_limit_reached"


async def test_nothing_is_said_before_a_session_is_asked_for() -> None:
    with serving(without=["session_created"]) as url:
        async with meeting(url) as client:
            await client.send("session.update", session={"type": "realtime", "instructions": "Be brief."})
            assert (await client.until("session.updated"))["session"]["instructions"] == "Be brief."
            assert client.kinds()[0] == "session.updated"


async def test_a_session_whose_voice_and_vad_stand_in_itself_and_races_and_transcripts_of_its_own(question: bytes) -> None:
    with serving(without=["ga_places", "deleted_id", "race_codes", "whole_transcripts"]) as url:
        async with meeting(url) as client:
            first = (await client.until("session.created"))["session"]
            heard = {"turn_detection": None, "transcription": {"model": "m"}}
            vad = {"type": "server_vad", "create_response": False, "interrupt_response": False}
            session = {"type": "realtime", "audio": {"input": heard, "output": {"voice": "marin"}}, "turn_detection": vad, "voice": "cedar"}
            await client.send("session.update", session=session)
            told = (await client.until("session.updated"))["session"]
            await client.hear(question, SECOND)
            await client.until("conversation.item.input_audio_transcription.completed")
            item = (await client.until("conversation.item.input_audio_transcription.completed"))["item_id"]
            await client.send("response.cancel", event_id="mine")
            error = await client.error()
            await client.send("conversation.item.delete", item_id=item)
            assert (await client.until("conversation.item.deleted"))["item_id"] == ""
    assert "turn_detection" not in first["audio"]["input"]
    assert first["turn_detection"]["type"] == "server_vad"
    assert (told["voice"], told["turn_detection"]["create_response"], "voice" in told["audio"]["output"]) == ("cedar", False, False)
    assert (error["code"], error["event_id"]) == ("invalid_request_error", "mine")
    assert "no active response" in error["message"]
    partial, *whole = client.of("conversation.item.input_audio_transcription.completed")
    assert partial["status"] == "in_progress"
    assert {one["transcript"] for one in whole} == {whole[0]["transcript"]}
    assert whole[0]["transcript"].startswith(partial["transcript"])


async def test_ids_that_are_numbers_name_the_same_as_their_text(question: bytes) -> None:
    with serving(without=["text_ids"]) as url:
        async with meeting(url) as client:
            await client.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
            await client.hear(question, SECOND)
            item = (await client.until("input_audio_buffer.committed"))["item_id"]
            await client.send("conversation.item.retrieve", item_id=str(item))
            assert (await client.until("conversation.item.retrieved"))["item"]["id"] == item
            await client.send("conversation.item.delete", item_id=item, event_id="mine")
            error = await client.error()
    assert isinstance(item, int)
    assert (error["event_id"], "item_id" in error["message"]) == ("mine", True)


def test_every_lack_is_tried_here() -> None:
    source = Path(__file__).read_text()
    assert not [name for name in LACKS if f'"{name}"' not in source]
