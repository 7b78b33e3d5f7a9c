"""The cluster's settings after OP_CLUSTER_SET_PARAMS, each value checked by its declaration. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from ganeti.base.errors import WRONG_INPUT, Refused
from ganeti.contract.view import View
from ganeti.model import effective
from ganeti.model.objects import Cluster, Params
from ganeti.model.params import Param, defaults, is_normal_absolute, merged, own_values, read
from ganeti.ops.cluster.set_params_request import ClusterSetParamsParams, Nested
from ganeti.ops.parts import hypervisors, layers, os_parameters

_MAC_PREFIX: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){2}")
_SYSTEM_DIRS: Final = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/sbin", "/sys", "/usr")
_PLAIN: Final = ("prealloc_wipe_disks", "modify_etc_hosts", "enabled_user_shutdown", "maintain_node_health")
_COUNTS: Final = ("candidate_pool_size", "max_running_jobs", "max_tracked_jobs")
_DIRECTORIES: Final = ("file_storage_dir", "shared_file_storage_dir", "gluster_storage_dir")


def applied(view: View, asked: ClusterSetParamsParams) -> Cluster:
    """The settings with the request applied, or `Refused` (wrong_input) that names the value and what it may be."""
    cluster = view.cluster
    fields: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(asked, name)) is not None}
    for name in _COUNTS:
        if (count := getattr(asked, name)) is not None:
            fields[name] = read(Param(name=name, kind="int", default=1, minimum=1), count, where="the cluster")
    for name in _DIRECTORIES:
        if (directory := getattr(asked, name)) is not None:
            fields[name] = _directory(name, directory)
    fields |= _enabled(view, asked)
    if asked.mac_prefix is not None:
        fields["mac_prefix"] = _mac_prefix(asked.mac_prefix)
    if asked.default_iallocator is not None:
        fields["default_iallocator"] = _iallocator(asked.default_iallocator)
    if asked.reserved_lvs is not None:
        fields["reserved_lvs"] = _patterns(asked.reserved_lvs)
    if asked.hidden_os is not None:
        fields["hidden_os"] = _os_list(cluster.hidden_os, asked.hidden_os)
    if asked.blacklisted_os is not None:
        fields["blacklisted_os"] = _os_list(cluster.blacklisted_os, asked.blacklisted_os)
    fields |= _parameters(view, asked)
    after: Cluster = msgspec.structs.replace(cluster, **fields)
    _check_hypervisor_params(view, after)
    _check_policy_templates(asked, after)
    return after


def os_list_remarks(asked: ClusterSetParamsParams, cluster: Cluster) -> Iterator[str]:
    """What of the lists of hidden and blacklisted OSes is so already."""
    for words, current, changes in (
        ("hidden", cluster.hidden_os, asked.hidden_os or ()),
        ("blacklisted", cluster.blacklisted_os, asked.blacklisted_os or ()),
    ):
        for verb, os_name in changes:
            if verb == "add" and os_name in current:
                yield f"OS {os_name} is {words} already"
            if verb == "remove" and os_name not in current:
                yield f"OS {os_name} is not {words}"


def _enabled(view: View, asked: ClusterSetParamsParams) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if asked.enabled_hypervisors is not None:
        fields["enabled_hypervisors"] = _distinct(asked.enabled_hypervisors, "hypervisor")
        for name in asked.enabled_hypervisors:
            view.catalog.hypervisor(name)
    if asked.enabled_disk_templates is not None:
        fields["enabled_disk_templates"] = _distinct(asked.enabled_disk_templates, "disk template")
        for name in asked.enabled_disk_templates:
            view.catalog.storage(name)
    return fields


def _parameters(view: View, asked: ClusterSetParamsParams) -> dict[str, Any]:
    """The levels that hold parameters, as they will be."""
    cluster, catalog = view.cluster, view.catalog
    fields: dict[str, Any] = {}
    if asked.hvparams:
        own = dict(cluster.hvparams)
        for name, values in asked.hvparams.items():
            traits = catalog.hypervisor(name)
            own[name] = own_values(
                traits.params, own.get(name, {}), values, where=f"hypervisor {name}", cluster_level=True
            )
        fields["hvparams"] = {name: values for name, values in own.items() if values}
    if asked.os_hvp:
        fields["os_hvp"] = _os_hvp(view, asked.os_hvp)
    if asked.beparams:
        fields["beparams"] = hypervisors.own_backend(view, cluster.beparams, asked.beparams, cluster_level=True)
    if asked.nicparams:
        fields["nicparams"] = _nicparams(view, asked.nicparams)
    if asked.ndparams:
        fields["ndparams"] = own_values(
            effective.NODE, cluster.ndparams, asked.ndparams, where="the nodes", cluster_level=True
        )
    if asked.diskparams:
        fields["diskparams"] = layers.disk_params(view, cluster.diskparams, asked.diskparams)
    if asked.ipolicy:
        fields["ipolicy"] = layers.instance_policy(cluster.ipolicy, asked.ipolicy)
    if asked.osparams:
        fields["osparams"] = _osparams(cluster.osparams, asked.osparams)
    if asked.osparams_private_cluster:
        fields["osparams_private_cluster"] = _osparams(cluster.osparams_private_cluster, asked.osparams_private_cluster)
    return fields


def _os_hvp(view: View, asked: Mapping[str, Nested | None]) -> dict[str, Nested]:
    result = {name: dict(of_os) for name, of_os in view.cluster.os_hvp.items()}
    for os_name, of_os in asked.items():
        if of_os is None:
            result.pop(os_name, None)
            continue
        mine = result.setdefault(os_name, {})
        for name, values in of_os.items():
            traits = view.catalog.hypervisor(name)
            where = f"hypervisor {name} for OS {os_name}"
            mine[name] = own_values(traits.params, mine.get(name, {}), values, where=where)
    full = {os_name: {name: own for name, own in of_os.items() if own} for os_name, of_os in result.items()}
    return {os_name: of_os for os_name, of_os in full.items() if of_os}


def _nicparams(view: View, asked: Params) -> Params:
    wanted = dict(asked)
    if "bridge" in wanted:
        wanted["link"] = wanted.pop("bridge")
    own = own_values(effective.NIC, view.cluster.nicparams, wanted, where="the NICs")
    force = merged(defaults(effective.NIC), own)
    traits = view.catalog.network(force["mode"])
    if traits.link_checked and not force["link"]:
        raise Refused(WRONG_INPUT, f"NIC mode {traits.mode} needs link={traits.link_is}")
    if force["vlan"] and not traits.vlan_aware:
        raise Refused(WRONG_INPUT, f"NIC mode {traits.mode} knows no VLANs")
    return own


def _osparams(current: Mapping[str, Params], asked: Mapping[str, Params | None]) -> dict[str, Params]:
    result = dict(current)
    for os_name, values in asked.items():
        result[os_name] = {} if values is None else os_parameters.own(result.get(os_name, {}), values)
    return {os_name: own for os_name, own in result.items() if own}


def _check_hypervisor_params(view: View, after: Cluster) -> None:
    """Complete parameters of the cluster and of each OS must go together."""
    for name in after.enabled_hypervisors:
        traits = view.catalog.hypervisor(name)
        if traits.validate is None:
            continue
        for os_name in ("", *after.os_hvp):
            full = effective.hypervisor_params(after, view.catalog, name, os_name)
            known = traits.validate(effective.hypervisor_params(view.cluster, view.catalog, name, os_name), None)
            if against := [sentence for sentence in traits.validate(full, None) if sentence not in known]:
                where = f"hypervisor {name}" + (f" for OS {os_name}" if os_name else "")
                raise Refused(WRONG_INPUT, f"{where}: {'; '.join(against)}")


def _check_policy_templates(asked: ClusterSetParamsParams, after: Cluster) -> None:
    if asked.enabled_disk_templates is None and not (asked.ipolicy or {}).get("disk-templates"):
        return
    outside = [each for each in after.ipolicy.get("disk-templates", []) if each not in after.enabled_disk_templates]
    if outside:
        raise Refused(
            WRONG_INPUT,
            f"instance policy: disk template {', '.join(outside)} is allowed by the policy but not enabled "
            f"(enabled: {', '.join(after.enabled_disk_templates)})",
        )


def _distinct(names: Iterable[str], what: str) -> tuple[str, ...]:
    result = tuple(dict.fromkeys(names))
    if not result:
        raise Refused(WRONG_INPUT, f"at least one {what} must stay enabled")
    return result


def _directory(name: str, value: str) -> str:
    words = name.replace("_", "-")
    if not is_normal_absolute(value):
        raise Refused(WRONG_INPUT, f"--{words}: '{value}' is not an absolute path without '..' or double slashes")
    if value == "/" or any(value == system or value.startswith(f"{system}/") for system in _SYSTEM_DIRS):
        raise Refused(WRONG_INPUT, f"--{words}: {value} belongs to the system; no disks of instances go there")
    return value


def _mac_prefix(text: str) -> str:
    lower = text.strip().lower()
    if not _MAC_PREFIX.fullmatch(lower) or int(lower[:2], 16) & 1:
        raise Refused(
            WRONG_INPUT,
            f"'{text}' is not a MAC prefix: three pairs of hexadecimal digits like aa:00:00, the first one even",
            mac_prefix=text,
        )
    return lower


def _iallocator(name: str) -> str:
    if name not in ("", "hail"):
        raise Refused(
            WRONG_INPUT,
            f"there is no allocator program '{name}'; instances are placed by the cluster itself, which is called 'hail'",
        )
    return name


def _patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise Refused(WRONG_INPUT, f"'{pattern}' is not a regular expression: {error}") from None
    return tuple(patterns)


def _os_list(current: tuple[str, ...], changes: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    result = list(current)
    for verb, os_name in changes:
        match verb:
            case "add" if os_name not in result:
                result.append(os_name)
            case "remove" if os_name in result:
                result.remove(os_name)
            case "add" | "remove":
                pass  # it is so already: `os_list_remarks` says so
            case _:
                raise Refused(
                    WRONG_INPUT, f"an OS is put on a list with 'add' or taken off with 'remove', not '{verb}'"
                )
    return tuple(result)
