"""The made-up responses of a simulated realtime LLM: what each says, in which messages, how fast, and how it ends."""

import base64
import json
from functools import lru_cache
from typing import Any

import attrs

from adapters.proof.sim.plan import Item
from adapters.proof.sim.world import World
from adapters.seam.ports import RATE_HZ

SENTENCES = (
    "Sure. ",
    "One moment, please. ",
    "Let me look that up for you. ",
    "Your appointment is on Tuesday at half past nine. ",
    "We are open until six in the evening, and on Saturdays until noon. ",
    "Is there anything else that I can do for you today? ",
)
GOODBYE = "Thank you for calling. Goodbye! "
CHAR_MS = 30
"""How long a character takes to say: a fast speaker, as frames are what a call spends its time on."""
CHUNK_MS = 600
"""How much sound the server puts into a message."""

Piece = tuple[str, str, int, str]
"""A message: its type, its JSON, how many milliseconds of sound are in it, and the item that it tells of, or none."""
PLACE = 1_000
"""The samples of a response's first item are its number; those of each further item are so much more."""


@attrs.define
class Spoken:
    """An item that the model said, and how much sound of it was sent."""

    sent_ms: int = 0


@attrs.define
class Response:
    """One response of the server's."""

    id: str
    number: int
    pieces: list[Piece] = attrs.Factory(list)
    status: str = "completed"
    reason: str = ""
    thinks_ms: tuple[float, float] = (150, 700)
    pace_ms: tuple[float, float] = (20, 120)
    straggles: int = 0
    """How many pieces still come after it was cancelled."""
    created: bool = False
    ended: bool = False


def written(world: World, about: str, speaks: bool) -> Response:
    """The next response of a call, as planned for it."""
    world.happened("responses")
    number = world.count("responses")
    response = Response(f"r{number}", number)
    sentences = 1 + int(world.dice.between("length", 0, 2.999))
    text = "".join(SENTENCES[int(world.dice.between("sentence", 0, len(SENTENCES) - 0.001))] for _ in range(sentences))
    shape = _Shape(("oodbye" in about and GOODBYE) or text)
    for item in world.happened("response"):
        shape.bend(response, item)
    response.pieces = _pieces(response, shape, speaks)
    return response


@attrs.define
class _Shape:
    """What a response is made of, before it is written."""

    text: str
    items: int = 1
    """Of how many items it is made."""
    sounds: bool = True
    tools: int = 0
    """How many tools it calls."""
    ends: bool = True
    share: float = 1.0
    """How much of it comes before it ends."""

    def bend(self, response: Response, item: Item) -> None:
        """Let what was planned for the response be."""
        match item.what:
            case "fail" | "incomplete":
                response.status, response.reason = {"fail": "failed"}.get(item.what, item.what), str(item.value)
                self.share = (response.number % 3) / 2
            case "broken":
                response.status = str(item.value)
            case "goodbye":
                self.text = GOODBYE
            case "long":
                self.text = self.text * int(item.value)
            case "items":
                self.items = int(item.value)
                self.text = self.text * self.items
            case "mute":
                self.sounds = False
            case "empty":
                self.text = ""
            case "hang":
                self.ends, self.share = False, (response.number % 3) / 2
            case "tool":
                self.tools, self.text = int(item.value), ""
            case "tool_said":
                self.tools = 1
            case "think":
                response.thinks_ms = (float(item.value), float(item.value) * 1.2)
            case "crawl":
                response.pace_ms = (float(item.value), float(item.value) * 1.5)
            case "straggle":
                response.straggles = int(item.value)


def item_of(number: int, place: int = 0) -> str:
    """The id of an item of a response, by the response's number and the item's place in it."""
    return f"item_r{number}" + (f"_{place + 1}" if place else "")


def _pieces(response: Response, shape: _Shape, speaks: bool) -> list[Piece]:
    words = shape.text.split(" ")
    size = -(-len(words) // shape.items)
    said: list[Piece] = []
    for place, at in enumerate(range(0, len(words), size)):
        item_id = item_of(response.number, place)
        if text := " ".join(words[at : at + size]):
            added = {"response_id": response.id, "item": {"id": item_id, "type": "message"}}
            said.append(_piece("response.output_item.added", added, item_id))
            said += _in_sound(response, shape, text, place) if speaks else _in_text(response, shape, text, item_id)
            done = {"response_id": response.id, "item": {"id": item_id, "type": "message", "status": "completed"}}
            said.append(_piece("response.output_item.done", done))
    kept = said[: 1 + int((len(said) - 1) * shape.share)]
    for number in range(shape.tools):
        call = {"response_id": response.id, "call_id": f"call_{response.number}_{number}", "name": "look_up", "arguments": "{}"}
        kept.append(_piece("response.function_call_arguments.done", call))
    return [*kept, _piece("response.done", {})] if shape.ends else kept


def _in_text(response: Response, shape: _Shape, text: str, item_id: str) -> list[Piece]:
    ids = {"response_id": response.id, "item_id": item_id}
    size = 25
    deltas = [text[at : at + size] for at in range(0, len(text), size)] if shape.sounds else []
    pieces = [_piece("response.output_text.delta", {**ids, "delta": delta}) for delta in deltas]
    return [*pieces, _piece("response.output_text.done", {**ids, "text": text.strip()})]


def _in_sound(response: Response, shape: _Shape, text: str, place: int) -> list[Piece]:
    item_id = item_of(response.number, place)
    ids = {"response_id": response.id, "item_id": item_id}
    left_ms = len(text) * CHAR_MS
    pieces: list[Piece] = []
    words = text.split(" ")
    for at in range(0, left_ms, CHUNK_MS):
        word = words[min(at // CHUNK_MS, len(words) - 1)] + " "
        pieces.append(_piece("response.output_audio_transcript.delta", {**ids, "delta": word}))
        if shape.sounds:
            ms = min(CHUNK_MS, left_ms - at)
            head = json.dumps({"type": "response.output_audio.delta", **ids})
            sound = _encoded(response.number + PLACE * place, ms)
            pieces.append(("response.output_audio.delta", f'{head[:-1]}, "delta": "{sound}"}}', ms, item_id))
    done = _piece("response.output_audio.done", ids)
    return [*pieces, done, _piece("response.output_audio_transcript.done", {**ids, "transcript": text.strip()})]


def _piece(kind: str, fields: dict[str, Any], item_id: str = "") -> Piece:
    return kind, json.dumps({"type": kind, **fields}), 0, item_id


def sound_of(number: int, ms: int) -> bytes:
    """Sound whose every sample is a number."""
    return number.to_bytes(2, "little") * (ms * RATE_HZ // 1000)


@lru_cache(maxsize=512)
def _encoded(number: int, ms: int) -> str:
    return base64.b64encode(sound_of(number, ms)).decode("ascii")
