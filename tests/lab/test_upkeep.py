"""Looking after a cluster of three hosts: hooks on the other nodes, the watcher after a power failure, ssh, power."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from ganeti.lab.lab import Lab
from tests.lab.cluster import needs_root
from tests.lab.test_membership import CLUSTER, Hosts, until, verified

pytestmark = [pytest.mark.lab, needs_root]

QUICK = "/srv/ganeti/os/quick"
INST1 = "inst1.lab.example"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    """A cluster of three with one instance on node2."""
    with Lab(nodes=3, name=f"test-{secrets.token_hex(4)}", kvm=False) as lab:
        made = Hosts(lab)
        init = ["gnt-cluster", "init", "--enabled-hypervisors=fake", "--enabled-disk-templates=file,diskless"]
        made.ok(1, *init, CLUSTER)
        for number in (2, 3):
            made.ok(number, "ganeti-join", made.token())
        until(lambda: not verified(made, 1), "three nodes verify cleanly")
        for number in (1, 2, 3):
            sh(
                made,
                number,
                f"mkdir -p {QUICK}; cd {QUICK}; printf '20\\n' >ganeti_api_version; printf 'default\\n' >variants.list;"
                " touch parameters.list; for s in create import export rename verify; do"
                " printf '#!/bin/sh\\nexit 0\\n' >$s; chmod 755 $s; done",
            )
        made.ok(1, "gnt-instance", "add", "-t", "file", "-s", "1G", "-o", "quick", "-n", "node2", INST1)
        yield made


def sh(hosts: Hosts, number: int, script: str) -> str:
    """What a shell script prints on a host."""
    return hosts.ok(number, "sh", "-euc", script)


def watch(hosts: Hosts) -> None:
    """One run on the master, which may wait for a silent node several times."""
    hosts.lab.host("node1").run(["ganeti-watcher"], timeout_s=300)


def status(hosts: Hosts) -> str:
    """Of the one instance."""
    return hosts.ok(1, "gnt-instance", "list", "--no-headers", "-o", "status", INST1).strip()


def test_a_hook_on_the_node_of_an_instance_can_say_no(hosts: Hosts) -> None:
    where = "/etc/ganeti/hooks/instance-stop-pre.d"
    sh(hosts, 2, f"mkdir -p {where}; printf '#!/bin/sh\\necho not here; exit 1\\n' >{where}/no; chmod 755 {where}/no")
    said = hosts.refused(1, "gnt-instance", "stop", INST1)
    assert "node: node2.lab.example, script: instance-stop-pre.d/no, output: not here" in said
    assert status(hosts) == "running"
    sh(hosts, 2, f"rm {where}/no")


def test_only_the_master_watches(hosts: Hosts) -> None:
    assert hosts.run(2, "ganeti-watcher")[0] == 11


def test_after_a_power_failure_the_watcher_starts_what_ran_there(hosts: Hosts) -> None:
    watch(hosts)
    hosts.lab.kill("node2")
    watch(hosts)  # a node that does not answer is left alone
    hosts.lab.start("node2")
    until(lambda: status(hosts) == "ERROR_down", "node2 is back")
    watch(hosts)
    assert status(hosts) == "running"
    # Hosts of a lab share one kernel, and so its boot id: what follows from a new one is tested without them.
    log = sh(hosts, 1, "cat /var/log/ganeti/watcher.log")
    assert "node does not answer node=node2.lab.example" in log
    assert f"op=OP_INSTANCE_STARTUP instance={INST1}" in log


def test_power_is_switched_by_the_program_of_the_master(hosts: Hosts) -> None:
    program = "/etc/ganeti/power"
    answer = """#!/bin/sh
[ "$1" != power-status ] || echo '{"powered": true}'
echo "$1 $2" >>/var/lib/ganeti/power.log
"""
    sh(hosts, 1, f"cat >{program} <<'END'\n{answer}END\nchmod 755 {program}")
    hosts.ok(1, "gnt-cluster", "modify", "--node-parameters", f"oob_program={program}")
    assert "node3.lab.example powered" in hosts.ok(1, "gnt-node", "power", "status", "node3")
    assert "not marked offline" in hosts.refused(1, "gnt-node", "power", "-f", "off", "node3")
    hosts.ok(1, "gnt-node", "power", "-f", "cycle", "node3")
    assert sh(hosts, 1, "tail -n 1 /var/lib/ganeti/power.log") == "power-cycle node3.lab.example\n"


def test_room_for_disks_is_told_for_each_node(hosts: Hosts) -> None:
    rows = hosts.ok(1, "gnt-node", "list-storage", "--no-headers", "-o", "node,type").split()
    assert rows == [word for number in (1, 2, 3) for word in (f"node{number}.lab.example", "file")]
