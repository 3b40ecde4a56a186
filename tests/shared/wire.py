"""What the claims about the realtime wire begin with."""

import base64
import json
from typing import Any

from adapters.realtime.incoming import Happened, Incoming
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.wire import Wire
from fsm.call import events
from fsm.call.effects import ConfigureSession, Effect
from fsm.call.policy import Policy

SETTINGS = RealtimeSettings(greeting="Say hello.", instructions="Be kind.", entry="Keys: {digits}.")
VOICE = Policy(voice="realtime")
TEXT = Policy(voice="chatterbox")
LOCAL = Policy(voice="realtime", turns="local")
SERVER_OWNS = Policy(voice="realtime", interrupts="server", create_response=True)
RESPONSE = {"id": "r1", "conversation_id": "conv_1"}
SOUND = base64.b64encode(b"\x01\x02\x03\x04").decode()
ADDED = Happened(events.ItemAdded, ("r1", "i2"))
CALL = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "hours", "arguments": '{"day": "Monday"}'}


def wire(policy: Policy = VOICE) -> Wire:
    return Wire(SETTINGS, policy, openai=True)


def hear(wire: Wire, **message: Any) -> list[Incoming]:
    return wire.receive(json.dumps(message))


def say(wire: Wire, effect: Effect) -> dict[str, Any]:
    (message,) = wire.send(effect)
    return message


def confirmed(policy: Policy = VOICE) -> Wire:
    made = wire(policy)
    session = say(made, ConfigureSession())["session"]
    assert hear(made, type="session.updated", session=session) == [Happened(events.SessionConfirmed)]
    return made


def responding(policy: Policy = VOICE) -> Wire:
    """One whose server has begun to answer."""
    made = confirmed(policy)
    hear(made, type="response.created", response=RESPONSE)
    return made


def refusal(wire: Wire, effect: Effect, code: str, message: str = "because") -> list[Incoming]:
    """The answer to an effect's message with an error that names it."""
    event_id = say(wire, effect)["event_id"]
    return hear(wire, type="error", error={"type": "invalid_request_error", "code": code, "message": message, "event_id": event_id})
