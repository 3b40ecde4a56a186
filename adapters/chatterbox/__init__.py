"""The Chatterbox voice: the port that has sentences synthesised and cancels them, for each kind of server."""
