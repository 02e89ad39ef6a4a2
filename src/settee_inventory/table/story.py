"""What happened on the table: the last journey, measured, and the three steps to try.

Pure: it is fed what the devices told, with their own times, and read as values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Story"]

MINUS: Final = "\N{MINUS SIGN}"
_JOURNEYS_MAX: Final = 200


@dataclass
class _Journey:
    """One change, from the device that made it to those that have it."""

    origin: str
    item: str
    what: str
    began_ns: int
    arrived_ns: dict[str, int] = field(default_factory=dict)


class Story:
    """Fed with `told`; `journey`, `step` and `result` say what to show."""

    def __init__(self) -> None:
        self.journey: dict[str, Any] | None = None
        self.step = 1
        self.result = ""
        self._journeys: dict[str, _Journey] = {}
        self._online: dict[str, bool] = {}
        self._quantities: dict[str, dict[str, int]] = {}
        self._apart: dict[str, dict[str, int]] = {}
        self._cut: set[str] = set()

    def told(self, name: str, event: str, fields: dict[str, Any]) -> None:
        """Take in what the device `name` has told."""
        if event == "links":
            self._online[name] = fields["online"]
            self._networks()
        elif event == "change":
            self._quantities.setdefault(fields["id"], {})[name] = fields["quantity"]
            if fields["remote"]:
                self._arrived(name, fields)
            else:
                self._made(name, fields)
            self._merged(fields["id"], fields["name"])

    def _networks(self) -> None:
        cut = {name for name, online in self._online.items() if not online}
        if cut and not self._cut:
            self._apart.clear()
            self.result = ""
            self.step = 2
        elif not cut and self._cut and self.step == 2 and not self._both():
            self.step = 1
        self._cut = cut

    def _made(self, name: str, fields: dict[str, Any]) -> None:
        counted = fields["count"]
        what = _signed(counted) if counted is not None else f"set to {fields['quantity']}"
        if name not in self._cut:  # What waits for a network is not under way.
            self._journeys[fields["stamp"]] = _Journey(name, fields["name"], what, fields["at_ns"])
        while len(self._journeys) > _JOURNEYS_MAX:
            del self._journeys[next(iter(self._journeys))]
        if self._cut and counted is not None:
            counts = self._apart.setdefault(fields["id"], {})
            counts[name] = counts.get(name, 0) + counted
            if self._both():
                self.step = 3

    def _arrived(self, name: str, fields: dict[str, Any]) -> None:
        journey = self._journeys.get(fields["stamp"])
        if journey is None:
            return
        journey.arrived_ns.setdefault(name, fields["at_ns"])
        took_ms = (max(journey.arrived_ns.values()) - journey.began_ns) / 1e6
        places = sorted(journey.arrived_ns)
        self.journey = {
            "ms": max(1, round(took_ms)),
            "origin": journey.origin,
            "places": places,
            "what": f"{journey.item} {journey.what}",
            "at": journey.began_ns // 1_000_000,
        }

    def _both(self) -> dict[str, int] | None:
        """Return the counts of an item that was changed on both sides of the cut, if any was."""
        for counts in self._apart.values():
            if self._cut & counts.keys() and counts.keys() - self._cut:
                return counts
        return None

    def _merged(self, item_id: str, item: str) -> None:
        """After the cut: the same number everywhere, made of what was counted apart."""
        counts = self._apart.get(item_id, {})
        held = self._quantities.get(item_id, {})
        everywhere = len(held) == len(self._online) and len(set(held.values())) == 1
        if self.step != 3 or self._cut or len(counts) < 2 or not everywhere:
            return
        parts = [f"{name} {_signed(count)}" for name, count in sorted(counts.items())]
        total = _signed(sum(counts.values()))
        self.result = f"{', '.join(parts[:-1])} and {parts[-1]} became {total} everywhere: {item}."
        self.step = 4
        self._apart.clear()


def _signed(count: int) -> str:
    return f"{MINUS}{-count}" if count < 0 else f"+{count}"
