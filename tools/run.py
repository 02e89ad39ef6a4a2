"""One way to everything that a developer does: ``python3 tools/run.py test`` (or ``make test``).

    demo      install settee and its app into .venv if needed, then show three devices on one page
    demo-terminal   the same three in a terminal: ``settee demo``
    test      install it with its test tools, then run the tests that take under a second each
    docs      build the documentation's pages into build/site; a link that leads nowhere fails
    check     everything that has to pass before a commit goes in: bash .ci/run
    browser   the app's tests in Chromium, which has to be there (CHROMIUM names another one)
    interop   the tests against real Couchbase Lite peers, fetched and built the first time
    night     the long runs, one a time, named by PART: "tests" (the default) is every test but
              interop, with fresh random seeds for the property tests; "simulation" 10,000 lives of
              fleets; "bridge" 5,000 seeds of mixed fleets in each of four modes; "live" the same
              with real peers, 500 edits; "soak-interop" 20 minutes with Couchbase Lite; "soak" 45
              minutes of five processes; "properties" 2,000 examples of each; "proxy" a wire that
              is cut, and wrong, at every byte; "crash" power cuts, kills and broken disks; "fuzz"
              ten minutes for each decoder; "load" many peers; "attack" storms, and each defence
              taken out once; "planted" 25 bugs, each to be found; "promises" all other gates of
              docs/promises.md. Those from "properties" on, and the simulation, go on where they
              were interrupted (make night PART=fuzz)

What follows the word is handed on, such as ``test tests/doc -k blob``. Needs Python 3.11 or newer
with venv and, the first time, a package index; nothing else. A `.venv` that fits is used as it is:
it is made anew when Python's version changes, and installed into again when pyproject.toml does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON_MIN = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "settee-stamp.json"
WINDOWS = os.name == "nt"
COMMANDS = ("demo", "demo-terminal", "docs", "test", "check", "browser", "interop", "night")
EXTRAS = {"demo": "app", "demo-terminal": "", "docs": "docs", "browser": "browser"}
"""What a command needs beside settee itself; all others need what the tests do."""
EACH_WITH_THOSE_BEFORE = ("", "app", "test", "browser")
"""The extras of pyproject.toml of which each brings those before it; "docs" stands beside them."""


def venv_program(name: str) -> Path:
    """Return where a program of the virtual environment lies."""
    return VENV / "Scripts" / (name + ".exe") if WINDOWS else VENV / "bin" / name


def main(arguments: list[str]) -> int:
    """Run one command; return its exit code (2 for a wrong word, 3 if nothing can be installed)."""
    if len(arguments) < 1 or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    if sys.version_info < PYTHON_MIN:
        return with_newer_python(arguments)
    command, rest = arguments[0], arguments[1:]
    if command == "check":
        return check(rest)
    try:
        prepare(EXTRAS.get(command, "test"))
        if command == "night" and os.environ.get("PART") == "fuzz":
            prepare("fuzz")
    except CannotPrepareError as exc:
        print("settee: " + str(exc), file=sys.stderr)
        return 3
    os.environ.pop("PYTHONHOME", None)
    keep_compiled()
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")  # An advertisement of the theme's makers.
    python = str(venv_program("python"))
    if command == "demo":
        return hand_over([python, "-m", "settee_inventory.table", *rest])
    if command == "demo-terminal":
        return hand_over([python, "-m", "settee", "demo", *rest])
    if command == "docs":
        return hand_over([python, "-m", "mkdocs", "build", "--strict", *rest])
    pytest = [python, "-m", "pytest", "-q"]
    if command == "test":
        quick = "not slow and not interop and not browser"
        return hand_over([*pytest, "-n", "auto", "-m", quick, *rest])
    if command == "browser":
        return hand_over([*pytest, "-s", "-m", "browser", "tests/browser", *rest])
    if command == "interop":
        return interop(pytest, rest)
    return night([python, "-m"], rest)


def keep_compiled() -> None:
    """Have each module compiled once, beside no source, whatever is usual here.

    The tests start hundreds of Python programs, and two workers compile all tests.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(VENV / "pycache")


def with_newer_python(arguments: list[str]) -> int:
    """This Python is too old: hand over to a newer one if the machine has it."""
    for minor in range(14, PYTHON_MIN[1] - 1, -1):
        newer = shutil.which("python3." + str(minor))
        if newer and runs(newer):
            return hand_over([newer, str(Path(__file__).resolve()), *arguments])
    print(
        "settee: Python {}.{} or newer is needed; this is {}.{} ({}) and no newer one is on the "
        "PATH. Install one, or say which: make {} PYTHON=/path/to/python3.13".format(
            *PYTHON_MIN, *sys.version_info[:2], sys.executable, arguments[0]
        ),
        file=sys.stderr,
    )
    return 3


def runs(python: str) -> bool:
    """Tell whether a Python found on the PATH works; version managers leave names that do not."""
    tried = subprocess.run([python, "-c", "import venv"], capture_output=True, check=False)
    return tried.returncode == 0


