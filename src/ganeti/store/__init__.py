"""Floor 3: engines of the store port (`contract.store`), and the archive of ended jobs beside it.

`sqlite` keeps the cluster in one file and is the default. `memory` behaves the same on virtual time, with faults
on demand. `archive` holds jobs nobody works on any more, so that the store stays small. Both SQLite files are
opened by `database`, which has the rules of durability; `transaction` and `feed` are what all engines share.
"""
