"""`openai-agents` holds a call: RealtimeRunner and RealtimeSession with a function tool, interrupted by voice and by `interrupt()`.

Its session validates every event by the strict types of `openai`; we judge the same events by `wire` besides.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents==0.24.0"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = ["realtime"]
# says = ["What are your opening hours?", "Sorry, how much is a puncture repair?"]
# ///

import asyncio
from typing import Any

from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner
from kit import Checks, Complaints, Inbox, Microphone, loudness, ms_of, oracle, soon
from wire import Wire

SETTINGS = {
    "model_name": "gpt-realtime",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": "pcm16",
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
        },
        "output": {"format": "pcm16", "voice": "ash"},
    },
}


class _Call:
    """What the session told: its own events and the server's, and the tool's use."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.inbox = Inbox()
        self.wire = Wire()
        self.jobs: list[str] = []

    async def read(self) -> None:
        """Keep the session's events; judge those that it had from the server."""
        async for event in self.session:
            if event.type == "raw_model_event" and event.data.type == "raw_server_event":
                self.wire.judge(event.data.data)
            self.inbox.put(event)

    async def until(self, kind: str) -> Any:
        """The next session event of this kind."""
        return await self.inbox.until(lambda event: event.type == kind, kind)

    async def until_server(self, kind: str) -> Any:
        """The next server event of this kind, as a dict."""
        return (await self.inbox.until(lambda event: _raw(event).get("type") == kind, kind)).data.data

    def audio_of(self, item_id: str) -> list[bytes]:
        """The sound that the session gave for an item."""
        return [event.audio.data for event in self.inbox.all if event.type == "audio" and event.item_id == item_id]

    def transcript_of(self, item_id: str) -> str | None:
        """The transcript of a message in the latest history."""
        history = [event.history for event in self.inbox.all if event.type == "history_updated"][-1]
        item = next((one for one in history if one.item_id == item_id), None)
        return " ".join(getattr(part, "transcript", None) or "" for part in item.content).strip() if item else None


async def hold(check: Checks, urls: list[str], lines: list[bytes]) -> None:
    """Hold the call."""
    set_tracing_disabled(True)
    complaints = Complaints("openai.agents", "agents")
    jobs: list[str] = []

    @function_tool
    def repair_price(job: str) -> str:
        """The price of a repair."""
        jobs.append(job)
        return "twelve pounds"

    agent = RealtimeAgent(name="Receptionist", instructions="You work in a bicycle shop.", tools=[repair_price])
    runner = RealtimeRunner(agent, config={"model_settings": SETTINGS})
    async with await runner.run(model_config={"url": f"{urls[0]}?model=gpt-realtime", "api_key": "none"}) as session:
        call = _Call(session)
        call.jobs = jobs
        reading = asyncio.create_task(call.read())
        updated = (await call.until_server("session.updated"))["session"]
        check("the session has the agent's tool and voice", _asked(updated) == (["repair_price"], "ash"), updated)
        async with Microphone(session.send_audio) as microphone:
            microphone.say(lines[0])
            first = await _answered(check, call)
            microphone.say(lines[1])
            await _interrupted_by_voice(check, call, first)
            second = await _answered_with_a_tool(check, call, first)
            await _interrupted_by_hand(check, call, second)
        await _written(check, call)
    await reading
    await _in_text(check, urls[0])
    faults = [event.error for event in call.inbox.all if event.type == "error"]
    check("the session told of no error", not faults, faults)
    call.wire.tell(check)
    check("the package logged no complaint", not complaints.lines, complaints.lines)


async def _in_text(check: Checks, url: str) -> None:
    """A session of its own, in text."""
    runner = RealtimeRunner(RealtimeAgent(name="Receptionist"), config={"model_settings": {**SETTINGS, "output_modalities": ["text"]}})
    async with await runner.run(model_config={"url": f"{url}?model=gpt-realtime", "api_key": "none"}) as session:
        call = _Call(session)
        reading = asyncio.create_task(call.read())
        await call.until_server("session.updated")
        await session.send_message("When are you open?")
        await call.until("agent_end")
    await reading
    deltas = [event.data.delta for event in call.inbox.all if event.type == "raw_model_event" and event.data.type == "output_text_delta"]
    check("a session in text is answered in text", "We are open" in "".join(deltas), deltas)
    call.wire.tell(check)


def _raw(event: Any) -> dict[str, Any]:
    """The server's event inside one of the session's, if there is one."""
    inside = event.data if event.type == "raw_model_event" else None
    return inside.data if inside is not None and inside.type == "raw_server_event" else {}


