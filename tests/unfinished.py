"""What an interrupted run of many parts has done already, so that the next one goes on after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from tests import figures

__all__ = ["Unfinished"]

ROOT: Final = Path(__file__).resolve().parent.parent
PLACE: Final = ROOT / ".settee-night"


class Unfinished:
    """Results by part, in a file until all are there; `kind` tells runs of other options apart."""

    def __init__(self, name: str, kind: object = None, *, place: Path = PLACE) -> None:
        self._path: Final = place / f"{name}.json"
        self._kind: Final = json.loads(json.dumps(kind))
        self.done: dict[str, Any] = {}
        """Part -> what `note` was given."""
        self.commits: list[str] = []
        """On which commits that was done."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if kept.get("kind") == self._kind:
            self.done = kept["done"]
            self.commits = kept.get("commits", [])

    def note(self, part: str, result: Any) -> None:
        """Keep the result of a part."""
        self.done[part] = result
        commit = figures.commit()
        if commit not in self.commits:
            self.commits.append(commit)
        self._path.parent.mkdir(exist_ok=True)
        text = json.dumps({"kind": self._kind, "commits": self.commits, "done": self.done})
        self._path.write_text(text, encoding="utf-8")

    def finish(self) -> None:
        """All parts are done: the next run begins anew."""
        self._path.unlink(missing_ok=True)