def check(rest: list[str]) -> int:
    """Run the whole check, which is a shell script so that it starts from nothing."""
    bash = shutil.which("bash")
    if bash is None:
        print("settee: the check is a bash script, and there is no bash here", file=sys.stderr)
        return 3
    return hand_over([bash, str(ROOT / ".ci" / "run"), *rest])


def interop(pytest: list[str], rest: list[str]) -> int:
    """Run the tests that need Couchbase's own programs."""
    if not (ROOT / "tests" / "interop").is_dir():
        print("settee: this checkout has no tests/interop", file=sys.stderr)
        return 2
    return hand_over([*pytest, "tests/interop", *rest])


def night(module: list[str], rest: list[str]) -> int:
    """Run one of the long parts."""
    parts = {
        "tests": ["pytest", "-q", "-m", "not interop and not browser"],
        "simulation": ["tests.simulation", "--night"],
        "bridge": ["tests.simulation.bridge", "--seeds", "5000"],
        "soak-interop": ["tests.interop.soak"],
        "soak": ["tests.soak"],
        "properties": ["tests.prop"],
        "proxy": ["tests.proxy"],
        "live": ["tests.interop.bridge"],
        "fuzz": ["tests.fuzz", "--all"],
        "load": ["tests.load"],
        "attack": ["tests.attack"],
        "crash": ["tests.crash", "--night"],
        "planted": ["tests.planted", "--record"],
        "promises": ["tests.figures"],
    }
    part = os.environ.get("PART") or "tests"
    if part not in parts:
        print("settee: PART is one of " + ", ".join(parts) + ", not " + part, file=sys.stderr)
        return 2
    os.environ["SETTEE_HYPOTHESIS"] = "night"
    return hand_over([*module, *parts[part], *rest])


def hand_over(command: list[str]) -> int:
    """Run `command` from the project's folder, in place of this process where that is possible."""
    os.chdir(ROOT)
    sys.stdout.flush()
    if not WINDOWS:
        os.execv(command[0], command)
    return subprocess.call(command)


# --- the virtual environment ----------------------------------------------------------------------


class CannotPrepareError(Exception):
    """The environment can't be made; the message says what to do."""


def prepare(extra: str) -> None:
    """Make sure that .venv holds settee with `extra` ("" for none), as pyproject.toml says now."""
    wanted = fingerprint()
    installed = read_stamp()
    if installed.get("fingerprint") == wanted and venv_program("python").exists():
        extras = set(installed.get("extras", []))
        if extra in extras or extras.intersection(those_that_bring(extra)):
            return
    else:
        extras = set()
    began = "Preparing .venv (this takes a while the first time) ..."
    print(began, file=sys.stderr, flush=True)
    if not usable_venv():
        make_venv()
    extras.add(extra)
    install(sorted(extras))
    STAMP.write_text(json.dumps({"fingerprint": wanted, "extras": sorted(extras)}) + "\n")


def those_that_bring(extra: str) -> tuple[str, ...]:
    """Return the extras with which this one comes."""
    if extra not in EACH_WITH_THOSE_BEFORE:
        return ()
    return EACH_WITH_THOSE_BEFORE[EACH_WITH_THOSE_BEFORE.index(extra) :]


def fingerprint() -> str:
    """What the environment was made of: the project's declaration and Python's version."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    digest.update(repr((sys.implementation.name, sys.version_info[:2], str(ROOT))).encode())
    return digest.hexdigest()


def read_stamp() -> dict[str, str]:
    """Return what was installed last; nothing if that is not known."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def usable_venv() -> bool:
    """Tell whether .venv is there, whole, and of this version of Python."""
    python = venv_program("python")
    if not python.exists():
        return False
    asked = subprocess.run(
        [str(python), "-c", "import pip, sys; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.split() == [str(part) for part in sys.version_info[:2]]


def make_venv() -> None:
    """Make .venv anew."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise CannotPrepareError(
                "{} has no {} module, so .venv can't be made. On Debian and Ubuntu it is a package "
                "of its own: apt install python{}.{}-venv".format(
                    sys.executable, module, *sys.version_info[:2]
                )
            )
    base = getattr(sys, "_base_executable", None) or sys.executable
    made = subprocess.run([base, "-m", "venv", "--clear", str(VENV)], check=False)
    if made.returncode != 0:
        raise CannotPrepareError(f"Python could not make {VENV}; what it says stands above")


def install(extras: list[str]) -> None:
    """Install settee from this checkout, in editable form."""
    named = ",".join(extra for extra in extras if extra)
    target = str(ROOT) + (f"[{named}]" if named else "")
    command = [str(venv_program("python")), "-m", "pip", "install", "--quiet"]
    command += ["--disable-pip-version-check", "--editable", target]
    if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0:
        raise CannotPrepareError(
            "pip could not install settee; what it says stands above. The first time it needs a "
            "package index: is there a network?"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
