"""The built pages: they build without a warning, every link leads somewhere, nothing is fetched.

Needs the extra `docs`, which `make check` installs; all of it is slow because of the building.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from tools import website
from tools.docs import ROOT

HOSTS = {"squidfunk.github.io"}
"""Where links to other places may lead: to the makers of the theme."""
QUESTIONS = ROOT / "docs" / "readers-test.md"
FOUND_AMONG = 3
"""So many pages of the answer a reader looks at."""


class Page(HTMLParser):
    """What a page offers to links, what it links to, and what it fetches by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag == "link" and given.get("rel") != "canonical" and "href" in given:
            self.fetched.add(given["href"])
        if tag in ("img", "script", "iframe") and "src" in given:
            self.fetched.add(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built as `make docs` does."""
    pytest.importorskip("material", reason="the extra `docs` is not installed")
    target = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return target


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


def dead(page: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Tell whether a link within the site leads nowhere."""
    address, fragment = urldefrag(link)
    target = (page.parent / unquote(address)).resolve() if address else page
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return True
    return bool(fragment) and target in pages and unquote(fragment) not in pages[target].ids


@pytest.mark.slow
def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    """Builds the pages, which takes seconds."""
    assert len(pages) > 25
    wrong = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # Served anywhere, so it links from the root.
        for link in page.links | page.fetched:
            parts = urlsplit(link)
            if parts.scheme:
                wrong += [f"{path.name}: {link}"] * (parts.hostname not in HOSTS)
            elif dead(path, link, pages):
                wrong.append(f"{path.name}: {link}")
    assert wrong == []


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    """Builds the pages, which takes seconds."""
    fetched = {link for page in pages.values() for link in page.fetched}
    assert [link for link in fetched if urlsplit(link).netloc] == []
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]
    assert [s for text in styles for s in re.findall(r"url\(\s*['\"]?https?:", text)] == []
    drawings = [path.read_text("utf-8") for path in site.rglob("*.svg")]
    assert [each for each in drawings if "url(http" in each or "<image" in each] == []


@pytest.mark.slow
def test_each_page_of_the_folder_is_in_the_navigation(pages: dict[Path, Page]) -> None:
    """Builds the pages, which takes seconds."""
    (home,) = [
        path
        for path in pages
        if path.name == "index.html" and len(path.parts) == min(len(each.parts) for each in pages)
    ]
    reached, waiting = {home}, [home]
    while waiting:
        path = waiting.pop()
        for link in pages[path].links:
            if not urlsplit(link).scheme:
                target = (path.parent / unquote(urldefrag(link)[0])).resolve()
                if target in pages and target not in reached:
                    reached.add(target)
                    waiting.append(target)
    assert {path.name for path in set(pages) - reached} <= {"404.html"}


@pytest.mark.slow
def test_a_dead_link_is_found(pages: dict[Path, Page]) -> None:
    """Builds the pages, which takes seconds."""
    (page,) = [path for path in pages if path.as_posix().endswith("guides/trust.html")]
    assert not dead(page, "troubleshooting.html#certificateerror", pages)
    assert not dead(page, "#how-do-i-pin-a-certificate", pages)
    assert dead(page, "troubleshooting.html#no-such-error", pages)
    assert dead(page, "nowhere.html", pages)


# --- the search -----------------------------------------------------------------------------------


class Question(NamedTuple):
    """A row of docs/readers-test.md."""

    words: str
    page: str
    heading: str


def questions() -> list[Question]:
    rows = re.findall(
        r"^\| \d+ \| (.+?) \| \[.*?\]\(([^)#]+)#?([^)]*)\) \|", QUESTIONS.read_text("utf-8"), re.M
    )
    return [Question(words, page.replace(".md", ".html"), head) for words, page, head in rows]


