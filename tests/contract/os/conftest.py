"""OS definitions on a real host with shell scripts, and on a simulated one with scripted answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from ganeti.base.clock import Clock
from ganeti.base.files import Files, SystemFiles
from ganeti.base.processes import Runner, SystemRunner
from ganeti.contract.guest import AttachedDisk, Guest, GuestNic, NicNetwork
from ganeti.drivers.os.definitions import Definitions
from ganeti.model.objects import Disk, Uuid
from sim.files import MemoryFiles
from sim.processes import FakeRunner, Invocation, Outcome

ALL_SCRIPTS = ("create", "import", "export", "rename", "verify")


class FixedClock:
    """Always the same second."""

    def now_s(self) -> float:
        return 1_795_370_950.0


@dataclass(frozen=True)
class Behaviour:
    """What a script does: says something, tells its environment and arguments, and ends or not."""

    says: str = ""
    status: int = 0
    tells_env: bool = False
    hangs: bool = False


@dataclass
class Host(Protocol):
    """A host with OS definitions in two directories, `first` before `second`."""

    files: Files
    root: str

    def script(self, path: str, behaviour: Behaviour) -> None: ...


@dataclass
class RealHost:
    files: Files
    root: str
    runner: Runner = field(default_factory=lambda: SystemRunner(grace_s=0.5))

    def script(self, path: str, behaviour: Behaviour) -> None:
        lines = ["#!/bin/sh"]
        if behaviour.says:
            lines += ["cat <<'END'", behaviour.says, "END"]
        if behaviour.tells_env:
            lines += ['echo "ARGUMENTS=$*"', 'echo "CWD=$(pwd)"', "env"]
        lines.append("sleep 600 & wait" if behaviour.hangs else f"exit {behaviour.status}")
        self.files.write(path, "\n".join(lines).encode(), mode=0o700)


@dataclass
class SimulatedHost:
    files: Files
    root: str
    runner: FakeRunner

    def script(self, path: str, behaviour: Behaviour) -> None:
        def program(call: Invocation) -> Outcome:
            said = [behaviour.says] if behaviour.says else []
            if behaviour.tells_env:
                said += [f"ARGUMENTS={' '.join(call.argv[1:])}", f"CWD={call.cwd}"]
                said += [f"{name}={value}" for name, value in (call.env or {}).items()]
            takes_s = float("inf") if behaviour.hangs else 0.0
            return Outcome(status=behaviour.status, stdout="".join(f"{line}\n" for line in said), takes_s=takes_s)

        self.files.write(path, b"#!/bin/sh\n", mode=0o700)
        self.runner.on(path, program)


@dataclass
class OsHost:
    """A host, its definitions and the shortcuts of tests."""

    host: RealHost | SimulatedHost
    definitions: Definitions
    clock: Clock

    @property
    def files(self) -> Files:
        return self.host.files

    @property
    def log_dir(self) -> str:
        return f"{self.host.root}/log/os"

    def path(self, name: str, directory: str = "first") -> str:
        return f"{self.host.root}/{directory}/{name}"

    def install(
        self,
        name: str,
        *,
        directory: str = "first",
        api: str = "20\n15\n10\n",
        variants: str | None = None,
        parameters: str | None = "",
        **behaviours: Behaviour,
    ) -> str:
        """A complete definition; scripts do nothing unless told."""
        path = self.path(name, directory)
        self.files.make_dirs(path)
        self.files.write(f"{path}/ganeti_api_version", api.encode())
        for file, text in (("variants.list", variants), ("parameters.list", parameters)):
            if text is not None:
                self.files.write(f"{path}/{file}", text.encode())
        for script in ALL_SCRIPTS:
            self.host.script(f"{path}/{script}", behaviours.get(script, Behaviour()))
        return path

    def only_log(self) -> tuple[str, str]:
        """Name and content of the one log there is."""
        [name] = self.files.list_dir(self.log_dir)
        return name, self.files.read(f"{self.log_dir}/{name}").decode()


@pytest.fixture(params=["real", "simulated"])
def os_host(request: pytest.FixtureRequest, tmp_path: Path) -> OsHost:
    root = str(tmp_path)
    if request.param == "real":
        host: RealHost | SimulatedHost = RealHost(SystemFiles(), root)
    else:
        files = MemoryFiles()
        files.make_dirs(root)
        host = SimulatedHost(files, root, FakeRunner(files=files))
    clock = FixedClock()
    definitions = Definitions(
        runner=host.runner,
        files=host.files,
        clock=clock,
        search_path=[f"{root}/first", f"{root}/second"],
        log_dir=f"{root}/log/os",
    )
    return OsHost(host, definitions, clock)


def build_guest(os_name: str) -> Guest:
    """A guest with two disks and two NICs."""
    network = NicNetwork(
        uuid="net", name="blue", subnet="10.9.0.0/24", gateway="10.9.0.1", mac_prefix="aa:00:01", tags=("a", "b")
    )
    return Guest(
        name="web1.example",
        uuid="4a7390d4-6b60-4e7f-a98c-82795e25874a",
        hypervisor="kvm",
        hvparams={"disk_type": "paravirtual", "nic_type": "e1000", "acpi": True, "root_path": None},
        beparams={"maxmem": 256},
        maxmem_mib=256,
        minmem_mib=128,
        vcpus=2,
        os=os_name,
        primary_node="node1.example",
        secondary_nodes=("node2.example", "node3.example"),
        ctime=1_795_370_000.5,
        nics=(
            GuestNic(index=0, uuid="n0", mac="aa:00:00:00:00:01", mode="bridged", link="br0", vlan="7", name="lan"),
            GuestNic(
                index=1, uuid="n1", mac="aa:00:00:00:00:02", mode="routed", link="main", ip="10.9.0.5", network=network
            ),
        ),
    )


def build_disks() -> list[AttachedDisk]:
    """A file and a block device."""
    root = Disk(uuid=Uuid("d0"), dev_type="file", size=64, logical_id=("loop", "/f/d0"), name="root")
    data = Disk(uuid=Uuid("d1"), dev_type="plain", size=128, mode="ro", logical_id=("vg", "lv"))
    return [
        AttachedDisk(disk=root, index=0, path="/f/d0"),
        AttachedDisk(disk=data, index=1, path="/dev/vg/lv", uri="rbd:x", is_block_device=True),
    ]
