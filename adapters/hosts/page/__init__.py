"""A call at a browser: a page on loopback that talks, and shows the call to whoever watches while it goes on."""
