"""`gnt-instance add`: make an instance, install an operating system in it and start it."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.declare import JOB, STRING, Argument, Command, Option
from ganeti.cli.instance import devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

TEMPLATES = ("blockdev", "diskless", "drbd", "ext", "file", "gluster", "plain", "rbd", "sharedfile")

TEMPLATE = Option(
    "-t --disk-template", "how disks are stored", choices=TEMPLATES, param="disk_template", metavar="TEMPLATE"
)
FILE_DRIVER = Option(
    "--file-driver", "driver of file disks", choices=("loop", "blktap", "blktap2"), param="file_driver"
)
FILE_DIR = Option(
    "--file-storage-dir",
    "directory below the cluster's, for file disks",
    kind=STRING,
    param="file_storage_dir",
    metavar="DIR",
)
DISK = Option(
    "--disk",
    "a disk by its number; keys: size, mode, name, vg, metavg, adopt, spindles, provider, access",
    kind="ident",
    repeat=True,
    metavar="N:size=SIZE,...",
)
NET = Option(
    "--net",
    "a network interface by its number; keys: mac, ip, mode, link, vlan, network, name",
    kind="ident",
    repeat=True,
    metavar="N:KEY=VALUE,...",
)
BACKEND = Option(
    "-B --backend-parameters",
    "memory, processors and the like: maxmem, minmem, memory, vcpus, auto_balance, always_failover, spindle_use",
    kind="keyval",
    param="beparams",
)
OS_PARAMETERS = Option("-O --os-parameters", "parameters of the operating system", kind="keyval", param="osparams")
OS_PRIVATE = Option(
    "--os-parameters-private", "the same, kept but never shown", kind="private", param="osparams_private"
)
OS_SECRET = Option(
    "--os-parameters-secret", "the same, used once and never kept", kind="private", param="osparams_secret"
)
OS_TYPE = Option(
    "-o --os-type",
    "operating system, with +VARIANT where it has variants",
    kind=STRING,
    param="os_type",
    metavar="OS",
    complete="os",
)
INSTALL_TIMEOUT = Option(
    "--install-timeout", "seconds until the install script of the system is ended", kind="int", param="install_timeout"
)
FORCE_VARIANT = Option(
    "--force-variant", "accept a variant that the operating system does not declare", param="force_variant"
)
IALLOCATOR = Option("-I --iallocator", "who chooses the node", kind=STRING, param="iallocator", metavar="NAME")
IGNORE_IPOLICY = Option("--ignore-ipolicy", "a breach of the instance policy is only a warning", param="ignore_ipolicy")
CONFLICTS = Option(
    "--no-conflicts-check", "do not ask whether an address belongs to a network", off=True, param="conflicts_check"
)
WAIT = Option("--no-wait-for-sync", "do not wait until mirrors are in sync", off=True, param="wait_for_sync")

OPTIONS = (
    OS_TYPE,
    TEMPLATE,
    Option("-s --os-size", "one disk of that size", kind="size"),
    DISK,
    NET,
    Option("--no-nics", "no network interface at all"),
    Option(
        "-n --node",
        "primary node, and the secondary one after a colon",
        kind=STRING,
        metavar="NODE[:NODE]",
        complete="node",
    ),
    Option("-g --node-group", "choose a node of this group", kind=STRING, param="group_name", metavar="GROUP"),
    IALLOCATOR,
    BACKEND,
    Option(
        "-H --hypervisor-parameters", "hypervisor and its parameters", kind="ident", metavar="HYPERVISOR:KEY=VALUE,..."
    ),
    OS_PARAMETERS,
    OS_PRIVATE,
    OS_SECRET,
    FORCE_VARIANT,
    INSTALL_TIMEOUT,
    Option(
        "--no-install",
        "do not install: the disks hold a system already; the instance is not started",
        param="no_install",
    ),
    Option("--no-start", "leave it down", off=True, param="start"),
    Option("--tags", "tags, parted by commas", kind="list", param="tags"),
    FILE_DRIVER,
    FILE_DIR,
    Option("--ip-check", "refuse when the address answers already", param="ip_check"),
    Option("--no-ip-check", "do not ask whether the address answers (this is usual)"),
    Option("--name-check", "refuse a name that does not resolve", param="name_check"),
    Option("--no-name-check", "do not resolve the name (this is usual)"),
    CONFLICTS,
    WAIT,
    IGNORE_IPOLICY,
    Option(
        "--opportunistic-locking", "only consider nodes that nobody works on right now", param="opportunistic_locking"
    ),
    Option("--forthcoming", "only reserve: nothing is made yet", param="forthcoming"),
    Option("--commit", "make an instance that was reserved", param="commit"),
    Option("-c --communication", "an interface to the metadata service", kind="bool", param="instance_communication"),
    Option(
        "--helper-startup-timeout", "seconds a helper VM may take to start", kind="int", param="helper_startup_timeout"
    ),
    Option(
        "--helper-shutdown-timeout", "seconds a helper VM may take to stop", kind="int", param="helper_shutdown_timeout"
    ),
    *JOB,
)


def operation(options: Options, name: str) -> dict[str, Any]:
    """The operation these options ask for. Raises `Refused` for what contradicts itself."""
    from ganeti.base.errors import WRONG_INPUT, Refused

    for check in ("ip", "name"):
        if options[f"{check}_check"] and options[f"no_{check}_check"]:
            raise Refused(WRONG_INPUT, f"--{check}-check and --no-{check}-check exclude each other")
    if options["net"] and options["no_nics"]:
        raise Refused(WRONG_INPUT, "--net and --no-nics exclude each other")
    if options["forthcoming"] and options["commit"]:
        raise Refused(WRONG_INPUT, "--forthcoming and --commit exclude each other")
    op = jobs.op_from("OP_INSTANCE_CREATE", OPTIONS, options, mode="create", instance_name=name)
    op["nics"] = [] if options["no_nics"] else devices.new_nics(options["net"] or [])
    op["disks"] = devices.new_disks(options["disk"] or [], options["os_size"], options["disk_template"])
    if options["node"]:
        primary, colon, secondary = options["node"].partition(":")
        if not primary or (colon and not secondary):
            raise Refused(WRONG_INPUT, f"'{options['node']}' is no node, and no pair of nodes as node1:node2")
        op["pnode"] = primary
        if secondary:
            op["snode"] = secondary
    if options["hypervisor_parameters"]:
        hypervisor, values = options["hypervisor_parameters"]
        if not isinstance(values, dict):
            raise Refused(WRONG_INPUT, f"-H names the hypervisor: -H {hypervisor}:KEY=VALUE,...")
        op["hypervisor"] = hypervisor
        if values:
            op["hvparams"] = values
    if options["no_install"]:
        op["start"] = False
    return op


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-instance add NAME`."""
    jobs.one(session, options, operation(options, arguments[0]))
    return 0


COMMAND = Command(
    run,
    "Make an instance, install an operating system in it and start it",
    arguments=(Argument("NAME"),),
    options=OPTIONS,
    description="Without -n and -I the cluster chooses the node. What is not given is the cluster's default."
    " --dry-run tells which node would be taken and why, and the steps.",
    examples=[
        ("A small machine with one disk", "gnt-instance add -t file -s 10G -o tiny web1.example.com"),
        (
            "Two disks, more memory, an address",
            "gnt-instance add -t file --disk 0:size=10G --disk 1:size=100G,mode=ro -B memory=4G,vcpus=2 --net 0:ip=192.0.2.10 -o tiny db1.example.com",
        ),
        ("See what would happen", "gnt-instance add --dry-run -t file -s 10G -o tiny web2.example.com"),
    ],
    op="OP_INSTANCE_CREATE",
)
