"""The lab's own promises: hosts that are apart, plugs and cables that can be pulled, and nothing left afterwards."""

import contextlib
import functools
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ganeti.base.errors import Failed, Refused
from ganeti.lab import groups, loops
from ganeti.lab.host import Host
from ganeti.lab.lab import Lab
from ganeti.lab.record import BASE

PATIENCE_S = 60.0
GUEST_WITHIN_S = 300.0
CHECKOUT = Path(__file__).resolve().parents[2]
TOOL = [sys.executable, "-m", "ganeti.lab"]
KERNEL_CACHE = "/var/cache/ganeti-os-tiny"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces and mounts; needs root"),
]
needs_ssh = pytest.mark.skipif(
    shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") is None, reason="no sshd (package openssh-server)"
)


@pytest.fixture
def name() -> Iterator[str]:
    """A lab that nobody else on this machine has; a test that fails leaves none of it to others."""
    name = f"test-{secrets.token_hex(4)}"
    yield name
    Lab(name=name).down()


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    """Three hosts for tests that leave them as they were."""
    with Lab(nodes=3, name=f"test-{secrets.token_hex(4)}", secondary=True, shared_storage=True, kvm=False) as lab:
        yield lab


@pytest.fixture
def lab(shared: Lab) -> Lab:
    for host in shared.hosts:
        assert host.is_on(), "the test before has left a host off"
        assert host.state().cut == (), "the test before has left a partition"
    return shared


def tool(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TOOL, *arguments], input=given, text=True, capture_output=True, timeout=PATIENCE_S)


def wait_until(true: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)


def reaches(lab: Lab, name: str, target: str) -> bool:
    return lab.host(name).run(["ping", "-c1", "-W1", target], check=False).returncode == 0


def namespaces(pid: int) -> set[str]:
    return {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("mnt", "net", "uts", "ipc", "pid", "cgroup")}


def namespaces_in_use() -> set[str]:
    found: set[str] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found |= namespaces(int(pid))
    return found


def seen(name: str) -> dict[str, object]:
    """What a lab could leave on this machine. Interfaces and mounts of others may come and go meanwhile."""
    links = json.loads(subprocess.run(["ip", "-json", "link"], check=True, capture_output=True).stdout)
    mine = re.compile(rf"{name}|fabric|node\d|xen-br0|ganeti-lab")
    commands = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            commands.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    return {
        "interfaces": sorted(link["ifname"] for link in links if mine.search(link["ifname"])),
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if mine.search(line)],
        "named networks": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else [],
        "processes": sorted(line for line in commands if name in line),
        "groups": [str(tree.group(name)) for tree in groups.here() if tree.group(name).exists()],
        "files": sorted(str(path) for place in (BASE, Path("/run"), Path("/tmp")) for path in place.glob(f"*{name}*")),
    }


def test_hosts_have_names_and_addresses_of_their_own(lab: Lab) -> None:
    for number, host in enumerate(lab.hosts, start=1):
        assert host.run(["hostname", "-f"]).stdout == f"node{number}.lab.example\n"
        assert host.run(["uname", "-n"]).stdout == f"node{number}.lab.example\n"
        links = json.loads(host.run(["ip", "-json", "-details", "address"]).stdout)
        addresses = {link["ifname"]: [each["local"] for each in link["addr_info"]] for link in links}
        assert host.address in addresses["xen-br0"]
        assert host.secondary_address in addresses["eth1"]
        assert set(addresses) == {"lo", "eth0", "eth1", "xen-br0"}
    assert len({host.address for host in lab.hosts}) == 3
    assert len({lab.host(name).run(["cat", "/etc/machine-id"]).stdout for name in ("node1", "node2", "node3")}) == 3


