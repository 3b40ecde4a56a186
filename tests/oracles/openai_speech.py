"""The `openai` package has texts spoken by `callfsm stand-in chatterbox --dialect openai`: whole, streamed, refused.

`python openai_speech.py http://127.0.0.1:PORT [KEY]`, in an environment of its own with `openai==3.52.0`.
"""

import asyncio
import io
import sys
import time
import wave

from kit import Checks
from openai import AsyncOpenAI, AuthenticationError, BadRequestError

STEP_S = 60.0
"""How long all of it may take."""
TEXT = "Hello there. How are you today? It is a fine day for a walk by the river."


async def speak(check: Checks, url: str, key: str) -> None:
    """All that the package can ask for."""
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    models = [model.id async for model in client.models.list()]
    check("the models are listed", models == ["chatterbox"], models)
    asked = {"input": TEXT, "model": "tts-1", "voice": "alloy", "response_format": "wav", "speed": 1.0, "instructions": "calm"}
    whole = await client.audio.speech.create(**asked)
    check("a text is answered by a WAV", sound_in(whole.content) > 1.0, f"{sound_in(whole.content):.2f} s")
    bare = await client.audio.speech.create(input=TEXT, model="tts-1", voice={"id": "voice_1"}, response_format="pcm")
    check("bare samples are the same sound", bare.content == whole.content[44:], f"{len(bare.content)} bytes")
    await streamed(check, client, whole.content)
    for words, fault in (("a text that is too long", {"input": "x" * 4_097}), ("a default format that is MP3", {"input": "Hello."})):
        try:
            await client.audio.speech.create(model="tts-1", voice="alloy", **fault)
        except BadRequestError as refused:
            check(f"{words} is refused in words", refused.type == "invalid_request_error", refused.body)
        else:
            check(f"{words} is refused in words", False, "it was taken")
    if key != "none":
        try:
            await AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-wrong", max_retries=0).models.list()
        except AuthenticationError as refused:
            check("a wrong key is refused", refused.code == "invalid_api_key", refused.body)
        else:
            check("a wrong key is refused", False, "it was taken")


async def streamed(check: Checks, client: AsyncOpenAI, whole: bytes) -> None:
    """The streaming response: its first sound is there well before its last."""
    began = time.monotonic()
    asked = client.audio.speech.with_streaming_response.create(input=TEXT, model="tts-1", voice="alloy", response_format="wav")
    first_s, body = 0.0, b""
    async with asked as answer:
        async for piece in answer.iter_bytes():
            body += piece
            if len(body) > 44 and not first_s:
                first_s = time.monotonic() - began
    last_s = time.monotonic() - began
    check("a stream is the same WAV", body == whole, f"{len(body)} bytes instead of {len(whole)}")
    print(f"      first sound after {first_s * 1000:.0f} ms, last after {last_s * 1000:.0f} ms", flush=True)


def sound_in(body: bytes) -> float:
    """The seconds of sound in a WAV whose header leaves the length open."""
    with wave.open(io.BytesIO(body)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 24_000)
    return (len(body) - 44) / 48_000


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: openai_speech.py http://127.0.0.1:PORT [KEY]")
    checks = Checks()
    asyncio.run(asyncio.wait_for(speak(checks, sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "none"), STEP_S))
    sys.exit(1 if checks.broken else 0)
