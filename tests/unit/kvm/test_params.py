"""The rules between the parameters of a KVM guest: each breach is one sentence that names the parameter."""

from __future__ import annotations

from typing import Any

import pytest

from ganeti.base.errors import Refused
from ganeti.drivers.hypervisor.kvm import TRAITS, validate
from ganeti.model.params import defaults, own_values, read

DEFAULTS = defaults(TRAITS.params)


def test_every_parameter_says_what_it_is_for_and_accepts_its_own_default() -> None:
    assert [read(param, param.default, where="hypervisor kvm") for param in TRAITS.params] == list(DEFAULTS.values())
    assert [param.name for param in TRAITS.params if not param.summary] == []
    assert [param.name for param in TRAITS.params] == sorted(DEFAULTS)


def test_only_the_cluster_sets_how_migrations_are_made() -> None:
    assert {param.name for param in TRAITS.params if param.cluster_only} == {
        "migration_bandwidth",
        "migration_mode",
        "migration_port",
    }


def test_nothing_is_wrong_with_the_defaults() -> None:
    assert validate(DEFAULTS, vcpus=1) == []


@pytest.mark.parametrize(
    "changes, vcpus, words",
    [
        ({"root_path": None}, 1, "kernel_path needs root_path"),
        ({"root_path": ""}, 1, "kernel_path needs root_path"),
        ({"kernel_path": "", "initrd_path": "/boot/initrd"}, 1, "initrd_path needs kernel_path"),
        ({"boot_order": "cdrom"}, 1, "boot_order=cdrom needs cdrom_image_path"),
        ({"boot_order": "floppy"}, 1, "boot_order=floppy needs floppy_image_path"),
        ({"cdrom_image_path": "cd.iso"}, 1, "neither an absolute path nor a URL"),
        ({"cdrom2_image_path": "gopher://x/cd.iso"}, 1, "neither an absolute path nor a URL"),
        ({"serial_speed": 1200}, 1, "serial_speed 1200"),
        ({"vnc_bind_address": "host.example.com"}, 1, "neither an IP address nor an absolute directory"),
        ({"vnc_bind_address": "/run/../vnc"}, 1, "vnc_bind_address"),
        ({"vnc_tls": True}, 1, "vnc_tls needs vnc_bind_address"),
        ({"vnc_bind_address": "::", "vnc_tls": True, "vnc_x509_verify": True}, 1, "vnc_x509_verify needs"),
        ({"spice_password_file": "/etc/secret"}, 1, "spice_password_file needs spice_bind"),
        ({"spice_use_tls": True}, 1, "spice_use_tls needs spice_bind"),
        ({"spice_ip_version": 4}, 1, "spice_ip_version needs spice_bind"),
        ({"spice_bind": "eth0", "spice_ip_version": 5}, 1, "spice_ip_version 5"),
        ({"spice_bind": "::1", "spice_ip_version": 4}, 1, "is not an IPv4 address"),
        ({"cpu_mask": "0:1"}, 3, "cpu_mask has 2 entries for 3 virtual CPUs"),
        ({"cpu_mask": "0-"}, 1, "neither a CPU number nor a range"),
        ({"cpu_cores": 3}, 4, "make 3 CPUs, which does not fit 4"),
        ({"cpu_cores": 2, "cpu_threads": 1, "cpu_sockets": 1}, 4, "make 2 CPUs, which does not fit 4"),
        ({"accelerator": "tcg", "kvm_flag": "enabled"}, 1, "kvm_flag=enabled contradicts"),
        ({"accelerator": "kvm", "kvm_flag": "disabled"}, 1, "kvm_flag=disabled contradicts"),
        ({"accelerator": "tcg", "cpu_type": "host,+x"}, 1, "cpu_type=host needs the accelerator kvm"),
        ({"kvm_flag": "disabled", "cpu_type": "host"}, 1, "cpu_type=host needs the accelerator kvm"),
        ({"disk_aio": "native"}, 1, "disk_aio=native needs disk_cache=none, not default"),
        ({"virtio_net_queues": 2, "nic_type": "e1000"}, 1, "needs nic_type=paravirtual, not e1000"),
        ({"security_model": "user"}, 1, "security_model=user needs security_domain"),
        ({"security_domain": "nobody"}, 1, "only for security_model=user, not none"),
        ({"security_model": "pool", "security_domain": "nobody"}, 1, "only for security_model=user, not pool"),
        ({"kvm_extra": "-name 'open"}, 1, "kvm_extra cannot be split"),
    ],
)
def test_each_breach_is_one_sentence(changes: dict[str, Any], vcpus: int, words: str) -> None:
    (sentence,) = validate(DEFAULTS | changes, vcpus=vcpus)

    assert words in sentence


@pytest.mark.parametrize(
    "changes, vcpus",
    [
        ({"kernel_path": "", "root_path": None}, 1),
        ({"boot_order": "cdrom", "cdrom_image_path": "https://x.example.com/cd.iso"}, 1),
        ({"serial_console": False, "serial_speed": 1200}, 1),
        ({"vnc_bind_address": "/run/vnc", "vnc_tls": True}, 1),
        ({"vnc_bind_address": "::", "vnc_tls": True, "vnc_x509_path": "/x", "vnc_x509_verify": True}, 1),
        ({"spice_bind": "eth0", "spice_ip_version": 6, "spice_use_tls": True}, 1),
        ({"cpu_mask": "0-1:2,^3:all"}, 3),
        ({"cpu_cores": 2, "cpu_threads": 2}, 8),
        ({"disk_aio": "native", "disk_cache": "none"}, 1),
        ({"security_model": "user", "security_domain": "nobody"}, 1),
    ],
)
def test_what_fits_together_is_accepted(changes: dict[str, Any], vcpus: int) -> None:
    assert validate(DEFAULTS | changes, vcpus=vcpus) == []


@pytest.mark.parametrize(
    "name, value",
    [
        ("accelerator", "xen"),
        ("accelerator", ""),
        ("boot_order", ""),
        ("boot_order", "dvd"),
        ("disk_type", "ioemu"),
        ("kernel_path", "boot/vmlinuz"),
        ("kernel_path", "/boot/../vmlinuz"),
        ("kvm_path", ""),
        ("kvm_pci_reservations", 33),
        ("migration_port", 65535),
        ("nic_type", "virtio"),
        ("serial_console", "perhaps"),
        ("virtio_net_queues", 9),
    ],
)
def test_a_value_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(Refused, match=name):
        own_values(TRAITS.params, {}, {name: value}, where="hypervisor kvm", cluster_level=True)
