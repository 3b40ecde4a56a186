"""Claims about Twilio's signatures: the documentation's example, every spelling of a URL, and nothing that was changed on the way."""

from hypothesis import given, strategies as st

from adapters.hosts.phone.signature import is_signed, sign
from adapters.standin.twilio import http as twilio_http

TOKEN = "12345"
URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
FIELDS = {"CallSid": "CA1234567890ABCDE", "Caller": "+12349013030", "Digits": "1234", "From": "+12349013030", "To": "+18005551212"}


def test_the_signature_is_that_of_twilios_documentation() -> None:
    """The example of "Webhooks security"."""
    assert sign(URL, FIELDS.items(), TOKEN) == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="


@given(st.dictionaries(st.text(), st.text()), st.text(min_size=1))
def test_it_is_the_stand_ins_for_any_fields(fields: dict[str, str], token: str) -> None:
    given_ = twilio_http.signature(URL, fields, token)
    assert is_signed(given_, URL, fields.items(), token)
    assert not is_signed(given_, URL, [*fields.items(), ("more", "")], token) or "more" in fields
    assert not is_signed(given_, URL + "&baz=3", fields.items(), token)
    assert not is_signed(given_, URL, fields.items(), token + "x")


def test_a_name_that_comes_twice_is_signed_with_its_values_in_order() -> None:
    """As Twilio's libraries do it: `get_values`, sorted, each once."""
    once = twilio_http.signature(URL, {"a": "1", "aa": "", "b": "1b2"}, TOKEN)
    assert is_signed(once, URL, [("b", "1"), ("aa", ""), ("b", "2"), ("a", "1"), ("b", "1")], TOKEN)


def test_twilio_may_name_the_port_or_leave_it_out() -> None:
    for signed in ("https://a.b/voice", "https://a.b:443/voice"):
        for known in ("https://a.b/voice", "https://a.b:443/voice"):
            assert is_signed(sign(signed, (), TOKEN), known, (), TOKEN)
    assert is_signed(sign("https://a.b/voice", (), TOKEN), "https://a.b:8443/voice", (), TOKEN)
    assert not is_signed(sign("https://a.b:8443/voice", (), TOKEN), "https://a.b/voice", (), TOKEN)


def test_a_websocket_may_be_signed_with_a_slash_at_its_end() -> None:
    for signed in ("wss://a.b/stream", "wss://a.b/stream/", "wss://a.b:443/stream"):
        assert is_signed(sign(signed, (), TOKEN), "wss://a.b/stream", (), TOKEN)
    assert not is_signed(sign("https://a.b/voice/", (), TOKEN), "https://a.b/voice", (), TOKEN)


def test_a_url_that_is_none_has_no_signature() -> None:
    """Where no public URL is set, the request's Host header is part of it."""
    for url in ("http://[/voice", "http://a:99999/voice", "http://a:b/voice"):
        assert not is_signed(sign(url, (), TOKEN), url, (), TOKEN)


def test_a_query_string_is_signed_as_it_was_written() -> None:
    url = "https://a.b/voice?a=1%202&b=%C3%A9&a=+"
    assert is_signed(sign(url, (), TOKEN), url, (), TOKEN)
    for other in ("https://a.b/voice", "https://a.b/voice?b=%C3%A9&a=1%202&a=+", "https://a.b/voice?a=1 2&b=é&a=+"):
        assert not is_signed(sign(url, (), TOKEN), other, (), TOKEN)


def test_an_odd_header_is_no_signature() -> None:
    for given_ in ("", "é", "0/KCTR6DLpKmkAf8muzZqo1nDgQ", "0/KCTR6DLpKmkAf8muzZqo1nDgQ==" * 1_000):
        assert not is_signed(given_, URL, FIELDS.items(), TOKEN)
