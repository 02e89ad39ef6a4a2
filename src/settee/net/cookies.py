"""Cookies: what an HTTP answer sets, and what the next request to the same place carries.

Room: pure network. Header lines and the time come in, header lines come out.
Touches: settee.limits.
Never touches: sockets, files, asyncio, the clock, randomness.

Source: RFC 6265 parts 5.1 to 5.4, wire protocol 1.5. Stricter than that in two points: a cookie
that came over TLS never leaves TLS, and one that is set for the domain above its host is kept only
where that was asked for.
"""

from __future__ import annotations

import calendar
import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from settee.limits import COOKIE_BYTES_MAX, COOKIE_HEADER_BYTES_MAX, COOKIES_PER_DOMAIN_MAX

__all__ = ["Cookie", "CookieJar", "domains_above"]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]*\Z")
_DOMAIN: Final = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\Z")
_PATH: Final = re.compile(r"/[\x21-\x3a\x3c-\x7e]*\Z")
_MAX_AGE: Final = re.compile(r"-?[0-9]{1,18}\Z")

_DATE_DELIMITER: Final = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME: Final = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?!\d)")
_DAY: Final = re.compile(r"(\d{1,2})(?!\d)")
_YEAR: Final = re.compile(r"(\d{2,4})(?!\d)")
_MONTHS: Final = tuple("jan feb mar apr may jun jul aug sep oct nov dec".split())  # noqa: SIM905

_LONGEST_S: Final = 400 * 86400.0
"""No cookie is kept for longer, whatever it asks for."""


class Cookie(NamedTuple):
    """One cookie."""

    name: str
    value: str
    domain: str
    """In lower case, without a dot before it."""
    host_only: bool
    """Whether it is for that very host; else for hosts below it too."""
    path: str
    secure: bool
    """Whether it goes over TLS only."""
    expires_s: float | None
    """Seconds since 1970; None: it ends with the program."""


class CookieJar:
    """The cookies of one user.

    `wall_s` of the methods is the time in seconds since 1970. `parent_domains`: keep cookies that a
    host sets for the domain above it. At most 20 are kept for a domain; the oldest makes room.
    """

    def __init__(self, *, parent_domains: bool = False) -> None:
        self._parent_domains = parent_domains
        self._cookies: dict[tuple[str, str, str], Cookie] = {}
        self.changed: set[str] = set()
        """Domains whose lasting cookies are not those that were loaded; the caller clears it."""

    def load(self, cookies: Iterable[Cookie]) -> None:
        """Take cookies that were kept before."""
        for cookie in cookies:
            self._cookies.setdefault((cookie.domain, cookie.path, cookie.name), cookie)

    def lasting(self, domain: str) -> list[Cookie]:
        """Return the cookies of a domain that are to be kept beyond the program's end."""
        return [
            cookie
            for cookie in self._cookies.values()
            if cookie.domain == domain and cookie.expires_s is not None
        ]

    def header(
        self, *, secure: bool, host: str, path: str, wall_s: float, but: frozenset[str]
    ) -> str:
        """Return the value of the ``Cookie`` header for a request; empty without cookies.

        Those with a name in `but` are left out.
        """
        host = _plain(host)
        path = path.split("?", 1)[0]
        fitting = [
            cookie
            for cookie in self._cookies.values()
            if cookie.name not in but
            and (secure or not cookie.secure)
            and (cookie.expires_s is None or cookie.expires_s > wall_s)
            and (cookie.domain == host or (not cookie.host_only and _is_below(host, cookie.domain)))
            and _path_matches(path, cookie.path)
        ]
        fitting.sort(key=lambda cookie: -len(cookie.path))
        parts: list[str] = []
        size = 0
        for cookie in fitting:
            part = f"{cookie.name}={cookie.value}"
            size += len(part) + 2
            if size > COOKIE_HEADER_BYTES_MAX:
                break
            parts.append(part)
        return "; ".join(parts)

    def take(
        self, *, secure: bool, host: str, path: str, wall_s: float, set_cookie: Iterable[str]
    ) -> None:
        """Take the values of an answer's ``Set-Cookie`` headers; what is not proper is ignored."""
        host = _plain(host)
        for line in set_cookie:
            cookie = self._parse(line, secure, host, path.split("?", 1)[0], wall_s)
            if cookie is None:
                continue
            key = (cookie.domain, cookie.path, cookie.name)
            before = self._cookies.pop(key, None)
            over = cookie.expires_s is not None and cookie.expires_s <= wall_s
            if not over:
                self._cookies[key] = cookie
            if before != cookie and (cookie.expires_s is not None or before is not None):
                self.changed.add(cookie.domain)
            self._make_room(cookie.domain)

    def _make_room(self, domain: str) -> None:
        ours = [key for key in self._cookies if key[0] == domain]
        for key in ours[: max(0, len(ours) - COOKIES_PER_DOMAIN_MAX)]:
            del self._cookies[key]
            self.changed.add(domain)

    def _parse(self, line: str, secure: bool, host: str, path: str, wall_s: float) -> Cookie | None:
        pair, _, rest = line.partition(";")
        name, equals, value = pair.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        fits = equals and _NAME.match(name) and _VALUE.match(value)
        if not fits or len(name) + len(value) > COOKIE_BYTES_MAX:
            return None
        attributes = _attributes(rest)
        domain, host_only = host, True
        wanted = _plain(attributes.get("domain", "")).removeprefix(".")
        if wanted:
            if not self._may_set(host, wanted):
                return None
            domain, host_only = wanted, False
        if "secure" in attributes and not secure:
            return None
        given_path = attributes.get("path", "")
        return Cookie(
            name=name,
            value=value,
            domain=domain,
            host_only=host_only,
            path=given_path if _PATH.match(given_path) else _default_path(path),
            secure=secure,
            expires_s=_expiry(attributes, wall_s),
        )

    def _may_set(self, host: str, domain: str) -> bool:
        if domain == host:
            return True
        # Above the last dot are registries, which belong to nobody.
        return (
            self._parent_domains
            and _DOMAIN.match(domain) is not None
            and "." in domain
            and _is_below(host, domain)
        )


