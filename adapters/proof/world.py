"""The world of a call, as it really is: what lives at the server, what the device holds, what the caller said, what is owed.

It is ghost state: kept beside the call from the events that happened (`adapters.proof.events`) and the effects that were asked for
(`adapters.proof.effects`), and from nothing that the core keeps. The judges (`adapters.proof.judges`) hold a call against it; the
checker, the simulation and the walks of the tests share all.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

from fsm.call.effects import Cause, Reason
from fsm.call.policy import Policy

TURN, SOUND, ENTRY, TOOL, GREETING, WARNING, NOTICE = "turn", "sound", "entry", "tool", "greeting", "warning", "notice "
"""What may be owed; a notice has its text behind it, and a sound may prove to be a turn."""
IN_CONVERSATION = frozenset({TURN, SOUND, ENTRY, TOOL})
"""What any response without words of ours answers, if the conversation held it when the response was begun."""
OWN_WORDS = {Cause.GREETING, Cause.NOTICE, Cause.IDLE_PROMPT, Cause.FAREWELL, Cause.TOOL_FILLER, Cause.LIMIT_WARNING}
"""Causes of responses that say what we have to say, and answer nothing else."""


class Sound(IntEnum):
    """How far the sound of a response is."""

    NONE = 0
    CAME = 1
    HEARD = 2
    OUT = 3
    """All that came was heard."""


class Device(IntEnum):
    """What the device does with a response's sound."""

    NEVER = 0
    ADMITTED = 1
    FLUSHED = 2
    """Silenced; what was heard of it is to be told."""
    SILENCED = 3
    """Silenced, and what was heard of it was told, or was given up."""
    RETIRED = 4
    """Over: nothing more of it is awaited."""


class Item(NamedTuple):
    """A message of a response in the conversation."""

    name: str
    came: bool = False
    """Did sound of it, or a sentence, come?"""
    settled: bool = False
    """Was it cut, deleted or rewritten, or need not be?"""


class Sentence(NamedTuple):
    """A sentence of a response: its synthesis session, item and text, how long it lasts, and where in the response it began to be heard."""

    session: str
    item: str
    text: str
    audio_ms: float = 0.0
    from_ms: float | None = None
    begun: bool = False
    """Was it given to the speech server?"""
    lost: bool = False
    """Will it not be spoken: refused, dropped, or failed?"""

    @property
    def ahead(self) -> bool:
        """Is it synthesised, and not heard yet?"""
        return bool(self.audio_ms) and self.from_ms is None


class Asked(NamedTuple):
    """A response.create that is under way: why, what a response to it answers, and whether the caller interrupted meanwhile."""

    cause: Cause
    pays: frozenset[str]
    cut: bool = False
    crossed: bool = False
    """Did the server begin a response by itself meanwhile? Nobody can tell that from the one that we asked for: whichever comes first is
    taken for ours, and the other for the server's."""


class Answer(NamedTuple):
    """A response of the server's."""

    id: str
    cause: Cause = Cause.USER_TURN
    """Why we asked for it; one that the server makes by itself answers the caller."""
    pays: frozenset[str] = frozenset()
    """Which debts it could know of when it was begun."""
    live: bool = True
    """Is it not told to have ended?"""
    completed: bool = False
    cancelled: bool = False
    """Did our cancel leave?"""
    unsent: int = 0
    """How often it did not."""
    overdue: bool = False
    """Did its end not come in time after our cancel?"""
    cut: bool = False
    """Did the caller interrupt it, or the server cancel it?"""
    called: bool = False
    """Did it call a tool?"""
    over: bool = False
    """Was it begun while the caller spoke?"""
    asks: bool = False
    words: bool = False
    whole: bool = False
    """Is all done of it that was begun (R97)?"""
    more: bool = False
    """Has sound of it come since all that had come was heard?"""
    device: Device = Device.NEVER
    sound: Sound = Sound.NONE
    items: tuple[Item, ...] = ()
    sentences: tuple[Sentence, ...] = ()

    @property
    def notice(self) -> bool:
        """Does it say what must be heard to its end?"""
        return self.cause is Cause.NOTICE

    @property
    def generated(self) -> bool:
        """Does it live, as far as anyone can know?"""
        return self.live and not self.overdue

    @property
    def withdrawn(self) -> bool:
        """Is it cancelled, though that may not have left?"""
        return self.cancelled or self.unsent > 0

    @property
    def audible(self) -> bool:
        """May it be heard?"""
        return self.device is Device.ADMITTED


class Tool(NamedTuple):
    """A tool call, of which response, and what became of it: told, late (after its response's end: it need not be run, nor
    answered), foreign (of no response that is known), runs, answered."""

    id: str
    response_id: str
    how: str
    name: str = ""
    arguments: str = ""


