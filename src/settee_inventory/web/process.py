"""The command ``settee-inventory``: this device's web app, until it is ended."""

from __future__ import annotations

import argparse
import logging
import logging.handlers
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["ending_quietly", "main", "parser"]

_PORT: Final = 8080
_LOG_BYTES_MAX: Final = 2**20
_RECONNECT_S: Final = 120.0
"""A phone that sleeps loses its socket; so long the half-typed name is not lost."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the app; return the exit code (0: ended, 2: wrong usage, 3: it can't start)."""
    options = parser().parse_args(arguments)
    directory = Path(options.directory).expanduser()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        port = _free_port(options.host, options.port)
    except OSError as error:
        print(f"settee-inventory: {_why(error, options)}", file=sys.stderr)
        return 3
    _log_to(directory / "app.log")
    # NiceGUI reads this when it is imported.
    os.environ["NICEGUI_STORAGE_PATH"] = str(directory / "nicegui")
    try:
        from settee_inventory.web.running import run
    except ModuleNotFoundError as error:
        print(
            f"settee-inventory: {error.name} is not installed. Run: pip install 'settee[app]'",
            file=sys.stderr,
        )
        return 3
    return ending_quietly(
        run,
        directory,
        host=options.host,
        port=port,
        names=tuple(options.name),
        framed_by=options.framed_by,
        loopback=options.loopback,
        show=options.show,
        piped=options.piped,
        reconnect_s=_RECONNECT_S,
    )


def ending_quietly(run: Callable[..., int], *arguments: Any, **options: Any) -> int:
    """Run a server; Ctrl+C is how it is ended, and no error."""
    try:
        return run(*arguments, **options)
    except KeyboardInterrupt:
        return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    reader = argparse.ArgumentParser(
        prog="settee-inventory",
        description="An inventory that several devices keep together. Opens in a browser.",
    )
    reader.add_argument(
        "--directory",
        default=f"{home}/settee-inventory",
        help="where this device keeps everything (default: %(default)s)",
    )
    reader.add_argument(
        "--port", type=int, default=_PORT, help="of the web page; 0 takes a free one (%(default)s)"
    )
    reader.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to serve the page on (%(default)s: this machine only)",
    )
    reader.add_argument(
        "--name", action="append", default=[], help="a host name that the page may be opened by"
    )
    reader.add_argument("--show", action="store_true", help="open the page in the browser")
    reader.add_argument(
        "--loopback", action="store_true", help="find and reach devices on this machine only"
    )
    # For the program that leads three of these on one page.
    reader.add_argument("--piped", action="store_true", help=argparse.SUPPRESS)
    reader.add_argument("--framed-by", default="", help=argparse.SUPPRESS)
    return reader


def _free_port(host: str, port: int) -> int:
    """Return the port to serve on; raise OSError if it can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
        return int(trial.getsockname()[1])


def _why(error: OSError, options: argparse.Namespace) -> str:
    if error.filename is not None:
        return f"{error.filename} can't be used: {error.strerror}. Say another --directory."
    return (
        f"port {options.port} of {options.host} can't be had: {error.strerror}. Say another "
        "--port; 0 takes a free one."
    )


def _log_to(file: Path) -> None:
    from settee import RedactingFormatter

    handler = logging.handlers.RotatingFileHandler(file, maxBytes=_LOG_BYTES_MAX, backupCount=1)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)-7s %(name)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
