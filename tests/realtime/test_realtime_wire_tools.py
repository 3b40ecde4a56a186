"""Claims about a tool call in the form of any message (R89), and about what a response's end is the first to tell."""

import json
from typing import Any

import pytest

from adapters.realtime.incoming import Happened, TextDelta
from fsm.call import events
from fsm.call.events import ErrorReceived
from fsm.call.policy import Policy
from tests.shared.wire import CALL, RESPONSE, confirmed, hear, responding

# A tool call in any message's form (R89).

DONE = {"type": "response.done", "response": {**RESPONSE, "status": "completed"}}


def item(**fields: Any) -> dict[str, Any]:
    """The end of a call's item."""
    return {"type": "response.output_item.done", "response_id": "r1", "item": {**CALL, **fields}}


@pytest.mark.parametrize("kind", ["created", "added", "done"])
@pytest.mark.parametrize("status", [{}, {"status": "completed"}])
def test_a_call_that_only_the_conversation_tells_is_told(kind: str, status: dict[str, str]) -> None:
    made = confirmed()
    came = hear(made, type="response.created", response=RESPONSE)
    came += hear(made, type=f"conversation.item.{kind}", item={**CALL, **status})
    assert [one.args for one in came + hear(made, **DONE) if one.event is events.ToolCalled] == [("c1", "hours", CALL["arguments"], "r1")]


def test_a_call_of_the_conversation_is_nobodys_where_no_response_runs() -> None:
    assert hear(confirmed(), type="conversation.item.created", item=CALL) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *[({"day": "Monday"}, {"day": "Monday"}), (json.dumps('{"day": 1}'), {"day": 1}), (None, {}), ("null", {}), ("", {}), ({}, {})],
        *[('"{\\"a\\": 1}"', {"a": 1}), (" {} ", {})],
    ],
)
@pytest.mark.parametrize("form", ["item", "arguments", "end"])
def test_arguments_are_an_object_however_they_are_written(arguments: Any, said: Any, form: str) -> None:
    """R89: as an object, as the text of a text, as null."""
    made = confirmed()
    of = {"response_id": "r1", "item_id": "f1", "call_id": "c1", "name": "hours", "arguments": arguments}
    end = {"type": "response.done", "response": {**DONE["response"], "output": [{**CALL, "arguments": arguments}]}}
    told = {"item": item(arguments=arguments), "arguments": {"type": "response.function_call_arguments.done", **of}, "end": end}
    came = [one for message in ({"type": "response.created", "response": RESPONSE}, told[form], DONE) for one in hear(made, **message)]
    assert [json.loads(one.args[2]) for one in came if one.event is events.ToolCalled] == [said]
    assert not [one for one in came if one.event is ErrorReceived]
    assert came[-1].event is events.ResponseCompleted


def test_a_call_may_be_written_as_chat_completions_writes_it() -> None:
    """R89."""
    made = responding()
    nested = {"type": "function_call", "id": "f1", "call_id": "c1", "function": {"name": "hours", "arguments": '{"a": 1}'}}
    came = hear(made, type="response.output_item.done", response_id="r1", item=nested)
    assert came[0] == Happened(events.ToolCalled, ("c1", "hours", '{"a": 1}', "r1"))


@pytest.mark.parametrize("content", ["Hello.", ["Hello."], [{"type": "text", "text": "Hello."}], {"type": "text", "text": "Hello."}])
def test_the_words_that_a_responses_end_is_the_first_to_tell_are_words_in_any_form(content: Any) -> None:
    """R91."""
    made = confirmed(Policy())
    hear(made, type="response.created", response=RESPONSE)
    ended = {**RESPONSE, "output": [{"id": "i1", "type": "message", "role": "assistant", "content": content}]}
    assert TextDelta("r1", "i1", "Hello.") in hear(made, type="response.done", response=ended)


def test_arguments_of_two_calls_that_are_known_by_their_places_alone() -> None:
    """R89: neither item nor call is named with them."""
    made = confirmed()
    messages = [{"type": "response.created", "response": RESPONSE}]
    for at in range(2):
        begun = {**CALL, "id": f"f{at}", "call_id": f"c{at}", "arguments": ""}
        messages.append({"type": "response.output_item.added", "response_id": "r1", "output_index": at, "item": begun})
    for half in ('{"n": ', "%d}"):
        for at in range(2):
            delta = half.replace("%d", str(at))
            messages.append({"type": "response.function_call_arguments.delta", "response_id": "r1", "output_index": at, "delta": delta})
    messages += [{"type": "response.function_call_arguments.done", "response_id": "r1", "output_index": at} for at in range(2)]
    came = [one for message in (*messages, DONE) for one in hear(made, **message)]
    assert [(one.args[0], one.args[2]) for one in came if one.event is events.ToolCalled] == [("c0", '{"n": 0}'), ("c1", '{"n": 1}')]


def test_an_item_that_is_malformed_loses_its_response_no_end() -> None:
    """R84: what can be read of it counts."""
    made = responding()
    output = [{**CALL, "name": 7}, 3, {"type": ["message"]}, {**CALL, "id": "f2", "call_id": "c2"}]
    came = hear(made, type="response.done", response={**RESPONSE, "status": "completed", "output": output})
    assert [one.event for one in came] == [ErrorReceived, ErrorReceived, events.ToolCalled, events.ResponseCompleted]


@pytest.mark.parametrize(
    "error",
    [
        *[{"error": "no model is loaded"}, {"message": "no model is loaded"}, {"error": {"message": "no model is loaded"}}],
        *[
            {"error": {"code": 429, "message": "no model is loaded"}},
            {"error": {"code": "x", "message": "no model is loaded", "type": None}},
        ],
        *[{"error": None, "message": "no model is loaded"}, {"detail": "no model is loaded"}, {"error": {"detail": "no model is loaded"}}],
    ],
)
def test_an_errors_words_are_told_wherever_they_stand(error: dict[str, Any]) -> None:
    """R108."""
    [told] = hear(confirmed(), type="error", **error)
    assert (told.event, told.args[1]) == (ErrorReceived, "no model is loaded")
