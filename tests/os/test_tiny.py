"""What an instance gets from the OS `tiny`: scripts by the OS interface, and a guest that really runs."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.os.conftest import OS_PATH, TINY, Guest, Tiny

Boot = Callable[..., Guest]

NIC = {
    "NIC_COUNT": "1",
    "NIC_0_MAC": "52:54:00:12:34:56",
    "NIC_0_IP": "10.0.2.15",
    "NIC_0_NETWORK_SUBNET": "10.0.2.0/24",
    "NIC_0_NETWORK_GATEWAY": "10.0.2.2",
}


def instance(disk: Path | None, **more: str) -> dict[str, str]:
    env = {"OS_API_VERSION": "20", "OS_NAME": "tiny", "INSTANCE_NAME": "one.example.com", **NIC}
    if disk is None:
        env |= {"DISK_COUNT": "0"}
    else:
        env |= {"DISK_COUNT": "1", "DISK_0_PATH": str(disk), "DISK_0_ACCESS": "w"}
    return env | more


def file_in(disk: Path, path: str, offset_b: int = 0) -> str:
    command = ["debugfs", "-R", f"cat {path}", f"{disk}?offset={offset_b}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def lines_of(line: socket.socket, count: int) -> list[str]:
    line.settimeout(120)
    with line.makefile("r") as stream:
        return [stream.readline().strip() for _ in range(count)]


def fsck_rc(disk: Path) -> int:
    return subprocess.run(["e2fsck", "-f", "-n", str(disk)], capture_output=True).returncode


# The definition itself


def test_every_script_can_be_run_and_every_list_is_there() -> None:
    for name in ("create", "import", "export", "rename", "verify", "prepare"):
        assert os.access(TINY / name, os.X_OK), name
    assert (TINY / "ganeti_api_version").read_text().split() == ["20", "15", "10"]
    assert (TINY / "variants.list").read_text().split() == ["default", "disk"]
    described = [line.split(maxsplit=1) for line in (TINY / "parameters.list").read_text().splitlines()]
    assert [each[0] for each in described] == ["heartbeat_s", "port", "greeting", "token"]
    assert all(len(each) == 2 for each in described)


@pytest.mark.parametrize(
    "wrong",
    [
        {"OSP_PORT": "0"},
        {"OSP_PORT": "65536"},
        {"OSP_PORT": "http"},
        {"OSP_HEARTBEAT_S": ""},
        {"OSP_HEARTBEAT_S": "-1"},
        {"OSP_GREETING": "two\nlines"},
    ],
)
def test_verify_refuses_a_wrong_parameter(tiny: Tiny, wrong: dict[str, str]) -> None:
    (name,) = wrong
    assert name.removeprefix("OSP_").lower() in tiny.refused("verify", wrong)


def test_verify_accepts_good_parameters_and_none(tiny: Tiny) -> None:
    tiny.ok("verify", {})
    good = {"OSP_PORT": "65535", "OSP_HEARTBEAT_S": "1", "OSP_GREETING": "it's $HOME", "OSP_TOKEN": "x"}
    tiny.ok("verify", good)


# create


def test_create_writes_name_addresses_and_parameters(tiny: Tiny, disk: Path) -> None:
    tiny.ok("create", instance(disk, OSP_PORT="77", OSP_HEARTBEAT_S="3", OSP_GREETING='it\'s "$HOME" = ok'))
    config = file_in(disk, "/etc/tiny/config").splitlines()
    assert config[:2] == ["NAME=one.example.com", "NIC=0 52:54:00:12:34:56 10.0.2.15/24 10.0.2.2"]
    assert config[2:5] == ["PORT=77", "HEARTBEAT_S=3", 'GREETING=it\'s "$HOME" = ok']
    assert fsck_rc(disk) == 0
    assert disk.stat().st_size == 16 << 20


def test_a_secret_parameter_is_on_the_disk_and_nowhere_else(tiny: Tiny, disk: Path) -> None:
    done = tiny.run("create", instance(disk, OSP_TOKEN="open-sesame"))
    assert done.returncode == 0
    assert b"open-sesame" not in done.stdout + done.stderr
    assert file_in(disk, "/etc/tiny/token") == "open-sesame\n"
    stat = ["debugfs", "-R", "stat /etc/tiny/token", str(disk)]
    assert "Mode:  0600" in subprocess.run(stat, capture_output=True, text=True, check=True).stdout


def test_reinstall_makes_the_guest_anew_and_says_so(tiny: Tiny, disk: Path) -> None:
    tiny.ok("create", instance(disk))
    assert "INSTALLED=install " in file_in(disk, "/etc/tiny/config")
    tiny.ok("create", instance(disk, INSTANCE_REINSTALL="1"))
    assert "INSTALLED=reinstall " in file_in(disk, "/etc/tiny/config")


def test_create_fits_disks_of_every_size(tiny: Tiny, tmp_path: Path) -> None:
    for mib in (8, 32, 4096):
        disk = tmp_path / f"{mib}.img"
        with disk.open("wb") as image:
            image.truncate(mib << 20)
        tiny.ok("create", instance(disk))
        assert fsck_rc(disk) == 0


def test_create_leaves_nothing_in_the_temporary_folder(tiny: Tiny, disk: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    tiny.ok("create", instance(disk, TMPDIR=str(scratch)))
    tiny.ok("rename", instance(disk, TMPDIR=str(scratch), INSTANCE_NAME="two.example.com"))
    tiny.refused("create", instance(disk, TMPDIR=str(scratch), OS_VARIANT="none"))
    assert list(scratch.iterdir()) == []


def test_create_refuses_what_cannot_work(tiny: Tiny, disk: Path, tmp_path: Path) -> None:
    assert "does not exist" in tiny.refused("create", instance(tmp_path / "absent"))
    assert "unknown variant 'moon'" in tiny.refused("create", instance(disk, OS_VARIANT="moon"))
    assert "read-only" in tiny.refused("create", instance(disk, DISK_0_ACCESS="r"))
    assert "neither" in tiny.refused("create", instance(tmp_path))
    assert "no path" in tiny.refused("create", instance(disk, DISK_0_PATH=""))
    assert "port" in tiny.refused("create", instance(disk, OSP_PORT="none"))
    assert "16 MiB" in tiny.refused("create", instance(disk, OS_VARIANT="disk"))
    assert "boots from its disk" in tiny.refused("create", instance(None, OS_VARIANT="disk"))
    os.truncate(disk, 4 << 20)
    assert "4 MiB" in tiny.refused("create", instance(disk))
    assert disk.read_bytes() == bytes(4 << 20)


# prepare


def test_prepare_at_the_same_time_builds_one_thing(tiny: Tiny, tmp_path: Path) -> None:
    """Four at once in an empty boot folder: each ends well and names the same build."""
    boot = str(tmp_path / "boot")
    running = [tiny.start("prepare", {"TINY_BOOT_DIR": boot}) for _ in range(4)]
    outputs = [process.communicate(timeout=900) for process in running]
    assert [process.returncode for process in running] == [0] * 4, outputs
    assert len({out for out, _ in outputs}) == 1
    assert sorted(os.listdir(boot)) == ["initrd.img", "release", "vmlinuz"]


def test_prepare_without_a_network_names_the_way_out(tiny: Tiny, tmp_path: Path) -> None:
    said = subprocess.run(
        ["unshare", "--net", TINY / "prepare"],
        env={"PATH": OS_PATH, "TINY_CACHE_DIR": str(tmp_path / "cache"), "TINY_BOOT_DIR": str(tmp_path / "boot")}
        | {"APT_CONFIG": "/dev/null", "TINY_KERNEL_PACKAGE": "linux-image-of-nobody"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert said.returncode != 0
    assert "TINY_KERNEL_DEB=" in said.stderr
    assert os.listdir(tmp_path / "cache") == ["lock"]


# rename, export, import


def test_rename_changes_the_name_and_keeps_the_rest(tiny: Tiny, disk: Path) -> None:
    tiny.ok("create", instance(disk, OSP_GREETING="hi"))
    before = file_in(disk, "/etc/tiny/config")
    tiny.ok("rename", instance(disk, INSTANCE_NAME="two.example.com", OLD_INSTANCE_NAME="one.example.com"))
    after = file_in(disk, "/etc/tiny/config")
    assert after == before.replace("one.example.com", "two.example.com")
    assert fsck_rc(disk) == 0


def test_rename_of_a_foreign_disk_is_refused(tiny: Tiny, disk: Path) -> None:
    assert "no root file system of tiny" in tiny.refused("rename", instance(disk))
    assert disk.read_bytes() == bytes(16 << 20)


@pytest.mark.parametrize("fd", [5, 23])
def test_export_then_import_gives_the_same_bytes(tiny: Tiny, disk: Path, tmp_path: Path, fd: int) -> None:
    tiny.ok("create", instance(disk))
    copy = tmp_path / "copy.img"
    copy.write_bytes(b"\xff" * (20 << 20))  # larger, and full of something else
    sizes = tmp_path / "size"
    stream = subprocess.run(
        ["bash", "-c", f'exec {fd}>"$0"; exec "$1"', sizes, TINY / "export"],
        env={"PATH": OS_PATH, "EXP_SIZE_FD": str(fd), "EXPORT_INDEX": "0", "EXPORT_DEVICE": str(disk)},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert sizes.read_text() == f"{16 << 20}\n"
    assert stream == disk.read_bytes()

    tiny.ok("import", instance(copy, IMPORT_INDEX="0", IMPORT_DEVICE=str(copy)), stdin=stream)
    assert copy.read_bytes() == stream + bytes(4 << 20)
    assert copy.stat().st_blocks * 512 < 12 << 20


def test_import_for_another_instance_gives_the_guest_its_new_name(tiny: Tiny, disk: Path, tmp_path: Path) -> None:
    tiny.ok("create", instance(disk))
    copy = tmp_path / "copy.img"
    copy.write_bytes(bytes(16 << 20))
    env = instance(copy, INSTANCE_NAME="copy.example.com", NIC_0_IP="10.0.2.16", IMPORT_DISK_PATH=str(copy))
    tiny.ok("import", env, stdin=disk.read_bytes())
    config = file_in(copy, "/etc/tiny/config")
    assert "NAME=copy.example.com\n" in config
    assert " 10.0.2.16/24 " in config


def test_import_refuses_a_stream_that_is_empty_or_too_long(tiny: Tiny, disk: Path) -> None:
    env = {"IMPORT_INDEX": "1", "IMPORT_DEVICE": str(disk)}
    assert "empty" in tiny.refused("import", env)
    assert "longer" in tiny.refused("import", env, stdin=bytes((16 << 20) + 1))
    assert disk.stat().st_size == 16 << 20
    assert "does not exist" in tiny.refused("import", {"IMPORT_DEVICE": f"{disk}.absent"}, stdin=b"x")
    assert "does not exist" in tiny.refused("export", {"EXPORT_DEVICE": f"{disk}.absent"})


# The guest


@pytest.mark.qemu
def test_a_guest_greets_beats_answers_and_goes_down_clean(tiny: Tiny, disk: Path, boot: Boot) -> None:
    tiny.ok("create", instance(disk, OSP_GREETING="good day", OSP_HEARTBEAT_S="1"))
    guest = boot(disk)
    seen = guest.wait_for("tiny: heartbeat 2 up ")
    assert "tiny: hello from one.example.com" in seen
    assert "root on /dev/vda, install " in seen
    assert "tiny: address 10.0.2.15/24 on eth0, tcp port 7" in seen
    assert "tiny: good day" in seen
    assert "does not load" not in seen

    with guest.connect() as long_lived:
        for number in range(3):  # while the first connection stays open
            with guest.connect() as line:
                line.sendall(f"ping {number}\n".encode())
                hello, echo = lines_of(line, 2)
            assert hello.startswith("tiny one.example.com up ")
            assert echo == f"ping {number}"
        long_lived.sendall(b"still here\n")
        assert lines_of(long_lived, 2)[1] == "still here"

    guest.qmp("system_powerdown")
    guest.wait_for_end()
    assert "tiny: root is clean" in guest.console()
    assert fsck_rc(disk) == 0


@pytest.mark.qemu
def test_enter_on_the_console_gives_a_shell_and_poweroff_there_ends_the_guest(
    tiny: Tiny, disk: Path, boot: Boot
) -> None:
    tiny.ok("create", instance(disk))
    tiny.ok("rename", instance(disk, INSTANCE_NAME="two.example.com"))
    guest = boot(disk, machine="q35")
    guest.wait_for("tiny: press Enter for a shell")
    guest.type("\n")
    guest.wait_for("two.example.com# ")
    guest.type("echo $((6 * 7)) from $(hostname)\n")
    guest.wait_for("42 from two.example.com")
    guest.type("echo kept >/root/mark; poweroff\n")
    guest.wait_for_end()
    assert file_in(disk, "/root/mark") == "kept\n"
    assert fsck_rc(disk) == 0


@pytest.mark.qemu
def test_whoever_is_attached_to_the_console_and_does_not_read_cannot_hold_up_the_power_button(
    tiny: Tiny, disk: Path, boot: Boot
) -> None:
    tiny.ok("create", instance(disk))
    guest = boot(disk)
    guest.wait_for("tiny: heartbeat 1 up ")
    guest.wait_for("tiny: press Enter for a shell")
    guest.type("\n")
    guest.wait_for("one.example.com# ")
    guest.type("yes\n")  # fills every buffer on the way
    guest.qmp("system_powerdown")
    guest.wait_for_end()
    assert fsck_rc(disk) == 0


@pytest.mark.qemu
def test_a_diskless_guest_runs_from_memory(tiny: Tiny, boot: Boot) -> None:
    tiny.ok("create", instance(None))
    guest = boot(None, words="tiny.name=memory.example.com tiny.ip=10.0.2.15/24,10.0.2.2")
    seen = guest.wait_for("tiny: heartbeat 1 up ")
    assert "tiny: no root file system found, running from memory" in seen
    with guest.connect() as line:
        assert lines_of(line, 1)[0].startswith("tiny memory.example.com up ")
    guest.qmp("system_powerdown")
    guest.wait_for_end()


@pytest.mark.qemu
def test_a_guest_without_an_address_asks_by_dhcp(tiny: Tiny, disk: Path, boot: Boot) -> None:
    tiny.ok("create", instance(disk, NIC_0_IP=""))
    guest = boot(disk)
    guest.wait_for("tiny: address 10.0.2.15/24 on eth0 by dhcp")


@pytest.mark.qemu
def test_the_disk_variant_boots_without_a_kernel_from_the_host(
    tiny: Tiny, tmp_path: Path, disk: Path, boot: Boot
) -> None:
    os.truncate(disk, 64 << 20)
    tiny.ok("create", instance(disk, OS_VARIANT="disk"))
    tiny.ok("rename", instance(disk, OS_VARIANT="disk", INSTANCE_NAME="two.example.com"))
    guest = boot(disk, kernel=False)
    seen = guest.wait_for("tiny: heartbeat 1 up ")
    assert "tiny: hello from two.example.com" in seen
    assert "root on /dev/vda2" in seen
    guest.qmp("system_powerdown")
    guest.wait_for_end()


def test_a_second_create_is_quick(tiny: Tiny, disk: Path) -> None:
    """0.1 s on an idle machine; the limit is ten times the wish, for a machine under load."""
    tiny.ok("create", instance(disk))
    start_s = time.monotonic()
    tiny.ok("create", instance(disk))
    assert time.monotonic() - start_s < 15
