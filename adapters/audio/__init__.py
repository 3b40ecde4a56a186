"""Sound: the virtual device, microphone and loudspeaker, players, WAVs, and what hears the caller on this side.

No server and no telephone line may be here, and nobody who speaks by a script: a device is given its `Caller`. Start with `wav_device.py`,
the shortest whole device; `device.py` joins a real microphone and loudspeaker.
"""
