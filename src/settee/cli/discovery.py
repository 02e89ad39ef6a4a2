"""``settee browse``, and finding one peer by its name."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from settee import NotFoundError, PeerFound, PeerGone
from settee import browse as browse_network
from settee.cli.database import JsonOption
from settee.cli.exits import ended_by_signals
from settee.cli.render import line, notice, show_json
from settee.clock import Clock, SystemClock

__all__ = ["browse", "find"]

_FIND_S: Final = 5.0
"""A service that is there answers within about a second; some networks need a second question."""

_WAKE_S: Final = 0.5
"""So often a wait without end lets Ctrl-C in, on systems where a wait can't be interrupted."""


def browse(
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds", min=0.1, metavar="S", help="Stop after so long (default: at Ctrl-C)."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the peers on this network, as they come and go.

    Those that announce themselves, that is (`listen --advertise`).
    """
    clock = SystemClock()
    end = None if seconds is None else clock.monotonic() + seconds
    names: set[str] = set()
    if not as_json:
        notice("Looking for peers …" + ("" if seconds else " Ctrl-C stops."))
    try:
        with ended_by_signals(), browse_network() as browser:
            while (left_s := _left_s(clock, end)) is None or left_s > 0:
                event = browser.next(_WAKE_S if left_s is None else left_s)
                if event is not None:
                    names.add(event.name)
                    _show(event, as_json=as_json)
    except KeyboardInterrupt:
        pass
    if not names and not as_json:
        notice(
            "No peer announced itself. One that does not (or is behind a firewall) can still "
            "be reached by its address: settee sync DB wss://HOST:PORT/NAME"
        )


def find(name: str) -> PeerFound:
    """Return the announced peer called `name`. Raises `NotFoundError` if none is heard in time."""
    heard: set[str] = set()

    def is_it(peer: PeerFound) -> bool:
        heard.add(peer.name)
        return peer.name == name

    with browse_network() as browser:
        found = browser.wait_for(is_it, _FIND_S)
    if found is not None:
        return found
    others = f" Heard: {', '.join(sorted(heard))}." if heard else ""
    raise NotFoundError(
        f"no peer called {name!r} announces itself on this network.{others} "
        "Give its address instead: wss://HOST:PORT/NAME"
    )


def _left_s(clock: Clock, end_s: float | None) -> float | None:
    return None if end_s is None else end_s - clock.monotonic()


def _show(event: PeerFound | PeerGone, *, as_json: bool) -> None:
    if isinstance(event, PeerGone):
        if as_json:
            show_json({"event": "gone", "name": event.name})
        else:
            line(f"gone   {event.name}")
    elif as_json:
        told = {"urls": event.urls, "id": event.id, "tls": event.tls}
        show_json({"event": "found", "name": event.name, **told})
    else:
        fingerprint = f"  fingerprint {event.id}…" if event.id else ""
        line(f"found  {event.name}  {' '.join(event.urls)}{fingerprint}")
