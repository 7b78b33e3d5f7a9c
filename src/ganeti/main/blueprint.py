"""Decide what `gnt-cluster init` makes: the cluster, its first group and node, from options, host and drivers. Pure.

What is not given is detected, and said in one line each; what is given always wins. Spec: cli, "gnt-cluster init"
and its behaviour notes; params, "cluster-level settings".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from ganeti.base import units
from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.base.ids import Ids
from ganeti.main import checks
from ganeti.main.detect import Family, HostFacts
from ganeti.model import effective, policy
from ganeti.model.names import checked_host
from ganeti.model.objects import Cluster, Group, Node, Params, Uuid
from ganeti.model.params import DEFAULT, Param, defaults, is_normal_absolute, merged, own_values, read
from ganeti.model.traits import Catalog

DEFAULT_BRIDGE: Final = "xen-br0"
DEFAULT_VOLUME_GROUP: Final = "xenvg"
DEFAULT_GROUP: Final = "default"
SYSTEM_DIRECTORIES: Final = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sbin", "/sys", "/usr")

LATER: Final[dict[str, str]] = {
    "default_iallocator": "there are no external allocators yet; instances are placed by the cluster itself",
    "default_iallocator_params": "there are no external allocators yet",
    "drbd_usermode_helper": "there are no DRBD disks yet",
    "hypervisor_state": "declared hypervisor state has no effect yet",
    "disk_state": "declared disk state has no effect yet",
    "install_image": "OS scripts do not run inside a helper VM yet",
    "zeroing_image": "disks are not zeroed by a helper VM yet",
    "maintain_node_health": "there is no watcher yet that would do it",
    "prealloc_wipe_disks": "disks are not wiped at creation yet; file disks read as zeros anyway",
    "uid_pool": "guests do not run under user ids of a pool yet",
    "use_external_mip_script": "the address of the cluster is always set up by the cluster itself yet",
    "compression_tools": "there are no exports yet that would be compressed",
}
"""Options that are part of the interface and that nothing obeys yet, and what to say to whom uses one."""

_HARMLESS: Final[dict[str, tuple[object, ...]]] = {"default_iallocator": ("hail",)}
_KEY_BITS: Final = {"rsa": 2048, "dsa": 1024, "ecdsa": 256}
_MAC_PREFIX: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){2}")
_SPECS: Final = {
    "specs_cpu_count": "cpu-count",
    "specs_disk_count": "disk-count",
    "specs_disk_size": "disk-size",
    "specs_mem_size": "memory-size",
    "specs_nic_count": "nic-count",
}
_SIZES: Final = frozenset({"disk-size", "memory-size"})


class Blueprint(msgspec.Struct, frozen=True, kw_only=True):
    """The first objects of a cluster; the node has no certificate yet. `detected`: what was chosen, and why."""

    cluster: Cluster
    group: Group
    node: Node
    detected: tuple[str, ...] = ()


def draw(
    options: Mapping[str, Any],
    cluster_name: str,
    *,
    facts: HostFacts,
    catalog: Catalog,
    ids: Ids,
    now_s: float,
    root: str = "",
) -> Blueprint:
    """Everything decided, or `Refused`. `root` goes before the storage directories that nobody named."""
    name = checked_host(cluster_name, what="cluster name")
    refuse_later_options(options)
    checks.no_cluster_here(facts)
    node_address = checks.host_address(facts, name)
    address = checks.cluster_address(facts, name, node_address)
    said: list[str] = []

    hypervisors = _hypervisors(options, facts, catalog, said.append)
    asked_group = _given(options, "vg_name", DEFAULT_VOLUME_GROUP)
    templates = _templates(options, facts, catalog, asked_group, said.append)
    volume_group = None
    on_lvm = [each for each in templates if catalog.storage(each).lvm]
    if on_lvm or options.get("vg_name"):
        volume_group = checks.volume_group_usable(facts, asked_group, on_lvm)

    nicparams = _nicparams(options, facts, catalog, said.append)
    family = ip_family(options)
    stamps: dict[str, Any] = {"ctime": now_s, "mtime": now_s}
    group = Group(uuid=Uuid(ids.uuid()), name=DEFAULT_GROUP, **stamps)
    node = Node(
        uuid=Uuid(ids.uuid()),
        name=facts.host_name,
        primary_ip=node_address,
        secondary_ip=checks.secondary_address(facts, options.get("secondary_ip"), node_address),
        group=group.uuid,
        **stamps,
    )
    full_prefix = 32 if family == 4 else 128
    cluster = Cluster(
        uuid=Uuid(ids.uuid()),
        cluster_name=name,
        master_node=node.uuid,
        master_ip=address,
        master_netdev=_netdev(options, facts, node_address, said.append),
        master_netmask=_number(options, "master_netmask", full_prefix, low=1, high=full_prefix),
        primary_ip_family=family,
        enabled_hypervisors=hypervisors,
        enabled_disk_templates=templates,
        hvparams=_kernels(_hvparams(options, hypervisors, catalog), hypervisors, facts, catalog, said.append),
        beparams=_beparams(options),
        nicparams=nicparams,
        ndparams=own_values(
            effective.NODE, {}, options.get("node_parameters") or {}, where="a node", cluster_level=True
        ),
        diskparams=_diskparams(options, templates, catalog),
        ipolicy=_ipolicy(options, templates),
        candidate_pool_size=_number(options, "candidate_pool_size", 10, low=1),
        mac_prefix=_mac_prefix(_given(options, "mac_prefix", "aa:00:00")),
        volume_group_name=volume_group,
        file_storage_dir=_directory(options, "file_storage_dir", "/srv/ganeti/file-storage", root),
        shared_file_storage_dir=_directory(options, "shared_file_storage_dir", "/srv/ganeti/shared-file-storage", root),
        gluster_storage_dir=_directory(options, "gluster_storage_dir", "/var/run/ganeti/gluster", root),
        modify_etc_hosts=not root and _yes(options, "etc_hosts", True),
        modify_ssh_setup=_yes(options, "ssh_init", True),
        enabled_user_shutdown=_yes(options, "user_shutdown", False),
        ssh_key_type=_ssh_key_type(options),
        ssh_key_bits=_number(options, "ssh_key_bits", _KEY_BITS[_ssh_key_type(options)], low=256, high=16384),
        **stamps,
    )
    return Blueprint(cluster=cluster, group=group, node=node, detected=tuple(said))


def ip_family(options: Mapping[str, Any]) -> Family:
    """The version of IP that names resolve to."""
    match str(options.get("primary_ip_version") or 4):
        case "4":
            return 4
        case "6":
            return 6
        case other:
            raise Refused(WRONG_INPUT, f"--primary-ip-version is 4 or 6, not '{other}'")


def refuse_later_options(options: Mapping[str, Any]) -> None:
    """`Refused` for an option that would be ignored."""
    for option, why in LATER.items():
        value = options.get(option)
        if value in (None, False, "", "no", "false", [], {}, ()) or value in _HARMLESS.get(option, ()):
            continue
        raise Refused(WRONG_INPUT, f"--{option.replace('_', '-')} cannot be used yet: {why}", option=option)


def _hypervisors(
    options: Mapping[str, Any], facts: HostFacts, catalog: Catalog, say: Callable[[str], None]
) -> tuple[str, ...]:
    asked = _words(options.get("enabled_hypervisors"))
    if not asked:
        asked = ("xen-pvm",) if facts.dom0 else ("kvm",)
        say(f"hypervisor: {asked[0]} ({'this host is a Xen dom0' if facts.dom0 else 'this host is no Xen dom0'})")
    for each in asked:
        catalog.hypervisor(each)
    return asked


def _templates(
    options: Mapping[str, Any],
    facts: HostFacts,
    catalog: Catalog,
    volume_group: str | None,
    say: Callable[[str], None],
) -> tuple[str, ...]:
    asked = _words(options.get("enabled_disk_templates"))
    if asked:
        for each in asked:
            catalog.storage(each)
        return asked
    size_mib = facts.volume_groups.get(volume_group or "")
    on_lvm = tuple(each for each in ("drbd", "plain") if each in catalog.storages)
    if size_mib is not None and size_mib >= checks.VOLUME_GROUP_MIN_MIB and on_lvm:
        say(f"disk templates: {', '.join(on_lvm)} (there is a volume group {volume_group})")
        return on_lvm
    if size_mib is None:
        why = f"there is no volume group {volume_group}"
    elif on_lvm:
        why = f"volume group {volume_group} has less than {checks.VOLUME_GROUP_MIN_MIB} MiB"
    else:
        why = f"volume group {volume_group} cannot be used yet"
    say(f"disk templates: file, diskless ({why})")
    return ("file", "diskless")


def _nicparams(options: Mapping[str, Any], facts: HostFacts, catalog: Catalog, say: Callable[[str], None]) -> Params:
    own = own_values(effective.NIC, {}, options.get("nic_parameters") or {}, where="a NIC")
    mode = own.get("mode", "bridged")
    network = catalog.network(mode)
    if "link" in own:
        if mode == "bridged":
            checks.bridge_exists(facts, own["link"])
        return own
    if mode == "bridged":
        bridge, why = _bridge(facts)
        say(f"bridge for new instances: {bridge} ({why})")
        return own if bridge == DEFAULT_BRIDGE else {**own, "link": bridge}
    raise Refused(
        WRONG_INPUT, f"NIC mode {mode} needs {network.link_is}: --nic-parameters mode={mode},link=...", mode=mode
    )


def _bridge(facts: HostFacts) -> tuple[str, str]:
    if DEFAULT_BRIDGE in facts.bridges:
        return DEFAULT_BRIDGE, "the usual one is here"
    if len(facts.bridges) == 1:
        return facts.bridges[0], "the only one of this host"
    if not facts.bridges:
        return checks.bridge_exists(facts, DEFAULT_BRIDGE), ""
    raise Refused(
        WRONG_INPUT,
        f"this host has several bridges, {', '.join(facts.bridges)}; say which one new instances are connected to: "
        f"--nic-parameters link={facts.bridges[0]}",
    )


def _netdev(options: Mapping[str, Any], facts: HostFacts, node_address: str, say: Callable[[str], None]) -> str:
    asked = options.get("master_netdev")
    if asked:
        return checks.device_exists(facts, asked)
    device = facts.local[node_address]
    say(f"network device for the address of the cluster: {device} (it carries {node_address})")
    return device


def _hvparams(options: Mapping[str, Any], enabled: tuple[str, ...], catalog: Catalog) -> dict[str, Params]:
    result: dict[str, Params] = {}
    for hypervisor, asked in _groups(options.get("hypervisor_parameters")):
        traits = catalog.hypervisor(hypervisor)
        if hypervisor not in enabled:
            raise Refused(
                WRONG_INPUT,
                f"parameters for hypervisor {hypervisor} were given, and it is not enabled; "
                f"add it: --enabled-hypervisors={','.join((*enabled, hypervisor))}",
                hypervisor=hypervisor,
            )
        result[hypervisor] = own_values(
            traits.params, result.get(hypervisor, {}), asked, where=f"hypervisor {hypervisor}", cluster_level=True
        )
    return {hypervisor: own for hypervisor, own in result.items() if own}


def _kernels(
    own: Mapping[str, Params],
    enabled: tuple[str, ...],
    facts: HostFacts,
    catalog: Catalog,
    say: Callable[[str], None],
) -> dict[str, Params]:
    """Guests boot from their disks where nobody named a kernel and the built-in one is not on this host."""
    result = dict(own)
    for hypervisor in enabled:
        kernel = defaults(catalog.hypervisor(hypervisor).params).get("kernel_path")
        if kernel and "kernel_path" not in own.get(hypervisor, {}) and kernel not in facts.boot_files:
            result[hypervisor] = {**own.get(hypervisor, {}), "kernel_path": ""}
            say(
                f"kernel of new instances: each has its own on its disk (there is no {kernel}; "
                f"-H {hypervisor}:kernel_path=FILE is one for all)"
            )
    return result


def _diskparams(options: Mapping[str, Any], enabled: tuple[str, ...], catalog: Catalog) -> dict[str, Params]:
    result: dict[str, Params] = {}
    for template, asked in _groups(options.get("disk_parameters")):
        traits = catalog.storage(template)
        if template not in enabled:
            raise Refused(
                WRONG_INPUT, f"parameters for disk template {template} were given, and it is not enabled", name=template
            )
        result[template] = own_values(
            traits.params, result.get(template, {}), asked, where=f"disk template {template}", cluster_level=True
        )
    return {template: own for template, own in result.items() if own}


def _beparams(options: Mapping[str, Any]) -> Params:
    asked = dict(options.get("backend_parameters") or {})
    if "memory" in asked:
        both = asked.pop("memory")
        asked = {"minmem": both, "maxmem": both, **asked}
    own = own_values(effective.BACKEND, {}, asked, where="an instance")
    full = merged(defaults(effective.BACKEND), own)
    if full["minmem"] > full["maxmem"]:
        raise Refused(
            WRONG_INPUT,
            f"an instance would have a minimum memory (minmem) of {full['minmem']} MiB, which is more than its "
            f"maximum (maxmem) of {full['maxmem']} MiB",
        )
    return own


def _ipolicy(options: Mapping[str, Any], templates: tuple[str, ...]) -> Params:
    own: Params = {}
    split = {key: options[name] for name, key in _SPECS.items() if options.get(name)}
    if split:
        own = _split_specs(split)
    bounds = options.get("ipolicy_bounds_specs")
    if bounds:
        if "minmax" in own:
            raise Refused(WRONG_INPUT, "instance policy: --ipolicy-bounds-specs and --specs-... exclude each other")
        own["minmax"] = [{bound: _spec(spec) for bound, spec in dict(pair).items()} for pair in bounds]
    if options.get("ipolicy_std_specs"):
        own["std"] = _spec(options["ipolicy_std_specs"])
    allowed = _words(options.get("ipolicy_disk_templates"))
    if allowed and allowed != (DEFAULT,):
        outside = [each for each in allowed if each not in templates and each in policy.TEMPLATES]
        if outside:
            raise Refused(
                WRONG_INPUT,
                f"instance policy: disk template {', '.join(outside)} is allowed by the policy but not enabled; "
                "add it to --enabled-disk-templates or take it off --ipolicy-disk-templates",
            )
        own["disk-templates"] = list(allowed)
    for name, key in (("ipolicy_vcpu_ratio", "vcpu-ratio"), ("ipolicy_spindle_ratio", "spindle-ratio")):
        value = options.get(name)
        if value is not None and value != "default":
            own[key] = read(Param(name=key, kind="float", default=1.0), value, where="the instance policy")
    return policy.checked(own)


def _split_specs(split: Mapping[str, Mapping[str, object]]) -> Params:
    pair: dict[str, dict[str, int]] = {bound: dict(values) for bound, values in policy.DEFAULTS["minmax"][0].items()}
    std = dict(policy.DEFAULTS["std"])
    asked_std = False
    for key, values in split.items():
        for bound, value in values.items():
            if bound not in {"min", "max", "std"}:
                raise Refused(WRONG_INPUT, f"instance policy: {key} has min, max and std, no '{bound}'")
            number = _size(key, value)
            if bound == "std":
                std[key], asked_std = number, True
            else:
                pair[bound][key] = number
    return {"minmax": [pair]} | ({"std": std} if asked_std else {})


def _spec(spec: Mapping[str, object]) -> dict[str, int]:
    return {key: _size(key, value) for key, value in spec.items()}


def _size(key: str, value: object) -> int:
    if key in _SIZES and isinstance(value, str):
        return units.parse_mib(value)
    return int(read(Param(name=key, kind="int", default=0, minimum=0), value, where="the instance policy"))


def _mac_prefix(text: str) -> str:
    lower = text.strip().lower()
    if not _MAC_PREFIX.fullmatch(lower) or int(lower[:2], 16) & 1:
        raise Refused(
            WRONG_INPUT,
            f"'{text}' is not a MAC prefix: three pairs of hexadecimal digits like aa:00:00, the first one even",
            mac_prefix=text,
        )
    return lower


def _directory(options: Mapping[str, Any], name: str, default: str, root: str) -> str:
    asked = options.get(name)
    if not asked or asked == default:
        return root + default
    for system in SYSTEM_DIRECTORIES:
        if asked == "/" or asked == system or (asked.startswith(system + "/") and not asked.startswith("/run/")):
            raise Refused(WRONG_INPUT, f"{asked} belongs to the system; no disks of instances go there", path=asked)
    if not is_normal_absolute(asked):
        raise Refused(WRONG_INPUT, f"'{asked}' is not an absolute path without '..' or double slashes", path=asked)
    return str(asked)


def _ssh_key_type(options: Mapping[str, Any]) -> str:
    param = Param(name="ssh-key-type", kind="string", default="rsa", choices=("rsa", "dsa", "ecdsa"), required=True)
    return str(read(param, options.get("ssh_key_type") or "rsa", where="the cluster"))


def _number(options: Mapping[str, Any], name: str, default: int, *, low: int, high: int | None = None) -> int:
    value = options.get(name)
    if value is None:
        return default
    param = Param(name=name.replace("_", "-"), kind="int", default=default, minimum=low, maximum=high)
    return int(read(param, value, where="the cluster"))


def _yes(options: Mapping[str, Any], name: str, default: bool) -> bool:
    value = options.get(name)
    if value is None:
        return default
    return bool(read(Param(name=name.replace("_", "-"), kind="bool", default=default), value, where="the cluster"))


def _given(options: Mapping[str, Any], name: str, default: str) -> str:
    value = options.get(name)
    return default if value is None else str(value)


def _words(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, Iterable):
        raise Refused(WRONG_INPUT, f"'{value}' is not a list of names")
    return tuple(dict.fromkeys(str(word).strip() for word in words if str(word).strip()))


def _groups(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    if not value:
        return []
    pairs = [(str(ident), asked) for ident, asked in (value.items() if isinstance(value, Mapping) else value)]
    for ident, asked in pairs:
        if not isinstance(asked, Mapping):
            raise Refused(WRONG_INPUT, f"parameters of {ident} cannot be removed: a new cluster has none", name=ident)
    return pairs
