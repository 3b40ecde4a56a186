"""The Chatterbox port: has sentences synthesised by a server over HTTP and hands their sound to the speaker; decides nothing.

The contract: POST /v1/tts {"session_id", "text"} answers a whole WAV, or 204 when it was cancelled; POST
/cancel/<session_id> answers {"cancelled": bool, "state"?: str}. A server without /cancel serves too: a cancel is local first.
"""

# mypy: disable-error-code="import-untyped"

import json
import struct
from collections import OrderedDict, deque
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import quote

import anyio
import anyio.to_thread
import attrs
import httpx
import numpy as np
import numpy.typing as npt
import soxr
from anyio.abc import TaskGroup

from adapters.ports import RATE_HZ, Post, Speaker
from fsm.call.effects import CancelSynthesis, Effect, Synthesise
from fsm.call.events import SentenceSynthesised, SynthesisCancelAnswered, SynthesisDiscarded, SynthesisFailed

RETRIES = 2
"""How often a connection that is refused is tried again: httpx waits 0 and then 0.5 s, within the request's timeout."""
IDLE_S = 2.0
"""How long an unused connection is kept: less than the 5 s of uvicorn, which would close it just as we write."""
MAX_CONNECTIONS = 8
"""One sentence plays while the next is synthesised; the rest are cancelled ones that a server without /cancel still works on."""
MAX_AUDIO_S = 120
"""Longer than any sentence: a server that sends more is at fault."""
MAX_BODY_BYTES = MAX_AUDIO_S * 48_000 * 2 * 4 + 65_536
"""The most that a sane WAV can hold: stereo, 48 kHz, 32 bits, and its header."""
MAX_REMEMBERED = 64
"""How many cancelled ids are remembered beyond those in synthesis (R07)."""
MAX_EARLY = 256
"""How many effects may wait for `run` to begin (R07); a call asks for one or two."""


class Progress(StrEnum):
    """Where a session stands on our side, until its one event is posted; then it is forgotten."""

    WAITING = "waiting"
    POSTED = "posted"
    WITHDRAWN = "withdrawn"
    """Cancelled before its POST, which is then never sent."""
    ABANDONED = "abandoned"
    """Cancelled after its POST: whatever still comes of it is dropped (R66)."""


