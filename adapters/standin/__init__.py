"""The far side, on this machine: servers and a voice that stand in for the real ones, and callers who speak by a script.

The servers know neither the core nor the adapters, so that they cannot share a mistake with them; no adapter imports them.
Start with `realtime/server.py`; `caller.py` is who speaks, `dialling.py` a whole phone call from Twilio's side.
"""
