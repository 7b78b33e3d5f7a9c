"""Hosts join, leave, and outlive their master: real daemons on three hosts, driven by the commands as a user does."""

import functools
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest

from ganeti.contract.join import read_token
from ganeti.lab.lab import Lab

PATIENCE_S = 90.0
CLUSTER = "cluster.lab.example"
PYTHON = sys.executable

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces and mounts; needs root"),
]
needs_ssh = pytest.mark.skipif(
    shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") is None, reason="no sshd (package openssh-server)"
)

KNOCK = """
import asyncio, sys
from ganeti.base.ids import SystemIds
from ganeti.base.paths import Paths
from ganeti.client.settings import own_settings
from ganeti.contract.calls.member import VoteGet
from ganeti.contract.wire import Address
from ganeti.wire.client import NodeClient
from ganeti.wire.tls import TlsWire
async def knock():
    uuid = own_settings("/var/lib/ganeti/node.json")["cluster_uuid"]
    wire = TlsWire(Paths().node_certificate, Paths().ca_certificate)
    client = NodeClient(wire, cluster_uuid=uuid, epoch=0, ids=SystemIds())
    try:
        print(await client.call(Address(name=sys.argv[1], host=sys.argv[2], port=1811), VoteGet()))
    except Exception as error:
        print(type(error).__name__, error)
    finally:
        await wire.close()
asyncio.run(knock())
"""


