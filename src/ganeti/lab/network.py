"""The wiring of a lab, as scripts for `ip -batch`: bridges in the fabric, a cable to each host, a bridge in the host."""

from __future__ import annotations

from typing import Final

from ganeti.lab.plan import HostPlan, LabPlan

HOST_BRIDGE: Final = "xen-br0"
"""What a cluster uses for its guests unless told otherwise (spec: interfaces)."""


def fabric_script(plan: LabPlan) -> str:
    """Run in the fabric's namespace, once."""
    lines = ["link set dev lo up"]
    for bridge, address in plan.fabrics.items():
        lines += [
            f"link add name {bridge} type bridge stp_state 0 forward_delay 0",
            f"address add {address} dev {bridge}",
            f"link set dev {bridge} up",
        ]
    return "\n".join(lines) + "\n"


def host_script(host: HostPlan, fabric_namespace: str) -> str:
    """Run in the host's namespace when it boots; `fabric_namespace` is a path to the namespace of the fabric.

    The bridge has the address of its first card and keeps it, whatever guests are plugged in later.
    """
    first, *others = host.cables
    lines = [
        "link set dev lo up",
        *(
            f"link add name {cable.device} address {cable.mac} type veth "
            f"peer name {cable.port} netns {fabric_namespace}"
            for cable in host.cables
        ),
        f"link add name {HOST_BRIDGE} address {first.mac} type bridge stp_state 0 forward_delay 0",
        f"link set dev {first.device} master {HOST_BRIDGE} up",
        f"address add {first.address} dev {HOST_BRIDGE}",
        f"link set dev {HOST_BRIDGE} up",
    ]
    for cable in others:
        lines += [f"address add {cable.address} dev {cable.device}", f"link set dev {cable.device} up"]
    return "\n".join(lines) + "\n"


def plug_script(host: HostPlan) -> str:
    """Run in the fabric's namespace: the cables are plugged in."""
    return "".join(f"link set dev {cable.port} master {cable.fabric} up\n" for cable in host.cables)


def unplug_script(host: HostPlan) -> str:
    """Run in the fabric's namespace: from now on nothing of the host reaches anybody, not even its farewell."""
    return "".join(f"link set dev {cable.port} down\n" for cable in host.cables)


def remove_script(host: HostPlan) -> str:
    """Run in the fabric's namespace: the cables are gone, at both ends."""
    return "".join(f"link delete dev {cable.port}\n" for cable in host.cables)


def drop_script(devices: list[str], *, drop: bool) -> str:
    """For `tc -batch`: whatever leaves through these devices vanishes, unnoticed by the sender, or does no more."""
    if drop:
        return "".join(f"qdisc replace dev {device} root blackhole\n" for device in devices)
    return "".join(f"qdisc delete dev {device} root\n" for device in devices)
