"""What the pages show, as plain values: items, the state of all links, words for changes.

Everything that a person reads about somebody else's data is made here or in the page as text,
never as HTML.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from settee_inventory.book import Change, Inventory, Item, ListChange
from settee_inventory.links.encryption import PAIRS
from settee_inventory.links.listening import Client
from settee_inventory.links.network import Network, Peer
from settee_inventory.links.sentences import CHIPS, refusal, waiting_line
from settee_inventory.links.words import six_words
from settee_inventory.web.happenings import UNKNOWN, conflict_of, device_of, who_is
from settee_inventory.web.settings import DeviceSettings

__all__ = ["change_of", "item_of", "listener_of", "parts_of", "past_of", "peer_of", "synced_with"]

MINUS: Final = "\N{MINUS SIGN}"


# --- items ----------------------------------------------------------------------------------------


def item_of(item: Item, waits: bool) -> dict[str, Any]:
    """Return an item as the list shows it; `waits`: no other device has its change yet."""
    picture = item.picture
    return {
        "id": item.id,
        "name": item.name,
        "quantity": item.quantity,
        "unit": item.unit,
        "warn": item.warn_under,
        "picture": picture.digest if picture else None,
        "thumb": _thumb(item),
        "photo": bool(picture and picture.content_type != "image/png"),
        "at": item.changed_ms,
        "by": item.changed_by,
        "waits": waits,
    }


def _thumb(item: Item) -> str | None:
    """Where the small picture is; its address is another one for another picture."""
    if item.picture is None:
        return None
    if item.picture.has_thumb:
        return f"/picture/{quote(item.picture.thumb, safe='')}"
    return f"/thumb/{quote(item.id, safe='')}?of={quote(item.picture.digest, safe='')}"


def change_of(change: ListChange, book: Inventory, waits: set[str]) -> dict[str, Any]:
    """Return what the pages are sent for a change of the list, with the news of other devices."""
    items: dict[str, Any] = {}
    news: list[dict[str, Any]] = []
    for each in change.items:
        items[each.id] = item_of(each.item, each.id in waits) if each.item else None
        if each.remote and each.item is not None and each.changes:
            latest = each.changes[-1]
            device = device_of(book, latest.by)
            news.append(
                {
                    "id": each.id,
                    "text": f"{device['name']} {_short(latest)}",
                    "colour": device["colour"],
                    "spoken": f"{device['name']}: {each.item.name} {each.item.quantity}",
                }
            )
    return {"items": items, "news": news}


def past_of(book: Inventory, item_id: str, most: int = 8) -> list[dict[str, Any]]:
    """Return the last changes of an item, newest first."""
    return [
        {
            "by": each.by,
            "who": who_is(book, each.by),
            "did": _did(each),
            "at": each.ms,
        }
        for each in list(book.history(item_id))[:most]
    ]


def _signed(count: int) -> str:
    return f"{MINUS}{-count}" if count < 0 else f"+{count}"


def _short(change: Change) -> str:
    """Two words for the row, such as ``+2``, ``set 12``, ``new name``."""
    if change.field == "quantity":
        return _signed(change.value) if change.kind == "counted" else f"set {change.value}"
    words = {
        "name": "new name",
        "picture": "new picture",
        "unit": "new unit",
        "warn_under": "new limit",
        "removed": "brought back",
    }
    return words.get(change.field, "changed")


def _did(change: Change) -> str:
    """What somebody did, behind his name."""
    value = change.value
    if change.field == "quantity":
        if change.kind != "counted":
            return f"set the quantity to {value}"
        return f"took {-value} away" if value < 0 else f"put {value} in"
    match change.field:
        case "name":
            return f"named it {value}"
        case "unit":
            return f"set the unit to {value}" if value else "removed the unit"
        case "warn_under":
            return "removed the limit" if value is None else f"set the limit to {value}"
        case "picture":
            return "changed the picture" if value else "removed the picture"
        case "removed":
            return "removed it" if value else "brought it back"
    return "changed it"


# --- links ----------------------------------------------------------------------------------------


def synced_with(network: Network) -> int:
    """Return with how many devices this one is in sync."""
    if not network.online:
        return 0
    return sum(peer.state == "in sync" for peer in network.peers) + sum(
        not client.busy for client in network.unknown_clients
    )


def parts_of(
    book: Inventory, network: Network, settings: DeviceSettings, user: str, waits: int
) -> dict[str, Any]:
    """Return all of the state but the items, as parts that are sent when they differ."""
    devices = {id: device_of(book, id) for id in book.devices}
    peers = sorted(
        (peer_of(peer, network, devices) for peer in network.peers),
        key=lambda each: (each["rank"], each["name"].casefold()),
    )
    clients = [_client(client, devices, book) for client in network.listening.clients]
    conflicts = [conflict_of(each, book) for each in book.conflicts()]
    options = network.options
    open_to_all = network.listening.mode == "none" and network.listening.listener is not None
    return {
        "screen": "app",
        "me": {
            "id": book.device_id,
            "name": settings.name,
            "icon": settings.icon,
            "colour": settings.colour,
            "user": user,
        },
        "devices": devices,
        "peers": peers,
        "pill": _pill(peers, clients, network, waits),
        "links": {
            "synced": synced_with(network),
            "alone": synced_with(network) == 0,
            "waits": waits,
        },
        "listener": {
            **listener_of(network, settings.name, clients),
            "kept_out": [device_of(book, id) for id in sorted(network.kept_out)],
        },
        "browser": {
            "online": network.online,
            "since": network.looking_since_ms,
            "automatic": options.automatic,
            "check": options.check,
        },
        "conflicts": conflicts,
        "badge": len(conflicts),
        "banner": None
        if not open_to_all or network.doors.loopback
        else "Anyone on this network can read this inventory.",
        "options": {
            "check": options.check,
            "visible": options.visible,
            "delta": options.delta,
            "mirror": settings.mirror,
            "pinned": bool(options.pinned_pem),
            "roots": bool(options.roots_pem),
            "pairs": [list(pair) for pair in PAIRS],
        },
    }


_RANKS: Final = {"in sync": 0, "syncing": 0, "connecting": 1, "retrying": 2, "refused": 2}


def peer_of(peer: Peer, network: Network, devices: dict[str, Any]) -> dict[str, Any]:
    """Return one entry of the Browser."""
    state = peer.state if network.online else "no network"
    chip = CHIPS[state]
    look = _look(peer, devices)
    trusted = bool(peer.known and peer.known.fingerprint)
    shown: dict[str, Any] = {
        "key": peer.key,
        "name": peer.name,
        "icon": look["icon"],
        "colour": look["colour"],
        "state": state,
        "chip": {"tone": chip.tone, "icon": chip.icon, "text": chip.text},
        "fact": _place(peer),
        "line": peer.problem,
        "actions": [],
        "progress": None,
        "retry_at": 0,
        "moved_at": 0,
        "seen_at": peer.known.seen_at_ms if peer.known else 0,
        "off_at": peer.known.off_at_ms if peer.known and state == "off" else 0,
        "menu": [],
        "trusted": trusted,
        "rank": _RANKS.get(state, 3 if state == "new" else 4),
        "bad": False,
    }
    _explain(shown, peer, network)
    return shown


def _explain(shown: dict[str, Any], peer: Peer, network: Network) -> None:
    """Fill in the line, the one main action and the menu for the state."""
    link, check = peer.link, network.options.check
    plain = _is_plain(peer)
    menu = ["disconnect", "login", "forget"] if peer.known or peer.link else []
    match shown["state"]:
        case "new":
            if check == "first use" and not plain:
                shown["line"] = shown["line"] or (
                    "Compare six words once. Then it connects on its own."
                )
                shown["actions"] = ["compare"]
            else:
                shown["line"] = shown["line"] or (
                    "It does not encrypt: anyone on this network can read along."
                    if plain
                    else "Not seen before."
                )
                shown["actions"] = ["connect"]
            menu = ["login", "forget"] if peer.known else ["login"]
        case "syncing" | "in sync":
            if link is not None:
                shown["moved_at"] = link.changed_at_ms or link.synced_at_ms
                done = link.status.progress
                if shown["state"] == "syncing":
                    total = done.pulled + done.pushed + done.pending
                    shown["progress"] = {"done": done.pulled + done.pushed, "total": total}
            else:
                shown["moved_at"] = max(each.since_ms for each in peer.clients)
                shown["line"] = "It connected to this device."
        case "retrying":
            assert link is not None, "only a link retries"
            shown["retry_at"] = link.retry_at_ms
            shown["line"] = waiting_line(link.error)
            shown["actions"] = ["retry"]
        case "refused":
            assert link is not None, "only a link is refused"
            assert link.error is not None, "there is a reason"
            said = refusal(link.error, name=peer.name, user=link.login.user, check=check)
            shown["line"], shown["actions"], shown["bad"] = said.line, list(said.remedies), True
            menu = ["login", "forget"]
        case "blocked":
            shown["line"] = "Its words differed, so it is not dialled."
            shown["actions"], menu = ["compare"], ["forget"]
        case "off":
            shown["actions"], menu = ["connect"], ["login", "forget"]
        case "away":
            menu = ["forget"]
        case "connecting":
            shown["actions"] = ["stop"]
        case "no network":
            shown["line"] = "This device has no network. Changes wait."
    shown["menu"] = [name for name in menu if name not in shown["actions"]]


def _is_plain(peer: Peer) -> bool:
    if peer.found is not None:
        return peer.found.tls is False
    return bool(peer.known and peer.known.url.startswith("ws:"))


def _place(peer: Peer) -> str:
    if peer.found is not None and peer.found.addresses:
        host = peer.found.addresses[0]
        return f"[{host}]:{peer.found.port}" if ":" in host else f"{host}:{peer.found.port}"
    if peer.known is not None and peer.known.url:
        return peer.known.url.partition("://")[2].partition("/")[0]
    return ""


def _look(peer: Peer, devices: dict[str, Any]) -> dict[str, Any]:
    """Return icon and colour: of the device that called, else of the only one of that name."""
    for client in peer.clients:
        if client.device_id in devices:
            return dict(devices[client.device_id])
    same = [each for each in devices.values() if each["name"] == peer.name]
    return dict(same[0]) if len(same) == 1 else dict(UNKNOWN)


def _client(client: Client, devices: dict[str, Any], book: Inventory) -> dict[str, Any]:
    device = devices.get(client.device_id, {"name": "Another program", **UNKNOWN})
    return {
        "number": client.number,
        "device": client.device_id,
        "name": device["name"],
        "icon": device["icon"],
        "colour": device["colour"],
        "user": client.user,
        "address": client.address,
        "since": client.since_ms,
        "in": client.documents_in,
        "out": client.documents_out,
        "bytes_in": client.bytes_in,
        "bytes_out": client.bytes_out,
        "busy": client.busy,
        "doing": "syncing now" if client.busy else "in sync",
    }


def listener_of(network: Network, name: str, clients: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the Listener page shows."""
    listening = network.listening
    urls = listening.urls
    named = [url for url in urls if url.partition("://")[2].partition(":")[0].endswith(".local")]
    numbered = [url for url in urls if url not in named]
    return {
        "running": listening.listener is not None,
        "name": name,
        "port": listening.port or network.options.port,
        "since": listening.since_ms,
        "visible": network.options.visible,
        "mode": network.options.mode,
        "problem": listening.problem,
        "urls": [*named[:1], *numbered[:1]] or urls[:1],
        "qr": listening.invitation((numbered or urls)[0]) if urls else "",
        "words": six_words(listening.fingerprint) if listening.lasting and urls else [],
        "fingerprint": listening.fingerprint if listening.lasting else "",
        "clients": clients,
        "online": network.online,
    }


