"""The parameters of KVM guests and the rules between them. Pure: the master asks without touching a host.

Source: spec params, "hypervisor kvm", "validation rules" and "value sets". `accelerator` is ours.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterator
from typing import Any, Final

from ganeti.drivers.hypervisor.kvm import pinning
from ganeti.model.objects import Params
from ganeti.model.params import Param, is_normal_absolute
from ganeti.model.traits import HypervisorTraits

NAME: Final = "kvm"
DEFAULT_BINARY: Final = "/usr/bin/kvm"
SERIAL_SPEEDS: Final = (9600, 19200, 38400, 57600, 115200)
DISK_TYPES: Final = (
    *("ide", "mtd", "paravirtual", "pflash", "scsi", "scsi-block", "scsi-cd", "scsi-generic", "scsi-hd", "sd"),
)
NIC_TYPES: Final = (
    *("e1000", "i82551", "i82557b", "i82559er", "ne2k_isa", "ne2k_pci", "paravirtual", "pcnet", "rtl8139"),
)
_WAN_COMPRESSION: Final = ("always", "auto", "never")
_SPICE_ONLY: Final = (
    *("spice_image_compression", "spice_ip_version", "spice_jpeg_wan_compression", "spice_password_file"),
    *("spice_streaming_video", "spice_use_tls", "spice_zlib_glz_wan_compression"),
)
_URL_SCHEMES: Final = ("http", "https", "ftp", "ftps")


def _text(name: str, default: str, summary: str, **more: Any) -> Param:
    return Param(name=name, kind="string", default=default, summary=summary, **more)


def _file(name: str, default: str, summary: str, **more: Any) -> Param:
    return Param(name=name, kind="string", default=default, summary=summary, absolute_path=True, **more)


def _flag(name: str, default: bool, summary: str) -> Param:
    return Param(name=name, kind="bool", default=default, summary=summary)


def _number(name: str, default: int, summary: str, low: int, high: int | None = None, **more: Any) -> Param:
    return Param(name=name, kind="int", default=default, summary=summary, minimum=low, maximum=high, **more)


PARAMS: Final = (
    _text(
        "accelerator",
        "auto",
        "what runs the guest's code; auto takes kvm only where the CPU offers vmx or svm",
        choices=("kvm", "tcg", "auto"),
        required=True,
    ),
    _flag("acpi", True, "ACPI in the guest; without it no orderly shutdown"),
    _text(
        "boot_order",
        "disk",
        "what is booted first",
        choices=("cdrom", "disk", "floppy", "network"),
        required=True,
    ),
    _text("cdrom2_image_path", "", "second CD image: absolute path or URL"),
    _text("cdrom_disk_type", "", "bus of the CD drives; empty means ide", choices=DISK_TYPES),
    _text("cdrom_image_path", "", "first CD image: absolute path or URL"),
    _number("cpu_cores", 0, "cores in a socket; 0 leaves it to QEMU", 0),
    _text("cpu_mask", pinning.ALL, "CPUs of the node: all, a list like 0-3,^2, or one per virtual CPU, joined by ':'"),
    _number("cpu_sockets", 0, "sockets; 0 leaves it to QEMU", 0),
    _number("cpu_threads", 0, "threads in a core; 0 leaves it to QEMU", 0),
    _text("cpu_type", "", "CPU model; empty is QEMU's default"),
    _text("disk_aio", "threads", "how disk requests are made", choices=("io_uring", "native", "threads")),
    _text(
        "disk_cache",
        "default",
        "cache mode of disks",
        choices=("default", "none", "writeback", "writethrough"),
        required=True,
    ),
    _text("disk_discard", "ignore", "what becomes of discarded blocks", choices=("ignore", "unmap")),
    _text("disk_type", "paravirtual", "bus of the disks", choices=DISK_TYPES, required=True),
    _file("floppy_image_path", "", "floppy image"),
    _file("initrd_path", "", "initial RAM disk for the kernel"),
    _text("kernel_args", "ro", "further arguments for the kernel"),
    _file("kernel_path", "/boot/vmlinuz-3-kvmU", "kernel to boot; empty boots from a device"),
    _text("keymap", "", "keyboard map of VNC"),
    _text("kvm_extra", "", "further options for QEMU, as in a shell"),
    _text(
        "kvm_flag", "", "older form of accelerator: enabled is kvm, disabled is tcg", choices=("disabled", "enabled")
    ),
    _file("kvm_path", DEFAULT_BINARY, "QEMU's program", required=True),
    _number("kvm_pci_reservations", 12, "PCI slots kept free for devices that are not ours", 0, 32),
    _text("machine_version", "", "machine type; empty is QEMU's default, pinned while the guest runs"),
    _file("mem_path", "", "directory of a hugetlbfs for the guest's memory"),
    _number("migration_bandwidth", 32, "limit of a live migration in MiB/s", 1, cluster_only=True),
    _text("migration_caps", "", "migration capabilities to switch on, joined by ':'"),
    _number("migration_downtime", 30, "longest pause of a live migration in ms", 1),
    _text("migration_mode", "live", "default way to migrate", choices=("live", "non-live"), cluster_only=True),
    _number("migration_port", 8102, "TCP port of migrations", 1, 65534, cluster_only=True, required=True),
    _text("nic_type", "paravirtual", "model of the NICs", choices=NIC_TYPES, required=True),
    _text("reboot_behavior", "reboot", "when the guest reboots", choices=("exit", "reboot"), required=True),
    Param(name="root_path", kind="maybe-string", default="/dev/vda1", summary="root= for the kernel"),
    _text(
        "scsi_controller_type",
        "lsi",
        "SCSI controller for disks of the scsi types",
        choices=("dc390", "lsi", "megasas", "virtio-scsi-pci"),
        required=True,
    ),
    _text("security_domain", "", "user that QEMU runs as with security_model=user"),
    _text("security_model", "none", "whom QEMU runs as", choices=("none", "pool", "user"), required=True),
    _flag("serial_console", True, "a serial port for the console"),
    _number("serial_speed", 38400, "speed of the serial port in baud", 1),
    _text("soundhw", "", "sound card"),
    _text("spice_bind", "", "address or interface for SPICE; empty is off"),
    _text(
        "spice_image_compression",
        "",
        "lossless image compression of SPICE",
        choices=("auto_glz", "auto_lz", "glz", "lz", "off", "quic"),
    ),
    _number("spice_ip_version", 0, "IP version of SPICE's address: 4, 6 or 0 for any", 0, 6),
    _text("spice_jpeg_wan_compression", "", "JPEG compression of SPICE", choices=_WAN_COMPRESSION),
    _file("spice_password_file", "", "file with the password of SPICE in one line"),
    _flag("spice_playback_compression", True, "compress sound of SPICE"),
    _text("spice_streaming_video", "", "video detection of SPICE", choices=("all", "filter", "off")),
    _text("spice_tls_ciphers", "HIGH:-DES:-3DES:-EXPORT:-DH", "OpenSSL ciphers of SPICE"),
    _flag("spice_use_tls", False, "TLS for SPICE, with the cluster's certificate"),
    _flag("spice_use_vdagent", True, "channel for the SPICE agent in the guest"),
    _text("spice_zlib_glz_wan_compression", "", "zlib compression of SPICE", choices=_WAN_COMPRESSION),
    _text("usb_devices", "", "USB devices, separated by commas or spaces"),
    _text("usb_mouse", "", "USB pointing device", choices=("mouse", "tablet")),
    _flag("use_chroot", False, "lock QEMU into an empty directory"),
    _flag("use_guest_agent", False, "channel for the QEMU guest agent"),
    _flag("use_localtime", False, "the guest's clock shows local time"),
    _flag("user_shutdown", False, "tell a guest that powered itself off from one that crashed"),
    _text("vga", "", "graphics card; empty is QEMU's default"),
    _flag("vhost_net", True, "paravirtual NICs in the kernel, where the node can"),
    _number("virtio_net_queues", 1, "queues of a paravirtual NIC", 1, 8),
    _text("vnc_bind_address", "", "IP address, or a directory for a unix socket; empty is off"),
    _file("vnc_password_file", "", "file with the password of VNC in one line"),
    _flag("vnc_tls", False, "TLS for VNC"),
    _file("vnc_x509_path", "", "directory with the certificates of VNC"),
    _flag("vnc_x509_verify", False, "VNC clients must show a certificate"),
    _flag("vnet_hdr", True, "offload headers on taps of paravirtual NICs"),
)


def is_url(image: str) -> bool:
    """Whether a CD image is fetched by QEMU rather than read from the node."""
    scheme, separator, _ = image.partition("://")
    return bool(separator) and scheme in _URL_SCHEMES


def wanted_accelerator(params: Params) -> str:
    """`kvm`, `tcg` or `auto`, with the older `kvm_flag` heeded."""
    asked: str = params["accelerator"]
    if asked != "auto" or not params["kvm_flag"]:
        return asked
    return "kvm" if params["kvm_flag"] == "enabled" else "tcg"


def validate(params: Params, vcpus: int | None) -> list[str]:
    """What is wrong between complete parameters of a guest with that many virtual CPUs, as sentences. Pure.

    Without a number of CPUs (parameters of a whole cluster) what depends on it is not judged.
    """
    return [
        *_boot_objections(params),
        *_console_objections(params),
        *_spice_objections(params),
        *_cpu_objections(params, vcpus),
        *_device_objections(params),
        *_security_objections(params),
    ]


def _boot_objections(params: Params) -> Iterator[str]:
    if params["kernel_path"] and not params["root_path"]:
        yield "kernel_path needs root_path: say where the kernel finds its root, or empty kernel_path"
    if params["initrd_path"] and not params["kernel_path"]:
        yield "initrd_path needs kernel_path: an initial RAM disk is only loaded with a kernel"
    for name in ("cdrom_image_path", "cdrom2_image_path"):
        image = params[name]
        if image and not is_url(image) and not is_normal_absolute(image):
            yield f"{name} '{image}' is neither an absolute path nor a URL with {', '.join(_URL_SCHEMES)}"
    if params["boot_order"] == "cdrom" and not params["cdrom_image_path"]:
        yield "boot_order=cdrom needs cdrom_image_path"
    if params["boot_order"] == "floppy" and not params["floppy_image_path"]:
        yield "boot_order=floppy needs floppy_image_path"
    try:
        shlex.split(params["kvm_extra"])
    except ValueError as error:
        yield f"kvm_extra cannot be split into words: {error}"


def _console_objections(params: Params) -> Iterator[str]:
    if params["serial_console"] and params["serial_speed"] not in SERIAL_SPEEDS:
        speeds = ", ".join(map(str, SERIAL_SPEEDS))
        yield f"serial_speed {params['serial_speed']} is not one of {speeds}"
    bind = params["vnc_bind_address"]
    if bind and not bind.startswith("/") and _address(bind) is None:
        yield f"vnc_bind_address '{bind}' is neither an IP address nor an absolute directory"
    if bind.startswith("/") and not is_normal_absolute(bind):
        yield f"vnc_bind_address '{bind}' has '..' or double slashes"
    if params["vnc_tls"] and not bind:
        yield "vnc_tls needs vnc_bind_address"
    if params["vnc_x509_verify"] and not (params["vnc_tls"] and params["vnc_x509_path"]):
        yield "vnc_x509_verify needs vnc_tls and vnc_x509_path"


def _spice_objections(params: Params) -> Iterator[str]:
    bind = params["spice_bind"]
    if not bind:
        yield from (f"{name} needs spice_bind" for name in _SPICE_ONLY if params[name])
        return
    version = params["spice_ip_version"]
    if version not in (0, 4, 6):
        yield f"spice_ip_version {version} is not 0, 4 or 6"
    address = _address(bind)
    if address is not None and version in (4, 6) and address.version != version:
        yield f"spice_bind '{bind}' is not an IPv{version} address, as spice_ip_version asks"


def _cpu_objections(params: Params, vcpus: int | None) -> Iterator[str]:
    try:
        masks = pinning.parse(params["cpu_mask"])
    except ValueError as error:
        yield str(error)
    else:
        if vcpus is not None and len(masks) > 1 and len(masks) != vcpus:
            yield f"cpu_mask has {len(masks)} entries for {vcpus} virtual CPUs; give one for all, or one for each"
    given = [params[name] for name in ("cpu_sockets", "cpu_cores", "cpu_threads") if params[name] > 0]
    product = 1
    for count in given:
        product *= count
    if vcpus is not None and ((len(given) == 3 and product != vcpus) or (given and vcpus % product)):
        yield f"cpu_sockets, cpu_cores and cpu_threads make {product} CPUs, which does not fit {vcpus} virtual CPUs"
    if params["accelerator"] == "tcg" and params["kvm_flag"] == "enabled":
        yield "kvm_flag=enabled contradicts accelerator=tcg"
    if params["accelerator"] == "kvm" and params["kvm_flag"] == "disabled":
        yield "kvm_flag=disabled contradicts accelerator=kvm"
    if wanted_accelerator(params) == "tcg" and params["cpu_type"].split(",")[0] == "host":
        yield "cpu_type=host needs the accelerator kvm; choose another model, or 'max'"


def _device_objections(params: Params) -> Iterator[str]:
    if params["disk_aio"] == "native" and params["disk_cache"] != "none":
        yield f"disk_aio=native needs disk_cache=none, not {params['disk_cache']}"
    if params["virtio_net_queues"] > 1 and params["nic_type"] != "paravirtual":
        yield f"virtio_net_queues above 1 needs nic_type=paravirtual, not {params['nic_type']}"


def _security_objections(params: Params) -> Iterator[str]:
    model, domain = params["security_model"], params["security_domain"]
    if model == "user" and not domain:
        yield "security_model=user needs security_domain, the user that QEMU runs as"
    if model != "user" and domain:
        yield f"security_domain is only for security_model=user, not {model}"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


TRAITS: Final = HypervisorTraits(
    name=NAME, params=PARAMS, can_migrate=True, real_guests=True, uses_network_port=True, validate=validate
)
