"""What tells of a call or of its tables: the trace, the summary, the picture, the page, the diagrams.

Nothing here may touch a running call, or know a device: it reads snapshots, traces and recordings. Start with `trace.py`.
"""
