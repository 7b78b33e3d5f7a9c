"""What a cluster said of itself once, in the shape of /info/cluster."""

from typing import Any

CLUSTER: dict[str, Any] = {
    "name": "cluster.pg.example",
    "uuid": "9ffe42d1-c407-445e-8ecb-3b1cb42a6b6b",
    "ctime": 1795370806.0,
    "mtime": 1795370807.0,
    "master": "node1.pg.example",
    "architecture": ["64bit", "x86_64"],
    "tags": [],
    "default_hypervisor": "fake",
    "enabled_hypervisors": ["fake"],
    "hvparams": {"fake": {"migration_mode": "live"}},
    "os_hvp": {},
    "osparams": {},
    "hidden_os": [],
    "blacklisted_os": [],
    "candidate_pool_size": 10,
    "max_running_jobs": 20,
    "max_tracked_jobs": 25,
    "mac_prefix": "aa:00:00",
    "master_netdev": "eth0",
    "master_netmask": 32,
    "use_external_mip_script": False,
    "volume_group_name": None,
    "reserved_lvs": [],
    "drbd_usermode_helper": None,
    "file_storage_dir": "/srv/ganeti/file-storage",
    "shared_file_storage_dir": "/srv/ganeti/shared-file-storage",
    "gluster_storage_dir": "/var/run/ganeti/gluster",
    "maintain_node_health": False,
    "uid_pool": [],
    "default_iallocator": "hail",
    "default_iallocator_params": {},
    "primary_ip_version": 4,
    "prealloc_wipe_disks": False,
    "enabled_disk_templates": ["diskless", "file"],
    "install_image": "",
    "instance_communication_network": "",
    "zeroing_image": "",
    "compression_tools": ["gzip", "gzip-fast", "gzip-slow"],
    "enabled_user_shutdown": False,
    "modify_ssh_setup": True,
    "ssh_key_type": "rsa",
    "ssh_key_bits": 2048,
    "ndparams": {"cpu_speed": 1, "oob_program": "", "ovs": False, "ovs_link": None, "ssh_port": 22},
    "beparams": {"maxmem": 128, "auto_balance": True},
    "nicparams": {"link": "main", "mode": "routed", "vlan": ""},
    "diskparams": {"file": {}, "plain": {"stripes": 1}},
    "ipolicy": {
        "minmax": [{"min": {"cpu-count": 1}, "max": {"cpu-count": 8}}],
        "std": {"cpu-count": 1},
        "disk-templates": ["file", "diskless"],
        "vcpu-ratio": 10000.0,
        "spindle-ratio": 10000.0,
    },
    "enabled_data_collectors": {"lv": True},
    "data_collector_interval": {"lv": 5_000_000},
}

CLUSTER_INFO = """\
Cluster name: cluster.pg.example
Cluster UUID: 9ffe42d1-c407-445e-8ecb-3b1cb42a6b6b
Creation time: 2026-11-22 18:06:46
Modification time: 2026-11-22 18:06:47
Master node: node1.pg.example
Architecture (this node): 64bits (x86_64)
Tags: (none)
Default hypervisor: fake
Enabled hypervisors: fake
Hypervisor parameters:@
  fake:@
    migration_mode: live
OS-specific hypervisor parameters:@
OS parameters:@
Hidden OSes:@
Blacklisted OSes:@
Cluster parameters:@
  candidate pool size: 10
  maximal number of jobs running simultaneously: 20
  maximal number of jobs simultaneously tracked by the scheduler: 25
  mac prefix: aa:00:00
  master netdev: eth0
  master netmask: 32
  use external master IP address setup script: False
  lvm volume group: None
  lvm reserved volumes: (none)
  drbd usermode helper: None
  file storage path: /srv/ganeti/file-storage
  shared file storage path: /srv/ganeti/shared-file-storage
  gluster storage path: /var/run/ganeti/gluster
  maintenance of node health: False
  uid pool:@
  default instance allocator: hail
  default instance allocator parameters:@
  primary ip version: 4
  preallocation wipe disks: False
  OS search path: /srv/ganeti/os, /usr/local/lib/ganeti/os, /usr/lib/ganeti/os, /usr/share/ganeti/os
  ExtStorage Providers search path: /srv/ganeti/extstorage, /usr/local/lib/ganeti/extstorage, /usr/lib/ganeti/extstorage, /usr/share/ganeti/extstorage
  enabled disk templates: diskless, file
  install image:@
  instance communication network:@
  zeroing image:@
  compression tools:@
    - gzip
    - gzip-fast
    - gzip-slow
  enabled user shutdown: False
  modify ssh setup: True
  ssh_key_type: rsa
  ssh_key_bits: 2048
Default node parameters:@
  cpu_speed: 1
  oob_program:@
  ovs: False
  ovs_link:@
  ssh_port: 22
Default instance parameters:@
  default:@
    auto_balance: True
    maxmem: 128
Default nic parameters:@
  default:@
    link: main
    mode: routed
    vlan:@
Default disk parameters:@
  file:@
  plain:@
    stripes: 1
Instance policy - limits for instances:@
  bounds specs:@
    - max/0:@
        cpu-count: 8
      min/0:@
        cpu-count: 1
  std:@
    cpu-count: 1
  allowed disk templates: file, diskless
  spindle-ratio: 10000
  vcpu-ratio: 10000
Data collectors:@
  lv:@
    active: True
    interval: 5.000s
""".replace("@", " ")
