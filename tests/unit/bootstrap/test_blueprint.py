"""A new cluster is what was asked for; what was not given is detected, said, and never wins over what was given."""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace

from ganeti.base.errors import Refused
from ganeti.base.ids import SeededIds
from ganeti.cli.cluster.init import COMMAND
from ganeti.cli.parse import parse
from ganeti.main.blueprint import LATER, Blueprint, draw
from ganeti.main.detect import HostFacts
from ganeti.model.objects import Cluster
from ganeti.model.params import Param
from ganeti.model.traits import Catalog, HypervisorTraits


def drawn(
    facts: HostFacts, catalog: Catalog, name: str = "cluster.example.com", root: str = "", **options: Any
) -> Blueprint:
    ids = SeededIds(random.Random(7))
    return draw(options, name, facts=facts, catalog=catalog, ids=ids, now_s=1000.0, root=root)


def cluster(facts: HostFacts, catalog: Catalog, **options: Any) -> Cluster:
    return drawn(facts, catalog, **options).cluster


def refusal(facts: HostFacts, catalog: Catalog, **options: Any) -> str:
    with pytest.raises(Refused) as refused:
        drawn(facts, catalog, **options)
    return refused.value.message


def test_nothing_given_is_all_detected_and_said(fit: HostFacts, catalog: Catalog) -> None:
    plan = drawn(fit, catalog)
    assert plan.detected == (
        "hypervisor: kvm (this host is no Xen dom0)",
        "disk templates: file, diskless (there is no volume group xenvg)",
        "bridge for new instances: xen-br0 (the usual one is here)",
        "network device for the address of the cluster: eth0 (it carries 192.0.2.10)",
    )
    made = plan.cluster
    assert (made.enabled_hypervisors, made.enabled_disk_templates) == (("kvm",), ("file", "diskless"))
    assert (made.master_ip, made.master_netdev, made.master_netmask) == ("192.0.2.20", "eth0", 32)
    assert (made.volume_group_name, made.nicparams, made.hvparams) == (None, {}, {})
    assert (made.candidate_pool_size, made.mac_prefix, made.ctime) == (10, "aa:00:00", 1000.0)
    assert (made.ssh_key_type, made.ssh_key_bits) == ("rsa", 2048)


def test_guests_boot_from_their_disks_where_there_is_no_kernel_for_all(fit: HostFacts, catalog: Catalog) -> None:
    kernel = Param(name="kernel_path", kind="string", default="/boot/shared", absolute_path=True)
    kvm = HypervisorTraits(name="kvm", params=(kernel,))
    catalog = replace(catalog, hypervisors={**catalog.hypervisors, "kvm": kvm})
    said = "kernel of new instances: each has its own on its disk (there is no /boot/shared; "
    plan = drawn(fit, catalog)
    assert plan.cluster.hvparams == {"kvm": {"kernel_path": ""}}
    assert [line for line in plan.detected if line.startswith(said)]

    has_it = replace(fit, boot_files=("/boot/shared",))
    assert drawn(has_it, catalog).cluster.hvparams == {}
    named = drawn(fit, catalog, hypervisor_parameters=[("kvm", {"kernel_path": "/boot/k"})])
    assert named.cluster.hvparams == {"kvm": {"kernel_path": "/boot/k"}}
    assert not [line for line in named.detected if "kernel" in line]


def test_group_and_node_belong_to_the_cluster(fit: HostFacts, catalog: Catalog) -> None:
    plan = drawn(fit, catalog)
    assert plan.group.name == "default"
    assert plan.node.group == plan.group.uuid
    assert plan.cluster.master_node == plan.node.uuid
    assert (plan.node.name, plan.node.primary_ip, plan.node.secondary_ip) == (
        "node1.example.com",
        "192.0.2.10",
        "192.0.2.10",
    )
    assert len({plan.node.uuid, plan.group.uuid, plan.cluster.uuid}) == 3


