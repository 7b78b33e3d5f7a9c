"""What the host says of itself is read from recorded answers."""

from __future__ import annotations

from typing import Any

import pytest

from ganeti.base.errors import Failed
from ganeti.base.files import SystemFiles
from ganeti.base.processes import SystemRunner
from ganeti.drivers.hypervisor.kvm import TRAITS
from ganeti.drivers.hypervisor.kvm.host import Host, read_about, read_cpus, read_memory
from ganeti.model.params import defaults

MACHINES = """Supported machines are:
microvm              microvm (i386)
pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-7.2)
pc-i440fx-7.2        Standard PC (i440FX + PIIX, 1996) (default)
q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-7.2)
pc-q35-7.2           Standard PC (Q35 + ICH9, 2009)
"""
CPUINFO = """processor\t: 0
physical id\t: 0
flags\t\t: fpu vme {flag}

processor\t: 1
physical id\t: 1
flags\t\t: fpu vme {flag}
"""


class Machine(SystemFiles):
    """A host of which only some files are there."""

    def __init__(self, flag: str, *paths: str) -> None:
        self._flag = flag
        self._paths = paths

    def read(self, path: str) -> bytes:
        assert path == "/proc/cpuinfo"
        return CPUINFO.format(flag=self._flag).encode()

    def exists(self, path: str) -> bool:
        return path in self._paths

    def is_executable(self, path: str) -> bool:
        return path in self._paths

    def list_dir(self, path: str) -> list[str]:
        return []


def params(**changes: Any) -> dict[str, Any]:
    return defaults(TRAITS.params) | changes


def test_the_default_machine_is_found_with_its_full_name() -> None:
    about = read_about("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright", MACHINES)

    assert about.version == (7, 2)
    assert about.version_text == "7.2.22"
    assert about.default_machine == "pc-i440fx-7.2"
    assert about.machines["q35"] == "pc-q35-7.2"
    assert about.machines["pc-q35-7.2"] == "pc-q35-7.2"


def test_a_program_that_is_no_qemu_is_told() -> None:
    with pytest.raises(Failed, match="GNU bash"):
        read_about("GNU bash, version five", "")


def test_cpus_and_memory() -> None:
    cpus = read_cpus(CPUINFO.format(flag="svm"), nodes=2)
    memory = read_memory("MemTotal:  2097152 kB\nMemFree: 1024 kB\nMemAvailable: 1048576 kB\nHugePages_Total: 0\n")

    assert (cpus.ids, cpus.sockets, cpus.nodes, cpus.virtualization) == (frozenset({0, 1}), 2, 2, True)
    assert (memory.total_mib, memory.free_mib) == (2048, 1024)


@pytest.mark.parametrize(
    "flag, paths, asked, accelerator, objection",
    [
        ("vmx", ["/dev/kvm"], {}, "kvm", None),
        ("svm", ["/dev/kvm"], {}, "kvm", None),
        ("svm", [], {}, "tcg", None),
        ("none", ["/dev/kvm"], {}, "tcg", None),
        ("vmx", ["/dev/kvm"], {"accelerator": "tcg"}, "tcg", None),
        ("vmx", ["/dev/kvm"], {"kvm_flag": "disabled"}, "tcg", None),
        ("none", ["/dev/kvm"], {"kvm_flag": "enabled"}, "kvm", "neither vmx nor svm"),
        ("none", ["/dev/kvm"], {"accelerator": "kvm"}, "kvm", "neither vmx nor svm"),
        ("vmx", [], {"accelerator": "kvm"}, "kvm", "modprobe kvm_intel"),
    ],
)
def test_kvm_is_taken_only_where_the_cpu_offers_it(
    flag: str, paths: list[str], asked: dict[str, Any], accelerator: str, objection: str | None
) -> None:
    host = Host(SystemRunner(), Machine(flag, *paths))

    assert host.accelerator(params(**asked)) == accelerator
    said = host.accelerator_objection(params(**asked))
    assert (said is None) if objection is None else (said is not None and objection in said)


@pytest.mark.parametrize(
    "paths, asked, program",
    [
        (["/usr/bin/kvm", "/usr/bin/qemu-system-x86_64"], {"accelerator": "kvm"}, "/usr/bin/kvm"),
        (["/usr/bin/qemu-system-x86_64"], {"accelerator": "kvm"}, "/usr/bin/qemu-system-x86_64"),
        # the wrapper of that name would switch KVM on
        (["/usr/bin/kvm", "/usr/bin/qemu-system-x86_64"], {"accelerator": "tcg"}, "/usr/bin/qemu-system-x86_64"),
        (["/usr/bin/qemu-system-x86_64"], {"kvm_path": "/opt/qemu"}, None),
        (["/opt/qemu"], {"kvm_path": "/opt/qemu"}, "/opt/qemu"),
        ([], {}, None),
    ],
)
def test_the_default_program_is_looked_for_elsewhere_too(
    paths: list[str], asked: dict[str, Any], program: str | None
) -> None:
    assert Host(SystemRunner(), Machine("none", *paths)).program(params(**asked)) == program
