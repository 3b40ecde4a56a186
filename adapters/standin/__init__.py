"""Servers and a voice that stand in for the real ones on this machine; no adapter of a real resource imports them."""
