"""What the pages can ask for. Everything that comes from a page is checked here.

An action gets the desk and its arguments by name; what it returns goes back to the page. What can't
be done raises `ActionError`, or the book's `InputError`, with a sentence for the person.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable
from typing import Any, Final

import segno

from settee import ConfigError, SetteeError
from settee_inventory.book import Device
from settee_inventory.links.addresses import AddressError
from settee_inventory.links.encryption import CHECKS, MODES, keep_own
from settee_inventory.links.link import Login
from settee_inventory.links.words import six_words
from settee_inventory.web import view
from settee_inventory.web.accounts import EDIT, LOOK
from settee_inventory.web.desk import Desk, LogInError
from settee_inventory.web.happenings import entry_of, who_is
from settee_inventory.web.settings import COLOURS, ICONS, NAME_CHARACTERS_MAX

__all__ = ["ActionError", "perform"]

TEXT_CHARACTERS_MAX: Final = 200
STEP_MAX: Final = 10_000
FILE_BYTES_MAX: Final = 2**17
SEEN_MAX: Final = 20
_STARTS: Final = ("join", "sample", "empty")


class ActionError(Exception):
    """It can't be done; the message is a sentence for the person."""


Action = Callable[..., Awaitable[Any]]
_ACTIONS: dict[str, Action] = {}
_EDITS: set[str] = set()


def action(*, edits: bool = False) -> Callable[[Action], Action]:
    """Let pages ask for a function by its name; `edits` asks for the right to change the list."""

    def register(function: Action) -> Action:
        name = function.__name__
        _ACTIONS[name] = function
        if edits:
            _EDITS.add(name)
        return function

    return register


async def perform(desk: Desk, session: str, name: str, args: dict[str, Any]) -> Any:
    """Do what a page asks for; return what it is told. Raises ActionError, InputError."""
    if name == "log_in":
        return await _log_in(desk, session, args)
    if not desk.is_in(session):
        raise ActionError("Log in first.")
    function = _ACTIONS.get(name)
    if function is None:
        raise ActionError("This page is of another version. Load it again.")
    if name in _EDITS and not desk.may_edit:
        raise ActionError("You may look, and not change anything.")
    try:
        return await function(desk, args)
    except AddressError as error:
        raise ActionError(str(error)) from None


def _text(args: dict[str, Any], name: str, most: int = TEXT_CHARACTERS_MAX) -> str:
    value = args.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise ActionError(
            "That is too long." if isinstance(value, str) else "Something is missing."
        )
    return value


def _whole(text: str) -> int:
    """Return what somebody typed as a number of pieces."""
    digits = text.strip().replace(" ", "").replace(",", "").lstrip("+")
    if not digits.isascii() or not digits.isdigit():
        raise ActionError("Type a whole number, such as 12.")
    return int(digits)


def _seen(args: dict[str, Any]) -> list[str] | None:
    """Return the values of a field that a page says it has shown; None if it says nothing."""
    given = args.get("seen")
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        return None
    if args.get("field") == "warn" and any(each and not each.isdigit() for each in given):
        return None
    return given[-SEEN_MAX:]


async def _log_in(desk: Desk, session: str, args: dict[str, Any]) -> None:
    user = _text(args, "user").strip()
    start = args.get("start")
    if not desk.settings.ready:
        name = _text(args, "name", NAME_CHARACTERS_MAX).strip()
        if not name:
            raise ActionError("Give this device a name, so that others know it.")
        icon, colour = args.get("icon"), args.get("colour")
        desk.settings.name = name
        desk.settings.icon = icon if icon in ICONS else ICONS[0]
        desk.settings.colour = colour if colour in COLOURS else COLOURS[0]
    try:
        await desk.log_in(
            session, user, _text(args, "password"), start if start in _STARTS else None
        )
    except LogInError as error:
        raise ActionError(str(error)) from None
    except ConfigError as error:
        raise ActionError(f"That can't be a user or a password: {error}.") from None
    address = args.get("address")
    if start == "join" and isinstance(address, str) and address.strip():
        assert desk.network is not None, "logged in"
        try:
            await desk.network.meet(address)
        except AddressError as error:
            raise ActionError(str(error)) from None


@action()
async def log_out(desk: Desk, args: dict[str, Any]) -> None:
    """Log out, on all pages of this device."""
    await desk.log_out()


# --- the list -------------------------------------------------------------------------------------


