"""Claims about cutting text into sentences: where, never where, and that no character is lost however the text arrives."""

# ruff: noqa: RUF001

import pytest
from hypothesis import example, given, strategies as st

from adapters.text.sentences import ALONE_CHARS, FIRST_CHARS, LEAST_CHARS, MAX_CHARS, SentenceCutter, halves, weight

CUTS = {
    "numbers": ["It costs 3.50 or 1,000.", "Then we go."],
    "a number that ends a sentence": ["It is 5.", "Then it was 6."],
    "titles and initials": ["Dr. Smith met Mr. J. K. Rowling.", "He left."],
    "I is a word": ["So do I.", "Let's go."],
    "hours go on in lower case": ["Come at 9 a.m. on Monday, or at 5 p.m.", "We close then."],
    "e.g. and i.e.": ["Take fruit, e.g. apples, i.e. these.", "Good?"],
    "dotted names": ["The U.S. Senate met at example.com today.", "It voted."],
    "No before a number and alone": ["No.", "I can't.", "No. 5 is here on Jan. 3 then."],
    "ellipses": ["Well... maybe.", "Wait…", "What?!", "Yes!"],
    "quotes": ["“Stop!” he said.", "“Go on.”", 'She said "no."', "(Yes.)", "So."],
    "Markdown": ["**Hello.**", "*Next one.*", "Done."],
    "a list": ["1. First", "2. Second one", "- Third"],
    "French spacing": ["Ça va ?", "Oui !"],
    "Chinese": ["你好。", "你好吗？！", "他说：“好！”", "我很好"],
    "Hebrew": ["שלום.", "מה שלומך?", "טוב!"],
    "Arabic": ["مرحبا؟", "نعم.", "حسنا"],
    "Hindi": ["नमस्ते।", "आप कैसे हैं?"],
    "an emoji belongs to what follows": ["Nice!", "😊 See you."],
    "decimal and grouped numbers": ["It is 1,000.50 or 1.000,50 or .5 today.", "Yes."],
    "dates in digits": ["On 3.5.2024 or 03.05. at noon.", "Then no more."],
    "German dates and ordinals": ["Am 3. Mai kommt der 2. Teil.", "Er kostet 5.", "Gut."],
    "I am is no German preposition": ["I am 5.", "You are 6."],
    "German abbreviations": ["Wir haben z.B. Äpfel, z. B. Birnen, ca. 20 kg, bzw. Kirschen, usw. bis Nr. 5.", "Gut."],
    "French abbreviations": ["M. Dupont et Mme. Roux, p. ex. ici, sont là.", "Oui."],
    "Spanish abbreviations": ["El Sr. López y la Sra. Gil, de EE. UU. hoy.", "¿Vienes?", "¡Claro!"],
    "Dutch and Italian abbreviations": ["Bijv. Jan en dhr. Bos.", "Il Sig. Rossi e il Dott. Verdi.", "Fine."],
    "Russian abbreviations": ["Это ул. Ленина, т.е. центр.", "Да."],
    "web addresses": ["See https://example.com/a.b?c=d!e or www.example.com.", "Then go to t.co.", "Good."],
    "mail addresses": ["Write to a.b@c.example.", "Or to me@b.co.", "Thanks."],
    "brackets": ["He left (at last.) and she (who knew?) stayed.", "[Good.]", "So."],
    "quotes in brackets": ["She said (“Wait!”).", "He did."],
    "German and French quotes": ["„Ja.“", "«Non.»", "»Doch!«", "Gut."],
    "Japanese": ["「はい。」", "そうです。", "では、また！"],
    "Korean": ["안녕하세요.", "잘 지내요?", "네!"],
    "Urdu, Armenian and Greek": ["ٹھیک ہے۔", "Բարև։", "Τι κάνεις\u037e", "Καλά."],
    "ellipses before a capital": ["Well...", "No.", "Wait…", "Go!"],
    "angle brackets": ["Wait <break time='1.5s'/> for it.", "Is 3 < 4?", "Yes."],
    "Thai": ["สวัสดีครับ วันนี้อากาศดีมาก"],
}
UNSPACED = {"Chinese", "Japanese"}


@pytest.mark.parametrize("name", CUTS)
def test_a_text_is_cut_where_a_reader_would_pause(name: str) -> None:
    text = ("" if name in UNSPACED else " ").join(CUTS[name])
    if name == "a list":
        text = "\n".join(CUTS[name])
    assert _cut([text], first_chars=0) == CUTS[name]


def test_a_sentence_comes_as_soon_as_the_next_one_shows() -> None:
    cutter = SentenceCutter(alone_chars=0)
    assert cutter.feed("It costs 3.") == []
    assert cutter.feed("50. ") == []
    assert cutter.feed("T") == ["It costs 3.50."]
    assert cutter.feed("hen!") == []
    assert cutter.end() == ["Then!"]


