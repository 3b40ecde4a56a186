"""Scripts that hear the scenes of `make ears` by the turn-start rules of others, each in an environment of its own under `.oracles/`.

Each opens with the metadata that `tests.oracles.catalog` reads. Its arguments are a folder with `heard.raw`, all scenes one after the other
as 16 kHz mono signed 16-bit sound, and `lengths.json`, their samples; and the settings to be tried, the peer's default first. It prints one
JSON object: by setting, when in ms the agent would first be interrupted in each scene, or null. Nothing of callfsm is imported there.
"""
