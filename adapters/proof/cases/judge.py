"""Field logs judged: what a correct controller does in a case, check by check."""

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from adapters.proof.cases.feed import History, Moment, run_case
from adapters.proof.cases.fields import RowError
from adapters.proof.cases.reading import LEVELS, SETTINGS, Case as Case, CaseError as CaseError, read_case as read_case
from adapters.proof.cases.rows import is_known
from fsm.call import effects as fx
from fsm.call.machine import admits
from fsm.call.policy import Policy
from fsm.call.states import OVER


@attrs.frozen
class Verdict:
    """One check: what it says, whether it holds (None: it can't be judged), and what was seen."""

    check: str
    holds: bool | None
    seen: str
    until_ms: float


def judge(case: Case) -> tuple[list[Verdict], History]:
    """Run the case through the core and judge each of its checks."""
    checks = case.header["checks"]
    settings = {key: value for check in checks if check["check"] == "policy" for key, value in check["set"].items()}
    if unknown := set(settings) - set(SETTINGS):
        raise CaseError(f"{case.name}: no such setting: {', '.join(sorted(unknown))}; a case sets {', '.join(SETTINGS)}")
    try:
        Policy(**settings)
    except ValueError as error:
        raise CaseError(f"{case.name}: {error}") from None
    try:
        history, calls = run_case(case.rows, settings, case.end_ms)
    except RowError as error:
        raise CaseError(f"{case.name}: {error}") from None
    court = _Court(history, calls, case.end_ms)
    return [_verdict(court, check) for check in checks if check["check"] != "policy"], history


def steps_before(history: History, at_ms: float, most: int = 12) -> Iterator[str]:
    """The steps up to a time in which something moved or was asked for, in words."""
    acting = [moment for moment in history.moments if moment.event.at_ms <= at_ms and _acts(moment)]
    for moment in acting[-most:]:
        moves = ", ".join(f"{row.region} -> {row.then.target!r}" for row in moment.answer.rows if row.then.target not in (None, OVER))
        effects = ", ".join(_brief(effect) for effect in moment.answer.effects)
        call = f"{moment.name} " if moment.name else ""
        yield f"{moment.event.at_ms:>9.0f} ms  {call}{type(moment.event).__name__}: {moves or 'stays'}{'; ' + effects if effects else ''}"


def passed_over(case: Case) -> list[str]:
    """The kinds of rows that were not fed because nobody here knows them, as `source event`."""
    return list(dict.fromkeys(f"{row['source']} {row['event']}" for row in case.rows if not is_known(row)))


def _until(check: dict[str, Any], end_ms: float) -> float:
    """The time up to which a check looks."""
    return float(next((check[key] for key in ("at_ms", "to_ms", "not_after_ms") if key in check), end_ms))


def _acts(moment: Moment) -> bool:
    return bool(moment.answer.effects) or any(row.then.target is not None for row in moment.answer.rows)


def _brief(effect: fx.Effect) -> str:
    values = [str(value) for value in attrs.asdict(effect).values() if value != ""]
    return f"{type(effect).__name__}({', '.join(values)})"


@attrs.frozen
class _Court:
    history: History
    calls: list[str]
    end_ms: float

    def effects(self, kind: type[fx.Effect]) -> list[tuple[float, Any]]:
        """All effects of a kind, with their times."""
        return [(m.event.at_ms, effect) for m in self.history.moments for effect in m.answer.effects if isinstance(effect, kind)]

    def phase(self, at_ms: float) -> str:
        """The phase then, of the call that started last."""
        snapshots = [self.history.snapshot(name, at_ms) for name in reversed(self.calls)]
        return next((snapshot.phase.state.name for snapshot in snapshots if snapshot is not None), "none yet")

    def count(self, kind: type[fx.Effect], check: dict[str, Any], **fields: str) -> tuple[bool, str]:
        """Count effects of a kind in the check's window, with these fields."""
        low, high = check.get("from_ms", float("-inf")), check.get("to_ms", float("inf"))
        times = [
            at_ms
            for at_ms, effect in self.effects(kind)
            if low <= at_ms <= high and all(getattr(effect, key) == value for key, value in fields.items())
        ]
        return self.holds(times, check)

    @staticmethod
    def holds(times: list[float], check: dict[str, Any]) -> tuple[bool, str]:
        """Are there as many as the check's bounds say?"""
        return check.get("min", 0) <= len(times) <= check.get("max", len(times)), _times(times)