class World(NamedTuple):
    """Everything around a call."""

    answers: tuple[Answer, ...] = ()
    """The server's responses that still matter, the oldest first."""
    asked: Asked | None = None
    auto: frozenset[str] | None = None
    """What the server's own answer knows of, which it is about to begin."""
    owed: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    """What may be answered, and need not be: a listener's word."""
    failed: bool = False
    """Did a response fail, or was one silenced, since one was asked for?"""
    speaking: bool = False
    stopped: bool = False
    """Did the caller stop, and is the turn not committed?"""
    committing: bool = False
    early: bool = False
    """Was the last turn taken before its commit?"""
    alarm: bool = False
    """Was the caller's last sound over the voice no interruption, as far as is known?"""
    doubt: str = ""
    """Over which response the last turn was such a sound, whose words are not told."""
    turn: str = ""
    opened: bool = False
    configured: bool = False
    confirmed: bool = False
    rights: bool = True
    """Has the server's VAD its rights to answer and to interrupt?"""
    line: bool = False
    held: bool = False
    awaited: bool = False
    """Has the sound for which the voice is held lasted, so that its words alone may say that it does not interrupt?"""
    synthesis: str = ""
    """The synthesis that runs."""
    tools: tuple["Tool", ...] = ()
    digits: str = ""
    """What was entered on the keypad, and not handed in."""
    entry: str = ""
    """What is to be handed in now."""
    handed: bool = False
    """Was an entry handed in just now, so that its terminator may still come?"""
    turns: int = 0
    """How many turns the caller spoke, as far as policy counts."""
    bye: str = ""
    """After which response the call is to end: its id, or `*` for whatever is said next."""
    why: Reason = Reason.GOODBYE
    """Why it is to end then."""
    wish: str = ""
    """What the application said of that."""
    calibrated: bool = False
    warned: bool = False
    """Was the caller told that the call is near its end?"""
    busy: bool = False
    """Did the server refuse a response because it still has an older one?"""
    lost: int = 0
    """How often in a row the session was lost."""
    away: bool = False
    """Is it lost, and not opened anew?"""
    unvoiced: int = 0
    """How many sentences in a row could not be synthesised."""
    replaced: bool = False
    """Was a response without sound replaced, a moment ago?"""
    prompts: int = 0
    """How often the caller was asked whether they are there, since they last spoke."""
    prompts_in_all: int = 0
    failures: int = 0
    """How many answers failed in a row, as far as policy counts."""
    sure: int = 0
    """How many of them nothing else that was owed could make up for."""
    tried: frozenset[str] = frozenset()
    """What is owed that a response failed to pay."""
    maybe_tried: frozenset[str] = frozenset()
    """What the server cut, of which nobody can tell whether that was a failure."""
    wait_ms: float = 0.0
    """How long the server asked to be left alone, with its last failure."""
    hung_up: bool = False
    told: bool = False
    closed: bool = False
    """Is the line known to be gone?"""

    def answer(self, response_id: str) -> Answer | None:
        """The response of that id, if it still matters."""
        return next((answer for answer in self.answers if answer.id == response_id), None)

    @property
    def front(self) -> Answer | None:
        """What is heard, if anything is: responses are heard in the order in which they were admitted."""
        return next((answer for answer in self.answers if answer.audible), None)

    @property
    def live(self) -> tuple[Answer, ...]:
        """The responses that are generated, as far as was told."""
        return tuple(answer for answer in self.answers if answer.generated)

    @property
    def running(self) -> tuple[str, ...]:
        """The tools that run."""
        return tuple(tool.id for tool in self.tools if tool.how == "runs")

    def tool(self, tool_call_id: str) -> "Tool | None":
        """The tool call of that id."""
        return next((tool for tool in self.tools if tool.id == tool_call_id), None)


def begin(policy: Policy) -> World:
    """The world as a call begins."""
    return World(owed=frozenset({GREETING}) if policy.greets else frozenset())


def is_protected(cause: Cause, policy: Policy) -> bool:
    """Is a response for that cause heard to its end, whatever the caller says (R36)?"""
    return cause is Cause.NOTICE or (cause is Cause.GREETING and policy.greeting_protected)


def is_quiet(world: World) -> bool:
    """Does nothing go on that the caller could be waiting for, or that they are doing (R52)?"""
    caller = world.speaking or world.stopped or world.digits
    agent = world.asked or world.front or any(answer.generated for answer in world.answers) or world.running or world.owed or world.bye
    return world.confirmed and world.line and not (caller or agent)


def may_ask_the_silent(world: World, policy: Policy) -> bool:
    """May a silent caller be asked once more whether they are there (R54)?"""
    return world.prompts < policy.idle_prompts and world.prompts_in_all < policy.idle_prompts_in_all


def asks_the_silent(world: World, policy: Policy) -> bool:
    """Is a silent caller asked, or told goodbye, once it has lasted (R53)?"""
    return may_ask_the_silent(world, policy) or policy.idle_hangup


def is_notice(debt: str, text: str) -> bool:
    """Is it a notice with that text? The same text may be owed more than once."""
    return debt.startswith(NOTICE) and debt.rstrip("+") == NOTICE + text


