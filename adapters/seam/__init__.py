"""The seam between the core and what touches the world: ports, the driver over them, and what a played-out voice is.

Nothing of a device, a server or a wire may be here, and no import but of `fsm`: whatever two adapters need and neither owns.
Start with `ports.py`, then `driver.py`; `playout.py` is the one account of what was heard.
"""
