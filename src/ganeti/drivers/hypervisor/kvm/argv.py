"""The command line of a guest's QEMU, made from the guest, its disks and taps, and what the host offers. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ganeti.base.errors import ENVIRONMENT, Refused
from ganeti.contract.guest import AttachedDisk, Guest
from ganeti.drivers.hypervisor.kvm import devices, display
from ganeti.drivers.hypervisor.kvm.devices import Buses, escaped
from ganeti.drivers.hypervisor.kvm.host import Accelerator
from ganeti.drivers.hypervisor.kvm.runtime import Places, Socket
from ganeti.model.objects import Params

_SMALL_GUEST_MIB: Final = 512
NO_SHUTDOWN: Final = "-no-shutdown"
"""QEMU stays when the guest powers off, so that we can tell that from a crash."""


class Settings(NamedTuple):
    """What the host adds. `machine` is a full machine type, not an alias."""

    program: str
    version: tuple[int, int]
    machine: str
    accelerator: Accelerator
    places: Places
    vhost: bool = False
    spice_address: str | None = None
    certificates: str = ""


def counts_user_shutdown(guest: Guest) -> bool:
    """Whether a guest that powers itself off is told from one that crashed: cluster and guest both want it."""
    return bool(guest.user_shutdown and guest.hvparams["user_shutdown"])


def build(guest: Guest, disks: Sequence[AttachedDisk], taps: Mapping[int, str], settings: Settings) -> tuple[str, ...]:
    """The whole command line. QEMU daemonizes and waits, stopped, for `cont`.

    `taps` are interface names by NIC index. Raises `Refused` for what no command line can be made of.
    """
    params = guest.hvparams
    buses = Buses(params, machine=settings.machine)
    boot = _boot_indexes(guest, disks)
    return (
        settings.program,
        *_identity(guest, settings),
        *_machine(guest, settings),
        *_control(guest, settings, buses),
        *_kernel(params),
        *_serial(guest, settings.places),
        *display.screen_words(guest, spice_address=settings.spice_address, certificates=settings.certificates),
        *display.input_words(params),
        *display.sound_words(params, buses.slots),
        *_channels(guest, settings, buses),
        *devices.disk_words(disks, params, buses, first_bootindex=boot.get("disk")),
        *devices.removable_words(params, buses, bootindex=boot),
        *devices.nic_words(guest, taps, buses, vhost=settings.vhost, first_bootindex=boot.get("network")),
        *_confinement(params, guest.name, settings),
        *shlex.split(params["kvm_extra"]),
    )


def _boot_indexes(guest: Guest, disks: Sequence[AttachedDisk]) -> dict[str, int]:
    params = guest.hvparams
    if params["kernel_path"]:
        return {}
    there = {
        "disk": bool(disks),
        "cdrom": bool(params["cdrom_image_path"]),
        "floppy": bool(params["floppy_image_path"]),
        "network": bool(guest.nics),
    }
    return devices.boot_indexes(params["boot_order"], [kind for kind, present in there.items() if present])


def _identity(guest: Guest, settings: Settings) -> list[str]:
    return [
        *("-name", f"{guest.name},debug-threads=on"),
        *("-uuid", guest.uuid),
        *("-pidfile", settings.places.pid_file(guest.name)),
        "-daemonize",
        *("-D", settings.places.log_file(guest.name)),
        "-S",
        "-nodefaults",
        "-no-user-config",
    ]


def _machine(guest: Guest, settings: Settings) -> list[str]:
    params = guest.hvparams
    accelerator = "kvm"
    if settings.accelerator == "tcg":
        # QEMU's own cache of translated code may grow to 1 GiB; a small guest needs a fraction.
        accelerator = f"tcg,tb-size={64 if guest.maxmem_mib <= _SMALL_GUEST_MIB else 256}"
    words = [
        *("-machine", settings.machine + ("" if params["acpi"] else ",acpi=off")),
        *("-accel", accelerator),
        *("-m", str(guest.maxmem_mib)),
        *("-smp", _topology(guest)),
    ]
    if params["cpu_type"]:
        words += ["-cpu", params["cpu_type"]]
    if params["mem_path"]:
        words += ["-mem-path", params["mem_path"], "-mem-prealloc"]
    if params["use_localtime"]:
        words += ["-rtc", "base=localtime"]
    if params["reboot_behavior"] == "exit":
        words.append("-no-reboot")
    if counts_user_shutdown(guest):
        words.append(NO_SHUTDOWN)
    return words


def _topology(guest: Guest) -> str:
    names = {"cpu_sockets": "sockets", "cpu_cores": "cores", "cpu_threads": "threads"}
    given = [f"{word}={guest.hvparams[name]}" for name, word in names.items() if guest.hvparams[name] > 0]
    return ",".join([str(guest.vcpus), *given])


def _control(guest: Guest, settings: Settings, buses: Buses) -> list[str]:
    places = settings.places
    return [
        *("-chardev", _socket(places, guest.name, "monitor"), "-mon", "chardev=monitor,mode=readline"),
        *("-chardev", _socket(places, guest.name, "qmp"), "-mon", "chardev=qmp,mode=control"),
        *("-device", f"virtio-balloon-pci,id=balloon,{buses.slots.own()}"),
    ]


def _socket(places: Places, name: str, kind: Socket, more: str = "") -> str:
    return f"socket,id={kind},path={escaped(places.socket(name, kind))},server=on,wait=off{more}"


def _kernel(params: Params) -> list[str]:
    if not params["kernel_path"]:
        return []
    words = ["-kernel", params["kernel_path"]]
    if params["initrd_path"]:
        words += ["-initrd", params["initrd_path"]]
    arguments = []
    if params["root_path"]:
        arguments.append(f"root={params['root_path']}")
    if params["kernel_args"]:
        arguments.append(params["kernel_args"])
    if params["serial_console"]:
        arguments.append(f"console=ttyS0,{params['serial_speed']}")
    return [*words, "-append", " ".join(arguments)]


def _serial(guest: Guest, places: Places) -> list[str]:
    if not guest.hvparams["serial_console"]:
        return ["-serial", "none"]
    log = f",logfile={escaped(places.serial_log(guest.name))},logappend=off"
    return ["-chardev", _socket(places, guest.name, "serial", log), "-serial", "chardev:serial"]


def _channels(guest: Guest, settings: Settings, buses: Buses) -> list[str]:
    """Channels for agents inside the guest."""
    words: list[str] = []
    if guest.hvparams["use_guest_agent"]:
        words += [
            *("-chardev", _socket(settings.places, guest.name, "qga")),
            *("-device", "virtserialport,bus=channels.0,chardev=qga,name=org.qemu.guest_agent.0"),
        ]
    if settings.spice_address is not None and guest.hvparams["spice_use_vdagent"]:
        words += [
            *("-chardev", "spicevmc,id=vdagent,name=vdagent"),
            *("-device", "virtserialport,bus=channels.0,chardev=vdagent,name=com.redhat.spice.0"),
        ]
    if words:
        return ["-device", f"virtio-serial-pci,id=channels,{buses.slots.own()}", *words]
    return []


def _confinement(params: Params, name: str, settings: Settings) -> list[str]:
    """Whom QEMU runs as and what it sees; newer versions have one option for both."""
    model = params["security_model"]
    if model == "pool":
        raise Refused(
            ENVIRONMENT,
            "security_model=pool needs the cluster's uid pool, which this node was not told; use security_model=user"
            " with security_domain, or none",
        )
    user = params["security_domain"] if model == "user" else ""
    chroot = settings.places.chroot(name) if params["use_chroot"] else ""
    run_with, words = [], []
    if chroot and settings.version >= (8, 1):
        run_with.append(f"chroot={escaped(chroot)}")
    elif chroot:
        words += ["-chroot", chroot]
    if user and settings.version >= (9, 1):
        run_with.append(f"user={escaped(user)}")
    elif user:
        words += ["-runas", user]
    return [*words, *(["-run-with", ",".join(run_with)] if run_with else [])]
