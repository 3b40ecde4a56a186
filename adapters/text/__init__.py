"""Text on its way to a voice: where a sentence ends, and how long it takes to say.

Pure: no clock, no I/O and no import of ours. A response's sentences are numbered in `realtime`. Start with `sentences.py`.
"""
