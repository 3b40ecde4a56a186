"""The engine: a notation for total tables, its checks and its compiler; it knows nothing of calls."""
