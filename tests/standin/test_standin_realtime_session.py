"""The stand-in realtime LLM: what its conversation remembers, its settings, functions, and what it refuses."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from adapters.standin.realtime.events import Begin, Events
from adapters.standin.realtime.functions import told as told_result, wanted
from adapters.standin.realtime.session import APPEND_BYTES, Session
from adapters.standin.realtime.turns import Tool, Turn
from tests.shared.standin_client import SECOND, WEATHER, Json, b64, calling, text_of, update

# Memory.


async def test_an_answer_in_sound_is_truncated_to_what_was_heard_and_no_further(server: str) -> None:
    async with calling(server) as client:
        await client.ask("Goodbye", output_modalities=["audio"])
        item_id = (await client.done())["output"][0]["id"]
        cut = {"item_id": item_id, "content_index": 0}
        await client.send("conversation.item.truncate", **cut, audio_end_ms=99_999, event_id="past")
        past = await client.error()
        await client.send("conversation.item.truncate", **cut, audio_end_ms=500)
        await client.until("conversation.item.truncated")
        await client.send("conversation.item.truncate", **cut, audio_end_ms=501, event_id="again")
        again = await client.error()
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
    assert (past["code"], past["event_id"]) == ("invalid_value", "past")
    assert "is already shorter than 99999ms" in past["message"]
    assert again["message"] == "Audio content of 500ms is already shorter than 501ms"
    assert item["content"][0]["transcript"] == ""


async def test_only_the_agents_sound_can_be_truncated(server: str) -> None:
    async with calling(server) as client:
        await client.ask("Goodbye")
        item_id = (await client.done())["output"][0]["id"]
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1)
        of_text = await client.error()
        await client.send("conversation.item.truncate", item_id="item_unknown", content_index=0, audio_end_ms=1)
        unknown = await client.error()
    assert of_text["code"] == "unsupported_content_type"
    assert unknown["code"] == "item_truncate_invalid_item_id"


async def test_the_callers_sound_can_be_had_back_until_its_item_is_deleted(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.update(audio={"input": {"turn_detection": None}})
        await client.hear(question)
        await client.send("input_audio_buffer.commit")
        item_id = (await client.until("input_audio_buffer.committed"))["item_id"]
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
        await client.send("conversation.item.delete", item_id=item_id)
        await client.until("conversation.item.deleted")
        await client.send("conversation.item.delete", item_id=item_id, event_id="twice")
        twice = await client.error()
    assert base64.b64decode(item["content"][0]["audio"]) == question
    assert (twice["code"], twice["event_id"]) == ("item_delete_invalid_item_id", "twice")


def test_items_stand_where_the_client_puts_them() -> None:
    session = Session(Events("t"))
    for item_id, after in (("b", None), ("a", "root"), ("c", "b"), ("d", "nowhere"), ("a", None)):
        item = {"id": item_id, "type": "message", "role": "user", "content": text_of(item_id)}
        out = told(session, "conversation.item.create", item=item, previous_item_id=after)
        kinds = [one["type"] for one in out]
        assert kinds == (["error"] if after == "nowhere" or kinds == ["error"] else ["conversation.item.added", "conversation.item.done"])
    assert [told(session, "conversation.item.retrieve", item_id=one)[0]["type"] for one in "abcd"] == [
        "conversation.item.retrieved"
    ] * 3 + ["error"]
    reply = told(session, "conversation.item.create", item={"type": "function_call", "name": "f", "arguments": ""})
    assert reply[0]["previous_item_id"] == "c"


def told(its: Session, kind: str, **fields: Any) -> list[Json]:
    """What the session sends when the client sends this."""
    return [one for one in its.receive(json.dumps({"type": kind, **fields})) if isinstance(one, dict)]


# Settings and refusals.


def test_a_partial_update_changes_only_what_it_names() -> None:
    session = Session(Events("t"))
    detection = {"type": "server_vad", "create_response": False, "silence_duration_ms": 700}
    first = {
        "type": "realtime",
        "instructions": "Be kind.",
        "audio": {"input": {"transcription": {"model": "m"}, "turn_detection": detection}},
    }
    before = told(session, "session.update", session=first)[0]["session"]
    release = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": True}}}}
    after = told(session, "session.update", session=release)[0]["session"]
    assert after["audio"]["input"]["turn_detection"] == before["audio"]["input"]["turn_detection"] | {"create_response": True}
    before["audio"]["input"]["turn_detection"] = after["audio"]["input"]["turn_detection"] = None
    assert after == before
    assert after["instructions"] == "Be kind."


def test_a_refused_update_changes_nothing() -> None:
    session = Session(Events("t"))
    wanted = {"type": "realtime", "instructions": "New.", "audio": {"output": {"voice": "nobody"}}}
    assert told(session, "session.update", session=wanted, event_id="mine")[0]["error"]["event_id"] == "mine"
    unchanged = told(session, "session.update", session={"type": "realtime"})[0]["session"]
    assert unchanged == told(Session(Events("t")), "session.update", session={"type": "realtime"})[0]["session"]


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "session.destroy"}, "invalid_value", "type"),
        ({"event_id": "x"}, "missing_required_parameter", "type"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
        (update(temperature=0.8), "unknown_parameter", "session.temperature"),
        (update(model="another"), "invalid_value", "session.model"),
        (update(output_modalities=["text", "audio"]), "invalid_value", "session.output_modalities"),
        (update(output_modalities=["video"]), "invalid_value", "session.output_modalities[0]"),
        (update(instructions=7), "invalid_type", "session.instructions"),
        (update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}), "decimal_above_max_value", None),
        (update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 0.5}}}), "invalid_type", None),
        (update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6_000}}}), "invalid_value", None),
        (update(audio={"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}), "invalid_value", "session.audio.input.format.rate"),
        (update(audio={"output": {"voice": "nobody"}}), "invalid_value", "session.audio.output.voice"),
        ({"type": "input_audio_buffer.append", "audio": "not base64!"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": b64(b"odd")}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "response.create", "response": {"conversation": "other"}}, "invalid_value", "response.conversation"),
        ({"type": "response.create", "response": {"max_output_tokens": 0}}, "integer_below_min_value", "response.max_output_tokens"),
        ({"type": "response.create", "response": {"metadata": {"a": 1}}}, "invalid_type", "response.metadata.a"),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        ({"type": "response.cancel", "id": "resp_1"}, "unknown_parameter", "id"),
        ({"type": "conversation.item.truncate", "item_id": "i", "content_index": 0}, "missing_required_parameter", "audio_end_ms"),
        (
            {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": -1},
            "integer_below_min_value",
            "audio_end_ms",
        ),
        ({"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1.5}, "invalid_type", "audio_end_ms"),
        ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]}},
            "missing_required_parameter",
            "item.content[0].text",
        ),
    ],
)
def test_what_the_original_refuses_is_refused_and_names_its_event(event: Json, code: str, param: str | None) -> None:
    error = Session(Events("t")).receive(json.dumps({**event, "event_id": "mine"}))
    assert len(error) == 1 and isinstance(error[0], dict) and error[0]["type"] == "error"
    assert (error[0]["error"]["code"], error[0]["error"]["event_id"]) == (code, "mine")
    if param:
        assert error[0]["error"]["param"] == param


async def test_a_voice_cannot_change_once_it_was_heard(server: str) -> None:
    async with calling(server) as client:
        assert (await client.update(audio={"output": {"voice": "cedar"}}))["audio"]["output"]["voice"] == "cedar"
        await client.answer("Goodbye", output_modalities=["audio"])
        await client.send("session.update", **{"session": update(audio={"output": {"voice": "alloy"}})["session"]}, event_id="voice")
        refused = await client.error()
        await client.update(audio={"output": {"voice": "cedar"}})
    assert (refused["code"], refused["event_id"]) == ("cannot_update_voice", "voice")


async def test_a_mangled_frame_is_refused_and_the_session_goes_on(server: str, question: bytes) -> None:
    async with calling(server) as client:
        for frame in ("{", "[]", "null", b"\x00\x01", "[" * 100_000):
            await client.socket.send(frame)
            assert (await client.error())["event_id"] is None
        await client.send("input_audio_buffer.append", audio=b64(bytes(APPEND_BYTES + 2)), event_id="big")
        assert (await client.error())["event_id"] == "big"
        await client.hear(question, SECOND)
        await client.until("response.created")


CLIENT_EVENTS = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.retrieve",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
]
FIELDS = ["event_id", "session", "audio", "item", "item_id", "previous_item_id", "content_index", "audio_end_ms", "response", "response_id"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5_000)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["realtime", "audio", "server_vad"])
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Arrays and objects, with names that the wire knows."""
    names = st.sampled_from(["type", "id", "audio", "item", "session", "input", "content", "x"])
    return st.lists(inner, max_size=3) | st.dictionaries(names, inner)


