"""Base64 as people write it: with line breaks, in the alphabet of URLs, without its padding."""

import binascii

_PLAIN = {ord("-"): "+", ord("_"): "/", **dict.fromkeys(map(ord, " \t\r\n"))}


def octets_of(text: str) -> bytes:
    """The octets that a text holds. Raises ValueError for what is no base64 in any of these forms."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        plain = text.translate(_PLAIN).rstrip("=")
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
