"""Kinds of realtime servers, each as the fields of the policy that fit it: `--server NAME`. A field that the user sets wins.

OpenAI's is the policy's own default, whose numbers come from logs of its service. A chained server transcribes, lets an LLM write and a
voice speak, one after the other: its words come long before their sound, its first word takes seconds, and its LLM knows of a turn only
once that is transcribed.

Where no profile is named, one is found out where that is safe: a server that is not OpenAI's, and writes down what callers say although
nobody asked, hands that to an LLM, and is chained. Any other keeps the default, as nothing in its first message tells how quick it is.
"""

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Profile:
    """Fields of the policy and of the settings that are otherwise than their defaults, each with its source."""

    says: str
    policy: Mapping[str, Any] = attrs.field(factory=dict)
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    sources: Mapping[str, str] = attrs.field(factory=dict)


PROFILES = {
    "openai": Profile("OpenAI's own, and what is as quick"),
    "chained": Profile(
        "a transcriber, an LLM and a voice one after the other",
        policy={
            "first_audio_ms": 15_000,
            "no_sound_ms": 8_000,
            "mid_answer_ms": 8_000,
            "create_ack_ms": 12_000,
            "watchdog_ms": 10_000,
            "turn_close_ms": 6_000,
            "cancel_ack_ms": 1_500,
            "server_cancel_ms": 4_000,
        },
        settings={"transcript_first": True},
        sources={
            "first_audio_ms": "5 s to a first word are normal on one graphics card, 10 s on a processor",
            "no_sound_ms": "whole sentences are synthesised before any of them is sent",
            "mid_answer_ms": "the same between two sentences",
            "create_ack_ms": "huggingface/speech-to-speech tells a response of its own with its first output",
            "watchdog_ms": "the same, where it answers by itself",
            "turn_close_ms": "a transcriber takes up to 5 s on a processor",
            "cancel_ack_ms": "the pipeline is stopped between two pieces of sound",
            "server_cancel_ms": "the same, where it interrupts by itself",
            "transcript_first": "speaches-ai/speaches adds the turn to the conversation with its transcript",
        },
    ),
}
"""What `--server` takes."""
