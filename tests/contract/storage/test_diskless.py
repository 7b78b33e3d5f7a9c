"""What the template without disks says to those who ask it for one."""

from __future__ import annotations

import pytest

from ganeti.base.errors import Failed, Refused
from ganeti.contract.storage import DiskPlace, Storage
from ganeti.drivers.storage import diskless
from ganeti.model.objects import Disk, Uuid
from tests.contract.storage.conftest import OWNER, build_cluster

DISK = Disk(uuid=Uuid("d"), dev_type="diskless", size=1)


async def test_there_is_nothing_to_find_or_to_undo() -> None:
    driver: Storage = diskless.Driver()
    await driver.remove(DISK)
    await driver.shutdown(DISK)
    assert await driver.size_mib(DISK) is None
    assert list(await driver.list("")) == []
    assert list(await driver.check("")) == []
    assert (await driver.space("")).total_mib == 0


async def test_there_is_nothing_to_make_or_to_use() -> None:
    driver = diskless.Driver()
    for deed in (
        driver.create(DISK, OWNER),
        driver.assemble(DISK, OWNER),
        driver.grow(DISK, 2),
        driver.rename(DISK, DISK),
    ):
        with pytest.raises(Failed, match="has no data"):
            await deed


def test_a_disk_has_no_place() -> None:
    cluster = build_cluster("/srv")
    with pytest.raises(Refused, match="choose another disk template"):
        diskless.ADDRESSING.logical_id(DiskPlace(cluster=cluster, instance_name="i", disk_uuid="d", index=0))
    assert diskless.ADDRESSING.location(cluster) == ""
    assert diskless.ADDRESSING.renamed(DISK, "a", "b") is DISK
