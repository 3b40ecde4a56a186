"""`python -m tests.kills`: real workers, a real NATS, the stand-ins; the process that holds a call is lost at each moment.

`ways` says how it is lost, `moments` when, `judge` what must be so of the call afterwards, and `held` holds one. No claim is here.
"""
