"""Every number and choice that a call is run by: one frozen, validated record; no rule has a number of its own.

A default names its source: a rule (`R27`), a seed system's measured life, or a framework's published default.
"""

from typing import Any

import attrs

from fsm.engine.notation import Value

LONGEST_WORDS = 200
"""How many characters of our own words are said at once."""


@attrs.frozen(eq=False, repr=False)
class Between(Value):
    """A validator for a number from `low` to `high`, both included; `whole` where things are counted. Its error names all of it."""

    low: float
    high: float
    whole: bool = False

    def __call__(self, _: object, field: "attrs.Attribute[Any]", value: object) -> None:
        """Raise ValueError unless `value` is such a number."""
        number = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        if not number or not self.low <= value <= self.high:  # type: ignore[operator]
            kind = "a whole number" if self.whole else "a number"
            raise ValueError(f"{field.name} is {value!r}: it takes {kind} from {self.low:g} to {self.high:g}")


@attrs.frozen(eq=False, repr=False)
class OneOf(Value):
    """A validator for a word of a fixed set."""

    choices: tuple[str, ...]

    def __call__(self, _: object, field: "attrs.Attribute[Any]", value: object) -> None:
        """Raise ValueError unless `value` is one of them."""
        if value not in self.choices:
            raise ValueError(f"{field.name} is {value!r}: it takes one of {', '.join(self.choices)}")


def _between(low: float, high: float) -> Between:
    return Between(low, high)


def _count(low: int, high: int) -> Between:
    return Between(low, high, whole=True)


def _one_of(*choices: str) -> OneOf:
    return OneOf(choices)


