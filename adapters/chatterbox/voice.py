"""The voice of one call: a Chatterbox port with its servers, its apology and its times, as a policy has them."""

import attrs

from adapters.chatterbox.apology import Apology
from adapters.chatterbox.port import Chatterbox
from adapters.chatterbox.servers import Server
from adapters.seam.ports import Speaker
from fsm.call.policy import Policy

WITHIN = 0.95
"""The part of a deadline of the core in which the voice gives up by itself, so that it can say why."""


@attrs.frozen
class Voice:
    """Whose voice the calls have; each call gets a port of its own. A server of None is yet to be found."""

    speech: Server | None = None
    fallback: Server | None = None
    """The server that speaks while that one does not."""
    apology: bytes = attrs.field(default=b"", repr=False)
    """What the caller hears when none of them speaks any more, as 24 kHz mono PCM; empty for nothing."""

    def port(self, policy: Policy, speaker: Speaker) -> Chatterbox:
        """For one call. Raises ValueError in one line."""
        if self.speech is None:
            raise ValueError("no Chatterbox server is named")
        apology = Apology(self.apology, policy.voice_failures) if self.apology else None
        timeout_s = policy.synthesis_ms / 1000 * WITHIN
        return Chatterbox(url=self.speech, speaker=speaker, fallback=self.fallback, apology=apology, timeout_s=timeout_s)
