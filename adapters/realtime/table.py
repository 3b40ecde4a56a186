"""The realtime wire as a table: each message that a server may send, the forms in which it was seen, and what it comes to.

The messages are those of OpenAI's GA wire (46), of xAI's voice server (one more) and of the beta, by their GA names. A form is tried in
the order of the rows, and the first that holds counts. What is the same for all of them is said once, in `messages.FIELDS`: where a field
may stand, and what stands in for one that is absent. Two things come before every row: what belongs to a response of somebody else's is
set aside (R90), and a message that lacks what nothing can stand in for is malformed, an error that is told and counted (R84).
"""

from collections.abc import Callable

import attrs

from adapters.realtime import caller as c, meaning as m
from adapters.realtime.incoming import Audio, Reply, SpokenDelta, TextDelta
from adapters.realtime.meaning import Act
from adapters.realtime.memory import Memory
from adapters.realtime.messages import Told
from fsm.call import events as ev

Form = Callable[[Memory, Told], bool]
"""Does a message have this form?"""
Kind = type
"""What may come of a row: an event's class, or one of `incoming`."""


@attrs.frozen
class Row:
    """A form of a message, and what comes of it: at most these kinds, in this order; with none it is set aside, and `why` says for what."""

    form: Form
    words: str
    """The form in words, empty for every other."""
    act: Act
    kinds: tuple[Kind, ...]
    why: str = ""


@attrs.frozen
class Message:
    """A message: its GA name, the fields that are read of it, and its rows; `of_response`: does it belong to one?"""

    name: str
    fields: tuple[str, ...]
    rows: tuple[Row, ...]
    of_response: bool = False


def comes(act: Act, *kinds: Kind, when: Form = m.always, words: str = "", why: str = "") -> Row:
    """A row for a form that comes to something."""
    return Row(when, words, act, kinds, why)


def aside(why: str, when: Form = m.always, words: str = "", act: Act = m.nothing) -> Row:
    """A row for a form that is set aside."""
    return Row(when, words, act, (), why)


ITEM = ("response_id", "item_id", "output_index")
PART = (*ITEM, "content_index")
CALL = (*ITEM, "call_id", "name", "arguments")
SAYS = (ev.ResponseTranscribed, ev.GoodbyeSaid, ev.QuestionAsked)
"""What the words of an item come to, once they are whole."""
WAITED = (Audio, TextDelta)
"""What came ahead of its turn (R88)."""
WORDS = (ev.ItemAdded, TextDelta, SpokenDelta, ev.TextArrived)
"""What words come to: they are for a voice of ours, or heard in the model's own."""
FIRST = "of an item's text and transcript the one that came first counts"
WHOLE = "where no delta came, these are the first words of the item"
COMPLETED = ("completed", "complete", "done", "finished", "succeeded", "success", "in_progress", "requires_action")
"""What servers call a response at its end that is whole; some leave the status that it began with."""
CANCELLED = ("cancelled", "canceled", "interrupted", "aborted")
CUT = (*CANCELLED, "turn_detected", "client_cancelled", "interruption", "barge_in")
"""Why a response is incomplete that was interrupted."""
INCOMPLETE = ("incomplete", "length", "truncated")
FAILED = ("failed", "failure", "error", "timeout", "expired", "rejected")
END = ("response_id", "status", "reason", "failure", "output")
BEFORE_THE_END = (ev.ToolCalled, *WORDS, *SAYS, *WAITED)
"""What the end of a response may be the first to tell."""


def told(name: str, fields: tuple[str, ...], *rows: Row) -> Message:
    """A message about the session or the caller."""
    return Message(name, fields, rows)


def of_response(name: str, fields: tuple[str, ...], *rows: Row) -> Message:
    """A message that belongs to a response."""
    return Message(name, fields, rows, of_response=True)


