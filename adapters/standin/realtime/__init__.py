"""The stand-in for a realtime LLM: its wire, session and responses, as strict as the original."""
