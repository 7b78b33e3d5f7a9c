"""What disks in files promise, whatever the template and whatever the file system."""

from __future__ import annotations

import errno

import msgspec
import pytest

from ganeti.base.errors import Failed, Refused
from ganeti.contract.storage import DiskPlace
from sim.files import MemoryFiles
from tests.contract.storage.conftest import DISK_UUID, OWNER, Place

MIB = 1024 * 1024


async def test_a_disk_reads_as_zeros_and_has_the_size_it_was_asked_for(place: Place) -> None:
    disk = place.disk(3)
    await place.driver.create(disk, OWNER)
    assert await place.driver.size_mib(disk) == 3
    assert place.files.read(disk.logical_id[1]) == bytes(3 * MIB)


async def test_a_disk_lies_in_a_directory_of_its_instance_which_goes_with_the_last_disk(place: Place) -> None:
    first, second = place.disk(index=0), place.disk(index=1)
    await place.driver.create(first, OWNER)
    await place.driver.create(second, OWNER)
    directory = place.base.removeprefix(place.root + "/")
    assert place.tree() == [
        directory,
        f"{directory}/web1",
        f"{directory}/web1/{DISK_UUID}.{place.template}.disk0",
        f"{directory}/web1/{DISK_UUID}.{place.template}.disk1",
    ]
    await place.driver.remove(first)
    assert len(place.tree()) == 3
    await place.driver.remove(second)
    assert place.tree() == [directory]


async def test_repeating_a_call_changes_nothing(place: Place) -> None:
    disk = place.disk()
    await place.driver.create(disk, OWNER)
    place.files.append(disk.logical_id[1], b"")
    await place.driver.create(disk, OWNER)
    assert await place.driver.assemble(disk, OWNER) == await place.driver.assemble(disk, OWNER)
    await place.driver.shutdown(disk)
    await place.driver.shutdown(disk)
    await place.driver.grow(disk, 9)
    await place.driver.grow(disk, 9)
    assert await place.driver.size_mib(disk) == 9
    await place.driver.remove(disk)
    await place.driver.remove(disk)
    assert await place.driver.size_mib(disk) is None


async def test_creating_again_keeps_the_data(place: Place) -> None:
    disk = place.disk(1)
    await place.driver.create(disk, OWNER)
    place.files.write(disk.logical_id[1], b"x" * MIB)
    await place.driver.create(disk, OWNER)
    assert place.files.read(disk.logical_id[1]) == b"x" * MIB


async def test_a_disk_of_another_size_is_somebody_elses(place: Place) -> None:
    disk = place.disk(8)
    await place.driver.create(disk, OWNER)
    with pytest.raises(Failed, match=r"there is one already, of 8 MiB instead of 9 MiB"):
        await place.driver.create(place.disk(9), OWNER)
    assert await place.driver.size_mib(disk) == 8


async def test_what_is_left_of_a_crashed_creation_is_no_disk_and_hinders_nothing(place: Place) -> None:
    disk = place.disk(4)
    path = disk.logical_id[1]
    place.files.make_dirs(path.rpartition("/")[0])
    place.files.allocate(f"{path}.unfinished", 1)
    assert await place.driver.size_mib(disk) is None
    assert await place.driver.list(place.base) == []
    await place.driver.create(disk, OWNER)
    assert await place.driver.size_mib(disk) == 4
    place.files.allocate(f"{path}.unfinished", 1)
    await place.driver.remove(disk)
    assert place.tree(place.base) == []


async def test_more_than_the_free_space_is_refused_with_both_numbers_and_leaves_nothing(place: Place) -> None:
    free_mib = (await place.driver.space(place.base)).free_mib
    with pytest.raises(Failed, match=r"it needs \d+ MiB and .* has \d+ MiB free"):
        await place.driver.create(place.disk(free_mib + 100_000), OWNER)
    assert place.tree() == []


async def test_growing_beyond_the_free_space_is_refused_and_changes_nothing(place: Place) -> None:
    disk = place.disk(4)
    await place.driver.create(disk, OWNER)
    free_mib = (await place.driver.space(place.base)).free_mib
    with pytest.raises(Failed, match="no room"):
        await place.driver.grow(disk, free_mib + 100_000)
    assert await place.driver.size_mib(disk) == 4


async def test_a_disk_never_shrinks(place: Place) -> None:
    disk = place.disk(4)
    await place.driver.create(disk, OWNER)
    await place.driver.grow(disk, 2)
    assert await place.driver.size_mib(disk) == 4


async def test_a_size_of_nothing_is_no_disk(place: Place) -> None:
    with pytest.raises(Failed, match="0 MiB"):
        await place.driver.create(place.disk(0), OWNER)
    assert place.tree() == []


async def test_what_does_not_exist_cannot_be_used(place: Place) -> None:
    disk = place.disk()
    with pytest.raises(Failed, match="does not exist"):
        await place.driver.assemble(disk, OWNER)
    with pytest.raises(Failed, match="does not exist"):
        await place.driver.grow(disk, 10)
    with pytest.raises(Failed, match="neither of them exists"):
        await place.driver.rename(disk, place.disk(instance="web2"))