class Hosts:
    """A lab, with the words that tests need."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run(self, number: int, *argv: str) -> tuple[int, str]:
        done = self.lab.host(f"node{number}").run(list(argv), check=False)
        return done.returncode, done.stdout + done.stderr

    def ok(self, number: int, *argv: str) -> str:
        status, said = self.run(number, *argv)
        assert status == 0, f"{' '.join(argv)} on node{number} ended with {status}:\n{said}"
        return said

    def refused(self, number: int, *argv: str, status: int = 1) -> str:
        ended, said = self.run(number, *argv)
        assert ended == status, f"{' '.join(argv)} on node{number} ended with {ended}:\n{said}"
        assert "Traceback" not in said
        return said

    def token(self, *arguments: str, on: int = 1) -> str:
        return self.ok(on, "gnt-cluster", "join-token", *arguments).strip()

    def list(self, on: int, what: str, fields: str) -> list[list[str]]:
        said = self.ok(on, f"gnt-{what}", "list", "--no-headers", "--separator", "|", "-o", fields)
        return [line.split("|") for line in said.splitlines()]

    def add_instances(self, on: int, *numbers: int) -> None:
        for number in numbers:
            words = ["-t", "diskless", "-o", "none", "--no-install", "--no-ip-check", "--no-name-check", "--no-start"]
            self.ok(on, "gnt-instance", "add", *words, "-n", f"node{number}.lab.example", f"inst{number}.lab.example")

    def devices(self, number: int) -> str:
        return self.ok(number, "ip", "-brief", "address")

    def files(self, number: int) -> str:
        return self.ok(number, "sh", "-c", "find /var/lib/ganeti /etc/ganeti /srv/ganeti /run/ganeti 2>&1 | sort")


@pytest.fixture
def bare() -> Iterator[Hosts]:
    """Three hosts without a cluster."""
    with Lab(nodes=3, name=f"test-{secrets.token_hex(4)}", kvm=False) as lab:
        yield Hosts(lab)


@pytest.fixture
def hosts(bare: Hosts) -> Hosts:
    """A cluster of one, and two hosts beside it."""
    init = ["gnt-cluster", "init", "--enabled-hypervisors=fake", "--enabled-disk-templates=file,diskless"]
    bare.ok(1, *init, CLUSTER)
    return bare


@pytest.fixture
def joined(hosts: Hosts) -> Hosts:
    """A cluster of three."""
    for number in (2, 3):
        hosts.ok(number, "ganeti-join", hosts.token())
    until(lambda: not verified(hosts, 1), "three nodes verify cleanly")
    return hosts


def until(true: Callable[[], object], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline_s, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.1)


def verified(hosts: Hosts, on: int) -> list[str]:
    _, said = hosts.run(on, "gnt-cluster", "verify")
    return [line for line in said.splitlines() if "ERROR" in line or "Failure" in line]


# -- coming in --------------------------------------------------------------------------------------------


@needs_ssh
def test_hosts_join_with_a_token_and_over_ssh(hosts: Hosts) -> None:
    said = hosts.ok(2, "ganeti-join", hosts.token())
    assert f"host node2.lab.example is a node of cluster {CLUSTER}" in said
    said = hosts.ok(1, "gnt-node", "add", "--no-ssh-key-check", "node3.lab.example")
    assert f"host node3.lab.example is a node of cluster {CLUSTER}" in said

    assert hosts.list(1, "node", "name,role") == [
        [f"node{n}.lab.example", r] for n, r in ((1, "M"), (2, "C"), (3, "C"))
    ]
    hosts.add_instances(1, 1, 2, 3)
    for number in (1, 2, 3):
        hosts.ok(1, "gnt-instance", "startup", f"inst{number}.lab.example")
        assert "inst" in hosts.ok(number, "ls", "/run/ganeti/fake-hypervisor")
    until(lambda: not verified(hosts, 1), "three nodes verify cleanly")
    for number in (2, 3):
        assert hosts.ok(number, "gnt-cluster", "getmaster") == "node1.lab.example\n"
        until(functools.partial(knows_nodes, hosts, number, 3), f"node{number} knows all nodes")
        assert hosts.ok(number, "gnt-cluster", "master-ping") == "the master node1.lab.example answers\n"


def test_bad_tokens_are_refused_and_leave_the_host_as_it_was(hosts: Hosts) -> None:
    before = {number: hosts.files(number) for number in (2, 3)}
    token = hosts.token()
    assert "not a whole join token" in hosts.refused(2, "ganeti-join", "garbage")
    assert "not a whole join token" in hosts.refused(2, "ganeti-join", token[:-3])
    assert "not a whole join token" in hosts.refused(2, "ganeti-join", token.swapcase())

    other = msgspec.structs.replace(read_token(token), authority=bytes(32)).text()
    assert "not the cluster that made this token" in hosts.refused(2, "ganeti-join", other)
    guessed = msgspec.structs.replace(read_token(token), secret=bytes(24)).text()
    assert "not known here" in hosts.refused(2, "ganeti-join", guessed)

    for_node3 = hosts.token("--name", "node3.lab.example")
    assert "this join token is for node3.lab.example" in hosts.refused(2, "ganeti-join", for_node3)

    short = hosts.token("--ttl", "1s")
    made_s = time.monotonic()
    until(lambda: time.monotonic() > made_s + 1.0, "a second is over")
    assert "not known here" in hosts.refused(2, "ganeti-join", short)
    assert {number: hosts.files(number) for number in (2, 3)} == before

    hosts.ok(2, "ganeti-join", token)  # it is still good: what was refused has not used it up
    assert "used already, by node2.lab.example" in hosts.refused(3, "ganeti-join", token)
    assert "in the cluster cluster.lab.example already" in hosts.refused(2, "ganeti-join", hosts.token())
    assert hosts.files(3) == before[3]


def test_a_host_with_a_name_that_the_master_knows_otherwise_is_refused(hosts: Hosts) -> None:
    before = hosts.files(3)
    hosts.ok(1, "sh", "-c", "sed -i '/node3/d' /etc/hosts")
    assert "does not resolve" in hosts.refused(3, "ganeti-join", hosts.token())
    hosts.ok(1, "sh", "-c", "echo 192.0.2.77 node3.lab.example >>/etc/hosts")
    assert "is 192.0.2.77, not 10.77" in hosts.refused(3, "ganeti-join", hosts.token())
    assert hosts.files(3) == before
    assert len(hosts.list(1, "node", "name")) == 1


def test_a_host_of_another_cluster_is_refused(hosts: Hosts) -> None:
    hosts.ok(3, "gnt-cluster", "init", "--enabled-hypervisors=fake", "cluster2.lab.example")
    said = hosts.refused(3, "ganeti-join", hosts.token())
    assert "in another cluster, cluster2.lab.example" in said
    assert hosts.list(3, "node", "name") == [["node3.lab.example"]]
    address = f"{hosts.lab.plan.names['cluster2.lab.example']}/32"
    assert address in hosts.devices(3)
    hosts.ok(3, "ganeti-join", "--force-join", hosts.token())
    assert address not in hosts.devices(3)
    until(lambda: not verified(hosts, 1), "two nodes verify cleanly")


# -- going out --------------------------------------------------------------------------------------------


def test_a_removed_node_is_refused_with_its_certificate_and_can_join_again(joined: Hosts) -> None:
    address = joined.lab.plan.host("node2").address
    knock = [PYTHON, "-c", KNOCK, "node2.lab.example", address]
    assert joined.ok(3, *knock).startswith("Vote(")
    joined.ok(3, "cp", "-r", "/var/lib/ganeti", "/root/kept")
    joined.ok(1, "gnt-node", "remove", "node3.lab.example")
    assert joined.refused(3, "gnt-cluster", "getmaster", status=12)
    assert len(joined.list(1, "node", "name")) == 2
    joined.ok(3, "sh", "-c", "cp /root/kept/node.pem /root/kept/ca.pem /root/kept/node.json /var/lib/ganeti/")
    assert "is not one of a master candidate" in joined.ok(3, *knock)
    joined.ok(3, "sh", "-c", "rm /var/lib/ganeti/node.pem /var/lib/ganeti/ca.pem /var/lib/ganeti/node.json")
    joined.ok(3, "ganeti-join", joined.token())
    until(lambda: not verified(joined, 1), "three nodes verify cleanly again")


def test_the_master_and_nodes_that_instances_need_stay(joined: Hosts) -> None:
    joined.add_instances(1, 3)
    assert "is the master" in joined.refused(1, "gnt-node", "remove", "node1.lab.example")
    assert "used by 1 instance (inst3" in joined.refused(1, "gnt-node", "remove", "node3.lab.example")
    assert "Node 'nobody' not known" in joined.refused(1, "gnt-node", "remove", "nobody")
    assert len(joined.list(1, "node", "name")) == 3


@needs_ssh
def test_a_node_comes_back_after_it_was_installed_anew(joined: Hosts) -> None:
    joined.add_instances(1, 3)
    uuid = joined.list(1, "node", "name,uuid")[2]
    joined.ok(3, "sh", "-c", "ganeti-daemons stop && rm -rf /var/lib/ganeti /etc/ganeti /run/ganeti")
    assert "already in the cluster" in joined.refused(1, "gnt-node", "add", "--no-ssh-key-check", "node3.lab.example")
    joined.ok(1, "gnt-node", "add", "--readd", "--no-ssh-key-check", "node3.lab.example")
    assert joined.list(1, "node", "name,uuid")[2] == uuid
    until(lambda: not verified(joined, 1), "three nodes verify cleanly again")
    joined.ok(1, "gnt-instance", "startup", "inst3.lab.example")


# -- another master ---------------------------------------------------------------------------------------


def test_when_the_master_dies_a_candidate_goes_on_and_the_old_one_is_refused(joined: Hosts) -> None:
    joined.add_instances(1, 1, 2, 3)
    job = joined.ok(1, "gnt-debug", "delay", "--submit", "5").split()[-1]
    joined.lab.kill("node1")
    said = joined.ok(2, "gnt-cluster", "master-failover")
    assert "2 of 3 nodes obey node2.lab.example now" in said
    assert len(joined.list(2, "instance", "name")) == 3
    until(
        lambda: ["success"] in joined.list(2, "job", "status") and job_status(joined, job) == "success", "the job ends"
    )
    address = f"{joined.lab.plan.host('node1').address.rpartition('.')[0]}.200/32"
    assert address in joined.devices(2)
    assert joined.ok(3, "gnt-cluster", "getmaster") == "node2.lab.example\n"
    joined.ok(2, "gnt-instance", "startup", "inst3.lab.example")

    said_there = joined.lab.start("node1")["node1"]
    assert "is node2.lab.example now" in said_there
    assert address not in joined.devices(1)
    assert "is not the master" in joined.refused(1, "gnt-instance", "list", status=11)
    assert "is node2.lab.example" in joined.ok(1, "sh", "-c", "tail -3 /var/log/ganeti/master-daemon.log")
    assert joined.refused(1, "ganeti-masterd", status=11)
    until(lambda: not verified(joined, 2), "the old master has become an ordinary candidate")

    joined.ok(1, "gnt-cluster", "master-failover")  # and back, with the other one alive
    until(lambda: joined.run(2, "pgrep", "-f", "ganeti-masterd")[0] == 1, "the master daemon of node2 has ended")
    assert address in joined.devices(1)
    assert address not in joined.devices(2)
    assert len(joined.list(1, "instance", "name")) == 3
    until(lambda: not verified(joined, 1), "three nodes verify cleanly again")


def test_a_master_that_was_cut_off_ends_when_it_hears_of_the_new_one(joined: Hosts) -> None:
    joined.lab.partition("node1")
    joined.ok(2, "gnt-cluster", "master-failover")
    joined.add_instances(2, 2)
    joined.lab.heal("node1")
    until(lambda: joined.run(1, "pgrep", "-f", "ganeti-masterd")[0] == 1, "the old master daemon has ended")
    until(lambda: joined.ok(1, "gnt-cluster", "getmaster") == "node2.lab.example\n", "node1 knows the new master")
    until(lambda: not verified(joined, 2), "three nodes verify cleanly again")
    assert len(joined.list(2, "instance", "name")) == 1


def test_a_failover_needs_most_nodes_or_an_operator_who_insists(joined: Hosts) -> None:
    assert "is the master already" in joined.refused(1, "gnt-cluster", "master-failover")
    joined.lab.kill("node1", "node3")
    said = joined.refused(2, "gnt-cluster", "master-failover")
    assert "only 1 of 3 nodes answer, and 2 must agree" in said
    assert joined.ok(2, "gnt-cluster", "getmaster") == "node1.lab.example\n"
    joined.ok(2, "gnt-cluster", "master-failover", "--no-voting", "--yes-do-it")
    assert len(joined.list(2, "node", "name,role")) == 3
    joined.lab.start("node3")
    until(lambda: joined.ok(3, "gnt-cluster", "getmaster") == "node2.lab.example\n", "node3 learns who is the master")


def test_only_a_candidate_becomes_master(joined: Hosts) -> None:
    joined.ok(1, "gnt-cluster", "modify", "--candidate-pool-size", "2")
    joined.ok(1, "gnt-node", "modify", "-C", "no", "node3.lab.example")
    until(lambda: "replica.db" not in joined.files(3), "node3 gives up its copy")
    until(lambda: "ca.key" not in joined.files(3), "node3 gives up the key of the authority")
    assert "is no master candidate" in joined.refused(3, "gnt-cluster", "master-failover")
    said = joined.refused(1, "gnt-node", "modify", "--offline", "yes", "node2.lab.example")
    assert "promote another node first" in said
    joined.ok(1, "gnt-node", "modify", "--offline", "yes", "--auto-promote", "node2.lab.example")
    assert joined.list(1, "node", "role") == [["M"], ["O"], ["C"]]
    until(lambda: "replica.db" in joined.files(3), "node3 gets a copy again")


def test_the_address_of_the_cluster_goes_and_comes(joined: Hosts) -> None:
    address = f"{joined.lab.plan.host('node1').address.rpartition('.')[0]}.200/32"
    joined.ok(1, "gnt-cluster", "deactivate-master-ip", "--yes")
    assert address not in joined.devices(1)
    joined.ok(1, "gnt-cluster", "activate-master-ip")
    assert address in joined.devices(1)
    joined.ok(1, "gnt-cluster", "activate-master-ip")
    joined.ok(3, "sh", "-c", "echo wrong >/var/lib/ganeti/ssconf_master_node")
    joined.ok(1, "gnt-cluster", "redist-conf")
    assert joined.ok(3, "cat", "/var/lib/ganeti/ssconf_master_node") == "node1.lab.example\n"


def knows_nodes(hosts: Hosts, number: int, count: int) -> bool:
    return hosts.ok(number, "cat", "/var/lib/ganeti/ssconf_node_list").count("\n") == count


def job_status(hosts: Hosts, job: str) -> str:
    return hosts.ok(2, "gnt-job", "list", "--no-headers", "-o", "status", job).strip()
