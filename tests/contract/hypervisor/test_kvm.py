"""What KVM does beyond the suite: real QEMU processes, their devices, and everything that goes wrong with them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ganeti.base.errors import Failed, Refused
from ganeti.contract.guest import AttachedDisk, Guest, GuestNic
from ganeti.drivers.hypervisor.kvm.runtime import Runtime
from ganeti.model.objects import Disk, Uuid
from tests.contract.hypervisor.worlds import KvmWorld, until

pytestmark = pytest.mark.qemu


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not ours."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


async def started(world: KvmWorld, **changes: Any) -> Guest:
    guest = world.guest("web1.example.com", **changes)
    await world.driver().start(guest, world.disks(guest))
    return guest


async def test_a_guest_that_qemu_refuses_is_told_in_its_words_and_leaves_nothing(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest("web1.example.com", hvparams={"machine_version": "pc-i440fx-0.0"})

    with pytest.raises(Failed, match="unsupported machine type") as error:
        await kvm_world.driver().start(guest, kvm_world.disks(guest))

    assert error.value.facts["status"] == 1
    assert kvm_world.leftovers(guest) == []
    assert await kvm_world.driver().list() == []


async def test_a_disk_that_is_not_there_is_told_in_qemus_words_and_leaves_nothing(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest("web1.example.com")
    disk = msgspec.structs.replace(kvm_world.disks(guest)[0], path="/nowhere/disk")

    with pytest.raises(Failed, match=r"/nowhere/disk.*No such file"):
        await kvm_world.driver().start(guest, [disk])

    assert kvm_world.leftovers(guest) == []


async def test_a_missing_bridge_is_told_with_the_way_out_and_leaves_no_tap(kvm_world: KvmWorld) -> None:
    nics = tuple(
        GuestNic(index=index, uuid=str(uuid.uuid4()), mac=f"aa:00:00:00:00:0{index}", mode="bridged", link=link)
        for index, link in enumerate((kvm_world.bridge, "gtnowhere"))
    )
    guest = kvm_world.guest("web1.example.com", nics=nics)

    with pytest.raises(Failed, match="ip link add name gtnowhere type bridge"):
        await kvm_world.driver().start(guest, kvm_world.disks(guest))

    assert kvm_world.leftovers(guest) == []


async def test_a_nic_mode_without_a_driver_is_refused_before_anything_is_made(kvm_world: KvmWorld) -> None:
    nic = GuestNic(index=0, uuid=str(uuid.uuid4()), mac="aa:00:00:00:00:01", mode="routed", link="")
    guest = kvm_world.guest("web1.example.com", nics=(nic,))

    with pytest.raises(Refused, match="no driver for NIC mode 'routed'; there is bridged"):
        await kvm_world.driver().start(guest, kvm_world.disks(guest))

    assert kvm_world.leftovers(guest) == []


async def test_a_start_that_is_cancelled_leaves_nothing(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest("web1.example.com")
    driver = kvm_world.driver()
    starting = asyncio.ensure_future(driver.start(guest, kvm_world.disks(guest)))
    await until(lambda: kvm_world.taps(guest), what="tap")

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert kvm_world.leftovers(guest) == []


async def test_a_guest_on_its_tap_is_up_on_the_bridge(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world)

    (tap,) = kvm_world.taps(guest)

    device = Path(f"/sys/class/net/{tap}")
    assert os.path.basename(os.readlink(device / "master")) == kvm_world.bridge
    assert (device / "address").read_text().strip() == "fe" + guest.nics[0].mac[2:]
    assert int((device / "flags").read_text(), 16) & 1
    written = Path(kvm_world.places.nic_dir(guest.name)) / "0"
    assert written.read_text() == tap


async def test_a_qemu_whose_files_are_gone_is_still_listed_and_can_be_stopped(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world)
    os.unlink(kvm_world.places.runtime(guest.name))
    os.unlink(kvm_world.places.pid_file(guest.name))
    driver = kvm_world.driver()

    (state,) = await driver.list()
    assert (state.name, state.uuid, state.status) == (guest.name, guest.uuid, "running")
    await driver.stop(guest, force=True, timeout_s=0)

    assert kvm_world.leftovers(guest) == []


async def test_a_pid_that_belongs_to_somebody_else_now_is_left_alone(
    kvm_world: KvmWorld, bystander: subprocess.Popen[bytes]
) -> None:
    guest = await started(kvm_world)
    (pid,) = kvm_world.qemus(guest)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not kvm_world.qemus(guest), what="end of QEMU")
    Path(kvm_world.places.pid_file(guest.name)).write_text(f"{bystander.pid}\n")
    driver = kvm_world.driver()

    assert [state.status for state in await driver.list()] == ["stopped"]
    await driver.stop(guest, force=True, timeout_s=0)

    assert bystander.poll() is None
    assert kvm_world.leftovers(guest) == []


async def test_a_guest_whose_qemu_was_killed_can_be_started_again(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world)
    (pid,) = kvm_world.qemus(guest)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not kvm_world.qemus(guest), what="end of QEMU")
    driver = kvm_world.driver()

    await driver.start(guest, kvm_world.disks(guest))

    assert [state.status for state in await driver.list()] == ["running"]
    await kvm_world.until_ready(guest)


async def test_a_start_that_the_daemon_did_not_survive_is_begun_anew(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest("web1.example.com")
    driver = kvm_world.driver()
    await driver.start(guest, kvm_world.disks(guest), paused=True)
    path = Path(kvm_world.places.runtime(guest.name))
    runtime = msgspec.json.decode(path.read_bytes(), type=Runtime)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(runtime, phase="starting")))
    (first,) = kvm_world.qemus(guest)
    driver = kvm_world.driver()

    assert [state.status for state in await driver.list()] == ["stopped"]
    await driver.start(guest, kvm_world.disks(guest))

    assert [state.status for state in await driver.list()] == ["running"]
    assert kvm_world.qemus(guest) != [first]


async def test_a_guest_deaf_to_its_power_button_is_ended_when_the_time_is_over(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest("web1.example.com")
    driver = kvm_world.driver()
    await driver.start(guest, [])  # without a disk the firmware looks for one for ever

    async with asyncio.timeout(60):
        await driver.stop(guest, force=False, timeout_s=1)

    assert kvm_world.leftovers(guest) == []


async def test_a_forced_stop_does_not_wait_for_one_that_is_patient(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest("web1.example.com")
    driver = kvm_world.driver()
    await driver.start(guest, [])
    patient = asyncio.ensure_future(driver.stop(guest, force=False, timeout_s=3600))

    async with asyncio.timeout(60):
        await driver.stop(guest, force=True, timeout_s=0)
        await patient

    assert kvm_world.leftovers(guest) == []


async def test_a_qemu_that_hangs_still_counts_as_running_and_can_be_ended(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world)
    (pid,) = kvm_world.qemus(guest)
    os.kill(pid, signal.SIGSTOP)
    driver = kvm_world.driver()

    assert [state.status for state in await driver.list()] == ["running"]
    with pytest.raises(Failed, match=r"cannot pause web1.example.com: the monitor .* did not greet"):
        await driver.pause(guest)
    await driver.stop(guest, force=True, timeout_s=0)

    assert kvm_world.leftovers(guest) == []


async def test_the_machine_type_is_written_down_in_full(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world, hvparams={"machine_version": "q35"})

    runtime = msgspec.json.decode(Path(kvm_world.places.runtime(guest.name)).read_bytes(), type=Runtime)

    assert runtime.machine.startswith("pc-q35-")
    assert runtime.phase == "started"
    assert [runtime.pid] == kvm_world.qemus(guest)
    await kvm_world.until_ready(guest)


@pytest.mark.parametrize(
    "hvparams",
    [
        {"disk_type": "ide"},
        {"disk_type": "ide", "machine_version": "q35"},
        {"disk_type": "scsi-hd"},
        {"disk_type": "scsi-hd", "scsi_controller_type": "virtio-scsi-pci"},
        {"disk_type": "scsi", "scsi_controller_type": "megasas"},
        {"disk_cache": "none", "disk_aio": "native", "disk_discard": "unmap"},
        {"disk_cache": "writethrough", "disk_aio": "io_uring"},
        {"disk_cache": "writeback", "kvm_pci_reservations": 0},
    ],
)
async def test_a_guest_boots_from_every_bus_and_cache(kvm_world: KvmWorld, hvparams: dict[str, Any]) -> None:
    guest = await started(kvm_world, hvparams=hvparams)

    await kvm_world.until_ready(guest)


@pytest.mark.parametrize(
    "order, parameter", [("cdrom", "cdrom_image_path"), ("floppy", "floppy_image_path")], ids=["cdrom", "floppy"]
)
async def test_removable_media_are_tried_before_the_disk_when_they_come_first(
    kvm_world: KvmWorld, order: str, parameter: str
) -> None:
    image = kvm_world.root / "image"
    image.write_bytes(bytes(1_474_560))
    guest = await started(kvm_world, hvparams={"boot_order": order, parameter: str(image), "vga": "none"})

    await kvm_world.until_ready(guest)  # nothing can be booted there, so the disk came second


@pytest.mark.parametrize("kind", ["e1000", "rtl8139", "pcnet", "ne2k_pci", "i82551", "ne2k_isa"])
async def test_every_model_of_nic_can_be_had(kvm_world: KvmWorld, kind: str) -> None:
    guest = await started(kvm_world, hvparams={"nic_type": kind})

    await kvm_world.until_ready(guest)


async def test_a_nic_can_have_several_queues(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world, hvparams={"virtio_net_queues": 4}, vcpus=2)

    (pid,) = kvm_world.qemus(guest)
    opened = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]

    assert opened.count("/dev/net/tun") == 4
    await kvm_world.until_ready(guest)


async def test_all_kinds_of_further_devices_go_together(kvm_world: KvmWorld) -> None:
    hvparams = {
        "acpi": False,
        "cpu_cores": 2,
        "cpu_type": "qemu64",
        "keymap": "de",
        "kvm_extra": "-device virtio-rng-pci -fw_cfg 'name=opt/org.test,string=two words'",
        "soundhw": "hda",
        "usb_devices": "keyboard",
        "use_chroot": True,
        "use_guest_agent": True,
        "use_localtime": True,
        "vga": "cirrus",
        "vnc_bind_address": str(kvm_world.root),
    }
    guest = await started(kvm_world, hvparams=hvparams, vcpus=2)
    await kvm_world.until_ready(guest)

    agent = kvm_world.places.socket(guest.name, "qga")
    (pid,) = kvm_world.qemus(guest)
    assert os.path.exists(agent)
    assert os.readlink(f"/proc/{pid}/root") == kvm_world.places.chroot(guest.name)
    (kvm_world.root / "run/ganeti/kvm-hypervisor/chroot" / guest.name / "core").write_text("kept")
    await kvm_world.driver().stop(guest, force=True, timeout_s=0)

    assert [path.read_text() for path in Path(kvm_world.places.quarantine).glob("*/core")] == ["kept"]
    assert not Path(kvm_world.root / f"{guest.name}.vnc").exists()
    assert [path for path in kvm_world.leftovers(guest) if "quarantine" not in path] == []


async def test_qemu_runs_as_the_user_that_is_asked_for(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world, hvparams={"security_model": "user", "security_domain": "nobody"})

    (pid,) = kvm_world.qemus(guest)

    assert os.stat(f"/proc/{pid}").st_uid == 65534
    await kvm_world.until_ready(guest)
    await kvm_world.driver().stop(guest, force=False, timeout_s=60)
    assert kvm_world.leftovers(guest) == []


async def test_the_password_of_the_screen_is_asked_for(kvm_world: KvmWorld) -> None:
    secret = kvm_world.root / "password"
    secret.write_text("s3cret\nnot this\n")
    hvparams = {"vnc_bind_address": str(kvm_world.root), "vnc_password_file": str(secret)}
    guest = await started(kvm_world, hvparams=hvparams)

    reader, writer = await asyncio.open_unix_connection(kvm_world.root / f"{guest.name}.vnc")
    async with asyncio.timeout(60):
        writer.write(await reader.readexactly(12))  # the version of the protocol, said back
        kinds = await reader.readexactly((await reader.readexactly(1))[0])
    writer.close()
    await writer.wait_closed()

    assert kinds == b"\x02"  # authentication by password, and nothing else
    line = Path(f"/proc/{kvm_world.qemus(guest)[0]}/cmdline").read_text()
    assert "s3cret" not in line + Path(kvm_world.places.runtime(guest.name)).read_text()


async def test_a_screen_whose_password_is_missing_is_not_opened(kvm_world: KvmWorld) -> None:
    hvparams = {"vnc_bind_address": str(kvm_world.root), "vnc_password_file": "/nowhere/password"}
    guest = kvm_world.guest("web1.example.com", hvparams=hvparams)

    with pytest.raises(Failed, match=r"cannot read /nowhere/password \(vnc_password_file\)"):
        await kvm_world.driver().start(guest, kvm_world.disks(guest))

    assert kvm_world.leftovers(guest) == []


async def test_a_guest_whose_own_reboot_ends_it_can_be_rebooted_by_its_operator(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world, hvparams={"reboot_behavior": "exit"})
    await kvm_world.until_ready(guest)

    before = kvm_world.qemus(guest)

    await kvm_world.driver().reboot(guest)
    assert kvm_world.qemus(guest) != before
    assert kvm_world.taps(guest)
    await kvm_world.until_ready(guest)
    await kvm_world.type(guest, "r")

    await until(lambda: not kvm_world.qemus(guest), what="end after the guest's own reboot")
    assert [state.status for state in await kvm_world.driver().list()] == ["stopped"]


async def test_a_guest_that_reboots_itself_goes_on(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world)
    await kvm_world.until_ready(guest)

    await kvm_world.type(guest, "r")

    await kvm_world.until_ready(guest, boots=2)


async def test_limits_of_the_control_group_follow_the_size_of_the_guest(kvm_world: KvmWorld) -> None:
    guest = await started(kvm_world, vcpus=2)
    groups = {path.split("/")[4]: Path(path) for path in kvm_world.groups(guest)}
    if "cpu" not in groups or "memory" not in groups:
        pytest.skip("this machine has no older control groups for cpu and memory")

    (pid,) = kvm_world.qemus(guest)

    assert (groups["cpu"] / "cgroup.procs").read_text().split() == [str(pid)]
    assert (groups["cpu"] / "cpu.cfs_quota_us").read_text().strip() == "300000"
    assert (groups["cpu"] / "cpu.shares").read_text().strip() == "2048"
    assert int((groups["memory"] / "memory.limit_in_bytes").read_text()) == (64 + 768) * 2**20


async def test_virtual_cpus_stay_on_the_cpus_of_their_mask(kvm_world: KvmWorld) -> None:
    last = max(os.sched_getaffinity(0))
    guest = await started(kvm_world, vcpus=2, hvparams={"cpu_mask": f"{last}:all"})

    (pid,) = kvm_world.qemus(guest)
    threads = {
        Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip(): os.sched_getaffinity(int(thread))
        for thread in os.listdir(f"/proc/{pid}/task")
    }

    (first,) = [mask for name, mask in threads.items() if name.startswith("CPU 0")]
    assert first == {last}


async def test_a_mask_of_cpus_the_node_does_not_have_is_told(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest("web1.example.com", hvparams={"cpu_mask": "4000"})

    (sentence,) = await kvm_world.driver().check(guest.hvparams)
    with pytest.raises(Failed, match=r"no CPUs \[4000\]"):
        await kvm_world.driver().start(guest, kvm_world.disks(guest))

    assert sentence == "cpu_mask 4000 names CPUs this node does not have: 4000"
    assert kvm_world.leftovers(guest) == []


async def test_what_is_missing_on_the_node_is_told_before_a_guest_starts(kvm_world: KvmWorld) -> None:
    missing = {
        "kernel_path": "/nowhere/vmlinuz",
        "initrd_path": "/nowhere/initrd",
        "cdrom2_image_path": "http://images.example.com/cd.iso",
        "vnc_password_file": "/nowhere/password",
        "mem_path": "/nowhere/huge",
        "kvm_path": "/nowhere/qemu",
        "security_model": "user",
        "security_domain": "nobody-of-that-name",
    }

    sentences = list(await kvm_world.driver().check(kvm_world.hvparams(**missing)))

    assert len(sentences) == 6
    for name in ("kernel_path", "initrd_path", "vnc_password_file", "mem_path", "kvm_path", "security_domain"):
        assert [sentence for sentence in sentences if name in sentence], name


async def test_a_name_too_long_for_a_socket_is_no_hindrance(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest(f"{'a' * 60}.{'b' * 60}.example.com")
    driver = kvm_world.driver()

    await driver.start(guest, kvm_world.disks(guest))
    console = await driver.console(guest, host="node1")

    assert [state.status for state in await driver.list()] == ["running"]
    assert console.command is not None
    assert os.path.exists(console.command[-1].removeprefix("UNIX-CONNECT:"))
    await driver.stop(guest, force=True, timeout_s=0)
    assert os.listdir(f"{kvm_world.places.root}/ctrl") == []


async def test_a_disk_can_be_a_block_device(kvm_world: KvmWorld) -> None:
    guest = kvm_world.guest("web1.example.com")
    (disk,) = kvm_world.disks(guest)
    losetup = subprocess.run(["losetup", "--find", "--show", disk.path], capture_output=True, text=True, check=False)
    if losetup.returncode != 0:
        pytest.skip(f"no loop device on this machine: {losetup.stderr.strip()}")
    device = losetup.stdout.strip()
    try:
        block = AttachedDisk(
            disk=Disk(uuid=Uuid(str(uuid.uuid4())), dev_type="plain", size=1),
            index=0,
            path=device,
            is_block_device=True,
        )
        driver = kvm_world.driver()
        await driver.start(guest, [block])
        await kvm_world.until_ready(guest)
        await driver.stop(guest, force=True, timeout_s=0)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


async def test_a_real_kernel_boots_and_heeds_its_power_button(kvm_world: KvmWorld) -> None:
    tiny = Path(__file__).resolve().parents[3] / "os" / "tiny"
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TINY_BOOT_DIR": str(kvm_world.root / "boot")}
    # Settings of this machine may win over ours, so the OS itself says where it put the kernel.
    script = f'{tiny}/prepare >&2 && . {tiny}/defaults && printf %s "$TINY_BOOT_DIR"'
    prepared = subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=900, check=False)
    assert prepared.returncode == 0, prepared.stderr
    boot = prepared.stdout
    hvparams = {
        "kernel_path": f"{boot}/vmlinuz",
        "initrd_path": f"{boot}/initrd.img",
        "kernel_args": "ro quiet tsc=reliable mitigations=off panic=-1",
    }
    guest = await started(kvm_world, maxmem_mib=128, hvparams=hvparams)

    await until(lambda: "heartbeat" in kvm_world.console(guest), what="heartbeat on the console", limit_s=300)
    (argv,) = [Path(f"/proc/{pid}/cmdline").read_text() for pid in kvm_world.qemus(guest)]
    assert "root=/dev/vda1 ro quiet tsc=reliable mitigations=off panic=-1 console=ttyS0,38400" in argv
    await kvm_world.driver().stop(guest, force=False, timeout_s=300)

    assert kvm_world.leftovers(guest) == []
