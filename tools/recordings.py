"""Makes the pictures of terminals in ``docs/recordings``: the commands are really run.

    .venv/bin/python tools/recordings.py            # writes all of them
    .venv/bin/python tools/recordings.py --check    # writes nothing; exit 1 if one would change

Each scene runs in an empty directory with real processes on loopback. What differs from run to run
(ports, fingerprints, revisions, times) is replaced by what stands for it, so that the same settee
gives the same picture.
"""

from __future__ import annotations

import argparse
import html
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT: Final = Path(__file__).resolve().parent.parent
RECORDINGS: Final = ROOT / "docs" / "recordings"
TUTORIAL: Final = ROOT / "examples" / "tutorial"
COLUMNS: Final = 92
FINGERPRINT: Final = "31e64db3f0a94c61b7c2d85e0f9a1b3c4d5e6f708192a3b4c5d6e7f8091a2b3c"
REPLACED: Final = (
    (re.compile(r"\b[0-9a-f]{64}\b"), FINGERPRINT),
    (re.compile(r"127\.0\.0\.1:\d+"), "192.168.1.5:4984"),
    (re.compile(r"\b127\.0\.0\.1\b"), "192.168.1.7"),
    (re.compile(r"\b(\d+)-ff[0-9a-f]{48}\b"), r"\1-ff18eb7f…"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "09:30:00"),
    (re.compile(r"\b\d+(?:\.\d+)? (?:m?s|seconds?)\b"), "0.1 s"),
    (re.compile(r"\b\d+ busy\b"), "0 busy"),
    (re.compile(r"\(/.*?\.settee\)"), "(inventory.settee)"),
)

THEME: Final = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [
        (72, 79, 88),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
)
# As rich's own, without the fonts that it would fetch from the network.
FORMAT: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, \
"DejaVu Sans Mono", monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: 600; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Screen:
    """What is to be seen in one terminal."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.lines: list[tuple[str, str]] = []
        """Style and text."""

    def typed(self, text: str, prompt: str = "$ ") -> None:
        """Show a line that a person typed."""
        self.lines.append(("bold", prompt + text))

    def showed(self, output: str) -> None:
        """Show what a program wrote."""
        for line in output.splitlines():
            self.lines.append(("", line))

    def run(self, command: str, shown: str | None = None) -> str:
        """Type a command of settee, run it, show and return what it wrote."""
        self.typed(shown or command)
        words = [part.strip("'") for part in re.findall(r"'[^']*'|\S+", command)]
        ran = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.directory,
            env=environment(self.directory),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        self.showed(ran.stdout + ran.stderr)
        return ran.stdout

    def start(self, command: str, *arguments: str) -> Program:
        """Type a command and start it."""
        self.typed(command)
        return Program(self, arguments)


class Program:
    """A program that runs in a screen until it is ended."""

    def __init__(self, screen: Screen, arguments: Sequence[str]) -> None:
        self.screen = screen
        self.written = ""
        self._process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=screen.directory,
            env=environment(screen.directory),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, words: str) -> str:
        """Show what it writes until these words are there; return the line that holds them."""
        output = _open(self._process.stdout)
        read = ""
        while words not in read:
            letter = output.read(1)
            if not letter:
                raise SystemExit(f"{self.screen.name} ended before {words!r}:\n{read}")
            read += letter
        read += "" if words.endswith((" ", "\n")) else output.readline()
        self.written += read
        return read

    def answer(self, text: str) -> None:
        """Type a line into it."""
        typed = _open(self._process.stdin)
        typed.write(text + "\n")
        typed.flush()
        self.written += text + "\n"

    def end(self) -> None:
        """Ask it to terminate, and show all that it wrote."""
        self._process.terminate()
        self.finish()

    def finish(self) -> None:
        """Wait for its end, and show all that it wrote."""
        rest, _ = self._process.communicate(timeout=30)
        self.screen.showed(self.written + rest)


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def environment(directory: Path) -> dict[str, str]:
    """Return an environment in which a scene leaves no trace outside its directory."""
    return os.environ | {
        "XDG_DATA_HOME": str(directory / "data"),
        "SETTEE_PASSWORD": "a long password",
        "COLUMNS": str(COLUMNS),
        "PYTHONPATH": str(ROOT / "src"),
        "NO_COLOR": "1",
    }


# --- the scenes -----------------------------------------------------------------------------------


def quickstart(directory: Path) -> list[Screen]:
    """One device listens, another one syncs: on the command line."""
    first, second = Screen("the first device", directory), Screen("the second device", directory)
    first.run("""settee put inventory apples '{"name": "Apples", "quantity": 10}'""")
    listener = first.start(
        "settee listen inventory --user bob",
        *("-m", "settee", "listen", "inventory", "--user", "bob", "--host", "127.0.0.1"),
    )
    url = listener.wait_for("wss://").split()[-1]
    pin = listener.wait_for("Fingerprint").split()[-1]
    second.run(
        f"settee sync van {url} --user bob --pin {pin} --quiet",
        "settee sync van wss://192.168.1.5:4984/inventory --user bob --pin 31e64db3… --quiet",
    )
    second.run("settee cat van apples")
    listener.wait_for("disconnected")
    listener.end()
    return [first, second]


def tutorial(directory: Path) -> tuple[Screen, Screen]:
    """The tutorial's two programs: they connect, an edit travels, both stop."""
    kitchen, van = Screen("the passive peer", directory), Screen("the active peer", directory)
    passive = kitchen.start(
        "python passive.py alice",
        *(str(TUTORIAL / "passive.py"), "alice", "--host", "127.0.0.1"),
    )
    url = passive.wait_for("wss://").split()[-1]
    pin = passive.wait_for("Fingerprint").split()[-1]
    passive.wait_for("q stops")
    active = van.start(
        "python active.py bob --url wss://192.168.1.5:4984/userdb --pin 31e64db3…",
        *(str(TUTORIAL / "active.py"), "bob", "--url", url, "--pin", pin),
    )
    active.wait_for("q stops")
    active.answer("item::corn 12")
    active.wait_for("item::corn: 12")
    passive.wait_for("item::corn: 12")
    passive.answer("")
    passive.wait_for("bob from")
    passive.answer("q")
    passive.wait_for("[y/N] ")
    passive.answer("y")
    passive.finish()
    active.wait_for("offline")
    active.answer("q")
    active.finish()
    return kitchen, van


