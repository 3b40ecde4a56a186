"""The picture of a call: that all of the call is on it, that nothing on it covers anything else, and that no text can break it."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import attrs
import numpy as np
import pytest
from hypothesis import given, strategies as st

from adapters.telling.picture.data import CallPicture, Marker, Ribbon, Said, Span
from adapters.telling.picture.parts import CAPTION_LINES, Scale, envelope, outline, place_captions, place_flags
from adapters.telling.picture.style import WIDTH, paint_of
from adapters.telling.picture.text import BOLD, Wrapped, clean, elided, width_of, wrapped
from adapters.telling.picture.timeline import draw, read_stereo
from tests.shared.shell import python, write_wav

RATE_HZ = 24_000
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert("1")</script> & ]]> \' \x00\x1b\x7f \ud800 \u202e end'
POLE = r"M([\d.]+) ([\d.]+)V([\d.]+)"
Box = tuple[float, float, float, float]


def tone(ms: float, loudness: float) -> bytes:
    """A square wave of 480 Hz; `loudness` is of full scale."""
    count = int(ms * RATE_HZ / 1000)
    signs = np.where(np.arange(count) // 25 % 2, -1, 1)
    return (signs * loudness * 32_767).astype("<i2").tobytes()


def short_call() -> CallPicture:
    """Eight seconds with one barge-in."""
    phase = (
        Span(0, 3_000, "greeting_lock"),
        Span(3_000, 6_000, "ai_speaking"),
        Span(6_000, 6_020, "cancelling"),
        Span(6_020, 8_000, "listening"),
    )
    return CallPicture(
        "A short call",
        8_000,
        caller=tone(6_000, 0.0) + tone(2_000, 0.3),
        agent=tone(6_000, 0.5) + tone(2_000, 0.0),
        ribbons=(Ribbon("phase", phase), Ribbon("interruption", (Span(5_000, 6_000, "suspected"), Span(6_000, 6_000, "confirmed")))),
        markers=(
            Marker(6_000, "barge-in", detail="after 150 ms"),
            Marker(6_001, "cancel", "cancel resp_1"),
            Marker(6_020, "truncate", "truncate 3000 ms"),
        ),
        said=(
            Said(0, 2_900, "agent", "Good morning."),
            Said(3_000, 6_000, "agent", "We are open until"),
            Said(5_850, 7_900, "caller", "Oh, sorry."),
        ),
        figures=(("barge-ins", "1"), ("old audio after speech, worst", "14 ms")),
    )


def long_call(minutes: int) -> CallPicture:
    """A call in which both sides never fall silent, with two turns in ten seconds, and eight regions of 12 states a minute."""
    noise = np.random.default_rng(7)
    loudness = np.repeat(noise.uniform(0, 0.9, minutes * 600), RATE_HZ // 10)
    caller, agent = ((loudness * noise.uniform(-1, 1, len(loudness)) * 32_767).astype("<i2").tobytes() for _ in range(2))
    states = ("listening", "ai_speaking", "cancelling", "in_progress", "quiet")
    spans = tuple(Span(at * 5_000, at * 5_000 + 5_000, states[at % 5]) for at in range(minutes * 12))
    return CallPicture(
        "A long call",
        minutes * 60_000,
        caller,
        agent,
        tuple(Ribbon(f"region {number}", spans) for number in range(8)),
        tuple(Marker(at * 7_000, "cancel", f"cancel resp_{at}", "acknowledged") for at in range(minutes * 8)),
        tuple(
            Said(at * 5_000, at * 5_000 + 4_000, ("agent", "caller")[at % 2], f"Sentence {at} says what one says in four seconds.")
            for at in range(minutes * 12)
        ),
        (("barge-ins", "2"),),
    )


def parsed(call: CallPicture) -> ElementTree.Element:
    """The picture's root element."""
    return ElementTree.fromstring(draw(call).encode())


