"""What a voice is to say of a text that a model wrote for the eye (R100): words, without markup, addresses, code, quotes, signs and emoji.

Markdown is read by markdown-it-py. Sentences are cut before, so half of a construct is common: what the parser leaves of its signs is
taken out here. Of a sign that is said as a word (a currency, a per cent, a degree, arithmetic between numbers) nothing is lost. Pure.
"""

# ruff: noqa: RUF001

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(["code", "html_block", "reference"])
_PAUSES = ".!?…,;:。！？，、；：،؛؟۔।"
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MOST_MARKS = 3_000
"""A text that is longer is no sentence; the parser is spared it, and its signs are taken out all the same."""


def spoken(text: str, sounds: Iterable[str] = ()) -> str:
    """The words of a text, in one line; empty when there is nothing to say in it.

    `sounds` are the names of what the voice can do between words, as "laugh": written [laugh], they stay.
    """
    # half of a surrogate pair, as a model may send it, has no bytes in UTF-8
    whole = _CONTROLS.sub(" ", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    whole = _DEFINITION.sub("", _FACES.sub(" ", _TOKEN.sub(" ", whole)))
    whole = _star_keys(whole)
    # between digits these are arithmetic, whatever Markdown makes of two of them
    whole = re.sub(r"(?<=\d)\*(?=\d)", "×", whole)
    said = _joined(_blocks(_MARKDOWN.parse(whole)) if len(whole) <= _MOST_MARKS else [whole])
    keeps = {name.lower() for name in sounds}
    for take_out in (_addresses, lambda part: _brackets(part, keeps), _signs, _quotes, _tidy):
        said = take_out(said)
    return said if any(character.isalnum() for character in said) else ""


_STAR = "\ue02a"
"""A star that is a key, until the signs of markup are gone."""
_DIALLED = re.compile(r"(?<![\w*])\*(?=#?\d+(?![\d*])(?!.*\w\*))")
"""A star with which a number begins: *67, *#06#."""
_PRESSED = re.compile(
    r"(?<!^)(?<=\s)(?:\*\*\\\*\*\*|\\?\*)(?=[\s.,;:!?)]|-\w|$)|(?<=[\"'“„«「『(\[`])\\?\*(?=[\"'”“»」』)\]`])|(?<=[按押])\*", re.MULTILINE
)
"""A star that stands alone in a line, where a bullet or an emphasis does not."""
_OF_KEYS = re.compile(
    r"(?<!\S)#(?!\w)|\b(?:press|push|hit|dial|key|keypad|drück|taste|wähl|appuye|touche|tape[zr]|compose[zr]|pulse|presion|marque|tecla|pressione"
    r"|prem[aei]|tasto|digit|druk|toets|naci[sś]|klawisz|нажм|нажат|клавиш|натисн|tuş|bas[ıi]n|stiskn|kláves|stlač|tryck|trykk?|knapp|paina"
    r"|apăs|nyomja|billenty|πατήστε|πλήκτρο|pritisn|tekan|nhấn|اضغط|הקש|לחץ|दबा)|[按键鍵押キ누กด]",
    re.IGNORECASE,
)
"""What shows that a text tells of keys, as far as they have a word or a sign of their own."""


def _star_keys(text: str) -> str:
    """Keep the stars that are keys of a telephone, or begin a number."""
    text = _DIALLED.sub(_STAR, text.replace(_STAR, " "))
    return _PRESSED.sub(_STAR, text) if _OF_KEYS.search(text) else text


# Markdown: blocks, and what is in a line.


def _blocks(tokens: Sequence[Token]) -> list[str]:
    """The text of each heading, paragraph, item and row; code in a block is left out."""
    found: list[str] = []
    number = ""
    cells: list[str] | None = None
    for token in tokens:
        match token.type:
            case "list_item_open":
                number = f"{token.info}{token.markup} " if token.info else ""
            case "tr_open":
                cells = []
            case "tr_close":
                found.append(", ".join(filter(None, cells or [])))
                cells = None
            case "inline" if cells is not None:
                cells.append(_line(token.children or []).strip())
            case "inline":
                found.append(number + _line(token.children or []))
                number = ""
    return found


def _line(tokens: Sequence[Token]) -> str:
    """What a line says; what is struck out in it is left out."""
    parts: list[str] = []
    struck = 0
    for token in tokens:
        struck += token.nesting if token.type in ("s_open", "s_close") else 0
        if struck:
            continue
        match token.type:
            case "text" | "code_inline":
                parts.append(token.content)
            case "image":
                parts.append(_line(token.children or []))
            case "softbreak" | "hardbreak":
                parts.append("\n")
            case "html_inline":
                parts.append("\n" if token.content[:3].lower() == "<br" else " ")
    return "".join(parts)


def _joined(blocks: Iterable[str]) -> str:
    """Blocks and lines one after the other, with a pause where there is none."""
    lines = [line.strip() for block in blocks for line in block.split("\n")]
    lines = [_row(line) for line in lines if any(character.isalnum() for character in line)]
    return " ".join(line if line[-1] in _PAUSES or at == len(lines) else line + _stop(line) for at, line in enumerate(lines, 1))


def _stop(line: str) -> str:
    return "。" if _is_wide(line[-1]) else "."


def _is_wide(character: str) -> bool:
    """Is it of a script that is written without spaces, as Chinese?"""
    return character.isalnum() and unicodedata.east_asian_width(character) in "WF" and not "\uac00" <= character <= "\ud7af"


def _row(line: str) -> str:
    """A table's row that came alone: its cells, with pauses between them."""
    return re.sub(r"\s*(?:\|\s*)+", ", ", line).strip(" ,") if "|" in line else line


# What is written for the eye.

_URL = re.compile(r"""(?:\b(?:https?|ftp|wss?)://|\bwww\.)[^\s<>"'`\[\]{}|\\^）】」，。、]+""", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.-])((?:[a-z0-9-]+\.)+[a-z]{2,24})(?::\d+)?/[^\s<>\"'`\[\]{}|)，。、]*", re.IGNORECASE)
_SCHEME = re.compile(r"\b(?:mailto|tel|sms):(?=\S)", re.IGNORECASE)
_REST_OF_LINK = re.compile(r"\]\s?\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)?")
_TOKEN = re.compile(r"<\|[^|<>]*\|>|\[/?INST\]|</?s>|^:::+[ \w]*$", re.MULTILINE)
"""A sign of the model's own, as <|end|>, or of its page's, as :::note."""
_FACES = re.compile(r"¯[\\_]*\(ツ\)[\\_/]*¯|[╯ヽ٩ლ]?\([^()\w]*[°ಠ•◕ʘ][^()]{0,6}[°ಠ•◕ʘ][^()\w]*\)[╯ノ۶ლ]?")
"""A face of many signs, as a shrug."""
_DEFINITION = re.compile(r"^\s*\[(?:[^\]\n]+\]:\s+\S+://.*$|\^[^\]\n]*\]:)", re.MULTILINE)
"""Where a link's address is given apart, and what a footnote begins with."""
_BLOB = re.compile(r"(?<!\S)(?=\S*[0-9=+/_%&])[!-~]{40,}(?!\S)")
"""A key, a hash, the rest of an address."""