def test_a_dom0_with_a_volume_group_gets_xen_and_lvm(fit: HostFacts, catalog: Catalog) -> None:
    plan = drawn(replace(fit, dom0=True, volume_groups={"xenvg": 50000.0}), catalog)
    assert plan.cluster.enabled_hypervisors == ("xen-pvm",)
    assert plan.cluster.enabled_disk_templates == ("drbd", "plain")
    assert plan.cluster.volume_group_name == "xenvg"
    assert plan.detected[:2] == (
        "hypervisor: xen-pvm (this host is a Xen dom0)",
        "disk templates: drbd, plain (there is a volume group xenvg)",
    )


def test_a_volume_group_that_no_driver_can_use_yet_is_said(fit: HostFacts, catalog: Catalog) -> None:
    without = replace(catalog, storages={each: catalog.storages[each] for each in ("file", "diskless")})
    plan = drawn(replace(fit, volume_groups={"xenvg": 50000.0}), without)
    assert plan.detected[1] == "disk templates: file, diskless (volume group xenvg cannot be used yet)"


def test_a_small_volume_group_is_no_reason_to_fail_unless_lvm_is_asked_for(fit: HostFacts, catalog: Catalog) -> None:
    small = replace(fit, volume_groups={"xenvg": 1000.0})
    assert cluster(small, catalog).enabled_disk_templates == ("file", "diskless")
    assert "has 1000 MiB" in refusal(small, catalog, enabled_disk_templates="plain")


def test_what_is_given_wins(fit: HostFacts, catalog: Catalog) -> None:
    facts = replace(fit, dom0=True, volume_groups={"xenvg": 50000.0, "fast": 90000.0}, bridges=("xen-br0", "br1"))
    plan = drawn(
        facts,
        catalog,
        enabled_hypervisors="kvm,fake",
        enabled_disk_templates=["plain", "diskless"],
        vg_name="fast",
        nic_parameters={"link": "br1"},
        master_netdev="eth1",
        master_netmask=24,
        secondary_ip="198.51.100.10",
        candidate_pool_size=3,
        mac_prefix="AA:BB:01",
        hypervisor_parameters=[("kvm", {"kernel_path": "/boot/k", "serial_speed": "9600", "migration_port": 9000})],
        backend_parameters={"memory": "512m", "vcpus": "2"},
        disk_parameters=[("plain", {"stripes": "2"})],
        node_parameters={"ssh_port": "2222", "exclusive_storage": True},
        file_storage_dir="/data/files",
    )
    assert plan.detected == ()
    made = plan.cluster
    assert made.enabled_hypervisors == ("kvm", "fake")
    assert made.enabled_disk_templates == ("plain", "diskless")
    assert (made.volume_group_name, made.nicparams) == ("fast", {"link": "br1"})
    assert (made.master_netdev, made.master_netmask, made.mac_prefix) == ("eth1", 24, "aa:bb:01")
    assert made.hvparams == {"kvm": {"kernel_path": "/boot/k", "serial_speed": 9600, "migration_port": 9000}}
    assert made.beparams == {"minmem": 512, "maxmem": 512, "vcpus": 2}
    assert made.diskparams == {"plain": {"stripes": 2}}
    assert made.ndparams == {"ssh_port": 2222, "exclusive_storage": True}
    assert (made.file_storage_dir, made.candidate_pool_size) == ("/data/files", 3)
    assert plan.node.secondary_ip == "198.51.100.10"


def test_the_only_bridge_is_taken_and_stored(fit: HostFacts, catalog: Catalog) -> None:
    assert cluster(replace(fit, bridges=("br7",)), catalog).nicparams == {"link": "br7"}


def test_no_bridge_and_several_bridges_are_refused(fit: HostFacts, catalog: Catalog) -> None:
    assert "ip link add xen-br0 type bridge" in refusal(replace(fit, bridges=()), catalog)
    assert "several bridges, br1, br2" in refusal(replace(fit, bridges=("br1", "br2")), catalog)


