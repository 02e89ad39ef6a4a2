"""What is set for this device, and its secrets, in files that only their owner reads."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from settee_inventory.links.encryption import CHECKS, MODES
from settee_inventory.links.network import Options
from settee_inventory.links.remembered import write_whole

__all__ = ["COLOURS", "ICONS", "DeviceSettings", "load", "save", "secret"]

ICONS: Final = (
    "restaurant",
    "storefront",
    "local_shipping",
    "computer",
    "tablet_mac",
    "warehouse",
)
COLOURS: Final = ("amber", "blue", "plum", "teal", "brick", "grey")
ICON: Final = "storefront"
COLOUR: Final = "blue"
NAME_CHARACTERS_MAX: Final = 40
_SECRET_BYTES: Final = 32


@dataclass(slots=True)
class DeviceSettings:
    """One device."""

    name: str = ""
    icon: str = ICON
    colour: str = COLOUR
    user: str = ""
    """Who logged in last; shown at the next log in."""
    ready: bool = False
    """Whether the first run is over."""
    mirror: bool = False
    options: Options = field(default_factory=Options)


def load(directory: Path) -> DeviceSettings:
    """Return what was saved; defaults for what is missing or can't be read."""
    settings = DeviceSettings(name=_host_name())
    with contextlib.suppress(OSError, ValueError, AttributeError):
        value = json.loads((directory / "device.json").read_text("utf-8"))
        _take(settings, value)
        _take(settings.options, value.get("options", {}))
    if settings.options.mode not in MODES:
        settings.options.mode = MODES[0]
    if settings.options.check not in CHECKS:
        settings.options.check = CHECKS[0]
    if settings.icon not in ICONS:
        settings.icon = ICON
    if settings.colour not in COLOURS:
        settings.colour = COLOUR
    return settings


def save(directory: Path, settings: DeviceSettings) -> None:
    """Write all. Raises OSError if the disk refuses."""
    write_whole(directory / "device.json", dataclasses.asdict(settings))


def secret(directory: Path, name: str) -> str:
    """Return a secret of this device; the first time it is made. Raises OSError."""
    file = directory / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        text = json.loads(file.read_text("utf-8"))["secret"]
        if isinstance(text, str) and text:
            return text
    text = secrets.token_urlsafe(_SECRET_BYTES)
    write_whole(file, {"secret": text})
    return text


def _take(target: Any, value: dict[str, Any]) -> None:
    """Set the fields of `target` that `value` has with the right type."""
    for each in dataclasses.fields(target):
        given = value.get(each.name)
        if type(given) is type(getattr(target, each.name)) and each.name != "options":
            setattr(target, each.name, given)


def _host_name() -> str:
    name = socket.gethostname().partition(".")[0]
    return name[:NAME_CHARACTERS_MAX] or "This device"
