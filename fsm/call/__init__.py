"""The call: its events, effects, policy, snapshot and tables."""
