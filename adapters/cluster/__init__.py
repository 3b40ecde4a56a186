"""What the machines of a cluster share, so that a call outlives its process (R110); no rule of a call, no line and no model is in here.

`record` is the format of a live call's record, and the call that it tells; `journal` writes it as the call goes on, and holds back what
cannot be undone until its cause is on record; `store` keeps records, tickets and leases in NATS JetStream; `nats` starts a server of
one's own.
"""
