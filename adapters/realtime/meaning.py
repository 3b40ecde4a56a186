"""What each form of a message comes to: the tests and the acts that the table names. Pure; what is remembered is in `memory`."""

import re
from collections.abc import Callable

from adapters.realtime.calls import ToolCall, is_whole
from adapters.realtime.incoming import Audio, Happened, Incoming, Reply, SpokenDelta, TextDelta
from adapters.realtime.memory import KINDS, Gate, Memory
from adapters.realtime.messages import ENDS, Malformed, Told, value_at
from adapters.realtime.order import MOST_PARTS
from adapters.realtime.said import asks, says_goodbye
from adapters.realtime.surrogates import whole
from adapters.seam.base64 import octets_of
from adapters.seam.errors import unkeyed
from adapters.seam.waits import LONGEST_MS, UNSTATED_MS, duration_ms, field_wait_ms, is_rate_limit, stated_wait_ms
from fsm.call import events as ev
from fsm.call.effects import (
    CancelResponse,
    CommitTurn,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    RewriteItem,
    TruncateItem,
)
from fsm.call.guards import ACTIVE_ALREADY, FATAL, NOT_ACTIVE
from fsm.call.response import HARMLESS

Act = Callable[[Memory, Told], list[Incoming]]
MOST_WORDS = 300
"""How many characters of a server's words about an error are passed on."""
_GENERATING = frozenset({"inference_failed", "prediction_failed", "tts_error"})
"""The codes of errors that a server tells in the place of a response's end: its model failed, or its voice (read in LocalAI)."""
_CUT_OFF = ("incomplete", "cancelled", "failed")
"""An item that ended so was not made to its end."""


# The session.


def opened(memory: Memory, told: Told) -> list[Incoming]:
    """Note what the server shows of itself; what it asks for comes next."""
    if memory.gate is Gate.UNASKED:
        memory.setup.show(told.object("session"))
    return [Happened(ev.SessionOpened)]


def is_unasked(memory: Memory, _: Told) -> bool:
    """Have we not asked for a session?"""
    return memory.gate is Gate.UNASKED


def is_settled(memory: Memory, _: Told) -> bool:
    """Was the session confirmed before?"""
    return memory.gate is Gate.CONFIRMED


def contradicts(memory: Memory, told: Told) -> bool:
    """Is a field of the session there, and another than we asked for?"""
    return bool(memory.setup.difference(told.object("session")))


def refused(memory: Memory, told: Told) -> list[Incoming]:
    """Say in what the session differs."""
    memory.gate = Gate.UNASKED
    return [Happened(ev.SessionRefused, (memory.setup.difference(told.object("session")),))]


def confirmed(memory: Memory, _: Told) -> list[Incoming]:
    """The session is what we asked for."""
    memory.gate = Gate.CONFIRMED
    return [Happened(ev.SessionConfirmed)]


def differs_later(memory: Memory, told: Told) -> list[Incoming]:
    """A session that stands is now another: an error, and no second answer (R39)."""
    return note(memory, "error", memory.setup.difference(told.object("session")))


# Responses, and what they say.


def created(memory: Memory, told: Told) -> list[Incoming]:
    """A response of the conversation begins."""
    response_id = told.text("response_id")
    if not response_id and memory.names_responses:
        raise Malformed("response.id is missing or empty")
    event_id = told.text("event_id")
    twice = bool(event_id) and memory.begun_by.get(response_id) == event_id
    if twice or memory.untold.pop(response_id, False):
        return []
    if memory.asking and response_id in memory.ended and memory.has_one_id(told.raw("response_id")):
        memory.renamed[told.raw("response_id")] = response_id = memory.made_id()
    if not response_id and memory.running and not memory.asking:
        return []
    memory.begun_by[response_id] = event_id
    return _begin(memory, response_id)


