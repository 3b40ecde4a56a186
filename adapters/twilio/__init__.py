"""Twilio Media Streams: a telephone line as a call's device, its wire and its sound."""
