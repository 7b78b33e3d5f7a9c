"""Disks, CD drives, NICs and their places on the buses, as words for QEMU's command line. Pure.

Disks and NICs get explicit addresses: the same argv makes the same machine on every host (spec: drivers, "KVM").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ganeti.base.errors import NO_RESOURCES, WRONG_INPUT, Refused
from ganeti.contract.guest import AttachedDisk, Guest, GuestNic
from ganeti.drivers.hypervisor.kvm.params import is_url
from ganeti.model.objects import Params

PCI_SLOTS: Final = 32
_FIRST_FREE_SLOT: Final = 4
"""Below are host bridge, south bridge and graphics; QEMU also puts what `kvm_extra` adds into low slots."""

_CACHE: Final = {
    "none": (True, True),
    "default": (True, False),
    "writeback": (True, False),
    "writethrough": (False, False),
}
"""Mode to (write cache of the device, bypass the host's page cache)."""

_SEEN_BY_MANY_NODES: Final = frozenset({"blockdev", "ext", "gluster", "sharedfile"})
"""Templates whose data other nodes see too: the page cache of one node may hide nothing from them."""

_SCSI_DEVICES: Final = {"scsi": "scsi-hd"}
_NO_WRITE_CACHE: Final = frozenset({"scsi-block", "scsi-generic", "scsi-cd"})
_NIC_MODELS: Final = {"paravirtual": "virtio-net-pci"}
_SCSI_TARGETS: Final = {"lsi": 7, "dc390": 7, "megasas": 64, "virtio-scsi-pci": 64}


class Slots:
    """Gives out PCI addresses of one machine."""

    def __init__(self, *, machine: str, reserved: int) -> None:
        self._bus = "pcie.0" if "q35" in machine else "pci.0"
        last = PCI_SLOTS - 1 if "q35" in machine else PCI_SLOTS  # q35 has its south bridge in the last one
        first = max(_FIRST_FREE_SLOT, reserved)
        self._own = list(range(_FIRST_FREE_SLOT, first))
        self._managed = list(range(first, last))

    def own(self) -> str:
        """An address for a device that comes with every guest, from the reserved slots as long as they last."""
        return self._take(self._own or self._managed)

    def managed(self) -> str:
        """An address for a disk, a NIC or its like."""
        return self._take(self._managed)

    def _take(self, free: list[int]) -> str:
        if not free:
            raise Refused(
                NO_RESOURCES,
                "the guest has more disks and NICs than its machine has PCI slots; lower kvm_pci_reservations, or use"
                " disk_type=scsi-hd with scsi_controller_type=virtio-scsi-pci",
            )
        return f"bus={self._bus},addr={free.pop(0):#x}"


class Ide:
    """Gives out places on the IDE buses: four on the PC machine, six on q35."""

    def __init__(self, *, machine: str) -> None:
        places = [f"bus=ide.{port},unit=0" for port in range(6)]
        if "q35" not in machine:
            places = [f"bus=ide.{number // 2},unit={number % 2}" for number in range(4)]
        self._free = places

    def take(self) -> str:
        """The next place."""
        if not self._free:
            raise Refused(NO_RESOURCES, "the guest has more IDE disks and CD drives than places; use paravirtual disks")
        return self._free.pop(0)


class Scsi:
    """Gives out SCSI targets of the one controller, which is made with the first."""

    def __init__(self, controller: str, slots: Slots) -> None:
        self._controller = controller
        self._slots = slots
        self._next = 0

    def take(self) -> tuple[list[str], str]:
        """(words that make the controller, the next place)."""
        limit = _SCSI_TARGETS[self._controller]
        if self._next >= limit:
            raise Refused(NO_RESOURCES, f"the SCSI controller {self._controller} has only {limit} places for disks")
        made = []
        if self._next == 0:
            made = ["-device", f"{self._controller},id=scsi,{self._slots.own()}"]
        place = f"bus=scsi.0,channel=0,scsi-id={self._next},lun=0"
        self._next += 1
        return made, place


class Buses:
    """All buses of one machine."""

    def __init__(self, params: Params, *, machine: str) -> None:
        self.slots = Slots(machine=machine, reserved=params["kvm_pci_reservations"])
        self.ide = Ide(machine=machine)
        self.scsi = Scsi(params["scsi_controller_type"], self.slots)


def device_id(kind: str, uuid: str) -> str:
    """`disk-` or `nic-` and the first three groups of the uuid."""
    return f"{kind}-{'-'.join(uuid.split('-')[:3])}"


def escaped(text: str) -> str:
    """A value inside a comma-separated option."""
    return text.replace(",", ",,")


def disk_words(
    disks: Sequence[AttachedDisk], params: Params, buses: Buses, *, first_bootindex: int | None
) -> list[str]:
    """Options for the disks; the first one gets the boot index."""
    words: list[str] = []
    for number, disk in enumerate(disks):
        boot = f",bootindex={first_bootindex}" if number == 0 and first_bootindex is not None else ""
        words += _disk(disk, params, buses, boot)
    return words


def _disk(disk: AttachedDisk, params: Params, buses: Buses, boot: str) -> list[str]:
    kind: str = params["disk_type"]
    name = device_id("disk", disk.disk.uuid)
    if kind in ("mtd", "pflash", "sd"):
        read_only = ",readonly=on" if disk.disk.mode == "ro" else ""
        return ["-drive", f"file={escaped(disk.uri or disk.path)},if={kind},format=raw,id={name}{read_only}"]
    mode = "none" if disk.disk.dev_type in _SEEN_BY_MANY_NODES else params["disk_cache"]
    write_cache, direct = _CACHE[mode]
    cache = {"direct": direct, "no-flush": False}
    discard = params["disk_discard"]
    source: dict[str, Any] = {"cache": cache, "discard": discard}
    if disk.uri is not None:
        source |= userspace_source(disk.uri)
    else:
        source |= {"driver": "host_device" if disk.is_block_device else "file", "filename": disk.path}
        # Native requests need the page cache out of the way, which the rules see to for the mode that was asked.
        source["aio"] = params["disk_aio"]
    node: dict[str, Any] = {"driver": "raw", "node-name": name, "cache": cache, "discard": discard, "file": source}
    if disk.disk.mode == "ro":
        node["read-only"] = True
        source["read-only"] = True
    made, model, place = _on_bus(kind, buses)
    cached = "" if model in _NO_WRITE_CACHE else f",write-cache={'on' if write_cache else 'off'}"
    return [*made, "-blockdev", json.dumps(node), "-device", f"{model},id={name},drive={name},{place}{cached}{boot}"]


def _on_bus(kind: str, buses: Buses) -> tuple[list[str], str, str]:
    """(words that make the bus, device model, its place) for a disk type."""
    if kind == "paravirtual":
        return [], "virtio-blk-pci", buses.slots.managed()
    if kind == "ide":
        return [], "ide-hd", buses.ide.take()
    made, place = buses.scsi.take()
    return made, _SCSI_DEVICES.get(kind, kind), place


_RBD: Final = re.compile(r"rbd:(?P<pool>[^/:]+)/(?P<image>[^:]+)(?::id=(?P<user>[^:]+))?")
_GLUSTER: Final = re.compile(
    r"gluster(?:\+tcp)?://(?P<host>\[[^\]]+\]|[^:/]+)(?::(?P<port>\d+))?/(?P<volume>[^/]+)/(?P<path>.+)"
)


def userspace_source(uri: str) -> dict[str, Any]:
    """A disk that QEMU opens without the kernel: `rbd:POOL/NAME[:id=USER]` or `gluster://HOST[:PORT]/VOLUME/PATH`."""
    if rbd := _RBD.fullmatch(uri):
        user = {"user": rbd["user"]} if rbd["user"] else {}
        return {"driver": "rbd", "pool": rbd["pool"], "image": rbd["image"], **user}
    if gluster := _GLUSTER.fullmatch(uri):
        server = {"type": "inet", "host": gluster["host"].strip("[]"), "port": gluster["port"] or "24007"}
        return {"driver": "gluster", "volume": gluster["volume"], "path": gluster["path"], "server": [server]}
    raise Refused(WRONG_INPUT, f"'{uri}' is not a disk that QEMU opens by itself: rbd:... or gluster://...", uri=uri)


def removable_words(params: Params, buses: Buses, *, bootindex: Mapping[str, int]) -> list[str]:
    """Options for CD drives and the floppy; `bootindex` by `cdrom` and `floppy`."""
    words: list[str] = []
    images = [params["cdrom_image_path"], params["cdrom2_image_path"]]
    for number, image in enumerate(image for image in images if image):
        name = f"cdrom-{number}"
        source = {"driver": image.partition("://")[0], "url": image} if is_url(image) else _file_source(image)
        node = {"driver": "raw", "node-name": name, "read-only": True, "file": {**source, "read-only": True}}
        kind = params["cdrom_disk_type"] or "ide"
        made, model, place = _on_bus(kind, buses)
        model = {"ide-hd": "ide-cd", "scsi-hd": "scsi-cd"}.get(model, model)
        boot = f",bootindex={bootindex['cdrom']}" if number == 0 and "cdrom" in bootindex else ""
        words += [*made, "-blockdev", json.dumps(node), "-device", f"{model},id={name},drive={name},{place}{boot}"]
    if params["floppy_image_path"]:
        node = {"driver": "raw", "node-name": "floppy-0", "file": _file_source(params["floppy_image_path"])}
        words += ["-blockdev", json.dumps(node), "-device", "floppy,id=floppy-0,drive=floppy-0"]
        if "floppy" in bootindex:
            words += ["-global", f"isa-fdc.bootindexA={bootindex['floppy']}"]
    return words


def _file_source(path: str) -> dict[str, Any]:
    return {"driver": "file", "filename": path}


def nic_words(
    guest: Guest, taps: Mapping[int, str], buses: Buses, *, vhost: bool, first_bootindex: int | None
) -> list[str]:
    """Options for the NICs; `taps` by index. Without a boot index no boot ROM is loaded: the guest starts faster."""
    params = guest.hvparams
    words: list[str] = []
    for number, nic in enumerate(guest.nics):
        boot = f",bootindex={first_bootindex}" if number == 0 and first_bootindex is not None else ""
        words += _nic(nic, taps[nic.index], params, buses, vhost=vhost, boot=boot, rom=first_bootindex is not None)
    return words


def _nic(nic: GuestNic, tap: str, params: Params, buses: Buses, *, vhost: bool, boot: str, rom: bool) -> list[str]:
    kind: str = params["nic_type"]
    name = device_id("nic", nic.uuid)
    model = _NIC_MODELS.get(kind, kind)
    queues: int = params["virtio_net_queues"] if kind == "paravirtual" else 1
    netdev = [f"tap,id={name}", f"ifname={escaped(tap)}", "script=no", "downscript=no"]
    device = [model, f"id={name}", f"netdev={name}", f"mac={nic.mac}"]
    if kind != "ne2k_isa":
        device += [buses.slots.managed(), *([] if rom else ["romfile="])]
    if kind == "paravirtual":
        netdev += [f"vnet_hdr={'on' if params['vnet_hdr'] else 'off'}", f"vhost={'on' if vhost else 'off'}"]
    if queues > 1:
        netdev.append(f"queues={queues}")
        device += ["mq=on", f"vectors={2 * queues + 2}"]
    return ["-netdev", ",".join(netdev), "-device", ",".join(device) + boot]


def boot_indexes(order: str, present: Iterable[str]) -> dict[str, int]:
    """What is tried first, and then the disk."""
    there = list(present)
    wanted = [order] if order in there else []
    if order != "disk" and "disk" in there:
        wanted.append("disk")
    return {kind: number for number, kind in enumerate(wanted, start=1)}