@action(edits=True)
async def count(desk: Desk, args: dict[str, Any]) -> None:
    """Count an item up or down."""
    by = args.get("by")
    if not isinstance(by, int) or isinstance(by, bool) or abs(by) > STEP_MAX:
        raise ActionError("That is too much at once.")
    assert desk.book is not None, "logged in"
    await desk.book.change_quantity(_text(args, "id"), by)


@action(edits=True)
async def set_quantity(desk: Desk, args: dict[str, Any]) -> None:
    """Set the number of an item, as after counting a shelf."""
    assert desk.book is not None, "logged in"
    await desk.book.set_quantity(_text(args, "id"), _whole(_text(args, "text")))


@action(edits=True)
async def field(desk: Desk, args: dict[str, Any]) -> None:
    """Change the name, the unit or the limit of an item; `seen`: what the page has shown of it."""
    assert desk.book is not None, "logged in"
    id, text, seen = _text(args, "id"), _text(args, "text").strip(), _seen(args)
    match args.get("field"):
        case "name":
            await desk.book.rename(id, text, seen=seen)
        case "unit":
            await desk.book.set_unit(id, text, seen=seen)
        case "warn":
            number = _whole(text) if text else None
            known = None if seen is None else [int(each) if each else None for each in seen]
            await desk.book.set_warn_under(id, number, seen=known)
        case _:
            raise ActionError("There is no such field.")


@action(edits=True)
async def add(desk: Desk, args: dict[str, Any]) -> str:
    """Add an item and return its ID."""
    assert desk.book is not None, "logged in"
    name, unit = _text(args, "name").strip(), _text(args, "unit").strip()
    quantity = _whole(_text(args, "quantity") or "0")
    item = await desk.book.add(name, quantity=quantity, unit=unit)
    return item.id


@action(edits=True)
async def remove(desk: Desk, args: dict[str, Any]) -> bool:
    """Remove an item; `undo` brings it back."""
    assert desk.book is not None, "logged in"
    await desk.book.remove(_text(args, "id"))
    return True


@action(edits=True)
async def undo(desk: Desk, args: dict[str, Any]) -> str:
    """Take back the last edit that was made here, and say which."""
    assert desk.book is not None, "logged in"
    undone = await desk.book.undo()
    if undone is None:
        return "There is nothing to undo."
    if not undone.done:
        return f"{who_is(desk.book, undone.by)} has changed {undone.item.name} since; that stays."
    return f"Undone: {undone.item.name}"