SCENES: Final[dict[str, Callable[[Path], Sequence[Screen]]]] = {
    "quickstart": quickstart,
    "passive": lambda directory: tutorial(directory)[:1],
    "active": lambda directory: tutorial(directory)[1:],
}


# --- the pictures ---------------------------------------------------------------------------------


def steady(text: str) -> str:
    """Replace what differs from run to run."""
    for pattern, words in REPLACED:
        text = pattern.sub(words, text)
    return text.rstrip()


def picture(name: str, screens: Sequence[Screen]) -> str:
    """Return the screens, one below the other, as SVG."""
    console = Console(width=COLUMNS, record=True, file=io.StringIO(), color_system="truecolor")
    for number, screen in enumerate(screens):
        if len(screens) > 1:
            console.print(Text(("\n" if number else "") + f"# on {screen.name}", "cyan"))
        for style, line in screen.lines:
            console.print(Text(steady(line), style))
    title = "settee" if len(screens) > 1 else screens[0].name
    return console.export_svg(title=title, theme=THEME, code_format=FORMAT, unique_id=name)


def words_of(svg: str) -> list[str]:
    """Return what can be read in a picture: the same whichever version of rich drew it."""
    rows: dict[float, str] = {}
    for y, text in re.findall(r'<text [^>]*?y="([\d.]+)"[^>]*?clip-path[^>]*>([^<]*)', svg):
        rows[float(y)] = rows.get(float(y), "") + html.unescape(text)
    return [rows[y].replace("\xa0", " ").rstrip() for y in sorted(rows)]


def record(name: str) -> str:
    """Play a scene and return its picture."""
    with tempfile.TemporaryDirectory() as directory:
        return picture(name, SCENES[name](Path(directory)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the pictures; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(arguments)
    stale = []
    for name in SCENES:
        path = RECORDINGS / f"{name}.svg"
        svg = record(name)
        if options.check:
            there = path.read_text(encoding="utf-8") if path.exists() else ""
            stale += [name] * (words_of(there) != words_of(svg))
        else:
            path.write_text(svg, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    for name in stale:
        print(f"docs/recordings/{name}.svg is not up to date: tools/recordings.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