REFUSALS = (ev.SessionLost, ev.ReceiverFailed, ev.SessionRefused, ev.CreateRefused, ev.CancelRefused, ev.CommitRefused)
_SESSION = (
    told("session.created", ("session",), comes(m.opened, ev.SessionOpened, why="it shows whether the server speaks GA or beta (R103)")),
    told(
        "session.updated",
        ("session",),
        aside("nobody asked for it", m.is_unasked, "before we asked"),
        comes(
            m.differs_later,
            ev.ErrorReceived,
            when=lambda n, t: m.is_settled(n, t) and m.contradicts(n, t),
            words="confirmed before, and differs",
        ),
        aside("it answers a change of the VAD's rights", m.is_settled, "confirmed before"),
        comes(m.refused, ev.SessionRefused, when=m.contradicts, words="a field is another than we asked for"),
        comes(m.confirmed, ev.SessionConfirmed, why="what is absent contradicts nothing (R102)"),
    ),
    told("conversation.created", (), aside("a session has one conversation")),
    told("ping", (), aside("the socket has its own")),
    told(
        "rate_limits.updated",
        ("rate_limits",),
        aside("only an error makes one wait; when a used-up limit is whole again is noted (R92)", act=m.rate_limits),
    ),
    told(
        "error",
        ("error", "code", "type", "param", "message", "event_id"),
        comes(
            m.error,
            *(
                ev.SessionLost,
                ev.ReceiverFailed,
                ev.SessionRefused,
                ev.CreateRefused,
                ev.CancelRefused,
                ev.CommitRefused,
                *WAITED,
                Reply,
                ev.ErrorReceived,
                ev.ResponseFailed,
            ),
            why="the refusal of the command that it names (R03), or the failure of the response in progress, which has no other end then; "
            "of others the first few of a kind are told (R108)",
        ),
    ),
)
_CALLER = (
    told("input_audio_buffer.speech_started", ("item_id", "audio_start_ms"), comes(c.speech_started, ev.TurnCommitted, ev.SpeechStarted)),
    told("input_audio_buffer.speech_stopped", ("item_id", "audio_end_ms"), comes(c.speech_stopped, ev.SpeechStopped)),
    told(
        "input_audio_buffer.committed",
        ("item_id",),
        aside("its transcript has told it", c.is_proved, "after the turn's transcript", c.proved),
        aside("the model knows of it with its transcript", c.is_read_later, "the server's LLM reads transcripts", c.wait_for_words),
        comes(c.committed, Reply, ev.TurnCommitted),
    ),
    told(
        "conversation.item.input_audio_transcription.completed",
        ("item_id", "transcript", "status"),
        aside("more of them comes", c.is_speaking, "while the caller speaks", c.heard_so_far),
        aside("more of them comes", c.grows, "in progress"),
        aside("some tell them twice (R21)", c.is_told, "the words that the turn has already"),
        comes(
            c.transcribed,
            *(ev.TurnCommitted, ev.Transcribed, ev.TurnDismissed),
            why="a turn that is transcribed is committed, whether or not that was told",
        ),
    ),
    told(
        "conversation.item.input_audio_transcription.failed",
        ("item_id", "code", "message"),
        comes(c.not_transcribed, ev.TurnCommitted, ev.ErrorReceived, why="a turn without words is a turn (R24)"),
    ),
    told("conversation.item.input_audio_transcription.delta", (), aside("the whole transcript counts")),
    told("conversation.item.input_audio_transcription.segment", (), aside("the whole transcript counts")),
    told(
        "input_audio_buffer.cleared",
        (),
        comes(c.cleared, ev.CommitRefused, when=c.is_committing, words="in the place of a commit", why="there was no turn in it (R95)"),
        aside("we never clear it"),
    ),
    told("input_audio_buffer.timeout_triggered", (), aside("the core has its own clock for a silent caller (R54)")),
    told("input_audio_buffer.dtmf_event_received", (), aside("keys come by the line (R63)")),
)
_OF_ITEMS: tuple[tuple[str, Act, tuple[Kind, ...]], ...] = (
    ("added", m.item_added, (ev.ItemAdded,)),
    ("created", m.item_added, (ev.ItemAdded,)),
    ("done", m.item_done, (ev.ItemAdded, *WAITED, ev.ToolCalled)),
)
_ITEMS = (
    *(
        told(
            f"conversation.item.{name}",
            ("item_id", "previous_item_id", "item_type", "role", "call_id", "name", "arguments", "item_status"),
            aside("it is what we had made", m.is_asked_for, "an item that we asked for", m.made),
            comes(act, *kinds, when=m.is_of_a_response, words="an item of a response"),
            aside("it is the caller's, or one that we restored"),
        )
        for name, act, kinds in _OF_ITEMS
    ),
    told("conversation.item.deleted", ("item_id",), comes(m.deleted, Reply, why="what stands in its place is made now")),
    told("conversation.item.truncated", (), aside("it answers a correction of ours", act=m.corrected)),
    told("conversation.item.retrieved", (), aside("we retrieve nothing")),
)
_RESPONSES = (
    of_response("response.created", ("response_id",), comes(m.created, ev.ResponseCreated)),
    of_response(
        "response.done",
        END,
        comes(
            m.ended_as(ev.ResponseCompleted),
            *BEFORE_THE_END,
            ev.ErrorReceived,
            ev.ResponseCompleted,
            when=m.has_status(*COMPLETED),
            words="completed, in other words perhaps, or no status",
            why="an error says why nothing of it can be heard: it has words without sound, or sound alone for a voice of ours",
        ),
        comes(
            m.ended_as(ev.ResponseCancelled),
            *WAITED,
            ev.ResponseCancelled,
            when=lambda n, t: m.has_status(*CANCELLED)(n, t) or (m.has_status(*INCOMPLETE)(n, t) and m.has_reason(*CUT)(n, t)),
            words="cancelled, in other words perhaps, or incomplete as it was interrupted",
        ),
        comes(m.ended_as(ev.ResponseIncomplete), *WAITED, ev.ResponseIncomplete, when=m.has_status(*INCOMPLETE), words="incomplete"),
        comes(
            m.ended_as(ev.ResponseFailed),
            *WAITED,
            ev.ErrorReceived,
            ev.ResponseFailed,
            when=lambda n, t: m.has_status(*FAILED)(n, t) or m.tells_an_error(n, t),
            words="failed, in other words perhaps, or a status that nobody knows and an error",
        ),
        comes(
            m.ended_as(ev.ResponseCompleted),
            *BEFORE_THE_END,
            ev.ErrorReceived,
            ev.ResponseCompleted,
            words="a status that nobody knows, and no error",
            why="what was heard of it counts, and what it called",
        ),
    ),
    of_response(
        "response.output_item.added",
        (*CALL, "item_type", "role"),
        comes(m.item_added, ev.ItemAdded, why="or a call begins"),
    ),
    of_response(
        "response.output_item.done",
        (*CALL, "item_type", "role", "item_status"),
        comes(m.item_done, ev.ItemAdded, *WAITED, ev.ItemsDone, ev.ToolCalled, why="what waited for it is heard (R88)"),
    ),
    of_response("response.content_part.added", (), aside("its sound or its words say what it is")),
    of_response("response.content_part.done", PART, comes(m.part_done, *WAITED)),
    of_response(
        "response.output_audio.delta",
        (*PART, "delta"),
        aside("text was asked for; its transcript is spoken", m.is_writing, "a voice of ours speaks", m.unused),
        comes(m.audio, ev.ItemAdded, Audio),
    ),
    of_response("response.output_audio.done", PART, comes(m.part_done, *WAITED)),
    of_response("response.output_audio_transcript.delta", (*PART, "delta"), comes(m.words("transcript"), *WORDS, why=FIRST)),
    of_response(
        "response.output_audio_transcript.done", (*PART, "words"), comes(m.words_done("transcript"), *WORDS, *SAYS, TextDelta, why=WHOLE)
    ),
    of_response("response.output_text.delta", (*PART, "delta"), comes(m.words("text"), *WORDS, why=FIRST)),
    of_response("response.output_text.done", (*PART, "words"), comes(m.words_done("text"), *WORDS, *SAYS, TextDelta, why=WHOLE)),
    of_response("response.function_call_arguments.delta", (*ITEM, "call_id", "delta"), comes(m.arguments, why="they are gathered")),
    of_response(
        "response.function_call_arguments.done",
        CALL,
        comes(m.arguments_done, why="told with the next message, unless that says that it was cut off (R90)"),
    ),
    *(of_response(f"response.mcp_call.{name}", (), aside("the server runs it")) for name in ("completed", "failed", "in_progress")),
    *(of_response(f"response.mcp_call_arguments.{name}", (), aside("the server runs it")) for name in ("delta", "done")),
    *(told(f"mcp_list_tools.{name}", (), aside("the server lists its own tools")) for name in ("completed", "failed", "in_progress")),
    *(told(f"output_audio_buffer.{name}", (), aside("it is for WebRTC and SIP alone")) for name in ("cleared", "started", "stopped")),
)


def _kinds(message: Message) -> tuple[Kind, ...]:
    return tuple(kind for row in message.rows for kind in row.kinds)


TABLE = {message.name: message for message in (*_SESSION, *_CALLER, *_ITEMS, *_RESPONSES)}
"""Every message by its GA name."""
EVERYWHERE = (ev.ToolCalled, ev.ResponseCreated, ev.ErrorReceived)
"""What may come with any message: the call whose arguments were done in the one before, the response that is awaited and that nothing
told of before, and the error that a malformed one is."""
WITHOUT_MEANING = frozenset(
    name for name, message in TABLE.items() if {*_kinds(message)} - {Reply, ev.ItemAdded, ev.ItemsDone, ev.ToolCalled} in (set(), {*WAITED})
)
"""Messages that tell the core nothing, but a call that they show to be whole, and let be heard what waited."""
