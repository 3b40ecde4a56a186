"""A realtime LLM's server for simulated calls: the protocol's order and errors, with made-up responses; it fails as planned.

Responses are r1, r2, … over the whole call. Every sample of a response's sound is its number, so that whoever hears one knows whose it is.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from adapters.proof.sim.plan import Item
from adapters.proof.sim.response import Response, Spoken, written
from adapters.proof.sim.world import World

Send = Callable[[str, str], None]
"""Send a message to the client: its type, and it as JSON."""
Message = Mapping[str, Any]

ACTIVE = "conversation_already_has_active_response"
NOT_ACTIVE = "response_cancel_not_active"
WORDS = ("I have a question.", "I have a question.", "Yeah.", "")
"""What the caller's turns say."""


class Model:
    """One session of the server."""

    def __init__(self, world: World, send: Send) -> None:
        self._world = world
        self._send = send
        self._open = False
        self._session: dict[str, Any] = {}
        self._active: Response | None = None
        self._items: dict[str, Spoken] = {}
        self._speaking = ""
        self._turns = 0
        self._told = 0

    @property
    def confirmed(self) -> bool:
        """Does the server take sound: does the connection stand, and was the session set up?"""
        return self._open and bool(self._session)

    def open(self) -> None:
        """The connection stands."""
        self._open = True
        self._later(10, 120, self._tell, {"type": "session.created", "session": {"id": "sess_1"}})

    def close(self) -> None:
        """The connection is gone, and what was being generated with it."""
        self._open, self._active = False, None

    def receive(self, message: Message) -> None:
        """Answer a message of the client."""
        handler = _HANDLERS.get(message["type"])
        if handler is not None:
            handler(self, message)

    def hear_speech(self, turn: str) -> None:
        """The VAD hears the caller begin."""
        if not self.confirmed or self._speaking:
            return
        self._speaking = turn
        self._world.happened("speech")
        self._tell({"type": "input_audio_buffer.speech_started", "audio_start_ms": int(self._world.now_ms()), "item_id": turn})
        if self._may("interrupt_response") and self._active is not None:
            self._end(self._active, "cancelled", "turn_detected")

    def hear_silence(self) -> None:
        """The VAD hears the caller end: the turn is committed, transcribed later, and answered if that is the server's work."""
        turn, self._speaking = self._speaking, ""
        if not self._open or not turn:
            return
        self._tell({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": int(self._world.now_ms()), "item_id": turn})
        self._tell({"type": "input_audio_buffer.committed", "item_id": turn})
        self._tell({"type": "conversation.item.added", "item": {"id": turn, "type": "message", "role": "user"}})
        words = WORDS[int(self._world.dice.between("words", 0, len(WORDS) - 0.01))]
        said = {"type": "conversation.item.input_audio_transcription.completed", "item_id": turn, "transcript": words}
        self._later(200, 2_500, self._tell, said)
        if self._may("create_response") and self._active is None:
            self.respond()

    def respond(self, about: str = "") -> None:
        """Begin a response; `about` is what it was asked to say."""
        if self._active is not None:
            return
        self._active = response = written(self._world, about, self._speaks())
        self._world.happened("active")
        self._later(5, 60, self._create, response)

    def respond_twice(self) -> None:
        """Begin a response whether or not another is being generated, which goes on."""
        self._active = None
        self.respond()

    def cancel_unasked(self) -> None:
        """End what is being generated for a reason of the server's own."""
        if self._active is not None:
            self._end(self._active, "cancelled", "turn_detected")

    def say(self, message: Message) -> None:
        """Send a message that belongs to nothing."""
        self._tell(message)

    def say_text(self, text: str) -> None:
        """Send what need not be JSON."""
        if self._open:
            self._send("garbage", text)

    # What the client asks for.

    def _update(self, message: Message) -> None:
        for item in self._world.happened("configuring"):
            self._refuse(message, str(item.value))
            return
        _merge(self._session, message["session"])
        self._later(5, 80, self._tell, {"type": "session.updated", "session": json.loads(json.dumps(self._session))})

    def _create_asked(self, message: Message) -> None:
        if self._active is not None:
            self._refuse(message, ACTIVE)
            return
        self._world.happened("create")
        for item in self._world.happened("creating"):
            if item.what == "refuse":
                self._refuse(message, str(item.value))
                return
        self.respond(str(message.get("response", {}).get("instructions", "")))

    def _cancel_asked(self, message: Message) -> None:
        self._world.happened("cancel")
        if self._active is None or message.get("response_id") not in (None, self._active.id) or not self._active.created:
            self._refuse(message, NOT_ACTIVE)
        else:
            self._end(self._active, "cancelled", "client_cancelled")

    def _commit(self, message: Message) -> None:
        """The client's VAD has heard the caller end."""
        for item in self._world.happened("committing"):
            self._refuse(message, str(item.value))
            return
        self._turns += 1
        turn = f"c{self._turns}"
        self._tell({"type": "input_audio_buffer.committed", "item_id": turn})
        self._tell({"type": "conversation.item.added", "item": {"id": turn, "type": "message", "role": "user"}})

    def _truncate(self, message: Message) -> None:
        item = self._items.get(message["item_id"])
        if item is None or message["audio_end_ms"] > item.sent_ms:
            self._refuse(message, "invalid_value")
            return
        item.sent_ms = message["audio_end_ms"]
        self._tell({"type": "conversation.item.truncated", "item_id": message["item_id"], "audio_end_ms": message["audio_end_ms"]})

    def _delete(self, message: Message) -> None:
        if self._items.pop(message["item_id"], None) is None:
            self._refuse(message, "item_delete_invalid_item_id")
        else:
            self._tell({"type": "conversation.item.deleted", "item_id": message["item_id"]})

    def _item(self, message: Message) -> None:
        self._tell({"type": "conversation.item.added", "item": {"id": "item_of_ours", **message["item"]}})

    def _refuse(self, message: Message, code: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": "simulated", "event_id": message.get("event_id")}
        self._later(2, 20, self._tell, {"type": "error", "event_id": "event_1", "error": error})

    # What it says.

    def _create(self, response: Response) -> None:
        if response is not self._active:
            return
        response.created = True
        self._tell({"type": "response.created", "response": {"id": response.id, "status": "in_progress", "conversation_id": "conv_1"}})
        self._later(*response.thinks_ms, self._go_on, response, 0)

    def _go_on(self, response: Response, at: int) -> None:
        """Send the next piece of a response, unless it has ended; a straggling one sends a few more."""
        if not self._open or at >= len(response.pieces):
            return
        if response.ended:
            if not response.straggles:
                return
            response.straggles -= 1
        kind, text, sound_ms, item_id = response.pieces[at]
        if kind == "response.output_item.added":
            self._items[item_id] = Spoken()
        elif item_id in self._items:
            self._items[item_id].sent_ms += sound_ms
        if kind != "response.done":
            self._send(kind, text)
        elif not response.ended:
            self._end(response, response.status, response.reason)
        self._later(*response.pace_ms, self._go_on, response, at + 1)

    def _end(self, response: Response, status: str, reason: str) -> None:
        if response.ended:
            return
        response.ended = True
        if response is self._active:
            self._active = None
        details: dict[str, Any] = {"type": status, "reason": reason} if status != "failed" else {"type": status, "error": {"code": reason}}
        done = {"id": response.id, "status": status, "status_details": details if reason else None, "conversation_id": "conv_1"}
        if not response.created:
            self._tell({"type": "response.created", "response": {**done, "status": "in_progress"}})
        self._tell({"type": "response.done", "response": done})
        self._world.happened("done")

    def _tell(self, message: Message) -> None:
        if self._open:
            self._told += 1
            self._send(message["type"], json.dumps({"event_id": f"event_{self._told}", **message}))

    def _later(self, low_ms: float, high_ms: float, act: Callable[..., None], *args: Any) -> None:
        self._world.after(self._world.dice.between("server", low_ms, high_ms), act, *args)

    def _may(self, right: str) -> bool:
        vad = self._session.get("audio", {}).get("input", {}).get("turn_detection") or {}
        return bool(vad.get(right))

    def _speaks(self) -> bool:
        return "audio" in self._session.get("output_modalities", [])


def misfortunes(world: World, model: Callable[[], Model | None]) -> None:
    """Make the acts in which the server does something by itself."""

    def act(what: Callable[[Model, Item], None]) -> Callable[[Item], None]:
        def do(item: Item) -> None:
            session = model()
            if session is not None:
                what(session, item)

        return do

    world.acts |= {name: act(what) for name, what in _MISFORTUNES.items()}


def _error(model: Model, item: Item) -> None:
    model.say({"type": "error", "error": {"type": "server_error", "code": str(item.value), "message": "simulated"}})


def _garbage(model: Model, item: Item) -> None:
    model.say_text(str(item.value))


def _foreign(model: Model, item: Item) -> None:
    response = {"id": f"x{item.nth}", "status": "completed", "conversation_id": None}
    model.say({"type": "response.created", "response": response})
    model.say({"type": "response.output_text.delta", "response_id": f"x{item.nth}", "item_id": "x", "delta": "Not for you. "})
    model.say({"type": "response.done", "response": response})


def _unasked(model: Model, _: Item) -> None:
    model.respond()


def _second(model: Model, _: Item) -> None:
    model.respond_twice()


def _killed(model: Model, _: Item) -> None:
    model.cancel_unasked()


_MISFORTUNES: dict[str, Callable[[Model, Item], None]] = {
    "error": _error,
    "garbage": _garbage,
    "foreign": _foreign,
    "unasked": _unasked,
    "second": _second,
    "kill": _killed,
}


def _merge(into: dict[str, Any], more: Message) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


_HANDLERS: dict[str, Callable[[Model, Message], None]] = {
    "session.update": Model._update,
    "input_audio_buffer.commit": Model._commit,
    "response.create": Model._create_asked,
    "response.cancel": Model._cancel_asked,
    "conversation.item.truncate": Model._truncate,
    "conversation.item.delete": Model._delete,
    "conversation.item.create": Model._item,
}