def _begin(memory: Memory, response_id: str) -> list[Incoming]:
    memory.running = response_id or memory.made_id()
    memory.notes(memory.running)
    memory.asking = False
    return [Happened(ev.ResponseCreated, (memory.running,))]


def begun_untold(memory: Memory, told: Told) -> list[Incoming]:
    """The response that a message is the first to tell of, if one is awaited: some servers never say that it was created (R102)."""
    response_id = told.text("response_id")
    tells = bool(told.items("output")) if told.kind == "response.done" else told.kind != "response.created"
    awaited = not memory.running and (memory.asking or memory.policy.create_response)
    is_late = memory.names_responses or told.text("item_id") in memory.items if not response_id else response_id in memory.responses
    if is_late or not tells or not awaited:
        return []
    begun = _begin(memory, response_id)
    memory.untold[memory.running] = True
    return begun


def ended_as(kind: type[ev.ResponseEnded], default: str = "") -> Act:
    """The act that ends a response; what its end tells for the first time is told before it."""

    def act(memory: Memory, told: Told) -> list[Incoming]:
        response_id = told.text("response_id") or memory.running
        if not response_id:
            raise Malformed("it names no response, and none is in progress")
        reason = told.text("reason") or default
        late = _told_at_the_end(memory, told, response_id, whole_answer=kind is ev.ResponseCompleted)
        if memory.running == response_id:
            memory.running = ""
        memory.ended[response_id] = True
        late += memory.notes(response_id).order.end()
        if kind is ev.ResponseCompleted:
            return [*late, *_in_vain(memory, response_id), Happened(kind, (response_id, ""))]
        wait_ms = _wait_ms(memory, reason, told.message)
        if kind is ev.ResponseFailed:
            late += _own_words(memory, reason, _failure(told), told_already=_says_all(reason, wait_ms))
        return [*late, Happened(kind, (response_id, reason, *wait_ms))]

    return act


def _in_vain(memory: Memory, response_id: str) -> list[Incoming]:
    """Say why nothing is heard of a whole response, where it came in another way than the voice of the call can use."""
    notes = memory.notes(response_id)
    words = any(text.strip() for text in notes.words.values())
    if notes.silent_ms and not notes.loud:
        return note(memory, "silent_sound", f"the server sent {notes.silent_ms / 1000:.1f} s of sound that are silence alone")
    if words and not notes.sounded and not memory.writes:
        return note(memory, "words_without_sound", 'the server sent words and no sound of them: voice="chatterbox" has them spoken')
    if notes.sounded and not words and memory.writes:
        return note(memory, "sound_without_words", 'the server sent sound and no words of it: voice="realtime" has it heard')
    return []


def _failure(told: Told) -> str:
    """What the server says of a failure; what cannot be read of it keeps no response from ending."""
    try:
        return told.text("failure")
    except Malformed:
        return ""


def has_status(*statuses: str) -> Callable[[Memory, Told], bool]:
    """The test for the status that a response ended with, which the message's name may say."""
    return lambda _, told: (ENDS.get(told.told_as) or told.text("status").lower() or "completed") in statuses


def has_reason(*reasons: str) -> Callable[[Memory, Told], bool]:
    """The test for the reason that a response ended for."""
    return lambda _, told: told.text("reason") in reasons


def tells_an_error(_: Memory, told: Told) -> bool:
    """Does the end of a response hold an error?"""
    places = (("response", "status_details", "error"), ("response", "error"), ("error",))
    return any(value_at(told.message, *place) for place in places)


def _wait_ms(memory: Memory, code: str, message: object) -> tuple[float, ...]:
    """The wait that the server asks for, in whatever field, if it does; a rate limit always does, until it is whole again (R92)."""
    now_s = memory.clock_s()
    wait_ms = stated_wait_ms(message, now_s)
    if not wait_ms and is_rate_limit(code):
        wait_ms = duration_ms(message, now_s) or memory.reset_ms or UNSTATED_MS
    return (min(wait_ms, LONGEST_MS),) if wait_ms else ()


