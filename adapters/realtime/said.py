"""What words mean to a call: a goodbye, a question, a listener's word, a wish for silence; language knowledge, and nothing of the wire.

A goodbye is said, not mentioned (R99). In the last sentence the phrase is a clause of its own: before it stand only thanks and small words,
behind it a name or a "for now". "You can say goodbye to high prices", "just say bye when you are done" and "our bye-bye offer" end nothing.
Where it is in doubt nothing ends: a line that stays open is asked again, a wrong hang-up is not mended.
"""

import re
import unicodedata
from collections.abc import Sequence

import attrs

GOODBYES = (
    *("goodbye", "good bye", "bye", "bye bye", "good night", "farewell", "have a nice day", "have a great day", "have a good day"),
    *("have a wonderful day", "have a lovely day", "have a good one", "have a good evening", "have a nice evening", "have a great evening"),
    *("have a lovely evening", "have a nice weekend", "have a great weekend", "talk to you soon"),
    *("have a great rest of your day", "have a good rest of your day", "enjoy the rest of your day"),
    *("auf wiedersehen", "auf wiederhören", "tschüss", "schönen tag noch", "schönen abend noch", "au revoir", "bonne journée"),
    *(
        "bonne soirée",
        "adiós",
        "hasta luego",
        "tenga un buen día",
        "arrivederci",
        "buona giornata",
        "buona serata",
        "adeus",
        "tchau",
        "até logo",
    ),
    *("tot ziens", "fijne dag nog", "do widzenia", "hej då", "farvel", "ha det bra", "näkemiin", "na shledanou", "dovidenia"),
    *("viszontlátásra", "la revedere", "αντίο", "αντίο σας", "hoşça kalın", "до свидания", "до побачення", "довиждане"),  # noqa: RUF001
    *("להתראות", "ולהתראות", "ביי", "مع السلامة", "अलविदा", "ลาก่อน", "ลาก่อนค่ะ", "ลาก่อนครับ", "tạm biệt", "sampai jumpa"),
    *("再见", "再見", "拜拜", "さようなら", "안녕히 계세요", "안녕히 가세요"),
)
"""Phrases that end a call when the agent says them last; a setting, since every product says goodbye in its own way (R46)."""

BACKCHANNELS = (
    *("mm-hm", "mmhm", "mhm", "mm", "hm", "uh-huh", "uh huh", "aha", "yeah", "yep", "right", "okay", "ok", "i see", "sure"),
    *("ja", "genau", "ach so", "oui", "d'accord", "sí", "claro", "certo", "si", "tá", "hai", "да"),
)
"""A listener's words: over the agent's voice they are no turn, in silence they are (R29)."""
DISMISSALS = ("stop", "be quiet", "quiet", "quiet please", "shut up", "hold on", "wait", "sei still", "stopp", "halt", "silence", "cállate")
"""What silences the agent and wants no answer (R25)."""

_QUESTION_MARKS = ("?", "؟", "\u037e", "\u055e", "⁇")
"""How a question ends; a full-width one is made plain first."""
_QUOTES = '"“”„«»‹›‚「」『』'  # noqa: RUF001
_APART = ",;:、،؛()[]—–…¡¿" + _QUOTES  # noqa: RUF001
"""What parts two clauses; so does a dash between blanks."""


def _set(line: str) -> frozenset[str]:
    return frozenset(line.split())


_AND = _set("and und et y e en och и")
"""What joins two clauses."""
_SMALL = _set(
    "so well ok okay alright all right then now good great perfect fine wonderful lovely yes no oh ah take care thanks thank you very much "
    "again please i we i'll we'll will everyone dear also na gut schön ja nein danke vielen dank alors bon bien merci beaucoup pues "
    "entonces vale gracias muchas allora va bene grazie então bom obrigado obrigada dus goed dank je u wel ну хорошо спасибо תודה شكرا"
)
"""What may stand before a goodbye."""
_THANKS = _set("thank thanks danke vielen merci gracias muchas grazie obrigado obrigada dank bedankt dziękuję tack спасибо תודה شكرا")
"""A clause that begins with thanks may be long before it comes to its goodbye."""
_MENTIONS = _set(
    "say says saying said tell type write press hear wave kiss word words song called when if until before after without our your his her "
    "their my a an the this that no not never sagen sagt sag sagst dire dites dit decir diga digan dica zeg zeggen"
)
"""What shows that a word is spoken of."""
_AFTER = _set(
    "now then for everyone everybody all folks friend friends sir madam ma'am dear my again today tonight tomorrow until next time there "
    "you soon ahead too and moment bis bald heute noch à bientôt hasta pronto a presto até logo señor señora madame monsieur"
)
"""What may stand behind a goodbye, besides a name."""
_ABOUT = _set("to about if when on with regarding as because is are was means says zu mit à aux a alla con wenn quand si")
"""What behind a phrase shows that it is spoken of."""
_WHERE = _set("at in out over up wherever")
"""What else may begin what stands behind a long one: "have a nice day at work"."""
_UNTIL = (["see", "you"], ["talk", "to", "you"], ["speak", "to", "you"])
"""How a sentence behind a goodbye begins that says until when."""
_PARTING = _set("talk to speak see catch later safe stay enjoy drive safely be well")
"""What else a sentence behind a goodbye may hold."""
_TITLE = re.compile(r"\b(Mr|Mrs|Ms|Dr|Prof|St|Hr|Fr|Sr|Sra|Mme|Mlle)\.(?=\s+[^\W\d_])")
_WISHES = frozenset(("bonne journée", "bonne soirée", "buona giornata", "buona serata", "good night"))
"""Short wishes: they may stand within a sentence, "I wish you a …"."""
_WISH = _set("wish wishing hope souhaite souhaitons auguro auguriamo")
"""What shows that a short one is wished."""
_ENDING = 1_000
"""How many characters of a text are looked at: an end that is longer says nothing short, and each word costs (R106)."""
_LONG_PHRASE, _MOST_BEFORE, _MOST_AFTER, _MOST_PARTING = 3, 6, 4, 5


