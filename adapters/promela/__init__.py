"""The tables as a Promela model: written out, checked by spin, and walked alongside the step."""
