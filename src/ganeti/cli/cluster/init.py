"""`gnt-cluster init`: make this host a cluster of one node. Runs here, without a master."""

from __future__ import annotations

from ganeti.cli.cluster import options as shared
from ganeti.cli.cluster import policy
from ganeti.cli.declare import STRING, Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

_SPECS = ("cpu-count", "disk-count", "disk-size", "mem-size", "nic-count")

OPTIONS = (
    shared.HYPERVISORS,
    shared.TEMPLATES,
    shared.NETDEV,
    shared.NETMASK,
    Option("-s --secondary-ip", "address of this node for replication", kind=STRING, metavar="ADDRESS"),
    Option("--primary-ip-version", "version of IP that nodes talk in", choices=("4", "6"), default="4"),
    shared.BACKEND,
    shared.HVPARAMS,
    shared.NICPARAMS,
    shared.NDPARAMS,
    shared.DISKPARAMS,
    shared.MAC_PREFIX,
    shared.POOL_SIZE,
    shared.VG_NAME,
    shared.FILE_DIR,
    shared.SHARED_DIR,
    Option(
        "--gluster-storage-dir",
        "where Gluster volumes are mounted",
        kind=STRING,
        default="/var/run/ganeti/gluster",
        metavar="DIR",
    ),
    shared.DRBD_HELPER,
    shared.IALLOCATOR,
    shared.IALLOCATOR_PARAMS,
    Option("--no-etc-hosts", "leave /etc/hosts alone", off=True),
    Option("--no-ssh-init", "leave the configuration of SSH alone", off=True),
    Option("--ssh-key-type", "kind of SSH key", choices=("rsa", "dsa", "ecdsa")),
    Option("--ssh-key-bits", "length of SSH keys", kind="int", metavar="BITS"),
    shared.NODE_HEALTH,
    shared.WIPE,
    shared.MIP_SCRIPT,
    shared.UID_POOL,
    shared.HV_STATE,
    shared.DISK_STATE,
    shared.INSTALL_IMAGE,
    shared.ZEROING_IMAGE,
    shared.COMPRESSION,
    shared.USER_SHUTDOWN,
    policy.STD_SPECS,
    *policy.OPTIONS,
    *(Option(f"--specs-{name}", f"policy: min, max and std of {name}", kind="keyval") for name in _SPECS),
)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster init NAME`."""
    return session.local("cluster init")(dict(options), arguments)


COMMAND = Command(
    run,
    "Make this host the first node and the master of a new cluster",
    arguments=(Argument("NAME"),),
    options=OPTIONS,
    description="NAME must resolve to an address that nobody uses yet: the master will carry it. What is not given is"
    " detected and said: hypervisor, disk templates, bridge, network device.",
    examples=[
        ("Let it find out the rest", "gnt-cluster init cluster.example.com"),
        (
            "File storage and KVM",
            "gnt-cluster init --enabled-hypervisors=kvm --enabled-disk-templates=file,diskless cluster.example.com",
        ),
    ],
    local=True,
)