async def test_an_assembled_disk_is_the_file_itself(place: Place) -> None:
    disk = place.disk()
    await place.driver.create(disk, OWNER)
    attached = await place.driver.assemble(disk, msgspec.structs.replace(OWNER, index=3))
    assert (attached.path, attached.index, attached.is_block_device, attached.uri) == (
        disk.logical_id[1],
        3,
        False,
        None,
    )


async def test_a_renamed_instance_takes_its_disk_along_and_leaves_no_directory(place: Place) -> None:
    disk = place.disk()
    await place.driver.create(disk, OWNER)
    renamed = place.addressing.renamed(disk, "web1", "shop.example")
    for _ in range(2):
        await place.driver.rename(disk, renamed)
        assert await place.driver.size_mib(renamed) == 8
        assert place.files.list_dir(place.base) == ["shop.example"]
    assert place.addressing.renamed(renamed, "web1", "other") == renamed


async def test_a_rename_overwrites_nothing(place: Place) -> None:
    mine, other = place.disk(2), place.disk(3, instance="web2")
    await place.driver.create(mine, OWNER)
    await place.driver.create(other, OWNER)
    with pytest.raises(Failed, match="there is a disk already"):
        await place.driver.rename(mine, other)
    assert (await place.driver.size_mib(mine), await place.driver.size_mib(other)) == (2, 3)


async def test_a_disk_may_live_in_a_directory_below_the_clusters(place: Place) -> None:
    disk = place.disk(directory="fast/ssd")
    assert disk.logical_id[1].startswith(f"{place.base}/fast/ssd/web1/")
    await place.driver.create(disk, OWNER)
    [found] = await place.driver.list(place.base)
    assert (found.address, found.instance_name) == (disk.logical_id, "web1")


async def test_all_disks_are_found_and_nothing_else(place: Place) -> None:
    disks = [place.disk(1, instance="a"), place.disk(2, instance="b"), place.disk(3, instance="b", index=11)]
    for disk in disks:
        await place.driver.create(disk, OWNER)
    place.files.write(f"{place.base}/a/notes.txt", b"")
    place.files.write(f"{place.base}/a/{DISK_UUID}.other.disk0", b"")
    place.files.symlink(place.base, f"{place.base}/circle")
    found = await place.driver.list(place.base + "/")
    assert [(one.address, one.size_mib, one.instance_name, one.template) for one in found] == [
        (disk.logical_id, disk.size, disk.logical_id[1].split("/")[-2], place.template) for disk in disks
    ]


async def test_no_directory_has_no_disks(place: Place) -> None:
    assert await place.driver.list(place.base) == []


async def test_what_is_not_ours_keeps_the_directory(place: Place) -> None:
    disk = place.disk()
    await place.driver.create(disk, OWNER)
    place.files.write(f"{place.base}/web1/notes.txt", b"keep me")
    await place.driver.remove(disk)
    assert place.tree(place.base) == ["web1", "web1/notes.txt"]


async def test_an_allowed_directory_is_not_removed_with_the_last_disk_in_it(place: Place) -> None:
    disk = place.disk()
    place.allowed.append(f"{place.base}/web1")
    await place.driver.create(disk, OWNER)
    await place.driver.remove(disk)
    assert place.tree(place.base) == ["web1"]


@pytest.mark.parametrize(
    "path",
    [
        "{root}/elsewhere/web1/disk0",
        "{base}-not/web1/disk0",
        "{base}/../elsewhere/disk0",
        "{base}//web1/disk0",
        "{base}/./disk0",
        "relative/disk0",
        "{base}/link/web1/disk0",
        "{base}",
        "/etc/ganeti/disk0",
        "/usr/disk0",
        "/disk0",
        "",
    ],
)
async def test_a_path_outside_the_allowed_directories_is_never_touched(place: Place, path: str) -> None:
    outside = f"{place.root}/outside"
    place.files.make_dirs(f"{outside}/web1")
    place.files.write(f"{outside}/web1/disk0", b"precious")
    place.files.make_dirs(place.base)
    place.files.symlink(outside, f"{place.base}/link")
    before = place.tree()
    disk, good = place.at(path.format(root=place.root, base=place.base)), place.disk()
    for deed in (
        place.driver.create(disk, OWNER),
        place.driver.remove(disk),
        place.driver.assemble(disk, OWNER),
        place.driver.grow(disk, 9),
        place.driver.size_mib(disk),
        place.driver.shutdown(disk),
        place.driver.rename(disk, good),
        place.driver.rename(good, disk),
    ):
        with pytest.raises(Failed):
            await deed
    assert place.tree() == before
    assert place.files.read(f"{outside}/web1/disk0") == b"precious"


async def test_a_link_in_place_of_a_disk_is_refused(place: Place) -> None:
    disk = place.disk()
    place.files.write(f"{place.root}/precious", b"precious")
    place.files.make_dirs(f"{place.base}/web1")
    place.files.symlink(f"{place.root}/precious", disk.logical_id[1])
    with pytest.raises(Failed, match="no regular file but a link"):
        await place.driver.remove(disk)
    with pytest.raises(Failed, match="no regular file but a link"):
        await place.driver.assemble(disk, OWNER)


