"""Gather the drivers: what they are (`TRAITS`, for the master) and themselves (`Driver`, for the node daemon).

A driver is a module or package below `ganeti.drivers.{hypervisor,network,storage}`, found by its path; what has no
`TRAITS` there is a shared piece of theirs. Adding a driver is adding its file.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Final

from ganeti import drivers
from ganeti.base.clock import Clock, SystemClock
from ganeti.base.errors import Failed
from ganeti.base.files import Files, SystemFiles
from ganeti.base.paths import Paths
from ganeti.base.processes import Runner, SystemRunner
from ganeti.contract.network import Network
from ganeti.contract.settings import NodeSettings
from ganeti.contract.storage import Addressing
from ganeti.model.traits import Catalog
from ganeti.node.fence import Fence
from ganeti.node.host import Host
from ganeti.store.replica import Replica

BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


@functools.cache
def build_catalog() -> tuple[Catalog, dict[str, Addressing]]:
    """The traits of every driver, and the addressing of every disk template. Loads no library of theirs."""
    storages = list(_modules("storage"))
    catalog = Catalog(
        hypervisors={module.TRAITS.name: module.TRAITS for module in _modules("hypervisor")},
        storages={module.TRAITS.template: module.TRAITS for module in storages},
        networks={module.TRAITS.mode: module.TRAITS for module in _modules("network")},
    )
    return catalog, {module.TRAITS.template: module.ADDRESSING for module in storages}


def build_host(
    paths: Paths,
    settings: NodeSettings,
    *,
    version: str,
    files: Files | None = None,
    runner: Runner | None = None,
    clock: Clock | None = None,
) -> Host:
    """This host with its real drivers; what is not given is this machine's own."""
    from ganeti.drivers.network.taps import TAP_PREFIX, SystemTaps
    from ganeti.drivers.os.definitions import Definitions
    from ganeti.drivers.os.leftovers import Running
    from ganeti.drivers.storage.allowed import LIST_NAME

    files = files if files is not None else SystemFiles()
    runner = runner if runner is not None else SystemRunner()
    clock = clock if clock is not None else SystemClock()
    taps = SystemTaps()
    ports: dict[str, Any] = {"files": files, "runner": runner, "clock": clock, "paths": paths, "taps": taps}
    networks: dict[str, Network] = {module.TRAITS.mode: _make(module, ports) for module in _modules("network")}
    list_path = f"{paths.etc}/{LIST_NAME}"
    ports |= {
        "networks": networks,
        # Read at every use: the operator's change counts at once.
        "allowed_dirs": lambda: allowed_dirs(files, list_path, settings),
    }
    return Host(
        name=settings.node_name,
        version=version,
        boot_id=files.read(BOOT_ID).decode().strip(),
        paths=paths,
        files=files,
        clock=clock,
        runner=runner,
        hypervisors={module.TRAITS.name: _make(module, ports) for module in _modules("hypervisor")},
        storages={module.TRAITS.template: _make(module, ports) for module in _modules("storage")},
        networks=networks,
        taps=taps,
        tap_prefix=TAP_PREFIX,
        os=Definitions(
            runner=runner,
            files=files,
            clock=clock,
            search_path=paths.os_search_path,
            log_dir=f"{paths.log}/os",
            running=Running(files=files, paths=paths),
        ),
        fence=Fence(files=files, path=paths.epoch),
        replica=Replica(paths.replica),
    )


def allowed_dirs(files: Files, list_path: str, settings: NodeSettings) -> tuple[str, ...]:
    """Directories below which disks may be made: the operator's file and what the cluster was made with."""
    try:
        text = files.read(list_path).decode()
    except FileNotFoundError:
        text = ""
    lines = [line.split("#", 1)[0].strip() for line in text.splitlines()]
    for line in lines:
        if line and not line.startswith("/"):
            raise Failed(f"{list_path}: '{line}' is not an absolute path", path=list_path)
    return tuple(dict.fromkeys([line.rstrip("/") for line in lines if line] + list(settings.file_storage_dirs)))


def _modules(kind: str) -> Iterator[ModuleType]:
    package = importlib.import_module(f"{drivers.__name__}.{kind}")
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        if hasattr(module, "TRAITS"):
            yield module


def _make(module: ModuleType, ports: dict[str, Any]) -> Any:
    """Give a driver those ports that its constructor names."""
    wanted: Sequence[str] = tuple(inspect.signature(module.Driver).parameters)
    build: Callable[..., Any] = module.Driver
    return build(**{name: ports[name] for name in wanted if name in ports})
