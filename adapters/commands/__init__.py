"""The commands of `callfsm`, one module each: its flags, and the hand-over to what does the work.

Nothing here may decide a call, and nothing but `cli` imports it; what a command needs it imports when it runs. Start with `call.py`.
"""
