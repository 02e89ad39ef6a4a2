"""The command: starts three devices and one page, prints its address, and cleans up at the end."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from settee_inventory.web.process import ending_quietly

__all__ = ["main"]

_PORT: Final = 8080


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the table; return the exit code (0: ended, 2: wrong usage, 3: it can't start)."""
    options = _parser().parse_args(arguments)
    kept = options.keep is not None
    directory = Path(options.keep or tempfile.mkdtemp(prefix="settee-table-")).absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        port = _port(options.port)
    except OSError as error:
        print(f"settee: the table can't start: {error.strerror}", file=sys.stderr)
        return 3
    os.environ["NICEGUI_STORAGE_PATH"] = str(directory / "nicegui")
    try:
        return ending_quietly(_run, directory, port, options.show)
    except ModuleNotFoundError as error:
        print(
            f"settee: {error.name} is not installed. Run: pip install 'settee[app]'",
            file=sys.stderr,
        )
        return 3
    finally:
        if not kept:
            shutil.rmtree(directory, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="Kitchen, Shop and Van on one page: three processes that really sync.",
    )
    parser.add_argument(
        "--port", type=int, help=f"of the page (default: {_PORT}, or a free one if that is taken)"
    )
    parser.add_argument("--show", action="store_true", help="open the page in the browser")
    parser.add_argument("--keep", metavar="DIR", help="leave the three databases there")
    return parser


def _port(wanted: int | None) -> int:
    """Return the port to serve on. Raises OSError if the wanted one is taken."""
    for port in (wanted,) if wanted is not None else (_PORT, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                if port == 0 or wanted is not None:
                    raise
                continue
            return int(trial.getsockname()[1])
    raise AssertionError("port 0 is never taken")


def _run(directory: Path, port: int, show: bool) -> int:
    from nicegui import app, ui

    from settee_inventory.table.page import Table
    from settee_inventory.web import settings
    from settee_inventory.web.gate import Gate

    origin = f"http://127.0.0.1:{port}"
    token = settings.secret(directory, "token")
    app.add_middleware(
        Gate,
        token=token,
        secret=settings.secret(directory, "cookie"),
        cookie=f"table_{port}",
        frames="http://127.0.0.1:*",
    )
    table = Table(directory / "devices", origin)
    table.serve()

    async def began() -> None:
        await table.open()
        print(f"The table: {origin}/?token={token}", flush=True)
        print("Ctrl+C ends it.", flush=True)

    app.on_startup(began)
    app.on_shutdown(table.close)
    options: dict[str, Any] = {"access_log": False, "timeout_graceful_shutdown": 2}
    ui.run(
        host="127.0.0.1",
        port=port,
        title="The table",
        dark=None,
        language="en-US",
        reload=False,
        show=f"/?token={token}" if show else False,
        tailwind=False,
        show_welcome_message=False,
        **options,
    )
    return 0
