"""What a lab is planned to be, and what is read of the machine it stands on."""

import pytest

from ganeti.base.errors import Refused
from ganeti.lab import loops, plan
from ganeti.lab.groups import Hierarchy, hierarchies
from ganeti.lab.network import drop_script, host_script
from ganeti.lab.plan import LabPlan


def drawn(*, name: str = "lab", nodes: int = 3, number: int = 7, secondary: bool = False) -> LabPlan:
    return plan.draw(
        name=name,
        nodes=nodes,
        domain="lab.example",
        number=number,
        secondary=secondary,
        shared_storage=False,
        kvm=True,
    )


def test_every_name_and_card_has_an_address_of_its_own() -> None:
    lab = drawn(nodes=plan.MOST_NODES, secondary=True)
    addresses = [cable.address.partition("/")[0] for host in lab.hosts for cable in host.cables]
    addresses += [address for name, address in lab.names.items() if not name.startswith("node")]
    addresses += [address.partition("/")[0] for address in lab.fabrics.values()]
    assert len(set(addresses)) == len(addresses)
    macs = [cable.mac for host in lab.hosts for cable in host.cables]
    assert len(set(macs)) == len(macs)
    assert all(len(cable.port) <= 15 for host in lab.hosts for cable in host.cables), "the kernel takes no longer name"


def test_the_same_wishes_make_the_same_lab_and_another_number_another_network() -> None:
    assert drawn() == drawn()
    assert drawn(number=7).host("node1").address == "10.77.7.1"
    assert drawn(number=8).host("node1.lab.example").address == "10.77.8.1"


def test_hosts_resolve_each_other_and_the_cluster() -> None:
    text = plan.hosts_file(drawn())
    assert "10.77.7.2 node2.lab.example node2\n" in text
    assert "10.77.7.200 cluster.lab.example cluster\n" in text


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "a/b", "..", "a" * 32, "a b"])
def test_a_name_that_no_path_should_have_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="is no name for a lab"):
        drawn(name=name)


def test_the_bridge_keeps_the_address_of_its_card() -> None:
    host = drawn().hosts[0]
    script = host_script(host, "/proc/self/fd/9").splitlines()
    bridge = next(line for line in script if "type bridge" in line)
    assert f"xen-br0 address {host.cables[0].mac}" in bridge
    assert "link set dev eth0 master xen-br0 up" in script
    assert drop_script(["a", "b"], drop=False) == "qdisc delete dev a root\nqdisc delete dev b root\n"


HYBRID = """\
30 24 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:12 - cgroup cgroup rw,cpu,cpuacct
34 24 0:29 / /elsewhere rw shared:12 - cgroup cgroup rw,cpu,cpuacct
"""


def test_every_hierarchy_of_control_groups_is_found_once() -> None:
    assert hierarchies(HYBRID) == [
        Hierarchy("/sys/fs/cgroup/unified", True, ""),
        Hierarchy("/sys/fs/cgroup/systemd", False, "none,name=systemd"),
        Hierarchy("/sys/fs/cgroup/cpu,cpuacct", False, "cpu,cpuacct"),
    ]


def test_processes_of_version_2_are_not_where_controllers_are_handed_on() -> None:
    new, old = Hierarchy("/sys/fs/cgroup", True, ""), Hierarchy("/sys/fs/cgroup/cpu", False, "cpu")
    assert str(new.entrance("lab", "node1")) == "/sys/fs/cgroup/ganeti-lab/lab/node1/init/cgroup.procs"
    assert str(old.entrance("lab", "node1")) == "/sys/fs/cgroup/cpu/ganeti-lab/lab/node1/cgroup.procs"


def test_loop_devices_are_told_by_the_file_system_behind_them() -> None:
    text = (
        '{"loopdevices": [{"name": "/dev/loop1", "back-ino": 51, "back-maj:min": "  0:43 "},'
        ' {"name": "/dev/loop2", "back-ino": 2, "back-maj:min": "254:0"},'
        ' {"name": "/dev/loop3", "back-ino": null, "back-maj:min": null}]}'
    )
    both = loops.decode(text)
    assert both == [loops.Loop("/dev/loop1", 0, 43, 51), loops.Loop("/dev/loop2", 254, 0, 2)]
    assert loops.decode("") == []
    mounts = "40 1 0:43 / /tmp rw - tmpfs tmp rw\n41 1 254:0 / / rw - ext4 /dev/vda rw\n"
    memory = loops.memory_file_systems(mounts)
    assert memory == {(0, 43)}
    assert loops.over(both, memory=memory, directories=[]) == both[:1]
