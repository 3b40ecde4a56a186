"""`callfsm devices`: the microphones and loudspeakers that `callfsm call --device` can use."""

import argparse
from typing import Any

from adapters.commands.common import Refused, command
from adapters.commands.extras import need


def add(commands: Any) -> None:
    """Declare the command."""
    text = "list the sound devices: number, name, system, inputs and outputs; the default ones are marked"
    command(commands, "devices", _devices, text, "callfsm devices")


def _devices(_: argparse.Namespace) -> int:
    need("callfsm devices", "sound")
    from adapters.audio.library import NoSound, devices

    try:
        found = devices()
    except NoSound as error:
        raise Refused(str(error)) from None
    if not found:
        raise Refused("this machine has no sound device; plug one in, or hold the call with --caller WAV")
    width = max(len(device.name) for device in found)
    for device in found:
        sides = [
            f"{count} {side}{' (default)' if default else ''}"
            for count, side, default in (
                (device.inputs, "in", device.is_default_input),
                (device.outputs, "out", device.is_default_output),
            )
            if count
        ]
        print(f"{device.index:>3}  {device.name:<{width}}  {device.system}, {', '.join(sides)}, {device.rate_hz} Hz")
    return 0
