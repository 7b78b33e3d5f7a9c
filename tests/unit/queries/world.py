"""A made-up cluster for tests of queries, and `Sources` over it that remember what was asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ganeti.base.errors import Failed, Unavailable
from ganeti.contract.calls.disk import DiskSizes
from ganeti.contract.calls.instance import GuestStates
from ganeti.contract.calls.node import NodeFacts
from ganeti.contract.calls.os import OsList
from ganeti.contract.guest import Console, GuestState, GuestStatus, HypervisorFacts
from ganeti.contract.os import OsFound
from ganeti.contract.storage import Space
from ganeti.contract.view import View
from ganeti.master.queries.sources import LockRow, Software
from ganeti.model.jobs import Job, JobId, LogEntry, OpState
from ganeti.model.objects import Cluster, Disk, Group, Instance, Nic, Node, Stored, Uuid
from ganeti.model.params import Param
from ganeti.model.picture import Picture
from ganeti.model.traits import Catalog, HypervisorTraits, StorageTraits

KVM = HypervisorTraits(
    name="kvm",
    params=(
        Param(name="acpi", kind="bool", default=True),
        Param(name="kernel_path", kind="string", default="/boot/vmlinuz"),
        Param(name="serial_speed", kind="int", default=38400),
        Param(name="vnc_bind_address", kind="string", default=""),
        Param(name="migration_port", kind="int", default=8102, cluster_only=True),
    ),
)
FAKE = HypervisorTraits(
    name="fake", params=(Param(name="migration_mode", kind="string", default="live", cluster_only=True),)
)
DRBD_PARAMS: dict[str, Any] = {
    "c-delay-target": 1,
    "c-fill-target": 0,
    "c-max-rate": 61440,
    "c-min-rate": 4096,
    "c-plan-ahead": 20,
    "data-stripes": 1,
    "disk-barriers": "n",
    "disk-custom": "",
    "dynamic-resync": False,
    "meta-barriers": False,
    "meta-stripes": 1,
    "metavg": "xenvg",
    "net-custom": "",
    "protocol": "C",
    "resync-rate": 61440,
}
STORAGE_PARAMS: dict[str, dict[str, Any]] = {
    "blockdev": {},
    "diskless": {},
    "drbd": DRBD_PARAMS,
    "ext": {"access": "kernelspace"},
    "file": {},
    "gluster": {"access": "kernelspace", "host": "127.0.0.1", "port": 24007, "volume": "gv0"},
    "plain": {"stripes": 1},
    "rbd": {"access": "kernelspace", "pool": "rbd"},
    "sharedfile": {},
}
CATALOG = Catalog(
    hypervisors={"kvm": KVM, "fake": FAKE},
    storages={
        template: StorageTraits(
            template=template,
            storage_type=template,
            mirrored="internal" if template == "drbd" else "none",
            params=tuple(Param(name=name, kind="string", default=value) for name, value in params.items()),
        )
        for template, params in STORAGE_PARAMS.items()
    },
    networks={},
)
SOFTWARE = Software(version="4.0", architecture=("64bits", "x86_64"), os_search_path=("/srv/ganeti/os",))
GROUP = Group(uuid=Uuid("g1"), name="default")
CLUSTER = Cluster(
    uuid=Uuid("c"),
    cluster_name="cluster.example",
    master_node=Uuid("n1"),
    master_ip="10.0.0.1",
    master_netdev="eth0",
    enabled_hypervisors=("kvm", "fake"),
    enabled_disk_templates=("diskless", "file", "drbd"),
    os_hvp={"debian": {"kvm": {"serial_speed": 9600}}},
    osparams={"debian": {"mirror": "local"}},
    osparams_private_cluster={"debian": {"password": "do-not-show"}},
    volume_group_name="xenvg",
)


def node(number: int, **changes: Any) -> Node:
    """Node nodeN.example with uuid nN."""
    given = {"uuid": f"n{number}", "name": f"node{number}.example", "group": GROUP.uuid}
    addresses = {"primary_ip": f"10.0.0.{number}", "secondary_ip": f"10.1.0.{number}"}
    return Node(**{**given, **addresses, **changes})


def instance(name: str, /, **changes: Any) -> Instance:
    """A kvm instance on node1 that shall be up."""
    given = {"uuid": f"i-{name}", "name": f"{name}.example", "primary_node": "n1", "hypervisor": "kvm"}
    return Instance(**{**given, "admin_state": "up", "os": "debian+base", **changes})


def rich(name: str = "web1", /, **changes: Any) -> Instance:
    """An instance that has something of everything."""
    nics = (
        Nic(uuid=Uuid("nic0"), mac="aa:00:00:00:00:01", ip="10.9.0.1", name="front"),
        Nic(
            uuid=Uuid("nic1"),
            mac="aa:00:00:00:00:02",
            network=Uuid("net"),
            nicparams={"mode": "routed", "link": "main"},
        ),
    )
    disks = (
        Disk(
            uuid=Uuid("d0"),
            dev_type="drbd",
            size=1024,
            name="root",
            logical_id=("n1", "n2", 11000, 0, 1, "do-not-show"),
        ),
        Disk(
            uuid=Uuid("d1"), dev_type="drbd", size=512, spindles=2, logical_id=("n1", "n2", 11001, 1, 2, "do-not-show")
        ),
    )
    given: dict[str, Any] = {
        "secondary_nodes": ("n2",),
        "disk_template": "drbd",
        "disks": disks,
        "nics": nics,
        "beparams": {"maxmem": 512},
        "hvparams": {"acpi": False},
        "osparams": {"suite": "stable"},
        "osparams_private": {"key": "do-not-show"},
        "network_port": 11002,
        "tags": ("prod", "web"),
    }
    return instance(name, **{**given, **changes})


def picture(*objects: Stored, cluster: Cluster = CLUSTER) -> Picture:
    """A picture of a cluster with one group and these objects."""
    return Picture().with_changes(revision=7, put=[cluster, GROUP, *objects])


def guest(of: Instance, status: GuestStatus = "running", memory_mib: int = 128) -> GuestState:
    """What a node says of an instance's guest."""
    return GuestState(name=of.name, hypervisor=of.hypervisor, status=status, memory_mib=memory_mib, vcpus=2)


