"""What a compatible realtime server may lack of the original's: refused, ignored or left untold, each by a name."""

from collections.abc import Iterable
from typing import Any

import attrs

from adapters.standin.checks import Refused
from adapters.standin.realtime import beta
from adapters.standin.realtime.grammar import Json

Path = tuple[str, ...]

_INPUT = ("session", "audio", "input")
_OUTPUT = ("session", "audio", "output")
_OF_THE_SESSION = (("input", "turn_detection"), ("output", "voice"))
_RACES = ("response_cancel_not_active", "conversation_already_has_active_response")
_BETA_NAMES = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}


@attrs.frozen
class Lack:
    """`events` are client events that it does not know, `values` what it refuses at a path, `ignored` the paths that it does not look at.

    `untold` are server events that it does not send.
    """

    says: str
    events: tuple[str, ...] = ()
    values: tuple[tuple[Path, str], ...] = ()
    ignored: tuple[Path, ...] = ()
    untold: tuple[str, ...] = ()


LACKS = {
    "transcription": Lack("no transcripts of the caller: the setting is ignored", ignored=((*_INPUT, "transcription"),)),
    "truncate": Lack("conversation.item.truncate is refused", events=("conversation.item.truncate",)),
    "retrieve": Lack("conversation.item.retrieve is refused", events=("conversation.item.retrieve",)),
    "delete": Lack("conversation.item.delete is refused", events=("conversation.item.delete",)),
    "semantic_vad": Lack("semantic_vad is refused", values=(((*_INPUT, "turn_detection", "type"), "semantic_vad"),)),
    "g711": Lack(
        "telephone formats are refused",
        values=tuple(((*side, "format", "type"), kind) for side in (_INPUT, _OUTPUT) for kind in ("audio/pcmu", "audio/pcma")),
    ),
    "create_response": Lack("every turn is answered: the setting is ignored", ignored=((*_INPUT, "turn_detection", "create_response"),)),
    "own_answers": Lack("create_response is echoed as it is given, and every turn is answered all the same"),
    "interrupt_response": Lack(
        "speech always interrupts: the setting is ignored", ignored=((*_INPUT, "turn_detection", "interrupt_response"),)
    ),
    "noise_reduction": Lack("the setting is ignored", ignored=((*_INPUT, "noise_reduction"),)),
    "metadata": Lack("the metadata of a response is ignored, and so not echoed", ignored=(("response", "metadata"),)),
    "out_of_band": Lack("responses beside the conversation are refused", values=((("response", "conversation"), "none"),)),
    "tools": Lack(
        "functions are ignored", ignored=tuple((place, name) for place in ("session", "response") for name in ("tools", "tool_choice"))
    ),
    "rate_limits": Lack("rate_limits.updated is not sent", untold=("rate_limits.updated",)),
    "error_event_id": Lack("an error does not name the client event that caused it"),
    "usage": Lack("response.done holds no usage"),
    "ga_names": Lack("events have their beta names, response.audio.delta and such", untold=("conversation.item.done",)),
    "ga_session": Lack("the session, a response's wishes and the agent's text have the beta's shape, and no other"),
    "ga_places": Lack("voice and turn detection stand in the session itself, and are looked at nowhere else"),
    "deleted_id": Lack("an item that is deleted is not named"),
    "race_codes": Lack("a usual race is told in words alone, under the code of any refusal"),
    "whole_transcripts": Lack("a turn's words are told again and again, each time more of them"),
    "session_created": Lack("it says nothing of itself before it is asked for its session", untold=("session.created",)),
    "told_formats": Lack("the session is told without its formats, and without what is false in its turn detection"),
    "session_text": Lack("a session in text is echoed, and only a response that asks for text itself is given in it"),
    "committed": Lack("a turn is told by its transcript alone", untold=("input_audio_buffer.committed",)),
    "cancel_order": Lack("what speech interrupts has ended before the speech is told to have started"),
    "places": Lack("there is one place, which is free again a second after its client has left"),
    "subprotocol": Lack("it answers a subprotocol that nobody offered"),
    "assistant_items": Lack("a client may make no message of the agent's"),
    "output": Lack("response.done holds no output"),
    "conversation_id": Lack("a response does not say which conversation it is in: null"),
    "call_name": Lack("a call's name stands in its item alone"),
    "arguments": Lack(
        "a call is told by its item alone", untold=("response.function_call_arguments.delta", "response.function_call_arguments.done")
    ),
    "text_ids": Lack("the ids that it makes are numbers"),
    "failed_end": Lack("a response that fails has no end: an error that names nothing is told in its place"),
    "item_id": Lack("the events of a response do not name its item, but where it is added"),
    "early_hearing": Lack("the agent reads what was said: it knows of a turn with its transcript, which comes unasked"),
}
"""What `--without` takes."""