class Chatterbox:
    """A port (`adapters.ports.Port`) for one call and one Chatterbox server.

    `url` is the server's root; `timeout_s` bounds a synthesis, retries included, and `cancel_timeout_s` a cancel; `fields`
    go into each POST's JSON beside text and session_id (a voice, a temperature). A bad url raises ValueError in one line.
    """

    performs: tuple[type[Effect], ...] = (Synthesise, CancelSynthesis)

    def __init__(
        self,
        *,
        url: str,
        speaker: Speaker,
        timeout_s: float = 15.0,
        cancel_timeout_s: float = 2.0,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """Prepare; nothing is opened before `run`."""
        self._url = _root_of(url)
        self._speaker = speaker
        self._timeout_s = timeout_s
        self._cancel_timeout_s = cancel_timeout_s
        self._fields = dict(fields or {})
        self._progress: dict[str, Progress] = {}
        self._cancelled: OrderedDict[str, Progress] = OrderedDict()
        self._early: deque[Effect] = deque(maxlen=MAX_EARLY)
        self._work: _Work | None = None

    async def run(self, post: Post) -> None:
        """Own the connections, those for cancels apart, until cancelled; effects that came early begin now."""
        async with _client(self._url) as synthesis, _client(self._url) as cancels, anyio.create_task_group() as group:
            self._work = _Work(group, post, synthesis, cancels)
            try:
                while self._early:
                    self._begin(self._work, self._early.popleft())
                await anyio.sleep_forever()
            finally:
                self._work = None

    def do(self, effect: Effect) -> None:
        """Begin an effect; a cancelled session is silent from this moment on. ValueError for an id that is in synthesis already."""
        if isinstance(effect, Synthesise):
            if effect.session_id in self._progress:
                raise ValueError(f"session {effect.session_id} is in synthesis already: an id names one sentence")
            known = effect.session_id in self._cancelled
            self._progress[effect.session_id] = Progress.WITHDRAWN if known else Progress.WAITING
        elif isinstance(effect, CancelSynthesis):
            self._silence(effect.session_id)
        if self._work:
            self._begin(self._work, effect)
        else:
            self._early.append(effect)

    def _silence(self, session_id: str) -> None:
        """From now on nothing of the session may reach the speaker."""
        before = self._progress.get(session_id) or self._cancelled.get(session_id, Progress.ABANDONED)
        now = Progress.WITHDRAWN if before in (Progress.WAITING, Progress.WITHDRAWN) else Progress.ABANDONED
        if session_id in self._progress:
            self._progress[session_id] = now
        self._cancelled[session_id] = now
        if len(self._cancelled) > MAX_REMEMBERED:
            self._cancelled.popitem(last=False)

    def _begin(self, work: "_Work", effect: Effect) -> None:
        if isinstance(effect, Synthesise):
            work.group.start_soon(self._synthesise, work, effect)
        elif isinstance(effect, CancelSynthesis):
            work.group.start_soon(self._cancel, work, effect.session_id)

    async def _synthesise(self, work: "_Work", effect: Synthesise) -> None:
        """From the POST to the one event that ends it; between the last look at the progress and `play` nothing is awaited."""
        session_id, pcm, fault = effect.session_id, None, ""
        if self._progress[session_id] is Progress.WAITING:
            self._progress[session_id] = Progress.POSTED
            try:
                pcm = await self._sound_of(work.synthesis, effect)
            except _Fault as error:
                fault = str(error)
        progress = self._progress.pop(session_id)
        if fault:
            work.post(SynthesisFailed, session_id, fault)
        elif pcm is None or progress is not Progress.POSTED:
            work.post(SynthesisDiscarded, session_id)
        else:
            work.post(SentenceSynthesised, session_id, len(pcm) / 2 * 1000 / RATE_HZ)
            self._speaker.play(effect.response_id, pcm, sentence=session_id)

    async def _sound_of(self, client: httpx.AsyncClient, effect: Synthesise) -> bytes | None:
        """The server's answer as PCM, None after a 204; _Fault says in a line what went wrong."""
        # half of a surrogate pair, as a model may send it, has no bytes in UTF-8
        text = effect.text.encode(errors="replace").decode()
        wanted = {**self._fields, "session_id": effect.session_id, "text": text}
        status, body = await _ask(client, "POST", "/v1/tts", self._timeout_s, wanted)
        if status == 204:
            return None
        if status != 200:
            raise _Fault(f"the server answered {status}{_detail_of(body)}")
        try:
            return await anyio.to_thread.run_sync(wav_to_pcm, body)
        except ValueError as error:
            raise _Fault(str(error)) from error

    async def _cancel(self, work: "_Work", session_id: str) -> None:
        """POST /cancel/<session_id>, unless its POST never left, and tell what became of it."""
        if self._cancelled.get(session_id) is Progress.WITHDRAWN:
            work.post(SynthesisCancelAnswered, session_id, "acknowledged")
            return
        try:
            status, body = await _ask(work.cancels, "POST", f"/cancel/{quote(session_id, safe='')}", self._cancel_timeout_s)
        except _Fault:
            work.post(SynthesisCancelAnswered, session_id, "failed")
            return
        outcome = _outcome_of(status, body, awaited=session_id in self._progress)
        work.post(SynthesisCancelAnswered, session_id, outcome)


async def check(url: str, *, timeout_s: float = 3.0) -> None:
    """Is a server there? ValueError when the url is none, ConnectionError when nobody answers or the server is ill; one line each."""
    root = _root_of(url)
    where = f"{root.scheme}://{root.netloc.decode()}"
    async with _client(root) as client:
        try:
            status, _ = await _ask(client, "GET", "/health", timeout_s)
        except _Fault as error:
            raise ConnectionError(f"no Chatterbox server at {where}: {error}; start it or correct the url") from error
    if status >= 500:
        raise ConnectionError(f"the Chatterbox server at {where} answered {status}: look at its log")


def wav_to_pcm(body: bytes) -> bytes:
    """A WAV file as 24 kHz mono s16le PCM; ValueError in one line when it is damaged, empty or longer than 120 s.

    Takes one or two channels of 16-bit integers or 32-bit floats at 4 to 384 kHz; a header that leaves the length open,
    as streaming servers write it, means the rest of the file.
    """
    chunks = _chunks_of(body)
    header, data = chunks.get(b"fmt ", b""), chunks.get(b"data")
    if len(header) < 16 or data is None:
        raise ValueError("the WAV is damaged: it has no format or no sound in it")
    kind, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", header)
    if kind == 0xFFFE and len(header) >= 26:
        kind = struct.unpack_from("<H", header, 24)[0]
    if (kind, bits) not in {(1, 16), (3, 32)} or channels not in (1, 2) or not 4_000 <= rate <= 384_000:
        raise ValueError(f"the WAV is of kind {kind} with {channels} channels, {bits} bits, {rate} Hz: send 16-bit PCM, mono or stereo")
    if block != channels * bits // 8 or len(data) % block:
        raise ValueError("the WAV is damaged: its samples are not whole")
    if not data:
        raise ValueError("the WAV holds no sound")
    if len(data) // block > MAX_AUDIO_S * rate:
        raise ValueError(f"the WAV lasts {len(data) // block / rate:.0f} s: at most {MAX_AUDIO_S} s are taken")
    samples = np.frombuffer(data, "<i2") if kind == 1 else np.clip(np.nan_to_num(np.frombuffer(data, "<f4")), -1.0, 1.0) * 32_767
    mono = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
    resampled: npt.NDArray[np.int16] = mono if rate == RATE_HZ else soxr.resample(mono, rate, RATE_HZ)
    return resampled.astype("<i2").tobytes()


@attrs.frozen
class _Work:
    """What exists while the port runs."""

    group: TaskGroup
    post: Post
    synthesis: httpx.AsyncClient
    cancels: httpx.AsyncClient


class _Fault(Exception):
    """A request that came to nothing; its text is one line."""


async def _ask(
    client: httpx.AsyncClient, method: str, path: str, timeout_s: float, fields: Mapping[str, object] | None = None
) -> tuple[int, bytes]:
    """One request: the status, and a body of bounded size; _Fault when there is no whole answer in time."""
    body = bytearray()
    try:
        with anyio.fail_after(timeout_s):
            async with client.stream(method, path, json=fields) as response:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        raise _Fault(f"the answer is larger than {MAX_BODY_BYTES} bytes")
                return response.status_code, bytes(body)
    except TimeoutError:
        raise _Fault(f"no answer within {timeout_s:g} s") from None
    except httpx.ConnectError:
        raise _Fault("the connection was refused") from None
    except httpx.HTTPError as error:
        raise _Fault(f"the connection failed ({type(error).__name__})") from error


def _client(root: httpx.URL) -> httpx.AsyncClient:
    """A client with connections of its own; our timeouts are of whole requests, so it has none, but for connecting."""
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=IDLE_S)
    # reading the certificates of all authorities takes 50 ms of the loop, and plain http never looks at them
    transport = httpx.AsyncHTTPTransport(verify=root.scheme == "https", retries=RETRIES, limits=limits)
    return httpx.AsyncClient(base_url=root, transport=transport, timeout=httpx.Timeout(None, connect=3.0))