def _told_at_the_end(memory: Memory, told: Told, response_id: str, *, whole_answer: bool) -> list[Incoming]:
    """The calls and the words that the end of a response is the first to tell."""
    late: list[Incoming] = []
    for item in told.items("output"):
        try:
            late += _item_at_the_end(memory, item, response_id, whole_answer=whole_answer)
        except Malformed as error:
            late += note(memory, "malformed_event", str(error))
    if whole_answer:
        for call in memory.calls.of(response_id):
            late += _tell(memory, call) if not call.said or is_whole(call.said) else []
            if not (late or call.told or call.cut or (call.name and call.id)):
                call.cut = True
                late += note(memory, "malformed_event", "a tool call without " + ("its id" if call.name else "a name") + " is not run")
    return late


def _item_at_the_end(memory: Memory, item: object, response_id: str, *, whole_answer: bool) -> list[Incoming]:
    part = Told({"type": "response.output_item.done", "response_id": response_id, "item": item})
    if part.text("item_type") == "function_call":
        call = _call(memory, part)
        call.cut = call.cut or part.text("item_status") in _CUT_OFF
        return _tell(memory, call) if whole_answer else []
    return _words_of(memory, part, response_id) if part.text("item_type") in ("", "message") and whole_answer else []


def _words_of(memory: Memory, part: Told, response_id: str) -> list[Incoming]:
    """The words of a message that its response's end tells, if nothing told them before."""
    item_id = part.text("item_id")
    content = value_at(part.message, "item", "content")
    parts = content if isinstance(content, list) else [content]
    texts = [one if isinstance(one, str) else value_at(one, "transcript") or value_at(one, "text") for one in parts]
    text = whole(" ".join(one for one in texts if isinstance(one, str)))
    notes = memory.notes(response_id)
    is_known = item_id in notes.kinds or item_id in notes.at.values()
    if not text or item_id in notes.transcribed or (notes.transcribed and not is_known):
        return []
    return _say_whole(memory, response_id, item_id or notes.last_item, "text", text)


def item_added(memory: Memory, told: Told) -> list[Incoming]:
    """A response has an item: a message of its own, or a call that begins."""
    item_id = told.text("item_id")
    if previous := told.text("previous_item_id"):
        memory.previous[item_id] = previous
    if told.kind == "response.output_item.added" and item_id:
        notes = memory.notes(memory.whose(told)[0])
        if len(notes.begun) < KINDS:
            notes.begun[item_id] = True
    if told.text("item_type") == "function_call":
        memory.whose(told)
        _call(memory, told)
        return []
    if told.text("item_type") in ("", "message") and told.text("role") in ("", "assistant"):
        if not told.text("item_id"):
            raise Malformed("item.id is missing or empty")
        response_id, item_id = memory.whose(told)
        notes = memory.notes(response_id)
        if (index := notes.index_of(item_id)) is not None:
            notes.order.expect(index)
        return _new_item(memory, response_id, item_id)
    return []


def _new_item(memory: Memory, response_id: str, item_id: str) -> list[Incoming]:
    """The item of a response, told once, before its sound (R88)."""
    if not item_id or memory.added.get(item_id) == response_id:
        return []
    memory.added[item_id] = response_id
    return [Happened(ev.ItemAdded, (response_id, item_id))]


def item_done(memory: Memory, told: Told) -> list[Incoming]:
    """An item of a response is done: a call that was not cut off is whole (R89, R90)."""
    if told.text("item_type") != "function_call":
        known = item_added(memory, told) + _complete(memory, *memory.whose(told)) if told.text("item_id") else []
        return known + _all_done(memory, told)
    memory.whose(told)
    call = _call(memory, told)
    call.cut = call.cut or told.text("item_status") in _CUT_OFF
    return _tell(memory, call) + _all_done(memory, told)


