"""Options that `init` and `modify` of a cluster share."""

from __future__ import annotations

from ganeti.cli.declare import STRING, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

BACKEND = Option("-B --backend-parameters", "defaults for memory, processors and the like", kind="keyval")
POOL_SIZE = Option("-C --candidate-pool-size", "how many nodes can become master", kind="int")
HYPERVISORS = Option(
    "--enabled-hypervisors", "hypervisors that instances may use; the first is the default", kind="list"
)
HVPARAMS = Option(
    "-H --hypervisor-parameters",
    "defaults of a hypervisor",
    kind="ident",
    repeat=True,
    metavar="HYPERVISOR:KEY=VALUE,...",
)
MAC_PREFIX = Option("-m --mac-prefix", "first half of MAC addresses", kind=STRING, metavar="XX:XX:XX")
NETDEV = Option("--master-netdev", "device that carries the cluster's address", kind=STRING, metavar="DEVICE")
NETMASK = Option("--master-netmask", "prefix length of the cluster's address", kind="int", metavar="BITS")
NICPARAMS = Option("-N --nic-parameters", "defaults of network interfaces: mode, link, vlan", kind="keyval")
VG_NAME = Option("--vg-name", "LVM volume group", kind=STRING, metavar="NAME")
NODE_HEALTH = Option("--maintain-node-health", "the watcher may stop what should not run", kind="bool")
UID_POOL = Option("--uid-pool", "user ids for guests", kind=STRING, metavar="LOW-HIGH,...")
DRBD_HELPER = Option("--drbd-usermode-helper", "program that DRBD calls", kind=STRING, metavar="PATH")
IALLOCATOR = Option("-I --default-iallocator", "who chooses nodes", kind=STRING, metavar="NAME")
IALLOCATOR_PARAMS = Option("--default-iallocator-params", "its parameters", kind="keyval")
WIPE = Option("--prealloc-wipe-disks", "write zeros to new disks", kind="bool")
NDPARAMS = Option("--node-parameters", "defaults of nodes", kind="keyval")
MIP_SCRIPT = Option("--use-external-mip-script", "a script of yours sets the cluster's address up", kind="bool")
DISKPARAMS = Option(
    "-D --disk-parameters", "defaults of a disk template", kind="ident", repeat=True, metavar="TEMPLATE:KEY=VALUE,..."
)
HV_STATE = Option("--hypervisor-state", "declared state of hypervisors", kind="ident", repeat=True)
DISK_STATE = Option(
    "--disk-state", "declared state of storage", kind="ident", repeat=True, metavar="TYPE/NAME:KEY=VALUE,..."
)
TEMPLATES = Option("--enabled-disk-templates", "disk templates that instances may use", kind="list")
FILE_DIR = Option("--file-storage-dir", "directory of file disks", kind=STRING, metavar="DIR", complete="file")
SHARED_DIR = Option(
    "--shared-file-storage-dir", "directory of shared file disks", kind=STRING, metavar="DIR", complete="file"
)
INSTALL_IMAGE = Option("--install-image", "image of the helper VM that installs", kind=STRING, metavar="PATH")
ZEROING_IMAGE = Option("--zeroing-image", "operating system of the helper VM that zeroes", kind=STRING, metavar="OS")
COMPRESSION = Option("--compression-tools", "tools that may compress transfers", kind="list")
USER_SHUTDOWN = Option("--user-shutdown", "a guest that powers itself off stays down", kind="bool")


def keyed(option: str, described: Sequence[tuple[str, Any]]) -> dict[str, dict[str, Any]]:
    """Repeated `NAME:k=v` options as one object. Raises `Refused` when a name has no values."""
    from ganeti.base.errors import WRONG_INPUT, Refused

    result: dict[str, dict[str, Any]] = {}
    for name, values in described:
        if not isinstance(values, dict):
            raise Refused(WRONG_INPUT, f"{option} {name}: give values, as {name}:KEY=VALUE; KEY=default resets one")
        result.setdefault(name, {}).update(values)
    return result
