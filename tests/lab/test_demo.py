"""`make demo` ends with a guest that speaks, is harmless when repeated, and `make demo-down` leaves nothing behind.

On a machine of its own (`tests.lab.machine`): the demo changes /etc/hosts, makes a bridge and starts daemons.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.machine import Machine

CHECKOUT = Path(__file__).resolve().parents[2]
KERNEL_CACHE = "/var/cache/ganeti-os-tiny"
BOOT_FILES = "/var/cache/ganeti-os-tiny-boot-of-a-test"

LOOK = """
sha256sum /etc/hosts
ip -oneline link | sed 's/^[0-9]*: //' | cut -d: -f1 | sort
ip -oneline address | sort
ip route
ps -eo args= | grep -v -e ^ps -e ^grep -e ^sort -e ^sed -e ^cut -e '^bash -euo' | sort
sort /proc/mounts
"""

POWER_FAILURE = """
ps -eo pid=,comm=,args= | awk '/qemu-system|ganeti-/ && $2 != "bash" && $2 != "awk" { print $1 }' | xargs kill -KILL
ip link delete gnt-demo0
rm -rf /run/ganeti
"""

STAYS = (f"{str(CHECKOUT)[1:]}/", f"{KERNEL_CACHE[1:]}/")
"""Where a demo may leave something: the checkout's own caches, and the kernel that was fetched before."""

pytestmark = [
    pytest.mark.qemu,
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces and mounts; needs root"),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU (package qemu-system-x86)"),
]


@pytest.fixture(scope="session")
def kernel() -> None:
    """The guest's kernel is fetched here, once: the machine below has no network."""
    environment = {"PATH": "/sbin:/bin:/usr/sbin:/usr/bin", "TINY_CACHE_DIR": KERNEL_CACHE}
    boot = Path(BOOT_FILES)
    try:
        subprocess.run(
            [CHECKOUT / "os/tiny/prepare", "default"],
            env=environment | {"TINY_BOOT_DIR": str(boot)},
            check=True,
            capture_output=True,
            timeout=900,
        )
    finally:
        shutil.rmtree(boot, ignore_errors=True)


@pytest.fixture
def machine(kernel: None, tmp_path: Path) -> Iterator[Machine]:
    with Machine(tmp_path) as machine:
        machine.sh("mkdir -p /etc/default /var/log")
        yield machine


def demo(machine: Machine, script: str = "demo") -> str:
    done = machine.run([str(CHECKOUT / "scripts" / script)], env={"TINY_CACHE_DIR": KERNEL_CACHE})
    assert done.returncode == 0, done.stdout
    return done.stdout


def seen(machine: Machine) -> list[str]:
    """Everything a demo could leave: files, interfaces, addresses, routes, processes, mounts."""
    files = [line for line in machine.changed_files() if not line.startswith(STAYS)]
    return sorted(files) + machine.sh(LOOK).splitlines()


def gnt(machine: Machine, command: str) -> str:
    return machine.sh(f"{CHECKOUT}/.venv/bin/{command}")


def test_the_demo_shows_a_real_guest_and_leaves_nothing(machine: Machine) -> None:
    before = seen(machine)

    said = demo(machine)
    assert "tiny: hello from web1.demo.example" in said
    assert "tiny: address 198.51.100.11/24" in said
    assert "tiny: ready after" in said
    assert "$ gnt-instance add -t file -s 1G -o tiny+default" in said
    assert "make demo-down" in said
    assert "\x1b" not in said, "colours are for terminals"
    assert gnt(machine, "gnt-instance list --no-headers -o name,status").split() == ["web1.demo.example", "running"]
    assert "tiny web1.demo.example up" in machine.sh("socat -T5 - TCP:198.51.100.11:7 </dev/null")

    guest = machine.sh("pgrep -f qemu-system-x86_64").split()
    again = demo(machine)
    assert "is here already" in again
    assert "tiny: hello from web1.demo.example" in again
    assert machine.sh("pgrep -f qemu-system-x86_64").split() == guest, "the guest was left alone"

    assert "the demo is gone" in demo(machine, "demo-down")
    assert seen(machine) == before
    assert "there is no demo" in demo(machine, "demo-down")


def test_the_demo_comes_back_after_a_power_failure(machine: Machine) -> None:
    before = seen(machine)
    demo(machine)
    machine.sh(POWER_FAILURE)
    said = demo(machine)
    assert "$ gnt-instance startup web1.demo.example" in said
    assert "tiny: ready after" in said
    machine.sh(POWER_FAILURE)
    demo(machine, "demo-down")
    assert seen(machine) == before


def test_hosts_are_restored_to_the_byte(machine: Machine) -> None:
    machine.sh("printf '127.0.0.1 localhost\\n10.0.0.1 mine' >/etc/hosts")
    before = machine.sh("sha256sum /etc/hosts")
    demo(machine)
    demo(machine, "demo-down")
    assert machine.sh("sha256sum /etc/hosts") == before


def test_a_real_cluster_is_left_alone(machine: Machine) -> None:
    machine.sh('mkdir -p /var/lib/ganeti; echo \'{"cluster_name": "prod.example.com"}\' >/var/lib/ganeti/node.json')
    before = seen(machine)
    done = machine.run([str(CHECKOUT / "scripts/demo")])
    assert done.returncode == 1
    assert "this machine is in the cluster prod.example.com; the demo leaves it alone" in done.stdout
    demo(machine, "demo-down")
    assert seen(machine) == before


def test_files_of_an_old_cluster_stop_the_demo_and_stay(machine: Machine) -> None:
    machine.sh("mkdir -p /var/lib/ganeti; echo '{}' >/var/lib/ganeti/config.data")
    before = seen(machine)
    done = machine.run([str(CHECKOUT / "scripts/demo")], env={"TINY_CACHE_DIR": KERNEL_CACHE})
    assert done.returncode == 1
    assert "/var/lib/ganeti/config.data" in done.stdout
    assert "make demo-down takes away what was made so far" in done.stdout
    demo(machine, "demo-down")
    assert seen(machine) == before
