"""Sync Gateway as a process on its in-memory store, with databases and users made over REST.

Its program can't be fetched by this project (docs/compatibility.md says why); SETTEE_SYNC_GATEWAY
names one that is on the machine. It listens on loopback only.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from settee import TLSIdentity
from tests.interop.content import (
    BlobSpec,
    Body,
    Seen,
    by_digest,
    filled,
    make_bytes,
    read_json,
)

__all__ = ["PROGRAM", "GatewayRefusedError", "SyncGateway"]

PROGRAM: Final = os.environ.get("SETTEE_SYNC_GATEWAY", "")
START_TIMEOUT_S: Final = 30
USER: Final = ("bob", "secret")
DEFAULT: Final = "_default"
_DELETED: Final[Body] = {"_deleted": True}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class GatewayRefusedError(Exception):
    """Sync Gateway does not do what its REST API was asked for."""


class SyncGateway:
    """One process. `identity` is what its public side shows; its data ends with it."""

    def __init__(self, program: str, directory: Path, identity: TLSIdentity) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log_path: Final = directory / "sync-gateway.log"
        self.identity: Final = identity
        self._public_port = _free_port()
        self._admin_port = _free_port()
        self._names = itertools.count()
        self._tls: Final = ssl.create_default_context(cadata=identity.certificate_pem.decode())
        self._tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self._tls.check_hostname = False
        certificate, key = directory / "cert.pem", directory / "key.pem"
        certificate.write_bytes(identity.chain_pem)
        key.touch(0o600)
        key.write_bytes(identity.private_key_pem)
        config = directory / "config.json"
        config.write_text(json.dumps(self._config(certificate, key)))
        self._log: Final = self.log_path.open("ab")
        self._process: Final = subprocess.Popen(
            [program, str(config)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=directory,
        )
        try:
            self.version: Final = self._wait_until_there()
        except BaseException:
            self.close()
            raise

    def _config(self, certificate: Path, key: Path) -> dict[str, Any]:
        return {
            "bootstrap": {
                "server": "rosmar:/?mode=memory",
                "username": "unused",
                "password": "unused",
                "use_tls_server": False,
            },
            "api": {
                "public_interface": f"127.0.0.1:{self._public_port}",
                "admin_interface": f"127.0.0.1:{self._admin_port}",
                "metrics_interface": f"127.0.0.1:{_free_port()}",
                "admin_interface_authentication": False,
                "metrics_interface_authentication": False,
                "https": {"tls_cert_path": str(certificate), "tls_key_path": str(key)},
            },
            "logging": {
                "console": {
                    "enabled": True,
                    "log_level": "info",
                    "log_keys": ["HTTP", "Sync", "SyncMsg", "WS", "CRUD"],
                }
            },
        }

    def _wait_until_there(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = self.request("GET", "/")
                return f"{answer['vendor']['version']} {answer['version'].split()[-1]}"
            assert self._process.poll() is None, f"Sync Gateway ended; see {self.log_path}"
            assert time.monotonic() < deadline, f"Sync Gateway does not answer: {self.log_path}"
            time.sleep(0.05)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._log.close()

    # --- REST -------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Ask the admin side; return the JSON answered. Raises GatewayRefusedError."""
        return read_json(self.fetch(method, path, body) or b"null")

    def fetch(self, method: str, path: str, body: object = None) -> bytes:
        """As `request`, without reading the answer."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self._admin_port, timeout=60, context=self._tls
        )
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            if response.status >= 300:
                raise GatewayRefusedError(f"{method} {path}: {response.status} {answer[:500]!r}")
            return answer
        finally:
            connection.close()

    def create(self, collections: Iterable[str] = (DEFAULT,)) -> str:
        """Make a database with these collections and the user of USER; return its name."""
        name = f"db{next(self._names)}"
        scopes: dict[str, Any] = {}
        access: dict[str, Any] = {}
        for each in collections:
            scope, _, collection = each.rpartition(".")
            scopes.setdefault(scope or DEFAULT, {"collections": {}})["collections"][collection] = {
                "sync": 'function (doc) { channel(doc.channels || "all"); }'
            }
            access.setdefault(scope or DEFAULT, {})[collection] = {"admin_channels": ["*"]}
        self.request(
            "PUT",
            f"/{name}/",
            {"bucket": f"bucket-{name}", "num_index_replicas": 0, "scopes": scopes},
        )
        user, password = USER
        self.request(
            "POST",
            f"/{name}/_user/",
            {"name": user, "password": password, "collection_access": access},
        )
        return name

    def give_channels(self, db: str, channels: Iterable[str]) -> None:
        """Give the user of USER these channels of the default collection, and no others."""
        access = {DEFAULT: {DEFAULT: {"admin_channels": list(channels)}}}
        self.request("PUT", f"/{db}/_user/{USER[0]}", {"collection_access": access})

    def url(self, db: str) -> str:
        """Return where a replicator dials."""
        return f"wss://127.0.0.1:{self._public_port}/{db}"

    # --- documents --------------------------------------------------------------------------------

    def save(self, db: str, documents: Mapping[str, Body], collection: str = DEFAULT) -> None:
        """Save documents over what is there, and if that changes meanwhile, over what is then."""
        left = documents
        while left:
            results = self._save(db, left, collection)
            refused = [each for each in results if "error" in each]
            assert all(each["status"] == 409 for each in refused), refused[:3]
            left = {each["id"]: left[each["id"]] for each in refused}

    def _save(self, db: str, documents: Mapping[str, Body], collection: str) -> list[Any]:
        revisions = self._revisions(db, collection)
        rows = []
        for id, body in documents.items():
            if body is _DELETED and id not in revisions:
                continue
            attachments: dict[str, Any] = {}
            row = {**filled(body, partial(_attach, attachments)), "_id": id}
            if id in revisions:
                row["_rev"] = revisions[id]
            if attachments:
                row["_attachments"] = attachments
            rows.append(row)
        path = f"{_keyspace(db, collection)}/_bulk_docs"
        results: list[Any] = self.request("POST", path, {"docs": rows})
        return results

    def delete(self, db: str, ids: Iterable[str], collection: str = DEFAULT) -> None:
        """Delete documents, those that are there."""
        self.save(db, dict.fromkeys(ids, _DELETED), collection)

    def _revisions(self, db: str, collection: str) -> dict[str, str]:
        rows = self.request("GET", f"{_keyspace(db, collection)}/_all_docs")["rows"]
        return {row["id"]: row["value"]["rev"] for row in rows}

    def count(self, db: str, collection: str = DEFAULT) -> int:
        """Return how many documents there are."""
        return len(self._revisions(db, collection))

    def dump(
        self, db: str, collection: str = DEFAULT, *, by_version: bool = False
    ) -> dict[str, Seen]:
        """Read all documents, and all of their attachments."""
        keyspace = _keyspace(db, collection)
        rows = self.request("GET", f"{keyspace}/_all_docs?include_docs=true")["rows"]
        name = "cv" if by_version else "rev"
        return {
            row["id"]: self._seen(keyspace, row["id"], row["doc"], row["value"][name])
            for row in rows
        }

    def _seen(self, keyspace: str, id: str, stored: dict[str, Any], revision: str) -> Seen:
        body = {key: value for key, value in stored.items() if not key.startswith("_")}
        blobs = {}
        for name, attachment in stored.get("_attachments", {}).items():
            path = f"{keyspace}/{quote(id, safe='')}/{quote(name, safe='')}"
            blobs[attachment["digest"]] = by_digest(self.fetch("GET", path))
        return Seen(body, blobs, revision)


def _attach(attachments: dict[str, Any], spec: BlobSpec, path: str) -> dict[str, Any]:
    """Add what Couchbase Lite would have sent for a blob; return the blob."""
    content = make_bytes(spec)
    data = base64.b64encode(content).decode()
    attachments[f"blob_{path}"] = {"data": data, "content_type": spec.type}
    return {
        "@type": "blob",
        "content_type": spec.type,
        "digest": by_digest(content),
        "length": spec.size,
    }


def _keyspace(db: str, collection: str) -> str:
    scope, _, name = collection.rpartition(".")
    return f"/{db}.{scope or DEFAULT}.{name}"