JSON_VALUES = st.recursive(LEAVES, nested, max_leaves=8)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(CLIENT_EVENTS), st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=4)), max_size=4))
def test_no_message_of_a_client_breaks_a_session(messages: list[tuple[str, Json]]) -> None:
    session = Session(Events("t"))
    for kind, fields in messages:
        for out in session.receive(json.dumps({**fields, "type": kind})):
            if isinstance(out, dict):
                json.dumps(out)
    assert session.receive(json.dumps({"type": "input_audio_buffer.clear"}))


def test_nothing_of_a_response_can_be_sent_once_it_is_over() -> None:
    session = Session(Events("t"))
    begun = [one for one in session.receive(json.dumps({"type": "response.create"})) if isinstance(one, Begin)]
    response_id = begun[0].response_id
    assert session.responses.say(response_id, "Hello") and session.responses.sound(response_id, b"\0\0")
    told(session, "response.cancel")
    late = [session.responses.say(response_id, "x"), session.responses.sound(response_id, b"\0\0"), session.responses.complete(response_id)]
    late += [session.responses.call(response_id, "f", "{}")]
    assert late == [[]] * 4
    assert session.responses.plan(response_id) is None
    assert session.responses.turn(response_id) is None


# History and functions.

BOOK = {"type": "function", "name": "bookSlot", "description": "Makes an appointment in the calendar.", "parameters": {"type": "object"}}


