"""One call at a terminal: its ports joined, shown live, and what it leaves behind in a folder."""
