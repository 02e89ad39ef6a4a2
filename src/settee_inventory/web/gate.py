"""Who may ask this server anything: plain ASGI, so that pages and their socket pass the same gate.

A web page from anywhere can make a browser send requests to a server on this machine. So a request
has to name this server as its Host (against DNS rebinding), come from a page of this server
(Origin), and carry the cookie that is given for the token in the printed address.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

__all__ = ["BODY_BYTES_MAX", "Gate"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX: Final = 20 * 2**20
"""Of a request: a photo from a phone, and some room."""

_CLOSED: Final = (
    "This page belongs to somebody's inventory. Open the whole address that the program printed "
    "when it was started; it ends in a token."
)
_COOKIE_AGE_S: Final = 400 * 86_400


class Gate:
    """Lets through who may come in, and gives every answer its headers."""

    def __init__(
        self,
        app: App,
        *,
        token: str,
        secret: str,
        cookie: str,
        hosts: tuple[str, ...] = (),
        framed_by: str = "",
        frames: str = "",
    ) -> None:
        self._app = app
        self._token = token
        self._secret = secret.encode()
        self._cookie = cookie
        self._hosts = frozenset({"localhost", *(name.lower() for name in hosts)})
        ancestors = f"'self' {framed_by}" if framed_by else "'none'"
        framed = frames or "'none'"
        # NiceGUI's page has scripts in it and compiles its templates, so those two words have to
        # be there; nothing can be loaded from, or sent to, anywhere else.
        self._headers = [
            (
                b"content-security-policy",
                "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
                "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
                "object-src 'none'; base-uri 'none'; form-action 'self'; "
                f"frame-src {framed}; frame-ancestors {ancestors}".encode(),
            ),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-site"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        host = headers.get("host", "")
        if not self._is_own(host):
            await self._refuse(scope, send, 400, "This server does not go by that name.")
        elif not self._same_origin(scope, headers, host):
            await self._refuse(scope, send, 403, "Another page may not ask this server anything.")
        elif (sid := self.session(headers.get("cookie", ""))) is None or _has_token(scope):
            await self._at_the_door(scope, send, sid)
        elif int(headers.get("content-length") or 0) > BODY_BYTES_MAX:
            await self._refuse(scope, send, 413, "That is too large: at most 20 MB.")
        else:
            scope.setdefault("state", {})["session"] = sid
            await self._app(scope, _bounded(receive), self._with_headers(send))

    def session(self, cookies: str) -> str | None:
        """Return the ID of the session whose cookie was sent, None without a good one."""
        try:
            morsel = SimpleCookie(cookies).get(self._cookie)
        except CookieError:
            return None
        if morsel is None:
            return None
        sid, _, signature = morsel.value.partition(".")
        return sid if hmac.compare_digest(signature, self._signature(sid)) else None

    def _signature(self, sid: str) -> str:
        return hmac.new(self._secret, sid.encode(), hashlib.sha256).hexdigest()

    def _is_own(self, host: str) -> bool:
        """A name that somebody else's DNS can't point here: an address, or one of our own."""
        name = host.lower()
        name = name.rpartition("]")[0][1:] if name.startswith("[") else name.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True

    def _same_origin(self, scope: Scope, headers: dict[str, str], host: str) -> bool:
        origin = headers.get("origin")
        if origin is not None:
            return origin in (f"http://{host}", f"https://{host}")
        needs_one = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        return not needs_one

    async def _at_the_door(self, scope: Scope, send: Send, sid: str | None) -> None:
        """Give the cookie for the token, else say where the token is to be found.

        The token leaves the address at once: addresses are shown, kept and copied.
        """
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
        given = next((value for key, value in query if key == "token"), "")
        if scope["type"] != "http" or not hmac.compare_digest(given.encode(), self._token.encode()):
            await self._refuse(scope, send, 403, _CLOSED)
            return
        rest = [(key, value) for key, value in query if key != "token"]
        where = quote(scope["path"]) + (f"?{urlencode(rest)}" if rest else "")
        sid = sid or secrets.token_urlsafe(18)
        cookie = (
            f"{self._cookie}={sid}.{self._signature(sid)}; Path=/; HttpOnly; SameSite=Strict; "
            f"Max-Age={_COOKIE_AGE_S}"
        )
        start = {
            "type": "http.response.start",
            "status": 303,
            "headers": [
                # One slash only: two would be another server's name.
                (b"location", ("/" + where.lstrip("/")).encode()),
                (b"set-cookie", cookie.encode()),
                (b"cache-control", b"no-store"),
                *self._headers,
            ],
        }
        await send(start)
        await send({"type": "http.response.body"})

    async def _refuse(self, scope: Scope, send: Send, status: int, sentence: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), *self._headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": sentence.encode() + b"\n"})

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        return sending


def _has_token(scope: Scope) -> bool:
    return scope["type"] == "http" and b"token=" in scope.get("query_string", b"")


def _bounded(receive: Receive) -> Receive:
    """Count a body that came without its length; more than the bound ends as a lost connection."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > BODY_BYTES_MAX:
                return {"type": "http.disconnect"}
        return message

    return receiving
