from __future__ import annotations

from pathlib import Path

from settee.clock import InlineWorkers, SystemClock
from settee.store import Store, cookies

A = ("a", "1", True, "/db", True, 1e9)
B = ("b", "2", False, "/", False, 2e9)


def test_cookies_are_kept_by_domain_and_owner_until_replaced(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "a.settee", clock=SystemClock(), workers=InlineWorkers())

    def kept(domain: str, owner: str) -> list[cookies.CookieRow]:
        with store.reader() as reader:
            return cookies.kept(reader, domain, owner)

    assert kept("example.com", "bob") == []
    store.write(lambda w: cookies.keep(w, "example.com", "bob", [A, B]))
    store.write(lambda w: cookies.keep(w, "example.com", "", [B]))
    assert kept("example.com", "bob") == [A, B]
    assert kept("example.com", "") == [B]
    assert kept("example.org", "bob") == []
    store.write(lambda w: cookies.keep(w, "example.com", "bob", []))
    assert kept("example.com", "bob") == []
    assert kept("example.com", "") == [B]
    store.write(lambda w: cookies.keep(w, "example.com", "", []))
    with store.reader() as reader:
        assert reader.row("SELECT * FROM meta WHERE name LIKE 'cookies:%'") is None
    store.close()
