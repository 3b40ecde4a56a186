"""How the stand-in speech server sends sound: whole or piece by piece, to its end or cut off as a fault wants it."""

import math
from collections.abc import Callable

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adapters.standin.chatterbox.faults import Sound
from adapters.standin.chatterbox.jobs import Job, Jobs, JobState

PIECE_MS = 200
"""How much sound a streamed piece holds."""


class SoundAnswer(Response):
    """A sound as a WAV, or as bare samples without `header`, whole and with its length; with `share` below 1 the rest never comes."""

    def __init__(self, sound: Sound, *, header: bool, share: float = 1.0) -> None:
        body = (sound.header() if header else b"") + sound.pcm
        super().__init__(body, media_type="audio/wav" if header else "audio/pcm")
        self._sent = math.ceil(len(body) * share)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; the server closes a connection whose answer is not complete."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        whole = self._sent == len(self.body)
        await send({"type": "http.response.body", "body": bytes(self.body[: self._sent]), "more_body": not whole})


class StreamedAnswer(Response):
    """A sound in pieces over `lasting_s`, the header first and of open length; a client that leaves ends the job."""

    def __init__(
        self,
        sound: Sound,
        jobs: Jobs,
        job: Job,
        *,
        header: bool,
        lasting_s: float,
        share: float,
        ended: Callable[[], None],
        burst_ms: int = 0,
        pause_ms: int = 0,
    ) -> None:
        super().__init__(media_type="audio/wav" if header else "audio/pcm")
        del self.headers["content-length"]
        self._sound, self._jobs, self._job = sound, jobs, job
        self._header = sound.header(open_length=True) if header else b""
        self._lasting_s, self._share, self._ended = lasting_s, share, ended
        self._burst_ms, self._pause_ms = burst_ms, pause_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it piece by piece, each when it would have been synthesised."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch_client, receive)
            with self._job.scope:
                await self._send_pieces(send)
            group.cancel_scope.cancel()
        self._ended()

    async def _send_pieces(self, send: Send) -> None:
        pcm, size = self._sound.pcm, 2 * self._sound.channels * (self._sound.rate * PIECE_MS // 1000)
        starts = range(0, math.ceil(len(pcm) * self._share), size)
        await send({"type": "http.response.body", "body": self._header, "more_body": True})
        due = anyio.current_time()
        for number, start in enumerate(starts):
            due += self._lasting_s * size / max(size, len(pcm))
            if self._burst_ms and number * PIECE_MS // self._burst_ms > (number - 1) * PIECE_MS // self._burst_ms and number:
                due += self._pause_ms / 1000
            await anyio.sleep_until(due)
            await send({"type": "http.response.body", "body": pcm[start : start + size], "more_body": True})
        self._jobs.end(self._job, JobState.DONE)
        if self._share == 1.0:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch_client(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._jobs.end(self._job, JobState.ABANDONED)
