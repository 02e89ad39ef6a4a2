"""What mkdocs can't do by itself for the documentation's pages; mkdocs.yml names it as a hook.

- An entry of the navigation whose page isn't there is left out: some pages come with a part of
  settee that may not be in a checkout.
- An entry that is a folder becomes its pages, each under its own title.
- The pages are also read as files in the repository, where they may link to tests and sources.
  Those are no part of the site: such a link becomes its text.
- Pages that list everything come after those that explain something, in the search.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

_LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]\n]+)\]\((?P<target>\.\.?/[^)\s#]+)(?:#[^)]*)?\)")
_BOOSTS: Final = (
    (re.compile(r"(api|cli|features|bad-input|performance|compatibility)\.md|adr/.*"), 0.2),
    (re.compile(r"couchbase-names\.md|guides/troubleshooting\.md"), 0.5),
    (re.compile(r"guides/(?!index).*"), 2.0),
)
"""What a word counts for in the search, by page: some pages have every word somewhere."""
_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)


def on_config(config: Any, **_: Any) -> Any:
    """Fit the navigation to the pages that are there."""
    config["nav"] = navigation(config["nav"], Path(config["docs_dir"]))
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Fit a page's links to what is in the site."""
    for pages, boost in _BOOSTS:
        if pages.fullmatch(page.file.src_uri):
            page.meta["search"] = {"boost": boost}
            break
    folder = posixpath.dirname(page.file.src_uri)
    return without_links_out(markdown, folder)


def navigation(entries: list[Any], docs: Path) -> list[Any]:
    """Return the entries whose pages are there; a folder becomes its pages."""
    fitted: list[Any] = []
    for entry in entries:
        if isinstance(entry, str):
            fitted += [entry] * (docs / entry).exists()
            continue
        ((title, target),) = entry.items()
        if isinstance(target, list):
            fitted.append({title: navigation(target, docs)})
        elif target.endswith("/"):
            pages = sorted((docs / target).glob("*.md"))
            fitted.append({title: [titled(each, docs) for each in pages]})
        elif (docs / target).exists():
            fitted.append(entry)
    return fitted


def titled(page: Path, docs: Path) -> dict[str, str]:
    """Return the entry of a page under its own title."""
    title = _TITLE.search(page.read_text(encoding="utf-8"))
    assert title is not None, f"{page} has no title"
    return {title[1]: page.relative_to(docs).as_posix()}


def without_links_out(markdown: str, folder: str) -> str:
    """Turn links that lead out of ``docs`` into their text, as code."""

    def fitted(link: re.Match[str]) -> str:
        leads_to = posixpath.normpath(posixpath.join(folder, link["target"]))
        if not leads_to.startswith("../"):
            return link[0]
        text = link["text"]
        return text if text.startswith("`") else f"`{text}`"

    return _LINK.sub(fitted, markdown)
