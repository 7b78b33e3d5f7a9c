"""The life of instances with real guests: made, listed, started, stopped, changed, renamed, reached, removed.

The tests share two guests, and each brings those it needs to the state it begins with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.lab.cluster import (
    INITRD,
    KERNEL,
    KERNEL_ARGS,
    NET,
    NODE,
    STORAGE,
    Cluster,
    fetch_kernel,
    needs_qemu,
    needs_root,
    until,
)
from tests.lab.machine import CONTROLLERS, Machine, can_have_cgroups
from tests.lab.terminal import GuestShell, Terminal

pytestmark = [pytest.mark.qemu, pytest.mark.lab, needs_root, needs_qemu]

WEB, WEB_IP = "web1.lab.example", f"{NET}.11"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Made with the least arguments; its guests boot the tiny OS."""
    fetch_kernel()
    with Machine(tmp_path_factory.mktemp("life"), cgroups=can_have_cgroups()) as machine:
        made = Cluster.make(machine, tiny=True)
        made.gnt(
            *["gnt-cluster", "modify", "-H"],
            f"kvm:kernel_path={KERNEL},initrd_path={INITRD},kernel_args={KERNEL_ARGS}",
        )
        yield made


@pytest.fixture
def web(cluster: Cluster) -> str:
    """An instance with a disk, that is up and answers."""
    if WEB not in cluster.names():
        cluster.gnt(
            *["gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "tiny", "--net", f"0:ip={WEB_IP}"],
            *["-H", "kvm:vnc_bind_address=127.0.0.1", WEB],
        )
    if cluster.field(WEB, "status") != "running":
        cluster.gnt("gnt-instance", "startup", WEB)
        cluster.booted(WEB)
    until(lambda: greeting(cluster, WEB_IP) != "", "the guest answers")
    return WEB


@pytest.fixture
def stopped(cluster: Cluster, web: str) -> str:
    """The same, down."""
    cluster.gnt("gnt-instance", "shutdown", "--timeout=0", web)
    return web


def greeting(cluster: Cluster, address: str) -> str:
    """The line a guest greets with on its TCP port, empty while it does not answer."""
    done = cluster.machine.run(["socat", "-T5", "-", f"TCP:{address}:7,connect-timeout=2"])
    return done.stdout.partition("\n")[0] if done.returncode == 0 else ""


def test_the_cluster_says_what_it_found_out(cluster: Cluster) -> None:
    info = cluster.json("gnt-cluster", "info")
    assert "kvm" in json.dumps(info)
    assert cluster.gnt("gnt-node", "list", "--no-headers", "-o", "name,pinst_cnt").split()[0] == NODE
    assert cluster.gnt("gnt-cluster", "getmaster").strip() == NODE
    assert cluster.run("gnt-cluster", "verify")[0] == 0


def test_the_guest_is_reached_over_the_bridge(cluster: Cluster, web: str) -> None:
    assert f"tiny: hello from {web}" in cluster.serial(web)
    assert f"tiny: address {WEB_IP}/24 on eth0, tcp port 7" in cluster.serial(web)
    assert greeting(cluster, WEB_IP).startswith(f"tiny {web} up ")
    tap = cluster.sh("bridge link show | sed -n 's/.*: \\([^ @:]*\\).* master xen-br0 .*/\\1/p'").split()
    assert len(tap) == 1


def test_the_console_gives_a_shell(cluster: Cluster, web: str) -> None:
    with GuestShell(cluster, web) as shell:
        assert shell.ask("hostname") == web
        assert shell.ask("cat /sys/class/net/eth0/address") == cluster.field(web, "nic.macs")
        assert shell.ask("ls /dev/vd*") == "/dev/vda"
        assert shell.leave() == 0


def test_the_display_is_where_it_is_bound(cluster: Cluster, web: str) -> None:
    port = cluster.field(web, "network_port")
    assert cluster.machine.run(["socat", "-T3", "-", f"TCP:127.0.0.1:{port}"]).stdout.startswith("RFB 003.")


@pytest.mark.skipif(not can_have_cgroups(), reason="no hierarchies of control groups of version 1 to write to")
def test_a_guest_runs_in_groups_with_limits(cluster: Cluster, web: str) -> None:
    pid = str(cluster.qemu_pids()[0])
    groups = {each: next(cluster.path(f"/sys/fs/cgroup/{each}/ganeti").glob(f"*-{web}")) for each in CONTROLLERS}
    for group in groups.values():
        assert pid in cluster.sh(f"cat '/{group.relative_to(cluster.path('/'))}/cgroup.procs'").split()
    assert int((groups["memory"] / "memory.limit_in_bytes").read_text()) == (128 + 768) * 2**20
    assert int((groups["cpu"] / "cpu.cfs_quota_us").read_text()) == 2 * int(
        (groups["cpu"] / "cpu.cfs_period_us").read_text()
    )


def test_listing_in_every_form(cluster: Cluster, web: str) -> None:
    cluster.gnt(
        "gnt-instance",
        "add",
        "-t",
        "diskless",
        "-o",
        "tiny",
        "--no-nics",
        "--ignore-ipolicy",
        "--no-start",
        "none.lab.example",
    )
    try:
        lines = cluster.gnt("gnt-instance", "list").splitlines()
        assert lines[0].split() == ["Instance", "Hypervisor", "OS", "Primary_node", "Status", "Memory"]
        assert [line.split() for line in lines[1:]] == [
            ["none.lab.example", "kvm", "tiny", NODE, "ADMIN_down", "-"],
            [web, "kvm", "tiny", NODE, "running", "128M"],
        ]
        fields = "name,disk_template,disk.count,disk.size/0,nic.ip/0,oper_ram,be/vcpus"
        said = cluster.gnt("gnt-instance", "list", "--no-headers", "--separator=|", "--units=m", "-o", fields, web)
        assert said == f"{web}|file|1|1024|{WEB_IP}|128|1\n"
        said = cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "+tags", web)
        assert said.split() == [web, "kvm", "tiny", NODE, "running", "128M"]
        assert (
            cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "name", "-F", 'status == "running"') == f"{web}\n"
        )
        assert cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "name", "-F", "disk.count == 0").split() == [
            "none.lab.example"
        ]
        rows = [{"name": "none.lab.example", "oper_ram": None}, {"name": web, "oper_ram": 128}]
        assert cluster.json("gnt-instance", "list", "-o", "name,oper_ram") == rows
        assert yaml.safe_load(cluster.gnt("gnt-instance", "list", "-o", "name,oper_ram", "--format=yaml")) == rows
        assert json.loads(cluster.gnt("gnt-instance", "list", "--output", "json"))[1]["status"] == "running"
        assert "oper_ram" in cluster.gnt("gnt-instance", "list-fields")
        info = cluster.json("gnt-instance", "info", web)
        assert info[0]["Instance name"] == web
        assert info[0]["State"] == "configured to be up, actual state is up"
        assert f"  - primary: {NODE}" in cluster.gnt("gnt-instance", "info", web)
    finally:
        cluster.remove("none.lab.example")


