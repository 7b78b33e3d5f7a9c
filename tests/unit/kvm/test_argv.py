"""The command line of QEMU, word by word, for guests with all kinds of parameters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ganeti.base.errors import Refused
from ganeti.base.paths import Paths
from ganeti.contract.guest import AttachedDisk, Guest, GuestNic
from ganeti.drivers.hypervisor.kvm import TRAITS
from ganeti.drivers.hypervisor.kvm.argv import Settings, build
from ganeti.drivers.hypervisor.kvm.runtime import Places
from ganeti.model.objects import Disk, Uuid
from ganeti.model.params import defaults

PLACES = Places.of(Paths())
SETTINGS = Settings(
    program="/usr/bin/qemu-system-x86_64",
    version=(7, 2),
    machine="pc-i440fx-7.2",
    accelerator="tcg",
    places=PLACES,
    certificates="/var/lib/ganeti",
)


def nic(index: int) -> GuestNic:
    return GuestNic(
        index=index,
        uuid=f"0000000{index}-1111-2222-3333-444444444444",
        mac=f"aa:00:00:00:00:0{index}",
        mode="bridged",
        link="xen-br0",
    )


def disk(index: int, **changes: Any) -> AttachedDisk:
    fields: dict[str, Any] = {"dev_type": "file", "size": 1024, **changes.pop("of", {})}
    return AttachedDisk(
        disk=Disk(uuid=Uuid(f"d000000{index}-1111-2222-3333-444444444444"), **fields),
        index=index,
        **{"path": f"/srv/disk{index}", **changes},
    )


def guest(*, nics: int = 0, hvparams: dict[str, Any] | None = None, **changes: Any) -> Guest:
    fields: dict[str, Any] = {"maxmem_mib": 512, "minmem_mib": 256, "vcpus": 2, **changes}
    return Guest(
        name="web1.example.com",
        uuid="9ba1d8f4-1e2b-4c3d-8899-aabbccddeeff",
        hypervisor="kvm",
        hvparams=defaults(TRAITS.params) | {"kernel_path": ""} | (hvparams or {}),
        nics=tuple(nic(index) for index in range(nics)),
        **fields,
    )


def words(of: Guest, disks: list[AttachedDisk] | None = None, settings: Settings = SETTINGS) -> list[str]:
    taps = {each.index: f"gnt-9ba1d8f4-{each.index}" for each in of.nics}
    return list(build(of, disks or [], taps, settings))


def all_after(argv: list[str], option: str) -> list[str]:
    return [argv[place + 1] for place, word in enumerate(argv) if word == option]


def after(argv: list[str], option: str) -> str:
    (word,) = all_after(argv, option)
    return word


def device(argv: list[str], start: str) -> str:
    (found,) = [word for word in all_after(argv, "-device") if word.startswith(start)]
    return found


def test_a_guest_is_known_by_its_name_uuid_and_pid_file() -> None:
    argv = words(guest())

    assert argv[0] == "/usr/bin/qemu-system-x86_64"
    assert after(argv, "-name") == "web1.example.com,debug-threads=on"
    assert after(argv, "-uuid") == "9ba1d8f4-1e2b-4c3d-8899-aabbccddeeff"
    assert after(argv, "-pidfile") == "/run/ganeti/kvm-hypervisor/pid/web1.example.com"
    assert {"-daemonize", "-S", "-nodefaults", "-no-user-config"} <= set(argv)


def test_size_machine_and_accelerator_are_as_asked() -> None:
    argv = words(guest())

    assert after(argv, "-m") == "512"
    assert after(argv, "-smp") == "2"
    assert after(argv, "-machine") == "pc-i440fx-7.2"
    assert after(argv, "-accel") == "tcg,tb-size=64"
    assert after(words(guest(), settings=SETTINGS._replace(accelerator="kvm")), "-accel") == "kvm"


def test_topology_names_only_what_was_given() -> None:
    argv = words(guest(vcpus=8, hvparams={"cpu_sockets": 2, "cpu_threads": 2}))

    assert after(argv, "-smp") == "8,sockets=2,threads=2"


def test_a_kernel_comes_with_its_arguments_and_console() -> None:
    hvparams = {"kernel_path": "/boot/vmlinuz", "initrd_path": "/boot/initrd.img", "kernel_args": "ro quiet"}
    argv = words(guest(hvparams=hvparams), [disk(0)])

    assert after(argv, "-kernel") == "/boot/vmlinuz"
    assert after(argv, "-initrd") == "/boot/initrd.img"
    assert after(argv, "-append") == "root=/dev/vda1 ro quiet console=ttyS0,38400"
    assert "bootindex" not in device(argv, "virtio-blk-pci")


def test_without_a_kernel_the_first_disk_boots() -> None:
    argv = words(guest(), [disk(0), disk(1)])

    first, second = [word for word in all_after(argv, "-device") if word.startswith("virtio-blk-pci")]
    assert "-kernel" not in argv
    assert first.endswith(",bootindex=1")
    assert "bootindex" not in second


def test_a_disk_is_a_block_node_and_a_device_with_an_address_beyond_the_reserved() -> None:
    argv = words(guest(), [disk(0)])

    node = json.loads(after(argv, "-blockdev"))
    assert node == {
        "driver": "raw",
        "node-name": "disk-d0000000-1111-2222",
        "cache": {"direct": False, "no-flush": False},
        "discard": "ignore",
        "file": {
            "driver": "file",
            "filename": "/srv/disk0",
            "aio": "threads",
            "cache": {"direct": False, "no-flush": False},
            "discard": "ignore",
        },
    }
    assert device(argv, "virtio-blk-pci") == (
        "virtio-blk-pci,id=disk-d0000000-1111-2222,drive=disk-d0000000-1111-2222,bus=pci.0,addr=0xc,"
        "write-cache=on,bootindex=1"
    )


@pytest.mark.parametrize(
    "mode, dev_type, direct, write_cache",
    [
        ("default", "file", False, "on"),
        ("writeback", "file", False, "on"),
        ("writethrough", "file", False, "off"),
        ("none", "file", True, "on"),
        ("writeback", "sharedfile", True, "on"),  # another node may read it next
        ("writeback", "rbd", False, "on"),
    ],
)
def test_cache_modes(mode: str, dev_type: str, direct: bool, write_cache: str) -> None:
    argv = words(guest(hvparams={"disk_cache": mode}), [disk(0, of={"dev_type": dev_type})])

    node = json.loads(after(argv, "-blockdev"))
    assert node["cache"]["direct"] is direct
    assert node["file"]["cache"]["direct"] is direct
    assert f"write-cache={write_cache}" in device(argv, "virtio-blk-pci")


def test_a_block_device_is_opened_as_one_and_a_read_only_disk_for_reading() -> None:
    argv = words(guest(), [disk(0, is_block_device=True, path="/dev/drbd0", of={"mode": "ro"})])

    node = json.loads(after(argv, "-blockdev"))
    assert (node["read-only"], node["file"]["read-only"]) == (True, True)
    assert (node["file"]["driver"], node["file"]["filename"]) == ("host_device", "/dev/drbd0")


@pytest.mark.parametrize(
    "uri, source",
    [
        ("rbd:pool/a.rbd.disk0", {"driver": "rbd", "pool": "pool", "image": "a.rbd.disk0"}),
        ("rbd:pool/a:id=joe", {"driver": "rbd", "pool": "pool", "image": "a", "user": "joe"}),
        (
            "gluster://10.0.0.1:24008/gv0/dir/a.0",
            {
                "driver": "gluster",
                "volume": "gv0",
                "path": "dir/a.0",
                "server": [{"type": "inet", "host": "10.0.0.1", "port": "24008"}],
            },
        ),
    ],
)
def test_disks_can_be_opened_without_the_kernel(uri: str, source: dict[str, Any]) -> None:
    node = json.loads(after(words(guest(), [disk(0, uri=uri)]), "-blockdev"))

    assert source.items() <= node["file"].items()


def test_ide_has_four_places() -> None:
    argv = words(guest(hvparams={"disk_type": "ide"}), [disk(index) for index in range(4)])

    places = [word.split(",bus=")[1].split(",write")[0] for word in all_after(argv, "-device") if "ide-hd" in word]
    assert places == ["ide.0,unit=0", "ide.0,unit=1", "ide.1,unit=0", "ide.1,unit=1"]
    with pytest.raises(Refused, match="more IDE disks"):
        words(guest(hvparams={"disk_type": "ide"}), [disk(index) for index in range(5)])


def test_scsi_disks_share_one_controller() -> None:
    hvparams = {"disk_type": "scsi-hd", "scsi_controller_type": "virtio-scsi-pci"}
    argv = words(guest(hvparams=hvparams), [disk(0), disk(1)])

    assert device(argv, "virtio-scsi-pci") == "virtio-scsi-pci,id=scsi,bus=pci.0,addr=0x5"
    targets = [word.split("scsi-id=")[1][0] for word in all_after(argv, "-device") if word.startswith("scsi-hd")]
    assert targets == ["0", "1"]


def test_a_guest_with_more_devices_than_slots_is_refused_with_a_way_out() -> None:
    many = [disk(index % 10) for index in range(21)]

    with pytest.raises(Refused, match="lower kvm_pci_reservations") as error:
        words(guest(), many)
    assert error.value.code == "insufficient_resources"
    assert words(guest(hvparams={"kvm_pci_reservations": 4}), many)


def test_the_cd_comes_before_the_disk_when_it_is_to_be_booted() -> None:
    hvparams = {"boot_order": "cdrom", "cdrom_image_path": "/srv/a.iso", "cdrom2_image_path": "https://x.org/b,c.iso"}
    argv = words(guest(hvparams=hvparams), [disk(0)])

    drives = [word for word in all_after(argv, "-device") if word.startswith("ide-cd")]
    nodes = [json.loads(word) for word in all_after(argv, "-blockdev") if "cdrom" in word]
    assert drives[0].endswith(",bootindex=1")
    assert "bootindex" not in drives[1]
    assert device(argv, "virtio-blk-pci").endswith(",bootindex=2")
    assert nodes[1]["file"] == {"driver": "https", "url": "https://x.org/b,c.iso", "read-only": True}


def test_a_nic_is_the_tap_that_was_made_for_it() -> None:
    argv = words(guest(nics=1))

    assert after(argv, "-netdev") == (
        "tap,id=nic-00000000-1111-2222,ifname=gnt-9ba1d8f4-0,script=no,downscript=no,vnet_hdr=on,vhost=off"
    )
    assert device(argv, "virtio-net-pci") == (
        "virtio-net-pci,id=nic-00000000-1111-2222,netdev=nic-00000000-1111-2222,mac=aa:00:00:00:00:00,"
        "bus=pci.0,addr=0xc,romfile="
    )


def test_a_guest_without_nics_has_none() -> None:
    assert "-netdev" not in words(guest())


def test_several_queues_need_vectors() -> None:
    argv = words(guest(nics=1, hvparams={"virtio_net_queues": 4}), settings=SETTINGS._replace(vhost=True))

    assert after(argv, "-netdev").endswith("vhost=on,queues=4")
    assert device(argv, "virtio-net-pci").endswith(",mq=on,vectors=10")


def test_the_network_boots_with_its_rom_and_the_disk_comes_second() -> None:
    argv = words(guest(nics=2, hvparams={"boot_order": "network"}), [disk(0)])

    first, second = [word for word in all_after(argv, "-device") if word.startswith("virtio-net-pci")]
    assert first.endswith(",bootindex=1")
    assert "romfile" not in first + second
    assert device(argv, "virtio-blk-pci").endswith(",bootindex=2")


def test_other_nic_models_have_no_options_of_virtio() -> None:
    argv = words(guest(nics=1, hvparams={"nic_type": "rtl8139", "virtio_net_queues": 1}))

    assert after(argv, "-netdev").endswith("script=no,downscript=no")
    assert device(argv, "rtl8139").startswith("rtl8139,id=nic-")


def test_the_serial_console_is_a_socket_with_a_log_of_this_start_only() -> None:
    argv = words(guest())

    (chardev,) = [word for word in all_after(argv, "-chardev") if "id=serial" in word]
    assert chardev == (
        "socket,id=serial,path=/run/ganeti/kvm-hypervisor/ctrl/web1.example.com.serial,server=on,wait=off,"
        "logfile=/var/log/ganeti/kvm/web1.example.com.serial,logappend=off"
    )
    assert after(argv, "-serial") == "chardev:serial"
    assert after(words(guest(hvparams={"serial_console": False})), "-serial") == "none"


def test_commas_in_paths_do_not_end_them() -> None:
    argv = words(guest(), settings=SETTINGS._replace(places=Places(root="/a,b", log="/c,d")))

    (chardev,) = [word for word in all_after(argv, "-chardev") if "id=serial" in word]
    assert "path=/a,,b/ctrl/" in chardev
    assert "logfile=/c,,d/" in chardev


@pytest.mark.parametrize(
    "hvparams, expected",
    [
        ({"vnc_bind_address": "0.0.0.0"}, "0.0.0.0:5101"),
        ({"vnc_bind_address": "::"}, "[::]:5101"),
        ({"vnc_bind_address": "/run/vnc"}, "unix:/run/vnc/web1.example.com.vnc"),
        ({"vnc_bind_address": "::1", "vnc_password_file": "/x"}, "[::1]:5101,password=on"),
        ({"vnc_bind_address": "::1", "vnc_tls": True}, "[::1]:5101,tls-creds=vnctls"),
    ],
)
def test_vnc_listens_where_it_is_told(hvparams: dict[str, Any], expected: str) -> None:
    argv = words(guest(network_port=11001, hvparams=hvparams))

    assert after(argv, "-vnc") == expected
    assert device(argv, "usb-tablet") == "usb-tablet"


def test_vnc_with_certificates_checks_clients_when_asked() -> None:
    hvparams = {"vnc_bind_address": "::1", "vnc_tls": True, "vnc_x509_path": "/pki", "vnc_x509_verify": True}
    argv = words(guest(network_port=11001, hvparams=hvparams))

    assert after(argv, "-object") == "tls-creds-x509,id=vnctls,endpoint=server,dir=/pki,verify-peer=on"


def test_a_screen_without_a_port_is_refused() -> None:
    with pytest.raises(Refused, match="no network port"):
        words(guest(hvparams={"vnc_bind_address": "0.0.0.0"}))


def test_spice_takes_all_its_parameters() -> None:
    hvparams = {
        "spice_bind": "lo",
        "spice_use_tls": True,
        "spice_password_file": "/x",
        "spice_image_compression": "auto_glz",
        "spice_jpeg_wan_compression": "never",
        "spice_zlib_glz_wan_compression": "always",
        "spice_streaming_video": "filter",
        "spice_playback_compression": False,
    }
    argv = words(guest(network_port=11002, hvparams=hvparams), settings=SETTINGS._replace(spice_address="127.0.0.1"))

    assert after(argv, "-spice") == (
        "addr=127.0.0.1,tls-port=11002,x509-key-file=/var/lib/ganeti/spice.pem,"
        "x509-cert-file=/var/lib/ganeti/spice.pem,x509-cacert-file=/var/lib/ganeti/spice-ca.pem,"
        "tls-ciphers=HIGH:-DES:-3DES:-EXPORT:-DH,ipv4=on,image-compression=auto_glz,jpeg-wan-compression=never,"
        "zlib-glz-wan-compression=always,streaming-video=filter,playback-compression=off"
    )
    assert "com.redhat.spice.0" in device(argv, "virtserialport")
    assert after(argv, "-vga") == "qxl"


def test_usb_devices_are_separated_by_commas_or_spaces() -> None:
    argv = words(guest(hvparams={"usb_mouse": "mouse", "usb_devices": "host:1d6b:0002, host:1.2 keyboard"}))

    assert "-usb" in argv
    assert [word for word in all_after(argv, "-device") if word.startswith("usb")] == [
        "usb-mouse",
        "usb-host,vendorid=0x1d6b,productid=0x0002",
        "usb-host,hostbus=1,hostaddr=2",
        "usb-kbd",
    ]


@pytest.mark.parametrize(
    "version, expected",
    [
        ((7, 2), ["-chroot", f"{PLACES.root}/chroot/web1.example.com", "-runas", "joe"]),
        ((8, 1), ["-runas", "joe", "-run-with", f"chroot={PLACES.root}/chroot/web1.example.com"]),
        ((10, 0), ["-run-with", f"chroot={PLACES.root}/chroot/web1.example.com,user=joe"]),
    ],
)
def test_confinement_is_spelt_as_the_version_wants_it(version: tuple[int, int], expected: list[str]) -> None:
    hvparams = {"use_chroot": True, "security_model": "user", "security_domain": "joe"}
    argv = words(guest(hvparams=hvparams), settings=SETTINGS._replace(version=version))

    assert argv[-len(expected) :] == expected


def test_a_pool_of_users_is_refused_for_want_of_the_pool() -> None:
    with pytest.raises(Refused, match="security_model=pool needs the cluster's uid pool"):
        words(guest(hvparams={"security_model": "pool"}))


@pytest.mark.parametrize("cluster, own, stays", [(True, True, True), (True, False, False), (False, True, False)])
def test_qemu_stays_after_a_power_off_only_when_cluster_and_guest_want_to_know(
    cluster: bool, own: bool, stays: bool
) -> None:
    argv = words(guest(user_shutdown=cluster, hvparams={"user_shutdown": own}))

    assert ("-no-shutdown" in argv) is stays


def test_the_operators_own_words_come_last() -> None:
    argv = words(guest(hvparams={"kvm_extra": "-fw_cfg 'name=x,string=two words'", "reboot_behavior": "exit"}))

    assert argv[-2:] == ["-fw_cfg", "name=x,string=two words"]
    assert "-no-reboot" in argv


def test_switches_of_the_machine() -> None:
    hvparams = {"acpi": False, "cpu_type": "EPYC,-la57", "mem_path": "/huge", "use_localtime": True, "keymap": "de"}
    argv = words(guest(hvparams=hvparams))

    assert after(argv, "-machine") == "pc-i440fx-7.2,acpi=off"
    assert after(argv, "-cpu") == "EPYC,-la57"
    assert after(argv, "-mem-path") == "/huge"
    assert "-mem-prealloc" in argv
    assert after(argv, "-rtc") == "base=localtime"
    assert after(argv, "-k") == "de"


def test_the_same_guest_makes_the_same_command_line() -> None:
    assert words(guest(nics=2), [disk(0)]) == words(guest(nics=2), [disk(0)])
