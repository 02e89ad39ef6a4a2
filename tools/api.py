"""Makes docs/api.md: the text and the examples of ``tools/api.md``, with what the code itself says.

A line ``::: Name`` stands for the signatures and docstrings of a public name, ``::: Name: words``
for a class that is not made by calling it or for a constant, ``::: aio.Name`` for the async one,
``::: errors`` for the tree of errors. The examples run in `tests/test_examples.py`, those of one
``##`` section in a row.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import settee
import settee.aio
from settee import errors

SOURCE: Final = Path(__file__).with_name("api.md")
LINE_CHARACTERS: Final = 96
_STARS: Final[dict[Any, str]] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_BLOCK: Final = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)

METHODS_SHOWN: Final = (
    settee.Database,
    settee.Collection,
    settee.Document,
    settee.Blob,
    settee.Transaction,
    settee.Changes,
    settee.Subscription,
)
"""Each of their methods has to be called in an example; of the other classes, the names only."""


class Example(NamedTuple):
    """The code of one section, to be run in a row."""

    heading: str
    code: str


def examples(text: str | None = None) -> list[Example]:
    """Return the examples of the sections that have any."""
    text = SOURCE.read_text(encoding="utf-8") if text is None else text
    found = []
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        if blocks := _BLOCK.findall(section):
            heading = section.partition("\n")[0].removeprefix("## ")
            found.append(Example(heading, "\n".join(blocks)))
    return found


# --- what is wrong --------------------------------------------------------------------------------


def problems() -> list[str]:
    """Return which public names are not described, or not used in an example."""
    text = SOURCE.read_text(encoding="utf-8")
    described = set(re.findall(r"^::: ([\w.]+)", text, re.MULTILINE))
    blocking, awaited, attributes = used("\n".join(each.code for each in examples(text)))
    found = []
    for name in settee.__all__:
        if not _is_error(getattr(settee, name)):
            found += [f"{name} is not described"] * (name not in described)
            found += [f"{name} is in no example"] * (name not in blocking)
    for name in settee.aio.__all__:
        found += [f"aio.{name} is not described"] * (f"aio.{name}" not in described)
        found += [f"aio.{name} is in no example"] * (name not in awaited)
    for cls in METHODS_SHOWN:
        for name, value in members(cls):
            if not isinstance(value, property) and name not in attributes:
                found.append(f"{cls.__name__}.{name} is in no example")
    return found


def used(code: str) -> tuple[set[str], set[str], set[str]]:
    """Return names imported from `settee`, those from `settee.aio`, and attributes in code."""
    blocking: set[str] = set()
    awaited: set[str] = set()
    attributes: set[str] = set()
    tree = ast.parse(code)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            imported = {alias.name for alias in node.names if (alias.asname or alias.name) in names}
            if node.module == "settee":
                blocking |= imported
            elif node.module == "settee.aio":
                awaited |= imported
        elif isinstance(node, ast.Attribute):
            attributes.add(node.attr)
    return blocking, awaited, attributes


# --- the page -------------------------------------------------------------------------------------


def page() -> str:
    """Return docs/api.md."""
    lines: list[str] = []
    for line in SOURCE.read_text(encoding="utf-8").splitlines():
        directive = re.fullmatch(r"::: ([\w.]+)(?:: (.+))?", line)
        if directive is None:
            lines.append(line)
        elif directive[1] == "errors":
            lines += error_table()
        elif directive[1].startswith("aio."):
            lines += awaited_reference(directive[1].removeprefix("aio."))
        else:
            lines += reference(directive[1], directive[2])
    return "\n".join(lines) + "\n"


def reference(name: str, made_by: str | None) -> list[str]:
    """Return a public name's heading, signature, docstring and members."""
    value = vars(settee)[name]
    lines = [f"### `{name}`", ""]
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return [*lines, made_by or ""]
    if made_by is not None:
        lines += [f"*{made_by}*", ""]
    elif not isinstance(value, enum.EnumType):
        lines += ["```text", signature(name, value), "```", ""]
    lines += prose(inspect.getdoc(value) or "")
    if isinstance(value, enum.EnumType):
        lines += ["", *(f"- `{each.name}`: `{each.value!r}`" for each in _enumerated(value))]
    if inspect.isclass(value):
        for member, thing in members(value):
            lines += ["", *member_lines(value, member, thing)]
    return lines


def _enumerated(value: enum.EnumType) -> list[enum.Enum]:
    found: list[enum.Enum] = list(value.__members__.values())
    return found


def awaited_reference(name: str) -> list[str]:
    """Return the signatures of the async one; its words are those of the blocking one."""
    value = vars(settee.aio)[name]
    if value is getattr(settee, name):
        return [f"`{name}` is that of `settee`."]
    lines = ["```text"]
    if inspect.isfunction(value):
        return [*lines, signature(name, value), "```"]
    lines.append(f"class {name}")
    for member, thing in members(value):
        if isinstance(thing, property):
            lines.append(f"    {member}: {_type_of(thing)}")
        else:
            kind = "async " * inspect.iscoroutinefunction(getattr(thing, "__func__", thing))
            lines += [
                textwrap.indent(kind + each, "    ") for each in signatures(member, value, thing)
            ]
    return [*lines, "```"]


