"""The stand-in for Twilio's side of a call: its stream, its REST API, and what it hears."""
