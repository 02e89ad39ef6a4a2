"""Makes the generated pages of ``docs/``, and says what is wrong with them.

    .venv/bin/python tools/docs.py                  # writes all of them
    .venv/bin/python tools/docs.py features api     # writes two of them
    .venv/bin/python tools/docs.py --check          # writes nothing; exit 1 if one would change

The exit code is 1 too if a page can't be right: a feature without a test that proves it, a public
name without an example. The pages are

    features  docs/features.md: what settee has, and the tests that prove it (tools/features.py)
    api       docs/api.md: each public name, with an example that runs (tools/api.py)
    cli       docs/cli.md: each command, out of its own help (tools/commands.py)
    guides/troubleshooting
              each message that an error can carry, out of the source (tools/messages.py)
    attacks   docs/attacks.md: what peers may try, what stops it, and its tests (tools/attacks.py)
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # When it is run by its path.

from tools import api, attacks, commands, features, messages  # noqa: E402


class Page(NamedTuple):
    """A file of ``docs/`` as it should be."""

    text: str
    """Its whole content."""
    problems: Sequence[str] = ()
    """What is wrong with what it tells, a line each."""


def features_page() -> Page:
    """Return docs/features.md; takes seconds, since pytest collects all tests."""
    table = features.load()
    proofs, failed = features.collect()
    if failed:
        raise SystemExit("\n".join(["tests can't be collected; nothing was written", *failed]))
    return Page(features.page(table, proofs), features.problems(table, proofs))


def api_page() -> Page:
    """Return docs/api.md."""
    return Page(api.page(), api.problems())


def attacks_page() -> Page:
    """Return docs/attacks.md; takes seconds, since pytest collects all tests."""
    table = attacks.load()
    proofs, failed = features.collect("sec")
    if failed:
        raise SystemExit("\n".join(["tests can't be collected; nothing was written", *failed]))
    return Page(attacks.page(table, proofs), attacks.problems(table, proofs))


def cli_page() -> Page:
    """Return docs/cli.md."""
    return Page(commands.page())


def troubleshooting_page() -> Page:
    """Return docs/guides/troubleshooting.md."""
    return Page(messages.page(), messages.problems())


PAGES: Final[dict[str, Callable[[], Page]]] = {
    "features": features_page,
    "api": api_page,
    "cli": cli_page,
    "guides/troubleshooting": troubleshooting_page,
    "attacks": attacks_page,
}
"""Name -> what makes ``docs/NAME.md``."""


def stale(name: str, page: Page) -> str:
    """Return how the file differs from the page; empty if it doesn't."""
    path = ROOT / "docs" / f"{name}.md"
    lies = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = difflib.unified_diff(
        lies.splitlines(), page.text.splitlines(), path.name, "as it should be", lineterm="", n=0
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check pages; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="*", help=f"which: {', '.join(PAGES)}; all by default")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.pages if name not in PAGES]
    if unknown:
        parser.error(f"there is no page {unknown[0]!r}; there are {', '.join(PAGES)}")

    wrong = False
    for name in options.pages or PAGES:
        page = PAGES[name]()
        difference = stale(name, page)
        for problem in page.problems:
            print(f"docs/{name}.md: {problem}", file=sys.stderr)
        wrong = wrong or bool(page.problems)
        if options.check and difference:
            print(f"{difference}\ndocs/{name}.md is not up to date: tools/docs.py {name}")
            wrong = True
        elif difference:
            (ROOT / "docs" / f"{name}.md").write_text(page.text, encoding="utf-8")
            print(f"wrote docs/{name}.md")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