def _all_done(memory: Memory, told: Told) -> list[Incoming]:
    """Tell that all items of a response which were begun are done, if this was the last of them (R97)."""
    if told.kind != "response.output_item.done" or told.text("item_status") in _CUT_OFF:
        return []
    response_id, item_id = memory.whose(told)
    notes = memory.notes(response_id)
    notes.begun.pop(item_id, None)
    return [] if notes.begun or not notes.may_tell("items done") else [Happened(ev.ItemsDone, (response_id,))]


def is_of_a_response(memory: Memory, told: Told) -> bool:
    """Is it about an item that a response has? A call in the conversation is the running one's (R89)."""
    return told.text("item_id") in memory.items or (told.text("item_type") == "function_call" and bool(memory.running))


def is_asked_for(memory: Memory, told: Told) -> bool:
    """Is it an item that we had made, in place of one that the caller did not hear to its end?"""
    return memory.rewrites.awaits(told.text("item_id"))


def made(memory: Memory, told: Told) -> list[Incoming]:
    """It is there."""
    memory.rewrites.made(told.text("item_id"))
    return []


def corrected(memory: Memory, _: Told) -> list[Incoming]:
    """A correction of ours is answered."""
    memory.open_corrections = max(memory.open_corrections - 1, 0)
    return []


def deleted(memory: Memory, told: Told) -> list[Incoming]:
    """An item is gone; what is to stand in its place is made."""
    corrected(memory, told)
    return [Reply(*one) for one in memory.rewrites.deleted(told.text("item_id"))]


def is_writing(memory: Memory, _: Told) -> bool:
    """Is the model to write what a voice of ours speaks?"""
    return memory.writes


def unused(memory: Memory, told: Told) -> list[Incoming]:
    """Sound that nobody is to hear has come."""
    response_id = told.text("response_id") or memory.running
    if response_id in memory.responses and value_at(told.message, "delta"):
        memory.responses[response_id].sounded = True
    return []


def audio(memory: Memory, told: Told) -> list[Incoming]:
    """Sound, in whole samples: half of one waits for the other."""
    form = memory.setup.speaks
    try:
        sound = _bare(octets_of(told.sound()))
    except ValueError:
        raise Malformed("delta is not base64") from None
    response_id, item_id = memory.whose(told)
    place = (response_id, item_id, min(told.number("content_index"), MOST_PARTS))
    sound = memory.half_samples.pop(place, b"") + sound
    full = len(sound) - len(sound) % form.sample_bytes
    if sound[full:]:
        memory.half_samples[place] = sound[full:]
    if not full:
        return []
    notes = memory.notes(response_id)
    notes.sounded = True
    if not notes.loud:
        notes.loud = bool(sound[:full].strip(form.silence))
        notes.silent_ms += form.ms_of(full)
    piece = Audio(response_id, item_id, sound[:full], place[2], form)
    return [*_new_item(memory, response_id, item_id), *_in_order(memory, piece, place[2])]


def _bare(sound: bytes) -> bytes:
    """Sound without the header of a WAV, which some servers put before each piece: it would be heard as a click."""
    if sound[:4] != b"RIFF" or sound[8:12] != b"WAVE":
        return sound
    at = sound.find(b"data", 12)
    return sound[at + 8 :] if at > 0 else b""


def _in_order(memory: Memory, piece: Audio | TextDelta, content_index: int = 0) -> list[Incoming]:
    """A piece of a response, once all is there that stands before it; where no output_index is told, as it comes (R88)."""
    notes = memory.notes(piece.response_id)
    index = notes.index_of(piece.item_id)
    return [piece] if index is None else [*notes.order.take(index, content_index, piece)]


def part_done(memory: Memory, told: Told) -> list[Incoming]:
    """A part of an item is complete: what waited for it may be heard."""
    item_id = told.text("item_id")
    response_id = told.text("response_id") or memory.items.get(item_id, "") or memory.running
    return _complete(memory, response_id, item_id, min(told.number("content_index"), MOST_PARTS))


