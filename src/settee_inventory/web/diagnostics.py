"""The diagnostics file: what helps to find a fault, and nothing that is secret.

Versions, states, counts and last errors. No passwords, keys, tokens or documents.
"""

from __future__ import annotations

import io
import json
import platform
import re
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any, Final

__all__ = ["bundle", "versions"]

_LOG_BYTES_MAX: Final = 200_000
_TOKEN: Final = re.compile(r"(token=)[A-Za-z0-9_-]+")
_PACKAGES: Final = ("settee", "nicegui", "apsw", "cryptography", "zeroconf")


def versions() -> dict[str, str]:
    """Return what runs here."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def bundle(state: dict[str, Any], log: Path | None = None) -> bytes:
    """Return a ZIP archive of `state` and of the end of the log file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(state, indent=2, ensure_ascii=False, default=str)
        archive.writestr("state.json", _TOKEN.sub(r"\1...", text))
        if log is not None and log.exists():
            with log.open("rb") as stream:
                stream.seek(max(0, log.stat().st_size - _LOG_BYTES_MAX))
                lines = stream.read().decode("utf-8", "replace")
            archive.writestr("app.log", _TOKEN.sub(r"\1...", lines))
    return out.getvalue()
