"""Cuts text that arrives in pieces into sentences that a voice can say; pure, one character at a time, no clock and no I/O.

A cut depends on the characters alone, never on how they were split into deltas, since nothing is decided before the
character after a full stop has been seen: "3." may go on as "3.50", and "9 a.m." may go on in lower case.

Length is counted by how long it takes to say: a letter is 1, a Chinese, Japanese or Korean character is 3 (`weight`).
"""

import re
import unicodedata

from adapters.text.spoken import spoken

MAX_CHARS = 200
"""A text without a full stop is cut at this length: some 12 s of speech, and a bound on what is remembered (R07)."""
LEAST_CHARS = 60
"""A cut for length leaves at least this much before it, so that "Well," is not a sentence, as long as there is a place to cut."""
FIRST_CHARS = 40
"""The first sentence ends at a comma beyond this length, some 2.5 s of speech: its sound is out while the rest is synthesised."""
ALONE_CHARS = 15
"""Of fewer letters than this, or of one word, nothing is said alone while more is to come: a voice makes gibberish of it (R100)."""
MAX_LINK_CHARS = 2_000
"""A link is not cut within this length: half of an address is no word."""

_OPEN_STOPS = frozenset(".!?…")
"""These end a sentence only before a space."""
_FIRM_STOPS = frozenset("。！？｡．؟۔।॥።။។།\u0589\u037e")  # noqa: RUF001
"""These end a sentence whatever comes after: scripts without spaces, and stops that have no other use."""
_STOPS = _OPEN_STOPS | _FIRM_STOPS
_CLOSERS = frozenset("\"'”’»›“‘«‹)]}」』】）*_")  # noqa: RUF001
"""What may stand between a stop and the end of its sentence: “ and « close in German; the last two are Markdown's."""
_PAUSES = frozenset(",;:،؛—–")  # noqa: RUF001
"""Where to cut for length, before a space."""
_FIRM_PAUSES = frozenset("、，；：")  # noqa: RUF001
"""Where to cut for length, before anything."""


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


_TITLES = _words(
    "mr mrs ms mx dr prof rev hon gen col capt cmdr lt sgt maj gov sen rep pres st mt ft vs cf viz e.g i.e "
    "hr fr frl dipl ing inkl exkl bzw evtl ggf vgl sog mme mlle mgr sr sra srta dra ud uds ee ej dott avv sig exmo exma "
    "dhr mevr mw drs bijv sn г ул им проф др np tzn"  # noqa: RUF001
)
"""Abbreviations that something always follows: English, German, French, Spanish, Italian, Portuguese, Dutch, Russian, Polish."""
_BEFORE_NUMBERS = _words(
    "no nos nr núm num fig vol p pp pag pág págs ch cap kap sec art abs op approx ca env tel tél ext str стр "
    "jan feb mar apr jun jul aug sep sept oct nov dec okt dez janv févr juil déc ene abr ago dic gen"
)
"""Abbreviations when a digit follows; otherwise words: "No. I can't." is two sentences."""
_BEFORE_ORDINALS = _words("am im vom zum zur beim der dem den des die das ab bis seit")
"""German words before an ordinal, which is written with a full stop: "am 3. Mai", "der 2. Weltkrieg"."""
_HOURS = _words("a.m p.m")
"""Dotted abbreviations that do end a sentence before a capital letter; "U.S. Senate" is one sentence's."""


_THOUGHTS = (("<think>", "<thinking>"), ("</think>", "</thinking>"))
"""What thoughts begin with, and end with."""


