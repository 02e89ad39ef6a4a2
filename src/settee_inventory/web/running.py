"""The server: NiceGUI behind the gate, with a desk that opens before and closes after it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from nicegui import app, ui

from settee_inventory.web import settings
from settee_inventory.web.desk import Desk
from settee_inventory.web.gate import Gate
from settee_inventory.web.page import serve
from settee_inventory.web.piped import Piped

__all__ = ["run"]


def run(
    directory: Path,
    *,
    host: str,
    port: int,
    names: tuple[str, ...],
    framed_by: str,
    loopback: bool,
    show: bool,
    piped: bool,
    reconnect_s: float,
) -> int:
    """Serve until the process is told to end; return the exit code."""
    desk = Desk(directory, loopback=loopback)
    token = settings.secret(directory, "token")
    address = f"http://{_shown(host)}:{port}/?token={token}"
    leader = Piped(desk, address) if piped else None
    app.add_middleware(
        Gate,
        token=token,
        secret=settings.secret(directory, "cookie"),
        cookie=f"inventory_{port}",
        hosts=names,
        framed_by=framed_by,
    )
    serve(desk)

    async def began() -> None:
        await desk.open()
        if leader is not None:
            await leader.open()
        else:
            print(f"The inventory of this device: {address}", flush=True)

    async def ended() -> None:
        if leader is not None:
            leader.close()
        await asyncio.wait_for(desk.close(), 10)

    app.on_startup(began)
    app.on_shutdown(ended)
    options: dict[str, Any] = {"access_log": False, "timeout_graceful_shutdown": 2}
    ui.run(
        host=host,
        port=port,
        title="Inventory",
        favicon=_FAVICON,
        dark=None,
        language="en-US",
        reload=False,
        show=f"/?token={token}" if show else False,
        tailwind=False,
        reconnect_timeout=reconnect_s,
        show_welcome_message=False,
        fastapi_docs=False,
        **options,
    )
    sys.stdout.flush()
    return 0


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 (recognised, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


_FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" '
    'rx="8" fill="#176B43"/><path d="M7 13h18l-2 11H9zM12 13l4-6 4 6" fill="none" stroke="#fff" '
    'stroke-width="2.4" stroke-linejoin="round"/></svg>'
)
