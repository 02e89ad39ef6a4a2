"""The state of a link in words: a chip, one line, and the one thing to do about it.

The words are for a shopkeeper. Error codes and the library's own sentences go to the activity log
and the diagnostics file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from settee import (
    AuthenticationError,
    CertificateError,
    ConnectionFailedError,
    NotAPeerError,
    PeerProtocolError,
    RefusedError,
    SetteeError,
)

__all__ = ["CHIPS", "Refused", "Shown", "refusal", "waiting_line"]

_UNKNOWN_HOST: Final = 2
_EXPIRED: Final = 7
_UNKNOWN_ROOT: Final = 11
_WRONG_NAME: Final = 15
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Shown:
    """A chip: state by icon and word, `tone` for the colour."""

    tone: str
    icon: str
    text: str


CHIPS: Final = {
    "new": Shown("wait", "shield", "New"),
    "connecting": Shown("busy", "sync", "Connecting"),
    "syncing": Shown("busy", "sync", "Syncing"),
    "in sync": Shown("ok", "check", "In sync"),
    "retrying": Shown("wait", "schedule", "Retrying"),
    "refused": Shown("bad", "block", "Refused"),
    "blocked": Shown("bad", "block", "Blocked"),
    "no network": Shown("off", "wifi_off", "No network"),
    "off": Shown("off", "link_off", "Off"),
    "away": Shown("off", "schedule", "Away"),
}
"""By the name of the state."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a link can't be, and what to do: `remedies` name actions of the page."""

    line: str
    remedies: tuple[str, ...]


def refusal(error: SetteeError, *, name: str, user: str, check: str) -> Refused:
    """Return what to say about an error that retrying will not mend.

    `name` is the device's, `user` the one that was logged in as, `check` how certificates are
    checked here (``"first use"``, ``"pinned"``, ``"authority"``, ``"none"``).
    """
    if isinstance(error, AuthenticationError):
        return Refused(
            f"Wrong user or password: it does not know “{user}”. Ask there to add you, or log in "
            "as someone else.",
            ("login", "forget"),
        )
    if isinstance(error, CertificateError):
        return _certificate(error, name, check)
    if isinstance(error, NotAPeerError):
        text = str(error)
        if "TLS" in text or "wss://" in text:
            return Refused(
                "One side encrypts, the other does not. Make both the same.", ("retry", "forget")
            )
        return Refused("What answers there is no inventory. Check the address.", ("forget",))
    if "has no collection" in str(error):
        return Refused(
            "It keeps its list in another way, as the original app does.", ("original", "forget")
        )
    if isinstance(error, RefusedError):
        if error.code == _NOT_FOUND:
            return Refused("It has no inventory called userdb. Check the address.", ("forget",))
        return Refused("It lets nobody in just now. Try again later.", ("retry", "forget"))
    if isinstance(error, PeerProtocolError):
        return Refused("It speaks an older version. Update settee there.", ("retry", "forget"))
    return Refused("It ended with an error; Activity has the details.", ("retry", "forget"))


def _certificate(error: CertificateError, name: str, check: str) -> Refused:
    text = str(error)
    if "is not the pinned one" in text:
        if check == "pinned":
            return Refused(
                f"{name} shows another certificate than the file that you chose.",
                ("check", "forget"),
            )
        return Refused(
            f"{name} shows another key than before. If it was set up anew, compare the words "
            "again; if not, don't connect.",
            ("compare", "forget"),
        )
    if error.code == _EXPIRED:
        return Refused(
            "Its certificate has ended. Renew it there under Listener.", ("retry", "forget")
        )
    if error.code == _WRONG_NAME or "mismatch" in text or "not valid for" in text:
        return Refused("Its certificate is for another name or address.", ("check", "forget"))
    if "only self-signed" in text:
        return Refused(
            "Its certificate is of an authority, and this device accepts only self-made ones.",
            ("check", "forget"),
        )
    if check == "authority" and error.code == _UNKNOWN_ROOT:
        return Refused(
            "Its certificate is of an authority that this device does not know. Choose that one's "
            "file under Settings.",
            ("check", "forget"),
        )
    if check == "authority":
        return Refused(
            "Its certificate is self-made, and this device accepts only those of an authority.",
            ("check", "forget"),
        )
    return Refused("Its certificate could not be checked.", ("compare", "check", "forget"))


def waiting_line(error: SetteeError | None) -> str:
    """Return what to say while a link waits for its next attempt."""
    if isinstance(error, ConnectionFailedError) and error.code == _UNKNOWN_HOST:
        return "There is no device of that name. Is it on, and on this Wi-Fi?"
    if error is not None and "TLS" in str(error):
        return "It ends the call at once. Does one side encrypt, and the other not?"
    return "It does not answer. Is it on, and on this Wi-Fi?"
