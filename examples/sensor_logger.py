"""A logger on a Raspberry Pi: it measures without a network, and hands over when the base is near.

Each reading is a document with an expiry: the small disk of the logger forgets it after a week.
Expiry is local, so the base keeps what it got. The logger only pushes, and its filter lets no
diagnostics out.

It prints::

    logged 3 readings and 1 line of diagnostics
    the base is near: 3 readings handed over
    a week later: 1 document here, 3 at the base
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path

from settee import Collection, Database, Document, DocumentFlags, TLSIdentity, URLEndpointListener

KEPT = datetime.timedelta(days=7)
THERMOMETER = Path("/sys/class/thermal/thermal_zone0/temp")
"""The processor's temperature in thousandths of a degree, on a Raspberry Pi and most of Linux."""


def temperature() -> float | None:
    """Return degrees Celsius; None where there is no thermometer."""
    try:
        return int(THERMOMETER.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return None


# --8<-- [start:log]
def log(readings: Collection, count: int) -> None:
    """Store readings, each of them on the disk when `add` returns."""
    for _ in range(count):
        now = datetime.datetime.now(datetime.UTC)
        reading = readings.add({"type": "reading", "celsius": temperature(), "at": now})
        readings.expire(reading.id, KEPT)


# --8<-- [end:log]
def is_reading(document: Document, flags: DocumentFlags) -> bool:
    """Let readings out, and nothing else."""
    return document.get("type") == "reading"


def hand_over(logger: Database, url: str, pin: str) -> int:
    """Push what the base does not have; return how many."""
    result = logger.replicate(
        url,
        replicator_type="push",
        collections=["sensor.readings"],
        push_filter=is_reading,
        pinned_server_certificate=pin,
    )
    return result.pushed


def let_time_pass(readings: Collection, ids: Iterable[str]) -> None:
    """Stand in for a week: let the readings expire now, and wait until they have."""
    waiting = set(ids)
    with readings.changes() as changes:
        for id in sorted(waiting):
            readings.expire(id, datetime.timedelta(0))
        while waiting & set(readings):
            next(changes)


def main() -> None:
    """Log three readings, meet the base, and see what is left after a week."""
    identity = TLSIdentity.self_signed("base", directory="keys")
    with Database("logger") as logger, Database("base") as base:
        readings = logger.collection("sensor.readings", create=True)
        base.collection("sensor.readings", create=True)
        log(readings, 3)
        expiring = list(readings)
        readings["started"] = {"type": "diagnostics", "text": "the logger started"}
        print(f"logged {len(expiring)} readings and 1 line of diagnostics")

        with URLEndpointListener(
            base, host="127.0.0.1", tls_identity=identity, allow_anonymous=True
        ) as listener:
            count = hand_over(logger, listener.urls[0], identity.fingerprint)
        print(f"the base is near: {count} readings handed over")

        let_time_pass(readings, expiring)
        kept = len(base.collection("sensor.readings"))
        print(f"a week later: {len(readings)} document here, {kept} at the base")


if __name__ == "__main__":
    main()
