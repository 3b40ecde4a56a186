"""Where a realtime server is and whose it is: its address in the forms that OpenAI, Azure and others have, and the header for its key."""

from collections.abc import Mapping
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from adapters.realtime.dialects import XAI

_OPENAI_HOSTS = ("openai.com",)
_XAI_HOSTS = ("x.ai",)
_AZURE_HOSTS = ("azure.com", "azure.us", "azure.cn")
_AZURE_PATHS = ("/openai/realtime", "/openai/v1/realtime")
"""Azure's own paths: the beta's, whose address names a deployment, and the GA's, whose address names a model."""


def address(url: str, model: str) -> str:
    """The URL to connect to: `?model=` put in unless it names a model or a deployment, Azure's https read as wss. Raises ValueError."""
    parts = urlsplit(url)
    scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme) if _path(url) in _AZURE_PATHS else parts.scheme
    named = parse_qs(parts.query)
    if "model" not in named and "deployment" not in named:
        name = "deployment" if parts.path.rstrip("/") == _AZURE_PATHS[0] else "model"
        parts = parts._replace(query="&".join(filter(None, (parts.query, urlencode({name: model})))))
    return urlunsplit(parts._replace(scheme=scheme))


def headers(url: str, key: str | None) -> Mapping[str, str]:
    """The headers that carry the key: `api-key` at Azure, a bearer token elsewhere; where only the path is Azure's, both."""
    if not key:
        return {}
    bearer, azure = {"Authorization": f"Bearer {key}"}, {"api-key": key}
    if _is_at(url, _AZURE_HOSTS):
        return azure
    return {**bearer, **azure} if _path(url) in _AZURE_PATHS else bearer


def is_openai(url: str) -> bool:
    """Is the server OpenAI's own, or Azure's of it, so that its voices and transcription models are known?"""
    return _is_at(url, (*_OPENAI_HOSTS, *_AZURE_HOSTS))


def wire_at(url: str, named: str) -> str:
    """The dialect that is spoken there: the one that was `named`, or where that is auto the one of a server known by its host (R103)."""
    return XAI if named == "auto" and _is_at(url, _XAI_HOSTS) else named


def _is_at(url: str, hosts: tuple[str, ...]) -> bool:
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return False
    return any(host == one or host.endswith("." + one) for one in hosts)


def _path(url: str) -> str:
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:
        return ""