def _addresses(text: str) -> str:
    """Of a web address its host, of a link its words."""
    text = _REST_OF_LINK.sub("", text)
    text = _PATH.sub(lambda found: _after(found[0], found[1]), _URL.sub(_host, text))
    return _BLOB.sub(" ", _SCHEME.sub("", text))


def _host(found: re.Match[str]) -> str:
    url = found[0]
    host = re.split(r"[/?#]", re.sub(r"^[a-z]+://", "", url, flags=re.IGNORECASE), maxsplit=1)[0]
    host = re.sub(r"^www\.|:\d+$", "", host.rpartition("@")[2], flags=re.IGNORECASE).rstrip(_PAUSES + ")(")
    return _after(url, host)


def _after(url: str, host: str) -> str:
    """The host, and the stops behind the address that are the sentence's own."""
    end = url[len(url.rstrip(_PAUSES + ")")) :]
    return host + (end if end.count(")") > url.count("(") or ")" not in end else end.replace(")", ""))


_SOURCE = re.compile(r"【[^】]*[†‡:：][^】]*】|\[(?:\^[^\]\s]*|\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*|[xX ]?)\]")
"""A footnote's sign, a source's number, a box to tick."""


def _brackets(text: str, sounds: set[str]) -> str:
    def one(found: re.Match[str]) -> str:
        """A sound's brackets are hidden from what takes all others out."""
        return f"\x01{found[1]}\x02" if found[1].strip().lower() in sounds else found[1]

    text = re.sub(r"\[([^\[\]]*)\]", one, _SOURCE.sub("", text))
    return re.sub("[【】]", "", re.sub(r"[\[\]]", " ", text)).replace("\x01", "[").replace("\x02", "]")


_HIDDEN = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufe0e\ufe0f\u20e3\U000e0020-\U000e007f]")
_FACE = re.compile(r"(?<!\S)(?:[:;=][-o^']?[)(\]\[DPp3*/\\|]|<3|\^_?\^|[xX]D)(?=[\s.,!?]|$)")
_ARROW = re.compile(r"\s*(?:[-=]{1,2}>|<[-=]{1,2}|[←-⇿⟵-⟿➔-➾])\s*")
_SAID_SIGNS = frozenset("°℃℉№")
_MAILBOX = re.compile(r"[\w.+-]+@\w")
_ARITHMETIC = frozenset("+=<>±×÷−≈≤≥≠*^~")


