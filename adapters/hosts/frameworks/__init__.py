"""callfsm inside the voice frameworks that others wrote: the core decides, and agents, tools, handoffs and transports stay the framework's.

`guard.py` is a call for a framework, over the realtime LLM of ours and a line of frames, and knows none of them; each framework has one
module, which alone imports it, and is not imported by anything else here. Start with FRAMEWORKS.md, then `guard.py`.
"""