def domains_above(host: str) -> list[str]:
    """Return the domains whose cookies may be meant for `host`: itself, then those above it."""
    host = _plain(host)
    if _is_address(host):
        return [host]
    labels = host.split(".")
    return [".".join(labels[at:]) for at in range(max(1, len(labels) - 1))]


def _plain(host: str) -> str:
    return host.strip(" \t").lower().rstrip(".")


def _is_below(host: str, domain: str) -> bool:
    return host.endswith("." + domain) and not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _default_path(path: str) -> str:
    """Return the directory of a request's path (RFC 6265 5.1.4)."""
    return path[: path.rfind("/")] or "/"


def _path_matches(path: str, cookie_path: str) -> bool:
    if path == cookie_path:
        return True
    below = cookie_path if cookie_path.endswith("/") else cookie_path + "/"
    return path.startswith(below)


def _attributes(text: str) -> dict[str, str]:
    """Return attributes by lower-case name; of two the last counts (RFC 6265 5.3)."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        found[name.strip(" \t").lower()] = value.strip(" \t")
    return found


def _expiry(attributes: Mapping[str, str], wall_s: float) -> float | None:
    """Return when a cookie ends; ``Max-Age`` counts before ``Expires``."""
    expires_s: float | None = None
    age = attributes.get("max-age", "")
    if _MAX_AGE.match(age):
        expires_s = wall_s + int(age)
    elif "expires" in attributes:
        expires_s = _date(attributes["expires"])
    return None if expires_s is None else min(expires_s, wall_s + _LONGEST_S)


def _date(text: str) -> float | None:
    """Read a date in any of the forms that servers write (RFC 6265 5.1.1)."""
    clock: tuple[int, int, int] | None = None
    day = month = year = None
    for token in _DATE_DELIMITER.split(text):
        if clock is None and (match := _TIME.match(token)):
            clock = (int(match[1]), int(match[2]), int(match[3]))
        elif day is None and (match := _DAY.match(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.match(token)):
            year = int(match[1])
            year += 1900 if 70 <= year <= 99 else 2000 if year <= 69 else 0
    if clock is None or day is None or month is None or year is None or year < 1601:
        return None
    if clock[0] > 23 or clock[1] > 59 or clock[2] > 59:
        return None
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return float(calendar.timegm((year, month, day, *clock)))
