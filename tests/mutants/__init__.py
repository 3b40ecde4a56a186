"""The tables broken one change at a time, to see that something notices each: `python -m tests.mutants`, or `make mutants`."""
