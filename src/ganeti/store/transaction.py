"""What a transaction does to a store, whatever the engine: pure."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.base.errors import Bug
from ganeti.contract.store import ABSENT, Conflict, Revision, Txn

Effect = dict[str, bytes | None]
"""What changes: key to its new value, or to None when it goes."""


def check(txn: Txn) -> None:
    """Raise `Bug` for a transaction that no store can apply, before it meets the transactions of others."""
    both = sorted(txn.put.keys() & txn.delete)
    if both:
        raise Bug(f"a transaction both writes and deletes {', '.join(both)}", keys=both)
    for key in (*txn.expect, *txn.put, *txn.delete):
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise Bug(f"{key!r} cannot be a key: {error.reason}", key=ascii(key)) from error
    for key, value in txn.put.items():
        if not isinstance(value, bytes):
            raise Bug(f"the value of {key} is {type(value).__name__}, not bytes", key=key)


def effect(txn: Txn, revision_of: Callable[[str], Revision]) -> Effect:
    """What the transaction changes in a store whose keys have these revisions. Raises `Conflict`.

    Deleting what is not there changes nothing; a transaction without an effect gets no revision of its own.
    """
    for key, expected in txn.expect.items():
        found = revision_of(key)
        if found != expected:
            raise Conflict(key, expected, found)
    changes: Effect = dict(txn.put)
    changes.update((key, None) for key in sorted(txn.delete) if revision_of(key) != ABSENT)
    return changes