def is_one_of(text: str, phrases: Sequence[str]) -> bool:
    """Is `text` one of the phrases, said once or several times, whatever its case and punctuation?"""
    words = words_of(text) if len(text) <= _ENDING else ""
    return bool(words) and any(not words.replace(phrase, "").strip() for phrase in map(words_of, phrases) if phrase in words)


def says_goodbye(text: str, phrases: Sequence[str]) -> bool:
    """Does `text` say one of the phrases at its end? A question never does: it awaits an answer (R46, R99).

    Behind the sentence that says it may stand short wishes for the way: "Bye! Talk soon."
    """
    for sentence in reversed(_sentences(text[-_ENDING:])):
        if _is_question(sentence):
            return False
        words = _tokens(sentence)
        if any(_says(words, phrase.split()) for phrase in map(words_of, phrases)):
            return True
        if not _is_parting([token.word for token in words if token.word]):
            return False
    return False


def asks(text: str) -> bool:
    """Does `text` end in a question, so that a short word is an answer to it (R94)?"""
    return _is_question(_last_sentence(text[-_ENDING:]))


def words_of(text: str) -> str:
    """The words of a text in small letters, one blank between them, without punctuation."""
    return " ".join(re.findall(_WORD, _plain(text).casefold()))


_WORD = r"[^\W_]+(?:'[^\W_]+)*"


@attrs.frozen
class _Token:
    """A word of a sentence, and what stands before it."""

    word: str
    is_name: bool
    """Does it not begin with a small letter, in a script that has one?"""
    joined: bool = False
    apart: bool = False
    quoted: bool = False


def _tokens(sentence: str) -> list[_Token]:
    """The words of a sentence; a last one that is empty holds what stands behind them."""
    found, end = [], 0
    for match in re.finditer(_WORD + r"|$", sentence):
        between, word = sentence[end : match.start()], match[0]
        end = match.end()
        apart = any(sign in between for sign in _APART) or bool(re.search(r"\s-+\s", between))
        found.append(
            _Token(
                word=word.casefold(),
                is_name=not word[:1].islower(),
                joined=between in {"-", "\u2010", "\u2011"},
                apart=apart,
                quoted=any(sign in between for sign in _QUOTES),
            )
        )
    return found


def _says(tokens: list[_Token], phrase: list[str]) -> bool:
    """Is the phrase said somewhere in these words, the last of which is the end?"""
    last = len(tokens) - 1
    for start in range(last - len(phrase) + 1):
        end = start + len(phrase)
        if [token.word for token in tokens[start:end]] != phrase or tokens[start].joined or (end < last and tokens[end].joined):
            continue
        first, after = start, end
        while first and not tokens[first].apart and tokens[first - 1].word not in _AND:
            first -= 1
        while after < last and not tokens[after].apart and tokens[after].word not in _AND:
            after += 1
        if tokens[start].quoted and tokens[end].quoted and (start or end < last):
            continue
        before = [token.word for token in tokens[first:start]]
        if _may_precede(before, phrase) and _may_follow(tokens[end:after], phrase):
            return True
    return False


def _may_precede(before: list[str], phrase: list[str]) -> bool:
    """May these words stand before a goodbye in its clause?"""
    if all(word in _SMALL for word in before):
        return True
    if before[0] in _THANKS:
        return _MENTIONS.isdisjoint(before)
    wished = len(phrase) >= _LONG_PHRASE or (" ".join(phrase) in _WISHES and not _WISH.isdisjoint(before))
    return wished and len(before) <= _MOST_BEFORE and not {"say", "if", "when", "our", "never", "not"} & set(before)


def _may_follow(after: list[_Token], phrase: list[str]) -> bool:
    """May these words stand behind a goodbye in its clause?"""
    if not after:
        return True
    if after[0].word == "from":
        return _ABOUT.isdisjoint(token.word for token in after)
    if len(after) > _MOST_AFTER or after[0].word in _ABOUT - _AFTER:
        return False
    if len(phrase) >= _LONG_PHRASE:
        return after[0].is_name or after[0].word in _AFTER | _WHERE
    return all(token.is_name or token.word in _AFTER for token in after)


def _is_parting(words: list[str]) -> bool:
    """Are these the few words that one adds to a goodbye?"""
    if any(words[: len(until)] == until for until in _UNTIL):
        return len(words) <= _MOST_PARTING + 1
    return len(words) <= _MOST_PARTING and all(word in _SMALL or word in _AFTER or word in _PARTING for word in words)


def _last_sentence(text: str) -> str:
    """The last sentence with a word in it, with its stops."""
    spoken = _sentences(text)
    return spoken[-1] if spoken else ""


def _sentences(text: str) -> list[str]:
    """The sentences with a word in them, each with its stops; that of a title ends none: "Goodbye, Mr. Smith"."""
    plain = re.sub(_TITLE, r"\1", _plain(text))
    return [sentence for sentence in re.findall(r"[^.!?。؟\u037e\u055e⁇]+[.!?。؟\u037e\u055e⁇]*", plain) if words_of(sentence)]


def _is_question(sentence: str) -> bool:
    return sentence.rstrip(" \n\t)]" + _QUOTES + "'*_").endswith(_QUESTION_MARKS)


def _plain(text: str) -> str:
    """The text with one form for each letter, mark and apostrophe."""
    greek = text.replace("\u037e", "?")
    return unicodedata.normalize("NFKC", greek).replace("\u2019", "'")