def test_a_full_stop_is_no_cut_before_the_next_character_is_seen() -> None:
    for stop in ".!?…。":
        cutter = SentenceCutter()
        assert cutter.feed(f"Yes{stop}") == []
        assert cutter.end() == [f"Yes{stop}"]


def test_a_text_without_a_full_stop_is_cut_after_a_comma() -> None:
    first, *_ = _cut(["one two three four five six seven, " * 10], first_chars=0)
    assert first.endswith("seven,")
    assert MAX_CHARS - 40 < len(first) <= MAX_CHARS


def test_the_first_sentence_ends_at_a_clause_and_no_other_does() -> None:
    clause = "The table by the window is free at half past seven,"
    assert _cut([f"{clause} {clause} and so on. {clause} and so on."]) == [clause, f"{clause} and so on.", f"{clause} and so on."]


def test_a_short_clause_is_no_first_sentence() -> None:
    assert _cut(["Well, yes, it costs 1,000.50, I believe. Good."]) == ["Well, yes, it costs 1,000.50, I believe.", "Good."]


def test_the_first_clause_is_cut_in_a_script_without_spaces() -> None:
    first, *_ = _cut(["靠窗的那张桌子今天晚上七点半还是空着的，您要不要现在就预订？"])
    assert first.endswith("，")


def test_a_word_is_never_cut_where_there_is_a_space() -> None:
    words = ["see", "the" * 66, "now"]
    assert _cut([" ".join(words)])[0] == "see"


LONG = "https://example.com/" + "a" * 900


@pytest.mark.parametrize("link", [LONG, f"[here]({LONG})", "www.example.com/" + "b" * 300])
def test_a_link_is_never_cut(link: str) -> None:
    assert _cut([f"The list is at {link} and it is long. Good bye now."]) == [f"The list is at {link}", "and it is long.", "Good bye now."]
    assert max(map(len, _cut(["see https://" + "a" * 9_000]))) < 2_500, "but for one that is none"


def test_a_wide_character_counts_as_the_syllables_that_it_is() -> None:
    sentences = _cut(["语" * 400])
    assert max(map(weight, sentences)) <= MAX_CHARS
    assert max(map(len, sentences)) == MAX_CHARS // 3
    assert weight("abc é ב") == 7


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One two. Three, four five six.", ("One two.", "Three, four five six.")),
        ("One two three, four five six seven", ("One two three,", "four five six seven")),
        ("one two three four", ("one two", "three four")),
        ("你好。我很好", ("你好。", "我很好")),
        ("unsplittable", None),
        ("Yes. —", None),
        ("", None),
    ],
)
def test_a_text_is_halved_at_its_best_place(text: str, parts: tuple[str, str] | None) -> None:
    assert halves(text) == parts


def test_a_text_without_commas_is_cut_between_words() -> None:
    sentences = _cut(["spoken " * 200])
    assert {word for sentence in sentences for word in sentence.split()} == {"spoken"}
    assert max(map(len, sentences)) <= MAX_CHARS


def test_a_text_without_spaces_is_cut_but_never_inside_a_visible_sign() -> None:
    sentences = _cut(["a" + "e\N{COMBINING ACUTE ACCENT}" * 300])
    assert len(sentences) > 1
    assert {sentence[0] for sentence in sentences} == {"a", "e"}


def test_an_end_leaves_the_cutter_as_new() -> None:
    cutter = SentenceCutter(alone_chars=0)
    cutter.feed("Dr")
    assert cutter.end() == ["Dr"]
    assert cutter.feed(". Smith came. He") == [". Smith came."]


ALPHABET = "aB93é字שم.!?…。؟।,;'\"”) \n\t*-😊\u0301\u200d"
TEXTS = st.one_of(
    st.text(st.sampled_from(ALPHABET), max_size=60),
    st.lists(
        st.sampled_from(
            [
                "Dr. ",
                "e.g. ",
                "No. ",
                "3.5",
                "Hello",
                "yes. ",
                "U.S. ",
                "I. ",
                "... ",
                ", ",
                "word " * 30,
                "x" * 90,
                "am 3. ",
                "字" * 40,
                "，",
                "a@b.co. ",
            ]
        ),
        max_size=12,
    ).map("".join),
    st.text(max_size=500),
)


