"""Servers that others wrote, run from a checkout with stubs for their models: each script here starts one, and `served` calls it."""