def test_tags_of_cluster_node_and_instance(cluster: Cluster, web: str) -> None:
    for program, name in (("gnt-cluster", []), ("gnt-node", [NODE]), ("gnt-instance", [web])):
        cluster.gnt(program, "add-tags", *name, "prod", "site:a")
        assert cluster.gnt(program, "list-tags", *name).split() == ["prod", "site:a"]
    found = cluster.gnt("gnt-cluster", "search-tags", "^prod$")
    assert all(place in found for place in ("/cluster", f"/nodes/{NODE}", f"/instances/{web}"))
    for program, name in (("gnt-cluster", []), ("gnt-node", [NODE]), ("gnt-instance", [web])):
        cluster.gnt(program, "remove-tags", *name, "prod", "site:a")
        assert cluster.gnt(program, "list-tags", *name) == ""


def test_a_guest_outlives_the_daemons(cluster: Cluster, web: str) -> None:
    pids = cluster.qemu_pids()
    cluster.sh("ganeti-daemons stop; ganeti-daemons start")
    assert cluster.field(web, "status") == "running"
    cluster.kill("ganeti-noded")
    cluster.sh("ganeti-daemons start")
    cluster.kill("ganeti-masterd", "ganeti-noded")
    cluster.sh("ganeti-daemons start")
    assert cluster.qemu_pids() == pids
    assert cluster.field(web, "status,oper_ram").split() == ["running", "128M"]
    assert greeting(cluster, WEB_IP).startswith(f"tiny {web} up ")
    assert cluster.run("gnt-cluster", "verify")[0] == 0


