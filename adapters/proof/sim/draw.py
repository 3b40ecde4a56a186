"""Draws the plan of a simulated call from a seed: a conversation, the settings of its policy, and what goes wrong in it.

What can go wrong stands in two tables, `DEEDS` and `FAULTS`: a new kind is a line in one of them, and whoever does it.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs

from adapters.proof.sim.plan import MOMENTS, Item, Plan
from fsm.call.policy import Policy

Value = int | str
Draw = Callable[[random.Random], Value]


def _from(low: int, high: int) -> Draw:
    """A whole number from `low` to `high`."""

    def draw(chance: random.Random) -> Value:
        return chance.randint(low, high)

    return draw


def _of(*values: Value) -> Draw:
    """One of these."""

    def draw(chance: random.Random) -> Value:
        return values[chance.randrange(len(values))]

    return draw


def _nothing(_: random.Random) -> Value:
    return 0


@attrs.frozen
class Kind:
    """A kind of item: `what` it is, at which cues and up to which count of them, how long after, and its value."""

    what: str
    cues: tuple[str, ...] = ("start",)
    most: int = 6
    after_ms: int = 0
    value: Draw = _nothing
    weight: int = 1

    def draw(self, chance: random.Random) -> Item:
        """One such item."""
        cue = self.cues[chance.randrange(len(self.cues))]
        nth = 1 if cue == "start" else 1 + int(self.most * chance.random() ** 2)
        after_ms = int(self.after_ms * chance.random() ** 2) if cue != "start" else chance.randint(0, 20_000)
        return Item(self.what, cue, nth, after_ms, self.value(chance))


DEEDS = (
    Kind("speak", ("create", "active", "sound", "speech"), 6, 2_500, _from(200, 3_000), weight=8),
    Kind("speak", MOMENTS, 6, 1_500, _of(20, 60, 120), weight=2),
    Kind("speak", MOMENTS, 6, 5_000, _from(300, 8_000), weight=2),
    Kind("barge_in", MOMENTS, 6, 1_500),
    Kind("rustle", MOMENTS, 6, 1_500, _from(100, 3_000)),
    Kind("key", MOMENTS, 6, 3_000, _of(*"0123456789*#", "12#", "1234#", "77", "5*", "##"), weight=3),
    Kind("hang_up", MOMENTS, 6, 4_000),
    Kind("wish_end", MOMENTS, 6, 3_000, _of("", "", "r2", "r3", "r9")),
    Kind("pause", ("speech", "hold"), 6, 400),
    Kind("listen", ("sound", "speech", "hold", "flush"), 6, 1_500),
    Kind("notice", MOMENTS, 6, 3_000, _of("Say that the call is recorded."), weight=2),
    Kind("dismiss", MOMENTS, 6, 1_000),
    Kind("goodbye", ("response",), 8, weight=2),
    Kind("tool", ("response",), 8, 0, _of(1, 1, 3), weight=2),
    Kind("tool_said", ("response",), 8),
    Kind("items", ("response",), 8, 0, _of(2, 2, 3), weight=6),
)
"""What people do, and the model with them."""

HEARD = (
    *(
        "response.created",
        "response.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_audio.delta",
    ),
    *("response.output_audio_transcript.delta", "response.output_audio_transcript.done", "response.output_text.done", "error"),
    *("response.function_call_arguments.done", "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"),
    *("input_audio_buffer.committed", "conversation.item.input_audio_transcription.completed", "session.created", "session.updated"),
)
"""What the server says, and may be lost, late or damaged on its way."""
ASKED = (
    "session.update",
    "response.create",
    "response.cancel",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.create",
)
DOWN = tuple(">" + kind for kind in HEARD)
OVERTAKEN = tuple(kind for kind in DOWN if "audio.delta" not in kind)
"""What may be overtaken or come twice: not sound, whose order a socket keeps, and whose place nobody could tell."""
UP = tuple("<" + kind for kind in ASKED)
MIDDLE = (">response.created", ">response.done", ">input_audio_buffer.speech_started", ">input_audio_buffer.committed")
FATAL_CODES = ("insufficient_quota", "invalid_api_key")
CODES = ("server_error", "rate_limit_exceeded")
GARBAGE = (
    "{",
    "",
    "null",
    "[]",
    '{"type": 7}',
    '{"type": "response.created"}',
    '{"type": "response.done", "response": {"id": ""}}',
    '{"type": "x.y"}',
)

FAULTS = (
    Kind("lose", DOWN, 5, weight=3),
    Kind("lose", MIDDLE, 5, weight=3),
    Kind("lose", UP, 5, weight=3),
    Kind("late", OVERTAKEN, 5, 0, _from(20, 4_000), weight=3),
    Kind("late", MIDDLE, 5, 0, _from(20, 4_000), weight=3),
    Kind("late", UP, 5, 0, _from(20, 2_000), weight=2),
    Kind("stall", DOWN, 5, 0, _from(100, 6_000), weight=2),
    Kind("double", OVERTAKEN, 5, weight=3),
    Kind("double", MIDDLE, 5, weight=2),
    Kind("garble", DOWN, 5, weight=2),
    Kind("close", MOMENTS, 5, 3_000, _of(1000, 1001, 1006, 1011), weight=2),
    Kind("hush", MOMENTS, 5, 3_000),
    Kind("block", MOMENTS, 5, 1_000, _from(100, 8_000), weight=2),
    Kind("refuse", ("connect",), 1),
    Kind("slow", ("connect",), 1, 0, _from(500, 9_000)),
    Kind("never", ("connect",), 1),
    Kind("error", MOMENTS, 5, 1_000, _of(*CODES), weight=2),
    Kind("error", MOMENTS, 5, 3_000, _of(*FATAL_CODES, "session_expired")),
    Kind("garbage", MOMENTS, 5, 1_000, _of(*GARBAGE), weight=2),
    Kind("foreign", MOMENTS, 5, 1_000),
    Kind("unasked", MOMENTS, 5, 1_000, weight=2),
    Kind("kill", MOMENTS, 5, 1_000, weight=2),
    Kind("refuse", ("creating",), 6, 0, _of("conversation_already_has_active_response", *CODES, "invalid_value"), weight=2),
    Kind("refuse", ("committing",), 4, 0, _of("input_audio_buffer_commit_empty")),
    Kind("refuse", ("configuring",), 2, 0, _of("invalid_value")),
    Kind("bug", MOMENTS, 5, 3_000, _of("the simulated program has a bug")),
    Kind("fail", ("response",), 6, 0, _of(*CODES, *CODES, *FATAL_CODES), weight=3),
    Kind("incomplete", ("response",), 6, 0, _of("max_output_tokens", "content_filter"), weight=2),
    Kind("broken", ("response",), 6, 0, _of("exploded", "")),
    Kind("mute", ("response",), 6, weight=2),
    Kind("empty", ("response",), 6),
    Kind("long", ("response",), 6, 0, _from(2, 6), weight=2),
    Kind("hang", ("response",), 6, weight=2),
    Kind("think", ("response",), 6, 0, _from(1_000, 9_000), weight=2),
    Kind("crawl", ("response",), 6, 0, _from(200, 2_500)),
    Kind("straggle", ("response",), 6, 0, _from(1, 8), weight=3),
    Kind("slow", ("synthesis",), 10, 0, _from(1_000, 20_000), weight=3),
    Kind("never", ("synthesis",), 10),
    Kind("status", ("synthesis",), 10, 0, _of(204, 204, 400, 500, 503), weight=3),
    Kind("noise", ("synthesis",), 10),
    Kind("short", ("synthesis",), 10, weight=2),
    Kind("refused", ("synthesis",), 10),
    Kind("streams", ("dialect",), 1, weight=6),
    Kind("drip", ("synthesis",), 8, 0, _from(300, 4_000), weight=2),
    Kind("status", ("uncancel",), 4, 0, _of(404, 405, 500)),
    Kind("slow", ("uncancel",), 4, 0, _from(100, 5_000)),
    Kind("never", ("uncancel",), 4),
    Kind("late", ("line",), 1, 0, _from(100, 5_000)),
    Kind("never", ("line",), 1),
    Kind("holds", ("line",), 1, 0, _of(100, 300, 700), weight=3),
    Kind("never", ("calibration",), 1),
    Kind("lose", ("mark",), 6),
    Kind("lose", ("position",), 4),
    Kind("late", ("position",), 4, 0, _from(10, 2_000), weight=2),
    Kind("stall", MOMENTS, 6, 2_000, _from(200, 6_000), weight=2),
    Kind("die", MOMENTS, 6, 3_000, _of("the simulated device is unplugged")),
    Kind("jump", MOMENTS, 6, 3_000, _from(50, 8_000), weight=3),
    Kind("die_process", MOMENTS, 6, 3_000, _of(0, 200, 900, 3_000), weight=3),
    Kind("late", ("greeting",), 1, 0, _from(100, 9_000)),
    Kind("never", ("greeting",), 1),
    Kind("late", ("tool",), 3, 0, _from(1_000, 40_000)),
    Kind("never", ("tool",), 3),
    Kind("twice", ("tool",), 3),
    Kind("never", ("hangup",), 1),
)
"""What goes wrong."""

SETTINGS: dict[str, tuple[Any, ...]] = {
    "voice": ("chatterbox", "realtime"),
    "interrupts": ("client", "server"),
    "create_response": (False, True),
    "interruption_by": ("duration", "duration", "detector"),
    "detector_ms": (1_500, 150),
    "interruption_lock_ms": (700, 0, 2_000),
    "turns": ("server", "server", "local"),
    "voice_failures": (3, 1),
    "reconnects": (2, 0, 1),
    "reconnect_pause_ms": (500, 0, 3_000),
    "session_life_ms": (3_300_000, 10_000, 30_000),
    "goodbye_min_turns": (0, 1, 3),
    "no_sound_cooldown_ms": (12_000, 0),
    "queued_notices": (8, 1),
    "tool_filler_ms": (4_000, 0, 500),
    "idle_prompts_in_all": (6, 1),
    "direction": ("inbound", "inbound", "inbound", "outbound"),
    "greeting": (True, True, True, False),
    "greeting_protected": (True, True, False),
    "calibration_ms": (0, 1_000, 3_000),
    "interruption_min_ms": (0, 150, 150, 400, 900),
    "interruption_words_ms": (0, 1_500),
    "echo_window_ms": (0, 200, 200, 600),
    "speaking_ms": (120_000, 2_000),
    "turn_close_ms": (1_800, 100, 5_000),
    "watchdog_ms": (3_000, 200),
    "dtmf_digits": (0, 0, 2, 4),
    "dtmf_terminator": ("#", "*"),
    "dtmf_pause_ms": (4_000, 500),
    "create_ack_ms": (6_000, 300),
    "first_audio_ms": (5_000, 1_500, 500),
    "response_ms": (60_000, 4_000),
    "cancel_ack_ms": (600, 60),
    "server_cancel_ms": (2_000, 60),
    "cancel_attempts": (3, 1),
    "recoveries": (2, 0, 5),
    "recovery_pause_ms": (500, 0, 3_000),
    "line_tail_ms": (500, 0, 1_000),
    "stall_ms": (2_000, 600),
    "goodbye_stall_ms": (1_000, 600, 2_000),
    "position_ms": (1_000, 60),
    "synthesis_ms": (15_000, 1_000),
    "greeting_ms": (30_000, 2_000),
    "session_ms": (10_000, 10_000, 900),
    "goodbye_ms": (15_000, 2_000),
    "closing_ms": (2_000, 200),
    "no_sound_ms": (1_200, 300),
    "tool_ms": (30_000, 1_000),
    "tools_at_once": (8, 1),
    "idle_ms": (20_000, 4_000, 6_000),
    "idle_prompts": (2, 1, 0),
    "idle_hangup": (True, True, True, False),
    "call_ms": (600_000, 120_000, 45_000),
    "call_warning_ms": (30_000, 5_000),
    "remembered_ids": (64, 8),
    "queued_sentences": (64, 2),
}
"""What a setting may be: any of these, the usual ones more often. `remembered_ids` stays above what a doubled message can outlive (R07)."""
ALWAYS = ("voice", "interrupts", "create_response", "call_ms", "interruption_words_ms")
"""Settings that are drawn for every call; of the others, a few."""


GENTLE = frozenset(
    {"voice", "interrupts", "create_response", "direction", "greeting", "greeting_protected", "calibration_ms", "interruption_min_ms"}
    | {"interruption_words_ms"}
    | {"interruption_by", "interruption_lock_ms", "echo_window_ms", "dtmf_digits", "dtmf_terminator", "idle_ms", "idle_prompts"}
    | {"idle_hangup", "call_ms", "queued_notices", "goodbye_min_turns", "idle_prompts_in_all"}
)
"""Settings under which a call where nothing goes wrong must not fail; others shorten waits below what a server takes."""


def draw(seed: int) -> Plan:
    """The plan of a seed; the same on every machine."""
    chance = random.Random(seed)
    storm = chance.choice((0, 1, 2, 3, 5, 9))
    items = [*_conversation(chance)]
    items += [_weighted(chance, DEEDS).draw(chance) for _ in range(chance.choice((0, 1, 2, 4, 6)))]
    items += [_weighted(chance, FAULTS).draw(chance) for _ in range(storm)]
    settings, scene = _scene(chance) if storm and chance.random() < 0.25 else ({}, ())
    return Plan(seed, _settings(chance, settings), (*items, *scene))


def is_calm(plan: Plan) -> bool:
    """Does nothing go wrong in the call, so that it must end as people end calls?"""
    deeds = {kind.what for kind in DEEDS}
    return all(item.what in deeds for item in plan.items) and all(name in GENTLE for name, _ in plan.settings)


def _conversation(chance: random.Random) -> list[Item]:
    """The caller answers what they have heard, some times; an outbound callee speaks first."""
    cues = [("start", 1), *(("silence", nth) for nth in range(1, chance.randint(2, 6)))]
    return [Item("speak", cue, nth, chance.randint(200, 2_500), chance.randint(400, 3_000)) for cue, nth in cues]


def _scene(chance: random.Random) -> tuple[dict[str, Any], tuple[Item, ...]]:
    """Things that matter only together, or only with a setting: a cancel that does not leave, a goodbye that is told late, …"""
    nth, soon = chance.randint(1, 4), chance.randint(0, 600)
    scenes: tuple[tuple[dict[str, Any], tuple[Item, ...]], ...] = (
        ({}, (Item("block", "hold", nth, 0, 3_000), Item("close", "hold", nth, 160 + soon, 1006))),
        ({}, (Item("goodbye", "response", nth), Item("stall", ">response.output_text.done", nth, 0, 9_000))),
        ({}, (Item("goodbye", "response", nth), Item("late", ">response.output_audio_transcript.done", nth, 0, 9_000))),
        ({}, (Item("unasked", "sound", nth, soon), Item("hang_up", "sound", nth, soon + 700))),
        ({}, (Item("tool", "response", nth, 0, 3), Item("never", "tool", 1), Item("never", "tool", 2), Item("late", "tool", 3, 0, 9_000))),
        ({}, (Item("hush", "create", nth), Item("speak", "create", nth, soon, 900))),
        ({}, (Item("lose", ">response.done", nth),)),
        ({"response_ms": 1_000}, (Item("think", "response", nth, 0, 3_000),)),
        ({"response_ms": 1_000}, (Item("crawl", "response", nth, 0, 700), Item("long", "response", nth, 0, 4))),
        ({"response_ms": 1_000}, (Item("unasked", "done", nth, 50), Item("hang", "response", nth + 1))),
        ({}, (Item("second", "sound", nth, soon), Item("fail", "response", nth + chance.randint(0, 1), 0, "server_error"))),
        ({}, (Item("second", "sound", nth, soon), Item("mute", "response", nth))),
        ({}, (Item("refuse", "creating", nth, 0, "conversation_already_has_active_response"), Item("unasked", "create", nth, 50))),
        ({}, (Item("tool_said", "response", nth), Item("speak", "sound", nth, soon, 120))),
        ({}, (Item("refuse", "creating", nth, 0, "insufficient_quota"),)),
        ({"stall_ms": 600, "recoveries": 0}, (Item("stall", "active", nth, 200, 6_000),)),
        ({"reconnects": 0}, (Item("close", "sound", nth, soon, 1006),)),
        ({"goodbye_min_turns": 3}, (Item("goodbye", "response", 2),)),
        ({"queued_notices": 1}, (Item("notice", "create", nth, 0, "One."), Item("notice", "create", nth, 10, "Two."))),
        ({"dtmf_digits": 2, "dtmf_terminator": "#"}, (Item("key", "silence", nth, soon, "12#"),)),
        ({"recovery_pause_ms": 3_000}, (Item("fail", "response", nth, 0, "server_error"), Item("notice", "done", nth, 100, "One."))),
        ({"call_ms": 45_000}, (Item("jump", "sound", nth, soon, 60_000),)),
        ({"interruption_words_ms": 1_500, "interrupts": "client"}, (Item("speak", "sound", nth, 700 + soon, 400),)),
        ({"turns": "local"}, (Item("refuse", "committing", nth, 0, "input_audio_buffer_commit_empty"),)),
        ({"voice": "chatterbox"}, (Item("second", "speech", nth, soon), Item("kill", "speech", nth, soon + 900))),
        ({"interrupts": "server"}, (Item("tool_said", "response", nth), Item("speak", "active", nth, 400 + soon, 900))),
    )
    return scenes[chance.randrange(len(scenes))]


def _weighted(chance: random.Random, kinds: tuple[Kind, ...]) -> Kind:
    return chance.choices(kinds, [kind.weight for kind in kinds])[0]


def _settings(chance: random.Random, given: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Settings that make a policy together, those given last: one that does not go with those before it stays the default."""
    odd = chance.choice((0, 2, 4, 10))
    names = {*ALWAYS, *chance.sample([name for name in SETTINGS if name not in ALWAYS], odd)}
    drawn = {name: values[chance.randrange(len(values))] for name, values in SETTINGS.items() if name in names} | given
    policy = plain = Policy()
    for name, value in drawn.items():
        with suppress(ValueError):
            policy = attrs.evolve(policy, **{name: value})
    return tuple((name, getattr(policy, name)) for name in drawn if getattr(policy, name) != getattr(plain, name))
