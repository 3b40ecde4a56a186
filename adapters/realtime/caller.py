"""What comes of all that is told of the caller's turns: the tests and the acts of the table. Pure; what is remembered is in `memory`."""

from math import inf

from adapters.realtime.dialects import XAI
from adapters.realtime.incoming import Happened, Incoming, Reply
from adapters.realtime.meaning import note
from adapters.realtime.memory import Memory, Turn
from adapters.realtime.messages import Told
from adapters.realtime.said import is_one_of
from fsm.call import events as ev


def speech_started(memory: Memory, told: Told) -> list[Incoming]:
    """A turn begins; the one before, whose end nobody told, was one if its words are known."""
    before, item_id = memory.spoken_item, _named(memory, told)
    if memory.turns.get(item_id) in (Turn.COMMITTED, Turn.PROVED):
        item_id = _again(memory, told)
    unended = memory.turns.get(before) is Turn.SPEAKING and before in memory.words
    memory.tells_stops = False if unended else memory.tells_stops
    proof = _prove(memory, before) if unended else []
    memory.spoken_item = item_id
    memory.turns[item_id] = Turn.SPEAKING
    memory.words.pop(item_id, None)
    # it is where the padding before the speech begins
    start_ms = told.number("audio_start_ms")
    memory.began_ms = start_ms + memory.settings.vad_prefix_ms if start_ms else inf
    return [*proof, Happened(ev.SpeechStarted, (item_id,))]


def speech_stopped(memory: Memory, told: Told) -> list[Incoming]:
    """A turn ends."""
    memory.tells_stops = True
    memory.spoken_item = _turn_of(memory, told)
    if memory.turns.get(memory.spoken_item, Turn.SPEAKING) is Turn.SPEAKING:
        memory.turns[memory.spoken_item] = Turn.SPOKEN
        memory.words.pop(memory.spoken_item, None)
    spoken_ms = told.number("audio_end_ms") - memory.began_ms
    return [Happened(ev.SpeechStopped, (_named(memory, told), *([float(spoken_ms)] if spoken_ms > 0 else [])))]


def is_proved(memory: Memory, told: Told) -> bool:
    """Has the turn's transcript told already that it is committed, under whatever item?"""
    return memory.turns.get(_told_of(memory, told)) is Turn.PROVED


def is_read_later(memory: Memory, told: Told) -> bool:
    """Will the model know of the turn only by its transcript, which has not come?"""
    return memory.transcript_first and bool(_turn_of(memory, told))


def wait_for_words(memory: Memory, told: Told) -> list[Incoming]:
    """Keep the turn until its words come."""
    memory.spoken_item = _turn_of(memory, told)
    memory.turns[memory.spoken_item] = Turn.UNREAD
    return []


def proved(memory: Memory, told: Told) -> list[Incoming]:
    """It was taken already."""
    memory.turns[_told_of(memory, told)] = Turn.COMMITTED
    return []


def committed(memory: Memory, told: Told) -> list[Incoming]:
    """The turn is an item of the conversation."""
    item_id = _named(memory, told)
    if memory.open_commits and memory.turns.get(item_id) is Turn.COMMITTED:
        item_id = _again(memory, told)
    memory.open_commits = max(memory.open_commits - 1, 0)
    memory.spoken_item = item_id or memory.spoken_item
    memory.turns[memory.spoken_item] = Turn.COMMITTED
    return [*(Reply(*one) for one in memory.rewrites.due()), Happened(ev.TurnCommitted, (item_id,))]


def is_committing(memory: Memory, _: Told) -> bool:
    """Is a commit of ours under way?"""
    return memory.open_commits > 0


def cleared(memory: Memory, _: Told) -> list[Incoming]:
    """The server drops what was to be a turn."""
    memory.open_commits -= 1
    return [Happened(ev.CommitRefused, ("input_audio_buffer_cleared",))]