def _complete(memory: Memory, response_id: str, item_id: str, content_index: int | None = None) -> list[Incoming]:
    notes = memory.responses.get(response_id)
    index = notes.index_of(item_id) if notes else None
    return [] if notes is None or index is None else [*notes.order.complete(index, content_index)]


def words(kind: str) -> Act:
    """The act for a delta of an item's words, `kind` text or transcript: of both the one that came first counts."""

    def act(memory: Memory, told: Told) -> list[Incoming]:
        delta = told.delta()
        response_id, item_id = memory.whose(told)
        return _say(memory, response_id, item_id, kind, memory.pieces.join(f"{response_id} {item_id} {kind}", delta))

    return act


def words_done(kind: str) -> Act:
    """The act for all the words of an item."""

    def act(memory: Memory, told: Told) -> list[Incoming]:
        response_id, item_id = memory.whose(told)
        notes = memory.notes(response_id)
        if notes.kinds.get(item_id, kind) != kind:
            return []
        return _say_whole(memory, response_id, item_id, kind, told.text("words") or notes.words.get(item_id, ""))

    return act


def _say(memory: Memory, response_id: str, item_id: str, kind: str, delta: str) -> list[Incoming]:
    """Words of an item; the first of a response that speaks by itself are told, as its sound must follow (R16)."""
    notes = memory.notes(response_id)
    if not delta or (len(notes.kinds) >= KINDS and item_id not in notes.kinds) or notes.kinds.setdefault(item_id, kind) != kind:
        return []
    notes.words[item_id] = notes.words.get(item_id, "") + delta
    said = _new_item(memory, response_id, item_id)
    if memory.writes:
        return [*said, *_in_order(memory, TextDelta(response_id, item_id, delta))]
    said.append(SpokenDelta(response_id, item_id, delta))
    if not notes.told_words:
        notes.told_words = True
        said.append(Happened(ev.TextArrived, (response_id,)))
    return said


def _say_whole(memory: Memory, response_id: str, item_id: str, kind: str, text: str) -> list[Incoming]:
    """All the words of an item, which may be the first that come of it."""
    notes = memory.notes(response_id)
    said = [] if item_id in notes.words else _say(memory, response_id, item_id, kind, text)
    notes.transcribed[item_id] = True
    if notes.may_tell("transcripts"):
        said.append(Happened(ev.ResponseTranscribed, (response_id, text)))
        if says_goodbye(text, memory.settings.goodbye_phrases):
            said.append(Happened(ev.GoodbyeSaid, (response_id,)))
        elif asks(text):
            said.append(Happened(ev.QuestionAsked, (response_id,)))
    if not memory.writes:
        return said
    return [*said, *_in_order(memory, TextDelta(response_id, item_id, "", last=True)), *_complete(memory, response_id, item_id)]


# Tool calls.


def arguments(memory: Memory, told: Told) -> list[Incoming]:
    """A piece of a call's arguments."""
    delta = told.delta()
    memory.whose(told)
    call = _call(memory, told, told.text("call_id"))
    call.deltas += memory.pieces.join(f"{call.response_id} {call.id}", delta)
    return []


def arguments_done(memory: Memory, told: Told) -> list[Incoming]:
    """A call's arguments are told to be done, which they are for one that was cut off as well: what comes next says which."""
    memory.whose(told)
    call = _call(memory, told)
    memory.calls.settles_next = call
    return []


def settle(memory: Memory, told: Told) -> list[Incoming]:
    """Tell the call whose arguments were done, unless this message, the next, is about that call or its response's end."""
    call, memory.calls.settles_next = memory.calls.settles_next, None
    if call is None or told.kind in ("response.done", "response.output_item.done", "conversation.item.done"):
        return []
    return _tell(memory, call) if is_whole(call.said) else []