class Lacks:
    """The lacks of one server, by their names in LACKS."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(names)
        self._lacks = [LACKS[name] for name in sorted(self._names)]

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def understood(self, event: Json) -> Json:
        """A client event in the words that the server knows. Raises Refused for one in other words."""
        if "ga_places" in self._names and isinstance(event.get("session"), dict):
            return event | {"session": _moved_down(event["session"])}
        return beta.understood(event) if "ga_session" in self._names else event

    def refuse(self, event: Json) -> None:
        """Raise Refused for a client event that the server does not know, or for a value in it."""
        if "assistant_items" in self._names and _at(event, ("item", "role")) == "assistant":
            raise Refused("invalid_value", "Invalid value: 'assistant'. This server does not support it.", "item.role")
        for lack in self._lacks:
            if event.get("type") in lack.events:
                raise Refused("invalid_value", f"Invalid value: '{event['type']}'. This server does not support it.", "type")
            for path, value in lack.values:
                if _at(event, path) == value:
                    raise Refused("invalid_value", f"Invalid value: '{value}'. This server does not support it.", ".".join(path))

    def ignore(self, event: Json) -> None:
        """Take out of a checked client event what the server does not look at."""
        for lack in self._lacks:
            for path in lack.ignored:
                place = _at(event, path[:-1])
                if isinstance(place, dict):
                    place.pop(path[-1], None)

    def told(self, event: Json) -> Json | None:
        """The event as the server sends it; None when it does not."""
        kind = event["type"]
        if any(kind in lack.untold for lack in self._lacks):
            return None
        if kind == "error" and "error_event_id" in self._names:
            event = event | {"error": event["error"] | {"event_id": None}}
        if kind == "error" and "race_codes" in self._names and event["error"]["code"] in _RACES:
            event = event | {"error": event["error"] | {"code": event["error"]["type"]}}
        if kind == "conversation.item.deleted" and "deleted_id" in self._names:
            event = event | {"item_id": ""}
        if kind == "response.done" and "usage" in self._names:
            event = event | {"response": event["response"] | {"usage": None}}
        if kind in ("session.created", "session.updated"):
            event = event | {"session": self._session(event["session"])}
        if "committed" in self._names and kind.startswith("conversation.item.") and _at(event, ("item", "role")) == "user":
            return None
        if kind == "response.done" and "failed_end" in self._names and event["response"]["status"] == "failed":
            words = event["response"]["status_details"]["error"]["message"]
            error = {"type": "invalid_request_error", "code": "inference_failed", "message": words, "param": None, "event_id": None}
            return {"type": "error", "event_id": event["event_id"], "error": error}
        if kind == "response.done" and "output" in self._names:
            event = event | {"response": event["response"] | {"output": None}}
        if "conversation_id" in self._names and kind in ("response.created", "response.done"):
            event = event | {"response": event["response"] | {"conversation_id": None}}
        left_out = {"name"} if "call_name" in self._names and kind == "response.function_call_arguments.done" else set()
        if "item_id" in self._names and kind.startswith("response."):
            left_out |= {"item_id"}
        event = {name: value for name, value in event.items() if name not in left_out}
        event = _numbered(event) if "text_ids" in self._names else event
        return event | {"type": _BETA_NAMES.get(kind, kind)} if "ga_names" in self._names else event

    def _session(self, session: Json) -> Json:
        """The session as it is told."""
        if "told_formats" in self._names:
            audio = {way: {name: value for name, value in told.items() if name != "format"} for way, told in session["audio"].items()}
            vad = audio["input"]["turn_detection"]
            audio["input"]["turn_detection"] = vad and {name: value for name, value in vad.items() if value or name == "type"}
            session = session | {"audio": audio}
        if "ga_places" in self._names:
            return _moved_up(session)
        return beta.told(session) if "ga_session" in self._names else session


def _moved_up(session: Json) -> Json:
    """A session whose voice and turn detection stand in itself."""
    audio = {way: dict(told) for way, told in session["audio"].items()}
    return {**session, **{name: audio[way].pop(name) for way, name in _OF_THE_SESSION}, "audio": audio}


def _moved_down(session: Json) -> Json:
    """A session of such a server's client in the original's shape; what stands in the original's place is not looked at."""
    asked = session.get("audio", {})
    if not isinstance(asked, dict) or not all(isinstance(asked.get(way, {}), dict) for way, _ in _OF_THE_SESSION):
        return session
    names = {name for _, name in _OF_THE_SESSION}
    audio = {way: {name: value for name, value in asked.get(way, {}).items() if name not in names} for way, _ in _OF_THE_SESSION}
    for way, name in _OF_THE_SESSION:
        if name in session:
            audio[way][name] = session[name]
    return {name: value for name, value in session.items() if name not in names} | {"audio": audio}


def _numbered(part: Any) -> Any:
    """An event, or a part of one, whose ids of digits alone are numbers."""
    if isinstance(part, list):
        return [_numbered(one) for one in part]
    if not isinstance(part, dict):
        return part
    is_id = {name: name == "id" or name.endswith("_id") for name in part}
    return {name: int(one) if is_id[name] and str(one).isdigit() else _numbered(one) for name, one in part.items()}


def _at(event: object, path: Path) -> object:
    """What lies at a path of objects, None where there is nothing."""
    for name in path:
        event = event.get(name) if isinstance(event, dict) else None
    return event