def is_speaking(memory: Memory, told: Told) -> bool:
    """Is it not over what the caller says, of a server that tells when it is?"""
    tells = memory.setup.dialect == XAI if memory.tells_stops is None else memory.tells_stops
    return tells and memory.turns.get(_read(memory, told)) is Turn.SPEAKING


def heard_so_far(memory: Memory, told: Told) -> list[Incoming]:
    """Note that there are words."""
    memory.words[_read(memory, told)] = told.text("transcript")
    return []


def grows(_: Memory, told: Told) -> bool:
    """Does the server itself say that they are not all?"""
    return told.text("status") == "in_progress"


def is_told(memory: Memory, told: Told) -> bool:
    """Were these words of the turn told already? An empty text may become one."""
    text = told.text("transcript")
    return bool(text) and memory.words.get(_read(memory, told)) == text


def transcribed(memory: Memory, told: Told) -> list[Incoming]:
    """What the caller said; a turn that was not told as committed is, as the server has understood it."""
    item_id, text = _read(memory, told), told.text("transcript")
    if item_id != _turn_of(memory, told):
        memory.again[told.text("item_id")] = item_id
    memory.words[item_id] = text
    known = not text or item_id in memory.turns
    listens = is_one_of(text, memory.settings.backchannels)
    words = Happened(ev.Transcribed, (item_id, text, *([True] if listens else [])))
    said: list[Incoming] = [*(_prove(memory, item_id) if known else _take(memory, item_id)), words]
    if is_one_of(text, memory.settings.dismissals):
        said.append(Happened(ev.TurnDismissed))
    return said


def not_transcribed(memory: Memory, told: Told) -> list[Incoming]:
    """No words will come of the turn; it is a turn all the same (R24)."""
    code = told.text("code") or "transcription_failed"
    item_id = _read(memory, told)
    proof = _prove(memory, item_id) if memory.turns.get(item_id) is Turn.UNREAD else []
    return [*proof, *note(memory, "error", told.text("message"), code=code)]


def _named(memory: Memory, told: Told) -> str:
    """The turn that a message names, if it names one."""
    item_id = told.text("item_id")
    return memory.again.get(item_id, item_id)


def _again(memory: Memory, told: Told) -> str:
    """A name for another turn under an id that one had; an absent id is none."""
    if item_id := told.text("item_id"):
        memory.again[item_id] = f"turn {memory.made_id()}"
    return _named(memory, told)


def _turn_of(memory: Memory, told: Told) -> str:
    return _named(memory, told) or memory.spoken_item


def _told_of(memory: Memory, told: Told) -> str:
    """The turn that is committed: under an item that nothing named before, the last one."""
    item_id = _turn_of(memory, told)
    return item_id if item_id in memory.turns else memory.spoken_item


def _read(memory: Memory, told: Told) -> str:
    """The turn whose words are told: under an item that nothing named before, the last without words; some name another in each message."""
    item_id = _turn_of(memory, told)
    if item_id in memory.turns:
        return item_id
    unread = [one for one, far in memory.turns.items() if far in (Turn.COMMITTED, Turn.UNREAD) and one not in memory.words]
    begun = memory.turns.get(memory.spoken_item) in (Turn.SPEAKING, Turn.SPOKEN)
    return unread[-1] if unread else memory.spoken_item if begun else item_id


def _prove(memory: Memory, item_id: str) -> list[Incoming]:
    """Take a turn that nobody told of as committed."""
    if memory.turns.get(item_id) is Turn.UNREAD:
        memory.turns[item_id] = Turn.COMMITTED
        return [Happened(ev.TurnCommitted, (item_id,))]
    return _take(memory, item_id) if memory.turns.get(item_id) in (Turn.SPEAKING, Turn.SPOKEN) else []


def _take(memory: Memory, item_id: str) -> list[Incoming]:
    memory.turns[item_id] = Turn.PROVED
    return [Happened(ev.TurnCommitted, (item_id,))]
