"""Simulated calls: the real driver and the adapters' state over a virtual clock, with seeded faults and every rule judged."""
