"""Where an active peer connects to: a URL, or a peer that `browse` found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from settee.db.database import Database
from settee.errors import ConfigError
from settee.net.discovery import PeerFound

__all__ = ["Target", "database_path", "targets_of"]

_DIALABLE: Final = re.compile(r"[a-z][a-z0-9_$()+/-]*\Z")
"""What Couchbase Lite accepts as the database in a URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """One address to dial."""

    secure: bool
    host: str
    port: int
    path: str
    """Of the database, without a slash at either end; percent-decoded."""
    name: str | None = None
    """What it is called instead of a URL; for what is not dialled."""

    @property
    def url(self) -> str:
        """The target as a URL, or its name."""
        if self.name is not None:
            return self.name
        scheme = "wss" if self.secure else "ws"
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        default = 443 if self.secure else 80
        port = "" if self.port == default else f":{self.port}"
        return f"{scheme}://{host}{port}/{self._quoted}"

    @property
    def request_path(self) -> str:
        """The path of the HTTP request."""
        return f"/{self._quoted}/_blipsync"

    @property
    def _quoted(self) -> str:
        return quote(self.path, safe="/$()+-_.~")

    @classmethod
    def parse(cls, url: str) -> Target:
        """Read ``wss://host[:port]/database``; raises ConfigError saying what is wrong with it."""
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError as exc:
            raise ConfigError("target", f"{url[:200]!r} is not a URL: {exc}") from None
        if parts.scheme not in ("ws", "wss"):
            raise ConfigError("target", f"must be like wss://host:port/database, not {url[:200]!r}")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("target", "has no place for a user; use authenticator=")
        if not parts.hostname:
            raise ConfigError("target", f"names no host: {url[:200]!r}")
        path = unquote(parts.path).strip("/")
        if not path:
            raise ConfigError(
                "target", f"names no database: write {url[:200].rstrip('/')}/DATABASE"
            )
        if parts.query or parts.fragment:
            raise ConfigError("target", "must not have a query or a fragment")
        secure = parts.scheme == "wss"
        host = parts.hostname
        if ":" in host:
            # The scope of a link-local address stands behind an escaped percent sign (RFC 6874).
            host = host.replace("%25", "%", 1)
        return cls(secure, host, port or (443 if secure else 80), path)

    @classmethod
    def local(cls, other: Database) -> Target:
        """Return the target that is another database of this program."""
        known_by = other._store.public_uuid.hex()
        return cls(False, "local", 1, other.name, f"local:{known_by}/{other.name}")


def targets_of(target: str | PeerFound | Database) -> tuple[Target, ...]:
    """Return the addresses to try, best first."""
    if isinstance(target, PeerFound):
        urls = target.urls
        if not urls:
            raise ConfigError("target", f"the peer {target.name!r} announced no address")
        return tuple(Target.parse(url) for url in urls)
    if isinstance(target, Database):
        return (Target.local(target),)
    if not isinstance(target, str):
        raise ConfigError("target", f"must be a URL or a found peer, not {type(target).__name__}")
    return (Target.parse(target),)


def database_path(name: str, path: str | None) -> str:
    """Return the path under which a listener serves a database.

    The name in lower case unless given. Raises ConfigError if Couchbase Lite could not dial it.
    """
    result = (path if path is not None else name.lower()).strip("/")
    if not _DIALABLE.match(result):
        raise ConfigError(
            "path",
            f"{result!r} can't be dialled by Couchbase Lite: begin with a-z, then use a-z 0-9 "
            "_ $ ( ) + - /; give path= to serve the database under another name",
        )
    return result
