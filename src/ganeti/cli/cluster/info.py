"""`gnt-cluster info`."""

from __future__ import annotations

from ganeti.cli import output, table
from ganeti.cli.declare import Command, Option
from ganeti.cli.output import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ganeti.cli.declare import Options
    from ganeti.cli.session import Session


def readable(cluster: dict[str, Any]) -> Pairs:
    """A cluster as people read it. The keys are those of /info/cluster (contract.api)."""
    bits, machine = cluster["architecture"]
    return Pairs(
        [
            ("Cluster name", cluster["name"]),
            ("Cluster UUID", cluster["uuid"]),
            ("Creation time", table.timestamp(cluster["ctime"])),
            ("Modification time", table.timestamp(cluster["mtime"])),
            ("Master node", cluster["master"]),
            ("Architecture (this node)", f"{bits}s ({machine})"),
            ("Tags", _joined(sorted(cluster["tags"])) or "(none)"),
            ("Default hypervisor", cluster["default_hypervisor"]),
            ("Enabled hypervisors", _joined(cluster["enabled_hypervisors"])),
            ("Hypervisor parameters", _shown(cluster["hvparams"])),
            ("OS-specific hypervisor parameters", _shown(cluster["os_hvp"])),
            ("OS parameters", _shown(cluster["osparams"])),
            ("Hidden OSes", _joined(cluster["hidden_os"])),
            ("Blacklisted OSes", _joined(cluster["blacklisted_os"])),
            ("Cluster parameters", _settings(cluster)),
            ("Default node parameters", _shown(cluster["ndparams"])),
            ("Default instance parameters", _shown(_levels(cluster["beparams"]))),
            ("Default nic parameters", _shown(_levels(cluster["nicparams"]))),
            ("Default disk parameters", _shown(cluster["diskparams"])),
            ("Instance policy - limits for instances", _policy(cluster["ipolicy"])),
            ("Data collectors", _collectors(cluster)),
        ]
    )


def _settings(cluster: dict[str, Any]) -> Pairs:
    from ganeti.base.paths import OS_SEARCH_PATH

    return Pairs(
        [
            ("candidate pool size", cluster["candidate_pool_size"]),
            ("maximal number of jobs running simultaneously", cluster["max_running_jobs"]),
            ("maximal number of jobs simultaneously tracked by the scheduler", cluster["max_tracked_jobs"]),
            ("mac prefix", cluster["mac_prefix"]),
            ("master netdev", cluster["master_netdev"]),
            ("master netmask", cluster["master_netmask"]),
            ("use external master IP address setup script", cluster["use_external_mip_script"]),
            ("lvm volume group", cluster["volume_group_name"]),
            ("lvm reserved volumes", _joined(cluster["reserved_lvs"]) or "(none)"),
            ("drbd usermode helper", cluster["drbd_usermode_helper"]),
            ("file storage path", cluster["file_storage_dir"]),
            ("shared file storage path", cluster["shared_file_storage_dir"]),
            ("gluster storage path", cluster["gluster_storage_dir"]),
            ("maintenance of node health", cluster["maintain_node_health"]),
            ("uid pool", ", ".join(_range(low, high) for low, high in cluster["uid_pool"])),
            ("default instance allocator", cluster["default_iallocator"]),
            ("default instance allocator parameters", _shown(cluster["default_iallocator_params"])),
            ("primary ip version", cluster["primary_ip_version"]),
            ("preallocation wipe disks", cluster["prealloc_wipe_disks"]),
            ("OS search path", ", ".join(OS_SEARCH_PATH)),
            (
                "ExtStorage Providers search path",
                ", ".join(p.removesuffix("/os") + "/extstorage" for p in OS_SEARCH_PATH),
            ),
            ("enabled disk templates", _joined(cluster["enabled_disk_templates"])),
            ("install image", cluster["install_image"]),
            ("instance communication network", cluster["instance_communication_network"]),
            ("zeroing image", cluster["zeroing_image"]),
            ("compression tools", list(cluster["compression_tools"])),
            ("enabled user shutdown", cluster["enabled_user_shutdown"]),
            ("modify ssh setup", cluster["modify_ssh_setup"]),
            ("ssh_key_type", cluster["ssh_key_type"]),
            ("ssh_key_bits", cluster["ssh_key_bits"]),
        ]
    )


def _levels(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters below the name of their profile; there is one, `default`, also where the answer leaves it out."""
    return params if set(params) == {"default"} else {"default": params}


def _policy(policy: dict[str, Any]) -> Pairs:
    bounds = [
        Pairs([(f"{bound}/{number}", pair[bound]) for bound in ("max", "min")])
        for number, pair in enumerate(policy["minmax"])
    ]
    return Pairs(
        [
            ("bounds specs", bounds),
            ("std", policy["std"]),
            ("allowed disk templates", _joined(policy["disk-templates"])),
            ("spindle-ratio", f"{policy['spindle-ratio']:g}"),
            ("vcpu-ratio", f"{policy['vcpu-ratio']:g}"),
        ]
    )


def _collectors(cluster: dict[str, Any]) -> dict[str, Pairs]:
    return {
        name: Pairs([("active", active), ("interval", f"{cluster['data_collector_interval'][name] / 1_000_000:.3f}s")])
        for name, active in cluster["enabled_data_collectors"].items()
    }


def _shown(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters with null as nothing, at every depth."""
    return {key: _shown(value) if isinstance(value, dict) else output.shown(value) for key, value in params.items()}


def _joined(words: list[str]) -> str:
    return ", ".join(words)


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def run(session: Session, options: Options, arguments: list[str]) -> int:
    """`gnt-cluster info`."""
    cluster = session.master.info("cluster")
    return output.show(session, options, cluster, readable(cluster))


COMMAND = Command(
    run,
    "Show the settings and defaults of the cluster",
    options=(
        Option("--roman", "numbers as the Romans wrote them", refused="numbers are only printed in digits"),
        *output.STRUCTURED,
    ),
    examples=[("One setting in a script", "gnt-cluster info -o json | jq .master")],
)
