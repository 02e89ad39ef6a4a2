"""The table that a run ends with: one row per scenario, one column per peer, no cell empty."""

from __future__ import annotations

import datetime
import platform
from typing import Final, NamedTuple

__all__ = [
    "COUCHBASE_LITE",
    "NEVER",
    "PEERS",
    "ROWS",
    "SYNC_GATEWAY",
    "SYNC_GATEWAY_TREES",
    "Cell",
    "Table",
]

COUCHBASE_LITE: Final = "couchbase-lite"
SYNC_GATEWAY: Final = "sync-gateway"
"""At the level that it and settee agree on when nobody interferes: 4, version vectors."""
SYNC_GATEWAY_TREES: Final = "sync-gateway-trees"
"""The same program, offered the levels of revision trees only."""
PEERS: Final = (COUCHBASE_LITE, SYNC_GATEWAY, SYNC_GATEWAY_TREES)
"""The table's columns."""

ROWS: Final = (
    "no document",
    "1 document",
    "1,000 documents",
    "20,000 documents",
    "unicode",
    "extreme documents",
    "named collections",
    "blobs: 0 B, 1 B, 100 KB",
    "large blob",
    "deletes and resurrections",
    "conflicts, default resolver",
    "conflicts, custom resolver",
    "filters and channels",
    "continuous, 200 edits",
    "restart of settee",
    "death of the active peer",
    "second sync sends nothing",
    "wrong password",
    "no such database",
    "TLS: pinned",
    "TLS: self-signed only",
    "TLS: signed by an authority",
    "read-only listener",
    "protocol level 2",
    "deltas",
    "default collection of 3.4 and 4.x",
    "client certificates",
    "bridge between levels 3 and 4",
)
"""The scenarios, each marked on its tests by `@pytest.mark.scenario(...)`, or else in NEVER."""

NEVER: Final = {
    ("named collections", COUCHBASE_LITE): "3.0 has none; they came with 3.1",
    ("TLS: self-signed only", COUCHBASE_LITE): "not in the community edition",
    ("deltas", SYNC_GATEWAY): "not in the community edition",
    ("read-only listener", SYNC_GATEWAY): "it is the listener",
    ("default collection of 3.4 and 4.x", COUCHBASE_LITE): "3.0 is older",
    ("default collection of 3.4 and 4.x", SYNC_GATEWAY): "it takes both dialects",
    ("client certificates", COUCHBASE_LITE): "not in the community edition",
    ("client certificates", SYNC_GATEWAY): "it asks for none",
    ("protocol level 2", SYNC_GATEWAY): "see level 3",
    ("bridge between levels 3 and 4", COUCHBASE_LITE): "both peers: see level 4",
    ("bridge between levels 3 and 4", SYNC_GATEWAY_TREES): "both peers: see level 4",
    **dict.fromkeys(
        (
            (row, SYNC_GATEWAY_TREES)
            for row in (
                "20,000 documents",
                "large blob",
                "restart of settee",
                "death of the active peer",
                "wrong password",
                "no such database",
                "TLS: pinned",
                "TLS: self-signed only",
                "TLS: signed by an authority",
            )
        ),
        "at level 4 only",
    ),
    ("deltas", SYNC_GATEWAY_TREES): "not in the community edition",
    ("read-only listener", SYNC_GATEWAY_TREES): "it is the listener",
    ("default collection of 3.4 and 4.x", SYNC_GATEWAY_TREES): "it takes both dialects",
    ("client certificates", SYNC_GATEWAY_TREES): "it asks for none",
}
"""Cells that stay without a test, and why."""

MISSING_GATEWAY: Final = "no program here: see SETTEE_SYNC_GATEWAY"


class Cell(NamedTuple):
    """What the tests of one scenario with one peer came to."""

    passed: int = 0
    failed: int = 0

    @property
    def text(self) -> str:
        if self.failed:
            return f"FAILED {self.failed} of {self.passed + self.failed}"
        return f"ok ({self.passed})"


class Table:
    """Collects results; `versions` names each peer that took part."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self._cells: dict[tuple[str, str], Cell] = {}

    def add(self, scenario: str, peer: str, *, passed: bool) -> None:
        """Note one test's result."""
        cell = self._cells.get((scenario, peer), Cell())
        self._cells[scenario, peer] = Cell(cell.passed + passed, cell.failed + (not passed))

    def cell(self, scenario: str, peer: str) -> str:
        """Return what stands in one cell."""
        found = self._cells.get((scenario, peer))
        if found is not None:
            return found.text
        if (scenario, peer) in NEVER:
            return NEVER[scenario, peer]
        return "not run" if peer in self.versions else MISSING_GATEWAY

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table, without its heading."""
        return [(name, *(self.cell(name, peer) for peer in PEERS)) for name in ROWS]

    def heading(self) -> tuple[str, ...]:
        """Return the heading."""
        return (
            "scenario",
            self.versions.get(COUCHBASE_LITE, "Couchbase Lite for Java (not run)"),
            self.versions.get(SYNC_GATEWAY, "Sync Gateway (not run)"),
            self.versions.get(SYNC_GATEWAY_TREES, "Sync Gateway at level 3 (not run)"),
        )

    def text(self) -> list[str]:
        """Return lines for a terminal."""
        table = [self.heading(), *self.rows()]
        widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
        return [
            "  ".join(each.ljust(width) for each, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]

    def markdown(self) -> str:
        """Return the table for docs/compatibility.md."""
        today = datetime.datetime.now(datetime.UTC).date()
        rule = ("---",) * (1 + len(PEERS))
        lines = [" | ".join(row) for row in (self.heading(), rule, *self.rows())]
        machine = f"Python {platform.python_version()} on {platform.system()}"
        return f"Run of {today}, {machine}.\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n"
