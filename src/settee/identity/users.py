"""Who may come in, by password: a small table of scrypt hashes.

No password is kept, and none can be read back. A check takes the same time whether the user exists
or not, so that names can't be found out by the clock. One check costs some 50 ms and 16 MiB on a
desktop's core: run it on a worker, never on the loop, and few at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, final

import orjson

from settee.clock import Clock, SystemClock
from settee.errors import ConfigError, StoreError
from settee.identity import vault
from settee.limits import PASSWORD_BYTES_MAX, USER_NAME_BYTES_MAX

__all__ = ["HashedUsers"]

_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_FORMAT: Final = "settee-users"
_FORMAT_VERSION: Final = 1
# The common text form of scrypt hashes: cost as a power of two, block size, lanes, salt, hash.
_HASH_TEXT: Final = re.compile(
    r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})\Z"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class _Cost(NamedTuple):
    """How hard a guess is: 128 * r * 2**ln bytes of memory, p times."""

    ln: int
    r: int
    p: int


_COST: Final = _Cost(14, 8, 1)
# A table from elsewhere may ask for more, but not for so much that one check stops a small machine.
_COST_MAX: Final = _Cost(17, 16, 8)


class _Hashed(NamedTuple):
    cost: _Cost
    salt: bytes
    digest: bytes


@final
class HashedUsers:
    """Users and the hashes of their passwords, in memory, with a form as a file.

    Give it to a `ListenerPasswordAuthenticator`. It may be read by several threads while another
    one changes it. Names and passwords are compared in Unicode's composed form (NFC): the same
    word typed on two keyboards is the same word.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock: Final = clock or SystemClock()
        self._users: dict[str, _Hashed] = {}
        # What an unknown user's password is compared with: never equal, and as slow.
        self._nobody = _Hashed(
            _COST, self._clock.random_bytes(_SALT_BYTES), self._clock.random_bytes(_HASH_BYTES)
        )

    def add(self, user: str, password: str) -> None:
        """Add a user, or give one a new password.

        Raises ConfigError if `user` is empty, longer than 255 bytes of UTF-8, or has a colon (HTTP
        Basic ends the name there) or a control character; if `password` is empty, longer than
        1,024 bytes or has a control character.
        """
        name = _checked("user", user, USER_NAME_BYTES_MAX)
        if ":" in name:
            raise ConfigError("user", "has a colon; HTTP's password login can't carry that")
        secret = _checked("password", password, PASSWORD_BYTES_MAX)
        salt = self._clock.random_bytes(_SALT_BYTES)
        hashed = _Hashed(_COST, salt, _digest(secret, salt, _COST))
        # A new dict rather than a change of the old: a check on another thread sees one or other.
        self._users = {**self._users, name: hashed}

    def remove(self, user: str) -> bool:
        """Take a user out; tell whether there was one."""
        name = unicodedata.normalize("NFC", user)
        if name not in self._users:
            return False
        self._users = {key: value for key, value in self._users.items() if key != name}
        return True

    def check(self, user: str, password: str) -> bool:
        """Tell whether this is the user's password. Never raises for what a peer may send."""
        hashed = self._users.get(unicodedata.normalize("NFC", user))
        secret = unicodedata.normalize("NFC", password)
        try:
            encoded = secret.encode()
        except UnicodeEncodeError:
            encoded = b""
        fits = 0 < len(encoded) <= PASSWORD_BYTES_MAX
        salt, cost = (hashed or self._nobody).salt, (hashed or self._nobody).cost
        digest = _digest(secret if fits else "x", salt, cost)
        same = hmac.compare_digest(digest, (hashed or self._nobody).digest)
        return same and fits and hashed is not None

    def __contains__(self, user: object) -> bool:
        return isinstance(user, str) and unicodedata.normalize("NFC", user) in self._users

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._users))

    def __len__(self) -> int:
        return len(self._users)

    def __repr__(self) -> str:
        return f"<HashedUsers: {len(self._users)} users>"

    def save(self, path: str | Path) -> None:
        """Write the table as JSON, with mode 0600, over what may be there; whole or not at all.

        Raises StoreError if the disk refuses.
        """
        table = {
            _FORMAT: _FORMAT_VERSION,
            "users": {name: _text(hashed) for name, hashed in sorted(self._users.items())},
        }
        data = orjson.dumps(table, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        vault.replace(Path(path), data, "the user table")

    @classmethod
    def load(cls, path: str | Path, *, clock: Clock | None = None) -> HashedUsers:
        """Read a table that `save` wrote.

        Raises NotFoundError if there is no such file; StoreError if other users can read it, or if
        it is damaged.
        """
        where = Path(path)
        users = cls(clock=clock)
        try:
            table = orjson.loads(vault.read(where, "the user table"))
            if not isinstance(table, dict) or table.get(_FORMAT) != _FORMAT_VERSION:
                raise ValueError(f'it has no "{_FORMAT}": {_FORMAT_VERSION}')
            entries = table.get("users")
            if not isinstance(entries, dict):
                raise ValueError('it has no object "users"')
            loaded = {
                unicodedata.normalize("NFC", name): _parsed(name, text)
                for name, text in entries.items()
            }
        except ValueError as exc:
            raise StoreError(f"the user table {str(where)!r} can't be read: {exc}") from exc
        users._users = loaded
        if loaded:
            cost = max(hashed.cost for hashed in loaded.values())
            users._nobody = users._nobody._replace(cost=cost)
        return users


def _checked(field: str, text: str, bytes_max: int) -> str:
    """Return the composed form; the message never shows the text, which may be a password."""
    if not isinstance(text, str):
        raise ConfigError(field, f"must be a str, not {type(text).__name__}")
    text = unicodedata.normalize("NFC", text)
    if not text:
        raise ConfigError(field, "is empty")
    if _CONTROL.search(text):
        raise ConfigError(field, "has a control character or half of a surrogate pair")
    if len(text.encode()) > bytes_max:
        raise ConfigError(field, f"is longer than {bytes_max} bytes of UTF-8")
    return text


def _digest(password: str, salt: bytes, cost: _Cost) -> bytes:
    n = 1 << cost.ln
    # OpenSSL wants to be told the memory that it may use; what it needs and a little more.
    memory_bytes = 128 * cost.r * (n + cost.p + 4)
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=n,
        r=cost.r,
        p=cost.p,
        maxmem=memory_bytes,
        dklen=_HASH_BYTES,
    )


def _text(hashed: _Hashed) -> str:
    salt = base64.b64encode(hashed.salt).decode().rstrip("=")
    digest = base64.b64encode(hashed.digest).decode().rstrip("=")
    cost = hashed.cost
    return f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}${salt}${digest}"


def _parsed(name: str, text: object) -> _Hashed:
    match = _HASH_TEXT.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"the entry of {name!r} is no scrypt hash")
    cost = _Cost(int(match[1]), int(match[2]), int(match[3]))
    if not all(1 <= value <= bound for value, bound in zip(cost, _COST_MAX, strict=True)):
        raise ValueError(f"the hash of {name!r} asks for a cost out of bounds")
    try:
        return _Hashed(cost, base64.b64decode(match[4] + "=="), base64.b64decode(match[5] + "="))
    except binascii.Error as exc:
        raise ValueError(f"the entry of {name!r} is no scrypt hash") from exc
