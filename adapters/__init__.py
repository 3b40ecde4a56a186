"""The house around the core, in rooms between which imports run one way (`tests/test_house.py`).

`seam` is what a port and the driver agree on, `text` what a voice says; `audio`, `browser`, `realtime`, `chatterbox`, `twilio` and
`tools` are the adapters, one resource each; `hosts` put them together to a call. `telling` tells of one, `proof` judges it, `standin`
plays the far side, and `commands` is the command line. Nothing lies here beside the rooms but `cli.py` and `tools.py`. Start with
`seam/ports.py`.
"""
