"""The fields of a field log's rows, read whatever shape the server gave them: beta and GA names, ids of their own or nested, nulls."""

import math
from collections.abc import Mapping
from typing import Any

from adapters.realtime.messages import GA_NAMES

Row = dict[str, Any]
SOURCES = ("llm", "telephony", "audio", "tts", "app", "timer")
"""Where a row may come from."""
BETA_NAMES = {ga: beta for beta, ga in GA_NAMES.items()}


class RowError(ValueError):
    """A row that lacks something, or holds a thing that is none; the message says which."""


def kind(row: Row) -> tuple[str, str]:
    """The source and event of a row, the event by its beta name."""
    event: str = row["event"]
    return row["source"], BETA_NAMES.get(event, event)


def is_fed(row: Row) -> bool:
    """Is it something that happened, and not what the old system did (`.sent`) or the firing of a timer of its own?"""
    return not row["event"].endswith(".sent") and row["source"] != "timer"


def fields_of(payload: Row) -> Row:
    """The fields of a row, with those of a nested `response`, `item` or `error` where the row has none of that name."""
    response, item, error = (value if isinstance(value, Mapping) else {} for value in map(payload.get, ("response", "item", "error")))
    nested = {**error, **response, "response_id": response.get("id"), "item_id": item.get("id")}
    return {**nested, **{key: value for key, value in payload.items() if value is not None}}


def text_of(payload: Row, key: str) -> str:
    """The text of a field; empty where there is none."""
    value = payload.get(key)
    return "" if value is None or isinstance(value, Mapping | list) else str(value)


def number_of(payload: Row, key: str) -> float:
    """The number of a field, from 0. Raises RowError."""
    if key not in payload:
        raise RowError(f"lacks {key}")
    value = payload[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise RowError(f"has {key} {value!r}, which is no number from 0")
    return value


def reason_of(payload: Row) -> str:
    """Why a response ended: the error's code or type, or the reason of its status; empty if nothing says so."""
    details = payload.get("status_details")
    details = details if isinstance(details, Mapping) else {"reason": details}
    error = details.get("error")
    error = error if isinstance(error, Mapping) else {"code": error}
    named = (error.get("code"), error.get("type"), details.get("reason"), payload.get("code"), payload.get("reason"))
    return next((word for word in named if isinstance(word, str) and word), "")


def is_heartbeat(payload: Row) -> bool:
    """Is the mark a keep-alive?"""
    return text_of(payload, "name").startswith("heartbeat")
