"""`make interop`: fetches and builds the peers that can be had, runs the scenarios with each that
is there, and ends with a table of all, the versions, and a reason in each cell without a result.

``--compatibility=docs/compatibility.md`` writes the table between that file's two marks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from settee import TLSIdentity
from tests.interop.authority import Authority
from tests.interop.couchbase_lite import CouchbaseLite, make_trust_store
from tests.interop.counting import MessageCount
from tests.interop.ours import DEFAULT
from tests.interop.pairs import CouchbaseLitePair, Pair, SyncGatewayPair
from tests.interop.place import COUCHBASE_LITE_VERSION, java_peer_files
from tests.interop.sync_gateway import PROGRAM, SyncGateway
from tests.interop.table import (
    COUCHBASE_LITE,
    NEVER,
    ROWS,
    SYNC_GATEWAY,
    SYNC_GATEWAY_TREES,
    Table,
)

TABLE: Final = pytest.StashKey[Table]()
HERE: Final = Path(__file__).resolve().parent
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"

PairMaker = Callable[..., Pair]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--compatibility", metavar="FILE", help="write the table into this page")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = Table()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    without = []
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)
            called = getattr(item, "callspec", None)
            if called is not None and called.params.get("peer", "") is None:
                without.append(item)
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each scenario with each peer that is there, but where a cell has its reason."""
    if "peer" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("scenario")
    assert mark is not None, f"{metafunc.definition.name} is of no scenario"
    assert mark.args[0] in ROWS, mark.args[0]
    peers = [COUCHBASE_LITE, *([SYNC_GATEWAY, SYNC_GATEWAY_TREES] if PROGRAM else [])]
    only = mark.kwargs.get("peer")
    fit = [
        peer
        for peer in peers
        if (mark.args[0], peer) not in NEVER
        and (only is None or peer == only or (only, peer) == (SYNC_GATEWAY, SYNC_GATEWAY_TREES))
    ]
    metafunc.parametrize("peer", fit or [None])  # None is deselected, not skipped.


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    mark = item.get_closest_marker("scenario")
    called = getattr(item, "callspec", None)
    if mark is None or called is None or "peer" not in called.params:
        return
    if report.when == "call" or report.failed:
        item.config.stash[TABLE].add(mark.args[0], called.params["peer"], passed=report.passed)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    table = config.stash[TABLE]
    if not table.versions:
        return
    terminalreporter.section("settee and programs that nobody here wrote")
    for line in table.text():
        terminalreporter.write_line(line)
    page = config.getoption("--compatibility", None)
    if page:
        text = Path(page).read_text()
        pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
        assert pattern.search(text), f"{page} has no place for the table"
        Path(page).write_text(pattern.sub(lambda _: BEGIN + table.markdown() + END, text))


# --- the peers ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def identity() -> TLSIdentity:
    """The self-signed certificate that the listeners of a run show."""
    return TLSIdentity.anonymous()


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The authority that a run may trust."""
    return Authority()


@pytest.fixture
def signed(request: pytest.FixtureRequest, peer: str, tmp_path: Path) -> Iterator[Pair]:
    """A pair whose listener shows a certificate of the authority."""
    identity = request.getfixturevalue("authority").identity()
    if peer == SYNC_GATEWAY:
        process = SyncGateway(PROGRAM, tmp_path / "gateway", identity)
        pair: CouchbaseLitePair | SyncGatewayPair = SyncGatewayPair(process, tmp_path / "ours")
        yield pair
        pair.close()
        process.close()
    else:
        holder = request.getfixturevalue("couchbase_lite")
        name = f"theirs{next(holder.names)}"
        pair = CouchbaseLitePair(holder.start, holder.process, name, tmp_path, identity)
        yield pair
        pair.close()


class CouchbaseLiteProcess:
    """The run's Couchbase Lite; another one after a test has killed it."""

    def __init__(self, config: pytest.Config, directory: Path, authority: Authority) -> None:
        self._files: Final = java_peer_files()
        self._directory: Final = directory
        self._roots: Final = directory / "roots"
        make_trust_store(self._roots, authority.pem)
        self.names: Final = itertools.count()
        self.process = self.start()
        config.stash[TABLE].versions[COUCHBASE_LITE] = (
            f"Couchbase Lite for Java {COUCHBASE_LITE_VERSION} CE dials settee"
        )

    def start(self) -> CouchbaseLite:
        self.process = CouchbaseLite(self._files, self._directory, self._roots)
        return self.process


@pytest.fixture(scope="session")
def couchbase_lite(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[CouchbaseLiteProcess]:
    directory = tmp_path_factory.mktemp("couchbase-lite")
    holder = CouchbaseLiteProcess(pytestconfig, directory, authority)
    yield holder
    holder.process.close()


@pytest.fixture(scope="session")
def sync_gateway(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, identity: TLSIdentity
) -> Iterator[SyncGateway]:
    process = SyncGateway(PROGRAM, tmp_path_factory.mktemp("sync-gateway"), identity)
    for peer, level in ((SYNC_GATEWAY, 4), (SYNC_GATEWAY_TREES, 3)):
        pytestconfig.stash[TABLE].versions[peer] = (
            f"settee dials Sync Gateway {process.version}, level {level}"
        )
    yield process
    process.close()


@pytest.fixture
def trees_only(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have settee know no level 4, where the table's column says so."""
    if peer == SYNC_GATEWAY_TREES:
        monkeypatch.setattr("settee.peer.active.SUBPROTOCOLS", ("BLIP_3+CBMobile_3",))


@pytest.fixture
def make_pair(
    request: pytest.FixtureRequest,
    peer: str,
    tmp_path: Path,
    identity: TLSIdentity,
    trees_only: None,
) -> Iterator[PairMaker]:
    """Make a pair with these collections."""
    made: list[CouchbaseLitePair | SyncGatewayPair] = []

    def make(*collections: str) -> Pair:
        if peer != COUCHBASE_LITE:
            gateway = request.getfixturevalue("sync_gateway")
            versions = peer == SYNC_GATEWAY
            names = collections or (DEFAULT,)
            made.append(SyncGatewayPair(gateway, tmp_path, names, by_version=versions))
        else:
            holder = request.getfixturevalue("couchbase_lite")
            name = f"theirs{next(holder.names)}"
            made.append(CouchbaseLitePair(holder.start, holder.process, name, tmp_path, identity))
        return made[-1]

    yield make
    for pair in made:
        pair.close()


@pytest.fixture
def pair(make_pair: PairMaker) -> Pair:
    """Both sides, with nothing in them."""
    return make_pair()


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> MessageCount:
    """Counts the messages of settee's end from here on."""
    return MessageCount(monkeypatch)
