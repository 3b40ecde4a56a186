"""Twilio Media Streams: a telephone line as a call's device, its wire and its sound.

The server that takes calls may not be here (`hosts.phone`), nor Twilio's side of the line (`standin.twilio`). Start with `port.py`.
"""
