"""What comes from outside, made hostile: parsers fed with mutations, and a good call held beside attacks. `python -m tests.chaos`."""
