"""What a speech server may lack: each by a name, as `callfsm stand-in chatterbox --without` takes it."""

from collections.abc import Mapping
from typing import Any

LACKS = {
    "loop": "it does nothing else while it synthesises: no request is answered, and nobody is seen to leave",
    "plain_errors": "what went wrong is told in an object, {detail: {error, message}}",
    "default_voice": "devnen: it does not tell which voice is its default",
    "description": "it does not describe itself (/openapi.json)",
    "plain_encoding": "it packs what it sends (gzip), whatever its client takes",
    "options": "it does not say which methods a path takes",
}


def told(error: Mapping[str, Any], without: frozenset[str]) -> Mapping[str, Any]:
    """An error as such a server tells it."""
    words = error.get("detail")
    if "plain_errors" not in without or not isinstance(words, str):
        return error
    return {"detail": {"error": "synthesis_error", "message": words}}
