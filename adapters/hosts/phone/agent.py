"""The agent that answers calls: the ports of a call beside its line, made anew for each; a joiner of ports."""

import logging
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import attrs

from adapters.chatterbox.port import check as check_chatterbox
from adapters.chatterbox.voice import Voice
from adapters.hosts.phone.application import PhoneCall
from adapters.hosts.phone.log import masked, tell
from adapters.realtime.place import is_openai
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.seam.device import Device
from adapters.seam.ports import PCM, PCMU, Port, Sound, Speaker
from adapters.telling.spans import Model
from adapters.text.sentences import SentenceCutter
from adapters.tools import Tools
from fsm.call.policy import Policy

LineSound = Literal["auto", "pcmu", "pcm"]


class Agent(Protocol):
    """Who answers; an application with tools of its own makes one. What it has as `key`, if anything, is in no trace (R96).

    It speaks PCM, unless its `sound` says otherwise (`adapters.seam.ports.sound_of`).
    """

    @property
    def policy(self) -> Policy:
        """The settings of its calls."""

    def ports(self, line: Device) -> Sequence[Port]:
        """The ports of one call beside its line and the server's own; who is to hear the caller is added to `line.ears`."""


def model_of(url: str, settings: RealtimeSettings, openai: bool | None = None) -> Model:
    """What is known of the model that answers there; `openai`: whether it is OpenAI's, where the URL does not say so."""
    return Model(provider="openai" if (is_openai(url) if openai is None else openai) else "", name=settings.model or "")


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
    line_sound: LineSound = "auto"
    """How sound goes to the realtime LLM, and its own voice back: as the line has it (pcmu), or as 24 kHz PCM. With `auto` it is pcmu where
    the server is known to take that: OpenAI's, and for `checked` one whose session shows it."""

    @property
    def heard(self) -> Sound:
        """The format in which the LLM hears the caller."""
        auto = PCMU if (is_openai(self.realtime_url) if self.openai is None else self.openai) else PCM
        return {"pcmu": PCMU, "pcm": PCM, "auto": auto}[self.line_sound]

    @property
    def sound(self) -> Sound:
        """The format in which it speaks: that of a Chatterbox voice is PCM."""
        return self.heard if self.policy.voice == "realtime" else PCM

    @property
    def model(self) -> Model:
        """What is known of the model."""
        return model_of(self.realtime_url, self.settings, self.openai)

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
        asking = attrs.evolve(self, line_sound="pcmu") if self.line_sound == "auto" else self
        llm = asking._llm(_Nobody(asking.sound))
        async with llm.checked():
            found = self.chained if self.chained is not None and await llm.is_chained() else self.policy
            line_sound = await self._agreed(llm)
        if self.voice.speech is not None:
            self.voice.port(self.policy, _Nobody(PCM))
            await check_chatterbox(self.voice.speech)
        return attrs.evolve(self, policy=found, line_sound=line_sound)

    async def _agreed(self, llm: RealtimeLLM) -> LineSound:
        """The format in which the server of a checked connection will have calls: `llm` asks it for pcmu. Raises ValueError."""
        if self.line_sound == "pcm" or (self.heard is PCM and not await llm.has_sound()):
            return "pcm"
        refusal = await llm.refusal()
        if not refusal:
            return "pcmu"
        words = f"the realtime server does not take audio/pcmu: {refusal}"
        if self.line_sound == "pcmu":
            raise ValueError(f"--line-sound pcmu: {words}; leave the option out")
        tell(logging.WARNING, "line_sound", words=masked(f"{words}; calls are held in 24 kHz PCM"))
        return "pcm"

    def _llm(self, speaker: Speaker) -> RealtimeLLM:
        return RealtimeLLM(
            url=self.realtime_url,
            key=self.key,
            settings=self.settings,
            policy=self.policy,
            speaker=speaker,
            cutter=SentenceCutter,
            openai=self.openai,
            sound=self.heard,
        )


@attrs.frozen
class _Nobody:
    """A speaker for a connection that is only tried."""

    sound: Sound

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        """Refuse."""
        return False