async def test_an_allowed_directory_may_itself_be_a_link(place: Place) -> None:
    place.files.make_dirs(f"{place.root}/big")
    place.files.symlink(f"{place.root}/big", place.base)
    disk = place.disk()
    await place.driver.create(disk, OWNER)
    assert place.files.list_dir(f"{place.root}/big") == ["web1"]


async def test_no_word_of_the_operator_allows_a_system_directory(place: Place) -> None:
    place.files.symlink("/etc", place.base)
    with pytest.raises(Failed, match="belongs to the operating system"):
        await place.driver.create(place.disk(), OWNER)
    place.allowed[:] = ["/", "/usr", "/etc/disks", "relative"]
    for location in ("/usr/share", "/etc/disks", "/root"):
        [said] = await place.driver.check(location)
        assert "belongs to the operating system" in said
    [said] = await place.driver.check("/opt/disks")
    assert "none is allowed so far" in said


async def test_a_location_is_checked_with_a_way_out(place: Place) -> None:
    assert await place.driver.check(place.base) == []
    place.files.make_dirs(place.base)
    assert await place.driver.check(f"{place.base}/below") == []
    [said] = await place.driver.check(f"{place.root}/elsewhere")
    assert place.base in said
    assert "/etc/ganeti/file-storage-paths" in said
    [said] = await place.driver.check("not/absolute")
    assert "not an absolute path" in said
    place.files.write(f"{place.base}/file", b"")
    [said] = await place.driver.check(f"{place.base}/file")
    assert "not a directory" in said


async def test_room_is_told_before_the_directory_exists(place: Place) -> None:
    space = await place.driver.space(place.base)
    assert (space.storage_type, space.name) == (place.template, place.base)
    assert 0 < space.free_mib <= space.total_mib


async def test_a_disk_that_is_no_file_is_not_ours(place: Place) -> None:
    with pytest.raises(Failed, match="has no file"):
        await place.driver.remove(msgspec.structs.replace(place.disk(), logical_id=("vg", "lv", 3)))


@pytest.mark.parametrize("method", ["make_dirs", "allocate", "rename"])
async def test_a_disk_that_fills_up_on_the_way_leaves_nothing(small: Place, method: str) -> None:
    assert isinstance(small.files, MemoryFiles)
    small.files.fail_next(errno.ENOSPC, method=method, path=small.base)
    with pytest.raises(Failed, match="No space left on device"):
        await small.driver.create(small.disk(), OWNER)
    assert [name for name in small.tree(small.root) if "web1" in name] == []
    await small.driver.create(small.disk(), OWNER)
    assert await small.driver.size_mib(small.disk()) == 8


async def test_a_full_host_takes_no_further_disk_until_there_is_room(small: Place) -> None:
    first, second = small.disk(12), small.disk(12, index=1)
    await small.driver.create(first, OWNER)
    with pytest.raises(Failed, match=r"it needs 12 MiB and .* has 8 MiB free"):
        await small.driver.create(second, OWNER)
    await small.driver.remove(first)
    await small.driver.create(second, OWNER)


async def test_a_move_that_fails_leaves_the_disk_where_it_was(small: Place) -> None:
    assert isinstance(small.files, MemoryFiles)
    disk, renamed = small.disk(), small.disk(instance="web2")
    await small.driver.create(disk, OWNER)
    small.files.fail_next(errno.EXDEV, method="rename")
    with pytest.raises(Failed, match="Invalid cross-device link"):
        await small.driver.rename(disk, renamed)
    assert small.files.list_dir(small.base) == ["web1"]
    assert await small.driver.size_mib(disk) == 8


async def test_a_disk_survives_a_power_failure_as_a_whole(small: Place) -> None:
    assert isinstance(small.files, MemoryFiles)
    await small.driver.create(small.disk(), OWNER)
    small.files.lose_power()
    assert await small.driver.size_mib(small.disk()) == 8


@pytest.mark.parametrize("custom", ["/absolute", "../up", "a/../../b", "", "a//b", "."])
def test_a_directory_that_leaves_the_clusters_is_refused(place: Place, custom: str) -> None:
    with pytest.raises(Refused, match="relative to"):
        place.disk(directory=custom)


def test_what_cannot_be_made_is_refused_with_the_choices(place: Place) -> None:
    base = DiskPlace(cluster=place.cluster, instance_name="web1", disk_uuid=DISK_UUID, index=0)
    with pytest.raises(Refused, match="there is loop, blktap"):
        place.addressing.logical_id(msgspec.structs.replace(base, file_driver="nbd"))
    with pytest.raises(Refused, match="cannot adopt"):
        place.addressing.logical_id(msgspec.structs.replace(base, adopt="old"))
    with pytest.raises(Refused, match="cannot be the file of a disk"):
        place.addressing.logical_id(msgspec.structs.replace(base, instance_name=".."))
