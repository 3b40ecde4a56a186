"""The realtime LLM: the port of a call to it, its wire and its messages, and the socket under them."""
