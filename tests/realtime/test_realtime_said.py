"""What words mean: goodbyes that are said and not mentioned, questions, waits that a server states, halves of characters."""

# ruff: noqa: RUF001

import json
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from adapters.realtime.said import BACKCHANNELS, GOODBYES, asks, is_one_of, says_goodbye
from adapters.realtime.surrogates import Pieces, whole
from adapters.seam.waits import duration_ms, stated_wait_ms, wait_in

SAID = [
    "Goodbye!",
    "Thank you for calling. Good-bye",
    "It was nice. Bye-bye! 👋",
    "Have a nice day!",
    "GOODBYE...",
    "Bye!",
    "Tschüss!",
    "Bonne journée et au revoir.",
    "Merci. Bonne journe\u0301e !",
    "¡Adiós!",
    "תודה, להתראות",
    "So, goodbye, Dr Who!",
    "Bye now!",
    "Thanks for calling Bluebird Cycles, goodbye!",
    "Goodbye for now.",
    "Thank you for calling Bluebird and goodbye.",
    "Goodbye Robin.",
    "I wish you a nice evening, bye!",
    "Ich wünsche Ihnen einen schönen Tag noch.",
    "Okay, bye then!",
    "Je vous souhaite une bonne journée.",
    "Auf Wiederhören, Frau Müller!",
    "Goodbye - and take care!",
    "Thanks again, have a great day ahead!",
    "I hope you have a great day.",
    "We'll talk to you soon!",
    "Alright. Talk to you soon, Robin. Bye.",
    "Goodbye, and thanks for calling.",
    "You're all set, goodbye!",
    "Have a nice day at work!",
    "Bye bye, and see you on Friday.",
    "Well then, goodbye everyone!",
    "Hasta luego, María.",
    "All done then. Goodbye, Mrs. Robinson!",
    "Bye! Speak to you on the phone soon, then. Bye!",
    "Goodbye! See you tomorrow.",
    "Auf Wiedersehen. Bis bald!",
    "Goodbye. Stay safe. Take care.",
    "Have a wonderful day!",
    "Thank you for choosing Bluebird. Have a lovely evening!",
    "Goodbye from all of us at Bluebird Cycles!",
    "I wish you a good night.",
    '"Goodbye!"',
    "Einen schönen Abend noch!",
    "Bonne soirée !",
    "Que tenga un buen día.",
    "Fijne dag nog!",
    "Farvel!",
    "Na shledanou.",
    "Viszontlátásra!",
    "La revedere!",
    "Näkemiin!",
    "Αντίο σας!",
    "Hoşça kalın!",
    "תודה ולהתראות!",
    "धन्यवाद, अलविदा!",
    "谢谢您的来电，再见！",
    "お電話ありがとうございました。さようなら。",
    "감사합니다. 안녕히 계세요!",
    "ลาก่อนค่ะ",
    "Tạm biệt!",
    "Bye! See you on Monday.",
    "Goodbye. Speak to you at ten tomorrow.",
    "Obrigado pela chamada. Até logo!",
    "You're welcome, have a great rest of your day!",
    "Have a nice day out there!",
    "Que tenga un buen día, señora.",
    "Tenga un buen día señora.",
]
MENTIONED = [
    "Just say goodbye when you are done. Thank you.",
    "Goodbye! Okay, now let me see what I can do.",
    "Goodbye. Okay?",
    "You can say goodbye to long queues with our app.",
    "Whenever you want to finish, just say bye.",
    "Bye-laws forbid that.",
    "Our goodbye party is on Friday.",
    "The bye-bye discount is over.",
    "The song is called Goodbye.",
    "Never say goodbye.",
    "Goodbyes are hard.",
    "Kiss goodbye to paperwork.",
    "Sagen Sie Tschüss zu hohen Preisen.",
    "Dites au revoir aux factures.",
    "Diga adiós a los atascos.",
    'Say "goodbye" to hang up.',
    "Goodbye to rust and hello to shine.",
    "Say hello to savings and goodbye to fees.",
    "Thanks for saying bye.",
    "Goodbye is a sad word.",
    "The word bye means farewell.",
    "You will get a goodbye gift.",
    "Press one, or say goodbye.",
    "We'll talk to you soon about the contract.",
    "It is time to wave goodbye to waiting.",
    "The bye week is in May.",
    "Type bye to leave.",
    "Goodbye is a sad word. What else can I do?",
    "Before we say goodbye, do you need a receipt?",
    "Do you want to say goodbye\uff1f",
    "Bye. Oh, wait, there is one more thing.",
    "I am standing by.",
    "He is a bystander.",
    "Please hold.",
    "The good night package costs fifty pounds.",
    "A good night starts with our pillow.",
    "We take care of that.",
    "Please take care of the door.",
    "The parcel should see you soon, Robin said.",
    "„Auf Wiedersehen“ sagt man am Ende.",
    "「さようなら」と言ってください。",
    "请说“再见”来结束通话。",
    "Tell them goodbye from me.",
    "Goodbye from the Hill is a novel.",
    "We have a good day rate of 50 dollars.",
    "We close at five, so have a good day planned.",
    "Is your day good? Have a good day pass.",
    "Bye. See your mail for the receipt.",
    "",
    "...",
]


