"""The inventory as data: items that merge whatever the order in which edits arrive.

Pure functions over documents as dicts of JSON values, blobs in the form that names them
(``{"@type": "blob", …}``). They read no clock and make no names: the time (milliseconds since
1970), and the device that edits, are given. docs/data-model.md describes the documents.

=================  ==============================================================================
`stamp`            when an edit was made: hybrid times, an order that all devices agree on
`quantity`         a number that many count up and down, and sometimes set
`fields`           fields that are written whole, and what was written apart
`item`             one item of both: its document, its edits, its merge, how people see it
`changes`          who changed what, when; what could not merge
`resolver`         the same as conflict resolvers for settee
`mirror`           the original app's single document, written and read back
=================  ==============================================================================

::

    from settee_inventory.model import item

    apples = item.new({"name": "Apples"}, 10, item.stamped(None, now_ms, "kitchen"))
    here = item.count(apples, 3, item.stamped(apples, now_ms, "kitchen"))
    there = item.count(apples, -2, item.stamped(apples, now_ms, "van"))
    both = item.merged(here, there)
    item.write(both)["quantity"]  # 11, and so it is the other way round.
"""

from __future__ import annotations

from settee_inventory.model.changes import Change as Change
from settee_inventory.model.changes import Conflict as Conflict
from settee_inventory.model.item import Item as Item
from settee_inventory.model.item import Picture as Picture
from settee_inventory.model.item import State as State
from settee_inventory.model.stamp import Stamp as Stamp

__all__ = ["Change", "Conflict", "Item", "Picture", "Stamp", "State"]
