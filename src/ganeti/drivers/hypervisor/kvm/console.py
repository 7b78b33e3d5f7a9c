"""How the console of a KVM guest is reached. Pure."""

from __future__ import annotations

from typing import Final

from ganeti.contract.guest import Console, Guest
from ganeti.drivers.hypervisor.kvm.display import VNC_BASE_PORT, vnc_socket
from ganeti.drivers.hypervisor.kvm.runtime import Places

_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})


def console(guest: Guest, places: Places, *, host: str) -> Console:
    """The serial console where there is one, else the screen, else a sentence."""
    params = guest.hvparams
    if params["serial_console"]:
        socket = places.socket(guest.name, "serial")
        command = ("socat", "STDIO,raw,echo=0,escape=0x1d", f"UNIX-CONNECT:{socket}")
        return Console(instance=guest.name, kind="ssh", host=host, user="root", command=command)
    bind, port = params["vnc_bind_address"], guest.network_port
    socket_path = vnc_socket(params, guest.name)
    if socket_path is not None:
        message = f"the screen of {guest.name} is served on {host} at the unix socket {socket_path} (VNC)"
        return Console(instance=guest.name, kind="msg", message=message)
    if bind and port is not None:
        address = host if bind in _EVERYWHERE else bind
        return Console(instance=guest.name, kind="vnc", host=address, port=port, display=port - VNC_BASE_PORT)
    if params["spice_bind"] and port is not None:
        return Console(instance=guest.name, kind="spice", host=host, port=port)
    message = f"{guest.name} has no console; set serial_console, vnc_bind_address or spice_bind and restart it"
    return Console(instance=guest.name, kind="msg", message=message)
