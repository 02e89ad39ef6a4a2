"""What happened, in words: the lines of the activity log, and what could not merge."""

from __future__ import annotations

from typing import Any, Final

from settee_inventory.book import Choice, Conflict, Entry, Inventory, Picture, is_mirror
from settee_inventory.web.settings import COLOURS, ICONS

__all__ = ["UNKNOWN", "conflict_of", "device_of", "entry_of", "who_is"]

UNKNOWN: Final = {"icon": "help", "colour": "grey"}
"""The look of a device that nobody has described."""

_FIELDS: Final = {
    "name": "name",
    "unit": "unit",
    "warn_under": "limit",
    "picture": "picture",
    "removed": "removal",
    "quantity": "quantity",
}
_ABOUT_LINKS: Final = {
    "connected": ("connected", "links", "link", False),
    "lost": ("can't be reached", "errors", "schedule", True),
    "refused": ("refused this device", "errors", "block", True),
    "turned away": ("was turned away", "errors", "block", True),
    "trusted": ("is trusted from now on", "links", "verified_user", False),
    "blocked": ("is blocked", "errors", "block", True),
}
"""Kind of a note: what to say, which filter shows it, icon, whether it is bad news."""


def device_of(book: Inventory, device_id: str) -> dict[str, Any]:
    """Return name and look of a device."""
    device = book.devices.get(device_id)
    if device is None or not device.name:
        name = "The original app" if is_mirror(device_id) else "Another device"
        return {"id": device_id, "name": name, **UNKNOWN}
    return {
        "id": device_id,
        "name": device.name,
        "icon": device.icon if device.icon in ICONS else UNKNOWN["icon"],
        "colour": device.colour if device.colour in COLOURS else UNKNOWN["colour"],
    }


def who_is(book: Inventory, device_id: str) -> str:
    """Return how to call a device: "You" for this one."""
    return "You" if device_id == book.device_id else str(device_of(book, device_id)["name"])


def conflict_of(conflict: Conflict, book: Inventory) -> dict[str, Any]:
    """Return a field that could not merge, the version that is shown first."""
    versions = [conflict.shown, *conflict.others]
    makers = list(dict.fromkeys(who_is(book, each.by) for each in versions))
    makers.sort(key=lambda name: name != "You")
    field = _FIELDS.get(conflict.field, conflict.field)
    name = conflict.item.name or "An item"
    if conflict.field == "removed":
        title = f"{name}: removed and changed"
    else:
        count = {2: "two", 3: "three"}.get(len(versions), str(len(versions)))
        title = f"{name}: {count} {field}s"
    apart = " and ".join(makers) if len(makers) > 1 else f"{makers[0]}, twice,"
    return {
        "id": conflict.item.id,
        "field": conflict.field,
        "title": title,
        "line": f"{apart} changed it while apart. The later one shows now.",
        "versions": [_version(conflict.field, each, book) for each in versions],
    }


def _version(field: str, choice: Choice, book: Inventory) -> dict[str, Any]:
    picture = choice.value if isinstance(choice.value, Picture) else None
    if field == "removed":
        text = "Removed" if choice.value else "Still there"
    else:
        text = "Nothing" if choice.value in (None, "") else str(choice.value)
    return {
        "version": choice.version,
        "at": choice.ms,
        "by": choice.by,
        "who": who_is(book, choice.by),
        "text": "" if picture else text,
        "plain": "" if picture or choice.value is None else str(choice.value),
        "thumb": picture.thumb if picture else None,
    }


def entry_of(entry: Entry, book: Inventory) -> dict[str, Any]:
    """Return one line of the activity log."""
    line: dict[str, Any] = {
        "id": f"{entry.ms}-{entry.kind}-{entry.by}-{'-'.join(id for id, _ in entry.items)}",
        "at": entry.ms,
        "kind": "changes",
        "who": who_is(book, entry.by) if entry.by else "",
        "did": "",
        "more": "",
        "device": device_of(book, entry.by) if entry.by else None,
        "icon": "",
        "bad": False,
    }
    detail = entry.detail
    match entry.kind:
        case "edited" | "received":
            line["did"] = f"changed {_items(entry)}"
            line["more"] = _named(entry)
        case "merged":
            line.update(who=_items(entry), did=_merged(detail), icon="merge")
        case "conflict":
            field = _FIELDS.get(str(detail.get("field")), "field")
            line.update(who=_items(entry), did=f"has two versions of its {field}")
            line.update(kind="conflicts", icon="call_split")
        case "decided":
            field = _FIELDS.get(str(detail.get("field")), "field")
            line.update(did=f"chose the {field} of {_items(entry)}", kind="conflicts")
        case _:
            did, kind, icon, bad = _ABOUT_LINKS.get(
                entry.kind, (entry.kind, "errors", "info", False)
            )
            line.update(did=did, kind=kind, icon=icon, bad=bad)
            line.update(who=str(detail.get("who", "")), more=str(detail.get("text", "")))
    return line


def _items(entry: Entry) -> str:
    if entry.item_count == 1 and entry.items:
        return entry.items[0][1] or "an item"
    return f"{entry.item_count} items"


def _named(entry: Entry) -> str:
    """The first names, where there are several items."""
    if entry.item_count < 2:
        return ""
    names = [name for _, name in entry.items[:4]]
    return ", ".join(names) + (" and others" if entry.item_count > len(names) else "")


def _merged(detail: Any) -> str:
    fields = [str(each) for each in detail.get("fields", ())]
    if "quantity" in fields:
        return (
            f"merged by itself: {detail.get('here')} here and {detail.get('there')} there "
            f"made {detail.get('both')}"
        )
    return f"merged by itself: {', '.join(_FIELDS.get(each, each) for each in fields)}"
