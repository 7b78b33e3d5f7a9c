"""The deeds: what is there afterwards, and what is not when they fail."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ganeti.base.errors import Failed, Refused
from ganeti.contract.calls.disk import DiskAssemble, DiskCreate, DiskGrow, DiskRemove, DiskRename, DiskSizesGet
from ganeti.contract.calls.instance import (
    GuestStatesGet,
    InstanceBalloon,
    InstanceCheck,
    InstanceConsoleGet,
    InstanceReboot,
    InstanceStart,
    InstanceStop,
)
from ganeti.contract.calls.node import NodeFactsGet, NodeInventoryGet, StorageAt
from ganeti.contract.calls.os import OsInstall, OsListGet, OsRename, OsValidate
from ganeti.contract.guest import AttachedDisk, Guest, GuestState
from ganeti.contract.storage import Owner
from ganeti.drivers.hypervisor import fake
from ganeti.drivers.storage import file
from ganeti.model.objects import Disk
from ganeti.node.handlers import disk as disks
from ganeti.node.handlers import instance, node
from ganeti.node.handlers import os as os_handlers
from ganeti.node.host import Host

MakeDisk = Callable[[int], Disk]


class Breaking(fake.Driver):
    """A hypervisor that fails as told."""

    on_start: Exception | None = None
    on_list: Exception | None = None

    async def start(self, guest: Guest, disks: Sequence[AttachedDisk], *, paused: bool = False) -> None:
        if self.on_start is not None:
            raise self.on_start
        await super().start(guest, disks, paused=paused)

    async def list(self) -> list[GuestState]:
        if self.on_list is not None:
            raise self.on_list
        return await super().list()


class Watched(file.Driver):
    """A storage that remembers what is assembled, as one with real devices would."""

    def __init__(self, inner: Host, root: str) -> None:
        super().__init__(files=inner.files, allowed_dirs=lambda: [f"{root}/disks"])
        self.assembled: set[str] = set()

    async def assemble(self, disk: Disk, owner: Owner) -> AttachedDisk:
        attached = await super().assemble(disk, owner)
        self.assembled.add(disk.uuid)
        return attached

    async def shutdown(self, disk: Disk) -> None:
        await super().shutdown(disk)
        self.assembled.discard(disk.uuid)


@pytest.fixture
def breaking(host: Host) -> Breaking:
    return Breaking(files=host.files, clock=host.clock, paths=host.paths)


@pytest.fixture
def watched(host: Host) -> Watched:
    return Watched(host, host.paths.root)


@pytest.fixture
def host2(host: Host, breaking: Breaking, watched: Watched) -> Host:
    return replace(host, hypervisors={"fake": breaking}, storages={"file": watched})


async def create_disks(host: Host, guest: Guest) -> None:
    for index, disk in enumerate(guest.disks):
        owner = Owner(instance_name=guest.name, instance_uuid=guest.uuid, index=index)
        await disks.create(host, DiskCreate(disk=disk, owner=owner))


def links(host: Host) -> list[str]:
    return host.files.list_dir(f"{host.paths.run}/instance-disks")


async def running(host: Host) -> list[str]:
    found = await instance.states(host, GuestStatesGet(hypervisors=("fake",)))
    return [state.name for state in found.guests]


async def test_a_started_guest_runs_on_assembled_and_linked_disks(host2: Host, watched: Watched, guest: Guest):
    await create_disks(host2, guest)
    state = await instance.start(host2, InstanceStart(guest=guest))
    assert (state.name, state.status) == (guest.name, "running")
    assert watched.assembled == {disk.uuid for disk in guest.disks}
    assert links(host2) == [f"{guest.name}:0", f"{guest.name}:1"]
    target = os.readlink(f"{host2.paths.run}/instance-disks/{guest.name}:1")
    assert target == guest.disks[1].logical_id[1]


async def test_starting_a_guest_that_runs_changes_nothing(host2: Host, breaking: Breaking, guest: Guest):
    await create_disks(host2, guest)
    await instance.start(host2, InstanceStart(guest=guest, paused=True))
    breaking.on_start = Failed("must not be asked")
    assert (await instance.start(host2, InstanceStart(guest=guest))).status == "paused"


@pytest.mark.parametrize("error", [Failed("no memory"), TypeError("a bug")])
async def test_a_guest_that_does_not_start_leaves_no_disk_assembled(
    host2: Host, breaking: Breaking, watched: Watched, guest: Guest, error: Exception
):
    await create_disks(host2, guest)
    breaking.on_start = error
    with pytest.raises(type(error), match=str(error)):
        await instance.start(host2, InstanceStart(guest=guest))
    assert watched.assembled == set()
    assert links(host2) == []
    assert await running(host2) == []


async def test_a_missing_disk_stops_the_start_and_the_others_are_shut_down(host2: Host, watched: Watched, guest: Guest):
    await create_disks(host2, guest)
    await disks.remove(host2, DiskRemove(disk=guest.disks[1]))
    with pytest.raises(Failed, match=r"disk1"):
        await instance.start(host2, InstanceStart(guest=guest))
    assert watched.assembled == set()
    assert await running(host2) == []


async def test_a_stopped_guest_has_no_disk_assembled_unless_they_are_kept(host2: Host, watched: Watched, guest: Guest):
    await create_disks(host2, guest)
    await instance.start(host2, InstanceStart(guest=guest))
    await instance.stop(host2, InstanceStop(guest=guest, keep_disks=True))
    assert await running(host2) == []
    assert len(watched.assembled) == 2
    for _ in range(2):
        await instance.stop(host2, InstanceStop(guest=guest))
        assert watched.assembled == set()
        assert links(host2) == []


async def test_reboot_balloon_and_console_reach_the_hypervisor(host: Host, guest: Guest):
    await create_disks(host, guest)
    await instance.start(host, InstanceStart(guest=guest))
    await instance.reboot(host, InstanceReboot(guest=guest))
    await instance.balloon(host, InstanceBalloon(guest=guest, memory_mib=64))
    found = await instance.states(host, GuestStatesGet(hypervisors=("fake",), name=guest.name))
    assert [state.memory_mib for state in found.guests] == [64]
    assert (await instance.console(host, InstanceConsoleGet(guest=guest))).instance == guest.name


async def test_a_hypervisor_that_cannot_say_does_not_hide_the_others(host2: Host, breaking: Breaking, guest: Guest):
    await create_disks(host2, guest)
    await instance.start(host2, InstanceStart(guest=guest))
    broken = Breaking(files=host2.files, clock=host2.clock, paths=host2.paths)
    broken.on_list = Failed("the toolstack is down")
    both = replace(host2, hypervisors={"fake": breaking, "xen": broken})
    found = await instance.states(both, GuestStatesGet(hypervisors=("xen", "fake", "vax")))
    assert [state.name for state in found.guests] == [guest.name]
    assert found.problems["xen"] == "the toolstack is down"
    assert "vax" in found.problems["vax"]


async def test_a_check_names_everything_that_stands_against_a_guest(host: Host, guest: Guest):
    wrong = msgspec.structs.replace(guest, nics=tuple(msgspec.structs.replace(nic, link="br9") for nic in guest.nics))
    places = (StorageAt(template="file", location="/somewhere/else"),)
    found = await instance.check(host, InstanceCheck(guest=wrong, storages=places, disks_exist=True))
    text = "\n".join(found.sentences)
    assert "nic/0: bridge br9" in text
    assert "/somewhere/else" in text
    assert "disk/0: there is no data at " in text
    await create_disks(host, guest)
    fine = InstanceCheck(guest=guest, storages=(StorageAt(template="file", location=f"{host.paths.root}/disks"),))
    assert (await instance.check(host, fine)).sentences == ()


async def test_a_wiped_disk_is_zeros_and_really_written(host: Host, disk: MakeDisk):
    owner = Owner(instance_name="web1.example.com", instance_uuid="i")
    await disks.create(host, DiskCreate(disk=disk(0), owner=owner, wipe=True))
    path = Path(disk(0).logical_id[1])
    assert path.read_bytes() == bytes(2 * 1024 * 1024)
    assert path.stat().st_blocks * 512 >= 2 * 1024 * 1024
    path.write_bytes(b"data" + bytes(2 * 1024 * 1024 - 4))
    await disks.create(host, DiskCreate(disk=disk(0), owner=owner, wipe=True))
    assert path.read_bytes()[:4] == b"data"  # a repeat never wipes what is in use since


async def test_disks_grow_move_and_go_with_their_links(host: Host, disk: MakeDisk):
    owner = Owner(instance_name="web1.example.com", instance_uuid="i")
    await disks.create(host, DiskCreate(disk=disk(0), owner=owner))
    await disks.assemble(host, DiskAssemble(disk=disk(0), owner=owner))
    await disks.grow(host, DiskGrow(disk=disk(0), size_mib=3))
    moved = msgspec.structs.replace(disk(0), logical_id=("loop", disk(0).logical_id[1].replace("web1", "web2")))
    await disks.rename(host, DiskRename(disk=disk(0), renamed=moved))
    assert (await disks.sizes(host, DiskSizesGet(disks=(disk(0), moved)))).sizes_mib == (None, 3)
    assert links(host) == []
    await disks.assemble(host, DiskAssemble(disk=moved, owner=owner))
    assert links(host) == ["web1.example.com:0"]
    await disks.remove(host, DiskRemove(disk=moved))
    assert links(host) == []


async def test_an_unknown_driver_is_refused_with_those_there_are(host: Host, disk: MakeDisk):
    strange = msgspec.structs.replace(disk(0), dev_type="tape")
    with pytest.raises(Refused, match=r"disk template 'tape'; it has file"):
        await disks.remove(host, DiskRemove(disk=strange))


async def test_facts_come_with_what_could_not_be_told(host: Host):
    places = (StorageAt(template="file", location=f"{host.paths.root}/disks"), StorageAt(template="tape", location=""))
    facts = await node.facts(host, NodeFactsGet(hypervisors=("fake", "vax"), storages=places))
    assert facts.boot_id == "boot-1"
    assert facts.hypervisors["fake"].memory_total_mib > 0
    assert facts.storages["file"].total_mib > 0
    assert sorted(facts.problems) == ["tape", "vax"]


async def test_an_inventory_lists_guests_disks_taps_and_problems(host2: Host, breaking: Breaking, guest: Guest):
    await create_disks(host2, guest)
    await instance.start(host2, InstanceStart(guest=guest))
    await host2.taps.create("gnt-11111111-0", mac="aa:00:00:00:00:01")
    await host2.taps.create("tun7", mac="aa:00:00:00:00:02")
    call = NodeInventoryGet(
        hypervisors=("fake",),
        storages=(StorageAt(template="file", location=f"{host2.paths.root}/disks"),),
        hvparams={"fake": {}},
        links=(("bridged", "br0"), ("bridged", "br9")),
    )
    found = await node.inventory(host2, call)
    assert [state.name for state in found.guests] == [guest.name]
    assert sorted(disk.address[1] for disk in found.disks) == sorted(disk.logical_id[1] for disk in guest.disks)
    assert found.interfaces == ("gnt-11111111-0",)
    assert list(found.problems) == ["bridged:br9"]
    assert found.certificate_expires_s is None
    breaking.on_list = Failed("gone")
    assert (await node.inventory(host2, call)).problems["fake"] == "gone"


SCRIPT = """#!/bin/sh
set -e
echo "$INSTANCE_NAME ${OLD_INSTANCE_NAME:-} ${INSTANCE_REINSTALL:-0}"
test -e "$DISK_1_PATH"
printf installed > "$DISK_0_PATH"
test ! -e "%s/fail"
"""


@pytest.fixture
def definition(host: Host) -> Path:
    directory = Path(host.paths.root) / "os" / "touch"
    directory.mkdir(parents=True)
    (directory / "ganeti_api_version").write_text("20\n")
    (directory / "variants.list").write_text("default\n")
    (directory / "parameters.list").write_text("")
    for script in ("create", "import", "export", "rename", "verify"):
        path = directory / script
        path.write_text(SCRIPT % directory if script in {"create", "rename"} else "#!/bin/sh\nexit 0\n")
        path.chmod(0o755)
    return directory


@pytest.fixture
def installable(guest: Guest) -> Guest:
    return msgspec.structs.replace(guest, os="touch+default")


async def test_an_os_is_installed_on_disks_assembled_for_it(
    host2: Host, watched: Watched, installable: Guest, definition: Path
):
    found = await os_handlers.listed(host2, OsListGet())
    assert [(one.name, one.problems) for one in found.found] == [("touch", ())]
    await os_handlers.validate(host2, OsValidate(os_name="touch+default"))
    await create_disks(host2, installable)
    await os_handlers.install(host2, OsInstall(guest=installable, reinstall=True))
    assert Path(installable.disks[0].logical_id[1]).read_bytes().startswith(b"installed")
    assert watched.assembled == set()
    await os_handlers.rename(host2, OsRename(guest=installable, old_name="old.example.com"))
    logs = "".join(path.read_text() for path in Path(f"{host2.paths.log}/os").iterdir())
    assert f"{installable.name}  1" in logs
    assert f"{installable.name} old.example.com 0" in logs


async def test_a_script_that_fails_is_told_and_the_disks_are_shut_down(
    host2: Host, watched: Watched, installable: Guest, definition: Path
):
    await create_disks(host2, installable)
    (definition / "fail").touch()
    with pytest.raises(Failed, match="create script"):
        await os_handlers.install(host2, OsInstall(guest=installable))
    assert watched.assembled == set()


async def test_no_script_touches_the_disks_of_a_guest_that_runs(host: Host, installable: Guest, definition: Path):
    await create_disks(host, installable)
    await instance.start(host, InstanceStart(guest=installable))
    with pytest.raises(Refused, match="stop it first"):
        await os_handlers.install(host, OsInstall(guest=installable))
    assert Path(installable.disks[0].logical_id[1]).read_bytes() == bytes(2 * 1024 * 1024)
