"""Claims about what is said of a text: what models write in two dozen ways comes out as words, and plain words come out as they are."""

# ruff: noqa: RUF001, E501

import re
import unicodedata

import pytest
from hypothesis import given, strategies as st

from adapters.text.sentences import SentenceCutter
from adapters.text.spoken import spoken

WRITTEN = {
    "English": (
        "Sure! Here is what I found:\n\n## Opening hours\n\n- **Monday to Friday**: `9:00`–`17:30`\n- *Saturday*: 10 to 4\n\nSee [our calendar](https://shop.example/cal?d=1&m=2#top) or https://www.shop.example/book for more. 😀",
        [
            "Sure! Here is what I found:",
            "Opening hours. Monday to Friday: 9:00–17:30",
            "Saturday: 10 to 4. See our calendar or shop.example for more.",
        ],
    ),
    "German": (
        "Gern! **Öffnungszeiten:**\n1. Montag bis Freitag: 9–18 Uhr\n2. Samstag: „nach Vereinbarung“\n\nMehr unter [Termine](https://praxis.example/termine?x=1). Kostenpunkt: ca. 49,90 €. 👍",
        [
            "Gern! Öffnungszeiten:",
            "1. Montag bis Freitag: 9–18 Uhr",
            "2. Samstag: nach Vereinbarung",
            "Mehr unter Termine.",
            "Kostenpunkt: ca. 49,90 €.",
        ],
    ),
    "French": (
        "Bien sûr ! Voici les « tarifs » :\n\n| Service | Prix |\n|---|---:|\n| Vidange | 49,90 € |\n| Pneus | 4 × 80 € |\n\n> Les prix **n’incluent pas** la TVA (20 %).",
        ["Bien sûr! Voici les tarifs :", "Service, Prix. Vidange, 49,90 €", "Pneus, 4 × 80 €. Les prix n’incluent pas la TVA (20 %)."],
    ),
    "Spanish": (
        "¡Claro! Tenemos *dos* opciones:\n\n* **Opción A** – mesa interior\n* **Opción B** – terraza ☀️\n\n¿Cuál prefiere? Más info: <https://bar.example/reservas>.",
        ["¡Claro! Tenemos dos opciones:", "Opción A, mesa interior", "Opción B, terraza. ¿Cuál prefiere?", "Más info: bar.example."],
    ),
    "Italian": (
        "Certo! Ecco l'orario:\n\n1) lunedì: 9:00-13:00\n2) martedì: _chiuso_\n\nPer disdire scriva a info+no@studio.example oppure `STOP` al 4321.",
        [
            "Certo! Ecco l'orario:",
            "1) lunedì: 9:00-13:00. 2) martedì: chiuso",
            "Per disdire scriva a info+no@studio.example oppure STOP al 4321.",
        ],
    ),
    "Portuguese": (
        "Olá! 👋 O seu pedido **#4521** está “a caminho”.\n\nCódigo de rastreio:\n\n```\nBR123456789PT\n```\n\nChega na *sexta-feira*.",
        ["Olá! O seu pedido 4521 está a caminho.", "Código de rastreio:", "Chega na sexta-feira."],
    ),
    "Dutch": (
        "Ja hoor! 's Ochtends zijn we open van ~~8~~ 9 tot 12 uur.\n\n- [x] Afspraak gemaakt\n- [ ] Bevestiging verstuurd\n\nZie ook [de website](http://garage.example)!",
        ["Ja hoor! 's Ochtends zijn we open van 9 tot 12 uur.", "Afspraak gemaakt", "Bevestiging verstuurd", "Zie ook de website!"],
    ),
    "Polish": (
        "Oczywiście! Cena wynosi **120 zł** (z VAT).\n\n### Etapy\n1. Diagnoza → 2 dni\n2. Naprawa → „od ręki”",
        ["Oczywiście! Cena wynosi 120 zł (z VAT).", "Etapy. 1. Diagnoza, 2 dni", "2. Naprawa, od ręki"],
    ),
    "Russian": (
        "Конечно! Вот «список»:\n\n• Понедельник — 9:00\n• Вторник — *выходной*\n\nПодробнее: https://example.ru/raspisanie?page=2. 🙂",
        ["Конечно! Вот список:", "Понедельник — 9:00. Вторник, выходной", "Подробнее: example.ru."],
    ),
    "Chinese": (
        "好的！**营业时间**如下：\n\n- 周一至周五：`9:00`\n- 周六：休息 😴\n\n详情请看[官网](https://example.cn/时间)。她说：“欢迎光临！”",
        ["好的！营业时间如下：", "周一至周五：9:00", "周六：休息. 详情请看官网。", "她说：欢迎光临！"],
    ),
    "Japanese": (
        "はい！**営業時間**は次のとおりです。\n\n1. 平日：９時から\n2. 土曜：「お休み」です🙇\n\n詳しくは【公式サイト】（https://example.jp/info）をご覧ください。",
        [
            "はい！営業時間は次のとおりです。",
            "1. 平日：９時から",
            "2. 土曜：お休みです",
            "詳しくは公式サイト（example.jp）をご覧ください。",
        ],
    ),
    "Korean": (
        "네! **영업시간**은 아래와 같습니다.\n\n- 월요일: 9시 ~ 18시\n- 주말: '휴무'입니다 😊\n\n자세한 내용은 [홈페이지](https://example.kr)를 보세요.",
        ["네! 영업시간은 아래와 같습니다.", "월요일: 9시–18시", "주말: 휴무입니다", "자세한 내용은 홈페이지를 보세요."],
    ),
    "Arabic": (
        "نعم! **ساعات العمل**:\n\n- الأحد: من ٩ إلى ٥\n- الجمعة: «مغلق» 🙏\n\nللمزيد، انظر [الموقع](https://example.com/ar).",
        ["نعم! ساعات العمل: الأحد: من ٩ إلى ٥", "الجمعة: مغلق. للمزيد، انظر الموقع."],
    ),
    "Hebrew": (
        'כן! **שעות הפתיחה**:\n\n1. יום א\': 9:00 עד 17:00\n2. יום ו\': "סגור"\n\nמחיר: 120 ש"ח. פרטים ב[אתר](https://example.co.il).',
        ["כן! שעות הפתיחה: 1. יום א': 9:00 עד 17:00", "2. יום ו': סגור. מחיר: 120 ש״ח.", "פרטים באתר."],
    ),
    "Hindi": (
        'जी हाँ! **समय** इस प्रकार है।\n\n- सोमवार: `9:00` से 5 बजे\n- रविवार: "बंद" 🙏\n\nअधिक जानकारी [वेबसाइट](https://example.in/x) पर।',
        ["जी हाँ! समय इस प्रकार है। सोमवार: 9:00 से 5 बजे", "रविवार: बंद. अधिक जानकारी वेबसाइट पर।"],
    ),
    "Turkish": (
        "Tabii! **Çalışma saatleri:**\n\n* Hafta içi: 9.00–18.00\n* Pazar: “kapalı” 🚫\n\nAyrıntılar için [siteye](https://example.com.tr) bakın.",
        ["Tabii! Çalışma saatleri:", "Hafta içi: 9.00–18.00", "Pazar: kapalı. Ayrıntılar için siteye bakın."],
    ),
    "Thai": ('ได้ค่ะ! **เวลาทำการ**\n\n- จันทร์ถึงศุกร์: 9:00\n- อาทิตย์: "ปิด" 😊', ["ได้ค่ะ! เวลาทำการ. จันทร์ถึงศุกร์: 9:00", "อาทิตย์: ปิด"]),
    "sources": (
        "The battery lasts *ten* hours [1][2].【4:0†source】 It weighs 1.2 kg[^3], i.e. ≈ 2.6 lb.\n\n[1]: https://a.example/x\n[^3]: Measured in 2024.",
        ["The battery lasts ten hours. It weighs 1.2 kg", "i.e. ≈ 2.6 lb. Measured in 2024."],
    ),
    "code": (
        "Run `pip install shop-client`, then:\n\n```python\nimport shop\n\nshop.open()  # don't\n```\n\nIt prints **OK**. ~~Old way~~\n\n~~~\nnever closed",
        ["Run pip install shop-client, then:", "It prints OK."],
    ),
    "math": (
        "The area is $a^2$, or \\(a \\times a\\). So 3 * 4 = 12, and 5 > 4.\n\n$$x = \\frac{1}{2}$$",
        ["The area is a2, or (a times a).", "So 3 × 4 = 12, and 5 > 4. x frac 1 2"],
    ),
    "html": (
        '<b>Note:</b> we close at 5&nbsp;pm.<br/>Call&nbsp;<a href="tel:+15550100">+1 555 0100</a> &amp; ask for Ann.<|im_end|>',
        ["Note: we close at 5 pm. Call +1 555 0100", "ask for Ann."],
    ),
    "thoughts": (
        "<think>\nThe user asks. Hours? It's <b>nine</b>.\n</think>\n\nWe open at *nine*. <thinking>Now? Yes.</thinking>And close at five.<think>never closed. So",
        ["We open at nine. And close at five."],
    ),
    "short": ("Yes.\nNo.\nHi!\nOf course, I can do that for you. Bye!", ["Yes. No. Hi! Of course, I can do that for you.", "Bye!"]),
}
"""Answers as models write them, and the sentences that are said of each."""


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_model_writes_is_said_in_words(name: str) -> None:
    """R100."""
    text, said = WRITTEN[name]
    cutter = SentenceCutter()
    assert [spoken(sentence) for sentence in (*cutter.feed(text), *cutter.end())] == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # halves of a construct, as sentences are cut before
        ("**Note. Bold", "Note. Bold"),
        ("is bold** text", "is bold text"),
        ("[See Dr. Who.", "See Dr. Who."),
        ("Then go](http://x.example/y_(z)) now.", "Then go now."),
        ("](https://x.example) and on", "and on"),
        ("more `code", "more code"),
        # lines that come alone
        ("| Day | Open |", "Day, Open"),
        ("|:--|--:|", ""),
        ("* * *", ""),
        ("2024. That was a year.", "2024. That was a year."),
        ("> quoted", "quoted"),
        ("- [x] done", "done"),
        ("Title\n=====\nText", "Title. Text"),
        # addresses
        ("See https://www.example.com:8080/a/b.html?q=1. Or (https://me@example.org/x).", "See example.com. Or (example.org)."),
        ("Visit example.com/pricing, it is 24/7 and/or free.", "Visit example.com, it is 24/7 and/or free."),
        ("Mail a.b@shop.example or mailto:c@shop.example.", "Mail a.b@shop.example or c@shop.example."),
        ("key sk_live_51H8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5 end", "key end"),
        ("![A cat](data:image/png;base64,AAAA) sleeps", "A cat sleeps"),
        # signs that are words, and signs that are none
        ("US$ 50, $49.99, 80 €, 50 %, 20 °C, №5, R&D, §3, C#", "US$ 50, $49.99, 80 €, 50 %, 20 °C, №5, R&D, §3, C#"),
        ("2 * 3 = 6, 4 × 5 > 19, 1.5 + 2, ± 3", "2 × 3 = 6, 4 × 5 > 19, 1.5 + 2, ± 3"),
        ("Call +1 (555) 010-0001, it is -5 degrees, 10–12 h.", "Call +1 (555) 010-0001, it is -5 degrees, 10–12 h."),
        ("snake_case, a -> b → c, A=B, #1 #topic @ann", "snake case, a, b, c, A B, 1 topic ann"),
        ("• Milk • Eggs", "Milk, Eggs"),
        ("word--word — word", "word, word, word"),
        ("1️⃣ First 👍🏽 🇩🇪 ❤️ done ©", "1 First done"),
        ("Sure :) see you ;-) at 8) ok :D", "Sure see you at 8) ok"),
        ("👩‍👩‍👧", ""),
        ("\ud83d half and \ude00 half\x07\x00", "half and half"),
        # quotes and apostrophes
        ("It's \"5'10\"\" tall, rock 'n' roll, 'so' and the dogs' bowl.", "It's 5'10 tall, rock n roll, so and the dogs' bowl."),
        ("“Stop!” he said. ‘Go on.’ ’Tis l’eau.", "Stop! he said. Go on. ’Tis l’eau."),
        ('He said:"Ja"und ging', "He said:Ja und ging"),
        ('צה"ל אמר "שלום"', "צה״ל אמר שלום"),
        ("می‌خواهم क्‍ष", "می‌خواهم क्‍ष"),
        # numbers keep their values
        ("3*4, 3x4, 2^10, 10*2*3 and **5**", "3×4, 3x4, 2^10, 10×2×3 and 5"),
        ("ETA ~5 min, 5~6 h, 9 ~ 17, 월~금, H~2~O, x^2^", "ETA 5 min, 5–6 h, 9–17, 월–금, H2O, x2"),
        ("C++, .NET, i++ and node.js.", "C++, .NET, i++ and node.js."),
        # faces of many signs, and letters that are stretched
        ("Sorry ¯\\_(ツ)_/¯ and (╯°□°)╯ ok ( ͡° ͜ʖ ͡°).", "Sorry and ok."),
        ("نعم ـــ اتصل بـ 5", "نعم اتصل ب 5"),
        # what a template leaves
        ("[INST] Hi [/INST] there </s>", "Hi there"),
        (":::tip\nUse this.\n:::", "Use this."),
        # keys of a telephone
        ("Press * to go back, or # to end.", "Press * to go back, or # to end."),
        ("**Press** the `*` key, then *wait* for the tone.", "Press the * key, then wait for the tone."),
        ('Press *1 for sales, *2 for parts, "*" for help or (*) again.', "Press *1 for sales, *2 for parts, * for help or (*) again."),
        ("Dial *67 or *#06#, or call *100#.", "Dial *67 or *#06#, or call *100#."),
        ("Press **\\***.", "Press *."),
        ("Drücken Sie die *-Taste.", "Drücken Sie die *-Taste."),
        ("Appuyez sur * pour revenir.", "Appuyez sur * pour revenir."),
        ("Pulse * para volver.", "Pulse * para volver."),
        ("Нажмите * или #.", "Нажмите * или #."),
        ("按*返回，按#结束。", "按*返回，按#结束。"),
        ("הקש * או #", "הקש * או #"),
        ("Options:\n* Press one\n* *Wait* on the line", "Options: Press one. Wait on the line"),
        ("*5 nights* or *6*, a 4* hotel * tea", "5 nights or 6, a 4 hotel, tea"),
        # sources, boxes, a sound that this voice does not know
        ("Ten hours [1][2, 3].【4:0†a.pdf】 See [^n].", "Ten hours. See."),
        ("[laugh] Well", "laugh Well"),
    ],
)
def test_of_a_text_the_words_are_said(text: str, said: str) -> None:
    assert spoken(text) == said