def test_hosts_reach_each_other_by_name(lab: Lab) -> None:
    for one in lab.hosts:
        for other in lab.hosts:
            one.run(["ping", "-c1", "-W5", other.name])
            assert other.secondary_address is not None
            one.run(["ping", "-c1", "-W5", other.secondary_address])
    names = lab.host("node2").run(["getent", "hosts", "cluster.lab.example", "inst1", "node3.lab.example"]).stdout
    assert len(names.splitlines()) == 3
    assert lab.on_fabric(["ping", "-c1", "-W5", lab.host("node1").address]).returncode == 0


@needs_ssh
def test_root_logs_in_from_host_to_host_without_a_question(lab: Lab) -> None:
    done = lab.host("node1").run(["ssh", "-o", "BatchMode=yes", "node2", "hostname; exit 5"], check=False)
    assert (done.stdout, done.returncode) == ("node2.lab.example\n", 5), done.stderr
    keys = {host.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout for host in lab.hosts}
    assert len(keys) == 3
    machines_own = Path("/etc/ssh/ssh_host_ed25519_key.pub")
    assert not machines_own.exists() or machines_own.read_text() not in keys


def test_what_a_host_writes_stays_its_own(lab: Lab, name: str) -> None:
    places = ["/etc/ganeti", "/var/lib/ganeti", "/var/log/ganeti", "/srv/ganeti", "/run", "/tmp", "/root", "/dev/shm"]
    lab.host("node1").run(["touch", *(f"{place}/{name}" for place in places)])
    for place in places:
        assert not Path(place, name).exists(), "this machine sees it"
        assert lab.host("node2").run(["ls", "-a", place]).stdout.find(name) == -1
        assert lab.host("node1").path(f"{place}/{name}").exists()


def test_hosts_do_not_see_what_this_machine_has_of_a_cluster(lab: Lab) -> None:
    host = lab.host("node3")
    for place in ("/etc/ganeti", "/var/lib/ganeti", "/var/log/ganeti", "/var/tmp"):
        assert host.run(["ls", "-A", place]).stdout == ""
    assert host.run(["ls", "/srv/ganeti"]).stdout == "shared-file-storage\n"
    processes = host.run(["ps", "-eo", "pid=,comm="]).stdout
    assert processes.split()[0] == "1"
    assert "pytest" not in processes
    assert host.run(["ls", "/dev/kvm"], check=False).returncode != 0, "this lab was made without"
    assert host.run(["cat", "/proc/self/cgroup"]).stdout.find(lab.name) == -1, "its own group is its root"


def test_shared_storage_is_the_same_everywhere(lab: Lab, name: str) -> None:
    lab.host("node1").run(["sh", "-c", f"echo common >/srv/ganeti/shared-file-storage/{name}"])
    assert lab.host("node3").run(["cat", f"/srv/ganeti/shared-file-storage/{name}"]).stdout == "common\n"


def test_a_host_counts_its_processes_in_a_group_of_its_own(lab: Lab) -> None:
    host = lab.host("node1")
    process = host.popen(["sleep", "600"])
    try:
        wait_until(lambda: host.run(["pgrep", "-x", "sleep"], check=False).stdout, "sleep runs")
        groups_of_host = [tree.entrance(lab.name, "node1") for tree in groups.here()]
        assert groups_of_host
        for entrance in groups_of_host:
            assert str(process.pid) in entrance.read_text().split()
            assert str(host.pid) in entrance.read_text().split()
        host.run(["sh", "-c", "for d in /sys/fs/cgroup/*/; do mkdir $d/own && rmdir $d/own || exit 1; done"])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_S)


