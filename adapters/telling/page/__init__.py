"""A call as a page that one can scrub through: one document of plain data, and the page that shows it, offline in one file or live.

Nothing here may know a socket: a host serves what is made here. Start with `document.py`.
"""
