"""The faults of the stand-in realtime LLM: each strikes as its name says, over real sockets."""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.standin.dialogue import BluebirdCycles
from adapters.standin.ears import Transcriber
from adapters.standin.realtime.faults import REALTIME
from adapters.standin.realtime.lacks import LACKS
from adapters.standin.realtime.responses import FAILURES
from tests.shared.shell import PATIENCE_S, begin_callfsm, callfsm
from tests.shared.standin_client import SECOND, WRITTEN, Client, Json, calling, meeting, serving

ROOT = Path(__file__).parents[2]
HOURS = "When are you open?"


class Hum:
    """A voice that is there at once: a tenth of a second of a sound for each letter."""

    def speak(self, text: str, *, pace: float = 1.0) -> Iterator[bytes]:
        """The sound of a sentence."""
        yield np.full(2_400 * len(text), 1_000, "<i2").tobytes()


@pytest.fixture(scope="module")
def ears() -> Transcriber:
    """One for all servers."""
    loaded = Transcriber()
    loaded.load()
    return loaded


class House:
    """Servers with a script, and what they wrote down."""

    def __init__(self, folder: Path, ears: Transcriber) -> None:
        self._log = folder / "log.jsonl"
        self._ears = ears

    @asynccontextmanager
    async def call(self, script: str, **choices: Any) -> AsyncIterator[Client]:
        """A call with a server of this script."""
        with self.at(script, **choices) as url:
            async with calling(url) as client:
                yield client

    def at(self, script: str, **choices: Any) -> Any:
        """A server of this script; its URL."""
        return serving(voice=Hum(), transcriber=self._ears, log=self._log, faults=script, **choices)

    def lines(self) -> list[Json]:
        """The log."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def struck(self) -> list[str]:
        """The names of the faults in the log."""
        return [line["fault"]["name"] for line in self.lines() if "fault" in line]


@pytest.fixture
def house(tmp_path: Path, ears: Transcriber) -> House:
    """A place for servers."""
    return House(tmp_path, ears)


def fault(name: str, **fields: Any) -> str:
    """A fault as a script writes it."""
    return "\n".join(["[[fault]]", f'name = "{name}"', *(f"{key} = {json.dumps(value)}" for key, value in fields.items()), ""])


async def closing(client: Client) -> tuple[int | None, str]:
    """The code and the reason of the close frame that ends the connection; None when there is none."""
    with pytest.raises(ConnectionClosed) as closed:
        await client.until("nothing")
    received = closed.value.rcvd
    return (received.code, received.reason) if received else (None, "")


# Frames.


async def test_frames_that_are_no_event_come_between_the_others(house: House) -> None:
    script = "".join(
        [
            fault("malformed_json", on="response.output_text.delta", nth=2),
            fault("binary_frame", on="response.output_text.delta", nth=3, bytes=7),
            fault("unknown_type", on="response.created", type="response.telepathy.delta"),
            fault("oversized_frame", on="response.done", mib=2),
        ]
    )
    with house.at(script) as url:
        async with calling(url, max_size=None) as client:
            await client.send("response.create")
            frames: list[str | bytes] = []
            async with asyncio.timeout(PATIENCE_S):
                while not (frames and len(frames[-1]) > 2**20):
                    frames.append(await client.socket.recv())
    kinds: list[object] = []
    for frame in frames:
        try:
            kinds.append(json.loads(frame)["type"] if isinstance(frame, str) else len(frame))
        except ValueError:
            kinds.append("broken")
    deltas = [place for place, kind in enumerate(kinds) if kind == "response.output_text.delta"]
    assert kinds[1] == "response.telepathy.delta", "right after response.created"
    assert kinds[deltas[1] + 1] == "broken"
    assert kinds[deltas[2] + 1] == 7
    assert kinds[-2:] == ["response.done", "response.output_audio.delta"]
    assert 2 * 2**20 < len(frames[-1]) < 2 * 2**20 + 1_000
    assert house.struck() == ["unknown_type", "malformed_json", "binary_frame", "oversized_frame"]


async def test_events_are_lost_doubled_swapped_and_taken_from_another_response(house: House) -> None:
    script = "".join(
        [
            fault("lost", on="response.output_text.done"),
            fault("duplicate", on="response.output_item.done"),
            fault("out_of_order", on="response.created"),
            fault("foreign_id", on="response.output_text.delta", nth=2),
            fault("foreign_id", on="response.done"),
            fault("foreign_done", on="conversation.item.done", nth=2, status="failed"),
        ]
    )
    async with house.call(script) as client:
        await client.ask("Goodbye")
        created = client.events[-1]["response"]
        await client.done()
        await client.done()
    kinds = [event["type"] for event in client.events]
    assert "response.output_text.done" not in kinds
    assert kinds.index("rate_limits.updated") == kinds.index("response.created") - 1
    first, second = client.of("response.output_item.done")
    assert first == second
    foreign = [event for event in client.of("response.output_text.delta") if event["response_id"] != created["id"]]
    assert [(event["response_id"], event["item_id"]) for event in foreign] == [("resp_foreign", "item_foreign")]
    nobodys, its = (event["response"] for event in client.of("response.done"))
    assert (nobodys["id"], nobodys["status"]) == ("resp_foreign", "failed")
    assert (its["id"], its["status"]) == ("resp_foreign", "completed")


@pytest.mark.parametrize("script", [fault("delay", on="session.updated", ms=300), fault("hiccup", on="response.created", ms=300)])
async def test_late_events_come_late_and_in_order(house: House, script: str) -> None:
    async with house.call(script) as client:
        began = asyncio.get_running_loop().time()
        await client.answer("Goodbye")
        took_s = asyncio.get_running_loop().time() - began
    assert took_s >= 0.3
    assert client.kinds()[-len(WRITTEN) :] == list(WRITTEN)
    assert "".join(event["delta"] for event in client.of("response.output_text.delta")) == BluebirdCycles.GOODBYE


async def test_a_server_error_names_the_event_that_it_is_about_which_is_not_carried_out(house: House) -> None:
    script = fault("server_error", on="response.create") + fault("server_error", on="session.updated", code="oops")
    async with house.call(script) as client:
        before = await client.error()
        await client.send("response.create", event_id="mine")
        error = await client.error()
        await client.barrier()
        assert not client.of("response.created")
        await client.send("response.create")
        await client.done()
    assert (before["type"], before["code"], before["event_id"]) == ("server_error", "oops", None)
    assert (error["type"], error["code"], error["event_id"]) == ("server_error", "server_error", "mine")


async def test_rate_limits_are_told_without_harm(house: House) -> None:
    async with house.call(fault("rate_limits", on="response.done", limit="requests", remaining=3, reset_s=1.5)) as client:
        await client.answer("Goodbye")
        told = (await client.until("rate_limits.updated"))["rate_limits"]
    assert [(one["name"], one["remaining"], one["reset_seconds"]) for one in told] == [("requests", 3, 1.5), ("tokens", 15_000_000, 0.0)]


# Connections.


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011])
async def test_a_connection_ends_with_the_code_of_the_script_and_the_next_one_is_healthy(house: House, code: int) -> None:
    with house.at(fault("close", code=code, on="response.output_text.delta", nth=3)) as url:
        async with calling(url) as client:
            await client.send("response.create")
            assert (await closing(client))[0] == (None if code == 1006 else code)
            assert len(client.of("response.output_text.delta")) == 3
        async with calling(url) as client:
            await client.send("response.create")
            await client.done()
            await client.barrier()
    assert house.struck() == ["close"]
    closed = [line["closed"]["code"] for line in house.lines() if "closed" in line]
    assert closed == [None if code == 1006 else code, 1000], "what the client answered, and how it left by itself"
    assert {line["connection"] for line in house.lines() if "event" in line} == {1, 2}


async def test_an_abrupt_end_is_a_reset(house: House) -> None:
    with house.at(fault("close", code=1006, at_s=0.05)) as url:
        async with connect(url) as socket:
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await socket.recv()
    assert isinstance(closed.value.__cause__, ConnectionResetError)


async def test_a_half_open_connection_neither_sends_nor_reads_nor_answers_a_ping(house: House) -> None:
    with house.at(fault("half_open", on="response.output_text.delta", nth=2)) as url:
        async with connect(url, ping_interval=None, close_timeout=0.1) as socket:
            client = Client(socket)
            await client.until("session.created")
            await client.update(output_modalities=["text"])
            await client.send("response.create")
            await client.until("response.output_text.delta")
            await client.until("response.output_text.delta")
            await client.send("response.cancel")
            pong = await socket.ping()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await socket.recv()
            assert not pong.done()
        async with calling(url) as client:
            await client.barrier()
    assert "response.cancel" not in [line["event"]["type"] for line in house.lines() if "event" in line]


async def test_an_expired_session_says_so_and_is_closed_as_going_away(house: House) -> None:
    words = "Your session hit the maximum duration of 60 minutes."
    async with house.call(fault("session_expired", on="response.created")) as client:
        await client.send("response.create")
        error = await client.error()
        assert await closing(client) == (1001, words)
    assert (error["type"], error["code"], error["message"]) == ("invalid_request_error", "session_expired", words)


async def test_the_limit_of_a_session_is_a_setting_and_holds_for_each_connection(house: House) -> None:
    with house.at("session_limit_s = 0.2") as url:
        for _ in range(2):
            async with meeting(url) as client:
                assert (await client.error())["code"] == "session_expired"
                assert await closing(client) == (1001, "Your session hit the maximum duration of 0.2 seconds.")


async def test_connections_are_refused_by_http_as_often_as_the_script_says(house: House) -> None:
    script = fault("refuse_connection", status=429, times=2)
    script += fault("refuse_connection", connection=3, on="session.created")
    with house.at(script) as url:
        for status in (429, 429, None, 503, None):
            if status:
                with pytest.raises(InvalidStatus) as refused:
                    async with connect(url):
                        pass
                assert refused.value.response.status_code == status
            else:
                async with connect(url) as socket:
                    await Client(socket).until("session.created")
    assert [(line["connection"], line["fault"]["name"]) for line in house.lines() if line["session"] is None] == [
        (1, "refuse_connection"),
        (4, "refuse_connection"),
    ]


async def test_a_crash_takes_the_process_and_leaves_the_log(tmp_path: Path) -> None:
    script, log = tmp_path / "crash.toml", tmp_path / "log.jsonl"
    script.write_text(fault("crash", on="response.create"))
    process = begin_callfsm("stand-in", "realtime", "--faults", script, "--log", log)
    try:
        ready = await asyncio.to_thread(process.stdout.readline)
        async with calling(ready.removeprefix("ready ").strip()) as client:
            await client.send("response.create")
            assert (await closing(client))[0] is None
        await asyncio.to_thread(process.wait, PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"]["type"] if "event" in line else line["fault"]["name"] for line in lines] == [
        "session.update",
        "response.create",
        "crash",
    ]


# Sessions.


async def test_an_update_is_refused_or_never_answered(house: House) -> None:
    with house.at(fault("refuse_session") + fault("session_never_updated", connection=2)) as url:
        async with meeting(url) as client:
            await client.send("session.update", session={"type": "realtime"}, event_id="mine")
            error = await client.error()
            assert (error["code"], error["event_id"], error["param"]) == ("invalid_value", "mine", "session")
            await client.update(instructions="Be kind.")
        async with meeting(url) as client:
            await client.send("session.update", session={"type": "realtime", "instructions": "Be quick."})
            await client.barrier()
            assert not client.of("session.updated")
            settings = await client.update()
            assert settings["instructions"] != "Be quick.", "it was not carried out"


async def test_speech_is_told_twice_and_its_words_never(house: House, question: bytes) -> None:
    script = fault("duplicate_speech_started", times=2) + fault("no_transcript", told=True) + fault("no_transcript", nth=2)
    async with house.call(script) as client:
        await client.update(audio={"input": {"transcription": {"model": "m"}}})
        await client.hear(SECOND, question, SECOND)
        failed = await client.until("conversation.item.input_audio_transcription.failed")
        for _ in range(2):
            # an answer comes after its turn was transcribed, so that the turns are counted in their order
            await client.done()
            await client.hear(question, SECOND)
        told = await client.until("conversation.item.input_audio_transcription.completed")
    turns = [event["item_id"] for event in client.of("input_audio_buffer.committed")]
    assert [event["item_id"] for event in client.of("input_audio_buffer.speech_started")] == [turns[0]] * 3 + turns[1:]
    assert len({event["event_id"] for event in client.of("input_audio_buffer.speech_started")}) == 5
    assert [failed["item_id"], told["item_id"]] == [turns[0], turns[2]]
    assert failed["error"]["code"] == "audio_unintelligible"
    assert len(client.of("conversation.item.input_audio_transcription.failed")) == 1


async def test_the_callers_words_come_late_and_the_answer_does_not_wait(house: House, question: bytes) -> None:
    async with house.call(fault("late_transcript", ms=1_500)) as client:
        await client.update(audio={"input": {"transcription": {"model": "m"}}})
        await client.hear(SECOND, question, SECOND)
        told = await client.until("conversation.item.input_audio_transcription.completed")
    assert "opening hours" in told["transcript"]
    assert "response.done" in client.kinds()


# Responses.


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded", "insufficient_quota", "of_another_kind"])
async def test_a_response_fails_with_the_code_of_the_script_and_the_next_one_succeeds(house: House, code: str) -> None:
    async with house.call(fault("failed_response", code=code)) as client:
        failed = await client.answer(HOURS)
        done = await client.answer("Goodbye")
    error = failed["status_details"]["error"]
    assert (failed["status"], failed["output"], error["code"]) == ("failed", [], code)
    assert error["type"] == FAILURES.get(code, FAILURES["server_error"])[0]
    assert done["status"] == "completed"


async def test_a_response_fails_or_stops_in_its_middle(house: House) -> None:
    script = fault("failed_response", on="response.output_text.delta", nth=4)
    script += fault("incomplete_response", nth=3, reason="max_output_tokens")
    script += fault("incomplete_response", on="response.output_text.delta", nth=7)
    async with house.call(script) as client:
        ends = []
        for _ in range(3):
            await client.ask(HOURS)
            ends.append(await client.done())
    assert [(end["status"], end["status_details"].get("reason")) for end in ends] == [
        ("failed", None),
        ("incomplete", "content_filter"),
        ("incomplete", "max_output_tokens"),
    ]
    assert ends[0]["output"][0]["content"][0]["text"] == "We are open from"
    assert ends[1]["output"][0]["content"][0]["text"] == "We are open"
    assert [end["output"][0]["status"] for end in ends[:2]] == ["incomplete", "incomplete"]


async def test_a_silent_response_has_words_and_no_sound(house: House) -> None:
    async with house.call(fault("silent_response")) as client:
        first = await client.ask("Goodbye", output_modalities=["audio"])
        done = await client.done()
        assert client.of("response.output_audio_transcript.delta") and not client.of("response.output_audio.delta")
        await client.ask("Goodbye", output_modalities=["audio"])
        await client.until("response.output_audio.delta")
    assert (done["id"], done["status"]) == (first["id"], "completed")


async def test_a_response_comes_in_text_where_sound_is_due_and_one_in_several_items(house: House) -> None:
    async with house.call(fault("text_response") + fault("two_items", nth=1)) as client:
        await client.answer("Goodbye", output_modalities=["audio"])
        assert client.of("response.output_text.delta") and not client.of("response.output_audio.delta")
        done = await client.answer(HOURS, output_modalities=["audio"])
    assert len(done["output"]) > 1
    assert {item["status"] for item in done["output"]} == {"completed"}
    assert len({event["item_id"] for event in client.of("response.output_audio.delta")}) == len(done["output"])


async def test_a_failure_states_its_wait_and_errors_come_in_floods(house: House) -> None:
    script = fault("failed_response", code="rate_limit_exceeded", wait_s=1.5) + fault("error_flood", on="response.done", times=7)
    async with house.call(script) as client:
        done = await client.answer(HOURS)
        for _ in range(7):
            assert (await client.error())["code"] is None
    assert done["status_details"]["error"]["message"].endswith("Please try again in 1.5s.")


async def test_an_empty_response_completes_and_a_stalled_one_lasts_until_it_is_cancelled(house: House) -> None:
    async with house.call(fault("empty_response") + fault("stalled_response", nth=2, words=2)) as client:
        empty = await client.answer("Goodbye")
        await client.ask("Goodbye")
        await client.until("response.output_text.delta")
        await client.until("response.output_text.delta")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.done()
        await client.send("response.cancel")
        stalled = await client.done()
    assert (empty["status"], empty["output"]) == ("completed", [])
    assert (stalled["status"], stalled["output"][0]["content"][0]["text"]) == ("cancelled", "Thank you")


async def test_a_response_is_never_created_or_so_late_that_a_cancel_finds_nothing(house: House) -> None:
    async with house.call(fault("response_never_created") + fault("slow_created", nth=2, ms=300)) as client:
        await client.send("response.create")
        await client.barrier()
        assert not client.of("response.created")
        began = asyncio.get_running_loop().time()
        await client.send("response.create", event_id="slow")
        await client.send("response.cancel", event_id="early")
        early = await client.error()
        await client.until("response.created")
        took_s = asyncio.get_running_loop().time() - began
        done = await client.done()
    assert (early["code"], early["event_id"]) == ("response_cancel_not_active", "early")
    assert took_s >= 0.3
    assert done["status"] == "completed"


async def test_two_wishes_during_a_slow_creation_give_one_response_and_one_refusal(house: House) -> None:
    async with house.call(fault("slow_created", ms=100)) as client:
        await client.send("response.create", event_id="first")
        await client.send("response.create", event_id="second")
        refused = await client.error()
        await client.done()
    assert (refused["code"], refused["event_id"]) == ("conversation_already_has_active_response", "first")
    assert len(client.of("response.created")) == 1


# Cancels.


async def test_a_slow_cancel_ends_late_and_the_response_counts_until_then(house: House) -> None:
    async with house.call(fault("slow_cancel", ms=300)) as client:
        await client.ask(HOURS)
        await client.until("response.output_text.delta")
        began = asyncio.get_running_loop().time()
        for event_id, kind in (("first", "response.cancel"), ("second", "response.cancel"), ("next", "response.create")):
            await client.send(kind, event_id=event_id)
        refused = [await client.error(), await client.error()]
        said = len(client.of("response.output_text.delta"))
        done = await client.done()
        took_s = asyncio.get_running_loop().time() - began
    assert [(one["code"], one["event_id"]) for one in refused] == [
        ("response_cancel_not_active", "second"),
        ("conversation_already_has_active_response", "next"),
    ]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert took_s >= 0.3 and len(client.of("response.output_text.delta")) == said


@pytest.mark.parametrize(("modality", "delta"), [("text", "response.output_text.delta"), ("audio", "response.output_audio.delta")])
@pytest.mark.parametrize("after_done", [False, True])
async def test_stragglers_follow_a_cancel(house: House, modality: str, delta: str, after_done: bool) -> None:
    async with house.call(fault("stragglers", count=3, after_done=after_done)) as client:
        created = await client.ask(HOURS, output_modalities=[modality])
        await client.until(delta)
        await client.send("response.cancel")
        await client.barrier()
    kinds = [event["type"] for event in client.events]
    done = kinds.index("response.done")
    stray = client.events[done + 1 :] if after_done else client.events[:done]
    strays = [event for event in stray if event["type"] == delta][-3:]
    assert {(event["response_id"], event["item_id"]) for event in strays} == {(created["id"], client.of(delta)[0]["item_id"])}
    if modality == "text":
        assert [event["delta"] for event in strays] == [" straggler"] * 3
    else:
        assert {len(base64.b64decode(event["delta"])) for event in strays} == {9_600}, "a tone of 200 ms"
    assert kinds[done + 1 : done + 4] == ([delta] * 3 if after_done else ["error"])


async def test_a_cancel_that_comes_as_the_response_completes_is_refused(house: House) -> None:
    async with house.call(fault("cancel_races_done")) as client:
        created = await client.ask(HOURS)
        await client.until("response.output_text.delta")
        await client.send("response.cancel", response_id=created["id"], event_id="late")
        done = await client.done()
        refused = await client.error()
    assert done["status"] == "completed"
    assert (refused["code"], refused["event_id"]) == ("response_cancel_not_active", "late")


async def test_speech_meets_a_slow_cancel_with_stragglers_too(house: House, question: bytes) -> None:
    async with house.call(fault("slow_cancel", ms=200) + fault("stragglers", count=2)) as client:
        await client.ask(HOURS, output_modalities=["audio"])
        await client.until("response.output_audio.delta")
        await client.hear(question)
        done = await client.done()
    kinds = [event["type"] for event in client.events]
    started = kinds.index("input_audio_buffer.speech_started")
    assert kinds[started + 1 :].count("response.output_audio.delta") == 2
    assert done["status_details"]["reason"] == "turn_detected"


# The command and the lacks.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--faults", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--faults", "FILE"], 'fault 1: name = "closed": no fault of the realtime stand-in'),
        (["--without", "everything"], "--without everything: it takes one of transcription, truncate,"),
    ],
)
def test_a_bad_script_or_name_is_one_line_and_exit_code_2(tmp_path: Path, options: list[str], says: str) -> None:
    (tmp_path / "FILE").write_text('[[fault]]\nname = "closed"\n')
    arguments = [str(tmp_path / option) if option == "FILE" else option for option in options]
    told = callfsm("stand-in", "realtime", *arguments)
    assert (told.returncode, told.stdout, told.stderr.count("\n")) == (2, "", 1)
    assert says in told.stderr


def test_the_command_lists_the_faults_and_the_lacks() -> None:
    for option, names in (("--faults", REALTIME.kinds), ("--without", LACKS)):
        told = callfsm("stand-in", "realtime", option, "help")
        assert [line.split(" ")[0].rstrip(":") for line in told.stdout.splitlines()][-len(names) :] == list(names)


def test_every_fault_of_the_repertoire_is_tried_here() -> None:
    source = Path(__file__).read_text()
    assert not [name for name in REALTIME.kinds if f'fault("{name}"' not in source]
