"""Clients that others wrote hold calls with the stand-in servers, each in an environment of its own: `python -m tests.oracles [NAME…]`."""