def notices_waiting(world: World) -> int:
    """How many notices are owed that nothing which was begun says."""
    under_way = [answer.pays for answer in world.answers if answer.audible and (answer.live or answer.completed)]
    asked = frozenset() if world.asked is None or world.asked.cut else world.asked.pays
    left = world.owed.difference(*under_way, asked)
    return sum(debt.startswith(NOTICE) for debt in left)


def sentences_waiting(world: World) -> list[Sentence]:
    """The sentences that wait for the speech server, in their order."""
    return [one for answer in world.answers if answer.audible for one in answer.sentences if not (one.begun or one.lost)]


def is_spoken_yet(world: World, answer: Answer) -> bool:
    """Is a sentence of a response with the speech server, or synthesised and not heard yet?"""
    return any(one.ahead or (world.synthesis and one.session == world.synthesis) for one in answer.sentences)


def to_be_spoken(world: World, response_id: str) -> bool:
    """Is a further sentence of a response to be spoken: may it be heard, and has the speech of none behind it begun?"""
    heard = [answer for answer in world.answers if answer.audible]
    behind = heard[-1] if heard and heard[-1].id != response_id else None
    begun = behind is not None and any(not one.lost and one.from_ms is None for one in behind.sentences)
    return any(answer.id == response_id for answer in heard) and not begun


def has_spoken(world: World) -> bool:
    """Does the caller speak, or wait for an answer?"""
    return world.speaking or world.stopped or bool(world.owed & IN_CONVERSATION)


def was_heard_last(world: World, said: Answer) -> bool:
    """Was a response completed and heard to its end, with nothing said since, nor to be said?"""
    over = said.device in (Device.RETIRED, Device.FLUSHED, Device.SILENCED) and said.sound is not Sound.NONE
    later = world.answers[world.answers.index(said) + 1 :]
    since = world.asked is not None or has_spoken(world) or any(other.device is not Device.NEVER for other in later)
    return said.completed and over and not (said.cut or said.overdue or since)


def may_follow(world: World) -> bool:
    """May the server's own answer be heard, now or behind what is heard? Not behind what is owed until it is heard (R93)."""
    front = world.front
    owed_yet = front is not None and ((front.notice and not is_broken(front)) or (front.sound <= Sound.CAME and WARNING in front.pays))
    return sum(answer.audible for answer in world.answers) < 2 and not owed_yet


def is_broken(answer: Answer) -> bool:
    """Did a response fail, or was it cancelled, and its end is awaited, or was too long?"""
    return answer.overdue or (answer.withdrawn if answer.live else not answer.completed)


def is_past(answer: Answer) -> bool:
    """Can nothing but a late word come of a response any more?"""
    return not answer.generated and answer.device not in (Device.ADMITTED, Device.FLUSHED)


# Small changes, of which events and effects make theirs.


def without(world: World, gone: Iterable[str]) -> World:
    """The world without responses that matter to nobody any more."""
    names = frozenset(gone)
    return world._replace(answers=tuple(answer for answer in world.answers if answer.id not in names)) if names else world


def with_answer(world: World, response_id: str, **changes: Any) -> World:
    """The world with these fields of a response."""
    answers = tuple(answer._replace(**changes) if answer.id == response_id else answer for answer in world.answers)
    return world._replace(answers=answers)


def owe(world: World, debt: str, **changes: Any) -> World:
    """Something more is owed: what was begun before does not know of it; an answer makes the greeting needless (R37)."""
    answers = tuple(answer._replace(pays=answer.pays - {debt}) if debt in answer.pays else answer for answer in world.answers)
    asked, auto = world.asked, world.auto
    if asked is not None:
        asked = asked._replace(pays=asked.pays - {debt})
    if auto is not None:
        auto = auto - {debt}
    owed = (world.owed | {debt}) - {GREETING}
    changes = {"tried": world.tried - {debt}, "maybe_tried": world.maybe_tried - {debt}, "sure": 0, **changes}
    return world._replace(answers=answers, asked=asked, auto=auto, owed=owed, optional=world.optional - {debt}, **changes)


def with_sentence(world: World, session: str, sound: Sound, **changes: Any) -> World:
    """The world with these fields of a sentence, and so much sound of its response."""
    for answer in world.answers:
        if any(sentence.session == session for sentence in answer.sentences):
            sentences = tuple(one._replace(**changes) if one.session == session else one for one in answer.sentences)
            spoken = {one.item for one in sentences if one.audio_ms}
            items = tuple(item._replace(came=True) if item.name in spoken else item for item in answer.items)
            heard = Sound.HEARD if sound and answer.sound is Sound.OUT else max(sound, answer.sound)
            return with_answer(world, answer.id, sentences=sentences, items=items, sound=heard)
    return world


def sentence_lost(world: World, session: str) -> World:
    """The world in which a sentence will not be spoken."""
    return with_sentence(world, session, Sound.NONE, lost=True)