def _words(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for a sentence."""
    if not isinstance(value, str) or len(value) > LONGEST_WORDS:
        raise ValueError(f"{field.name} is no text of at most {LONGEST_WORDS} characters")


def _yes_or_no(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for a boolean."""
    if not isinstance(value, bool):
        raise ValueError(f"{field.name} is {value!r}: it takes true or false")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Policy(Value):
    """The settings of a call. Times are in milliseconds (`_ms`); a bad value raises ValueError in one readable line."""

    voice: str = attrs.field(default="chatterbox", validator=_one_of("chatterbox", "realtime"))
    """Who speaks: the LLM writes and Chatterbox speaks its sentences, or the LLM answers in sound."""
    interrupts: str = attrs.field(default="client", validator=_one_of("client", "server"))
    """Who cancels an interrupted response: one owner, never both (R02)."""
    create_response: bool = attrs.field(default=False, validator=_yes_or_no)
    """Does the server answer a committed turn by itself? If not, we ask for the answer (R12)."""
    direction: str = attrs.field(default="inbound", validator=_one_of("inbound", "outbound"))
    """Who called; outbound waits for the callee's first turn before it greets (R38)."""
    greeting: bool = attrs.field(default=True, validator=_yes_or_no)
    """Does the agent speak first?"""
    greeting_protected: bool = attrs.field(default=True, validator=_yes_or_no)
    """Is the greeting heard to its end whatever the caller says (R36)?"""

    calibration_ms: float = attrs.field(default=1000, validator=_between(0, 60_000))
    """No barge-in before the noise floor is known, or this long has passed: the seed's first seconds of echo (R29, R78)."""
    interruption_min_ms: float = attrs.field(default=150, validator=_between(0, 5_000))
    """The voice is held at the caller's first sound; it is an interruption after this much speech (R29; LiveKit: 500).

    By duration it is time since that sound, or between its two ends as the server heard them, and a false alarm only where that is less:
    OpenAI's VAD tells the end 500 ms after the voice, so less than that only delays. A detector of our own counts voice by this number, and
    tells when nobody speaks.
    """
    interruption_by: str = attrs.field(default="duration", validator=_one_of("duration", "detector"))
    """What makes a sound over the voice an interruption: that it lasts, or that a detector of our own says so (BargeInDetected)."""
    detector_ms: float = attrs.field(default=1_500, validator=_between(100, 10_000))
    """The longest that such a detector may keep the voice held undecided (R74): its clock counts voice, and pauses are none."""
    interruption_words_ms: float = attrs.field(default=0, validator=_between(0, 5_000))
    """How long the voice stays held where a sound would interrupt, until its words tell whether they are a listener's, "mm-hm", over which
    it goes on, or none; 0: no words are awaited. Whoever still says nothing that is known by then interrupts (R29, R74)."""
    interruption_lock_ms: float = attrs.field(default=700, validator=_between(0, 5_000))
    """No second interruption for this long after one (R29); a caller who still speaks then interrupts."""
    echo_window_ms: float = attrs.field(default=200, validator=_between(0, 2_000))
    """A sound this soon after the agent's first may be its own echo: nothing is held until it has lasted (R29, R33)."""
    turns: str = attrs.field(default="server", validator=_one_of("server", "local"))
    """Who commits the caller's turn: the server's VAD, or we do when a VAD of ours hears the caller end."""
    speaking_ms: float = attrs.field(default=120_000, validator=_between(1_000, 600_000))
    """The longest that a caller is taken to be speaking: a lost speech_stopped must not silence the agent for ever (R78)."""
    turn_close_ms: float = attrs.field(default=1_800, validator=_between(100, 60_000))
    """A turn whose commit never comes is closed, and answered, after this (R24)."""
    backchannel_tail_ms: float = attrs.field(default=1_500, validator=_between(0, 10_000))
    """A listener's word is an answer, and no noise, where the agent's voice is over this soon after it, or asks something (R94)."""
    watchdog_ms: float = attrs.field(default=3_000, validator=_between(100, 60_000))
    """A server that should answer a turn by itself and has not by now is asked to (the seed's watchdog)."""

    dtmf_digits: int = attrs.field(default=0, validator=_count(0, 64))
    """An entry on the keypad hands itself in at this many digits; 0: only by its terminator or a pause (R63)."""
    dtmf_terminator: str = attrs.field(default="#", validator=_one_of(*"#*"))
    """The key that ends an entry."""
    keys_interrupt: bool = attrs.field(default=True, validator=_yes_or_no)
    """Does a key stop what is being said, unless it is protected (R101)?"""
    dtmf_pause_ms: float = attrs.field(default=4_000, validator=_between(500, 60_000))
    """An entry is handed in when no key is pressed for this long; a terminator is swallowed for as long after one (R63)."""

    create_ack_ms: float = attrs.field(default=6_000, validator=_between(100, 60_000))
    """How long a response.create may go without response.created or an error (R14)."""
    busy_ms: float = attrs.field(default=5_000, validator=_between(100, 60_000))
    """How long a server that says it still has an older response is given to end it, before it is asked again (R11)."""
    first_audio_ms: float = attrs.field(default=5_000, validator=_between(100, 60_000))
    """How long an admitted response may go without sound (R35)."""
    mid_answer_ms: float = attrs.field(default=4_000, validator=_between(100, 60_000))
    """How long an answer that is not over may be silent in its middle, when neither a tool nor a synthesis explains it (R97)."""
    response_ms: float = attrs.field(default=60_000, validator=_between(1_000, 600_000))
    """How long a response may be generated: the model's 4,096 tokens take less."""
    cancel_ack_ms: float = attrs.field(default=600, validator=_between(50, 10_000))
    """How long a cancelled response's end is awaited (the media bridge saw 300 to 600)."""
    server_cancel_ms: float = attrs.field(default=2_000, validator=_between(50, 10_000))
    """How long the server may take to end what its own VAD interrupted, before we cancel it after all."""
    cancel_retry_ms: float = attrs.field(default=200, validator=_between(10, 10_000))
    """The pause before a cancel that could not be sent is sent again (the seed's cooldown)."""
    cancel_attempts: int = attrs.field(default=3, validator=_count(1, 10))
    """How often a cancel is tried when none could be sent (R05)."""
    recoveries: int = attrs.field(default=2, validator=_count(0, 10))
    """How many failed or incomplete responses in a row are asked for again (R15)."""
    recovery_pause_ms: float = attrs.field(default=500, validator=_between(0, 60_000))
    """The pause before a failed or incomplete response is asked for again (R15)."""
    retry_after_most_ms: float = attrs.field(default=10_000, validator=_between(0, 120_000))
    """The longest wait that a server may ask for before a response is asked for again: a caller waits no longer (R92)."""
    wait_words: str = attrs.field(default="One moment, please.", validator=_words)
    """What a voice of ours says to a caller who is to wait because the server asks for it; empty: nothing (R92)."""
    wait_words_ms: float = attrs.field(default=2_000, validator=_between(0, 120_000))
    """From which wait on it says that: a shorter one is over before it is said."""

    line_tail_ms: float = attrs.field(default=500, validator=_between(0, 5_000))
    """What a line may still hold when our queue is empty: the wait for its mark (R27, R44)."""
    stall_ms: float = attrs.field(default=2_000, validator=_between(600, 60_000))
    """A device that reports no progress for this long is not speaking (R79; progress is told every 500)."""
    goodbye_stall_ms: float = attrs.field(default=1_000, validator=_between(600, 60_000))
    """The same for a goodbye, which only the end of the call waits for (R44)."""
    position_ms: float = attrs.field(default=1_000, validator=_between(50, 10_000))
    """How long the device may take to say what it played of a flushed response (R71)."""
    synthesis_ms: float = attrs.field(default=15_000, validator=_between(500, 120_000))
    """How long one sentence may be in synthesis: five times the slowest that the seed saw."""

    voice_failures: int = attrs.field(default=3, validator=_count(1, 100))
    """So many sentences in a row that could not be synthesised end the call: an agent without a voice is dead air."""

    line_ms: float = attrs.field(default=60_000, validator=_between(1_000, 300_000))
    """How long the line may take to carry sound: a telephone rings for less."""
    greeting_ms: float = attrs.field(default=30_000, validator=_between(1_000, 120_000))
    """The longest that a greeting keeps the server's VAD from its rights (R35, R36)."""
    session_ms: float = attrs.field(default=10_000, validator=_between(500, 120_000))
    """How long the realtime session may take to open, and again to be confirmed (R39)."""
    reconnects: int = attrs.field(default=2, validator=_count(0, 10))
    """How often in a row a lost session is opened anew: until a response completes, it is the same outage (R60)."""
    reconnect_pause_ms: float = attrs.field(default=500, validator=_between(0, 60_000))
    """The pause before a lost session is opened anew the first time; it doubles each time (R60, R85)."""
    session_life_ms: float = attrs.field(default=3_300_000, validator=_between(10_000, 86_400_000))
    """A session of this age is opened anew when nothing goes on: OpenAI ends one after 60 minutes (R60)."""
    session_recycle_ms: float = attrs.field(default=1_000, validator=_between(100, 60_000))
    """How often an aged session looks whether nothing goes on."""
    goodbye_min_turns: int = attrs.field(default=0, validator=_count(0, 100))
    """A response that says goodbye before the caller has spoken so many turns ends no call (R46)."""
    goodbye_ms: float = attrs.field(default=15_000, validator=_between(1_000, 120_000))
    """How long a hang-up waits for a goodbye of which nothing is being heard; while it is heard, its progress counts (R44)."""
    closing_ms: float = attrs.field(default=2_000, validator=_between(100, 30_000))
    """How long closing waits for the line to confirm the hang-up (R18, R50)."""

    no_sound_ms: float = attrs.field(default=1_200, validator=_between(100, 60_000))
    """How long a response may have words and no sound, when the model speaks itself (R16)."""
    no_sound_cooldown_ms: float = attrs.field(default=12_000, validator=_between(0, 600_000))
    """A second response without sound so soon after one was replaced is not replaced: the call ends (R16)."""
    queued_notices: int = attrs.field(default=8, validator=_count(1, 64))
    """How many notices may wait; more are dropped and logged (R07)."""
    tool_filler_ms: float = attrs.field(default=4_000, validator=_between(0, 600_000))
    """How long tools may run before the caller is told that it takes a moment; 0: they never are (R80)."""
    tool_ms: float = attrs.field(default=30_000, validator=_between(100, 600_000))
    """How long a tool may run before the model is told that it did not answer (R78, R80)."""
    tools_at_once: int = attrs.field(default=8, validator=_count(1, 64))
    """How many tools may run; more are refused (R07)."""
    idle_ms: float = attrs.field(default=20_000, validator=_between(4_000, 600_000))
    """How long both sides may be silent before the caller is asked whether they are there (the media bridge: 20 s; at least 4, R54)."""
    idle_prompts: int = attrs.field(default=2, validator=_count(0, 10))
    """How often in a row a silent caller is asked (R54)."""
    idle_prompts_in_all: int = attrs.field(default=6, validator=_count(0, 100))
    """How often a silent caller is asked in the whole call (R54)."""
    idle_hangup: bool = attrs.field(default=True, validator=_yes_or_no)
    """Is a caller who stays silent told goodbye, and the call ended (R53)?"""
    call_ms: float = attrs.field(default=600_000, validator=_between(10_000, 86_400_000))
    """The call's maximum duration (the media bridge: 600 s; R82)."""
    call_warning_ms: float = attrs.field(default=30_000, validator=_between(1_000, 600_000))
    """How long before that the caller is warned."""

    remembered_ids: int = attrs.field(default=64, validator=_count(1, 100))
    """How many ended responses are remembered, so that a late event of theirs is known as such (R06, R07)."""
    queued_sentences: int = attrs.field(default=64, validator=_count(1, 1_000))
    """How many sentences of a response may wait for synthesis; more are dropped and logged (R07)."""

    def __attrs_post_init__(self) -> None:
        """Refuse what contradicts itself (R109)."""
        if self.tool_filler_ms >= self.tool_ms:
            raise ValueError(f"tool_filler_ms is {self.tool_filler_ms:g}: it takes less than tool_ms, which is {self.tool_ms:g}")
        if self.call_warning_ms >= self.call_ms:
            raise ValueError(f"call_warning_ms is {self.call_warning_ms:g}: it takes less than call_ms, which is {self.call_ms:g}")
        if self.turns == "local" and self.create_response:
            raise ValueError("create_response is True: it takes turns='server', as a server that hears no turn answers none by itself")
        if self.turns == "local" and self.interrupts == "server":
            raise ValueError("interrupts is 'server': it takes turns='server', as a server that hears no turn interrupts nothing")
        if self.interruption_words_ms and self.interrupts == "server":
            raise ValueError("interruption_words_ms takes interrupts='client', as a server that interrupts waits for no words")
        if self.interruption_words_ms and self.create_response:
            raise ValueError("interruption_words_ms takes create_response=False, as a server that answers by itself waits for no words")

    @property
    def greets(self) -> bool:
        """Does the agent open the call? An outbound call waits for the callee's first turn (R38)."""
        return self.greeting and self.direction == "inbound"

    @property
    def least_turns(self) -> int:
        """The least turns of the caller before a goodbye counts: on an outbound call the callee must have spoken (R46, R48)."""
        return max(self.goodbye_min_turns, int(self.direction == "outbound"))

    @property
    def guards_greeting(self) -> bool:
        """Is the server's VAD to be kept from the greeting, so that its rights are given later (R36)?"""
        return self.greets and self.greeting_protected
