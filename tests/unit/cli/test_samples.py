"""What scripts rely on: the columns, keys, words and exit statuses that commands always had."""

import re
from typing import Any

import pytest

from ganeti.cli import table
from ganeti.cli.instance import GROUP
from tests.unit.cli.conftest import Shell
from tests.unit.cli.fake_master import FakeMaster, refusal

T0 = 1795370945.0
"""2026-11-22 18:09:05 UTC."""

COLUMNS = {
    "name": ("Instance", "text"),
    "hypervisor": ("Hypervisor", "text"),
    "os": ("OS", "text"),
    "pnode": ("Primary_node", "text"),
    "status": ("Status", "text"),
    "oper_ram": ("Memory", "unit"),
    "snodes": ("Secondary_Nodes", "other"),
    "be/memory": ("ConfigMaxMem", "unit"),
    "disk.sizes": ("Disk_sizes", "other"),
    "nic.ips": ("NIC_IPs", "other"),
    "tags": ("Tags", "other"),
    "oper_state": ("Running", "bool"),
    "be/vcpus": ("ConfigVCPUs", "number"),
    "disk_usage": ("DiskUsage", "unit"),
    "ctime": ("CTime", "timestamp"),
}


def row(name: str, node: str, status: str, memory: list[Any], sizes: list[int], usage: int) -> list[Any]:
    values: dict[str, Any] = {
        "name": name,
        "hypervisor": "fake",
        "os": "noop+default",
        "pnode": node,
        "status": status,
        "snodes": [],
        "be/memory": 128,
        "disk.sizes": sizes,
        "nic.ips": ["10.9.0.2"] if name.startswith("db") else ["10.9.0.1"],
        "tags": [],
        "oper_state": status == "running",
        "be/vcpus": 1,
        "disk_usage": usage,
        "ctime": T0 + (5 if name.startswith("db") else 0),
    }
    return [memory if field == "oper_ram" else [0, values[field]] for field in COLUMNS]


@pytest.fixture
def instances(master: FakeMaster) -> FakeMaster:
    master.columns = COLUMNS
    master.rows = [
        row("db1.pg.example", "node2.pg.example", "running", [0, 128], [64], 64),
        row("web1.pg.example", "node1.pg.example", "running", [0, 128], [], 0),
    ]
    return master


def test_instances(shell: Shell, instances: FakeMaster) -> None:
    done = shell("gnt-instance", "list")
    assert done.status == 0
    assert done.out.splitlines() == [
        "Instance        Hypervisor OS           Primary_node     Status  Memory",
        "db1.pg.example  fake       noop+default node2.pg.example running   128M",
        "web1.pg.example fake       noop+default node1.pg.example running   128M",
    ]


def test_instances_that_are_down_have_no_memory(shell: Shell, instances: FakeMaster) -> None:
    instances.rows = [row("db1.pg.example", "node2.pg.example", "ADMIN_down", [3, None], [64], 64)]
    assert shell("gnt-instance", "list").out.splitlines() == [
        "Instance       Hypervisor OS           Primary_node     Status     Memory",
        "db1.pg.example fake       noop+default node2.pg.example ADMIN_down      -",
    ]


def test_fields_for_a_script(shell: Shell, instances: FakeMaster) -> None:
    fields = "name,pnode,snodes,be/memory,disk.sizes,nic.ips,tags,oper_ram,status"
    done = shell("gnt-instance", "list", "--no-headers", "--separator=|", "-o", fields)
    assert done.out.splitlines() == [
        "db1.pg.example|node2.pg.example||128|64|10.9.0.2||128|running",
        "web1.pg.example|node1.pg.example||128||10.9.0.1||128|running",
    ]


def test_booleans_numbers_sizes_and_times(shell: Shell, instances: FakeMaster) -> None:
    done = shell("gnt-instance", "list", "-o", "name,oper_state,be/vcpus,disk_usage,ctime")
    assert done.out.splitlines() == [
        "Instance        Running ConfigVCPUs DiskUsage CTime",
        "db1.pg.example  Y                 1       64M 2026-11-22 18:09:10",
        "web1.pg.example Y                 1        0M 2026-11-22 18:09:05",
    ]


def test_an_unknown_field_is_14(shell: Shell, instances: FakeMaster) -> None:
    instances.rows = []
    done = shell("gnt-instance", "list", "-o", "name,foo")
    assert (done.status, done.out, done.err) == (14, "Instance foo\n", "Warning: Queried for unknown fields foo\n")