class SentenceCutter:
    """One response's text, delta by delta; every character comes out once, in order, spaces and line breaks aside.

    The exceptions have nothing to say in them: an emoji, a dash or a table's rule goes with the words that follow, and is dropped at the
    end, or when it is longer than a sentence, as a voice would refuse it; the lines of a block of code are dropped, and so is what a
    model thinks (`<think>`). A sentence that is too short to be said alone goes with the next one; a line break between them stays.
    """

    def __init__(self, *, first_chars: int = FIRST_CHARS, alone_chars: int = ALONE_CHARS) -> None:
        """Begin with no text; the first sentence may end at a comma beyond `first_chars`, and never does with 0.

        With fewer than `alone_chars` letters a sentence waits for the next one; with 0 none waits.
        """
        self._first_chars, self._alone_chars = first_chars, alone_chars
        self._text = ""
        self._begun = False
        self._thoughts = _Thoughts()
        self._fences = _Fences()

    def feed(self, delta: str) -> list[str]:
        """The sentences that these characters complete, usually none or one, without spaces at their ends."""
        return [sentence for character in delta for sentence in self._take_outside(self._thoughts.outside(character))]

    def end(self) -> list[str]:
        """The last sentence, if anything is left to say; the cutter can then begin another text."""
        done = [*self._take_outside(self._thoughts.end()), *self._take_all(self._fences.end())]
        rest, self._text, self._begun = self._text.strip(), "", False
        return [*done, rest] if self._sayable(rest) else done

    def _take_outside(self, characters: str) -> list[str]:
        return [sentence for character in characters for sentence in self._take_all(self._fences.outside(character))]

    def _take_all(self, characters: str) -> list[str]:
        return [sentence for character in characters if (sentence := self._take(character))]

    def _sayable(self, text: str, chars: int = 0) -> bool:
        """Is there anything to say in it, and is it so long that it can be said alone?"""
        if not self._alone_chars or not _speakable(text):
            return _speakable(text)
        words = spoken(text)
        letters = sum(weight(character) for character in words if character.isalnum())
        return letters > 0 if not chars else letters >= chars and (letters >= 2 * chars or len(re.findall(r"[\w']+", words)) > 1)

    def _take(self, character: str) -> str:
        """Add one character; the sentence that it completes, or an empty string."""
        if character.isspace():
            ends = character in "\n\r\u2028\u2029"
            if ends and self._sayable(self._text, self._alone_chars):
                return self._cut(len(self._text))
            if ends and self._alone_chars:
                self._text = self._text.rstrip()
            if not self._text or self._text[-1].isspace():
                return ""
            character = "\n" if ends and self._alone_chars else " "
        self._text += character
        if (at := _sentence_end(self._text)) and self._sayable(self._text[:at], self._alone_chars):
            return self._cut(at)
        if self._first_chars and not self._begun and _is_pause(self._text) and weight(self._text) > self._first_chars:
            return self._cut(len(self._text) - 1)
        if weight(self._text) > MAX_CHARS and not _in_link(self._text):
            sentence = self._cut(_cut_for_length(self._text))
            return sentence if self._sayable(sentence) else ""
        return ""

    def _cut(self, at: int) -> str:
        sentence, self._text, self._begun = self._text[:at].strip(), self._text[at:].lstrip(), True
        return sentence


class _Thoughts:
    """Keeps back what a reasoning model thinks, from `<think>` to `</think>`, where its server passes that on."""

    def __init__(self) -> None:
        self._tag = ""
        """A tag as far as it has come, while it may be one of ours."""
        self._inside = False

    def outside(self, character: str) -> str:
        """The characters that now turn out to be no thought."""
        before = ""
        if character == "<":
            before, self._tag = self._tag, character
        elif not self._tag:
            return "" if self._inside else character
        else:
            self._tag += character
        tag = self._tag.lower()
        if tag in _THOUGHTS[self._inside]:
            self._tag, self._inside = "", not self._inside
        elif not any(known.startswith(tag) for known in _THOUGHTS[self._inside]):
            before, self._tag = before + self._tag, ""
        return "" if self._inside else before

    def end(self) -> str:
        """The same, when no more is to come."""
        tag, self._tag, inside, self._inside = self._tag, "", self._inside, False
        return "" if inside else tag


class _Fences:
    """Keeps the lines of a block of code back: from a line of three backticks or tildes to the next such line."""

    def __init__(self) -> None:
        self._line: str | None = ""
        """The line as far as it has come, while it may be a fence; None when it is none."""
        self._fence = ""
        """The fence that opened the block that we are in."""

    def outside(self, character: str) -> str:
        """The characters that now turn out to be outside of any block."""
        if character in "\n\r":
            line, self._line = self._line, ""
            mark = _fence_in(line) if line else ""
            if self._fence:
                self._fence = "" if mark.startswith(self._fence) and line is not None and line.strip() == mark else self._fence
                return ""
            self._fence = mark
            return character if mark or line is None else line + character
        if self._line is None:
            return "" if self._fence else character
        line, self._line = self._line + character, None
        if _may_be_fence(line):
            self._line = line
            return ""
        return "" if self._fence else line

    def end(self) -> str:
        """The same, when no more is to come."""
        line, self._line, fence, self._fence = self._line, "", self._fence, ""
        return "" if fence or not line or _fence_in(line) else line


def _fence_in(line: str) -> str:
    """The fence that a line begins with; empty when it is none."""
    mark = line.strip()
    run = mark[: len(mark) - len(mark.lstrip(mark[:1]))]
    return run if run[:1] in ("`", "~") and len(run) >= 3 else ""


def _may_be_fence(line: str) -> bool:
    """May a line that begins so be a fence? What it says of the language holds no backtick."""
    mark = line.lstrip(" \t")
    if not mark:
        return len(line) <= 8
    run = len(mark) - len(mark.lstrip(mark[0]))
    if mark[0] not in "`~" or len(line) > MAX_CHARS:
        return False
    return run == len(mark) or (run >= 3 and "`" not in mark[run:])


def _in_link(text: str) -> bool:
    """Is the last word of a text a link whose end has not come?"""
    word = text.rsplit(None, 1)[-1]
    return not text[-1].isspace() and len(word) <= MAX_LINK_CHARS and ("://" in word or "](" in word or word.startswith("www."))