def _signs(text: str) -> str:
    """Emoji, arrows, bullets and what is left of markup go; what is said as a word stays."""
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    text = _ARROW.sub(", ", _FACE.sub("", _HIDDEN.sub("", text)))
    text = re.sub(r"\s+[-–—]\s+(?!\d)|\s*-{2,}\s*|(?:^|\s+)[•▪◦‣●○■□·∙*+-]\s+(?![\d=])", ", ", text)
    text = re.sub(r"(?<=[A-Za-z])([~^])(\w{1,3})\1", r"\2", re.sub(r"(?<=\w)_(?=\w)", " ", text))
    text = re.sub(r"(?<=\w)(\s?)[~〜～]\1(?=\w)", "–", re.sub("\u0640+", "", text))
    text = re.sub(r"\$([^\s$\d](?:[^$]*[^\s$])?)\$(?!\d)", r"\1", text)
    text = re.sub(rf"(?<![\w&{_STAR}])(?:#(?=\w)|@(?=[^\W\d]))|(?<!\d)(?<!\d\s)\$(?!\s?\d)", "", text)
    return "".join(map(_sign_at(text), range(len(text))))


def _sign_at(text: str) -> Callable[[int], str]:
    """What is said of the character at a place."""

    def sign(at: int) -> str:
        character = text[at]
        if character == _STAR:
            return "*"
        if character.isalnum() or character in " $%&@#.,!?;:'()-":
            return character
        if character in "\u200c\u200d":
            # between letters they belong to a script, between emoji to those
            inside = 0 < at < len(text) - 1 and unicodedata.category(text[at - 1])[0] in "LM" and text[at + 1].isalpha()
            return character if inside else ""
        category = unicodedata.category(character)
        if character == "+" and _MAILBOX.match(text, at + 1):
            return character
        if character == "+" and "++" in (text[at - 1 : at + 1], text[at : at + 2]) and re.search(r"\w\+*$", text[:at]):
            return character
        if character == "^" and text[at - 1 : at].isdigit() and text[at + 1 : at + 2].isdigit():
            return character
        if character in _ARITHMETIC:
            if not (_beside(text, at, -1).isdigit() or character in "+<>≈≤≥±−") or not _beside(text, at, 1).isdigit():
                return "" if character in "*^~" else " "
            return "×" if character == "*" else "" if character in "^~" else character
        if character in "\\{}|`_†‡¶©®™":
            return " " if character in "{}|" else ""
        if category in ("So", "Co", "Cn") or (category == "Sk" and character != "´"):
            return character if character in _SAID_SIGNS else " "
        if category[0] in "CZ":
            return " "
        return character

    return sign


def _beside(text: str, at: int, step: int) -> str:
    """The next character that is no space and no currency, before or after a place; a space when there is none."""
    while 0 <= (at := at + step) < len(text):
        if not text[at].isspace() and unicodedata.category(text[at]) != "Sc":
            return text[at]
    return " "


_DOUBLE = re.compile('(?<=[א-ת])"(?=[א-ת])')
_SINGLE = re.compile(r"(?<![\w'’])['‘‚‛](?=\S)((?:[^'‘’‚]|(?<=\w)['’](?=\w))*?\S)['’‘](?:(?!\w)|(?=[가-힣ぁ-ヿ一-鿿]))")


def _quotes(text: str) -> str:
    """Quotes go, as some voices sigh at them; an apostrophe stays, and so does the sign in a Hebrew abbreviation."""
    text = re.sub("[\"“”„‟«»「」『』〝〞＂❝❞]|‹|›|''|``", "\x01", _DOUBLE.sub("״", text))
    text = re.sub("(?<=(\\w))\x01+(?=(\\w))", lambda found: "" if _is_wide(found[1]) or _is_wide(found[2]) else " ", text)
    return _SINGLE.sub(r"\1", text.replace("\x01", ""))


def _tidy(text: str) -> str:
    """Single spaces, no pause twice, none at the beginning, and no empty brackets."""
    text = re.sub(r"\(\s*[,;.]*\s*\)|（\s*）", "", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" (?=[.,!?…)](?:\W|$))|(?<=\() ", "", text)
    text = re.sub(r"(?:[,;] ?)+(?=[,;!?…:。！？，]|\.(?!\w))|(?<=[.!?…:。！？，;])(?: ?,)+", "", text)
    return re.sub(r"^(?:[\s,;:.)!?、，。·–—]|-(?!\d))+", "", text).rstrip(" ,&")
