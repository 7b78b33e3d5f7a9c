"""Disks in files of a file system that every node mounts: template `sharedfile`.

That the directory really is the same on all nodes is the operator's word; the files are those of template `file`.
"""

from __future__ import annotations

from typing import ClassVar, Final

from ganeti.drivers.storage import file
from ganeti.model.traits import StorageTraits

TRAITS: Final = StorageTraits(
    template="sharedfile", storage_type="sharedfile", mirrored="external", growable=True, file_based=True
)

ADDRESSING: Final = file.FileAddressing("sharedfile", lambda cluster: cluster.shared_file_storage_dir)


class Driver(file.Driver):
    """`contract.storage.Storage` for disks in files of a shared file system."""

    traits: ClassVar[StorageTraits] = TRAITS
