"""What puts a call together from a core, adapters and settings, and keeps it: the terminal, the page, and the phone server.

Nothing may be here that one resource could do alone, and no flag of the command line. Start with `terminal/live.py`,
one call; `page/` holds one at a time in a browser, `phone/` many.
"""
