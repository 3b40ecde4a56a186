"""The frameworks through every fault of the realtime stand-in, as they come and with callfsm inside: `python -m tests.oracles.inside`."""
