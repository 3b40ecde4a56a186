"""The ids of one call, as Twilio makes them."""

import secrets

import attrs


@attrs.frozen
class Ids:
    """Of the account, the call and its stream."""

    account: str = attrs.field(factory=lambda: "AC" + secrets.token_hex(16))
    call: str = attrs.field(factory=lambda: "CA" + secrets.token_hex(16))
    stream: str = attrs.field(factory=lambda: "MZ" + secrets.token_hex(16))