def _call(memory: Memory, told: Told, call_id: str = "") -> ToolCall:
    """The call that a message means, with what it says of it."""
    item_id = told.text("item_id")
    response_id = told.text("response_id") or memory.items.get(item_id, "") or memory.running
    if not item_id and told.has("output_index"):
        item_id = memory.notes(response_id).at.get(told.number("output_index"), "")
    told_now, named = told.text("arguments"), bool(told.text("response_id"))
    call = memory.calls.find(response_id, item_id, call_id or told.text("call_id"), told_now if named else None)
    call.name = call.name or told.text("name")
    call.arguments = told_now or call.arguments
    return call


def _tell(memory: Memory, call: ToolCall) -> list[Incoming]:
    """The call, once, unless it was cut off or nothing says what is called."""
    if call.told or call.cut or not call.name or not call.id:
        return []
    call.told = True
    if not memory.notes(call.response_id).may_tell("calls"):
        return []
    return [Happened(ev.ToolCalled, (call.id, call.name, call.said or "{}", call.response_id))]


# Errors and limits.


def rate_limits(memory: Memory, told: Told) -> list[Incoming]:
    """Note when a limit that is used up is whole again."""
    used_up = [one for one in told.items("rate_limits") if value_at(one, "remaining") == 0]
    waits = [value_at(one, "reset_seconds") for one in used_up]
    now_s = memory.clock_s()
    told_ms = (one * 1000.0 if isinstance(one, int | float) else field_wait_ms("reset_seconds", one, now_s) for one in waits)
    memory.reset_ms = max(told_ms, default=0.0)
    return []


def error(memory: Memory, told: Told) -> list[Incoming]:
    """An error, told as the refusal of the command that it names; one after which no answer comes ends the call (R03, R18)."""
    bare = value_at(told.message, "error")
    words = told.text("message") or (whole(bare) if isinstance(bare, str) else "")
    if not isinstance(bare, dict) and not words:
        raise Malformed("error is missing or is no object")
    kind = told.text("type")
    code = _race(words) or told.text("code") or kind or "unknown_error"
    message = told_words(memory, words)
    reason = f"{code}: {message}" if message else code
    command = memory.commands.pop(told.text("event_id"), None)
    refusal: list[Incoming] = []
    match command:
        case _ if code == "session_expired":
            refusal = [Happened(ev.SessionLost, (reason,))]
        case _ if not FATAL.isdisjoint((code, kind)):
            refusal = [Happened(ev.ReceiverFailed, (reason,))]
        case ConfigureSession():
            refusal = [Happened(ev.SessionRefused, (reason,))]
        case None if memory.running and code in _GENERATING:
            refusal = _broken_off(memory, code, words, told)
        case CreateResponse() | None if command is not None or (memory.asking and _is_about_a_response(memory, code, kind, told)):
            memory.asking = False
            wait_ms = _wait_ms(memory, code, told.message)
            own = _own_words(memory, code, words, told_already=_says_all(code, wait_ms))
            refusal = [*own, Happened(ev.CreateRefused, (code, *wait_ms))]
        case CancelResponse(response_id=response_id):
            own = _own_words(memory, code, words, told_already=code in HARMLESS)
            refusal = [*own, Happened(ev.CancelRefused, (response_id, code))]
        case CommitTurn() | None if command is not None or (memory.open_commits and _is_about_a_commit(code, message, told)):
            memory.open_commits = max(memory.open_commits - 1, 0)
            own = _own_words(memory, code, words, told_already=_is_about_a_commit(code, message, told))
            refusal = [*own, Happened(ev.CommitRefused, (code,))]
    if refusal:
        memory.set_aside["error"] += 1
        return refusal
    if isinstance(command, TruncateItem | DeleteItem | None):
        corrected(memory, told)
    return [*_refused_items(memory, command), *note(memory, "error", message, code=code)]


