"""`gnt-cluster modify`."""

from __future__ import annotations

from ganeti.cli import jobs
from ganeti.cli.cluster import options as shared
from ganeti.cli.cluster import policy
from ganeti.cli.declare import FORCE, JOB, STRING, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session

OPTIONS = (
    FORCE.with_changes(param="force"),
    shared.HYPERVISORS.with_changes(param="enabled_hypervisors"),
    shared.TEMPLATES.with_changes(param="enabled_disk_templates"),
    shared.BACKEND.with_changes(param="beparams"),
    shared.HVPARAMS,
    shared.NICPARAMS.with_changes(param="nicparams"),
    shared.NDPARAMS.with_changes(param="ndparams"),
    shared.DISKPARAMS,
    shared.POOL_SIZE.with_changes(param="candidate_pool_size"),
    Option("--max-running-jobs", "most jobs that run at once", kind="int", param="max_running_jobs"),
    Option("--max-tracked-jobs", "most jobs that are looked after at once", kind="int", param="max_tracked_jobs"),
    shared.MAC_PREFIX.with_changes(param="mac_prefix"),
    shared.NETDEV.with_changes(param="master_netdev"),
    shared.NETMASK.with_changes(param="master_netmask"),
    shared.VG_NAME.with_changes(param="vg_name"),
    shared.FILE_DIR.with_changes(param="file_storage_dir"),
    shared.SHARED_DIR.with_changes(param="shared_file_storage_dir"),
    shared.DRBD_HELPER.with_changes(param="drbd_helper"),
    shared.IALLOCATOR.with_changes(param="default_iallocator"),
    shared.IALLOCATOR_PARAMS.with_changes(param="default_iallocator_params"),
    Option(
        "--instance-communication-network",
        "network of the metadata service",
        kind=STRING,
        metavar="NETWORK",
        param="instance_communication_network",
    ),
    Option(
        "--reserved-lvs",
        "logical volumes that verify ignores, as regular expressions",
        kind="list",
        metavar="REGEX,...",
        param="reserved_lvs",
    ),
    shared.NODE_HEALTH.with_changes(param="maintain_node_health"),
    shared.WIPE.with_changes(param="prealloc_wipe_disks"),
    shared.MIP_SCRIPT.with_changes(param="use_external_mip_script"),
    shared.UID_POOL.with_changes(kind="uids", param="uid_pool"),
    Option("--add-uids", "user ids to add to the pool", kind="uids", param="add_uids", metavar="LOW-HIGH,..."),
    Option("--remove-uids", "user ids to take from the pool", kind="uids", param="remove_uids", metavar="LOW-HIGH,..."),
    shared.HV_STATE,
    shared.DISK_STATE,
    shared.INSTALL_IMAGE.with_changes(param="install_image"),
    shared.ZEROING_IMAGE.with_changes(param="zeroing_image"),
    shared.COMPRESSION.with_changes(param="compression_tools"),
    Option("--modify-etc-hosts", "let the cluster edit /etc/hosts", kind="bool", param="modify_etc_hosts"),
    shared.USER_SHUTDOWN.with_changes(param="enabled_user_shutdown"),
    Option("--enabled-data-collectors", "which collectors run", kind="keyval", metavar="COLLECTOR=yes|no,..."),
    Option("--data-collector-interval", "how often they run", kind="keyval", metavar="COLLECTOR=SECONDS,..."),
    policy.STD_SPECS,
    *policy.OPTIONS,
    *JOB,
)


def operation(options: Options) -> dict[str, Any]:
    """The operation these options ask for. Raises `Refused` when they ask for nothing."""
    from ganeti.base.errors import WRONG_INPUT, Refused

    op = jobs.op_from("OP_CLUSTER_SET_PARAMS", OPTIONS, options)
    for option, param in (
        (shared.HVPARAMS, "hvparams"),
        (shared.DISKPARAMS, "diskparams"),
        (shared.HV_STATE, "hv_state"),
        (shared.DISK_STATE, "disk_state"),
    ):
        if options[option.dest]:
            op[param] = shared.keyed(option.names[-1], options[option.dest])
    if chosen := policy.chosen(options):
        op["ipolicy"] = chosen
    if options["enabled_data_collectors"]:
        op["enabled_data_collectors"] = {
            name: _yes(name, text) for name, text in options["enabled_data_collectors"].items()
        }
    if options["data_collector_interval"]:
        op["data_collector_interval"] = {
            name: _microseconds(name, text) for name, text in options["data_collector_interval"].items()
        }
    if not set(op) - {"OP_ID", "force"}:
        raise Refused(WRONG_INPUT, "nothing to change is given; --help shows what can be changed")
    return op


def _yes(name: str, text: Any) -> bool:
    from ganeti.base.errors import WRONG_INPUT, Refused

    meaning = {"yes": True, "true": True, "no": False, "false": False}
    value = text if isinstance(text, bool) else meaning.get(str(text).lower())
    if value is None:
        raise Refused(WRONG_INPUT, f"data collector {name}: yes or no; not '{text}'")
    return value


def _microseconds(name: str, text: Any) -> int:
    from ganeti.base.errors import WRONG_INPUT, Refused

    try:
        seconds = float(text) if isinstance(text, str) else -1.0
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e9:
        raise Refused(WRONG_INPUT, f"data collector {name}: the interval is a number of seconds; not '{text}'")
    return round(seconds * 1_000_000)


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster modify`."""
    jobs.one(session, options, operation(options))
    return 0


COMMAND = Command(
    run,
    "Change settings and defaults of the cluster",
    options=OPTIONS,
    examples=[
        ("More memory for instances that say nothing else", "gnt-cluster modify -B maxmem=1G,minmem=512M"),
        ("Boot from the disk's own kernel", "gnt-cluster modify -H kvm:kernel_path="),
    ],
    op="OP_CLUSTER_SET_PARAMS",
)
