"""The agent that answers calls: the ports of a call beside its line, made anew for each; a joiner of ports."""

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from adapters.chatterbox.port import check as check_chatterbox
from adapters.chatterbox.voice import Voice
from adapters.hosts.phone.application import PhoneCall
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.device import Device
from adapters.seam.ports import Port, Speaker
from adapters.text.sentences import SentenceCutter
from adapters.tools import Tools
from fsm.call.policy import Policy


class Agent(Protocol):
    """Who answers; an application with tools of its own makes one. What it has as `key`, if anything, is in no trace (R96)."""

    @property
    def policy(self) -> Policy:
        """The settings of its calls."""

    def ports(self, line: Device) -> Sequence[Port]:
        """The ports of one call beside its line and the server's own; who is to hear the caller is added to `line.ears`."""


Answer = Callable[[PhoneCall], Agent]
"""Who answers a call: called once for each, before it begins."""


@attrs.frozen(kw_only=True)
class ServedAgent:
    """An agent of a realtime LLM, of Chatterbox servers where the policy says so, and of tools; the key is shown nowhere."""

    policy: Policy
    chained: Policy | None = None
    """The policy for a server that shows itself to be a chained one, if `checked` is to find out."""
    settings: RealtimeSettings
    realtime_url: str
    key: str | None = attrs.field(default=None, repr=False)
    voice: Voice = attrs.field(factory=Voice)
    """The Chatterbox voice; without a server the model speaks itself."""
    tools: Tools | None = None
    """What the model may call; `settings` declare them."""
    openai: bool | None = None
    """Has the realtime server OpenAI's voices and transcription models? None: its address says so."""

    def ports(self, line: Device) -> list[Port]:
        """See Agent."""
        llm = self._llm(line)
        line.ears.append(llm)
        ports: list[Port] = [llm]
        if self.voice.speech is not None:
            ports.append(self.voice.port(self.policy, line))
        if self.tools is not None:
            ports.append(self.tools.for_call())
        return ports

    async def checked(self) -> "ServedAgent":
        """The agent with the policy that fits its server. Raises WebSocketError, ValueError or ConnectionError, each in one plain line."""
        llm = self._llm(_Nobody())
        async with llm.checked():
            found = self.chained if self.chained is not None and await llm.is_chained() else None
        if self.voice.speech is not None:
            self.voice.port(self.policy, _Nobody())
            await check_chatterbox(self.voice.speech)
        return attrs.evolve(self, policy=found) if found else self

    def _llm(self, speaker: Speaker) -> RealtimeLLM:
        return RealtimeLLM(
            url=self.realtime_url,
            key=self.key,
            settings=self.settings,
            policy=self.policy,
            speaker=speaker,
            cutter=SentenceCutter,
            openai=self.openai,
        )


class _Nobody:
    """A speaker for a connection that is only tried."""

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        """Refuse."""
        return False
