"""What happens in the demo, in order, and the check at its end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from settee_inventory.data import ITEMS, other_picture, picture
from settee_inventory.demo.crew import NAMES, Crew, SceneError
from settee_inventory.demo.screen import Row, Screen

__all__ = ["compare", "run", "watched_rows"]

_TICK_S: Final = 0.12
_START_S: Final = 15.0
_MEET_S: Final = 20.0
_SYNC_S: Final = 15.0
_READ_S: Final = 2.2
"""A pause for the person who reads along; none with ``fast``."""

_DIFFERENCES_SHOWN_MAX: Final = 20

_IDS: Final = {item.name: item.document_id for item in ITEMS}
_QUANTITIES_SHOWN: Final = ("Carrots", "Corn", "Garlic", "Kale", "Leeks", "Plums")
_PICTURES_SHOWN: Final = {
    "Apples": ("red", "green"),
    "Mushrooms": ("brown", "red"),
    "Peppers": ("bell", "hot"),
}
"""Item -> what its first and its second picture show."""


def run(*, fast: bool = False, keep: Path | None = None, console: Console | None = None) -> int:
    """Play the scene; return 0 if the three devices end with equal content, else 1.

    `fast` leaves out the pauses. `keep` is a directory to put the databases in, made if needed and
    left behind; without it they lie in a temporary one that is removed. `console` is where it
    shows (default: standard output).
    """
    console = console or Console(highlight=False)
    try:
        with _directory(keep) as directory:
            code = asyncio.run(_play(directory, fast=fast, console=console))
        if keep is not None:
            console.print(Text(f"  The Van's: settee ls {directory / 'van'} -c shop.items -l"))
        return code
    except SceneError as error:
        print(f"settee demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("settee demo: stopped", file=sys.stderr)
        return 130


def compare(snapshots: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    """Return one sentence per document or blob that is not equal in all snapshots."""
    differences = []
    for kind, word in (("documents", "document"), ("blobs", "blob")):
        keys = sorted({key for snapshot in snapshots.values() for key in snapshot[kind]})
        for key in keys:
            holders: dict[str | None, list[str]] = {}
            for name, snapshot in snapshots.items():
                holders.setdefault(snapshot[kind].get(key), []).append(name)
            if len(holders) == 1:
                continue
            missing = holders.pop(None, [])
            if missing:
                differences.append(f"{word} {key} is missing at {' and '.join(missing)}")
            if len(holders) > 1:
                sides = " / ".join(" and ".join(names) for names in holders.values())
                differences.append(f"{word} {key} differs: {sides}")
    return differences


def watched_rows() -> list[Row]:
    """Return the rows of the table: six quantities and three pictures."""
    rows = [Row(name, _IDS[name], None) for name in _QUANTITIES_SHOWN]
    for name, words in _PICTURES_SHOWN.items():
        slug = _IDS[name].removeprefix("item::")
        contents = (picture(slug), other_picture(slug))
        names = {_digest(c): word for c, word in zip(contents, words, strict=True)}
        rows.append(Row(f"{name} picture", _IDS[name], names))
    return rows


def _digest(content: bytes) -> str:
    """Return the name that a blob with this content has in a document."""
    # SHA-1 is the protocol's name for a blob, not a proof of who made it.
    raw = hashlib.sha1(content, usedforsecurity=False).digest()
    return f"sha1-{base64.b64encode(raw).decode()}"


@contextlib.contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        directory = Path(tempfile.mkdtemp(prefix="settee-demo-"))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        is_empty = not any(keep.iterdir())
    except OSError as error:
        raise SceneError(f"{keep} can't be used: {error.strerror}") from None
    if not is_empty:
        raise SceneError(f"{keep} is not empty; give a directory that is new or empty")
    yield keep.resolve()


async def _play(directory: Path, *, fast: bool, console: Console) -> int:
    crew = Crew(directory)
    screen = Screen(crew, watched_rows(), console=console, now=asyncio.get_running_loop().time)
    async with crew:
        # The screen ends before the devices do: what stays on it is the three in sync.
        with screen:
            screen.caption("Three devices start, each a process with a database of its own.")
            async with _ticking(screen):
                scene = _Scene(crew, screen, fast=fast)
                differences, documents, blobs = await scene.play()
            screen.table()
    if crew.failure:
        raise SceneError(crew.failure)
    if differences:
        console.print(
            Text(f"\n✗ The devices do not hold the same: {len(differences)} differ.", "red")
        )
        for difference in differences[:_DIFFERENCES_SHOWN_MAX]:
            console.print(Text(f"  {difference}"))
        return 1
    console.print(
        Text(f"\n✓ All three hold the same {documents} documents and {blobs} pictures.", "green")
    )
    return 0


@contextlib.asynccontextmanager
async def _ticking(screen: Screen) -> AsyncIterator[None]:
    async def tick() -> None:
        while True:
            screen.tick()
            await _pause(_TICK_S)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _pause(seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class _Edit:
    """An edit on its way: who made it, what the others will show, when it was made."""

    def __init__(self, by: str, row: Row, value: str, at_s: float) -> None:
        self.by, self.row, self.value, self.at_s = by, row, value, at_s


class _Scene:
    """The order of events, and who says what of them."""

    def __init__(self, crew: Crew, screen: Screen, *, fast: bool) -> None:
        self._crew = crew
        self._screen = screen
        self._fast = fast
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._rows = {row.label: row for row in watched_rows()}
        self._edits: dict[str, _Edit] = {}
        crew.on_news = self._tell

    async def play(self) -> tuple[list[str], int, int]:
        """Play all; return the differences at its end, and the counts of documents and blobs."""
        await self._meet()
        await self._change_quantities()
        await self._change_pictures()
        await self._part()
        await self._meet_again()
        return await self._check()

    async def _meet(self) -> None:
        crew = self._crew
        devices = crew.devices
        await crew.until(
            lambda: all(d.started for d in devices.values()), "the devices start", _START_S
        )
        await crew.order("Kitchen", "seed")
        await self._read(
            "The Kitchen has the list: 42 items with pictures. Shop and Van are empty."
        )
        self._screen.caption(
            "They find each other by DNS-SD, and sync over TLS with pinned certificates "
            "and a password."
        )
        friends = {name: device.fingerprint for name, device in devices.items()}
        for name in NAMES:
            others = {n: seen for n, seen in friends.items() if n != name}
            await crew.order(name, "meet", friends=others)
            devices[name].online = True
        documents = devices["Kitchen"].documents
        await crew.until(
            lambda: self._all_linked() and all(d.documents == documents for d in devices.values()),
            "all three are linked and have the list",
            _MEET_S,
        )
        await self._read()

    async def _change_quantities(self) -> None:
        self._screen.caption("Each changes a quantity, all at the same moment.")
        await self._edit(("Kitchen", "Carrots", 9), ("Shop", "Corn", 72), ("Van", "Garlic", 30))
        await self._settled("the new quantities arrive everywhere")

    async def _change_pictures(self) -> None:
        self._screen.caption("Each changes a picture.")
        await self._edit(
            ("Kitchen", "Apples picture", "green"),
            ("Shop", "Mushrooms picture", "red"),
            ("Van", "Peppers picture", "hot"),
        )
        await self._settled("the new pictures arrive everywhere")

    async def _part(self) -> None:
        crew = self._crew
        self._screen.caption("The Van drives off. Nobody hears it, and it hears nobody.")
        crew.devices["Van"].online = False
        await crew.order("Van", "offline")
        self._screen.event("Van", "is offline")
        await self._read()
        self._screen.caption("Both sides go on. Plums and Leeks change on one side, Kale on both.")
        await self._edit(("Van", "Plums", 85), ("Van", "Kale", 40))
        await self._edit(("Kitchen", "Leeks", 16), ("Shop", "Kale", 60))
        apart = ("Kitchen", "Shop")
        await crew.until(
            lambda: all(
                len({self._rows[label].value(crew.devices[name]) for name in apart}) == 1
                for label in ("Leeks", "Kale")
            ),
            "Kitchen and Shop go on syncing without the Van",
            _SYNC_S,
        )
        await self._read()

    async def _meet_again(self) -> None:
        crew = self._crew
        self._screen.caption("The Van comes back, is found again, and all catch up.")
        await crew.order("Van", "online")
        crew.devices["Van"].online = True
        await crew.until(self._all_linked, "the Van is linked again", _MEET_S)
        await self._settled("all three agree again")
        kale = self._rows["Kale"].value(crew.devices["Van"])
        self._screen.event("all", f"Kale was 60 here and 40 there: all three settled on {kale}")
        await self._read()

    async def _check(self) -> tuple[list[str], int, int]:
        """Compare what the devices hold, until it is equal or the time is over."""
        self._screen.caption("All documents and all pictures of the three are compared.")
        end_s = self._now() + _SYNC_S
        while True:
            answers = await asyncio.gather(*(self._crew.order(n, "snapshot") for n in NAMES))
            differences = compare(dict(zip(NAMES, answers, strict=True)))
            if not differences or self._now() > end_s:
                return differences, len(answers[0]["documents"]), len(answers[0]["blobs"])
            await _pause(_TICK_S)

    # --- the verbs -------------------------------------------------------------------------------

    async def _edit(self, *edits: tuple[str, str, int | str]) -> None:
        """Let devices edit at the same moment: (device, row, new quantity or picture)."""
        orders = []
        for name, label, value in edits:
            row = self._rows[label]
            self._edits[row.label] = _Edit(name, row, str(value), self._now())
            if row.picture_names is None:
                order = self._crew.order(name, "quantity", id=row.doc_id, quantity=value)
            else:
                order = self._crew.order(name, "picture", id=row.doc_id, other=True)
            orders.append(order)
        await asyncio.gather(*orders)

    async def _settled(self, what: str) -> None:
        devices = self._crew.devices.values()
        await self._crew.until(
            lambda: (
                all(len({row.value(d) for d in devices}) == 1 for row in self._rows.values())
                and all(
                    edit.row.value(self._crew.devices[edit.by]) == edit.value
                    for edit in self._edits.values()
                    if edit.row.label != "Kale"
                )
            ),
            what,
            _SYNC_S,
        )
        await self._read()

    async def _read(self, caption: str = "") -> None:
        if caption:
            self._screen.caption(caption)
        self._screen.tick()
        if not self._fast:
            await _pause(_READ_S)

    def _all_linked(self) -> bool:
        return all(len(list(self._crew.linked(name))) == len(NAMES) - 1 for name in NAMES)

    # --- the words -------------------------------------------------------------------------------

    def _tell(self, name: str, event: str, fields: dict[str, Any]) -> None:
        """Turn a device's news into a line of events."""
        device = self._crew.devices[name]
        if event == "link" and fields["activity"] == "offline" and device.online:
            # Of a device that left on purpose there is no more to say.
            is_expected = not self._crew.devices[fields["peer"]].online
            reason = "" if is_expected else f": {fields['error']}"
            self._screen.event(name, f"lost {fields['peer']}{reason}")
        elif event == "found":
            self._screen.event(name, f"found {fields['peer']}")
        elif event == "trouble":
            self._screen.event(name, fields["text"])
        elif event == "items":
            self._tell_items(name, fields)

    def _tell_items(self, name: str, fields: dict[str, Any]) -> None:
        device = self._crew.devices[name]
        if device.documents < fields["documents"] == len(ITEMS) + 1:
            self._screen.event(name, f"has all {fields['documents']} documents")
        for row in self._rows.values():
            if row.doc_id not in fields["items"] or row.doc_id not in device.quantities:
                continue
            quantity, digest = fields["items"][row.doc_id]
            new = str(quantity) if row.picture_names is None else row.picture_names.get(digest, "?")
            old = row.value(device)
            if new != old:
                self._screen.event(name, f"{row.label} {old} → {new}{self._whence(name, row, new)}")

    def _whence(self, name: str, row: Row, new: str) -> str:
        edit = self._edits.get(row.label)
        if edit is None or edit.value != new or edit.by == name:
            return ""
        passed_s = self._now() - edit.at_s
        passed = f"{passed_s:.1f} s" if passed_s >= 1 else f"{passed_s * 1000:.0f} ms"
        return f"   from {edit.by}, after {passed}"
