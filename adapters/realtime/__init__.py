"""The realtime LLM: the port of a call to it, its wire and its messages, and the socket under them.

No sound device, no voice and no decision about the call may be here. Start with `port.py`; `wire.py` turns messages into events.
"""
