"""What Twilio holds of an application's sound and plays in order, 20 ms at a time, with the marks in between; no clock in here."""

from collections import deque

FRAME_MS = 20


class Buffer:
    """The playout buffer of one stream: someone takes from it every 20 ms."""

    def __init__(self) -> None:
        self.played = 0
        """Frames that were taken."""
        self.dropped = 0
        """Frames that were cleared."""
        self.most_ms = 0
        """The most that was ever held."""
        self._queue: deque[bytes | str] = deque()
        self._frames = 0
        self._playing = False

    @property
    def held_ms(self) -> int:
        """How much is held."""
        return self._frames * FRAME_MS

    def put(self, frames: list[bytes]) -> None:
        """Take sound, to be played after what is held."""
        self._queue += frames
        self._frames += len(frames)
        self.most_ms = max(self.most_ms, self.held_ms)

    def mark(self, name: str) -> list[str]:
        """Take a mark; gives it back at once when nothing is left to be played before it."""
        if not self._queue and not self._playing:
            return [name]
        self._queue.append(name)
        return []

    def clear(self) -> list[str]:
        """Drop what is held and give all its marks; the frame that is being played goes on to its end."""
        names = [one for one in self._queue if isinstance(one, str)]
        self.dropped += self._frames
        self._queue.clear()
        self._frames = 0
        self._playing = False
        return names

    def take(self) -> tuple[bytes | None, list[str]]:
        """The frame for the next 20 ms, None for silence; and the marks that were reached as the last one ended."""
        names = []
        while self._queue and isinstance(name := self._queue[0], str):
            names.append(name)
            self._queue.popleft()
        frame = self._queue.popleft() if self._queue else None
        self._playing = frame is not None
        if isinstance(frame, bytes):
            self._frames -= 1
            self.played += 1
            return frame, names
        return None, names
