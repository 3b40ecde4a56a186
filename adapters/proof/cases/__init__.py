"""Field logs: fed to the core as calls, and judged."""