def _asked(session: dict[str, Any]) -> tuple[list[str], str]:
    return [tool["name"] for tool in session["tools"]], session["audio"]["output"]["voice"]


async def _answered(check: Checks, call: _Call) -> str:
    """The caller asks, and hears the answer; the id of its item."""
    committed = await call.until_server("input_audio_buffer.committed")
    audio = await call.until("audio")
    sound = audio.audio.data
    check("the answer is heard: real sound", ms_of([sound]) >= 100 and loudness(sound) > 30, len(sound))
    await soon(lambda: call.transcript_of(committed["item_id"]), "the transcript of the question")
    transcript = call.transcript_of(committed["item_id"])
    check("the history has what the caller said", "opening hours" in str(transcript), transcript)
    return str(audio.item_id)


async def _interrupted_by_voice(check: Checks, call: _Call, first: str) -> None:
    """The caller speaks into the answer: it is interrupted, truncated and retrieved."""
    interrupted = await call.until("audio_interrupted")
    heard_ms = ms_of(call.audio_of(first))
    check("the interruption is of the item that is heard", interrupted.item_id == first, interrupted.item_id)
    truncated = await call.until_server("conversation.item.truncated")
    check(
        "that item is truncated to what was played", truncated["item_id"] == first and 0 < truncated["audio_end_ms"] <= heard_ms, truncated
    )
    retrieved = await call.until_server("conversation.item.retrieved")
    check("it is retrieved without its transcript", _content(retrieved, first) == [""], retrieved["item"])
    ends = [(end["status"], end["status_details"]["reason"]) for end in call.wire.ends if end["output"][0]["id"] == first]
    check("its response was cancelled, once, for the turn detected", ends == [("cancelled", "turn_detected")], ends)


async def _answered_with_a_tool(check: Checks, call: _Call, first: str) -> str:
    """The interrupting question needs the tool: it is run, and the answer uses it; the id of the answer's item."""
    started, ended = await call.until("tool_start"), await call.until("tool_end")
    check("the tool is called with arguments that it accepts", len(call.jobs) == 1 and started.tool.name == "repair_price", call.jobs)
    check("it gives its output", ended.output == "twelve pounds", ended.output)
    audio = await call.until("audio")
    interrupted = next(event for event in call.inbox.all if event.type == "audio_interrupted")
    check("no old sound came after the interruption", not [one for one in _after(call, interrupted) if _is_audio(one, first)], first)
    await soon(lambda: "pounds" in (call.transcript_of(audio.item_id) or ""), "the price in the answer")
    check("the answer uses it", "twelve pounds" in str(call.transcript_of(audio.item_id)), call.transcript_of(audio.item_id))
    return str(audio.item_id)


async def _interrupted_by_hand(check: Checks, call: _Call, second: str) -> None:
    """`interrupt()` truncates what is playing."""
    await call.session.interrupt()
    interrupted = await call.until("audio_interrupted")
    truncated = await call.until_server("conversation.item.truncated")
    check("interrupt() stops and truncates the item that is heard", interrupted.item_id == truncated["item_id"] == second, truncated)


async def _written(check: Checks, call: _Call) -> None:
    """A written message waits for the response in progress, and is answered."""
    await call.session.send_message("Thank you, goodbye!")
    added = await call.inbox.until(_is_written, "message in the conversation")
    done = await call.inbox.until(lambda event: "Goodbye" in str(_output(event)), "goodbye")
    check("a written message is an item, and is answered", _raw(done)["response"]["status"] == "completed", _raw(done))
    await call.until("agent_end")
    check("the history ends with the goodbye", "Goodbye" in (call.transcript_of(_output(done)[0]["id"]) or ""), _raw(added))


def _is_written(event: Any) -> bool:
    item = _raw(event).get("item", {})
    return bool(item.get("role") == "user" and item["content"][0]["type"] == "input_text")


def _output(event: Any) -> list[dict[str, Any]]:
    raw = _raw(event)
    return raw["response"]["output"] if raw.get("type") == "response.done" else []


def _content(event: dict[str, Any], item_id: str) -> list[str]:
    return [part["transcript"] for part in event["item"]["content"]] if event["item"]["id"] == item_id else []


def _after(call: _Call, event: Any) -> list[Any]:
    return call.inbox.all[call.inbox.all.index(event) + 1 :]


def _is_audio(event: Any, item_id: str) -> bool:
    return bool(event.type == "audio" and event.item_id == item_id)


if __name__ == "__main__":
    oracle(hold, urls=1)