def _pill(
    peers: list[dict[str, Any]], clients: list[dict[str, Any]], network: Network, waits: int
) -> dict[str, Any]:
    """The state of all links in two words: never better than it is."""
    known = {peer["name"] for peer in peers}
    others = [client for client in clients if client["name"] not in known]
    live = [each for each in peers if each["state"] in ("in sync", "syncing")] + others
    busy = any(each.get("state") == "syncing" or each.get("busy") for each in live)
    count = len(live)
    devices = "device" if count == 1 else "devices"
    changed = f"{waits} {'change waits' if waits == 1 else 'changes wait'}"
    if not network.online:
        text = ("off", "wifi_off", "No network", "No network")
    elif count and busy:
        text = ("busy", "sync", "Syncing", f"Syncing with {count} {devices}")
    elif count:
        text = ("ok", "check_circle", "In sync", f"In sync with {count} {devices}")
    elif any(each["state"] == "refused" for each in peers):
        text = ("bad", "block", "Refused", "A device refuses this one")
    elif any(each["state"] in ("retrying", "connecting") for each in peers):
        text = ("wait", "schedule", "Connecting", "Looking for its devices")
    else:
        text = ("off", "link_off", "Alone", "Not connected")
    tone, icon, short, long = text
    return {
        "tone": tone,
        "icon": icon,
        "text": short,
        "long": long,
        "more": changed if waits and not count else "",
        "at": network.moved_at_ms,
        "devices": [{"icon": each["icon"], "colour": each["colour"]} for each in live],
    }