def weight(text: str) -> int:
    """How long a text takes to say, in letters: a wide character, a syllable or a word by itself, counts as 3."""
    if text.isascii():
        return len(text)
    return len(text) + 2 * sum(unicodedata.east_asian_width(character) in "WF" for character in text if character > "\u10ff")


def halves(text: str) -> tuple[str, str] | None:
    """A text in two, at the stop, the pause or the space nearest to its middle; None when it has no such place within it."""
    for marks, firm in ((_OPEN_STOPS, _FIRM_STOPS), (_PAUSES, _FIRM_PAUSES), (frozenset(), frozenset())):
        places = [at for at in range(1, len(text)) if _parts(text, at, marks, firm)]
        whole = [at for at in places if _speakable(text[:at]) and _speakable(text[at:])]
        if whole:
            _, middle = min((abs(2 * at - len(text)), at) for at in whole)
            return text[:middle].strip(), text[middle:].strip()
    return None


def _parts(text: str, at: int, marks: frozenset[str], firm: frozenset[str]) -> bool:
    """Does one of the marks stand before this place, the first sort with a space behind it? Without marks a space will do."""
    return text[at - 1] in firm or (text[at].isspace() and (not marks or text[at - 1] in marks))


def _sentence_end(text: str) -> int:
    """Where the sentence ends that the last character of `text` shows to be over; 0 when it shows nothing."""
    spaced = len(text) > 1 and text[-2] == " "
    end = len(text) - (2 if spaced else 1)
    stop = end
    while stop and text[stop - 1] in _CLOSERS:
        stop -= 1
    first = stop
    while first and text[first - 1] in _STOPS:
        first -= 1
    following = text[-1]
    if first == stop or not _speakable(text[:first]) or (not spaced and following in _STOPS | _CLOSERS):
        return 0
    if text[stop - 1] in _FIRM_STOPS:
        return end
    if not spaced or _goes_on(text[:first], text[first:stop], following, quoted=stop < end):
        return 0
    return end


def _goes_on(before: str, stops: str, following: str, *, quoted: bool) -> bool:
    """Is a stop before a space no end? `before` is the sentence up to it, `following` the first character after the space."""
    if following.islower():
        return quoted or stops not in {"!", "?"}
    if quoted or stops != ".":
        return False
    word = _last_word(before)
    if word.lower() in _TITLES or _is_enumerator(before):
        return True
    if following.isdigit():
        return word.lower() in _BEFORE_NUMBERS or "." in word
    if _is_ordinal(before, word):
        return True
    if "." in word:
        return word.lower() not in _HOURS and _is_dotted(word)
    return len(word) == 1 and word.isalpha() and (word != "I" or before.strip() == "I")


def _is_enumerator(before: str) -> bool:
    """Is all that there is of a line a list's number or letter: "1", "b"?"""
    mark = before.rsplit("\n", 1)[-1].strip(" *_-#(")
    return len(mark) <= 3 and (mark.isdigit() or len(mark) == 1)


def _is_dotted(word: str) -> bool:
    """Is it letters with full stops between them: U.S, Ph.D? An address ends in two: t.co."""
    *_, last = parts = word.split(".")
    return all(part.isalpha() and len(part) <= 2 for part in parts) and not (len(last) == 2 and last.islower())


def _is_ordinal(before: str, word: str) -> bool:
    """Is the number before a full stop a German ordinal: "am 3. Mai"? "I am 5." is not."""
    words = before.lower().rsplit(None, 3)
    return word.isdigit() and len(word) <= 2 and len(words) > 1 and words[-2] in _BEFORE_ORDINALS and words[-3:-2] != ["i"]


def _is_pause(text: str) -> bool:
    """Does the last character show that a clause is over?"""
    return len(text) > 1 and (text[-2] in _FIRM_PAUSES or (text[-1] == " " and text[-2] in _PAUSES)) and _speakable(text)


def _last_word(before: str) -> str:
    return before.rsplit(" ", 1)[-1].lstrip("\"'“‘«([{*_")  # noqa: RUF001


def _cut_for_length(text: str) -> int:
    """Where to cut a text that is too long: after its last pause, else at its last space, else between two letters."""
    least = 1
    while weight(text[:least]) < LEAST_CHARS:
        least += 1
    for at in range(len(text) - 1, least, -1):
        if text[at - 1] in _FIRM_PAUSES or (text[at] == " " and text[at - 1] in _PAUSES):
            return at
    for at in range(len(text) - 1, 0, -1):
        if text[at] == " " and _speakable(text[:at]):
            return at
    for at in range(len(text) - 1, least, -1):
        if not _joined(text[at - 1], text[at]):
            return at
    return len(text) - 1


def _joined(left: str, right: str) -> bool:
    """Would a cut between the two tear one visible sign apart?"""
    return unicodedata.category(right)[0] == "M" or "\u200d" in (left, right)


def _speakable(text: str) -> bool:
    """Is there a letter or a digit in it?"""
    return any(character.isalnum() for character in text)