@pytest.fixture(scope="module")
def index(site: Path) -> tuple[Any, dict[str, Any]]:
    """The search index, as the pages' own script builds it."""
    lunr = pytest.importorskip("lunr", reason="the extra `docs` is not installed")
    data = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    config = data["config"]
    separator = re.compile(config["separator"])

    def words(text: str) -> str:
        plain = re.sub(r"<[^>]+>", " ", text)
        return " ".join(part for part in separator.split(plain) if part)

    docs = [
        ({"id": each["location"], "title": words(each["title"]), "text": words(each["text"])})
        for each in data["docs"]
    ]
    boosts = {each["location"]: each.get("boost", 1) for each in data["docs"]}
    from lunr.builder import Builder
    from lunr.stop_word_filter import stop_word_filter
    from lunr.trimmer import trimmer

    assert config["pipeline"] == ["stopWordFilter", "trimmer"]
    builder = Builder()
    builder.pipeline.add(trimmer, stop_word_filter)
    builder.search_pipeline.add(trimmer)
    builder.ref("id")
    for field in ("title", "text"):
        builder.field(field, boost=config["fields"][field]["boost"])
    for each in docs:
        builder.add(each, {"boost": boosts[each["id"]]})
    assert lunr is not None
    return builder.build(), {each["location"]: each for each in data["docs"]}


def small_words() -> set[str]:
    """Return the words that docs/scripts/questions.js leaves out."""
    script = (ROOT / "docs" / "scripts" / "questions.js").read_text("utf-8")
    quoted = script.partition("new Set(")[2].partition(".split")[0]
    return set("".join(re.findall(r'"([^"]*)"', quoted)).split())


def asked(index: Any, question: str) -> Iterator[str]:
    """Yield where the search leads, best first: as the pages' script asks, word for word."""
    terms = [re.sub(r"[^\w]", "", word.lower()) for word in question.split()]
    meant = [term for term in terms if term and term not in small_words()]
    for each in index.search(" ".join(f"{term}*" for term in meant)):
        yield each["ref"]


@pytest.mark.slow
@pytest.mark.parametrize("question", questions(), ids=lambda question: question.words)
def test_the_search_leads_to_the_page_that_answers(
    question: Question, index: tuple[Any, dict[str, Any]]
) -> None:
    """Builds the pages, which takes seconds."""
    built, docs = index
    pages = list(dict.fromkeys(ref.partition("#")[0] for ref in asked(built, question.words)))
    assert question.page in pages[:FOUND_AMONG], pages[:FOUND_AMONG]
    where = f"{question.page}#{question.heading}" if question.heading else question.page
    assert where in docs


@pytest.mark.slow
def test_words_that_are_nowhere_find_nothing(index: tuple[Any, dict[str, Any]]) -> None:
    """Builds the pages, which takes seconds."""
    assert list(asked(index[0], "xylophone")) == []


def test_ten_questions_are_asked() -> None:
    assert len(questions()) >= 10
    assert small_words() >= {"how", "do", "i", "a", "the"}


# --- the hook -------------------------------------------------------------------------------------


def test_entries_whose_page_is_not_there_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "adr").mkdir()
    for name in ("index.md", "there.md", "adr/0001-a.md", "adr/0002-b.md"):
        (tmp_path / name).write_text(f"# About {Path(name).stem}\n", encoding="utf-8")
    entries = ["index.md", {"More": [{"There": "there.md"}, {"Gone": "gone.md"}]}, {"All": "adr/"}]
    assert website.navigation(entries, tmp_path) == [
        "index.md",
        {"More": [{"There": "there.md"}]},
        {"All": [{"About 0001-a": "adr/0001-a.md"}, {"About 0002-b": "adr/0002-b.md"}]},
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[a test](../tests/test_a.py)", "`a test`"),
        ("[`b`](../../src/b.py#L1)", "`b`"),
        ("[api](api.md#errors)", "[api](api.md#errors)"),
        ("![x](../x.png)", "![x](../x.png)"),
        ("[far](https://example.com/a)", "[far](https://example.com/a)"),
    ],
)
def test_a_link_out_of_the_pages_becomes_its_text(written: str, shown: str) -> None:
    assert website.without_links_out(written, "") == shown


def test_a_link_to_a_neighbour_folder_stays_a_link() -> None:
    assert website.without_links_out("[api](../api.md)", "guides") == "[api](../api.md)"
    assert website.without_links_out("[t](../../tests/t.py)", "guides") == "`t`"