def _root_of(url: str) -> httpx.URL:
    """A checked url; ValueError in one line."""
    try:
        root = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no url of a Chatterbox server ({error}): it looks like http://127.0.0.1:8772") from error
    if root.scheme not in ("http", "https") or not root.host or root.query or root.fragment:
        raise ValueError(f"{url!r} is no url of a Chatterbox server: it looks like http://127.0.0.1:8772")
    return root


def _outcome_of(status: int, body: bytes, *, awaited: bool) -> str:
    """What a cancel's answer means. An id `unknown` to the server whose answer we await was overtaken: its POST will meet the cancel."""
    if status in (404, 405):
        return "unsupported"
    if not 200 <= status < 300:
        return "failed"
    answer = _object_in(body)
    if answer.get("cancelled") is not False or (awaited and answer.get("state") == "unknown"):
        return "acknowledged"
    return "too late"


def _detail_of(body: bytes) -> str:
    """The server's own words when they are a plain string (a validation error may quote what was to be said)."""
    detail = _object_in(body).get("detail")
    return ": " + " ".join(detail.split())[:120] if isinstance(detail, str) else ""


def _object_in(body: bytes) -> dict[str, object]:
    """The JSON object in a body; empty when there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _chunks_of(body: bytes) -> dict[bytes, bytes]:
    """The chunks of a RIFF WAVE file by their names; ValueError when it is none, or stops short."""
    if body[:4] != b"RIFF" or body[8:12] != b"WAVE":
        raise ValueError("the answer is no WAV")
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(body) and b"data" not in chunks:
        name, size = body[at : at + 4], struct.unpack_from("<I", body, at + 4)[0]
        at += 8
        open_ended = name == b"data" and size >= 0x7FFFF000
        if at + size > len(body) and not open_ended:
            raise ValueError(f"the WAV is cut off: {size} bytes are declared and {len(body) - at} came")
        chunks[name] = body[at:] if open_ended else body[at : at + size]
        at += size + size % 2
    return chunks
