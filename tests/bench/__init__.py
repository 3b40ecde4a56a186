"""The benchmark, `make bench`: what a step costs, how soon an interrupted voice is refused, how long the core takes to import."""
