"""The Chatterbox voice: the port that has sentences synthesised and cancels them, for each kind of server.

What plays the sound may not be here: it goes to a `Speaker`. Start with `port.py`; `servers.py` says what the dialects are.
"""
