"""Claims about sound devices that need none: what is told without the library, and how a thread of the library wakes the loop."""

import os
from pathlib import Path

import anyio

from adapters.audio.wake import Wake
from tests.shared.shell import PATIENCE_S, ROOT, callfsm, each_backend


def test_a_machine_without_the_library_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    done = callfsm("devices", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 2
    assert done.stderr.startswith("callfsm: sound devices need the library PortAudio: apt install libportaudio2")


@each_backend
async def test_a_thread_wakes_the_loop_and_rings_are_not_lost() -> None:
    with anyio.fail_after(PATIENCE_S), Wake() as wake:
        wake.ring()
        wake.ring()
        await wake.wait()
        with anyio.move_on_after(0.05) as patience:
            await wake.wait()
        assert patience.cancelled_caught, "two rings while nobody waited are one"
        async with anyio.create_task_group() as group:
            group.start_soon(wake.wait)
            await anyio.to_thread.run_sync(wake.ring)
    wake.ring()
