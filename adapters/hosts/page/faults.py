"""The faults that a page may ask of the stand-ins: a name, the words of its button, and what a stand-in is told."""

from collections.abc import Container

import attrs


@attrs.frozen
class Fault:
    """A fault: which stand-in fails, how its button is called and what it says, and it as a script has it, in TOML."""

    server: str
    words: str
    says: str
    table: str

    @property
    def script(self) -> str:
        """The script of it alone, on one line."""
        return f"fault = [{self.table}]"


FAULTS = {
    "line": Fault("realtime", "Break the line", "the connection to the LLM is reset", '{name = "close", code = 1006, at_s = 0}'),
    "session": Fault("realtime", "Lose the session", "the LLM says that its time is up", '{name = "session_expired", at_s = 0}'),
    "twice": Fault(
        "realtime",
        "Double a message",
        "the next time that you speak, the LLM tells it twice",
        '{name = "duplicate", on = "input_audio_buffer.speech_started"}',
    ),
    "slow": Fault("realtime", "Slow the voice", "nothing comes of the LLM for three seconds", '{name = "hiccup", ms = 3000, at_s = 0}'),
    "slow speech": Fault("chatterbox", "Slow the voice", "the next sentence takes three seconds longer", '{name = "slow", ms = 3000}'),
}


def faults_of(servers: Container[str]) -> dict[str, Fault]:
    """Those that these stand-ins may have, by name; the voice of a speech server is slowed there."""
    return {name: one for name, one in FAULTS.items() if one.server in servers and not (name == "slow" and "chatterbox" in servers)}
