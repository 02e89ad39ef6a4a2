"""Writes docs/cli.md out of the commands' own help; `tools/docs.py` runs it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

HEAD = """\
# The command line

*Written by `tools/docs.py` out of the commands' own `--help`; change it there.*

Results go to standard output, all else to standard error, so that pipes get only results.
`--json` gives a line of JSON for each thing that is shown. A database is a name (it lies in the
current directory as `NAME.settee`) or a path.

"""


def page() -> str:
    """Return the whole page."""
    from settee.cli import tour
    from settee.cli.app import command as whole
    from settee.cli.exits import ExitCode

    group: Any = whole()
    parts = [HEAD, "A first walk:\n\n```console\n"]
    parts += [f"$ {command}\n" for command in tour.COMMANDS]
    parts.append("```\n\n## Exit codes\n\n| code | meaning |\n|---|---|\n")
    parts += [f"| {int(code)} | {meaning} |\n" for code, meaning in meanings(ExitCode)]
    parts.append("\n## Before the command\n\n")
    parts.append(options_table(group))
    for panel, commands in panels(group).items():
        parts.append(f"\n## {panel}\n")
        for name, command in commands:
            parts.append(section(f"settee {name}", command))
    return "".join(parts)


def meanings(codes: Any) -> Iterator[tuple[Any, str]]:
    """Yield each exit code and the docstring below it."""
    source = inspect.getsource(codes)
    for code in codes:
        match = re.search(rf'\b{code.name} = \d+\n\s+"""(.*?)"""', source, re.DOTALL)
        assert match is not None, code
        yield code, " ".join(match[1].split())


def panels(group: Any) -> dict[str, list[tuple[str, Any]]]:
    """Return the commands by the panel that the help shows them in."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            under = [(f"{name} {inner}", each) for inner, each in command.commands.items()]
        else:
            under = [(name, command)]
        found.setdefault(command.rich_help_panel, []).extend(under)
    return found


def section(title: str, command: Any) -> str:
    """Return what there is to say of one command."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([title, "[OPTIONS]", *(metavar(each) for each in arguments)])
    text = f"\n### {title}\n\n```text\n{usage}\n```\n\n{paragraphs(command.help)}\n\n"
    if arguments:
        text += "| argument | |\n|---|---|\n"
        text += "".join(f"| `{metavar(each)}` | {cell(each.help)} |\n" for each in arguments)
        text += "\n"
    return text + options_table(command)


def metavar(argument: Any) -> str:
    """Return an argument as the usage line shows it."""
    name = str(argument.metavar or argument.name.upper())
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required or name.startswith("[") else f"[{name}]"


def options_table(command: Any) -> str:
    """Return a command's options as a table, `--help` left out."""
    rows = [option_row(each) for each in command.params if is_shown(each)]
    return "| option | |\n|---|---|\n" + "".join(rows) if rows else ""


def is_shown(parameter: Any) -> bool:
    """Tell whether a parameter is an option to be told of."""
    return (
        parameter.param_type_name == "option"
        and not parameter.hidden
        and parameter.name not in ("help", "install_completion", "show_completion")
    )


def option_row(option: Any) -> str:
    """Return one option's row."""
    names = ", ".join([*sorted(option.opts, key=len), *option.secondary_opts])
    value = "" if option.is_flag or option.count else f" {option.metavar or option.name.upper()}"
    default = option.default
    is_telling = not callable(default) and default not in (None, False, "", 0, [], ())
    told = f" Default: `{default}`." if is_telling and not option.is_flag else ""
    return f"| `{names}{value}` | {cell(option.help)}{told} |\n"


def paragraphs(text: str) -> str:
    """Return help text with one line per paragraph."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def cell(text: str) -> str:
    """Return text that fits into a table."""
    return " ".join((text or "").split()).replace("|", "\\|")