def test_a_routed_cluster_needs_no_bridge_but_a_table(fit: HostFacts, catalog: Catalog) -> None:
    bare = replace(fit, bridges=())
    assert cluster(bare, catalog, nic_parameters={"mode": "routed", "link": "100"}).nicparams == {
        "mode": "routed",
        "link": "100",
    }
    assert "needs a routing table" in refusal(bare, catalog, nic_parameters={"mode": "routed"})


@pytest.mark.parametrize(
    "options, cause",
    [
        ({"enabled_hypervisors": "vmware"}, "no hypervisor 'vmware'"),
        ({"enabled_disk_templates": "tape"}, "no disk template 'tape'"),
        ({"enabled_disk_templates": "plain"}, "needs volume group 'xenvg'"),
        ({"vg_name": "nope"}, "needs volume group 'nope'"),
        ({"nic_parameters": {"link": "br9"}}, "no bridge 'br9'"),
        ({"nic_parameters": {"mode": "pigeon"}}, "no NIC mode 'pigeon'"),
        ({"nic_parameters": {"colour": "red"}}, "no parameter 'colour'"),
        ({"master_netdev": "eth9"}, "no network device 'eth9'"),
        ({"master_netmask": 33}, "from 1 to 32"),
        ({"candidate_pool_size": 0}, "at least 1"),
        ({"mac_prefix": "aa:00"}, "not a MAC prefix"),
        ({"mac_prefix": "ab:00:00"}, "the first one even"),
        ({"hypervisor_parameters": [("kvm", {"speed": 1})]}, "hypervisor kvm has no parameter 'speed'"),
        ({"hypervisor_parameters": [("kvm", {"serial_speed": 1})]}, "from 9600 to 115200"),
        ({"hypervisor_parameters": [("kvm", {"kernel_path": "boot"})]}, "absolute path"),
        ({"hypervisor_parameters": [("fake", {})]}, "it is not enabled"),
        ({"hypervisor_parameters": [("kvm", None)]}, "a new cluster has none"),
        ({"disk_parameters": [("plain", {"stripes": 1})]}, "plain were given, and it is not enabled"),
        ({"backend_parameters": {"minmem": "2g", "maxmem": "1g"}}, "more than its maximum"),
        ({"backend_parameters": {"vcpus": 0}}, "at least 1"),
        ({"node_parameters": {"ssh_port": 0}}, "from 1 to 65535"),
        ({"file_storage_dir": "/etc/disks"}, "belongs to the system"),
        ({"file_storage_dir": "disks"}, "not an absolute path"),
        ({"secondary_ip": "203.0.113.9"}, "not an IPv4 address"),
        ({"primary_ip_version": 5}, "4 or 6"),
        ({"ipolicy_disk_templates": ["plain"]}, "allowed by the policy but not enabled"),
        ({"ipolicy_disk_templates": ["tape"]}, "no disk template 'tape'"),
        ({"ipolicy_vcpu_ratio": 0.5}, "vcpu-ratio must be at least 1"),
        ({"ipolicy_std_specs": {"cpu-count": 1}}, "is missing"),
        ({"specs_mem_size": {"min": "2g", "max": "1g"}}, "is above the upper"),
        ({"specs_mem_size": {"typical": "2g"}}, "no 'typical'"),
        ({"specs_cpu_count": {"min": "two"}}, "whole number"),
        ({"ssh_key_type": "rot13"}, "allowed are rsa, dsa, ecdsa"),
    ],
)
def test_a_wrong_value_is_refused(fit: HostFacts, catalog: Catalog, options: dict[str, Any], cause: str) -> None:
    assert cause in refusal(fit, catalog, **options)