@pytest.mark.parametrize("text", SAID)
def test_a_goodbye_that_is_said_ends_the_call(text: str) -> None:
    """R46: in the last sentence of the final transcript."""
    assert says_goodbye(text, GOODBYES)


@pytest.mark.parametrize("text", MENTIONED)
def test_a_goodbye_that_is_mentioned_ends_nothing(text: str) -> None:
    """R99."""
    assert not says_goodbye(text, GOODBYES)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        *[("Shall I book it?", True), ("Am I speaking with Robin\uff1f", True), ('He asked: "Ready?"', True), ("هل أنت جاهز؟", True)],
        *[("Είσαι έτοιμος\u037e", True), ("Is it? Yes.", False), ("Yes.", False), ("", False), ("What is it? (Tell me!)", False)],
    ],
)
def test_what_ends_in_a_question_asks(text: str, question: bool) -> None:
    """R94."""
    assert asks(text) is question


@pytest.mark.parametrize(
    ("words", "wait_ms"),
    [
        *[("Limit 40000, Used 39000. Please try again in 2.5s. Visit https://example.org", 2_500), ("try again in 20ms.", 20)],
        *[("Please try again in 1m12.5s.", 72_500), ("try again in 2 seconds", 2_000), ("Please retry after 3 seconds.", 3_000)],
        *[
            ("Retry-After: 4", 4_000),
            ("wait 1 minute and retry", 60_000),
            ("Please wait 7 more seconds", 7_000),
            ("try again in 1h", 3_600_000),
        ],
        *[("The next request is allowed in 3s", 3_000), ("You can make another request in 3 seconds.", 3_000)],
        *[("Please try your request again in 4 seconds", 4_000), ("Expected available in 5 seconds.", 5_000)],
        *[("61 requests in 60 seconds are too many", 0), ("try again later (error 429)", 0), ("retry after error 429", 0)],
        *[("Your limit resets at 2026-11-29T08:00:00Z", 0), ("try again at 8:30", 0), ("try again after 12/01/2026", 0)],
        *[("Rate limit reached. Please try again later.", 0), ("", 0), ("Used 39000 of 40000.", 0), ("wait for 0.5s", 500)],
    ],
)
def test_the_wait_that_words_state_is_read(words: str, wait_ms: float) -> None:
    """R92."""
    assert wait_in(words) == pytest.approx(wait_ms)


@pytest.mark.parametrize(
    ("told", "wait_ms"),
    [
        *[({"error": {"retry_after": 2.5}}, 2_500), ({"status_details": {"error": {"retry-after-ms": "1500"}}}, 1_500)],
        *[({"headers": {"Retry-After": "3"}}, 3_000), ({"retryAfter": 1}, 1_000), ({"retry_after_seconds": 4}, 4_000)],
        *[({"error": {"message": "try again in 2s"}}, 2_000), ({"error": {"details": [{"retryDelay": "9s"}]}}, 9_000)],
        *[({"headers": {"x-ratelimit-reset-tokens": "2.5s"}}, 2_500), ({"x-ratelimit-reset-requests": "6m0s"}, 360_000)],
        *[({"headers": {"x-ratelimit-reset-tokens": "9s", "retry-after": "2"}}, 2_000), ({"ratelimit-reset": 7}, 7_000)],
        *[({"retryDelay": {"seconds": 2, "nanos": 500_000_000}}, 2_500), ({"retry_after": {"milliseconds": 1500}}, 1_500)],
        *[
            ({"retry_after": "PT2.5S"}, 2_500),
            ({"retry_after": "PT1M2S"}, 62_000),
            ({"cooldown_seconds": 3}, 3_000),
            ({"backoff_ms": 700}, 700),
        ],
        *[
            ({"retry_after_timestamp": 1_764_400_000}, 0),
            ({"backoff_factor": 2}, 0),
            ({"x-ratelimit-reset": 1_764_400_000}, 0),
            ({"retry_after": {}}, 0),
        ],
        *[({"error": {"code": "rate"}}, 0), ({"retry_after": None}, 0), ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0)],
        *[({"retry_after_ms": float("nan")}, 0), ({"retry_after": -3}, 0), ({"retry_after": True}, 0), ("try again in 2s", 0), (None, 0)],
    ],
)
def test_the_wait_that_a_field_states_is_read_wherever_it_stands(told: object, wait_ms: float) -> None:
    """R92."""
    assert stated_wait_ms(told) == pytest.approx(wait_ms)


