"""What judges the tables and the adapters: the checker, the simulation, field logs, the rules, and a second interpreter.

Nothing that runs in a call may import it, and it decides none. Start with `rules.py`, then `world.py` and what is
asked of it (`judges`, `demands`, `corrections`, `meanings`, `deadlines`, `notes`; `laws` names what they tell), then `verify/model.py`.
"""