def test_an_unknown_field_of_list_fields_is_14(shell: Shell, master: FakeMaster) -> None:
    master.answers["/query-fields"] = {"fields": [{"name": "foo", "title": "foo", "kind": "unknown", "doc": ""}]}
    done = shell("gnt-instance", "list-fields", "foo")
    assert (done.status, done.err) == (14, "Warning: Queried for unknown fields foo\n")


@pytest.mark.parametrize("verbose", [False, True])
def test_missing_values_have_placeholders(shell: Shell, instances: FakeMaster, verbose: bool) -> None:
    instances.columns = {name: (name, "text") for name in ("a", "b", "c", "d")}
    instances.rows = [[[1, None], [2, None], [3, None], [4, None]]]
    words = ["-o", "a,b,c,d", "--no-headers", *(["-v"] if verbose else [])]
    expected = "(unknown) (nodata) (unavail) (offline)" if verbose else "?? ? - *"
    assert shell("gnt-instance", "list", *words).out == expected + "\n"


def test_an_unknown_name_fails(shell: Shell, master: FakeMaster) -> None:
    master.answers["/query"] = lambda _: refusal("unknown_entity", "Instance name nosuch not found")
    done = shell("gnt-instance", "list", "nosuch")
    assert (done.status, done.out) == (1, "")
    assert done.err.splitlines() == [
        "Failure: prerequisites not met for this operation:",
        "error type: unknown_entity, error details:",
        "Instance name nosuch not found",
    ]


def test_nodes(shell: Shell, master: FakeMaster) -> None:
    master.columns = {
        "name": ("Node", "text"),
        "dtotal": ("DTotal", "unit"),
        "dfree": ("DFree", "unit"),
        "mtotal": ("MTotal", "unit"),
        "mnode": ("MNode", "unit"),
        "mfree": ("MFree", "unit"),
        "pinst_cnt": ("Pinst", "number"),
        "sinst_cnt": ("Sinst", "number"),
    }
    values = ["node1.pg.example", 258048, 72294, 24064, 54, 23142, 1, 0]
    master.rows = [[[0, value] for value in values]]
    assert shell("gnt-node", "list").out.splitlines() == [
        "Node             DTotal DFree MTotal MNode MFree Pinst Sinst",
        "node1.pg.example 252.0G 70.6G  23.5G   54M 22.6G     1     0",
    ]


def test_jobs(shell: Shell, master: FakeMaster) -> None:
    master.columns = {"id": ("ID", "number"), "status": ("Status", "text"), "summary": ("Summary", "other")}
    master.rows = [
        [[0, 9], [0, "success"], [0, ["OS_DIAGNOSE"]]],
        [[0, 10], [0, "error"], [0, ["TAGS_SEARCH(a)"]]],
    ]
    assert shell("gnt-job", "list").out.splitlines() == [
        "ID Status  Summary",
        " 9 success OS_DIAGNOSE",
        "10 error   TAGS_SEARCH(a)",
    ]


def test_the_last_column_keeps_no_spaces_but_the_one_before(shell: Shell) -> None:
    rows = [["net1", "10.20.0.0/24", "10.20.0.1", "-", "", ""]]
    titles = ["Network", "Subnet", "Gateway", "MacPrefix", "GroupList", "Tags"]
    lines = table.lines(titles, rows, right=[False] * 6, separator=None, headers=True)
    assert lines[1] == "net1    10.20.0.0/24 10.20.0.1 -" + " " * 19


def test_parameters_in_a_cell() -> None:
    assert table.text("other", {"oob_program": "", "ovs": False}, "h") == "oob_program=, ovs=False"
    assert table.text("other", {"cpu_speed": 1.0, "ratio": 1.5}, "h") == "cpu_speed=1, ratio=1.5"
    assert table.text("other", [["a", 1], None, "b"], "h") == '["a",1],,b'


@pytest.mark.parametrize(
    "units, expected",
    [
        ("h", ["64M", "1.5G", "2.0T"]),
        ("m", ["64", "1536", "2097152"]),
        ("g", ["0.1", "1.5", "2048.0"]),
        ("t", ["0.0", "0.0", "2.0"]),
    ],
)
def test_units(units: str, expected: list[str]) -> None:
    assert [table.size(size, units) for size in (64, 1536, 2097152)] == expected


DISK = {
    "disk/0": "file, size 64M",
    "access mode": "rw",
    "logical_id": "['loop', '/srv/disk0']",
    "on primary": "/srv/disk0 (N/A:N/A)",
    "name": None,
    "UUID": "7c599f8b-b6de-4aed-91c0-f4829ab2521e",
}
INSTANCE: dict[str, Any] = {
    "Instance name": "db1.pg.example",
    "Serial number": 3,
    "Nodes": [
        {"primary": "node2.pg.example", "group": "default (UUID 3772af40-b3d7-4c29-8251-84c8e329a224)"},
        {"secondaries": []},
    ],
    "Operating system parameters": {},
    "Allocated network port": None,
    "Back-end parameters": {"auto_balance": "default (True)", "vcpus": 2},
    "NICs": [{"nic/0": "", "MAC": "aa:00:00:8a:0c:55", "vlan": ""}],
    "Disks": [DISK],
}