def texts(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    """The text elements with a class."""
    return [element for element in root.iter(f"{SVG}text") if kind in element.get("class", "").split()]


def words(elements: list[ElementTree.Element]) -> list[str]:
    """The elements' texts."""
    return [element.text or "" for element in elements]


def tooltips(root: ElementTree.Element) -> list[str]:
    """Every tooltip."""
    return [element.text or "" for element in root.iter(f"{SVG}title")]


def flags(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The groups that are flags."""
    return [group for group in root.iter(f"{SVG}g") if group.find(f"{SVG}text[@class='f']") is not None]


def flag_boxes(root: ElementTree.Element) -> list[Box]:
    """Left, top, right and bottom of each flag."""
    rects = [rect for group in flags(root) for rect in group.iter(f"{SVG}rect")]
    sides = [[float(rect.get(name, "nan")) for name in ("x", "y", "width", "height")] for rect in rects]
    return [(x, y, x + width, y + height) for x, y, width, height in sides]


def caption_boxes(root: ElementTree.Element) -> list[Box]:
    """Left, top, right and bottom of each line of each caption."""
    lines = [(float(text.get("x", "nan")), float(text.get("y", "nan")), text.text or "") for text in texts(root, "c")]
    return [(x, y - 9, x + width_of(line, 11), y + 3) for x, y, line in lines]


def overlaps(boxes: list[Box]) -> Iterator[tuple[Box, Box]]:
    """The pairs of boxes that cover each other."""
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]:
                yield one, other


def test_the_picture_needs_nothing_from_outside_itself() -> None:
    text = draw(short_call())
    root = ElementTree.fromstring(text)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg",
        "title",
        "style",
        "defs",
        "pattern",
        "rect",
        "path",
        "g",
        "text",
        "use",
    }
    assert all(value.startswith("#") for element in root.iter() for name, value in element.attrib.items() if name.endswith("href"))
    assert text.count("http") == 1  # the namespace
    assert "@import" not in text
    assert text.count("url(") == text.count("url(#held)")


def test_everything_of_the_call_is_on_the_picture() -> None:
    call, root = short_call(), parsed(short_call())
    told = tooltips(root)
    assert words(texts(root, "f")) == ["barge-in", "cancel resp_1", "truncate 3000 ms"]
    assert "6.000 s barge-in: after 150 ms" in told
    for said in call.said:
        assert any(tooltip.startswith(said.who) and tooltip.endswith(f": {said.text}") for tooltip in told)
    assert " ".join(words(texts(root, "caller"))) == "Oh, sorry."
    assert " ".join(words(texts(root, "agent"))) == "Good morning. We are open until"
    for span in (span for ribbon in call.ribbons for span in ribbon.spans):
        stretch = f"{span.start_ms / 1000:.3f}\u2013{span.end_ms / 1000:.3f} s, {span.end_ms - span.start_ms:.0f} ms"
        assert f"{span.state} {stretch}" in told
    assert words(texts(root, "t")) == ["A short call"]
    assert words(texts(root, "v")) == ["1", "14 ms"]
    assert {"caller", "agent", "phase", "interruption"} == set(words(texts(root, "n")))


def test_a_state_is_named_on_its_bar_or_else_in_the_legend() -> None:
    root = parsed(short_call())
    assert set(words(texts(root, "s"))) == {"greeting_lock", "ai_speaking", "listening", "suspected"}
    legend = [text for text in words(texts(root, "k")) if "cancelling" in text]
    assert legend == ["cancelling"], "confirmed is too short to be seen: it has its tooltip"


def test_the_legend_is_one_line() -> None:
    names = ("cancelling", "cancelled", "locked", "paused", "requested", "speaking", "closing", "failed", "held", "preparing", "stopped")
    spans = tuple(Span(at * 100, at * 100 + 60, f"{name}{'' if at < 11 else at}") for at, name in enumerate(names * 3))
    root = parsed(CallPicture("", 9_000, ribbons=(Ribbon("all", spans),)))
    legend = [text for text in texts(root, "k") if "0:09" not in (text.text or "")]
    assert len(legend) > 2
    assert len({text.get("y") for text in legend}) == 1


@pytest.mark.parametrize("seconds", [2, 3, 8, 70])
def test_a_short_call_fills_the_picture(seconds: int) -> None:
    root = parsed(CallPicture("", seconds * 1_000, ribbons=(Ribbon("phase", (Span(0, seconds * 1_000, "listening"),)),)))
    [bar] = [rect for group in root.iter(f"{SVG}g") for rect in group.findall(f"{SVG}rect") if rect.get("class")]
    assert float(bar.get("x", 0)) + float(bar.get("width", 0)) == pytest.approx(WIDTH - 36, abs=2)


def test_no_pole_strikes_through_what_is_said() -> None:
    for call in (short_call(), long_call(3), crowded_call()):
        root = parsed(call)
        captions = [(left - 2, top, right + 2, bottom) for left, top, right, bottom in caption_boxes(root)]
        poles = [pole for pole in root.iter(f"{SVG}path") if pole.get("class") in ("p", "w")]
        lines = [(float(x), float(top), float(bottom)) for pole in poles for x, top, bottom in re.findall(POLE, pole.get("d", ""))]
        assert len(lines) >= len(poles) == len(call.markers)
        assert not [
            (line, box) for line in lines for box in captions if box[0] < line[0] < box[2] and line[1] < box[3] and line[2] > box[1]
        ]


def test_what_happened_after_the_end_is_shown_all_the_same() -> None:
    call = attrs.evolve(short_call(), duration_ms=1_000, markers=(Marker(12_000, "error", "too late"),))
    root = parsed(call)
    assert words(texts(root, "e")) == ["0:12.0"]
    (box,) = flag_boxes(root)
    assert 152 < box[0] < box[2] <= WIDTH - 36


def test_hostile_text_stays_text_wherever_it_stands() -> None:
    call = CallPicture(
        HOSTILE,
        5_000,
        ribbons=(Ribbon(HOSTILE, (Span(0, 5_000, HOSTILE), Span(5_000, 5_000, "x" + HOSTILE))),),
        markers=(Marker(1_000, HOSTILE, HOSTILE, HOSTILE),),
        said=(Said(0, 5_000, "caller", HOSTILE), Said(0, 5_000, "agent", HOSTILE)),
        figures=((HOSTILE, HOSTILE),),
    )
    root = ElementTree.fromstring(draw(call).encode("utf-8"))
    assert not list(root.iter(f"{SVG}script"))
    assert sum('<script>alert("1")</script> & ]]> \'' in tooltip for tooltip in tooltips(root)) == 7
    assert '<script>alert("1")</script>' in "".join(words(texts(root, "caller")))
    everything = "".join(root.itertext()) + "".join(value for element in root.iter() for value in element.attrib.values())
    assert not set(everything) & {"\x00", "\x1b", "\x7f", "\ud800", "\u202e"}
    assert "\ufffd" in everything


@given(st.text(alphabet=st.characters(), max_size=40))
def test_any_text_makes_a_picture_that_can_be_read_back(text: str) -> None:
    call = CallPicture(
        text, 2_000, ribbons=(Ribbon(text, (Span(0, 2_000, text),)),), markers=(Marker(5, text, text),), said=(Said(0, 900, "agent", text),)
    )
    root = ElementTree.fromstring(draw(call).encode("utf-8"))
    assert (root.findtext(f"{SVG}title") or "") == clean(text)


def test_captions_never_cover_one_another_or_leave_the_picture() -> None:
    for call in (short_call(), long_call(3), crowded_call()):
        boxes = caption_boxes(parsed(call))
        assert boxes
        assert not list(overlaps(boxes))
        assert all(box[0] >= 152 and box[2] <= WIDTH - 36 for box in boxes)


def test_flags_never_cover_one_another_or_leave_the_picture() -> None:
    for call in (short_call(), long_call(3), crowded_call()):
        boxes = flag_boxes(parsed(call))
        assert boxes
        assert not list(overlaps(boxes))
        assert all(box[0] >= 0 and box[2] <= WIDTH - 36 for box in boxes)


def test_a_marker_without_room_for_a_flag_keeps_its_pole_and_is_counted() -> None:
    call = crowded_call()
    root = parsed(call)
    shown = len(flags(root))
    assert 8 <= shown < len(call.markers)
    assert f"+{len(call.markers) - shown} without a flag" in words(texts(root, "m"))
    assert all(any(f"{marker.at_ms / 1000:.3f} s" in tooltip for tooltip in tooltips(root)) for marker in call.markers)


def crowded_call() -> CallPicture:
    """Twenty seconds with a marker every 100 ms and both sides saying long things in no time."""
    return CallPicture(
        "A crowd",
        20_000,
        markers=tuple(Marker(at * 100, "cancel", f"cancel resp_{at}") for at in range(200)),
        said=tuple(Said(at * 250, at * 250 + 200, ("agent", "caller")[at % 2], "Incomprehensibilities are many. " * 3) for at in range(80)),
    )


@given(st.lists(st.tuples(st.floats(152, 1364), st.floats(0, 400), st.text(max_size=60).map(clean)), max_size=12))
def test_captions_have_places_of_their_own_whatever_is_said(said: list[tuple[float, float, str]]) -> None:
    captions = place_captions([(start, min(start + length, 1_364), text) for start, length, text in said], 152, 1_364, 11)
    for one, other in pairwise(captions):
        assert one.left + one.width < other.left
    for caption in captions:
        assert caption.left >= 152
        assert caption.left + caption.width <= 1_364 + 1e-6
        assert len(caption.lines) <= CAPTION_LINES


def test_a_sentence_without_room_runs_on_into_the_next() -> None:
    captions = place_captions([(200, 216, "Sure."), (220, 400, "Let me look.")], 152, 1_364, 11)
    assert [" ".join(caption.lines) for caption in captions] == ["Sure. Let me look."]


def test_the_last_words_of_a_row_move_left_to_be_read() -> None:
    (caption,) = place_captions([(1_350, 1_364, "Goodbye, and thank you for calling.")], 152, 1_364, 11)
    assert " ".join(caption.lines) == "Goodbye, and thank you for calling."
    assert caption.left < 1_350


@given(st.lists(st.tuples(st.floats(152, 1364), st.floats(12, 300)), max_size=25).map(sorted))
def test_flags_have_places_of_their_own_wherever_markers_stand(wanted: list[tuple[float, float]]) -> None:
    placed = [flag for flag in place_flags(wanted, 1_364) if flag]
    assert not list(overlaps([(flag.left, 19.0 * flag.level, flag.left + flag.width, 19.0 * flag.level + 16) for flag in placed]))
    assert all(flag.left + flag.width <= 1_364 + 1e-6 for flag in placed)
    assert len(placed) == len(wanted) or len(wanted) > 8


@pytest.mark.parametrize("pole", [400.0, 1_360.0])
def test_flags_of_one_moment_stand_on_one_post_the_earliest_on_top(pole: float) -> None:
    flags = place_flags([(pole, 80.0), (pole + 0.1, 60.0), (pole + 2, 90.0)], 1_364)
    assert [flag.level for flag in flags if flag] == [2, 1, 0]
    assert len({flag.left < flag.pole for flag in flags if flag}) == 1


def test_a_later_flag_that_must_go_up_takes_the_earlier_ones_of_its_post_along() -> None:
    flags = place_flags([(500.0, 60.0), (500.0, 120.0), (600.0, 80.0)], 1_364)
    assert [flag.level for flag in flags if flag] == [2, 1, 0]


def test_no_pole_runs_through_a_flag_where_there_is_room() -> None:
    flags = [flag for flag in place_flags([(200, 70), (240, 90), (280, 90), (1_300, 90), (1_340, 90)], 1_364) if flag]
    for flag in flags:
        for other in flags:
            assert not (other.level > flag.level and flag.left < other.pole < flag.left + flag.width)


def test_a_call_without_anything_is_drawn() -> None:
    root = parsed(CallPicture("", 0))
    assert words(texts(root, "n")) == ["caller", "agent"]
    assert words(texts(root, "m")).count("no sound") == 2
    assert not flags(root)
    assert not texts(root, "c")


def test_a_ten_minute_call_is_ten_rows_of_a_minute_in_less_than_400_kb() -> None:
    text = draw(long_call(10))
    root = ElementTree.fromstring(text)
    assert len(text.encode()) < 400_000
    assert words(texts(root, "n")).count("caller") == 10
    assert words(texts(root, "h")).count("9:30") == 1


def test_a_call_of_an_hour_has_at_most_twenty_rows() -> None:
    call = CallPicture("An hour", 3_600_000, ribbons=(Ribbon("phase", (Span(0, 3_600_000, "listening"),)),))
    assert words(texts(parsed(call), "n")).count("phase") == 20


def test_a_state_that_spans_two_rows_is_on_both_and_a_state_of_no_length_on_one() -> None:
    spans = (Span(0, 50_000, "quiet"), Span(50_000, 70_000, "playing"), Span(120_000, 120_000, "due"), Span(150_000, 150_000, "leaving"))
    told = tooltips(parsed(CallPicture("", 150_000, ribbons=(Ribbon("all", spans),))))
    assert [sum(tooltip.startswith(f"{span.state} ") for tooltip in told) for span in spans] == [1, 2, 1, 1]


def test_no_bar_hides_a_short_one() -> None:
    root = parsed(short_call())
    widths = [[float(rect.get("width", "nan")) for rect in group if rect.tag == f"{SVG}rect"] for group in root.iter(f"{SVG}g")]
    lanes = [lane for lane in widths if len(lane) > 1]
    assert len(lanes) == 2
    assert all(lane == sorted(lane, reverse=True) and lane[-1] >= 1.2 for lane in lanes)


def test_the_same_call_always_gives_the_same_picture() -> None:
    program = "from tests.telling.test_picture import *; import hashlib; print(hashlib.sha256(draw(long_call(2)).encode()).hexdigest())"
    one, other = (python("-c", program, PYTHONHASHSEED=seed).stdout for seed in ("1", "2"))
    assert one == other != ""


def test_the_envelope_is_the_sound_of_its_columns() -> None:
    sound = tone(1_000, 0.0) + tone(1_000, 0.5) + np.array([8_192, 0], dtype="<i2").tobytes() * (RATE_HZ // 2)
    peak, rms = envelope(sound, RATE_HZ, 0, 500, 8)
    assert peak == pytest.approx([0, 0, 0.5, 0.5, 0.25, 0.25, 0, 0], abs=1e-3)
    assert rms == pytest.approx([0, 0, 0.5, 0.5, 0.1768, 0.1768, 0, 0], abs=1e-3)
    later, _ = envelope(sound, RATE_HZ, 1_500, 500, 2)
    assert later == pytest.approx([0.5, 0.25], abs=1e-3)
    beyond, _ = envelope(sound, RATE_HZ, 9_000, 500, 2)
    assert not beyond.any()


def test_an_outline_goes_through_every_height() -> None:
    assert outline(np.array([0, 0, 3, 5, 5, 5, 0])) == "M0 0v0h1l1-3l1-2h2l1 5v0z"
    assert outline(np.array([2])) == "M0 0v-2v2z"
    assert outline(np.zeros(5, dtype=np.int64)) == ""


def test_each_side_has_its_peak_and_its_rms_and_silence_has_no_shape() -> None:
    root = parsed(attrs.evolve(short_call(), caller=tone(8_000, 0.0)))
    shapes = {group.get("id", ""): group.findall(f"{SVG}path") for group in root.iter(f"{SVG}g") if group.get("id")}
    assert {name: len(paths) for name, paths in shapes.items()} == {"caller0": 0, "agent0": 2}
    assert [use.get("transform") for use in root.iter(f"{SVG}use")] == ["scale(1 -1)"] * 2
    assert {use.get("href") for use in root.iter(f"{SVG}use")} == {"#caller0", "#agent0"}
    assert len({group.get("fill") for group in root.iter(f"{SVG}g") if group.get("fill")}) == 2
    assert "peak \u22126 dBFS" in words(texts(root, "m"))


def test_the_noise_of_a_silent_side_is_not_blown_up() -> None:
    loud, faint = (draw(CallPicture("", 5_000, caller=tone(5_000, loudness))) for loudness in (0.5, 0.005))
    assert "M0 0v-56" in loud
    assert "M0 0v-6" in faint


def test_held_speech_is_hatched_and_the_states_of_a_call_differ() -> None:
    assert paint_of("suspected").hatched
    assert not paint_of("clear").hatched
    phases = ("greeting_lock", "listening", "ai_speaking", "cancelling", "closing", "closed")
    assert len({paint_of(state).fill for state in phases}) == len(phases)
    assert paint_of("a state of tomorrow") == paint_of("a state of tomorrow")
    assert len({paint_of(f"state {number}") for number in range(60)}) == 6
    assert "{fill:url(#held)}" in draw(short_call())


def brightness(colour: str) -> float:
    """The relative luminance of WCAG 2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    "state", ["quiet", "listening", "ai_speaking", "cancelling", "closing", "suspected", "failed", *map(str, range(12))]
)
def test_a_state_can_be_read_on_its_colour(state: str) -> None:
    paint = paint_of(state)
    low, high = sorted((brightness(paint.fill), brightness(paint.ink)))
    assert (high + 0.05) / (low + 0.05) >= 4


@given(st.text(max_size=80).map(clean), st.floats(0, 300), st.integers(1, 5))
def test_wrapped_text_keeps_to_its_width_and_its_lines(text: str, width: float, limit: int) -> None:
    fit = wrapped(text, width, 11, limit)
    assert len(fit.lines) <= limit
    assert all(width_of(line, 11) <= width + 1e-6 for line in fit.lines)
    if fit.whole:
        assert " ".join(fit.lines) == text


def test_elided_text_is_a_beginning_and_says_that_it_is() -> None:
    assert elided("a long sentence", 52, 11) == "a long\u2026"
    assert elided("a long sentence", 600, 11) == "a long sentence"
    assert elided("a long sentence", 3, 11) == ""


def test_a_word_too_wide_for_a_line_is_broken_and_said_to_be() -> None:
    assert wrapped("ab mmmmmm", 44, 11, 3) == Wrapped(("ab", "mmmm", "mm"), whole=False)
    assert wrapped("one two", 44, 11, 3) == Wrapped(("one", "two"), whole=True)


def test_a_time_is_on_exactly_one_row() -> None:
    rows = [Scale(0, 60_000, 120_000, 0, 600), Scale(60_000, 120_000, 120_000, 0, 600)]
    for at_ms in (-1, 0, 59_999, 60_000, 120_000, 130_000):
        assert sum(row.holds(at_ms) for row in rows) == 1
    assert rows[1].x(90_000) == 300
    assert (rows[1].x(0), rows[1].x(999_000)) == (0, 600)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Span(5, 4, "quiet"), "end_ms is 4, before start_ms, 5: it takes a time not before it"),
        (lambda: Marker(float("nan"), "cancel"), "at_ms is nan: it takes a number of milliseconds"),
        (lambda: CallPicture("", 1, caller=b"123"), "caller has 3 bytes of sound: it takes whole 16-bit samples, so an even number"),
    ],
)
def test_bad_data_is_refused_in_one_line(make: object, words: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=f"^{words}$"):
        make()


