"""Screen, keyboard, mouse, sound: VNC, SPICE and USB as words for QEMU's command line. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final

from ganeti.base.errors import ENVIRONMENT, WRONG_STATE, Refused
from ganeti.contract.guest import Guest
from ganeti.drivers.hypervisor.kvm.devices import Slots, escaped
from ganeti.model.objects import Params

VNC_BASE_PORT: Final = 5900
_SPICE_WORDS: Final = {
    "spice_image_compression": "image-compression",
    "spice_jpeg_wan_compression": "jpeg-wan-compression",
    "spice_zlib_glz_wan_compression": "zlib-glz-wan-compression",
    "spice_streaming_video": "streaming-video",
}
_SOUND_DEVICES: Final = {
    "ac97": ("AC97,audiodev=snd",),
    "es1370": ("ES1370,audiodev=snd",),
    "hda": ("intel-hda", "hda-duplex,audiodev=snd"),
}
_USB_NAMES: Final = {"tablet": "usb-tablet", "mouse": "usb-mouse", "keyboard": "usb-kbd"}
_USB_BY_MODEL: Final = re.compile(r"host:([0-9a-fA-F]+):([0-9a-fA-F]+)")
_USB_BY_PLACE: Final = re.compile(r"host:(\d+)\.(\d+)")


def vnc_socket(params: Params, name: str) -> str | None:
    """The unix socket of VNC, when it has one."""
    bind: str = params["vnc_bind_address"]
    return f"{bind}/{name}.vnc" if bind.startswith("/") else None


def screen_words(guest: Guest, *, spice_address: str | None, certificates: str) -> list[str]:
    """Options for the screen. `spice_address` is the IP address of SPICE, None when it is off."""
    params = guest.hvparams
    words = ["-display", "none"]
    if params["keymap"]:
        words += ["-k", params["keymap"]]
    if params["vnc_bind_address"]:
        words += _vnc(guest)
    if spice_address is not None:
        words += ["-spice", _spice(guest, spice_address, certificates)]
    card = params["vga"] or ("qxl" if spice_address is not None else "std")
    return [*words, "-vga", card]


def _vnc(guest: Guest) -> list[str]:
    params = guest.hvparams
    words: list[str] = []
    socket = vnc_socket(params, guest.name)
    if socket is not None:
        target = f"unix:{escaped(socket)}"
    else:
        bind = ipaddress.ip_address(params["vnc_bind_address"])
        target = f"[{bind}]" if bind.version == 6 else str(bind)
        target += f":{_port(guest) - VNC_BASE_PORT}"
    if params["vnc_password_file"]:
        target += ",password=on"
    if params["vnc_tls"]:
        verify = f",verify-peer={'on' if params['vnc_x509_verify'] else 'off'}"
        kind = "tls-creds-anon,id=vnctls,endpoint=server"
        if params["vnc_x509_path"]:
            kind = f"tls-creds-x509,id=vnctls,endpoint=server,dir={escaped(params['vnc_x509_path'])}{verify}"
        words += ["-object", kind]
        target += ",tls-creds=vnctls"
    return [*words, "-vnc", target]


def _spice(guest: Guest, address: str, certificates: str) -> str:
    params = guest.hvparams
    words = [f"addr={address}"]
    if params["spice_use_tls"]:
        words += [
            f"tls-port={_port(guest)}",
            f"x509-key-file={escaped(certificates)}/spice.pem",
            f"x509-cert-file={escaped(certificates)}/spice.pem",
            f"x509-cacert-file={escaped(certificates)}/spice-ca.pem",
        ]
        if params["spice_tls_ciphers"]:
            words.append(f"tls-ciphers={escaped(params['spice_tls_ciphers'])}")
    else:
        words.append(f"port={_port(guest)}")
    words.append(f"ipv{ipaddress.ip_address(address).version}=on")
    if not params["spice_password_file"]:
        words.append("disable-ticketing=on")
    words += [f"{option}={params[name]}" for name, option in _SPICE_WORDS.items() if params[name]]
    if not params["spice_playback_compression"]:
        words.append("playback-compression=off")
    if not params["spice_use_vdagent"]:
        words.append("agent-mouse=off")
    return ",".join(words)


def _port(guest: Guest) -> int:
    port = guest.network_port
    if port is None or port < VNC_BASE_PORT:
        raise Refused(
            WRONG_STATE,
            f"guest {guest.name} has no network port of at least {VNC_BASE_PORT} for its screen; give it one, bind VNC"
            " to a directory, or empty vnc_bind_address and spice_bind",
            port=port,
        )
    return port


def input_words(params: Params) -> list[str]:
    """Options for the mouse and other USB devices. With VNC a tablet is the default: its pointer does not drift."""
    mouse = params["usb_mouse"] or ("tablet" if params["vnc_bind_address"] else "")
    names = [*([mouse] if mouse else []), *re.split(r"[\s,]+", params["usb_devices"].strip())]
    words: list[str] = []
    for name in dict.fromkeys(name for name in names if name):
        words += ["-device", _usb(name)]
    return ["-usb", *words] if words else []


def _usb(name: str) -> str:
    if match := _USB_BY_MODEL.fullmatch(name):
        return f"usb-host,vendorid=0x{match[1]},productid=0x{match[2]}"
    if match := _USB_BY_PLACE.fullmatch(name):
        return f"usb-host,hostbus={match[1]},hostaddr={match[2]}"
    return _USB_NAMES.get(name, name)


def sound_words(params: Params, slots: Slots) -> list[str]:
    """Options for the sound card."""
    card: str = params["soundhw"]
    if not card:
        return []
    devices = _SOUND_DEVICES.get(card)
    if devices is None:
        known = ", ".join(_SOUND_DEVICES)
        raise Refused(ENVIRONMENT, f"this QEMU has no sound card '{card}' (soundhw); there is {known}", soundhw=card)
    backend = "spice" if params["spice_bind"] else "none"
    words = ["-audiodev", f"{backend},id=snd", "-device", _placed(devices[0], slots.own)]
    return words + [word for device in devices[1:] for word in ("-device", device)]


def _placed(device: str, place: Callable[[], str]) -> str:
    return f"{device},{place()}"