INSTANCE_INFO = """\
- Instance name: db1.pg.example
  Serial number: 3
  Nodes:@
    - primary: node2.pg.example
      group: default (UUID 3772af40-b3d7-4c29-8251-84c8e329a224)
    - secondaries:@
  Operating system parameters:@
  Allocated network port: None
  Back-end parameters:@
    auto_balance: default (True)
    vcpus: 2
  NICs:@
    - nic/0:@
      MAC: aa:00:00:8a:0c:55
      vlan:@
  Disks:@
    - disk/0: file, size 64M
      access mode: rw
      logical_id: ['loop', '/srv/disk0']
      on primary: /srv/disk0 (N/A:N/A)
      name: None
      UUID: 7c599f8b-b6de-4aed-91c0-f4829ab2521e
""".replace("@", " ")


def test_an_instance_in_full(shell: Shell, master: FakeMaster) -> None:
    master.answers["/info/instance"] = [INSTANCE]
    assert shell("gnt-instance", "info", "-s", "db1").out == INSTANCE_INFO
    assert master.requests[-1] == ("/info/instance", {"names": ["db1"], "static": True})


def test_all_instances_only_when_that_is_said(shell: Shell, master: FakeMaster) -> None:
    master.answers["/info/instance"] = [INSTANCE, INSTANCE]
    assert shell("gnt-instance", "info", "--all").out == INSTANCE_INFO * 2
    assert "or give --all" in shell("gnt-instance", "info").err


def test_bounds_of_a_policy_stand_in_pairs(shell: Shell, master: FakeMaster) -> None:
    bounds = {"bounds specs": [{"max/0": {"cpu-count": 8}, "min/0": {"cpu-count": 1}}], "vcpu-ratio": 4}
    master.answers["/info/cluster"] = {"Cluster name": "cluster.example.com", "Instance policy": bounds}
    assert shell("gnt-cluster", "info").out.splitlines() == [
        "Cluster name: cluster.example.com",
        "Instance policy: ",
        "  bounds specs: ",
        "    - max/0: ",
        "        cpu-count: 8",
        "      min/0: ",
        "        cpu-count: 1",
        "  vcpu-ratio: 4",
    ]


def test_a_job_in_full(shell: Shell, master: FakeMaster) -> None:
    master.answers["/jobs/ID"] = {
        "id": 30,
        "status": "error",
        "received_ts": T0 + 12.435708,
        "start_ts": T0 + 12.925083,
        "end_ts": T0 + 13.034975,
        "archived": False,
        "summary": ["INSTANCE_CREATE(web1.pg.example)"],
        "ops": [
            {
                "input": {
                    "OP_ID": "OP_INSTANCE_CREATE",
                    "depends": None,
                    "nics": [{"ip": "10.9.0.1"}],
                    "reason": [["gnt:client", "add", 1]],
                },
                "status": "error",
                "result": ["OpPrereqError", ["Instance 'web1' is already in the cluster", "already_exists"]],
                "log": [[1, T0, "message", "hello"]],
                "start": T0 + 12.925083,
                "exec": None,
                "end": T0 + 13.034956,
                "priority": 0,
            }
        ],
    }
    expected = """\
- Job ID: 30
  Status: error
  Received:         2026-11-22 18:09:17.435708
  Processing start: 2026-11-22 18:09:17.925083 (delta 0.489375s)
  Processing end:   2026-11-22 18:09:18.034975 (delta 0.109892s)
  Total processing time: 0.599267 seconds
  Opcodes:@
    - Opcode: OP_INSTANCE_CREATE
      Status: error
      Processing start: 2026-11-22 18:09:17.925083
      Execution start:  N/A
      Processing end:   2026-11-22 18:09:18.034956
      Input fields:@
        OP_ID: OP_INSTANCE_CREATE
        depends: None
        nics:@
          - ip: 10.9.0.1
        reason:@
          - - gnt:client
            - add
            - 1
      Result:@
        - OpPrereqError
        - - Instance 'web1' is already in the cluster
          - already_exists
      Execution log:@
        - Time: 2026-11-22 18:09:05.000000
          Content:@
            - 1
            - message
            - hello
"""
    assert shell("gnt-job", "info", "30").out == expected.replace("@", " ")


