"""Both families of peers at once, with settee between them; more of it in ``make night``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.bridge import SHAPES, Fleet, run
from tests.interop.conftest import CouchbaseLiteProcess
from tests.interop.counting import MessageCount
from tests.interop.sync_gateway import SyncGateway
from tests.interop.table import SYNC_GATEWAY


@pytest.mark.slow  # Three programs, 100 edits, and 5 s of silence at the end.
@pytest.mark.scenario("bridge between levels 3 and 4", peer=SYNC_GATEWAY)
@pytest.mark.usefixtures("peer")
@pytest.mark.parametrize("shape", SHAPES)
def test_edits_cross_between_peers_that_do_not_speak_to_each_other(
    shape: str,
    couchbase_lite: CouchbaseLiteProcess,
    sync_gateway: SyncGateway,
    messages: MessageCount,
    tmp_path: Path,
) -> None:
    fleet = Fleet(shape, tmp_path, couchbase_lite.process, sync_gateway, seed=1)
    try:
        run(fleet, messages, edits=100)
    finally:
        fleet.close()
