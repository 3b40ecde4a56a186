"""How clients bear a faulty realtime server: each is interrupted in the same call, and what the caller still hears is counted."""
