"""The realtime wire of one connection, both ways, as our events and effects: pure, no socket, no clock, no task.

What a message means is in `table`, what is asked for in `commands` and `session`. What is remembered is bounded, and no text from the
server makes it raise (R07, R84).
"""

import binascii
import itertools
import json
from collections import Counter
from typing import Any

from adapters.realtime.commands import bodies
from adapters.realtime.dialects import spoken
from adapters.realtime.incoming import Incoming, Reply
from adapters.realtime.meaning import begun_untold, note, settle
from adapters.realtime.memory import Gate, Memory
from adapters.realtime.messages import Malformed, Told
from adapters.realtime.session import SessionSetup
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.table import TABLE
from adapters.seam.ports import PCM, Sound
from fsm.call.effects import (
    CommitTurn,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    ProtectResponse,
    ReleaseResponse,
    RewriteItem,
    TruncateItem,
)
from fsm.call.policy import Policy

PARTS = 16_384
"""So many commas and brackets a message may have. Those with the most, a session with all its tools or a transcript with the chance of
every token, have a few thousand; a longer message is as long as its sound. What is read of it takes milliseconds (R106)."""
DIGITS = 20
"""So many digits a number may have that counts: all of 64 bits. What Python takes for longer ones grows with their square."""


class Wire:
    """Both directions of one connection; `receive` and `send` may be called from within one another's results."""

    def __init__(
        self,
        settings: RealtimeSettings,
        policy: Policy,
        *,
        openai: bool = False,
        key: str | None = None,
        hears: Sound = PCM,
        speaks: Sound = PCM,
    ) -> None:
        """`openai`: is the server OpenAI's own? `key` is kept out of what is told of errors. It `hears` and `speaks` in these formats."""
        setup = SessionSetup(settings, policy, openai=openai, hears=hears, speaks=speaks)
        self.memory = Memory(settings, policy, setup, key)
        self._numbers = itertools.count(1)

    @property
    def quarantined(self) -> Counter[str]:
        """How many messages were set aside, by code: `malformed_event`, `unknown_event`, `error` (R84)."""
        return self.memory.set_aside

    @property
    def asked(self) -> bool:
        """Have we told the server what the session is to be? Before that it is told nothing else."""
        return self.memory.gate is not Gate.UNASKED

    @property
    def confirmed(self) -> bool:
        """Has the server confirmed the session that we asked for?"""
        return self.memory.gate is Gate.CONFIRMED

    def send(self, effect: Effect) -> list[dict[str, Any]]:
        """The messages that carry an effect out, each with an event_id of ours (R03); none when there is nothing to say."""
        setup = self.memory.setup
        match effect:
            case ConfigureSession():
                self.memory.gate = Gate.ASKED
                return [self._numbered(effect, setup.message())]
            case ProtectResponse() | ReleaseResponse():
                return [self._numbered(effect, body) for body in setup.release(held=isinstance(effect, ProtectResponse))]
            case CommitTurn():
                self.memory.open_commits += 1
            case TruncateItem() | DeleteItem():
                self.memory.open_corrections += 1
            case RewriteItem():
                began = self.memory.rewrites.begin(effect, self.memory.previous.get(effect.item_id, ""))
                return [self._spoken(DeleteItem(effect.item_id), body) for body in began]
            case CreateResponse():
                self.memory.asking = True
                due = [self._spoken(*one) for one in self.memory.rewrites.due()]
                return due + [self._spoken(effect, body) for body in bodies(effect, self.memory.settings, setup.modalities())]
        return [self._spoken(effect, body) for body in bodies(effect, self.memory.settings, setup.modalities())]

    def become(self, settings: RealtimeSettings) -> list[dict[str, Any]]:
        """Be asked to be somebody else; the message that says so in a session that is set up."""
        self.memory.settings = settings
        body = self.memory.setup.become(settings)
        return [self._numbered(None, body)] if self.asked else []

    def answer(self, reply: Reply) -> dict[str, Any]:
        """The message of a reply."""
        return self._spoken(reply.effect, reply.body)

    def restore(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages that give a new session what was said so far (R85)."""
        return [self._spoken(None, {"type": "conversation.item.create", "item": item}) for item in items]

    def receive(self, text: str) -> list[Incoming]:
        """What a message from the server says; one that cannot be understood becomes an ErrorReceived (R84)."""
        memory = self.memory
        if len(text) > PARTS and sum(map(text.count, ",[{")) > PARTS:
            return note(memory, "malformed_event", f"more than {PARTS:,} parts")
        try:
            told = Told(json.loads(text, parse_int=_number), memory.renamed)
        except (ValueError, RecursionError):
            return note(memory, "malformed_event", "not JSON")
        except Malformed as error:
            return note(memory, "malformed_event", str(error))
        settled = settle(memory, told)
        declared = TABLE.get(told.kind)
        if declared is None:
            return [*settled, *note(memory, "unknown_event", told.kind[:80])]
        try:
            if declared.of_response and memory.is_foreign(told):
                return settled
            if declared.of_response:
                settled = [*settled, *begun_untold(memory, told)]
            row = next(row for row in declared.rows if row.form(memory, told))
            return [*settled, *row.act(memory, told)]
        except Malformed as error:
            return [*settled, *note(memory, "malformed_event", str(error))]

    def shown(self, text: str) -> SessionSetup:
        """What a session.created shows of the server. Of a wire that is used for nothing else."""
        self.receive(text)
        return self.memory.setup

    def _spoken(self, effect: Effect | None, body: dict[str, Any]) -> dict[str, Any]:
        """A message in the server's dialect."""
        return self._numbered(effect, spoken(self.memory.setup.dialect, body))

    def _numbered(self, effect: Effect | None, body: dict[str, Any]) -> dict[str, Any]:
        event_id = f"cf_{next(self._numbers)}"
        if effect is not None:
            self.memory.commands[event_id] = effect
        return {"type": body["type"], "event_id": event_id, **body}


def append(pcm: bytes) -> str:
    """The message that carries the caller's sound; made by hand, as there are fifty a second."""
    return '{"type":"input_audio_buffer.append","audio":"' + binascii.b2a_base64(pcm, newline=False).decode("ascii") + '"}'


def _number(digits: str) -> int:
    """A number without a fraction. Raises ValueError for one that no server counts to."""
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)
