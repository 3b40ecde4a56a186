"""The caller of the demonstration call: what they say, and when.

Their lines wait for what they hear, so that the machine's speed does not matter.
"""

from adapters.standin.caller import AfterQuiet, At, IntoSpeech, Line, ScriptedCaller
from adapters.standin.voice import Voice

PITCH = 0.8
"""The caller's voice is the agent's, a little lower, so that the ear tells them apart."""


def demo_caller(voice: str) -> ScriptedCaller:
    """Speak the script to an agent with this voice; takes about a second of processor time, so call it from a thread.

    They talk into the greeting; ask; interrupt in mid-sentence; interrupt again when the model is done but still heard, and say goodbye.
    """
    speaker = Voice.load()
    return ScriptedCaller(Line(b"".join(speaker.speak(text, pitch=PITCH)), text, cue) for text, cue in _script(voice))


def _script(voice: str) -> tuple[tuple[str, At | AfterQuiet | IntoSpeech], ...]:
    """The lines and their cues. The answer to the first follows the greeting at once, unless it has to be synthesised first."""
    return (
        ("Hello? Can you hear me?", At(3_500)),
        ("What are your opening hours?", AfterQuiet(700, utterances=2 if voice == "chatterbox" else 1)),
        ("Sorry, how much is a puncture repair?", IntoSpeech(1_300)),
        ("All right, thank you very much. Goodbye!", IntoSpeech(9_000)),
    )
