"""What must be so of a call whose process was lost, by its record, its server's log, and what its tool left behind."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from adapters.cluster.record import Record
from fsm import effects as fx, events as ev, start, states as st, step


def heard_again(record: Record, after_ms: float | None) -> float | None:
    """How long after that moment the agent was heard, in ms; None: it was not yet.

    The moment: the last line of the first owner, where another took up; else `after_ms`.
    """
    place, at_ms = 0, after_ms
    if at_ms is None:
        taken = next((place for place, event in enumerate(record.events) if isinstance(event, ev.TakenUp)), None)
        if taken is None:
            return None
        place, at_ms = taken, record.events[taken - 1].at_ms if taken else 0.0
    since = (event.at_ms - at_ms for event in record.events[place:] if isinstance(event, ev.PlayoutProgressed) and event.at_ms > at_ms)
    return next(since, None)


def taken_up(record: Record) -> float:
    """How long after the last line of the first owner another had the call, in ms; 0 where none did."""
    pairs = zip(record.events, record.events[1:], strict=False)
    return next((event.at_ms - before.at_ms for before, event in pairs if isinstance(event, ev.TakenUp)), 0.0)


def judged(record: Record, log: Iterable[str], runs: int) -> Iterator[str]:
    """What is wrong with a call as a whole; `runs` is how often the tool ran that notes it."""
    asked, greeted, heard = Counter[type](), 0, False
    call, ran = start(record.call.policy, record.call.call_id), Counter[str]()
    said, whole = dict[str, str](), Counter[str]()
    for event in record.events:
        answer = step(call, event)
        before, call = call, answer.snapshot
        heard = heard or (call.phase.state is st.GREETING_LOCK and call.playout.heard)
        if isinstance(event, ev.ResponseTranscribed):
            said[event.response_id] = event.text
        if isinstance(event, ev.QueueEmptied) and before.playout.heard and (text := said.get(event.response_id)):
            whole[text] += 1
        for effect in answer.effects:
            asked[type(effect)] += 1
            if isinstance(effect, fx.RunTool):
                ran[effect.tool_call_id] += 1
            if isinstance(effect, fx.CreateResponse) and effect.cause is fx.Cause.GREETING:
                greeted += heard
    if asked[fx.TellEnded] != 1:
        yield f"the record tells the end {asked[fx.TellEnded]} times"
    if (told := ends_told(log)) != 1:
        yield f"the end was told {told} times"
    if asked[fx.HangUp] > 1:
        yield "the line was hung up twice"
    if max(ran.values(), default=1) > 1 or runs > sum(ran.values()):
        yield f"a tool ran twice ({runs} runs, {ran})"
    if greeted:
        yield "the greeting was asked for again, though it was heard"
    yield from (f"said twice: {text}" for text, times in whole.items() if times > 1)


def ends_told(log: Iterable[str]) -> int:
    """How many processes told that the call ended, and why."""
    return sum(line.get("event") == "call_ended" and line.get("reason") != "left" for line in lines_of(log))


def lines_of(log: Iterable[str]) -> Iterator[dict[str, object]]:
    """The lines of a log that are whole."""
    for text in list(log):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
