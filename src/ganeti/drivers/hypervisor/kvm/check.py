"""What on this host stands against the parameters of a KVM guest, as sentences. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ganeti.base.files import Files
from ganeti.drivers.hypervisor.kvm import pinning
from ganeti.drivers.hypervisor.kvm.host import INSTALL_HINT, Host
from ganeti.drivers.hypervisor.kvm.params import is_url
from ganeti.model.objects import Params

_FILES: Final = (
    *("kernel_path", "initrd_path", "cdrom_image_path", "cdrom2_image_path", "floppy_image_path"),
    *("vnc_password_file", "vnc_x509_path", "spice_password_file", "mem_path"),
)


def objections(params: Params, host: Host, files: Files) -> Iterator[str]:
    """One sentence for each thing that is missing, with the way out."""
    if host.program(params) is None:
        yield f"QEMU is not there ({params['kvm_path']}); {INSTALL_HINT}"
    accelerator = host.accelerator_objection(params)
    if accelerator is not None:
        yield accelerator
    for name in _FILES:
        path = params[name]
        if path and not is_url(path) and not files.exists(path):
            yield f"{path} ({name}) is not there; put it on this node, or change or empty the parameter {name}"
    try:
        wanted = {number for mask in pinning.parse(params["cpu_mask"]) for number in mask or ()}
    except ValueError as error:
        yield str(error)
    else:
        missing = sorted(wanted - host.cpus().ids)
        if missing:
            yield f"cpu_mask {params['cpu_mask']} names CPUs this node does not have: {', '.join(map(str, missing))}"
    domain = params["security_domain"]
    if params["security_model"] == "user" and domain and not _user_exists(files, domain):
        yield f"the user {domain} (security_domain) does not exist on this node; add it (useradd --system {domain})"
    if params["security_model"] == "pool":
        yield "security_model=pool is not available on this node: it was told no uid pool; use user or none"


def _user_exists(files: Files, user: str) -> bool:
    lines = files.read("/etc/passwd").decode(errors="replace").splitlines()
    return any(line.partition(":")[0] == user for line in lines)
