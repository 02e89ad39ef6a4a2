from __future__ import annotations

from pathlib import Path

from settee.clock import InlineWorkers, SystemClock
from settee.store import Store, trust


def test_the_first_certificate_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    url = "wss://10.0.0.5:4984/inventory"
    store = Store.open(tmp_path / "a.settee", clock=SystemClock(), workers=InlineWorkers())

    def met() -> bytes | None:
        with store.reader() as reader:
            return trust.remembered(reader, url)

    assert met() is None
    store.write(lambda w: trust.remember(w, url, b"1" * 32))
    store.write(lambda w: trust.remember(w, url, b"2" * 32))
    assert met() == b"1" * 32
    store.write(lambda w: trust.forget(w, url))
    assert met() is None
    store.close()
