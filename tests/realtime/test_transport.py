"""The transport below the WebSocket: what happens on a connection before anybody is there to hear of it."""

import socket
import struct

import anyio

from adapters.realtime.transport import open_transport
from tests.shared.shell import each_backend, until


class User:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def received(self, data: bytes) -> None:
        self.told.append(data)

    def drained(self) -> None:
        return


@each_backend
async def test_a_connection_that_is_lost_before_anybody_looks_is_told_then() -> None:
    """The far side goes as soon as it has come: its user hears of it once they are there to hear."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        user = User()
        transport = await open_transport("127.0.0.1", listener.getsockname()[1], None, user)
        far, _ = listener.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        for _ in range(20):
            transport.write(b"x")
            await anyio.sleep(0.005)
        assert user.told == []
        async with transport.carried():
            await until(lambda: b"" in user.told)


async def test_what_comes_before_a_connection_is_carried_waits_for_it() -> None:
    """Some versions of asyncio read although they were told to pause."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        user = User()
        transport = await open_transport("127.0.0.1", listener.getsockname()[1], None, user)
        accepted, _ = listener.accept()
        with accepted:
            transport.get_buffer(-1)[:5] = b"early"
            transport.buffer_updated(5)
            assert user.told == []
            async with transport.carried():
                assert user.told == [b"early"]
