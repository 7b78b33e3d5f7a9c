"""What this host offers to KVM guests: QEMU's program and version, accelerator, CPUs, memory, addresses."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from typing import Final, Literal, NamedTuple

from ganeti.base.errors import Failed
from ganeti.base.files import Files
from ganeti.base.processes import Runner
from ganeti.drivers.hypervisor.kvm.params import DEFAULT_BINARY, wanted_accelerator
from ganeti.model.objects import Params

Accelerator = Literal["kvm", "tcg"]

QEMU: Final = "qemu-system-x86_64"
INSTALL_HINT: Final = "install it (apt-get install qemu-system-x86), or set kvm_path"
KVM_DEVICE: Final = "/dev/kvm"
VHOST_DEVICE: Final = "/dev/vhost-net"
_PROGRAM_DIRS: Final = ("/usr/local/bin", "/usr/bin", "/bin")
_ASK_LIMIT_S: Final = 60.0
_VERSION: Final = re.compile(r"version (\d+)\.(\d+)(\S*)")
_MACHINE: Final = re.compile(r"^(\S+)\s+(.*)$", re.MULTILINE)
_ALIAS: Final = re.compile(r"\(alias of (\S+)\)")


class About(NamedTuple):
    """A QEMU program: its version, and machine types with what they stand for (an alias, or themselves)."""

    version: tuple[int, int]
    version_text: str
    machines: dict[str, str]
    default_machine: str


class Cpus(NamedTuple):
    """The CPUs of the host. `ids` are the numbers the kernel calls them by."""

    ids: frozenset[int]
    sockets: int
    nodes: int
    virtualization: bool


class Memory(NamedTuple):
    """Memory of the host in MiB; `free` is what a new guest could have."""

    total_mib: int
    free_mib: int


class Host:
    """Asks this host. What QEMU says of itself is asked once for each version of the program."""

    def __init__(self, runner: Runner, files: Files) -> None:
        self._runner = runner
        self._files = files
        self._known: dict[tuple[str, int, int], About] = {}

    def program(self, params: Params) -> str | None:
        """The QEMU to run; None when there is none.

        The default path is often a wrapper that switches KVM on, or absent where no package makes it. So it is used
        only when it is there and KVM is wanted, and otherwise QEMU's own name is looked for.
        """
        path: str = params["kvm_path"]
        candidates = [path]
        if path == DEFAULT_BINARY:
            own = [f"{directory}/{QEMU}" for directory in _PROGRAM_DIRS]
            candidates = [*own, path] if self.accelerator(params) == "tcg" else [path, *own]
        return next((candidate for candidate in candidates if self._files.is_executable(candidate)), None)

    async def about(self, program: str) -> About:
        """Version and machine types of a QEMU. `Failed` with its words when it does not run."""
        status = os.stat(program)
        key = (program, status.st_mtime_ns, status.st_size)
        if key not in self._known:
            version = await self._runner.run([program, "--version"], timeout_s=_ASK_LIMIT_S)
            machines = await self._runner.run([program, "-machine", "help"], timeout_s=_ASK_LIMIT_S)
            self._known[key] = read_about(
                version.expect_success("ask QEMU for its version").stdout,
                machines.expect_success("ask QEMU for its machine types").stdout,
            )
        return self._known[key]

    def accelerator(self, params: Params) -> Accelerator:
        """What the guest runs on. Automatic takes KVM where the CPU offers it and the module is loaded."""
        wanted = wanted_accelerator(params)
        if wanted == "kvm":
            return "kvm"
        if wanted == "tcg":
            return "tcg"
        return "kvm" if self.cpus().virtualization and self._files.exists(KVM_DEVICE) else "tcg"

    def accelerator_objection(self, params: Params) -> str | None:
        """Why the accelerator asked for cannot be used here."""
        if wanted_accelerator(params) != "kvm":
            return None
        if not self.cpus().virtualization:
            return (
                "this node's CPU offers neither vmx nor svm, which accelerator=kvm needs; use accelerator=tcg or auto"
            )
        if not self._files.exists(KVM_DEVICE):
            return f"{KVM_DEVICE} is not there; load the module (modprobe kvm_intel or kvm_amd), or use accelerator=tcg"
        return None

    def has_vhost(self) -> bool:
        """Whether the kernel can run the data path of virtio NICs."""
        return self._files.exists(VHOST_DEVICE)

    def cpus(self) -> Cpus:
        """From /proc/cpuinfo and /sys."""
        nodes = [name for name in self._files.list_dir("/sys/devices/system/node") if re.fullmatch(r"node\d+", name)]
        return read_cpus(self._files.read("/proc/cpuinfo").decode(errors="replace"), nodes=max(1, len(nodes)))

    def memory(self) -> Memory:
        """From /proc/meminfo."""
        return read_memory(self._files.read("/proc/meminfo").decode(errors="replace"))

    async def address_of(self, bind: str, *, version: int = 0) -> str:
        """An IP address as it is, or the first one of an interface; `version` 4 or 6 chooses, 0 takes any."""
        try:
            return str(ipaddress.ip_address(bind))
        except ValueError:
            pass  # then it is an interface
        done = await self._runner.run(["ip", "-json", "address", "show", "dev", bind], timeout_s=_ASK_LIMIT_S)
        answer = json.loads(done.expect_success(f"find the address of interface {bind}").stdout)
        family = {4: ("inet",), 6: ("inet6",)}.get(version, ("inet", "inet6"))
        for wanted in family:
            for link in answer:
                for info in link.get("addr_info", ()):
                    if info["family"] == wanted and info.get("scope") != "link":
                        return str(info["local"])
        raise Failed(f"interface {bind} has no IP address to listen on; give it one, or bind to an address", link=bind)


def read_about(version_text: str, machines_text: str) -> About:
    """Read the answers to `--version` and `-machine help`."""
    match = _VERSION.search(version_text)
    if match is None:
        raise Failed(f"QEMU does not tell its version but: {version_text.strip()[:200]}")
    machines: dict[str, str] = {}
    default = ""
    for name, description in _MACHINE.findall(machines_text):
        alias = _ALIAS.search(description)
        machines[name] = alias[1] if alias else name
        if "(default)" in description:
            default = machines[name]
    return About((int(match[1]), int(match[2])), f"{match[1]}.{match[2]}{match[3]}", machines, default)


def read_cpus(cpuinfo: str, *, nodes: int) -> Cpus:
    """Read /proc/cpuinfo."""
    ids: set[int] = set()
    sockets: set[str] = set()
    virtualization = False
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        match name.strip():
            case "processor" if value.strip().isdigit():
                ids.add(int(value))
            case "physical id":
                sockets.add(value.strip())
            case "flags":
                virtualization = virtualization or not {"vmx", "svm"}.isdisjoint(value.split())
    return Cpus(frozenset(ids), max(1, len(sockets)), nodes, virtualization)


def read_memory(meminfo: str) -> Memory:
    """Read /proc/meminfo."""
    values: dict[str, int] = {}
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            values[name] = int(words[0]) // 1024
    free = values.get("MemAvailable", values.get("MemFree", 0) + values.get("Buffers", 0) + values.get("Cached", 0))
    return Memory(total_mib=values.get("MemTotal", 0), free_mib=free)