@action()
async def history(desk: Desk, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the last changes of an item."""
    assert desk.book is not None, "logged in"
    return view.past_of(desk.book, _text(args, "id"))


@action(edits=True)
async def restore(desk: Desk, args: dict[str, Any]) -> None:
    """Show another version of a field that could not merge."""
    assert desk.book is not None, "logged in"
    await desk.book.restore(_text(args, "id"), _text(args, "field"), _text(args, "version"))


@action(edits=True)
async def keep(desk: Desk, args: dict[str, Any]) -> None:
    """Settle for the version that is shown."""
    assert desk.book is not None, "logged in"
    await desk.book.keep(_text(args, "id"), _text(args, "field"))


@action()
async def activity(desk: Desk, args: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the latest of the log."""
    assert desk.book is not None, "logged in"
    book = desk.book
    return [entry_of(each, book) for each in await book.activity()]


# --- the listener ---------------------------------------------------------------------------------


@action()
async def listen(desk: Desk, args: dict[str, Any]) -> bool:
    """Start the listener; with `anywhere` on any free port."""
    assert desk.network is not None, "logged in"
    if args.get("anywhere"):
        desk.network.options.port = 0
    started = await desk.network.start_listening()
    await desk.save()
    return started


@action()
async def stop_listening(desk: Desk, args: dict[str, Any]) -> None:
    """Stop the listener."""
    assert desk.network is not None, "logged in"
    await desk.network.stop_listening()
    await desk.save()


@action()
async def encryption(desk: Desk, args: dict[str, Any]) -> None:
    """Choose the TLS mode of the listener; with a file and its password for the own one."""
    assert desk.network is not None, "logged in"
    mode = args.get("mode")
    if mode not in MODES:
        raise ActionError("There is no such mode.")
    if args.get("file"):
        data, password = _file(args, "file"), _text(args, "password")
        try:
            await asyncio.to_thread(keep_own, data, password, desk.directory / "identities")
        except ConfigError:
            raise ActionError(
                "The file can't be used: a wrong password, or no .p12 file with a key in it."
            ) from None
    former, desk.network.options.mode = desk.network.options.mode, mode
    if not await desk.network.restart_listening():
        problem = desk.network.listening.problem
        desk.network.options.mode = former
        await desk.network.restart_listening()
        raise ActionError(problem)
    await desk.save()
    desk.show_changes()


@action()
async def qr(desk: Desk, args: dict[str, Any]) -> str:
    """Return the QR code of the listener's address, as a picture in a URL."""
    assert desk.network is not None, "logged in"
    urls = view.listener_of(desk.network, desk.settings.name, [])["qr"]
    if not urls:
        return ""
    out = io.BytesIO()
    # Black on white with its quiet zone, in the dark too: cameras want it so.
    segno.make(urls, error="m", micro=False).save(out, kind="png", scale=6, border=4)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


@action()
async def drop(desk: Desk, args: dict[str, Any]) -> bool:
    """Disconnect one client; tell whether it was still there."""
    assert desk.network is not None, "logged in"
    number = args.get("number")
    gone = desk.network.listening.disconnect(number) if isinstance(number, int) else None
    return gone is not None


@action()
async def keep_out(desk: Desk, args: dict[str, Any]) -> None:
    """Disconnect a device whenever it connects, until it is let in again."""
    assert desk.network is not None, "logged in"
    desk.network.keep_out(_text(args, "device"))
    desk.show_changes()


@action()
async def let_in(desk: Desk, args: dict[str, Any]) -> None:
    """Let a device in again."""
    assert desk.network is not None, "logged in"
    desk.network.let_in(_text(args, "device"))
    desk.show_changes()


# --- the browser ----------------------------------------------------------------------------------


@action()
async def refresh(desk: Desk, args: dict[str, Any]) -> None:
    """Look again who is near."""
    assert desk.network is not None, "logged in"
    await desk.network.refresh()


@action()
async def meet(desk: Desk, args: dict[str, Any]) -> str:
    """Take a typed or scanned address; return the key of the device there."""
    assert desk.network is not None, "logged in"
    return await desk.network.meet(_text(args, "address", 400))


@action()
async def probe(desk: Desk, args: dict[str, Any]) -> dict[str, Any]:
    """Return the words of the certificate that a device shows."""
    assert desk.network is not None, "logged in"
    fingerprint = await desk.network.probe(_text(args, "key"))
    if fingerprint is None:
        raise ActionError("It does not answer, or does not encrypt. Is it on, and listening?")
    return {"fingerprint": fingerprint, "words": six_words(fingerprint)}


@action()
async def trust(desk: Desk, args: dict[str, Any]) -> None:
    """Trust the certificate whose words were the same."""
    assert desk.network is not None, "logged in"
    fingerprint = _text(args, "fingerprint")
    six_words(fingerprint)
    await desk.network.trust(_text(args, "key"), fingerprint)


@action()
async def block(desk: Desk, args: dict[str, Any]) -> None:
    """Never dial a device whose words differed."""
    assert desk.network is not None, "logged in"
    await desk.network.block(_text(args, "key"))


@action()
async def connect(desk: Desk, args: dict[str, Any]) -> None:
    """Dial a device, with another login if one is given."""
    assert desk.network is not None, "logged in"
    login = None
    if args.get("user"):
        login = Login(_text(args, "user").strip(), _text(args, "password"))
    try:
        await desk.network.connect(_text(args, "key"), login)
    except SetteeError as error:
        raise ActionError(f"That login can't be used: {error}.") from None


@action()
async def original(desk: Desk, args: dict[str, Any]) -> None:
    """Connect to the original app; what it changes has to be kept in step with the items."""
    assert desk.book is not None, "logged in"
    assert desk.network is not None, "logged in"
    desk.settings.mirror = True
    await desk.book.set_mirrors(True)
    await desk.save()
    await desk.network.as_original(_text(args, "key"))


@action()
async def disconnect(desk: Desk, args: dict[str, Any]) -> None:
    """Hang up until it is connected again by hand."""
    assert desk.network is not None, "logged in"
    await desk.network.disconnect(_text(args, "key"))


@action()
async def forget(desk: Desk, args: dict[str, Any]) -> None:
    """Hang up and forget a device."""
    assert desk.network is not None, "logged in"
    await desk.network.forget(_text(args, "key"))


@action()
async def retry(desk: Desk, args: dict[str, Any]) -> None:
    """Dial now instead of waiting."""
    assert desk.network is not None, "logged in"
    desk.network.retry(_text(args, "key"))


# --- settings -------------------------------------------------------------------------------------


@action()
async def device(desk: Desk, args: dict[str, Any]) -> None:
    """Change name, icon and colour of this device."""
    assert desk.book is not None, "logged in"
    assert desk.network is not None, "logged in"
    name = _text(args, "name", NAME_CHARACTERS_MAX).strip()
    if not name:
        raise ActionError("A device needs a name.")
    settings = desk.settings
    renamed, settings.name = settings.name != name, name
    settings.icon = args["icon"] if args.get("icon") in ICONS else settings.icon
    settings.colour = args["colour"] if args.get("colour") in COLOURS else settings.colour
    await desk.book.save_device(Device(settings.name, settings.icon, settings.colour))
    await desk.save()
    if renamed:
        await desk.network.rename(name)
    desk.show_changes()


@action()
async def option(desk: Desk, args: dict[str, Any]) -> None:
    """Turn a switch, or choose how certificates are checked."""
    assert desk.book is not None, "logged in"
    assert desk.network is not None, "logged in"
    network, options, value = desk.network, desk.network.options, args.get("value")
    match args.get("name"), value:
        case "automatic", bool():
            options.automatic = value
        case "visible", bool():
            options.visible = value
            await network.restart_listening()
        case "delta", bool():
            options.delta = value
            await network.restart_listening()
            await network.redial_all()
        case "mirror", bool():
            desk.settings.mirror = value
            await desk.book.set_mirrors(value)
        case "check", str() if value in CHECKS:
            options.check = value
            await network.redial_all()
        case _:
            raise ActionError("There is no such switch.")
    await desk.save()
    desk.show_changes()


@action()
async def certificate_file(desk: Desk, args: dict[str, Any]) -> None:
    """Take the certificate to accept, or the authorities to trust."""
    assert desk.network is not None, "logged in"
    pem = pem_of(_file(args, "file"))
    if args.get("what") == "pinned":
        desk.network.options.pinned_pem = pem
    else:
        desk.network.options.roots_pem = pem
    await desk.save()
    await desk.network.redial_all()
    desk.show_changes()


@action(edits=True)
async def user(desk: Desk, args: dict[str, Any]) -> None:
    """Add a user, or change the role or the password of one."""
    name, role = _text(args, "name").strip(), args.get("role")
    password = args.get("password")
    role = role if role in (EDIT, LOOK) else EDIT
    if role == LOOK and name == desk.user:
        raise ActionError("Somebody has to be able to edit: you stay.")
    try:
        if isinstance(password, str) and password:
            await asyncio.to_thread(desk.accounts.add, name, password, role)
        elif name in dict(desk.accounts.roles()):
            await asyncio.to_thread(desk.accounts.set_role, name, role)
        else:
            raise ActionError("Type a password for the new user.")
    except ConfigError as error:
        raise ActionError(f"That can't be a user or a password: {error}.") from None
    desk.show_changes()


@action(edits=True)
async def remove_user(desk: Desk, args: dict[str, Any]) -> None:
    """Take a user out, and end the connections that were made with that name."""
    assert desk.network is not None, "logged in"
    name = _text(args, "name")
    if name == desk.user:
        raise ActionError("You are logged in with that name. Log in with another one first.")
    await asyncio.to_thread(desk.accounts.remove, name)
    for client in desk.network.listening.clients:
        if client.user == name:
            desk.network.listening.disconnect(client.number)
    desk.show_changes()


def _file(args: dict[str, Any], name: str) -> bytes:
    """Return a small file that the page sent as base64."""
    text = args.get(name)
    if not isinstance(text, str) or len(text) > FILE_BYTES_MAX * 4 // 3:
        raise ActionError("That is no certificate file: it is too large.")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ActionError("The file did not arrive whole. Try again.") from None


def pem_of(data: bytes) -> str:
    """Return a certificate file, PEM or DER, as PEM. Raises ActionError."""
    if b"-----BEGIN CERTIFICATE-----" in data:
        return data.decode("ascii", "replace")
    if data[:1] == b"\x30":
        lines = base64.encodebytes(data).decode()
        return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"
    raise ActionError("That is no certificate. Use a .pem, .crt or .cer file.")
