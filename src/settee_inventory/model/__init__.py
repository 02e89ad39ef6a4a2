"""The inventory as data: items that merge whatever the order in which edits arrive.

Pure functions over documents as dicts of JSON values, blobs in the form that names them
(``{"@type": "blob", …}``). They read no clock and make no names: the time (milliseconds since
1970), and the device that edits, are given. docs/data-model.md describes the documents.
"""
