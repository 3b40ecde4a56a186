"""A browser as the line of a call: its microphone and loudspeaker, over a WebSocket.

Nothing may be here that another line has too, nor a web server: the socket is given. Start with `line.py`.
"""
