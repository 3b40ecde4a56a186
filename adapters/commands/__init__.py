"""The commands of `callfsm`, one module each: its flags, and the hand-over to what does the work; nothing here decides a call."""
