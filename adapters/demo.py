"""The caller of the demonstration call: what they say, and when.

Their lines wait for what they hear, so that the machine's speed does not matter.
"""

from adapters.caller import AfterQuiet, At, IntoSpeech, Line, ScriptedCaller
from adapters.standin.voice import Voice

PITCH = 0.8
"""The caller's voice is the agent's, a little lower, so that the ear tells them apart."""

SCRIPT: tuple[tuple[str, At | AfterQuiet | IntoSpeech], ...] = (
    ("Hello? Can you hear me?", At(3_500)),
    ("What are your opening hours?", AfterQuiet(700, or_after_ms=8_000, utterances=2)),
    ("Sorry, how much is a puncture repair?", IntoSpeech(1_300)),
    ("All right, thank you very much. Goodbye!", IntoSpeech(9_000)),
)
"""Talks into the greeting; asks; interrupts in mid-sentence; interrupts again when the model is done but still heard, and says goodbye."""


def demo_caller() -> ScriptedCaller:
    """Speak the script; takes about a second of processor time, so call it from a thread."""
    voice = Voice.load()
    return ScriptedCaller(Line(b"".join(voice.speak(text, pitch=PITCH)), text, cue) for text, cue in SCRIPT)
