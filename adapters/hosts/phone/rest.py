"""Twilio's REST interface as far as a phone server needs it: a call is ended; one connection pool for all calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx

from adapters.twilio.port import LineError

API = "https://api.twilio.com"
NOT_IN_PROGRESS = 21220
"""Twilio's error code for the update of a call that is over: what was asked for is so."""
TIMEOUT_S = 4.0
"""How long a request may take, within the five seconds that the line gives a hang-up."""


class TwilioRest:
    """The interface, for as long as `opened` lasts; the auth token is shown nowhere."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client, self._token = client, token

    def __repr__(self) -> str:
        return f"<TwilioRest {self._client.base_url.host}>"

    async def hang_up(self, account: str, call_sid: str) -> None:
        """End a call. Sent once, never again (R47); raises LineError, whose text is one plain line, unless the call is over."""
        await self._update(account, call_sid, "the hang-up", {"Status": "completed"})

    async def redirect(self, account: str, call_sid: str, url: str) -> None:
        """Have a call leave its stream and ask `url` what to do. Raises LineError as `hang_up` does."""
        await self._update(account, call_sid, "the redirect", {"Url": url, "Method": "POST"})

    async def _update(self, account: str, call_sid: str, what: str, fields: dict[str, str]) -> None:
        path = f"/2010-04-01/Accounts/{account}/Calls/{call_sid}.json"
        try:
            response = await self._client.post(path, data=fields, auth=(account, self._token))
        except httpx.HTTPError as error:
            raise LineError(f"{self._client.base_url.host} could not be asked for {what} ({type(error).__name__})") from None
        if response.status_code >= 300 and _code(response) != NOT_IN_PROGRESS:
            raise LineError(f"{self._client.base_url.host} answered {what} with {response.status_code}")


def root_of(api: str) -> httpx.URL:
    """The root of the interface, as https://api.twilio.com is one. Raises ValueError for what is no URL."""
    with suppress(httpx.InvalidURL):
        root = httpx.URL(api)
        if root.scheme in ("http", "https") and root.host and 0 < (root.port or 80) < 65_536:
            return root
    raise ValueError(f"--twilio-api {api}: it is no URL; give one like {API}")


@asynccontextmanager
async def opened(api: str, token: str) -> AsyncIterator[TwilioRest]:
    """The interface at `api`. Raises ValueError as `root_of` does."""
    async with httpx.AsyncClient(base_url=root_of(api), timeout=TIMEOUT_S) as client:
        yield TwilioRest(client, token)


def _code(response: httpx.Response) -> object:
    """The error code in an answer of Twilio's; None where there is none."""
    try:
        fields = response.json()
    except ValueError:
        return None
    return fields.get("code") if isinstance(fields, dict) else None