def test_the_callers_sound_is_left_and_the_agents_right(tmp_path: Path) -> None:
    write_wav(tmp_path / "call.wav", np.array([[1, -2], [3, -4]], dtype="<i2").tobytes(), channels=2)
    caller, agent = read_stereo(tmp_path / "call.wav")
    assert np.frombuffer(caller, "<i2").tolist() == [1, 3]
    assert np.frombuffer(agent, "<i2").tolist() == [-2, -4]


def test_another_file_is_refused_with_what_it_is(tmp_path: Path) -> None:
    write_wav(tmp_path / "mono.wav", b"\0\0", 8_000)
    with pytest.raises(ValueError, match=r"mono\.wav has 1 channel\(s\) of 16 bits at 8000 Hz: give a call\.wav, which has 2 channels"):
        read_stereo(tmp_path / "mono.wav")
    for content in (b"", b"RIFF", b"no sound at all"):
        (tmp_path / "other.wav").write_bytes(content)
        with pytest.raises(ValueError, match=r"other\.wav is no WAV file \(.+\): give the call\.wav"):
            read_stereo(tmp_path / "other.wav")


def test_the_widest_font_is_reckoned_with() -> None:
    assert width_of("mmmm", 10) == 40
    assert width_of("語", 10) > 10
    assert width_of("e\u0301", 10) == width_of("e", 10)
    assert BOLD > 1