def facts() -> NodeFacts:
    """What a healthy node says of itself."""
    hypervisor = HypervisorFacts(
        memory_total_mib=4096, memory_free_mib=3000, memory_node_mib=500, cpu_total=4, details={"cpu_dom0": 1}
    )
    space = Space(storage_type="file", name="/srv", total_mib=10000, free_mib=7000)
    return NodeFacts(boot_id="boot", hypervisors={"kvm": hypervisor}, storages={"file": space})


def os_found(name: str = "debian", /, **changes: Any) -> OsFound:
    """A valid OS definition."""
    given: dict[str, Any] = {"path": f"/srv/ganeti/os/{name}", "variants": ("base", "full"), "api_versions": (20, 15)}
    return OsFound(name=name, **{**given, "parameters": {"mirror": "where from"}, **changes})


def job(number: int, *states: Any, **changes: Any) -> Job:
    """A job with one operation for each state."""
    ops = tuple(
        OpState(
            input={"OP_ID": "OP_TEST_DELAY", "duration": 1.0},
            status=state,
            log=(LogEntry(serial=1, time_s=1.25, kind="message", text="hello"),),
            start_timestamp=1000.5,
        )
        for state in states
    )
    return Job(**{"id": JobId(number), "ops": ops, "received_timestamp": 1000.000001, **changes})


class World:
    """Sources with settable answers; `asked` lists every call to nodes."""

    def __init__(self, picture: Picture, catalog: Catalog = CATALOG) -> None:
        self.view = View(picture=picture, catalog=catalog, addressing={})
        self.software = SOFTWARE
        self.queue_drained = False
        self.watcher_pause: float | None = None
        self.asked: list[tuple[str, list[str]]] = []
        self.guests: dict[str, GuestStates | Unavailable | Failed] = {}
        self.facts: dict[str, NodeFacts | Unavailable | Failed] = {}
        self.oses: dict[str, OsList | Unavailable | Failed] = {}
        self.sizes: dict[str, int | None] = {}
        self.job_list: list[Job] = []
        self.archive: list[Job] = []
        self.lock_list: list[LockRow] = []

    def jobs(self) -> Iterable[Job]:
        """See `Sources`."""
        return self.job_list

    async def archived_jobs(self, ids: Collection[JobId] | None) -> Iterable[Job]:
        """See `Sources`."""
        self.asked.append(("archive", sorted(map(str, ids or ()))))
        return [job for job in self.archive if ids is None or job.id in ids]

    def locks(self) -> Iterable[LockRow]:
        """See `Sources`."""
        return self.lock_list

    async def live_nodes(self, nodes: Collection[Uuid]) -> dict[Uuid, NodeFacts | Unavailable | Failed]:
        """See `Sources`."""
        self.asked.append(("facts", sorted(nodes)))
        return {uuid: self.facts[uuid] for uuid in nodes if uuid in self.facts}

    async def live_guests(self, nodes: Collection[Uuid]) -> dict[Uuid, GuestStates | Unavailable | Failed]:
        """See `Sources`."""
        self.asked.append(("guests", sorted(nodes)))
        return {uuid: self.guests.get(uuid, GuestStates()) for uuid in nodes}

    async def os_lists(self, nodes: Collection[Uuid]) -> dict[Uuid, OsList | Unavailable | Failed]:
        """See `Sources`."""
        self.asked.append(("oses", sorted(nodes)))
        return {uuid: self.oses[uuid] for uuid in nodes if uuid in self.oses}

    async def consoles(self, instances: Sequence[Instance]) -> dict[Uuid, Console | Unavailable | Failed]:
        """See `Sources`."""
        self.asked.append(("consoles", [row.name for row in instances]))
        return {row.uuid: Console(instance=row.name, kind="ssh", host="node1.example") for row in instances}

    async def disk_sizes(self, disks: Mapping[Uuid, Sequence[Disk]]) -> dict[Uuid, DiskSizes | Unavailable | Failed]:
        """See `Sources`."""
        self.asked.append(("sizes", sorted(disks)))
        return {
            node: DiskSizes(sizes_mib=tuple(self.sizes.get(disk.uuid, disk.size) for disk in wanted))
            for node, wanted in disks.items()
        }
