"""What waits to be sent to the realtime LLM, bounded: commands first, then the caller's sound once the session is confirmed."""

from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from adapters.realtime.wire import append
from fsm.call.effects import CommitTurn, Effect

KEPT_FRAMES = 100
"""How many frames of the caller wait for the first session, or for a stalled socket: 2 s, all that a late answer can still be about."""
KEPT_TURN_FRAMES = 1_500
"""How many frames of a turn are kept for a session that takes the place of a lost one: 30 s (R85)."""
KEPT_BEFORE_TURN = 50
"""How many frames from before a turn are kept with it: 1 s, as a VAD tells late of what it heard."""
KEPT_UNANSWERED = 500
"""How many frames more are kept while the server says nothing at all: 10 s, in which a half-open socket is found out (R85)."""
KEPT_COMMANDS = 64
"""How many commands wait for a stalled socket; a call has one or two at a time."""


class Link(Protocol):
    """A connection, as far as the outbox knows one."""

    @property
    def has_room(self) -> bool:
        """Would what is sent now leave at once?"""

    def send(self, text: str) -> None:
        """Send a message without waiting."""


class Outbox:
    """The commands and the caller's frames that have not left, and the frames of the turn that is not committed yet."""

    def __init__(self, confirmed: Callable[[], bool], each: int = 1) -> None:
        """`confirmed` says whether the session may be given sound, `each` how many frames go into a message."""
        self.counts: Counter[str] = Counter()
        """Frames: `heard` = `sent` + `dropped: …` + those that wait (R57); `sent again` counts those of a lost session."""
        self.is_shut = False
        self._confirmed = confirmed
        self._each = each
        self._commands: deque[tuple[Effect | None, str]] = deque()
        self._frames: deque[bytes] = deque()
        self._again: deque[bytes] = deque()
        self._turn: deque[bytes] = deque(maxlen=KEPT_TURN_FRAMES)
        self._room = KEPT_FRAMES
        self._link: Link | None = None
        self._in_turn = False
        self._unanswered = 0

    def put(self, effect: Effect | None, text: str) -> bool:
        """Queue a command, of an effect or of the application; False when it will never leave."""
        if self.is_shut or len(self._commands) >= KEPT_COMMANDS:
            return False
        # What was said belongs to the turn: a commit overtakes no sound.
        while isinstance(effect, CommitTurn) and self._confirmed() and self._frames:
            self._commands.append((effect, self._append(self._frames, "sent")))
        self._commands.append((effect, text))
        self.pump()
        return True

    def hear(self, pcm: bytes) -> None:
        """Queue a frame of the caller, and drop the oldest where there is no room (R57)."""
        self.counts["heard"] += 1
        if self.is_shut:
            self.counts["dropped: no session"] += 1
            return
        if len(self._frames) >= self._room:
            self._frames.popleft()
            self.counts["dropped: stalled" if self._confirmed() else "dropped: before the session"] += 1
        self._frames.append(pcm)
        self.pump()

    def answered(self) -> None:
        """The server said something: it has heard what was sent up to a second ago."""
        self._unanswered = 0
        self._forget()

    def begin_turn(self) -> None:
        """The caller speaks: what is sent from now on is kept until the turn is committed."""
        self._in_turn = True

    def end_turn(self) -> bytes:
        """The turn is an item of the conversation; gives what was kept of its sound."""
        self._in_turn = False
        sound = b"".join(self._turn)
        self._turn.clear()
        return sound

    def open(self, link: Link) -> None:
        """Send over this connection from now on, until `lose` or `shut`."""
        self._link = link
        self.pump()

    def pump(self) -> None:
        """Send what waits, as far as the connection has room."""
        link = self._link
        while link is not None and link.has_room:
            if self._commands:
                link.send(self._commands.popleft()[1])
            elif self._again and self._confirmed():
                link.send(self._append(self._again, "sent again"))
            elif len(self._frames) >= self._each and self._confirmed():
                self._room = KEPT_FRAMES if len(self._frames) <= KEPT_FRAMES else self._room
                link.send(self._append(self._frames, "sent"))
            else:
                return

    def lose(self) -> list[Effect]:
        """The session is gone: return the commands that have not left.

        The turn that was cut, or what may have been the beginning of one, is sent again, with all that is said meanwhile.
        """
        unsent = [effect for effect, _ in self._commands if effect is not None]
        self._link = None
        self._commands.clear()
        self._again.extendleft(reversed(self._turn))
        self._turn.clear()
        self._room = KEPT_TURN_FRAMES
        self._in_turn = False
        self._unanswered = 0
        return unsent

    def shut(self) -> list[Effect]:
        """Take nothing more; return the commands that have not left."""
        self.is_shut = True
        self._link = None
        unsent = [effect for effect, _ in self._commands if effect is not None]
        self.counts["dropped: no session"] += len(self._frames)
        self._commands.clear()
        self._frames.clear()
        self._again.clear()
        return unsent

    def _append(self, frames: deque[bytes], counted: str) -> str:
        """The next message of sound, of the first frames."""
        taken = [frames.popleft() for _ in range(min(self._each, len(frames)))]
        self.counts[counted] += len(taken)
        self._turn.extend(taken)
        self._unanswered += len(taken)
        self._forget()
        return append(b"".join(taken))

    def _forget(self) -> None:
        """Between two turns keep only what the server may not have heard, and what may prove to be the next one's beginning."""
        while not self._in_turn and len(self._turn) > KEPT_BEFORE_TURN + min(self._unanswered, KEPT_UNANSWERED):
            self._turn.popleft()
