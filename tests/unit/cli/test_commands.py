"""Commands become the operations that were meant, follow their jobs, and ask before what cannot be taken back."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ganeti.cli.instance import devices
from ganeti.cli.programs import GROUPS
from tests.unit.cli.conftest import NOW_NS, Shell
from tests.unit.cli.fake_master import FakeMaster, refusal

T0 = 1795370945.0


def op(master: FakeMaster) -> dict[str, Any]:
    """The only operation of the only job, without what every operation carries."""
    [[only]] = master.submitted
    return {key: value for key, value in only.items() if key != "reason"}


def refused(message: str, code: str = "wrong_input") -> str:
    return f"Failure: prerequisites not met for this operation:\nerror type: {code}, error details:\n{message}\n"


def test_a_small_instance(shell: Shell, master: FakeMaster) -> None:
    log = [[1, T0, "message", "* creating instance disks..."], [2, T0, "message", "* starting instance..."]]
    master.endings = [{"log": log}]
    done = shell("gnt-instance", "add", "-t", "file", "-s", "64M", "-o", "tiny", "web1.example.com")
    assert done.status == 0
    assert done.out.splitlines() == [
        "Sun Nov 22 18:09:05 2026 * creating instance disks...",
        "Sun Nov 22 18:09:05 2026 * starting instance...",
    ]
    assert op(master) == {
        "OP_ID": "OP_INSTANCE_CREATE",
        "mode": "create",
        "instance_name": "web1.example.com",
        "disk_template": "file",
        "os_type": "tiny",
        "disks": [{"size": 64}],
        "nics": [{}],
    }


def test_an_instance_with_everything(shell: Shell, master: FakeMaster) -> None:
    words = shlex.split(
        """-t drbd --disk 1:size=1g,name=data,spindles=2 --disk 0:size=512 --net 0:ip=192.0.2.1,mode=routed -n n1:n2
        -B memory=1G,no_auto_balance -H kvm:acpi=no,-vga -O a=b --os-parameters-private p=1 --os-parameters-secret s=2
        --no-start --no-wait-for-sync --no-conflicts-check --tags a,b --ignore-ipolicy --ip-check --name-check -c yes
        -g rack1 --force-variant -o tiny+big --priority=high --helper-startup-timeout 5""",
        posix=False,
    )
    assert shell("gnt-instance", "add", *words, "web1").status == 0
    assert op(master) == {
        "OP_ID": "OP_INSTANCE_CREATE",
        "mode": "create",
        "instance_name": "web1",
        "disk_template": "drbd",
        "disks": [{"size": 512}, {"size": 1024, "name": "data", "spindles": 2}],
        "nics": [{"ip": "192.0.2.1", "mode": "routed"}],
        "pnode": "n1",
        "snode": "n2",
        "beparams": {"memory": "1G", "auto_balance": False},
        "hypervisor": "kvm",
        "hvparams": {"acpi": "no", "vga": None},
        "osparams": {"a": "b"},
        "osparams_private": {"p": "1"},
        "osparams_secret": {"s": "2"},
        "start": False,
        "wait_for_sync": False,
        "conflicts_check": False,
        "tags": ["a", "b"],
        "ignore_ipolicy": True,
        "ip_check": True,
        "name_check": True,
        "instance_communication": True,
        "group_name": "rack1",
        "force_variant": True,
        "os_type": "tiny+big",
        "priority": -10,
        "helper_startup_timeout": 5,
    }


def test_secrets_stay_out_of_the_log_of_commands(shell: Shell, master: FakeMaster) -> None:
    shell.environ["LOGNAME"] = "alice"
    words = ["-t", "diskless", "--os-parameters-secret", "key=hunter2", "--os-parameters-private=key=swordfish"]
    shell("gnt-instance", "add", *words, "--reason", "it is needed", "web1")
    logged = Path(shell.paths.log_commands).read_text()
    assert "2026-11-22 18:09:17 UTC gnt-instance" in logged
    assert "user=alice" in logged
    assert "it is needed" in logged
    assert "hunter2" not in logged
    assert "swordfish" not in logged


def test_the_reason_trail(shell: Shell, master: FakeMaster) -> None:
    shell("gnt-instance", "add", "-t", "diskless", "--reason", "it is needed", "web1")
    [[created]] = master.submitted
    assert created["reason"] == [
        ["gnt:user", "it is needed", NOW_NS],
        ["gnt:client:gnt-instance", "add", NOW_NS],
    ]


@pytest.mark.parametrize(
    "words, said",
    [
        ("-t file", "an instance with template file needs a disk: -s SIZE, or --disk 0:size=SIZE"),
        ("-t file -s 1G --disk 0:size=1G", "-s makes the only disk; give --disk alone for several"),
        ("-t diskless -s 1G", "an instance with template diskless has no disks: leave -s and --disk out"),
        ("--disk 1:size=1G", "--disk counts from 0 without gaps; number 0 is missing"),
        ("--disk a:size=1G", "--disk begins with a number, as in --disk 0:...; not 'a'"),
        ("--disk 0:mode=ro", "disk 0 needs a size"),
        ("--disk 0:size=big", "'big' is not a size; write a number of MiB, or one with a suffix M, G or T"),
        ("-s -5", "'-5' is not a size; write a number of MiB, or one with a suffix M, G or T"),
        ("--net 0:ip=1 --no-nics", "--net and --no-nics exclude each other"),
        ("--ip-check --no-ip-check", "--ip-check and --no-ip-check exclude each other"),
        ("-n n1:", "'n1:' is no node, and no pair of nodes as node1:node2"),
        ("-H no_kvm", "-H names the hypervisor: -H kvm:KEY=VALUE,..."),
    ],
)
def test_an_instance_that_contradicts_itself(shell: Shell, master: FakeMaster, words: str, said: str) -> None:
    done = shell("gnt-instance", "add", *words.split(), "web1")
    assert (done.status, done.err) == (1, refused(said))
    assert master.submitted == []


def test_a_refused_job(shell: Shell, master: FakeMaster) -> None:
    message = "Instance 'web1.example.com' is already in the cluster"
    master.endings = [{"status": "error", "op_result": [["OpPrereqError", [message, "already_exists"]]]}]
    done = shell("gnt-instance", "add", "-t", "diskless", "web1.example.com")
    assert (done.status, done.out, done.err) == (1, "", refused(message, "already_exists"))


def test_a_failed_job(shell: Shell, master: FakeMaster) -> None:
    master.endings = [{"status": "error", "op_result": [["OpExecError", ["the disk is full"], {}]]}]
    done = shell("gnt-instance", "add", "-t", "diskless", "web1.example.com")
    assert (done.status, done.err) == (1, "Failure: command execution error:\nthe disk is full\n")


def test_a_job_that_is_not_accepted(shell: Shell, master: FakeMaster) -> None:
    master.answers["/jobs"] = {"jobs": [refusal("wrong_state", "the queue is drained")[1]]}
    done = shell("gnt-instance", "add", "-t", "diskless", "web1.example.com")
    assert (done.status, done.err) == (1, refused("the queue is drained", "wrong_state"))


def test_submit_prints_the_number_and_does_not_wait(shell: Shell, master: FakeMaster) -> None:
    done = shell("gnt-debug", "delay", "--submit", "5")
    assert (done.status, done.out) == (0, "JobID: 1\n")
    assert [target for target, _ in master.requests] == ["/jobs"]
    assert op(master) == {"OP_ID": "OP_TEST_DELAY", "duration": 5.0, "no_locks": False}


def test_print_jobid_is_the_first_line(shell: Shell, master: FakeMaster) -> None:
    master.endings = [{"log": [[1, T0, "warning", "mind the gap"]]}]
    done = shell("gnt-debug", "delay", "--print-jobid", "--no-master", "-n", "n1", "-n", "n2", "-r", "2", "-l", "0")
    assert done.out.splitlines() == ["1", "Sun Nov 22 18:09:05 2026  - WARNING: mind the gap"]
    assert op(master) == {
        "OP_ID": "OP_TEST_DELAY",
        "duration": 0.0,
        "no_locks": True,
        "on_master": False,
        "on_nodes": ["n1", "n2"],
        "repeat": 2,
    }


def test_a_plan_is_shown_without_times(shell: Shell, master: FakeMaster) -> None:
    log = [[1, T0, "message", "because: node1 has most free memory"], [2, T0, "message", "step 1: create disk 0"]]
    master.endings = [{"log": log, "op_result": [{"hvparams": {"acpi": True}}]}]
    done = shell("gnt-instance", "add", "--dry-run", "-t", "diskless", "web1")
    assert done.out.splitlines() == [
        "because: node1 has most free memory",
        "step 1: create disk 0",
        "hvparams: ",
        "  acpi: True",
    ]
    assert op(master)["dry_run"] is True


def test_a_master_that_goes_away_is_waited_for(shell: Shell, master: FakeMaster) -> None:
    master.endings = [{"log": [[1, T0, "message", "here again"]]}]
    master.drop_next_wait = 1
    done = shell("gnt-debug", "delay", "0")
    assert done.status == 0
    assert "went away" in done.err
    assert done.out.endswith("here again\n")


@pytest.fixture
def known(master: FakeMaster) -> FakeMaster:
    """A master that knows two instances, also through their node."""

    def query(body: dict[str, Any]) -> tuple[int, Any]:
        names = ["web1.example.com", "web2.example.com"]
        if body["what"] == "node":
            lists = {"pinst_list": names, "sinst_list": ["db1.example.com"]}
            rows = [[[0, lists[name]] for name in body["fields"]]]
        elif body["arguments"] == ["nosuch"]:
            return refusal("unknown_entity", "Instance name nosuch not found")
        else:
            rows = [[[0, name]] for name in names if not body["arguments"] or name.split(".")[0] in body["arguments"]]
        return 200, {"fields": [], "rows": rows, "revision": 1}

    master.answers["/query"] = query
    return master


def test_starting_one(shell: Shell, known: FakeMaster) -> None:
    done = shell("gnt-instance", "start", "--paused", "-B", "maxmem=1G", "web1")
    assert (done.status, done.out) == (0, "Waiting for job 1 for web1.example.com ...\n")
    assert op(known) == {
        "OP_ID": "OP_INSTANCE_STARTUP",
        "instance_name": "web1.example.com",
        "startup_paused": True,
        "beparams": {"maxmem": "1G"},
    }


def test_submitting_shows_number_and_name(shell: Shell, known: FakeMaster) -> None:
    done = shell("gnt-instance", "shutdown", "--submit", "--timeout=5", "web1")
    assert (done.status, done.out) == (0, "1: web1.example.com\n")
    assert op(known)["timeout"] == 5


def test_starting_one_that_is_not_there(shell: Shell, known: FakeMaster) -> None:
    done = shell("gnt-instance", "startup", "nosuch")
    assert (done.status, done.err) == (1, refused("Selection filter does not match any instances"))


def test_several_are_asked_about(shell: Shell, known: FakeMaster) -> None:
    assert shell("gnt-instance", "shutdown", "--all").status == 1
    assert known.submitted == []
    shell.typed = "n\n"
    assert shell("gnt-instance", "shutdown", "--all").status == 1
    assert known.submitted == []
    shell.typed = "what?\n?\ny\n"
    done = shell("gnt-instance", "shutdown", "--all")
    assert done.status == 0
    assert "web2.example.com" in done.out
    assert len(known.submitted) == 2
    assert shell("gnt-instance", "reboot", "--all", "--force-multiple").status == 0
    assert known.submitted[-1][0]["reboot_type"] == "hard"


def test_instances_of_a_node(shell: Shell, known: FakeMaster) -> None:
    shell("gnt-instance", "shutdown", "--force-multiple", "--node", "n1")
    names = [ops[0]["instance_name"] for ops in known.submitted]
    assert names == ["db1.example.com", "web1.example.com", "web2.example.com"]
    known.submitted.clear()
    shell("gnt-instance", "shutdown", "--force-multiple", "--primary", "n1")
    assert len(known.submitted) == 2
    known.submitted.clear()
    shell("gnt-instance", "shutdown", "--force-multiple", "--sec-node-tags", "a", "b")
    assert [ops[0]["instance_name"] for ops in known.submitted] == ["db1.example.com"]
    [asked] = [body for target, body in known.requests if target == "/query" and body["qfilter"]]
    assert asked["qfilter"] == ["|", ["=[]", "tags", "a"], ["=[]", "tags", "b"]]


def test_selectors_exclude_each_other(shell: Shell, known: FakeMaster) -> None:
    assert "--node and --all cannot go together" in shell("gnt-instance", "start", "--all", "--node", "n1").err
    assert "--all takes no names" in shell("gnt-instance", "start", "--all", "n1").err
    assert "name at least one node" in shell("gnt-instance", "start", "--primary").err


def test_one_failed_job_of_several_fails_the_command(shell: Shell, known: FakeMaster) -> None:
    known.endings = [{"status": "error", "op_result": [["OpExecError", ["no memory"]]]}, {}]
    done = shell("gnt-instance", "start", "--all", "--force-multiple")
    assert done.status == 1
    assert done.out.count("Waiting for job") == 2
    assert "Job 1 for web1.example.com has failed: Failure: command execution error:\nno memory" in done.err


def test_removing_asks(shell: Shell, master: FakeMaster) -> None:
    done = shell("gnt-instance", "remove", "web1")
    assert (done.status, done.out) == (1, "")
    assert "no terminal to ask" in done.err
    shell.typed = "y\n"
    assert shell("gnt-instance", "remove", "web1").status == 0
    shell.typed = None
    assert shell("gnt-instance", "remove", "-f", "--ignore-failures", "web1").status == 0
    assert [ops[0].get("ignore_failures") for ops in master.submitted] == [None, True]


def test_reinstalling_asks_and_can_offer_a_choice(shell: Shell, known: FakeMaster) -> None:
    usable = {"valid": True, "hidden": False, "blacklisted": False}
    known.answers["/info/os"] = [{"name": "tiny", "variants": ["a", "b"], **usable}]
    assert shell("gnt-instance", "reinstall", "web1").status == 1
    assert known.submitted == []
    shell.typed = "1\ny\n"
    assert shell("gnt-instance", "reinstall", "--select-os", "web1").status == 0
    assert known.submitted[0][0]["os_type"] == "tiny+b"
    shell.typed = None
    assert shell("gnt-instance", "reinstall", "-f", "-o", "tiny", "web1").status == 0


def test_changing_an_instance(shell: Shell, master: FakeMaster) -> None:
    master.endings = [{"op_result": [[["be/maxmem", 256]]]}]
    words = "-B maxmem=256M --disk add:size=1G --disk 0:mode=ro --disk -1:remove --net 1:remove --net add --offline"
    done = shell("gnt-instance", "modify", *words.split(), "web1.pg.example")
    assert done.out.splitlines()[:2] == ["Modified instance web1.pg.example", " - be/maxmem -> 256"]
    assert op(master) == {
        "OP_ID": "OP_INSTANCE_SET_PARAMS",
        "instance_name": "web1.pg.example",
        "beparams": {"maxmem": "256M"},
        "disks": [["add", -1, {"size": 1024}], ["modify", 0, {"mode": "ro"}], ["remove", -1, {}]],
        "nics": [["remove", 1, {}], ["add", -1, {}]],
        "offline": True,
    }


def test_changing_nothing_is_refused(shell: Shell, master: FakeMaster) -> None:
    done = shell("gnt-instance", "modify", "--force", "web1")
    assert done.status == 1
    assert "nothing to change is given" in done.err
    assert "nothing to change is given" in shell("gnt-cluster", "modify", "-f").err


@pytest.mark.parametrize(
    "option, ident, values, expected",
    [
        ("--disk", "1", {"add": True, "size": "2g"}, ["add", 1, {"size": 2048}]),
        ("--disk", "data", {"mode": "ro"}, ["modify", "data", {"mode": "ro"}]),
        ("--disk", "detach", {}, ["detach", -1, {}]),
        ("--disk", "attach", {"uuid": "u1"}, ["attach", -1, {"uuid": "u1"}]),
        ("--net", "2", {"modify": True, "ip": "none"}, ["modify", 2, {"ip": "none"}]),
    ],
)
def test_modifications(option: str, ident: str, values: dict[str, Any], expected: list[Any]) -> None:
    assert devices.modifications(option, [(ident, values)]) == [expected]


@pytest.mark.parametrize(
    "words, said",
    [
        ("--disk 0:size=5G", "changed with 'gnt-instance grow-disk'"),
        ("--disk add:mode=ro", "needs a size"),
        ("--disk 0:remove,mode=ro", "remove takes no further values (mode)"),
        ("--disk 0:add,remove", "add and remove cannot go together"),
        ("--net 0", "nothing to change is given"),
        ("--net no_0", "write 0:remove"),
        ("--offline --online", "exclude each other"),
    ],
)
def test_changes_that_make_no_sense(shell: Shell, master: FakeMaster, words: str, said: str) -> None:
    done = shell("gnt-instance", "modify", *words.split(), "web1")
    assert done.status == 1
    assert said in done.err
    assert master.submitted == []


def test_renaming(shell: Shell, master: FakeMaster) -> None:
    master.endings = [{"op_result": ["www.example.com"]}]
    assert shell("gnt-instance", "rename", "web1", "www").out == "Instance 'web1' renamed to 'www.example.com'\n"
    assert op(master) == {"OP_ID": "OP_INSTANCE_RENAME", "instance_name": "web1", "new_name": "www"}


def test_many_instances_from_a_file(shell: Shell, master: FakeMaster, tmp_path: Path) -> None:
    item = {"name": "web1", "os": "tiny", "disk_template": "file", "disks": [{"size": "1G"}]}
    file = tmp_path / "batch.json"
    file.write_text(json.dumps({"instances": [item, {**item, "name": "web2", "pnode": "n1"}]}))
    assert shell("gnt-instance", "batch-create", "-I", "hail", str(file)).status == 0
    [[first], [second]] = master.submitted
    assert (first["instance_name"], first["disks"], first["iallocator"]) == ("web1", [{"size": 1024}], "hail")
    assert "iallocator" not in second


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "the file is no JSON"),
        ("[]", "must hold a list of instances"),
        ("[3]", "instance 1 of the file is no object"),
        ('[{"os": "tiny"}]', "instance 1 of the file has no 'instance_name'"),
        ('[{"name": "a", "disks": [{}]}]', "disk 0 of a needs a size"),
        ('[{"name": "a", "disks": 5}]', "the disks of a are no list of objects"),
    ],
)
def test_a_file_that_is_wrong_makes_nothing(
    shell: Shell, master: FakeMaster, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "batch.json"
    file.write_text(text)
    done = shell("gnt-instance", "batch-create", str(file))
    assert done.status == 1
    assert said in done.err
    assert master.submitted == []


def test_the_console_is_shown_here_or_through_ssh(shell: Shell, master: FakeMaster) -> None:
    console = {
        "instance": "web1",
        "kind": "ssh",
        "host": "node1.example.com",
        "user": "root",
        "command": ["socat", "-", "UNIX:/a b"],
        "message": None,
        "port": None,
        "display": None,
    }
    master.answers["/console"] = console
    assert shell("gnt-instance", "console", "web1").status == 0
    assert shell.programs == [["socat", "-", "UNIX:/a b"]]
    assert shell("gnt-instance", "console", "--show-cmd", "web1").out == "socat - 'UNIX:/a b'\n"
    shell.program_status = 1
    failed = shell("gnt-instance", "console", "web1")
    assert failed.status == 1
    assert "it needs a terminal; --show-cmd" in failed.err
    shell.program_status = 0
    master.answers["/console"] = {**console, "host": "node2.example.com"}
    shell("gnt-instance", "console", "web1")
    assert shell.programs[-1][-2:] == ["root@node2.example.com", "socat - 'UNIX:/a b'"]
    master.answers["/console"] = {**console, "kind": "msg", "message": "Console not available"}
    assert shell("gnt-instance", "console", "--show-cmd", "web1").out == "Console not available\n"
    master.answers["/console"] = {**console, "kind": "vnc", "port": 11000, "display": 5100}
    assert "vnc://node1.example.com:11000/ (display 5100)" in shell("gnt-instance", "console", "web1").out


def test_tags(shell: Shell, master: FakeMaster, tmp_path: Path) -> None:
    more = tmp_path / "tags"
    more.write_text("c\n\n d \n")
    assert shell("gnt-instance", "add-tags", "--from", str(more), "web1", "a", "b").out == ""
    assert op(master) == {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": "web1", "tags": ["a", "b", "c", "d"]}
    master.submitted.clear()
    shell("gnt-cluster", "remove-tags", "a")
    assert op(master) == {"OP_ID": "OP_TAGS_DEL", "kind": "cluster", "tags": ["a"]}
    assert "no tags given" in shell("gnt-node", "add-tags", "n1").err
    master.answers["/tags"] = {"tags": ["b", "a"]}
    assert shell("gnt-instance", "list-tags", "web1").out == "a\nb\n"
    assert master.requests[-1] == ("/tags", {"kind": "instance", "name": "web1"})
    master.answers["/tags/search"] = {"tags": [["/instances/web1.pg.example", "a"]]}
    assert shell("gnt-cluster", "search-tags", "a").out == "/instances/web1.pg.example a\n"
    master.answers["/tags/search"] = {"tags": []}
    assert shell("gnt-cluster", "search-tags", "x").status == 1


def test_watching_a_job(shell: Shell, master: FakeMaster) -> None:
    result = ["OpExecError", ["OS name 'noop' must include a variant"]]
    master.endings = [{"status": "error", "op_result": [result], "op_status": ["error"]}]
    done = shell("gnt-job", "watch", "1")
    assert done.status == 1
    assert done.out == "Output from job 1 follows\n-------------------------\n"
    assert done.err == "Job 1 failed: Failure: command execution error:\nOS name 'noop' must include a variant\n"
    master.endings = [{"log": [[1, T0, "message", "hello"]]}]
    assert shell("gnt-job", "wait", "1").out == ""
    assert shell("gnt-job", "wait", "one").status == 1


def test_a_canceled_job_fails(shell: Shell, master: FakeMaster) -> None:
    master.endings = [{"status": "canceled"}]
    done = shell("gnt-job", "wait", "1")
    assert (done.status, done.err) == (1, "Job 1 failed: Failure: Job 1 was canceled\n")


def test_steering_jobs(shell: Shell, master: FakeMaster) -> None:
    master.answers["/jobs/ID/cancel"] = {"ok": False, "message": "Job 30 not found in queue"}
    done = shell("gnt-job", "cancel", "30")
    assert (done.status, done.out) == (1, "Job 30 not found in queue\n")
    assert "add --yes-do-it" in shell("gnt-job", "cancel", "--kill", "30").err
    shell("gnt-job", "cancel", "--kill", "--ya-rly", "30")
    assert master.requests[-1] == ("/jobs/30/cancel", {"kill": True})
    master.answers["/jobs/ID/priority"] = {"ok": True, "message": "done"}
    assert shell("gnt-job", "change-priority", "--priority=low", "30").status == 0
    assert master.requests[-1] == ("/jobs/30/priority", {"priority": 10})
    assert "--priority says which one" in shell("gnt-job", "change-priority", "30").err
    master.answers["/jobs/ID/archive"] = {"ok": True, "message": ""}
    assert shell("gnt-job", "archive", "1", "2").status == 0
    master.answers["/jobs/autoarchive"] = {"archived": 3, "left": 0}
    assert shell("gnt-job", "autoarchive", "1d").out == "Archived 3 jobs, 0 unchecked left\n"
    assert master.requests[-1] == ("/jobs/autoarchive", {"age_s": 86400})
    shell("gnt-job", "autoarchive", "all")
    assert master.requests[-1][1] == {"age_s": None}


def test_canceling_all_that_wait_asks_and_may_be_declined(shell: Shell, master: FakeMaster) -> None:
    master.columns = {"id": ("ID", "number"), "status": ("Status", "text"), "summary": ("Summary", "other")}
    master.rows = [[[0, 7], [0, "queued"], [0, ["TEST_DELAY(5)"]]]]
    master.answers["/jobs/ID/cancel"] = {"ok": True, "message": "Job 7 canceled"}
    assert shell("gnt-job", "cancel", "--pending").status == 13
    done = shell("gnt-job", "cancel", "--pending", "--force")
    assert (done.status, done.out) == (0, "Job 7 canceled\n")
    assert "either job numbers" in shell("gnt-job", "cancel").err


def test_jobs_by_state(shell: Shell, master: FakeMaster) -> None:
    master.columns = {"id": ("ID", "number"), "status": ("Status", "text"), "summary": ("Summary", "other")}
    shell("gnt-job", "list", "--running", "7")
    assert master.requests[-1][1]["qfilter"] == ["&", ["|", ["=", "status", "running"]], ["|", ["=", "id", 7]]]
    shell("gnt-job", "list", "--archived")
    assert master.requests[-1][1]["qfilter"] == ["|", ["?", "archived"], ["!", ["?", "archived"]]]
    assert "cannot go with a filter" in shell("gnt-job", "list", "--error", "status == 'x'").err


def test_verify_follows_the_jobs_it_starts(shell: Shell, master: FakeMaster) -> None:
    master.endings = [{"op_result": [{"jobs": [[True, 2], [True, 3]]}]}, {"op_result": [True]}, {"op_result": [True]}]
    words = ["--error-codes", "-I", "ENODEN1", "--no-nplus1-mem", "--no-hv-param-assessment"]
    done = shell("gnt-cluster", "verify", *words)
    assert done.status == 0
    assert done.out.splitlines() == ["Submitted jobs 2, 3", "Waiting for job 2 ...", "Waiting for job 3 ..."]
    assert op(master) == {
        "OP_ID": "OP_CLUSTER_VERIFY",
        "error_codes": True,
        "ignore_errors": ["ENODEN1"],
        "skip_checks": ["nplus1_mem", "hvparam_assessment"],
    }
    master.endings[2] = {"op_result": [False]}
    master.submitted.clear()
    assert shell("gnt-cluster", "verify").status == 1


def test_changing_the_cluster(shell: Shell, master: FakeMaster) -> None:
    words = shlex.split(
        """-B maxmem=1G -H kvm:acpi=no -H kvm:vga=std -H fake:migration_mode=live -D plain:stripes=2 -C 5
        --enabled-hypervisors kvm,fake --enabled-disk-templates file,plain --ipolicy-vcpu-ratio 3
        --ipolicy-bounds-specs min:memory-size=64M,cpu-count=1;max:memory-size=1G,cpu-count=4
        --ipolicy-std-specs memory-size=128 --ipolicy-disk-templates file --uid-pool 10-20,30 --user-shutdown yes
        --data-collector-interval lv=0.5 --enabled-data-collectors lv=no --reserved-lvs a,b""",
        posix=False,
    )
    done = shell("gnt-cluster", "modify", *words)
    assert done.status == 0, done.err
    assert op(master) == {
        "OP_ID": "OP_CLUSTER_SET_PARAMS",
        "beparams": {"maxmem": "1G"},
        "hvparams": {"kvm": {"acpi": "no", "vga": "std"}, "fake": {"migration_mode": "live"}},
        "diskparams": {"plain": {"stripes": "2"}},
        "candidate_pool_size": 5,
        "enabled_hypervisors": ["kvm", "fake"],
        "enabled_disk_templates": ["file", "plain"],
        "ipolicy": {
            "minmax": [{"min": {"memory-size": 64, "cpu-count": 1}, "max": {"memory-size": 1024, "cpu-count": 4}}],
            "std": {"memory-size": 128},
            "disk-templates": ["file"],
            "vcpu-ratio": 3.0,
        },
        "uid_pool": [[10, 20], [30, 30]],
        "enabled_user_shutdown": True,
        "data_collector_interval": {"lv": 500_000},
        "enabled_data_collectors": {"lv": False},
        "reserved_lvs": ["a", "b"],
    }


def test_the_policy_of_a_cluster_can_be_made_anew(shell: Shell, master: FakeMaster) -> None:
    policy = {
        "bounds specs": [{"max/0": {"cpu-count": 8}, "min/0": {"cpu-count": 1}}],
        "std": {"cpu-count": 1},
        "allowed disk templates": "file, plain",
        "spindle-ratio": 32,
        "vcpu-ratio": 4,
    }
    master.answers["/info/cluster"] = {
        "Cluster name": "cluster.example.com",
        "Instance policy - limits for instances": policy,
    }
    said = shell("gnt-cluster", "show-ispecs-cmd").out
    assert said == (
        "gnt-cluster init --ipolicy-std-specs cpu-count=1 --ipolicy-bounds-specs 'min:cpu-count=1;max:cpu-count=8'"
        " --ipolicy-disk-templates file,plain --ipolicy-vcpu-ratio 4 --ipolicy-spindle-ratio 32 cluster.example.com\n"
    )


def test_init_and_destroy_are_done_here(shell: Shell) -> None:
    assert shell("gnt-cluster", "init", "--no-etc-hosts", "-H", "kvm:acpi=no", "cluster.example.com").status == 0
    [(where, options, arguments)] = shell.local
    assert (where, arguments) == ("init", ["cluster.example.com"])
    assert options["etc_hosts"] is False
    assert options["ssh_init"] is True
    assert options["hypervisor_parameters"] == [("kvm", {"acpi": "no"})]
    assert shell("gnt-cluster", "destroy", "--yes-do-it").status == 0
    assert shell.local[-1][1]["yes_do_it"] is True


def test_lists_and_infos_as_json_and_yaml(shell: Shell, master: FakeMaster) -> None:
    yaml = pytest.importorskip("yaml")
    master.columns = {"name": ("Instance", "text"), "oper_ram": ("Memory", "unit")}
    master.rows = [[[0, "web1"], [3, None]], [[0, "web2"], [0, 128]]]
    expected = [{"name": "web1", "oper_ram": None}, {"name": "web2", "oper_ram": 128}]
    assert json.loads(shell("gnt-instance", "list", "-o", "name,oper_ram", "--format=json").out) == expected
    assert yaml.safe_load(shell("gnt-instance", "list", "-o", "name,oper_ram", "--format=yaml").out) == expected
    usual = json.loads(shell("gnt-instance", "list", "--output=json").out)
    assert list(usual[0]) == ["name", "hypervisor", "os", "pnode", "status", "oper_ram"]
    node = {"Node name": "n1", "primary for instances": []}
    master.answers["/info/node"] = [node]
    assert json.loads(shell("gnt-node", "info", "-o", "json").out) == [node]
    assert yaml.safe_load(shell("gnt-node", "info", "--format=yaml").out) == [node]


def test_a_format_goes_with_columns_however_it_is_said(shell: Shell, master: FakeMaster) -> None:
    master.columns = {"name": ("Instance", "text")}
    master.rows = [[[0, "web1"]]]
    for words in (["-o", "name", "--output", "json"], ["--output=json", "-o", "name"], ["-o", "name", "--format=json"]):
        assert json.loads(shell("gnt-instance", "list", *words).out) == [{"name": "web1"}]
    unknown = shell("gnt-instance", "list", "-o", "foo", "-o", "json")
    assert (unknown.status, json.loads(unknown.out)) == (14, [{"foo": None}])
    assert shell("gnt-instance", "list", "-o", "status", "-o", "name").out.splitlines()[0] == "Instance"


def test_columns_are_told_as_json(shell: Shell, master: FakeMaster) -> None:
    master.answers["/query-fields"] = {"fields": [{"name": "name", "title": "Instance", "kind": "text", "doc": "Name"}]}
    told = [{"name": "name", "title": "Instance", "description": "Name"}]
    for option in ("--output=json", "--format=json"):
        assert json.loads(shell("gnt-instance", "list-fields", option).out) == told


def test_help_offers_no_other_name_for_what_is_not_there(shell: Shell) -> None:
    for group in GROUPS:
        offered = shell(group.program, "--help").out.partition("Also: ")[2]
        for pair in filter(None, offered.strip().split(", ")):
            assert pair.split(" = ")[1] in group.commands


def test_further_options_from_the_environment(shell: Shell, master: FakeMaster) -> None:
    shell.environ["GNT_INSTANCE_LIST"] = "--no-headers -o 'name'"
    master.columns = {"name": ("Instance", "text")}
    master.rows = [[[0, "web1"]]]
    assert shell("gnt-instance", "list").out == "web1\n"


def test_bad_usage_is_1_and_shows_how(shell: Shell, master: FakeMaster) -> None:
    done = shell("gnt-instance", "rename", "web1")
    assert done.status == 1
    assert done.err.splitlines() == [
        "Usage: gnt-instance rename [options...] {INSTANCE} {NAME}",
        "gnt-instance rename: missing: NAME",
        "'gnt-instance rename --help' shows all options",
    ]
    assert master.requests == []


def test_debug_shows_where_an_error_came_from(shell: Shell, master: FakeMaster) -> None:
    assert "Traceback" not in shell("gnt-debug", "locks").err
    assert re.search(r"Traceback(.|\n)*locks\.py", shell("gnt-debug", "locks", "-d").err)


def test_jobs_from_files(shell: Shell, master: FakeMaster, tmp_path: Path) -> None:
    file = tmp_path / "delay.json"
    file.write_text('[{"OP_ID": "OP_TEST_DELAY", "duration": 0}]')
    words = ["--op-repeat=2", "--job-repeat=3", "-v", str(file)]
    assert shell("gnt-debug", "submit-job", *words).status == 0
    assert [len(ops) for ops in master.submitted] == [2, 2, 2]
    assert shell("gnt-debug", "submit-job", "--each", str(file)).status == 0
    file.write_text("{}")
    assert "must hold a list of operations" in shell("gnt-debug", "submit-job", str(file)).err