def message(role: str, words: str) -> Json:
    """A message of the history."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": words}]}


async def test_a_new_connection_takes_the_history_of_an_old_one_and_answers_by_it(server: str) -> None:
    history = [
        message("system", "The line was lost."),
        message("user", "My saddle squeaks"),
        message("assistant", "I see."),
        {"type": "function_call", "name": "get_weather", "call_id": "call_old", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_old", "output": "rain"},
        message("user", "Do you remember what I said?"),
    ]
    async with calling(server) as client:
        for number, item in enumerate(history):
            await client.send("conversation.item.create", item={**item, "id": f"mine_{number}"})
            await client.until("conversation.item.done")
        await client.send("response.create")
        done = await client.done()
        for number, item in enumerate(history):
            await client.send("conversation.item.retrieve", item_id=f"mine_{number}")
            kept = (await client.until("conversation.item.retrieved"))["item"]
            assert kept == {**item, "id": f"mine_{number}", "object": "realtime.item", "status": "completed"}
    assert done["output"][0]["content"][0]["text"] == "Earlier you said: My saddle squeaks."
    assert [event["previous_item_id"] for event in client.of("conversation.item.added")][:6] == [None, *[f"mine_{n}" for n in range(5)]]
    async with calling(server) as another:
        await another.send("conversation.item.retrieve", item_id="mine_0")
        assert (await another.error())["code"] == "item_retrieve_invalid_item_id", "each connection has its own conversation"


async def test_items_that_the_original_does_not_take_are_refused(server: str) -> None:
    beta = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "I see."}]}
    for item, code in (
        ({"type": "function_call_output", "call_id": "call_unknown", "output": "x"}, "invalid_tool_call_id"),
        ({"type": "function_call", "call_id": "a/b", "name": "f", "arguments": "{}"}, "invalid_value"),
        ({**message("user", "Hello"), "id": "i" * 33}, "string_above_max_length"),
        (beta, "invalid_value"),
    ):
        refused = told(Session(Events("t")), "conversation.item.create", item=item, event_id="mine")[0]["error"]
        assert (refused["code"], refused["event_id"]) == (code, "mine")


@pytest.mark.parametrize("modality", ["text", "audio"])
async def test_a_function_is_called_when_the_callers_words_ask_for_it_and_its_result_is_said(server: str, modality: str) -> None:
    async with calling(server) as client:
        await client.update(output_modalities=[modality], tools=[BOOK, WEATHER])
        created = await client.ask("What's the weather in Leeds for the next three days?")
        called = await client.done()
        kinds = client.kinds()
        place = kinds.index("response.created")
        assert kinds[place:] == [
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        (call,) = called["output"]
        deltas = client.of("response.function_call_arguments.delta")
        (done,) = client.of("response.function_call_arguments.done")
        added, item = client.of("response.output_item.added")[-1]["item"], client.of("response.output_item.done")[-1]["item"]
        assert json.loads(call["arguments"]) == {"city": "Leeds", "days": 3, "unit": "C"}
        assert "".join(one["delta"] for one in deltas) == done["arguments"] == call["arguments"] == item["arguments"]
        assert (added["arguments"], added["status"], added["name"]) == ("", "in_progress", "get_weather")
        assert (
            (call["type"], call["name"], call["status"])
            == ("function_call", done["name"], "completed")
            == ("function_call", "get_weather", "completed")
        )
        assert {one["call_id"] for one in (added, item, call, done, *deltas)} == {call["call_id"]}
        assert {one["response_id"] for one in (done, *deltas)} == {created["id"]}
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"sky": "clear", "degrees": 19}'}
        await client.send("conversation.item.create", item=output)
        await client.send("response.create")
        said = (await client.done())["output"][0]["content"][0]
        await client.send("response.create")
        then = (await client.done())["output"][0]
    assert said.get("text", said.get("transcript")) == "I have looked it up: sky clear, degrees 19."
    assert then["type"] == "message", "the same words do not call twice"


@pytest.mark.parametrize(
    ("words", "choice", "name"),
    [
        ("I would like to book a slot", "auto", "bookSlot"),
        ("Please put it into your calendar", "auto", "bookSlot"),
        ("What will the forecast be?", "auto", "get_weather"),
        ("When are you open?", "auto", None),
        ("What is the weather?", "none", None),
        ("When are you open?", "required", "bookSlot"),
        ("When are you open?", {"type": "function", "name": "get_weather"}, "get_weather"),
    ],
)
async def test_which_function_is_called(server: str, words: str, choice: Any, name: str | None) -> None:
    async with calling(server) as client:
        await client.ask(words, tools=[BOOK, WEATHER], tool_choice=choice)
        item = (await client.done())["output"][0]
    assert item.get("name") == name


NAMES = st.sampled_from(["city", "date", "name", "count"])
FLAT = st.builds(dict, type=st.sampled_from(["string", "integer", "number", "boolean", "array", "null"])) | st.builds(
    dict, enum=st.lists(st.text(max_size=5), min_size=1, max_size=3)
)


def schemas(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Schemas that hold others."""
    properties = st.dictionaries(NAMES, inner, max_size=3)
    objects = properties.map(lambda named: {"type": "object", "properties": named, "required": list(named)})
    return FLAT | objects | inner.map(lambda items: {"type": "array", "items": items, "minItems": 2})


TYPES = {"string": str, "integer": int, "number": int | float, "boolean": bool, "array": list, "null": type(None)}


def assert_fits(value: Any, schema: Json) -> None:
    """The value is what the schema wants."""
    if "enum" in schema:
        assert value in schema["enum"]
    elif schema["type"] == "object":
        assert set(value) == set(schema["required"])
        for name, inner in schema["properties"].items():
            assert_fits(value[name], inner)
    else:
        assert isinstance(value, TYPES[schema["type"]])
        for one in value if "items" in schema else []:
            assert_fits(one, schema["items"])


@settings(max_examples=100)
@given(schemas(schemas(FLAT)), st.text(max_size=30))
def test_arguments_fit_the_schema_whatever_the_caller_says(schema: Json, words: str) -> None:
    parameters = {"type": "object", "properties": {"it": schema}, "required": ["it"]}
    call = wanted(Turn(heard=words, offers=(Tool("f", parameters=parameters),), must_call=True))
    assert call
    assert_fits(json.loads(call.arguments)["it"], schema)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_result_can_be_said(output: Any) -> None:
    assert told_result(json.dumps(output)).strip()
    assert told_result('{"error": "no line"}') == "I am sorry, that did not work: no line."