def test_a_power_failure_takes_all_processes_and_run_but_not_the_disk(lab: Lab, name: str) -> None:
    host = lab.host("node2")
    kept = ["/etc/ganeti", "/var/lib/ganeti", "/srv/ganeti", "/root"]
    host.run(["touch", *(f"{place}/{name}" for place in (*kept, "/run", "/tmp"))])
    host.run(["sh", "-c", "setsid sleep 987654 >/dev/null 2>&1 </dev/null &"])
    attached = host.popen(["sleep", "987654"])
    mac = host.run(["cat", "/sys/class/net/xen-br0/address"]).stdout
    before = namespaces(host.pid)

    lab.kill("node2")

    assert attached.wait(timeout=PATIENCE_S) != 0
    attached.communicate()
    assert not before & namespaces_in_use()
    assert not host.is_on()
    assert not reaches(lab, "node1", "node2")
    with pytest.raises(Refused, match="node2 is off; 'ganeti-lab start"):
        host.run(["true"])
    with pytest.raises(Refused, match="off already"):
        lab.kill("node2")

    lab.start("node2")

    assert reaches(lab, "node1", "node2")
    for place in kept:
        assert host.run(["ls", f"{place}/{name}"], check=False).returncode == 0
    for place in ("/run", "/tmp"):
        assert host.run(["ls", f"{place}/{name}"], check=False).returncode != 0
    assert host.run(["cat", "/sys/class/net/xen-br0/address"]).stdout == mac
    assert host.run(["pgrep", "-x", "sleep"], check=False).stdout == ""
    with pytest.raises(Refused, match="on already"):
        lab.start("node2")


def test_the_death_of_a_host_is_silent(lab: Lab) -> None:
    """Nobody is told: a peer that waits for an answer goes on waiting, as after a real power failure."""
    server = lab.host("node2").popen(["socat", "TCP-LISTEN:4000", "EXEC:cat"])
    client = (
        "import socket, sys; s = socket.create_connection(('node2', 4000), timeout=30)\n"
        "s.sendall(b'x'); assert s.recv(1) == b'x'; print('talks', flush=True); sys.stdin.readline()\n"
        "s.settimeout(1)\n"
        "try: print('told', s.recv(1))\n"
        "except TimeoutError: print('silent')\n"
    )
    wait_until(lambda: "4000" in lab.host("node2").run(["ss", "-ltn"]).stdout, "the server listens")
    peer = lab.host("node1").popen([sys.executable, "-c", client], stdin=subprocess.PIPE)
    assert peer.stdout is not None
    assert peer.stdout.readline() == "talks\n"
    lab.kill("node2")
    said, errors = peer.communicate("\n", timeout=PATIENCE_S)
    assert said == "silent\n", errors
    server.communicate(timeout=PATIENCE_S)
    lab.start("node2")


def test_a_partition_lasts_until_it_is_healed_whatever_happens_to_the_host(lab: Lab) -> None:
    lab.partition("node3")
    assert not reaches(lab, "node1", "node3")
    assert not reaches(lab, "node3", "node1")
    assert reaches(lab, "node1", "node2")
    assert json.loads(lab.host("node3").run(["ip", "-json", "link", "show", "eth0"]).stdout)[0]["operstate"] == "UP"
    lab.kill("node3")
    lab.start("node3")
    assert not reaches(lab, "node1", "node3")
    lab.heal("node3")
    assert reaches(lab, "node1", "node3")
    assert reaches(lab, "node3", "node1")


def listens(host: Host) -> bool:
    return ":5000" in host.run(["ss", "-lun"]).stdout


@pytest.mark.parametrize("inward, outward", [(True, False), (False, True)])
def test_a_partition_can_be_one_way(lab: Lab, inward: bool, outward: bool) -> None:
    """One datagram each way tells which way is open."""
    script = "timeout 3 socat -u UDP-RECV:5000 - | head -c1"
    node1, node2 = lab.host("node1"), lab.host("node2")
    # Both know where the other is before the cut: asking would need both ways.
    for one, other in ((node1, node2), (node2, node1)):
        mac = other.run(["cat", "/sys/class/net/xen-br0/address"]).stdout.strip()
        one.run(["ip", "neighbour", "replace", other.address, "lladdr", mac, "dev", "xen-br0", "nud", "permanent"])
    lab.partition("node2", inward=inward, outward=outward)
    try:
        arrived = {}
        for one, other in ((node1, node2), (node2, node1)):
            listener = other.popen(["sh", "-c", script])
            wait_until(functools.partial(listens, other), "somebody listens")
            one.run(["sh", "-c", f"echo x | socat -u - UDP-SENDTO:{other.address}:5000"])
            arrived[other.name] = listener.communicate(timeout=PATIENCE_S)[0] == "x"
        assert arrived == {"node2": not inward, "node1": not outward}
    finally:
        lab.heal("node2")
        for one, other in ((node1, node2), (node2, node1)):
            one.run(["ip", "neighbour", "delete", other.address, "dev", "xen-br0"])


