"""The embedded database's face. Python objects and datetimes end here; below are bytes and tuples.

`database` opens and closes and owns what runs; `collection` reads and writes documents through
`saving` (writes as steps that both skins run, `steps`) and `values` (Python to JSON and back);
`observer` and `changes` tell of commits; `blob` streams content in and out; `location` knows where
databases lie.
"""