# What is not said alone, and what is not said (R100).


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Yes. No. Hi! Of course, I can do that.", ["Yes. No. Hi! Of course, I can do that."]),
        ("Yes.\nThe table is free at seven. Bye!", ["Yes.\nThe table is free at seven.", "Bye!"]),
        ("Absolutely. We are open until nine.", ["Absolutely. We are open until nine."]),
        ("Good morning to you, Ann. Yes. It is seven.", ["Good morning to you, Ann.", "Yes. It is seven."]),
        ("## Menu\n\n1. Soup\n2. Fish with potatoes\n", ["## Menu\n1. Soup\n2. Fish with potatoes"]),
        ("はい。そうです。では、またあした来てください。", ["はい。そうです。", "では、またあした来てください。"]),
        ("감사합니다. 내일 아침에 다시 전화해 주세요.", ["감사합니다. 내일 아침에 다시 전화해 주세요."]),
        (
            "😀 **Hi!** [x](https://example.com/a-long-address) Then we go.",
            ["😀 **Hi!** [x](https://example.com/a-long-address) Then we go."],
        ),
        ("OK", ["OK"]),
    ],
)
def test_a_short_sentence_goes_with_the_next_one(text: str, sentences: list[str]) -> None:
    """A voice makes gibberish of a single word."""
    assert _cut([text], alone_chars=ALONE_CHARS) == sentences
    assert _cut(list(text), alone_chars=ALONE_CHARS) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Run this:\n```sh\nls -l\n\nrm x\n```\nThen stop it.", ["Run this:", "Then stop it."]),
        ("One.\n~~~\n``` is no end\n~~~\nTwo.", ["One.", "Two."]),
        ("One.\n  ````\n```\n````  \nTwo.", ["One.", "Two."]),
        ("One.\n```\nnever closed. Really.", ["One."]),
        ("```\nx = 1\n```", []),
        ("```ls``` lists files. So do it.", ["```ls``` lists files.", "So do it."]),
        ("Say `x` or ``y``, or ~5, or ~~z~~.", ["Say `x` or ``y``, or ~5, or ~~z~~."]),
        ("```\nx\n```\r\nDone.\n\n```", ["Done."]),
    ],
)
def test_a_block_of_code_is_no_sentence(text: str, sentences: list[str]) -> None:
    assert _cut([text]) == sentences
    assert _cut(list(text)) == sentences


@given(TEXTS, st.data())
def test_the_cuts_do_not_depend_on_the_deltas_whatever_is_joined(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    assert _cut([text[:at], text[at:]], alone_chars=ALONE_CHARS) == _cut(list(text), alone_chars=ALONE_CHARS)


@pytest.mark.parametrize("tail", ["😊", "—", "...", "", " \n"])
def test_a_tail_with_nothing_to_say_is_not_said(tail: str) -> None:
    assert _cut([f"Have a nice day! {tail}"]) == ["Have a nice day!"]
    assert _cut([tail]) == []


@given(TEXTS)
@example("." * 450 + "a")
@example("\u0301" * 450)
@example("one" + "-" * 450 + " two. " + "=" * 450)
def test_no_character_is_lost_or_repeated_but_what_cannot_be_said(text: str) -> None:
    left = _bare(text)
    for sentence in _cut([text]):
        dropped, said, left = left.partition(_bare(sentence))
        assert said
        assert not any(character.isalnum() for character in dropped)
        assert not dropped or weight(dropped) > LEAST_CHARS
    assert not any(character.isalnum() for character in left)


@pytest.mark.parametrize("rule", ["-" * 700, "| --- | --- |" * 60, "." * 450, "😊" * 150])
def test_what_cannot_be_said_is_no_sentence_however_long(rule: str) -> None:
    """A voice refuses it, and three refusals in a row end a call."""
    assert [sentence[-5:] for sentence in _cut([f"One. {rule} Two. {rule}"])] == ["One.", " Two."]


@given(TEXTS, st.data())
def test_the_cuts_do_not_depend_on_the_deltas(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    deltas = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    whole = _cut([text])
    assert _cut(deltas) == whole
    assert _cut(list(text)) == whole


@given(TEXTS)
def test_every_sentence_is_bounded_and_trimmed(text: str) -> None:
    for sentence in _cut([text]):
        assert 0 < weight(sentence) <= MAX_CHARS
        assert sentence == sentence.strip()


def _cut(deltas: list[str], *, first_chars: int = FIRST_CHARS, alone_chars: int = 0) -> list[str]:
    cutter = SentenceCutter(first_chars=first_chars, alone_chars=alone_chars)
    sentences = [sentence for delta in deltas for sentence in cutter.feed(delta)]
    return sentences + cutter.end()


@given(TEXTS)
def test_halves_lose_nothing(text: str) -> None:
    parts = halves(text)
    assert parts is None or _bare("".join(parts)) == _bare(text)


def _bare(text: str) -> str:
    return "".join(text.split())
