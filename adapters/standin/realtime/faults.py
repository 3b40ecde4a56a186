"""What the stand-in realtime server can do wrong: the repertoire of its fault scripts; how each fault strikes is not in here."""

from adapters.standin.faults import Kind, Param, Repertoire
from adapters.standin.realtime.grammar import CLIENT_EVENTS, SERVER_EVENTS

SESSION_LIMIT_S = 3_600.0
"""The original's 60 minutes."""
_LATE = {"ms": Param(1_000, "how late", 1, 600_000)}
_CODES = (1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 1014)
_STATUSES = (400, 401, 403, 404, 429, 500, 502, 503, 504)
_RESPONSE = "a response that begins"
_IN_PROGRESS = "a response in progress"
_CANCEL = "a response that is cancelled"
_UPDATE = "a session.update"
_ENDS = ("completed", "cancelled", "failed", "incomplete")

_ON_THE_WIRE = {
    "malformed_json": Kind("a text frame that is no JSON", {"text": Param('{"type": "response.output_audio.delta", "delta": "')}),
    "unknown_type": Kind("an event of a type that nobody knows", {"type": Param("response.novelty.delta")}),
    "oversized_frame": Kind("a delta in one text frame of so many MiB", {"mib": Param(17, low=1, high=256)}),
    "binary_frame": Kind("a binary frame", {"bytes": Param(64, low=0, high=2**20)}),
    "server_error": Kind(
        "an error event of type server_error; on a client event it names that, which is not carried out", {"code": Param("server_error")}
    ),
    "error_flood": Kind("so many errors alike, which name nothing", {"times": Param(100, low=1, high=10_000)}),
    "rate_limits": Kind(
        "rate_limits.updated with little left",
        {"limit": Param("tokens", choices=("requests", "tokens")), "remaining": Param(0, low=0), "reset_s": Param(60.0)},
    ),
    "foreign_done": Kind(
        "the end of a response that nobody has begun", {"response_id": Param("resp_foreign"), "status": Param("completed", choices=_ENDS)}
    ),
    "session_expired": Kind("the error event of a session that has lasted too long, then a close with 1001"),
    "close": Kind("a close with this code; 1006 resets the connection without a close frame", {"code": Param(1011, choices=_CODES)}),
    "half_open": Kind("from now on nothing is sent and nothing is read, and the socket stays"),
    "delay": Kind("from now on each event is so late, in order", _LATE),
    "hiccup": Kind("nothing is sent for so long, then all of it at once", _LATE),
    "crash": Kind("the process dies (SIGKILL)"),
}
_TO_AN_EVENT = {
    "lost": "the event is not sent",
    "duplicate": "the event is sent twice, byte for byte",
    "out_of_order": "the event is sent after the next one",
    "foreign_id": "the event names a response and an item that nobody knows",
}
_TO_A_SESSION = {
    "refuse_connection": Kind(
        "this connection and those after it, `times` in all, are refused by HTTP; after at_s or on, those that follow",
        {"status": Param(503, choices=_STATUSES), "times": Param(1, low=1)},
        occasion="a connection that is opened",
    ),
    "refuse_session": Kind(
        "the update is refused by an error", {"code": Param("invalid_value"), "message": Param("The session cannot be set up.")}, _UPDATE
    ),
    "session_never_updated": Kind("the update is neither carried out nor answered", occasion=_UPDATE),
    "no_transcript": Kind(
        "the caller's words are never told, or their failure is", {"told": Param(False)}, occasion="a turn that is transcribed"
    ),
    "late_transcript": Kind("the caller's words are told so much later", _LATE, occasion="a turn that is transcribed"),
    "duplicate_speech_started": Kind(
        "speech_started so many times more, each with an id of its own", {"times": Param(1, low=1, high=100)}, occasion="a speech_started"
    ),
}
_TO_A_RESPONSE = {
    "response_never_created": Kind("the response is neither created nor refused", occasion="a wish for a response"),
    "slow_created": Kind(
        "the response begins so late; a cancel that comes before finds nothing to cancel, and with busy another wish is refused",
        _LATE | {"busy": Param(False)},
        occasion="a wish for a response",
    ),
    "failed_response": Kind(
        "it ends as failed; with wait_s its words ask to wait so long",
        {"code": Param("server_error"), "wait_s": Param(0.0, low=0, high=600)},
        occasion=_IN_PROGRESS,
    ),
    "text_response": Kind("it is given in text, although sound is due", occasion=_RESPONSE),
    "two_items": Kind("in sound: each sentence is an item of its own", occasion=_RESPONSE),
    "incomplete_response": Kind(
        "it ends as incomplete", {"reason": Param("content_filter", choices=("content_filter", "max_output_tokens"))}, occasion=_IN_PROGRESS
    ),
    "silent_response": Kind("in sound: its transcript comes and no sound", occasion=_RESPONSE),
    "empty_response": Kind("it completes without any output", occasion=_RESPONSE),
    "stalled_response": Kind("after so many words nothing more comes, and it does not end", {"words": Param(3, low=0)}, occasion=_RESPONSE),
    "slow_cancel": Kind("its response.done comes so late; until then it counts as in progress", _LATE, occasion=_CANCEL),
    "stragglers": Kind(
        "so many more deltas of it, before its response.done or behind it",
        {"count": Param(5, low=1, high=1_000), "after_done": Param(False)},
        occasion=_CANCEL,
    ),
    "cancel_races_done": Kind("it completes just as the cancel arrives, so that the cancel is refused", occasion=_CANCEL),
}

REALTIME = Repertoire(
    server="realtime",
    kinds={
        **_ON_THE_WIRE,
        **{name: Kind(says, strikes=SERVER_EVENTS) for name, says in _TO_AN_EVENT.items()},
        **_TO_A_SESSION,
        **_TO_A_RESPONSE,
    },
    events=CLIENT_EVENTS | SERVER_EVENTS,
    settings={"session_limit_s": Param(SESSION_LIMIT_S, "how long a session may last", 0.05, SESSION_LIMIT_S)},
)
"""Each fault by name. On a client event a fault strikes before that is carried out, on a server event right after it was sent."""
