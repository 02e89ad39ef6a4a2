"""docs/security-review.md goes through every message that there is, and names real tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "security-review.md").read_text("utf-8")
REQUESTS = PAGE.partition("## Requests")[2].partition("## Answers")[0]


def texts(path: str, function: str) -> set[str]:
    """Return the words in quotes inside a function of the source."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    found = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    return {
        n.value for n in ast.walk(found) if isinstance(n, ast.Constant) and type(n.value) is str
    }


def test_every_request_that_is_handled_has_its_row() -> None:
    words = texts("src/settee/sync/session.py", "_route")
    words |= texts("src/settee/sync/passive.py", "__init__")
    words |= texts("src/settee/sync/incoming.py", "messages")  # `rev` goes by itself.
    handled = {word for word in words if re.fullmatch(r"[a-z]+(?:[A-Z][a-z]+)?", word)}
    assert len(handled) > 8
    assert set(re.findall(r"^\| `(\w+)`", REQUESTS, re.M)) == handled


def test_every_file_that_is_named_is_there_and_has_the_tests_that_are_named() -> None:
    rows = re.findall(
        r"\[(test_\w+\.py)\]\(\.\./(tests/[\w/.]+)\)((?::? ?(?:\*[^*|]+\*,? ?)*))", PAGE
    )
    assert len(rows) > 40
    for name, path, tests in rows:
        assert path.endswith(name)
        source = (ROOT / path).read_text("utf-8")
        for words in re.findall(r"\*([^*]+)\*", tests):
            function = "test_" + words.replace(" ", "_")
            assert f"def {function}(" in source, f"{path} has no {function}"


def test_every_find_has_a_test() -> None:
    finds = PAGE.partition("## Found by our own tests")[2]
    named = re.findall(r"\*([a-z][^*]+)\*", finds)
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [w for w in named if f"def test_{w.replace(' ', '_')}(" not in sources]
    assert missing == []
    assert len(named) > 15
