"""A remote is known by what it is, not by where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee import (
    Activity,
    Blob,
    Database,
    Replicator,
    TLSIdentity,
    URLEndpointListener,
)

DOCUMENTS = 300


def test_a_listener_that_comes_back_on_another_port_costs_no_revision_again(
    tmp_path: Path,
) -> None:
    identity = TLSIdentity.self_signed("kitchen", directory=tmp_path / "identities")
    with (
        Database("kitchen", directory=tmp_path) as kitchen,
        Database("van", directory=tmp_path) as van,
    ):
        kitchen.default_collection.save_many((f"kitchen::{n}", {"n": n}) for n in range(DOCUMENTS))
        van.default_collection.save_many(
            (f"van::{n}", {"n": n, "image": Blob.from_bytes(b"%d" % n)}) for n in range(DOCUMENTS)
        )
        ports = []
        results = []
        for _ in range(3):
            listener = URLEndpointListener(
                kitchen, host="127.0.0.1", tls_identity=identity, allow_anonymous=True
            )
            with listener:
                ports.append(listener.port)
                results.append(
                    van.replicate(listener.urls[0], pinned_server_certificate=identity.fingerprint)
                )
        assert len(set(ports)) > 1, "the system gave the same port each time"
        assert [(r.pushed, r.pulled) for r in results] == [(DOCUMENTS, DOCUMENTS), (0, 0), (0, 0)]
        assert [r.bytes_pushed + r.bytes_pulled for r in results[1:]] == [0, 0]


@pytest.mark.feature("LIS-11")
def test_a_listener_keeps_its_port_over_stop_and_start(tmp_path: Path) -> None:
    with Database("kitchen", directory=tmp_path) as kitchen:
        listener = URLEndpointListener(kitchen, host="127.0.0.1", allow_anonymous=True)
        listener.start()
        port = listener.port
        listener.stop()
        assert listener.port == 0
        assert listener.urls == []
        listener.start()
        assert listener.port == port
        listener.stop()


@pytest.mark.regression("never connects again")
def test_a_continuous_replicator_comes_back_to_a_listener_that_was_stopped(
    tmp_path: Path,
) -> None:
    with (
        Database("kitchen", directory=tmp_path) as kitchen,
        Database("van", directory=tmp_path) as van,
    ):
        listener = URLEndpointListener(kitchen, host="127.0.0.1", tls=False, allow_anonymous=True)
        listener.start()
        with Replicator(
            van, listener.urls[0], continuous=True, max_attempt_wait=0.05
        ) as replicator:
            assert replicator.wait_for("idle", timeout=10)
            assert len(listener.connections) == 1
            listener.stop()
            assert replicator.wait_for("offline", timeout=10)
            assert replicator.status.error is not None
            assert replicator.status.error.transient  # type: ignore[attr-defined]
            van.default_collection["made-offline"] = {"n": 1}
            kitchen.default_collection["made-alone"] = {"n": 2}
            listener.start()
            assert replicator.wait_for("idle", timeout=10)
            assert kitchen.default_collection["made-offline"]["n"] == 1
            assert van.default_collection["made-alone"]["n"] == 2
            listener.stop(final=True)
            assert replicator._peer.status.wait(lambda s: s.activity is Activity.STOPPED, 10)
