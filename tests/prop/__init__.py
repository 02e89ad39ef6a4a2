"""The twelve properties: ``python -m tests.prop``. Tests of them stand here and in the rooms.

Each is marked ``@pytest.mark.property(number=…)`` and takes its number of examples from `examples`:
few in the fast tests, 100 in every check (``--share``), 2,000 at night.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

PROPERTIES: Final[dict[int, str]] = {
    1: "revisions that arrive in any order, once or twice, leave the same document",
    2: "version vectors say who has seen what, and survive both written forms",
    3: "the hybrid clock rises, whatever the machine's clock does",
    4: "every JSON value comes back bit for bit, or is refused",
    5: "a delta gives the new body, and a wrong one never another",
    6: "messages arrive as sent, however cut, mixed and compressed; damage is noticed",
    7: "WebSocket frames are read as another library reads them",
    8: "sequence sets and checkpoints are sets, and never pass what is unfinished",
    9: "a database is a dict, through reopening, compacting, expiry and a second handle",
    10: "blobs are there for every document, wherever the process dies",
    11: "changes and listeners tell what comparing everything would tell",
    12: "all peers end a conflict alike, whatever arrives first",
}

_EXAMPLES: Final = {"share": 100, "night": 2000}


def examples(usual: int, most: int | None = None) -> settings:
    """Return how often to try: `usual` times, but as often as the profile says if it says so.

    `most` is for what costs more than a hundredth of a second each time.
    """
    count = _EXAMPLES.get(os.environ.get("SETTEE_HYPOTHESIS", ""), usual)
    return settings(max_examples=count if most is None else min(count, most), deadline=None)