@given(text=st.text(), cuts=st.lists(st.integers(0, 20), max_size=5))
def test_a_text_whose_characters_are_cut_in_halves_is_put_together_again(text: str, cuts: list[int]) -> None:
    units = text.encode("utf-16-le", "surrogatepass")
    halves = [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]
    places = [0, *sorted(min(cut, len(halves)) for cut in cuts), len(halves)]
    pieces = Pieces()
    deltas = ["".join(halves[start:end]) for start, end in pairwise(places)]
    joined = "".join(pieces.join("a", delta) for delta in deltas)
    joined.encode()
    assert joined == whole(text) or (text[-1] >= "\ud800" and joined == whole(text[:-1]))


def test_a_half_alone_is_replaced_and_spoils_nothing() -> None:
    assert whole("a\ud83d b\ude00") == "a\ufffd b\ufffd"
    assert whole(json.loads('"\\ud83d\\ude00"')) == "😀"
    pieces = Pieces()
    assert [pieces.join("a", "x\ud83d"), pieces.join("b", "y"), pieces.join("a", "\ude00z")] == ["x", "y", "😀z"]


def test_of_a_text_without_end_only_its_end_is_looked_at() -> None:
    """R106: each word costs, and the words of an answer are looked at while every other call waits."""
    endless = "and so it went on and on " * 2_000
    assert says_goodbye(endless + ". Goodbye!", GOODBYES)
    assert not says_goodbye("Goodbye! " + endless, GOODBYES)
    assert asks(endless + ". Are you there?")
    assert not is_one_of("okay " * 20_000, BACKCHANNELS)


NOW_S = 1_795_970_000.0
"""Sun, 29 Nov 2026 16:33:20 GMT."""


@pytest.mark.parametrize(
    ("told", "wait_ms"),
    [
        *[({"x-ratelimit-reset": 1_795_970_030}, 30_000), ({"x-ratelimit-reset-requests": "1795970030"}, 30_000)],
        *[({"x-ratelimit-reset": 1_795_970_002_500}, 2_500), ({"error": {"resets_at": 1_795_970_004.5}}, 4_500)],
        *[({"Retry-After": "Sun, 29 Nov 2026 16:33:50 GMT"}, 30_000), ({"reset_at": "2026-11-29T16:33:25.5Z"}, 5_500)],
        *[({"anthropic-ratelimit-tokens-reset": "2026-11-29T17:33:22+01:00"}, 2_000), ({"retry_at": "2026-11-29T16:33:21Z"}, 1_000)],
        *[({"retry_after": "00:00:20"}, 20_000), ({"retry_after": "1:30"}, 90_000), ({"retry_after": "P0DT0H1M2.5S"}, 62_500)],
        *[({"RateLimit": "limit=10, remaining=0, reset=12"}, 12_000), ({"ratelimit": '"default";r=0;t=7'}, 7_000)],
        (
            {
                "x-ratelimit-remaining-requests": "9",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360_000,
        ),
        *[({"retry_after": "2026-11-29"}, 0), ({"retry_after": "soon, perhaps"}, 0), ({"x-ratelimit-reset": 1_795_969_000}, 0)],
        *[({"reset_at": "2026-13-99T99:99:99Z"}, 0), ({"Retry-After": "Sun,"}, 0), ({"x-ratelimit-reset": True}, 0)],
    ],
)
def test_a_wait_that_is_a_time_or_a_duration_is_read_in_every_form_that_needs_no_language(told: object, wait_ms: float) -> None:
    """R92: by our clock, or by that of the answer."""
    assert stated_wait_ms(told, NOW_S) == pytest.approx(wait_ms)


@pytest.mark.parametrize(
    ("words", "wait_ms"),
    [
        *[("Attendez 30s.", 30_000), ("Bitte in 20 s erneut versuchen", 20_000), ("Limite 3 par 60 s. R\u00e9essayez dans 12.5s.", 12_500)],
        *[("\u8bf7\u572820s\u540e\u91cd\u8bd5", 20_000), ("Erneut nach 1m30s", 90_000), ("2500ms", 2_500), ("PT1M30S", 90_000)],
        *[("1h 2m 3s", 3_723_000), ("wieder ab 2026-11-29T16:33:30Z", 10_000)],
        *[
            ("Limit 3/60s", 0),
            ("3 requests per 60 s", 0),
            ("limit 5m tokens, used 10M", 0),
            ("R\u00e9essayez dans 20 secondes", 0),
            ("", 0),
        ],
    ],
)
def test_a_duration_in_the_words_of_a_rate_limit_is_read_in_any_language(words: str, wait_ms: float) -> None:
    """R92: where it has a unit that is written the same everywhere; what stands before it is not read."""
    assert duration_ms({"error": {"message": words}}, NOW_S) == pytest.approx(wait_ms)