@pytest.mark.parametrize("name", ["", "-x.example.com", "a b", "x" * 64 + ".example.com"])
def test_a_name_that_is_none_is_refused(fit: HostFacts, catalog: Catalog, name: str) -> None:
    assert "not a valid cluster name" in refusal(fit, catalog, name=name)


@pytest.mark.parametrize("option", sorted(LATER))
def test_an_option_that_nothing_obeys_yet_is_refused_with_a_sentence(
    fit: HostFacts, catalog: Catalog, option: str
) -> None:
    said = refusal(fit, catalog, **{option: "yes"})
    assert said.startswith(f"--{option.replace('_', '-')} cannot be used yet: ")
    unset: dict[str, Any] = {option: None}
    assert drawn(fit, catalog, **unset).cluster.cluster_name == "cluster.example.com"


def test_policy_options_make_a_whole_policy(fit: HostFacts, catalog: Catalog) -> None:
    made = cluster(
        fit,
        catalog,
        specs_mem_size={"min": "64m", "max": "2g", "std": "256"},
        ipolicy_vcpu_ratio=2.5,
        ipolicy_disk_templates=["file"],
    )
    assert made.ipolicy["minmax"][0]["min"]["memory-size"] == 64
    assert made.ipolicy["minmax"][0]["max"] | {"memory-size": 2048} == made.ipolicy["minmax"][0]["max"]
    assert made.ipolicy["std"]["memory-size"] == 256
    assert (made.ipolicy["vcpu-ratio"], made.ipolicy["disk-templates"]) == (2.5, ["file"])
    assert "spindle-ratio" not in made.ipolicy


def test_flags_that_switch_off_say_what_to_leave_alone(fit: HostFacts, catalog: Catalog) -> None:
    made = cluster(fit, catalog, etc_hosts=True, ssh_init=True)
    assert (made.modify_etc_hosts, made.modify_ssh_setup) == (True, True)
    made = cluster(fit, catalog, etc_hosts=False, ssh_init=False)
    assert (made.modify_etc_hosts, made.modify_ssh_setup) == (False, False)


def test_every_option_of_the_command_can_be_left_out(fit: HostFacts, catalog: Catalog) -> None:
    parsed = parse(COMMAND, ["cluster.example.com"])
    plain = drawn(fit, catalog)
    assert drawn(fit, catalog, **parsed.options) == plain


def test_options_arrive_as_the_command_line_parses_them(fit: HostFacts, catalog: Catalog) -> None:
    line = (
        "-H kvm:kernel_path=/boot/k -B memory=1g,vcpus=2 -N link=xen-br0 -C 5 --master-netmask 24 --no-ssh-init"
        " --enabled-hypervisors=kvm,fake --enabled-disk-templates diskless,file --specs-mem-size min=64m,max=1g,std=64m"
        " --ipolicy-vcpu-ratio 2 --node-parameters ssh_port=2222 c.example.com"
    )
    made = cluster(fit, catalog, **parse(COMMAND, line.split()).options)
    assert made.hvparams == {"kvm": {"kernel_path": "/boot/k"}}
    assert made.beparams == {"minmem": 1024, "maxmem": 1024, "vcpus": 2}
    assert (made.candidate_pool_size, made.master_netmask, made.modify_ssh_setup) == (5, 24, False)
    assert (made.enabled_hypervisors, made.enabled_disk_templates) == (("kvm", "fake"), ("diskless", "file"))
    assert made.ipolicy["minmax"][0]["max"]["memory-size"] == 1024
    assert (made.ipolicy["vcpu-ratio"], made.ndparams, made.nicparams) == (2.0, {"ssh_port": 2222}, {"link": "xen-br0"})


def test_a_host_below_a_root_directory_keeps_to_it(fit: HostFacts, catalog: Catalog) -> None:
    made = cluster(fit, catalog, root="/tmp/host1")
    assert made.file_storage_dir == "/tmp/host1/srv/ganeti/file-storage"
    assert not made.modify_etc_hosts