ON_NODE: dict[str, Any] = {
    "node": "node1.pg.example",
    "status": "valid",
    "path": "/srv/ganeti/os/noop",
    "problems": [],
    "api_versions": [20, 15, 10],
    "variants": ["default"],
    "parameters": {},
    "trusted": True,
}
SYSTEM: dict[str, Any] = {
    "name": "noop",
    "valid": True,
    "status": "valid",
    "hidden": False,
    "blacklisted": False,
    "trusted": True,
    "variants": ["default"],
    "api_versions": [20, 15, 10],
    "parameters": {},
    "nodes": [ON_NODE],
}


def test_operating_systems(shell: Shell, master: FakeMaster) -> None:
    master.answers["/info/os"] = [SYSTEM]
    assert shell("gnt-os", "list").out == "Name        \nnoop+default\n"
    info = ["noop:", "  - valid: True", "  - hidden: False", "  - blacklisted: False", "  - API versions:", "    - 10"]
    info += ["    - 15", "    - 20", "  - variants:", "    - default", "  - parameters:", "  - trusted: True", ""]
    assert shell("gnt-os", "info").out.splitlines() == info
    assert shell("gnt-os", "diagnose").out.splitlines() == [
        "OS: noop [global status: valid]",
        "  Variants: [default]",
        "  Node: node1.pg.example, status: valid (path: /srv/ganeti/os/noop) [API versions: 20, 15, 10]"
        " [variants: default] [no parameters] [trusted]",
        "",
    ]


def test_a_broken_operating_system_is_shown_and_fails(shell: Shell, master: FakeMaster) -> None:
    broken = {**ON_NODE, "node": "node2", "status": "invalid", "problems": ["no create script"]}
    nodes = [ON_NODE, broken, {"node": "node3", "status": "missing"}]
    master.answers["/info/os"] = [{**SYSTEM, "valid": False, "status": "partial", "nodes": nodes}]
    done = shell("gnt-os", "diagnose")
    assert done.status == 1
    assert "[global status: partial]" in done.out
    assert "Node: node2, status: invalid - no create script (path: /srv/ganeti/os/noop)" in done.out
    assert "Node: node3, status: missing" in done.out
    assert shell("gnt-os", "list", "--no-headers").out == ""


def test_parameters_of_an_operating_system(shell: Shell, master: FakeMaster) -> None:
    master.answers["/info/os"] = [{**SYSTEM, "parameters": {"greeting": "what it says"}}]
    assert "    - greeting: what it says\n" in shell("gnt-os", "info", "noop").out
    assert shell("gnt-os", "info", "nosuch").status == 1


def test_locks(shell: Shell, master: FakeMaster) -> None:
    master.answers["/locks"] = {"locks": []}
    assert shell("gnt-debug", "locks").out == "Name Mode Owner Pending\n"
    lock = {"name": "instance/web1", "mode": "exclusive", "owner": [7], "pending": [["shared", [8, 9]]]}
    free: dict[str, Any] = {"name": "node/u1", "mode": None, "owner": [], "pending": []}
    master.answers["/locks"] = {"locks": [lock, free]}
    assert shell("gnt-debug", "locks").out.splitlines() == [
        "Name          Mode      Owner Pending",
        "instance/web1 exclusive 7     shared:8,9",
        "node/u1       -         -     -",
    ]


def test_the_queue(shell: Shell, master: FakeMaster) -> None:
    master.answers["/queue/drain"] = {"drained": False}
    assert shell("gnt-cluster", "queue", "info").out == "The drain flag is unset\n"
    master.answers["/queue/drain"] = {"drained": True}
    assert shell("gnt-cluster", "queue", "drain").out == ""
    assert master.requests[-1] == ("/queue/drain", {"drain": True})


def test_the_list_of_commands(shell: Shell) -> None:
    done = shell("gnt-instance", "frobnicate")
    assert done.status == 1
    head, _, commands = done.err.partition("Commands:\n")
    assert head == (
        "Usage: gnt-instance {command} [options...] [argument...]\n"
        "gnt-instance <command> --help to see details, or man gnt-instance\n"
        "\n"
    )
    assert re.match(r" [a-z-]+ +- [A-Z]", commands)
    assert max(map(len, done.err.splitlines())) <= 79
    assert shell("gnt-instance").status == 1
    assert shell("gnt-instance", "--help").status == 0
    assert shell("gnt-instance", "--version").out.startswith("gnt-instance (ganeti) ")
    assert "is 'list' meant?" in shell("gnt-instance", "lst").err
    assert "not served yet" in shell("gnt-instance", GROUP.later[0], "web1").err