def test_a_program_that_takes_too_long_is_killed_and_named(lab: Lab) -> None:
    with pytest.raises(Failed, match=r"node1: sleep 86399 did not end within 0\.5 s"):
        lab.host("node1").run(["sleep", "86399"], timeout_s=0.5)
    wait_until(lambda: not lab.host("node1").run(["pgrep", "-x", "sleep"], check=False).stdout, "it is gone")
    with pytest.raises(Failed, match=r"node1: ls /nowhere ended with exit status 2: .*No such file"):
        lab.host("node1").run(["ls", "/nowhere"])


def test_the_command_passes_on_input_output_and_exit_status(lab: Lab) -> None:
    done = tool("exec", "--name", lab.name, "node1", "--", "sh", "-c", "hostname; echo bad >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "node1.lab.example\n", "bad\n")
    assert tool("exec", "--name", lab.name, "-i", "node1", "--", "cat", given="hello").stdout == "hello"
    assert tool("exec", "--name", lab.name, "node1", "--", "cat", given="hello").stdout == ""
    words = tool("exec", "--name", lab.name, "node1", "--", "printf", "%s|", "a b", "--", "-x").stdout
    assert words == "a b|--|-x|"


def test_on_a_terminal_the_command_has_one_that_the_host_knows(lab: Lab) -> None:
    inner = " ".join([*TOOL, "exec", "--name", lab.name, "node1", "--", "tty"])
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", inner, "/dev/null"],
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert "/dev/pts/" in done.stdout, done.stdout


def test_status_tells_people_and_programs(lab: Lab) -> None:
    lab.partition("node3", outward=False)
    text = tool("status", "--name", lab.name).stdout
    assert [line.split()[:3] for line in text.splitlines()[1:]] == [["node1", "on", lab.host("node1").address]] + [
        [name, "on", lab.host(name).address] for name in ("node2", "node3")
    ]
    told = json.loads(tool("status", "--name", lab.name, "--json").stdout)
    assert told["alive"] is True
    assert [(host["name"], host["state"], host["cut"]) for host in told["hosts"]] == [
        ("node1", "on", []),
        ("node2", "on", []),
        ("node3", "on", ["in"]),
    ]
    lab.heal("node3")
    assert lab.name in tool("list").stdout.split()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["up", "--nodes", "0"], "a lab has 1 to 99 hosts, not 0"),
        (["up", "--nodes", "100"], "a lab has 1 to 99 hosts, not 100"),
        (["up", "--domain", "no domain"], "'no domain' is no domain name"),
        (["up", "--name", "../x"], "'../x' is no name for a lab"),
        (["exec", "node1"], "say what to run"),
        (["kill", "node1"], "there is no lab"),
        (["status"], "there is no lab"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(name: str, arguments: list[str], said: str) -> None:
    before = seen(name)
    deed, *others = arguments
    done = tool(deed, *([] if "--name" in arguments else ["--name", name]), *others)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert seen(name) == before


def test_a_name_is_used_once_and_an_unknown_host_is_named(lab: Lab) -> None:
    with pytest.raises(Refused, match=r"there is a lab .* already; 'ganeti-lab down --name"):
        Lab(nodes=1, name=lab.name).up()
    with pytest.raises(Refused, match="has no host node9; it has node1, node2, node3"):
        lab.host("node9")
    assert lab.host("node1").is_on()


def test_nobody_but_root_makes_a_lab(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    with pytest.raises(Refused, match="takes root: sudo ganeti-lab"):
        Lab(name=name).up()
    assert not (BASE / name).exists()


def test_labs_side_by_side_do_not_touch(lab: Lab, name: str) -> None:
    with Lab(nodes=2, name=name, domain="other.example", kvm=False) as other:
        assert other.host("node1").address != lab.host("node1").address
        assert reaches(other, "node1", "node2.other.example")
        assert not reaches(other, "node1", lab.host("node1").address)
        other.kill("node1")
        assert lab.host("node1").is_on()
    assert reaches(lab, "node1", "node2")


@pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="no loop devices on this machine")
def test_loop_devices_are_freed_with_their_host(name: str) -> None:
    """They belong to the machine: only files behind them tell whose they are."""
    attach = "for f in /srv/ganeti/a /root/b /tmp/c; do truncate -s 10M $f && losetup -f --show $f || exit 1; done"
    with Lab(nodes=2, name=name, kvm=False) as lab:
        by_host = {host: lab.host(host).run(["sh", "-c", attach]).stdout.split() for host in ("node1", "node2")}

        def attached() -> set[str]:
            return {loop.device for loop in loops.in_use()}

        assert attached() >= {*by_host["node1"], *by_host["node2"]}
        lab.kill("node1")
        assert not attached() & set(by_host["node1"])
        assert attached() >= set(by_host["node2"])
    assert not attached() & set(by_host["node2"])


def test_down_leaves_nothing_and_can_be_repeated(name: str) -> None:
    before = seen(name)
    lab = Lab(nodes=3, name=name, kvm=False)
    lab.up()
    assert seen(name) != before
    lab.host("node1").run(["sh", "-c", "setsid sleep 987654 >/dev/null 2>&1 </dev/null &"])
    lab.host("node1").run(["sh", "-c", "for d in /sys/fs/cgroup/*/; do mkdir $d/left; done"])
    attached = lab.host("node2").popen(["sleep", "987654"])
    lab.kill("node3")
    state = lab.state()
    assert state.keeper is not None
    theirs = [state.keeper.pid, lab.host("node1").pid, lab.host("node2").pid]
    used = set().union(*map(namespaces, theirs)) - namespaces(os.getpid())
    assert used <= namespaces_in_use()

    lab.down()

    attached.communicate(timeout=PATIENCE_S)
    assert seen(name) == before
    assert not used & namespaces_in_use()
    lab.down()
    assert seen(name) == before


def test_down_removes_a_lab_whose_first_process_was_killed(name: str) -> None:
    before = seen(name)
    lab = Lab(nodes=2, name=name, kvm=False)
    lab.up()
    state = lab.state()
    hosts = [lab.host("node1").pid, lab.host("node2").pid]
    assert state.keeper is not None
    os.kill(state.keeper.pid, signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}/ns/net").exists() for pid in hosts), "the hosts die with it")
    with pytest.raises(Refused, match=r"is dead .* 'ganeti-lab down --name"):
        lab.start("node1")
    lab.down()
    assert seen(name) == before


@pytest.mark.parametrize("after_s", [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4])
def test_down_removes_what_a_killed_up_has_made(name: str, after_s: float) -> None:
    before = seen(name)
    up = subprocess.Popen(
        [*TOOL, "up", "--name", name, "--nodes", "4", "--no-kvm"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        up.wait(timeout=after_s)
    up.kill()
    up.wait(timeout=PATIENCE_S)
    done = tool("down", "--name", name)
    assert done.returncode == 0, done.stderr
    assert seen(name) == before


def test_an_up_that_fails_leaves_nothing(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "nsenter"
    broken.write_text("#!/bin/sh\necho no cable today >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    before = seen(name)
    with pytest.raises(Failed, match=r"node1: .*no cable today.*; node2: "):
        Lab(nodes=2, name=name).up()
    assert seen(name) == before


def test_a_cluster_works_in_a_host_as_on_a_machine_and_comes_back_with_it(name: str) -> None:
    with Lab(nodes=2, name=name, kvm=False) as lab:
        node1 = lab.host("node1")
        node1.run(
            [
                *["gnt-cluster", "init", "--enabled-hypervisors=fake", "--enabled-disk-templates=diskless"],
                *["--no-ssh-init", "cluster.lab.example"],
            ]
        )
        assert node1.run(["gnt-node", "list", "--no-headers", "-o", "name"]).stdout == "node1.lab.example\n"
        add = ["gnt-instance", "add", "-t", "diskless", "--no-install", "-o", "none", "inst1.lab.example"]
        node1.run(add)
        assert reaches(lab, "node2", "cluster.lab.example"), "the master's address is on the fabric"
        assert (
            json.loads(tool("status", "--name", name, "--json").stdout)["hosts"][0]["cluster"] == "cluster.lab.example"
        )
        lab.kill("node1")
        assert not reaches(lab, "node2", "cluster.lab.example")
        said = lab.start("node1")["node1"]
        assert "ganeti-masterd started" in said
        assert node1.run(["gnt-instance", "list", "--no-headers", "-o", "name"]).stdout == "inst1.lab.example\n"
        assert not Path("/run/ganeti", name).exists()


@pytest.fixture(scope="session")
def kernel() -> None:
    """The guest's kernel is fetched by this machine, once: a lab has no way out."""
    boot = Path(f"{KERNEL_CACHE}-boot-of-a-lab")
    try:
        subprocess.run(
            [CHECKOUT / "os/tiny/prepare", "default"],
            env={"PATH": "/sbin:/bin:/usr/sbin:/usr/bin", "TINY_CACHE_DIR": KERNEL_CACHE, "TINY_BOOT_DIR": str(boot)},
            check=True,
            capture_output=True,
            timeout=900,
        )
    finally:
        shutil.rmtree(boot, ignore_errors=True)


@pytest.mark.qemu
@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU (package qemu-system-x86)")
def test_a_guest_of_one_host_talks_to_another_host(name: str, kernel: None) -> None:
    with Lab(nodes=2, name=name, kvm=False) as lab:
        node1, node2 = lab.host("node1"), lab.host("node2")
        shutil.copytree(CHECKOUT / "os/tiny", node1.path("/srv/ganeti/os/tiny"))
        node1.run(["/srv/ganeti/os/tiny/prepare", "default"], timeout_s=GUEST_WITHIN_S)
        boot = "/var/lib/ganeti-os-tiny"
        parameters = f"kernel_path={boot}/vmlinuz,initrd_path={boot}/initrd.img,kernel_args=ro quiet tsc=reliable"
        node1.run(
            [
                *["gnt-cluster", "init", "--enabled-hypervisors=kvm", "--enabled-disk-templates=file"],
                *["-H", f"kvm:{parameters}", "--no-ssh-init", "cluster.lab.example"],
            ]
        )
        address = lab.plan.names["inst1.lab.example"]
        add = ["gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "tiny+default", "--net", f"0:ip={address}"]
        node1.run([*add, "inst1.lab.example"], timeout_s=GUEST_WITHIN_S)
        wait_until(lambda: reaches(lab, "node2", "inst1"), "the guest answers", GUEST_WITHIN_S)
        ask = ["socat", "-T5", "-", f"TCP:{address}:7"]
        wait_until(
            lambda: "tiny inst1.lab.example up" in node2.run(ask, check=False).stdout,
            "the guest's service answers",
            GUEST_WITHIN_S,
        )
        guest = next(
            int(pid)
            for pid in filter(str.isdigit, os.listdir("/proc"))
            if b"inst1.lab.example" in Path(f"/proc/{pid}/cmdline").read_bytes()
            and os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{node1.pid}/ns/pid")
        )
        lab.kill("node1")
        assert not Path(f"/proc/{guest}/ns/pid").exists(), "the guest died with its host"
        assert not reaches(lab, "node2", "inst1")
