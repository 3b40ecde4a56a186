"""Sound devices: the virtual one, microphone and loudspeaker, players, and what hears the caller on this side."""
