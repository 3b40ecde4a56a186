"""`livekit-plugins-openai` holds a call: its realtime session without a room; audio pushed, replies generated, interrupted, truncated.

The session matches its own responses by the metadata that the server echoes, and keeps a mirror of the conversation; we judge
the server's events by `wire` besides.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["livekit-plugins-openai==1.8.9", "livekit-agents==1.8.9"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = ["realtime"]
# says = ["What are your opening hours?", "Sorry, how much is a puncture repair?"]
# ///

import asyncio
import json
from typing import Any

import aiohttp
from kit import RATE_HZ, Checks, Complaints, Failed, Inbox, Microphone, loudness, ms_of, oracle, soon
from livekit import rtc
from livekit.agents import function_tool, llm
from livekit.plugins import openai
from openai.types.beta.realtime.session import TurnDetection
from openai.types.realtime import AudioTranscription
from wire import Wire

TOLD = ("input_speech_started", "input_speech_stopped", "input_audio_transcription_completed", "generation_created", "error")


@function_tool
async def repair_price(job: str) -> str:
    """The price of a repair."""
    return "twelve pounds"


class _Call:
    """A session, what it told, and what the server sent to it."""

    def __init__(self, model: Any) -> None:
        self.session = model.session()
        self.inbox, self.wire = Inbox(), Wire()
        self.session.on("openai_server_event_received", self.wire.judge)
        for kind in TOLD:
            self.session.on(kind, self._keeper(kind))

    def _keeper(self, kind: str) -> Any:
        def keep(event: Any) -> None:
            self.inbox.put((kind, event))

        return keep

    async def until(self, kind: str) -> Any:
        """The next thing of this kind that the session told."""
        return (await self.inbox.until(lambda told: told[0] == kind, kind))[1]

    async def push(self, frame: bytes) -> None:
        """The caller's next 20 ms."""
        self.session.push_audio(rtc.AudioFrame(frame, RATE_HZ, 1, len(frame) // 2))

    async def reply(self, instructions: str | None = None) -> Any:
        """A reply that we ask for."""
        wishes = {"instructions": instructions} if instructions else {}
        return await asyncio.wait_for(self.session.generate_reply(**wishes), 10)


class _Answer:
    """What a generation gives: its message's id, words and sound, or its function calls; `over` ends with it."""

    def __init__(self, generation: Any) -> None:
        self.message_id, self.text = "", ""
        self.sound: list[bytes] = []
        self.calls: list[Any] = []
        self.over = asyncio.gather(self._messages(generation), self._functions(generation))

    async def _messages(self, generation: Any) -> None:
        async for message in generation.message_stream:
            self.message_id = message.message_id
            await asyncio.gather(self._words(message), self._sounds(message))

    async def _words(self, message: Any) -> None:
        async for words in message.text_stream:
            self.text += words

    async def _sounds(self, message: Any) -> None:
        async for frame in message.audio_stream:
            self.sound.append(bytes(frame.data))

    async def _functions(self, generation: Any) -> None:
        async for call in generation.function_stream:
            self.calls.append(call)

    async def ended(self) -> None:
        """Wait for its end."""
        await soon(self.over.done, f"the end of {self.text!r}")
        self.over.result()

    async def says(self, words: str) -> bool:
        """Wait for its first sound, and for these words or its end; are they there?"""
        await soon(lambda: self.over.done() or (self.sound and words in self.text), f"{words!r} in {self.text!r}")
        return words in self.text


async def hold(check: Checks, urls: list[str], lines: list[bytes]) -> None:
    """Hold the call."""
    complaints = Complaints("livekit")
    async with aiohttp.ClientSession() as http:
        detection = TurnDetection(type="server_vad", create_response=True, interrupt_response=True)
        hearing = {"turn_detection": detection, "input_audio_transcription": AudioTranscription(model="gpt-4o-mini-transcribe")}
        model = openai.realtime.RealtimeModel(base_url=urls[0], api_key="none", voice="ash", http_session=http, **hearing)
        call = _Call(model)
        await call.session.update_instructions("You work in a bicycle shop.")
        await call.session.update_tools([repair_price])
        await _greeted(check, call)
        async with Microphone(call.push) as microphone:
            microphone.say(lines[0])
            answer = await _answered(check, call)
            microphone.say(lines[1])
            await _interrupted_by_voice(check, call, answer)
            await _answered_with_a_tool(check, call)
            await _interrupted_by_hand(check, call)
        await call.session.aclose()
        await model.aclose()
        await _in_text(check, urls[0], http)
    told = [event for kind, event in call.inbox.all if kind == "error"]
    check("the session told of no error", not told, told)
    call.wire.tell(check)
    check("the package logged no complaint", not complaints.lines, complaints.lines)


async def _in_text(check: Checks, url: str, http: Any) -> None:
    """A session of its own, in text."""
    model = openai.realtime.RealtimeModel(base_url=url, api_key="none", modalities=["text"], http_session=http)
    call = _Call(model)
    answer = _Answer(await call.reply())
    await answer.ended()
    check("a session in text is answered in text alone", "Bluebird Cycles" in answer.text and not answer.sound, answer.text)
    await call.session.aclose()
    await model.aclose()
    call.wire.tell(check)


async def _greeted(check: Checks, call: _Call) -> None:
    """A reply that is asked for is known by its metadata, and is heard to its end."""
    generation = await call.reply("Greet the caller.")
    check("a reply that was asked for is known as such", generation.user_initiated and generation.response_id, generation)
    answer = _Answer(generation)
    await answer.ended()
    sound = b"".join(answer.sound)
    check("it is heard: seconds of real sound", ms_of([sound]) > 2_000 and loudness(sound) > 30, ms_of([sound]))
    check("its words come with it", "Bluebird Cycles" in answer.text, answer.text)
    mirrored = call.session.chat_ctx.get_by_id(answer.message_id)
    check("its item is in the session's mirror of the conversation", mirrored is not None, call.session.chat_ctx.items)


async def _answered(check: Checks, call: _Call) -> _Answer:
    """The caller asks; the reply is the server's own, and is heard."""
    await call.until("input_speech_started")
    await call.until("input_speech_stopped")
    generation = await call.until("generation_created")
    check("the reply to speech is the server's own", not generation.user_initiated, generation)
    answer = _Answer(generation)
    check("the question is answered", await answer.says("We are open"), answer.text)
    heard = await call.until("input_audio_transcription_completed")
    check("the caller's words come, plausibly", "opening hours" in heard.transcript.lower(), heard.transcript)
    return answer


async def _interrupted_by_voice(check: Checks, call: _Call, answer: _Answer) -> None:
    """The caller speaks into the answer: we interrupt and truncate as the framework does."""
    await call.until("input_speech_started")
    sound = ms_of(answer.sound)
    call.session.interrupt()
    call.session.truncate(message_id=answer.message_id, modalities=["audio"], audio_end_ms=min(300, sound))
    await answer.ended()
    check("no old sound came after the interruption", ms_of(answer.sound) == sound, f"{ms_of(answer.sound) - sound} ms")
    await call.until("input_speech_stopped")
    cut, truncated = call.wire.ends[-1], call.wire.latest["conversation.item.truncated"]
    check("its response was cancelled", (cut["status"], cut["output"][0]["id"]) == ("cancelled", answer.message_id), cut)
    check("its item was truncated", truncated["item_id"] == answer.message_id, truncated)


async def _answered_with_a_tool(check: Checks, call: _Call) -> None:
    """The interrupting question needs the function: the session hands out the call, takes its output, and is asked for the reply."""
    asked = _Answer(await call.until("generation_created"))
    await asked.ended()
    if not asked.calls:
        raise Failed(f"no function call, but {asked.text!r}")
    function = asked.calls[0]
    check("the function call has arguments in JSON", function.name == "repair_price" and json.loads(function.arguments)["job"], function)
    context = call.session.chat_ctx.copy()
    context.items.append(llm.FunctionCallOutput(call_id=function.call_id, name=function.name, output="twelve pounds", is_error=False))
    await asyncio.wait_for(call.session.update_chat_ctx(context), 10)
    answer = _Answer(await call.reply())
    check("the answer is heard, and uses its output", await answer.says("twelve pounds"), answer.text)
    await answer.ended()


async def _interrupted_by_hand(check: Checks, call: _Call) -> None:
    """`interrupt()` cancels a reply; a second one finds nothing to cancel, and is not sent."""
    answer = _Answer(await call.reply("Say more."))
    await soon(lambda: answer.sound, "the first sound of a reply")
    call.session.interrupt()
    await answer.ended()
    check(
        "interrupt() cancels a reply",
        call.wire.ends[-1]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"},
        call.wire.ends[-1],
    )
    call.session.interrupt()
    check("the mirror has every item, once", _same_order(call), [item.id for item in call.session.chat_ctx.items])


def _same_order(call: _Call) -> bool:
    ids = [item.id for item in call.session.chat_ctx.items]
    return len(ids) == call.wire.kinds["conversation.item.added"] and len(set(ids)) == len(ids)


if __name__ == "__main__":
    oracle(hold, urls=1)
