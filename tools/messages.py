"""Finds every message that an error of settee can carry, and makes docs/guides/troubleshooting.md.

The source is read, not run: each place that makes an error of the tree gives a message, in which
``…`` stands for what is only known when it happens. ``tools/troubleshooting.md`` has the words
around them: a line ``::: NameError`` stands for that error's messages. `tools/docs.py` runs this.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from settee import errors, limits

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = Path(__file__).with_name("troubleshooting.md")
PACKAGE: Final = ROOT / "src" / "settee"
OPEN: Final = "…"
"""What is only known when the error is raised."""
_LETTERS_MIN: Final = 6
"""A message of fewer letters says nothing: its words come from elsewhere."""


class Message(NamedTuple):
    """What one place in the source says."""

    error: str
    text: str
    where: str
    """File and line, for whoever reads this tool's output."""

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a message that was really raised looks like."""
        parts = (re.escape(part) for part in self.text.split(OPEN))
        return re.compile(".*".join(parts), re.DOTALL)


@functools.cache
def found() -> list[Message]:
    """Return all messages, each once, in the order of the tree."""
    order = {name: number for number, name in enumerate(tree())}
    messages: dict[tuple[str, str], Message] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "errors.py":
            for message in in_module(path):
                messages.setdefault((message.error, message.text), message)
    return sorted(messages.values(), key=lambda each: (order[each.error], each.text.lower()))


def tree() -> list[str]:
    """Return the errors' names, depth first."""

    def below(cls: type[BaseException]) -> Iterator[str]:
        yield cls.__name__
        for each in cls.__subclasses__():
            if each.__module__ == errors.__name__:
                yield from below(each)

    return list(below(errors.SetteeError))


def in_module(path: Path) -> Iterator[Message]:
    """Yield the messages of one file."""
    source = ast.parse(path.read_text(encoding="utf-8"))
    passed = _passed_on(source)
    for function in ast.walk(source):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
            continue
        own = list(_own(function))
        raised = [(name, node) for node in own if (name := _error_made(node))]
        assigned = _assigned(own) if raised else {}
        for name, node in raised:
            assert isinstance(node, ast.Call)
            texts = list(_texts_of(name, node, assigned, function, passed))
            for text in texts:
                if sum(letter.isalpha() for letter in text) >= _LETTERS_MIN:
                    yield Message(name, text, f"{path.relative_to(ROOT)}:{node.lineno}")


def _error_made(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id if node.func.id in errors.__all__ else None
    return None


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield what belongs to a function itself, and not to one inside it."""
    waiting = [function]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield child
                waiting.append(child)


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return what is assigned to plain names."""
    values: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.setdefault(target.id, []).append(node.value)
    return values


def _passed_on(source: ast.Module) -> dict[str, list[ast.Call]]:
    """Return the calls of the module's own functions, by name: some hand over a message."""
    calls: dict[str, list[ast.Call]] = {}
    for node in ast.walk(source):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if isinstance(node.func, ast.Attribute):
                name = node.func.attr
            if name:
                calls.setdefault(name, []).append(node)
    return calls


def _texts_of(
    name: str,
    call: ast.Call,
    assigned: dict[str, list[ast.expr]],
    function: ast.AST,
    passed: dict[str, list[ast.Call]],
) -> Iterator[str]:
    arguments = call.args[: 2 if name == "ConfigError" else 1]
    if not arguments:
        return
    written: list[dict[str, ast.expr]] = [{}]
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        names = [each.arg for each in function.args.args if each.arg not in ("self", "cls")]
        walked = [node for each in arguments for node in ast.walk(each)]
        used = {node.id for node in walked if isinstance(node, ast.Name)}
        if used & set(names):
            written = [
                dict(zip(names, each.args, strict=False))
                | {keyword.arg: keyword.value for keyword in each.keywords if keyword.arg}
                for each in passed.get(function.name, [])
            ] or written
    for values in written:
        known = assigned | {key: [value] for key, value in values.items()}
        yield ": ".join(_text(each, known) for each in arguments)


def _text(node: ast.expr, known: dict[str, list[ast.expr]], depth: int = 0) -> str:
    """Return an expression as text, ``…`` for what can't be told."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return _joined("".join(_text(each, known, depth) for each in values))
        case ast.FormattedValue(value=value):
            return _limit(node) or _text(value, known, depth)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined(_text(left, known, depth) + _text(right, known, depth))
        case ast.IfExp(body=body, orelse=orelse):
            first, second = _text(body, known, depth), _text(orelse, known, depth)
            return f"{first}/{second}" if first and second and OPEN not in first + second else OPEN
        case ast.Name(id=name) if depth < 3 and len(known.get(name, [])) == 1:
            return _text(known[name][0], known, depth + 1)
        case _:
            return OPEN


def _limit(node: ast.FormattedValue) -> str:
    """Return a value of `settee.limits` as the message will show it; empty for anything else."""
    if isinstance(node.value, ast.Name) and hasattr(limits, node.value.id):
        spec = "".join(
            str(each.value)
            for each in getattr(node.format_spec, "values", [])
            if isinstance(each, ast.Constant)
        )
        return format(getattr(limits, node.value.id), spec)
    return ""


def _joined(text: str) -> str:
    return re.sub(f"{OPEN}(?:{OPEN})+", OPEN, text)


# --- the page -------------------------------------------------------------------------------------


def page() -> str:
    """Return docs/guides/troubleshooting.md."""
    messages = found()
    lines: list[str] = []
    for line in SOURCE.read_text(encoding="utf-8").splitlines():
        directive = re.fullmatch(r"::: (\w+)", line)
        if directive is None:
            lines.append(line)
        else:
            lines += listed(directive[1], messages)
    return "\n".join(lines) + "\n"


def listed(name: str, messages: list[Message]) -> list[str]:
    """Return an error's docstring and its messages."""
    words = (inspect.getdoc(getattr(errors, name)) or "").replace("``", "`")
    lines = [" ".join(words.partition("\n\n")[0].split())]
    own = [each.text for each in messages if each.error == name]
    if own:
        lines += ["", "The messages:" if len(own) > 1 else "The message:", ""]
        lines += [f"- {_escaped(text)}" for text in own]
    return lines


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|$~^])", r"\\\1", " ".join(text.split()))


def problems() -> list[str]:
    """Return which errors have no place on the page."""
    told = re.findall(r"^::: (\w+)$", SOURCE.read_text(encoding="utf-8"), re.MULTILINE)
    return [f"{name} is missing" for name in tree() if name not in told] + [
        f"{name} is no error" for name in told if name not in tree()
    ]