def test_three_ways_to_reboot(cluster: Cluster, web: str) -> None:
    before = cluster.qemu_pids()
    boots = cluster.serial(web).count("tiny: heartbeat 1 ")
    cluster.gnt("gnt-instance", "reboot", "--type=soft", web)
    cluster.booted(web, times=boots + 1)
    assert cluster.qemu_pids() == before, "a soft reboot keeps QEMU"

    cluster.gnt("gnt-instance", "reboot", "--type=hard", web)
    assert (hard := cluster.qemu_pids()) != before
    said = cluster.booted(web)
    assert "root is clean" not in said, "this is the log of the new guest"

    cluster.gnt("gnt-instance", "reboot", "--type=full", "--shutdown-timeout=0", web)
    assert cluster.qemu_pids() != hard
    assert len(cluster.qemu_pids()) == 1
    cluster.booted(web)


def test_shutdown_is_graceful(cluster: Cluster, web: str) -> None:
    cluster.gnt("gnt-instance", "shutdown", web)
    said = cluster.serial(web)
    assert "tiny: power button" in said
    assert f"tiny: {web} goes down after" in said
    assert "tiny: root is clean" in said
    assert cluster.qemu_pids() == []
    assert cluster.field(web, "status") == "ADMIN_down"
    assert cluster.sh("bridge link show") == "", "no tap is left"
    cluster.gnt("gnt-instance", "shutdown", web)


def test_a_guest_that_does_not_listen_is_ended_by_force(cluster: Cluster, stopped: str) -> None:
    cluster.gnt("gnt-instance", "startup", "-H", f"acpi=false,kernel_args={KERNEL_ARGS} tiny.greeting=deaf", stopped)
    assert "tiny: deaf" in cluster.booted(stopped)
    cluster.gnt("gnt-instance", "shutdown", "--timeout=2", stopped)
    assert "goes down" not in cluster.serial(stopped)
    assert cluster.qemu_pids() == []
    assert cluster.field(stopped, "hv/acpi") == "Y", "parameters of one start are not kept"


def test_startup_paused_and_with_parameters_for_one_start(cluster: Cluster, stopped: str) -> None:
    cluster.gnt("gnt-instance", "startup", "--paused", "-B", "maxmem=192,minmem=192,vcpus=2", stopped)
    assert cluster.field(stopped, "oper_ram,be/maxmem,oper_vcpus,be/vcpus").split() == ["192M", "128M", "2", "1"]
    assert cluster.serial(stopped) == "", "a frozen guest says nothing"
    cluster.gnt("gnt-instance", "shutdown", "--timeout=0", stopped)
    cluster.gnt("gnt-instance", "startup", stopped)
    assert cluster.field(stopped, "oper_ram,oper_vcpus").split() == ["128M", "1"]


