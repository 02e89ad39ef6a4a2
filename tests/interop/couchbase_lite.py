"""Couchbase Lite for Java as a process: the commands of java/Peer.java, as methods."""

from __future__ import annotations

import base64
import json
import queue
import subprocess
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, Final

from tests.interop.choices import NONE, Choices
from tests.interop.content import BlobSpec, Body, Seen, filled, read_json
from tests.interop.place import JavaPeerFiles

__all__ = ["CouchbaseLite", "CouchbaseLiteError", "make_trust_store"]

ANSWER_TIMEOUT_S: Final = 120
TRUST_STORE_PASSWORD: Final = "not a secret"


def make_trust_store(path: Path, certificate_pem: bytes) -> None:
    """Make a Java trust store of one authority."""
    pem = path.with_suffix(".pem")
    pem.write_bytes(certificate_pem)
    keytool = ["keytool", "-importcert", "-noprompt", "-alias", "root", "-file", str(pem)]
    keytool += ["-keystore", str(path), "-storepass", TRUST_STORE_PASSWORD]
    subprocess.run(keytool, check=True, stdin=subprocess.DEVNULL, capture_output=True)


class CouchbaseLiteError(Exception):
    """Couchbase Lite says that something failed."""

    def __init__(self, message: str, domain: str = "", code: int = 0) -> None:
        super().__init__(f"{domain}/{code}: {message}" if domain else message)
        self.domain = domain
        self.code = code


class CouchbaseLite:
    """One process with databases in `directory`.

    It trusts the authorities of `roots`, a Java trust store. `log_level` is Couchbase Lite's own.
    """

    def __init__(
        self, files: JavaPeerFiles, directory: Path, roots: Path, *, log_level: str = "WARNING"
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log_path: Final = directory / "couchbase-lite.log"
        self._log: Final = self.log_path.open("ab")
        self._process: Final = subprocess.Popen(
            [
                "java",
                "-Xmx1g",
                "-Dfile.encoding=UTF-8",
                f"-Djavax.net.ssl.trustStore={roots}",
                f"-Djavax.net.ssl.trustStorePassword={TRUST_STORE_PASSWORD}",
                "-cp",
                files.classpath,
                "Peer",
                str(directory),
                log_level,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={"LD_LIBRARY_PATH": str(files.libraries), "PATH": "/usr/bin:/bin"},
            text=True,
            encoding="utf-8",
        )
        self._answers: Final[queue.SimpleQueue[str | None]] = queue.SimpleQueue()
        assert self._process.stdout is not None
        self._reader: Final = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._answers.put(line)
        self._answers.put(None)

    def close(self) -> None:
        """End the process as a program ends."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._over()

    def kill(self) -> None:
        """End it as a battery does."""
        self._process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._over()

    def _over(self) -> None:
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._reader.join(20)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    def ask(self, do: str, timeout_s: float = ANSWER_TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        """Send one command and return the answer. Raises CouchbaseLiteError."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._answers.get(timeout=timeout_s)
        if line is None:
            raise CouchbaseLiteError(f"the process ended; see {self.log_path}")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise CouchbaseLiteError(
                answer["error"], answer.get("domain", ""), answer.get("code", 0)
            )
        return answer

    # --- databases and documents ------------------------------------------------------------------

    def open(self, db: str) -> None:
        """Open a database, new or not."""
        self.ask("open", db=db)

    def save(self, db: str, documents: Mapping[str, Body]) -> None:
        """Save documents in one transaction."""

        def blob(spec: BlobSpec, path: str) -> Any:
            return read_json(self.ask("blob", db=db, **spec._asdict())["json"])

        rows = [
            {"id": id, "json": json.dumps(filled(body, blob), ensure_ascii=False)}
            for id, body in documents.items()
        ]
        self.ask("save", db=db, documents=rows)

    def delete(self, db: str, ids: Iterable[str], *, if_there: bool = False) -> None:
        """Delete documents."""
        self.ask("delete", db=db, ids=list(ids), ifThere=if_there)

    def dump(self, db: str) -> dict[str, Seen]:
        """Read all documents, and all of their blobs."""
        return {
            row["id"]: Seen(read_json(row["json"]), row["blobs"], row["revision"])
            for row in self.ask("dump", db=db)["documents"]
        }

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def count(self, db: str) -> int:
        """Return how many documents there are."""
        count: int = self.ask("count", db=db)["count"]
        return count

    # --- replicators ------------------------------------------------------------------------------

    def start(
        self,
        db: str,
        url: str,
        *,
        type: str = "PUSH_AND_PULL",
        continuous: bool = False,
        credentials: tuple[str, str] | None = None,
        pin: bytes | None = None,
        attempts: int = 1,
        choices: Choices = NONE,
        reset: bool = False,
        name: str = "",
    ) -> None:
        """Start a replicator, known by its database's name unless it gets one of its own.

        `pin` is a certificate in DER.
        """
        options: dict[str, Any] = {"type": type, "continuous": continuous, "attempts": attempts}
        if credentials is not None:
            options["user"], options["password"] = credentials
        if pin is not None:
            options["pin"] = base64.b64encode(pin).decode()
        names = {
            "ids": choices.document_ids,
            "pushFilter": choices.push_filter,
            "pullFilter": choices.pull_filter,
            "resolver": choices.resolver,
        }
        options |= {name: value for name, value in names.items() if value is not None}
        self.ask("start", db=db, replicator=name or db, url=url, reset=reset, **options)

    def told(self, name: str) -> list[dict[str, Any]]:
        """Return what a replicator's document listener has been told since its start."""
        documents: list[dict[str, Any]] = self.ask("status", replicator=name)["documents"]
        return documents

    def wait(self, db: str, activity: str = "STOPPED", timeout_s: float = 60) -> dict[str, Any]:
        """Wait for an activity; return the status. Raises CouchbaseLiteError for its error."""
        status = self.ask(
            "wait",
            timeout_s=timeout_s + 10,
            replicator=db,
            activity=activity,
            timeout=timeout_s,
        )
        failure = status.get("failure")
        if failure is not None:
            raise CouchbaseLiteError(failure["message"], failure["domain"], failure["code"])
        assert status["reached"], f"not {activity} in {timeout_s} s: {status}"
        return status

    def stop(self, db: str) -> None:
        """Stop the replicator and wait until it has."""
        self.ask("stop", replicator=db)
        self.wait(db)