def _broken_off(memory: Memory, code: str, words: str, told: Told) -> list[Incoming]:
    """The response in progress has failed: an error says so, and no end of it will come (R15)."""
    response_id, memory.running = memory.running, ""
    memory.ended[response_id] = True
    rest, wait_ms = memory.notes(response_id).order.end(), _wait_ms(memory, code, told.message)
    return [*rest, *_own_words(memory, code, words, told_already=False), Happened(ev.ResponseFailed, (response_id, code, *wait_ms))]


def _says_all(code: str, wait_ms: tuple[float, ...]) -> bool:
    """Does a code tell as much as the words would: that of a usual race, or of a rate limit, whose wait is told?"""
    return code in HARMLESS or (is_rate_limit(code) and bool(wait_ms))


def _own_words(memory: Memory, code: str, words: str, *, told_already: bool) -> list[Incoming]:
    """The server's own words about what it refuses, unless its wait or its reason is told anyway, or it is a usual race (R108)."""
    return note(memory, "error", words, code=code or "unknown_error") if words and not told_already else []


_OF_A_COMMIT = re.compile(
    r"\bcommit\w*\b.*\b(?:empty|buffer|audio|small|short)\b|\bbuffer\b.*\b(?:is empty|too (?:small|short))\b", re.IGNORECASE
)


def _is_about_a_commit(code: str, message: str, told: Told) -> bool:
    """Can an error that names no command be about nothing else than a commit of ours that was not answered (R95)?"""
    named = (code, told.text("param"))
    return any("commit" in name for name in named) or bool(_OF_A_COMMIT.search(message))


_TOO_MANY = re.compile(r"\balready\b.*\bactive response\b", re.IGNORECASE)
_TOO_LATE = re.compile(r"\bno\b.*\bactive response\b", re.IGNORECASE)


def _race(words: str) -> str:
    """The code of a usual race that is told in words alone, or under a code that says nothing (R02)."""
    head = words[:MOST_WORDS]
    return ACTIVE_ALREADY if _TOO_MANY.search(head) else NOT_ACTIVE if _TOO_LATE.search(head) else ""


def _is_about_a_response(memory: Memory, code: str, kind: str, told: Told) -> bool:
    """Can an error that names no command be about nothing else than the response that is asked for?

    It can where that is one too many, or too soon (R92), and where the server failed and nothing else is open.
    """
    limits = is_rate_limit(code) or is_rate_limit(kind) or stated_wait_ms(told.message, memory.clock_s()) > 0
    failed = "server_error" in (code, kind) and memory.only_asks
    return limits or failed or code == ACTIVE_ALREADY


def _refused_items(memory: Memory, command: Effect | None) -> list[Incoming]:
    """What follows from an error for an item that is being rewritten."""
    match command:
        case DeleteItem(item_id=item_id):
            memory.rewrites.kept(item_id)
        case RewriteItem(item_id=item_id):
            return [Reply(*one) for one in memory.rewrites.refused(item_id)]
        case None:
            return [Reply(*one) for one in memory.rewrites.refused_something()]
    return []


def told_words(memory: Memory, text: str) -> str:
    """A server's words about an error, bounded and without a key."""
    return unkeyed(text, memory.key)[:MOST_WORDS]


def note(memory: Memory, kind: str, message: str, code: str = "") -> list[Incoming]:
    """Tell an error that is nobody's refusal, if it is one of the first few of its kind (R84, R108)."""
    memory.set_aside[kind] += 1
    code = code or kind
    alike = f"{kind} {code} {re.sub(r'[0-9a-f]*[0-9][0-9a-f]*', '#', message)[:80]}"
    return [Happened(ev.ErrorReceived, (code, told_words(memory, message)))] if memory.is_told(alike) else []


def nothing(_: Memory, __: Told) -> list[Incoming]:
    """It is set aside."""
    return []


def always(_: Memory, __: Told) -> bool:
    """In every other form."""
    return True