def test_what_was_changed_while_it_was_down_is_in_the_guest(cluster: Cluster, stopped: str) -> None:
    cluster.gnt("gnt-instance", "modify", "-B", "maxmem=160,minmem=160,vcpus=2", stopped)
    cluster.gnt("gnt-instance", "modify", "-H", "serial_speed=115200", stopped)
    cluster.gnt("gnt-instance", "modify", "--disk", "add:size=2G,name=data", "--disk", "add:size=1G", stopped)
    cluster.gnt("gnt-instance", "modify", "--disk", "2:mode=ro", stopped)
    cluster.gnt("gnt-instance", "modify", "--net", f"add:ip={NET}.12", stopped)
    cluster.gnt("gnt-instance", "modify", "--net", "1:mac=aa:00:00:11:22:33", stopped)
    assert cluster.field(stopped, "disk.sizes,disk.names,nic.count").split() == ["1024,2048,1024", ",data,", "2"]
    cluster.gnt("gnt-instance", "startup", stopped)
    cluster.booted(stopped)
    with GuestShell(cluster, stopped) as shell:
        assert shell.ask("nproc") == "2"
        assert int(shell.ask("awk '/MemTotal/ { print $2 }' /proc/meminfo")) > 128 * 1024 * 0.9
        assert shell.ask("ls /dev/vd?").split() == ["/dev/vda", "/dev/vdb", "/dev/vdc"]
        assert shell.ask("cat /sys/block/vdb/size") == str(2 * 2**30 // 512)
        assert shell.ask("cat /sys/block/vda/ro /sys/block/vdb/ro /sys/block/vdc/ro").split() == ["0", "0", "1"]
        assert shell.ask("cat /sys/class/net/eth1/address") == "aa:00:00:11:22:33"
        shell.leave()
    cluster.gnt("gnt-instance", "shutdown", stopped)
    files = cluster.sh(f"find {STORAGE} -type f").split()
    assert len(files) == 3
    cluster.gnt("gnt-instance", "modify", "--disk", "remove", stopped)
    cluster.gnt("gnt-instance", "modify", "--disk", "data:remove", "--net", "remove", stopped)
    assert cluster.field(stopped, "disk.count,nic.count").split() == ["1", "1"]
    assert cluster.sh(f"find {STORAGE} -type f").split() == [
        path for path in files if cluster.field(stopped, "disk.uuids") in path
    ]
    cluster.gnt("gnt-instance", "modify", "-B", "maxmem=default,minmem=default,vcpus=default", stopped)
    assert cluster.run("gnt-cluster", "verify")[0] == 0


def test_a_new_name_is_the_guests_own_from_its_next_start(cluster: Cluster, stopped: str) -> None:
    new = "www.lab.example"
    cluster.gnt("gnt-instance", "rename", stopped, new)
    assert cluster.names() == [new]
    assert cluster.sh(f"ls {STORAGE}").split() == [new]
    cluster.gnt("gnt-instance", "startup", new)
    assert f"tiny: hello from {new}" in cluster.booted(new)
    assert greeting(cluster, WEB_IP).startswith(f"tiny {new} up ")
    cluster.gnt("gnt-instance", "shutdown", new)
    cluster.gnt("gnt-instance", "rename", new, stopped)
    assert cluster.run("gnt-cluster", "verify")[0] == 0


def test_reinstalling_forgets_what_was_on_the_disk(cluster: Cluster, web: str) -> None:
    with GuestShell(cluster, web) as shell:
        shell.ask("echo mine >/root/mine; sync")
        shell.leave()
    cluster.gnt("gnt-instance", "shutdown", web)
    cluster.gnt("gnt-instance", "reinstall", "--force", "-O", "greeting=anew", web)
    cluster.gnt("gnt-instance", "startup", web)
    said = cluster.booted(web)
    assert ", reinstall " in said
    assert "tiny: anew" in said
    with GuestShell(cluster, web) as shell:
        assert shell.ask("ls /root") == ""
        shell.leave()


def test_three_at_once_from_a_file(cluster: Cluster) -> None:
    asked = [
        {"instance_name": f"batch{number}.lab.example", "os_type": "tiny", "disk_template": "file"}
        | {"disks": [{"size": "1g"}], "start": number == 1}
        for number in range(3)
    ]
    cluster.path("/root/batch.json").write_text(json.dumps(asked))
    cluster.gnt("gnt-instance", "batch-create", "/root/batch.json")
    names = [str(each["instance_name"]) for each in asked]
    try:
        states = cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "status", *names).split()
        assert states == ["ADMIN_down", "running", "ADMIN_down"]
        ports = cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "network_port", *names).split()
        macs = cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "nic.macs", *names).split()
        assert len(set(ports)) == len(set(macs)) == 3
    finally:
        cluster.remove(*names)


def test_a_plan_is_shown_and_nothing_is_done(cluster: Cluster) -> None:
    before = cluster.seen()
    said = cluster.gnt("gnt-instance", "add", "--dry-run", "-t", "file", "-s", "2G", "-o", "tiny", "plan.lab.example")
    assert NODE in said
    assert re.search(r"make disk 0 of 2.0G", said)
    assert cluster.seen() == before


def test_a_diskless_guest_lives_in_memory(cluster: Cluster) -> None:
    name = "ram.lab.example"
    cluster.gnt(
        *["gnt-instance", "add", "-t", "diskless", "-o", "tiny"],
        *["-H", f"kvm:kernel_args={KERNEL_ARGS} tiny.name=ram tiny.ip={NET}.13/24", name],
    )
    assert "root on memory" in cluster.booted(name)
    assert greeting(cluster, f"{NET}.13").startswith("tiny ram up ")
    assert "no terminal to ask" in cluster.refused("gnt-instance", "remove", name)
    with Terminal(cluster, "gnt-instance", "remove", name) as terminal:
        terminal.read_until("?")
        terminal.press("y\n")
        assert terminal.process.wait(timeout=200) == 0, terminal.said
    assert name not in cluster.names()


def test_removal_leaves_nothing(cluster: Cluster, web: str) -> None:
    cluster.gnt("gnt-instance", "remove", "--force", web)
    assert cluster.names() == []
    assert cluster.qemu_pids() == []
    assert cluster.sh(f"find {STORAGE} -mindepth 1; bridge link show") == ""
    left = cluster.sh("find /run/ganeti -not -type d -printf '%P\\n' | sort").split()
    assert left == ["ganeti-masterd.pid", "ganeti-noded.pid", "socket/ganeti-master"]
    if can_have_cgroups():
        assert cluster.sh("find /sys/fs/cgroup -name '*ganeti*'") == ""
    assert cluster.run("gnt-cluster", "verify")[0] == 0