def test_a_sound_that_the_voice_can_make_stays() -> None:
    assert spoken("[Laugh] *Well* [1], [sniff] [go](http://a.example).", ["laugh", "sniff"]) == "[Laugh] Well, [sniff] go."


WORDS = ["word", "it's", "l’eau", "9:00", "3.50", "Mr.", "yes,", "no!", "é", "日本", "אב", "नमस्ते", "(so)", "R&D"]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join))
def test_plain_words_are_said_as_they_are(text: str) -> None:
    assert spoken(text) == text.rstrip(",")


MARKS = st.sampled_from(
    [
        "*",
        "**",
        "_",
        "`",
        "```",
        "[",
        "](",
        ")",
        "]",
        "|",
        "#",
        ">",
        "~~",
        '"',
        "“",
        "<",
        "\\",
        "\n",
        " ",
        "$",
        "- ",
        "😀",
        "a",
        "1",
        "é.",
        "http://",
        "\x01",
    ]
)


@given(st.lists(MARKS, max_size=30).map("".join) | st.text(st.characters(exclude_characters="按键鍵押キ누กด"), max_size=80))
def test_whatever_comes_no_markup_no_quote_and_no_control_is_said(text: str) -> None:
    said = spoken(text)
    assert not set(said) & set('_`[]|\\"“”«»\n')
    # where nothing tells of keys, a star is one with which a number begins
    assert "*" not in re.sub(r"\*(?=#?\d)", "", spoken(text.replace("#", "")))
    assert all(unicodedata.category(character) not in ("Cc", "Cs", "Co", "Cn") for character in said)
    assert not said or any(character.isalnum() for character in said)
    assert said == said.strip() and "  " not in said


def test_a_text_of_any_length_takes_its_time_and_no_more() -> None:
    assert spoken("[" * 50_000 + "a") == "a"
    assert spoken("*a " * 20_000).startswith("a a a")
