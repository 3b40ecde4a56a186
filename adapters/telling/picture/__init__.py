"""The picture of a call, drawn from its trace and recording."""