def _verdict(court: _Court, check: dict[str, Any]) -> Verdict:
    kind = check["check"]
    words = " ".join([kind, *(f"{key}={value}" for key, value in check.items() if key != "check")])
    holds, seen = _CHECKS[kind](court, check)
    return Verdict(words, holds, seen, _until(check, court.end_ms))


def _times(times: list[float]) -> str:
    return f"{len(times)}" + (f" at {', '.join(f'{at_ms:.0f}' for at_ms in times)} ms" if times else "")


def _cancels(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    return court.count(fx.CancelResponse, check, response_id=check["response"])


def _creates(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    return court.count(fx.CreateResponse, check)


def _flushes(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    return court.count(fx.Flush, check, **({"response_id": check["response"]} if "response" in check else {}))


def _audible(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    snapshots = [court.history.snapshot(name, check["at_ms"]) for name in court.calls]
    heard = any(snapshot is not None and admits(snapshot, check["response"]) for snapshot in snapshots)
    return heard is check["is"], "audible" if heard else "not audible"


def _hangups(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    times = [at_ms for at_ms, _ in court.effects(fx.HangUp)]
    early = [at_ms for at_ms in times if at_ms < check.get("not_before_ms", float("-inf"))]
    in_time = [at_ms for at_ms in times if at_ms <= check.get("not_after_ms", float("inf"))]
    return not early and check.get("min", 0) <= len(in_time) <= check.get("max", len(in_time)), _times(times)


def _phase(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    phase = court.phase(check["at_ms"])
    return _fits(phase, check), phase


def _ends_in(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    phase = court.phase(court.end_ms)
    return _fits(phase, check), phase


def _fits(phase: str, check: dict[str, Any]) -> bool:
    return phase in check.get("in", [phase]) and phase not in check.get("not_in", [])


def _effects_after(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    late = [(at_ms, effect) for at_ms, effect in court.effects(fx.Effect) if at_ms > check["t_ms"] and not isinstance(effect, fx.Log)]
    return len(late) <= check["max"], ", ".join(f"{_brief(effect)} at {at_ms:.0f}" for at_ms, effect in late) or "none"


def _synth_posts(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    times = [at_ms for at_ms, effect in court.effects(fx.Synthesise) if effect.session_id.endswith(f".{check['sentence']}")]
    return court.holds(times, check)


def _synth_cancels(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    if "session_id" not in check:
        return court.count(fx.CancelSynthesis, check)
    theirs = str(check["session_id"])
    ours = court.history.sessions.get(theirs, f".{theirs.removeprefix('s')}")
    times = [at_ms for at_ms, effect in court.effects(fx.CancelSynthesis) if effect.session_id.endswith(ours)]
    return court.holds(times, check)


def _log_level(court: _Court, check: dict[str, Any]) -> tuple[bool, str]:
    levels = [effect.level for _, effect in court.effects(fx.Log) if effect.code == check["of"]]
    highest = max((LEVELS.index(level) for level in levels), default=-1)
    return highest <= LEVELS.index(fx.Level(check["max"])), LEVELS[highest].value if levels else "not logged"


def _unjudged(_: _Court, __: dict[str, Any]) -> tuple[None, str]:
    return None, "the log alone can't decide it"


_CHECKS: dict[str, Callable[[_Court, dict[str, Any]], tuple[bool | None, str]]] = {
    "cancels": _cancels,
    "creates": _creates,
    "flushes": _flushes,
    "audible": _audible,
    "hangups": _hangups,
    "phase": _phase,
    "ends_in": _ends_in,
    "effects_after": _effects_after,
    "synth_posts": _synth_posts,
    "synth_cancels": _synth_cancels,
    "log_level": _log_level,
    "unjudged": _unjudged,
}
