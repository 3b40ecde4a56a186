"""The stand-in for Chatterbox servers: their dialects, jobs and faults."""