def members(cls: type) -> list[tuple[str, Any]]:
    """Return the public members of a class and of its bases in settee, as they are defined."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("settee"):
            found |= {name: value for name, value in vars(base).items() if name[0] != "_"}
    fields: list[tuple[str, Any]] = [(name, None) for name in field_words(cls) | made(cls)]
    return fields + [
        (name, value)
        for name, value in found.items()
        if isinstance(value, property | staticmethod | classmethod) or inspect.isfunction(value)
    ]


def member_lines(cls: type, name: str, value: Any) -> list[str]:
    """Return what there is to say of a property, a field or a method."""
    fields = field_words(cls) | made(cls)
    if value is None:
        annotation, words = fields[name]
        heads, doc = [f"{name}: {annotation}"], words
    elif isinstance(value, property):
        heads = [f"{name}: {_type_of(value)}"]
        doc = inspect.getdoc(value) or ""
    else:
        heads = signatures(name, cls, value)
        doc = inspect.getdoc(getattr(value, "__func__", value)) or ""
    head = "<br>".join(f"**`{' '.join(each.split())}`**" for each in heads)
    lines = prose(doc)
    first = f"- {head.replace('( ', '(').replace(', )', ')')}"
    rest = [f"  {line}".rstrip() for line in lines]
    return [first, *rest] if rest else [first]


def field_words(cls: type) -> dict[str, tuple[str, str]]:
    """Return the fields of a dataclass or a named tuple: annotation and the docstring below."""
    if not (dataclasses.is_dataclass(cls) or hasattr(cls, "_fields")):
        return {}
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    found: dict[str, tuple[str, str]] = {}
    for each, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            words = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                words = inspect.cleandoc(str(after.value.value))
            if not each.target.id.startswith("_"):
                found[each.target.id] = (ast.unparse(each.annotation), words)
    return found


def made(cls: type) -> dict[str, tuple[str, str]]:
    """Return what `__init__` makes for good (``self.x: Final[T]``): type and docstring below."""
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(cls.__mro__):
        init = vars(base).get("__init__")
        written = base.__module__.startswith("settee") and not field_words(base)
        if not (written and inspect.isfunction(init)):
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(init))).body
        assert isinstance(node, ast.FunctionDef)
        for each, after in zip(node.body, [*node.body[1:], None], strict=True):
            match each:
                case ast.AnnAssign(
                    target=ast.Attribute(value=ast.Name(id="self"), attr=attribute),
                    annotation=ast.Subscript(value=ast.Name(id="Final"), slice=annotation),
                ) if not attribute.startswith("_"):
                    words = ""
                    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                        words = " ".join(inspect.cleandoc(str(after.value.value)).split())
                    found[attribute] = (ast.unparse(annotation), words)
    return found


def signatures(name: str, cls: type, value: Any) -> list[str]:
    """Return a method's signature, or those of its overloads."""
    function = getattr(value, "__func__", value)
    static = isinstance(value, staticmethod)
    return [
        signature(name, each, bound=not static)
        for each in typing.get_overloads(function) or [function]
    ]


def signature(name: str, value: Callable[..., Any], *, bound: bool = False) -> str:
    """Write a signature as in source, in one line or one parameter a line.

    `bound` leaves out the first parameter.
    """
    told = inspect.signature(value)
    parameters = list(told.parameters.values())[1 if bound else 0 :]
    parts: list[str] = []
    starred = False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        text = _STARS.get(each.kind, "") + each.name
        if each.annotation is not each.empty:
            text += f": {_text(each.annotation)}"
        if each.default is not each.empty:
            text += f" = {each.default!r}"
        parts.append(text)
    end = "" if inspect.isclass(value) else f" -> {_annotation(told)}"
    line = f"{name}({', '.join(parts)}){end}"
    if len(line) <= LINE_CHARACTERS:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){end}"])


def _annotation(told: inspect.Signature) -> str:
    return "None" if told.return_annotation in (None, told.empty) else _text(told.return_annotation)


def _type_of(value: property) -> str:
    assert value.fget is not None
    return _annotation(inspect.signature(value.fget))


def _text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


# --- words ----------------------------------------------------------------------------------------


def prose(doc: str) -> list[str]:
    """Turn a docstring into lines of Markdown: a line per paragraph, a list per section."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", doc.replace("``", "`").strip()):
        head, _, rest = paragraph.partition("\n")
        if lines:
            lines.append("")
        if head in ("Args:", "Raises:", "Returns:", "Yields:"):
            if head != "Args:":
                lines += [head, ""]
            lines += [f"- `{name}`: {words}" for name, words in _entries(rest)]
        elif head == "::":
            lines += ["```python", textwrap.dedent(rest), "```"]
        else:
            lines.append(" ".join(paragraph.split()))
    return lines


def _entries(section: str) -> Iterator[tuple[str, str]]:
    """Yield the entries ``name: words`` of a section, which may go on in deeper lines."""
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(section)):
        name, _, words = entry.partition(":")
        yield name, " ".join(words.split())


def _is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseException)


def error_table() -> list[str]:
    """Return the tree of errors as a table, depth first, with what each means."""
    lines = ["| error | also a | |", "|---|---|---|"]

    def add(cls: type[BaseException], depth: int) -> None:
        foreign = [b.__name__ for b in cls.__bases__ if not issubclass(b, errors.SetteeError)]
        also = "" if foreign == ["Exception"] else ", ".join(f"`{each}`" for each in foreign)
        words = (inspect.getdoc(cls) or "").partition("\n\n")[0].replace("``", "`")
        indent = "&nbsp;" * (4 * depth)
        lines.append(f"| {indent}`{cls.__name__}` | {also} | {' '.join(words.split())} |")
        for each in cls.__subclasses__():
            if each.__module__ == errors.__name__:
                add(each, depth + 1)

    add(errors.SetteeError, 0)
    return lines
