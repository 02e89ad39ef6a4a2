"""Where the foreign programs lie, and how those that can be had are fetched and built.

Everything goes below one directory, which git ignores: `.settee-interop` in the checkout, or what
SETTEE_INTEROP_CACHE says. Nothing of it is part of this project. What is there is used again as
long as the files in `java/` and the Java compiler stay the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["COUCHBASE_LITE_VERSION", "JavaPeerFiles", "PeerMissingError", "java_peer_files"]

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = Path(__file__).resolve().parent / "java"
CACHE: Final = Path(os.environ.get("SETTEE_INTEROP_CACHE") or ROOT / ".settee-interop")

COUCHBASE_LITE_VERSION: Final = "3.0.0"
COUCHBASE_LITE_JAR: Final = f"couchbase-lite-java-{COUCHBASE_LITE_VERSION}.jar"
COUCHBASE_LITE_SHA256: Final = "d64dedc4cbb45714b17fca32e19860a2c3eb128a04c05a667cdc2b23c5fe312c"

DEBIAN_PACKAGES: Final = (
    "maven",
    "default-jdk-headless",
    "gcc",
    "libc6-dev",
    "libicu-dev",
    "zlib1g",
)
ICU_HEADER: Final = Path("/usr/include/unicode/ucol.h")
STEP_TIMEOUT_S: Final = 600


class PeerMissingError(Exception):
    """A foreign program can't be had on this machine; the message says why."""


class JavaPeerFiles(NamedTuple):
    """What it takes to start the Java peer."""

    classpath: str
    libraries: Path


def java_peer_files() -> JavaPeerFiles:
    """Fetch and build the Java peer unless it is there. Raises PeerMissingError."""
    home = CACHE / "java"
    files = JavaPeerFiles(f"{home / 'classes'}{os.pathsep}{home / 'jars'}/*", home / "lib")
    with _locked():
        _need_programs()
        stamp = home / "stamp"
        wanted = _fingerprint()
        if stamp.exists() and stamp.read_text() == wanted:
            return files
        shutil.rmtree(home, ignore_errors=True)
        for part in ("jars", "classes", "lib"):
            (home / part).mkdir(parents=True)
        _fetch(home / "jars")
        _compile(home)
        stamp.write_text(wanted)
    return files


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let one run at a time build."""
    import fcntl  # Not on Windows, where these modules are imported too.

    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted(SOURCES.iterdir())):
        digest.update(path.read_bytes())
    digest.update(_run("javac", "-version"))
    return digest.hexdigest()


def _need_programs() -> None:
    """Install what is missing, on Debian and as root; say what is missing elsewhere."""
    missing = [name for name in ("mvn", "javac", "java", "gcc") if shutil.which(name) is None]
    if not ICU_HEADER.exists():
        missing.append(str(ICU_HEADER))
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise PeerMissingError(
            f"the Java peer needs {', '.join(missing)}; on Debian: apt-get install "
            + " ".join(DEBIAN_PACKAGES)
        )
    _run("apt-get", "update")
    _run("apt-get", "install", "-y", "--no-install-recommends", *DEBIAN_PACKAGES)


def _fetch(jars: Path) -> None:
    _run(
        "mvn",
        "--batch-mode",
        "--quiet",
        f"--file={SOURCES / 'pom.xml'}",
        f"-Dcouchbase-lite.version={COUCHBASE_LITE_VERSION}",
        "dependency:copy-dependencies",
        f"-DoutputDirectory={jars}",
    )
    found = hashlib.sha256((jars / COUCHBASE_LITE_JAR).read_bytes()).hexdigest()
    if found != COUCHBASE_LITE_SHA256:
        raise PeerMissingError(f"{COUCHBASE_LITE_JAR} is not the one known here: {found}")


def _compile(home: Path) -> None:
    _run(
        "javac",
        "-encoding",
        "UTF-8",
        "-nowarn",
        "-cp",
        f"{home / 'jars'}/*",
        "-d",
        str(home / "classes"),
        str(SOURCES / "Peer.java"),
    )
    names = ("libicui18n.so.54", "libicuuc.so.54", "libicudata.so.54")
    library = home / "lib" / names[0]
    _run(
        "gcc",
        "-O1",
        "-shared",
        "-fPIC",
        f"-Wl,-soname,{names[0]}",
        "-o",
        str(library),
        str(SOURCES / "icu54.c"),
        "-licui18n",
        "-licuuc",
    )
    for name in names[1:]:
        (home / "lib" / name).symlink_to(library.name)


def _run(*command: str) -> bytes:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=STEP_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        tail = done.stdout.decode(errors="replace")[-2000:]
        raise PeerMissingError(f"{' '.join(command)} ended with {done.returncode}:\n{tail}")
    return done.stdout
