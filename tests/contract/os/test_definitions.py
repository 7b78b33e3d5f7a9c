"""Which OS definitions there are, which can be used as asked, and what their scripts get and do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganeti.base.clock import SystemClock
from ganeti.base.errors import ENVIRONMENT, UNKNOWN, WRONG_INPUT, Failed, Refused
from ganeti.base.files import SystemFiles
from ganeti.base.processes import SystemRunner
from ganeti.contract.os import Script
from ganeti.drivers.os.definitions import Definitions
from tests.contract.os.conftest import Behaviour, OsHost, build_disks, build_guest


async def test_a_complete_definition_is_valid_and_told_in_full(os_host: OsHost) -> None:
    path = os_host.install(
        "tiny",
        variants="# the usual one first\ndefault\n\ndisk\n",
        parameters="port TCP port to answer on\ntoken\tkept secret\nbare\n",
    )
    [found] = await os_host.definitions.list()
    assert (found.name, found.path, found.problems, found.valid, found.trusted) == ("tiny", path, (), True, True)
    assert found.api_versions == (20, 15, 10)
    assert found.variants == ("default", "disk")
    assert found.parameters == {"port": "TCP port to answer on", "token": "kept secret", "bare": ""}


async def test_the_first_directory_wins_and_names_are_sorted(os_host: OsHost) -> None:
    for name, directory in (("b", "first"), ("c", "first"), ("b", "second"), ("a", "second")):
        os_host.install(name, directory=directory)
    os_host.files.write(os_host.path("README"), b"no definition")
    os_host.files.make_dirs(os_host.path(".hidden"))
    found = await os_host.definitions.list()
    assert [one.path for one in found] == [os_host.path("a", "second"), os_host.path("b"), os_host.path("c")]


async def test_a_host_without_definitions_has_none(os_host: OsHost) -> None:
    assert list(await os_host.definitions.list()) == []
    with pytest.raises(Refused, match=r"there is no OS 'tiny' on this node; none is installed in .*first") as caught:
        await os_host.definitions.validate("tiny", {})
    assert caught.value.code == UNKNOWN


async def test_a_definition_may_be_a_link(os_host: OsHost) -> None:
    os_host.install("tiny", directory="elsewhere")
    os_host.files.make_dirs(os_host.path(""))
    os_host.files.symlink(os_host.path("tiny", "elsewhere"), os_host.path("tiny"))
    await os_host.definitions.validate("tiny", {})


@pytest.mark.parametrize("name", ["ganeti_api_version", "create", "import", "export", "rename", "verify"])
async def test_what_is_missing_is_named(os_host: OsHost, name: str) -> None:
    path = os_host.install("tiny", api="20\n" if name != "create" else "20\n10\n")
    os_host.files.remove(f"{path}/{name}")
    [found] = await os_host.definitions.list()
    what = "file" if name == "ganeti_api_version" else "script"
    assert found.problems == (f"{what} {name} is missing",)
    with pytest.raises(Refused, match=f"{what} {name} is missing") as caught:
        await os_host.definitions.validate("tiny", {})
    assert caught.value.code == ENVIRONMENT


async def test_every_problem_is_told_with_its_way_out(os_host: OsHost) -> None:
    path = os_host.install("tiny", parameters="a-b x\na_b y\n9c z\n")
    os_host.files.write(f"{path}/create", b"#!/bin/sh\n", mode=0o600)
    os_host.files.remove(f"{path}/rename")
    os_host.files.make_dirs(f"{path}/rename")
    [found] = await os_host.definitions.list()
    assert found.problems == (
        f"script create is not executable (chmod +x {path}/create)",
        "script rename is not a regular file",
        "parameters.list has 'a-b' and 'a_b', which scripts could not tell apart",
        "parameters.list has '9c', which cannot name a parameter",
    )


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "ganeti_api_version is empty, and this node speaks 10, 15, 20"),
        ("5\n7\n", "ganeti_api_version names 7, 5, and this node speaks 10, 15, 20"),
        ("twenty\n", "ganeti_api_version has the line 'twenty', which is no version number"),
        ("20\n-1\n", "ganeti_api_version has the line '-1', which is no version number"),
        ("²0", "ganeti_api_version has the line '²0', which is no version number"),
    ],
)
async def test_a_wrong_version_is_told(os_host: OsHost, text: str, problem: str) -> None:
    os_host.install("tiny", api=text)
    [found] = await os_host.definitions.list()
    assert found.problems == (problem,)


async def test_a_file_that_is_no_text_is_told(os_host: OsHost) -> None:
    path = os_host.install("tiny")
    os_host.files.write(f"{path}/variants.list", b"\xff\xfe")
    os_host.files.remove(f"{path}/parameters.list")
    os_host.files.make_dirs(f"{path}/parameters.list")
    [found] = await os_host.definitions.list()
    assert found.problems == (
        "file variants.list is not UTF-8 text",
        "file parameters.list cannot be read: Is a directory",
    )


async def test_an_old_definition_needs_neither_verify_nor_lists(os_host: OsHost) -> None:
    path = os_host.install("old", api="10\n", variants="ignored\n", parameters=None)
    os_host.files.remove(f"{path}/verify")
    [found] = await os_host.definitions.list()
    assert (found.problems, found.variants, found.parameters) == ((), (), {})
    await os_host.definitions.validate("old", {})
    with pytest.raises(Refused, match="OS 'old' has no parameter 'x'; it has none"):
        await os_host.definitions.validate("old", {"x": "1"})


async def test_api_20_needs_a_list_of_parameters_but_none_of_variants(os_host: OsHost) -> None:
    os_host.install("tiny", parameters=None, variants=None)
    [found] = await os_host.definitions.list()
    assert found.problems == ("file parameters.list is missing",)


async def test_a_name_with_a_plus_could_not_be_told_from_a_variant(os_host: OsHost) -> None:
    os_host.install("a+b")
    [found] = await os_host.definitions.list()
    assert "begins a variant" in found.problems[0]


async def test_an_unknown_os_is_refused_with_those_there_are(os_host: OsHost) -> None:
    os_host.install("good")
    os_host.install("broken", api="")
    with pytest.raises(Refused, match=r"there is no OS 'bad' on this node; there is good$"):
        await os_host.definitions.validate("bad+x", {})
    await os_host.definitions.validate("bad+x", {}, required=False)


async def test_variants_must_be_declared_unless_forced(os_host: OsHost) -> None:
    os_host.install("tiny", variants="default\ndisk\n")
    os_host.install("plain")
    for name in ("tiny", "tiny+default", "tiny+disk", "plain"):
        await os_host.definitions.validate(name, {})
    with pytest.raises(Refused, match="OS 'tiny' has no variant 'huge'; it has default, disk") as caught:
        await os_host.definitions.validate("tiny+huge", {})
    assert caught.value.code == WRONG_INPUT
    await os_host.definitions.validate("tiny+huge", {}, force_variant=True)
    with pytest.raises(Refused, match="'tiny\\+' names no variant"):
        await os_host.definitions.validate("tiny+", {})
    for force in (False, True):
        with pytest.raises(Refused, match="OS 'plain' has no variants; write just 'plain'"):
            await os_host.definitions.validate("plain+x", {}, force_variant=force)


async def test_parameters_must_be_declared(os_host: OsHost) -> None:
    os_host.install("tiny", parameters="port where\ntoken what\n")
    await os_host.definitions.validate("tiny", {"port": "7"})
    with pytest.raises(Refused, match="OS 'tiny' has no parameter 'prot'; it has port, token"):
        await os_host.definitions.validate("tiny", {"prot": "7"})
    with pytest.raises(Refused, match="NUL character"):
        await os_host.definitions.validate("tiny", {"port": "7\0"})


async def test_the_definition_itself_judges_its_parameters(os_host: OsHost) -> None:
    os_host.install(
        "tiny", parameters="port where\n", variants="v\n", verify=Behaviour(says="no", status=1, tells_env=True)
    )
    with pytest.raises(Refused, match="OS 'tiny' does not accept its parameters: no") as caught:
        await os_host.definitions.validate("tiny", {"port": "0"})
    told = caught.value.message.splitlines()
    assert {"ARGUMENTS=parameters", "OSP_PORT=0", "OS_NAME=tiny", "OS_VARIANT=v", "OS_API_VERSION=20"} <= set(told)
    assert not [line for line in told if line.startswith(("INSTANCE_", "DISK_", "NIC_"))]


async def test_a_judge_that_says_nothing_is_quoted_with_its_status(os_host: OsHost) -> None:
    os_host.install("tiny", verify=Behaviour(status=3))
    with pytest.raises(Refused, match="its verify script ended with exit status 3"):
        await os_host.definitions.validate("tiny", {})


async def test_scripts_get_exactly_the_environment_of_the_interface(os_host: OsHost) -> None:
    os_host.install("tiny", variants="default\ndisk\n", parameters="a-b x\n", create=Behaviour(tells_env=True))
    await os_host.definitions.run(
        "create", build_guest("tiny"), build_disks(), params={"a-b": "s3cret"}, extra_env={"INSTANCE_REINSTALL": "1"}
    )
    _, text = os_host.only_log()
    told = dict(line.partition("=")[::2] for line in text.splitlines())
    for of_the_shell in ("PWD", "SHLVL", "_", "OLDPWD"):
        told.pop(of_the_shell, None)
    assert told == {
        "ARGUMENTS": "",
        "CWD": "/",
        "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
        "OS_API_VERSION": "20",
        "OS_NAME": "tiny",
        "OS_VARIANT": "default",
        "DEBUG_LEVEL": "0",
        "OSP_A_B": "s3cret",
        "INSTANCE_REINSTALL": "1",
        "INSTANCE_NAME": "web1.example",
        "INSTANCE_UUID": "4a7390d4-6b60-4e7f-a98c-82795e25874a",
        "INSTANCE_OS": "tiny",
        "INSTANCE_PRIMARY_NODE": "node1.example",
        "INSTANCE_SECONDARY_NODES": "node2.example node3.example",
        "INSTANCE_CTIME": "1795370000.5",
        "INSTANCE_MTIME": "0.0",
        "HYPERVISOR": "kvm",
        "DISK_COUNT": "2",
        "DISK_0_PATH": "/f/d0",
        "DISK_0_SIZE": "64",
        "DISK_0_ACCESS": "w",
        "DISK_0_UUID": "d0",
        "DISK_0_NAME": "root",
        "DISK_0_FRONTEND_TYPE": "paravirtual",
        "DISK_0_BACKEND_TYPE": "file:loop",
        "DISK_1_PATH": "/dev/vg/lv",
        "DISK_1_SIZE": "128",
        "DISK_1_ACCESS": "r",
        "DISK_1_UUID": "d1",
        "DISK_1_URI": "rbd:x",
        "DISK_1_FRONTEND_TYPE": "paravirtual",
        "DISK_1_BACKEND_TYPE": "block",
        "NIC_COUNT": "2",
        "NIC_0_MAC": "aa:00:00:00:00:01",
        "NIC_0_MODE": "bridged",
        "NIC_0_BRIDGE": "br0",
        "NIC_0_LINK": "br0",
        "NIC_0_UUID": "n0",
        "NIC_0_NAME": "lan",
        "NIC_0_FRONTEND_TYPE": "e1000",
        "NIC_1_MAC": "aa:00:00:00:00:02",
        "NIC_1_IP": "10.9.0.5",
        "NIC_1_MODE": "routed",
        "NIC_1_LINK": "main",
        "NIC_1_UUID": "n1",
        "NIC_1_FRONTEND_TYPE": "e1000",
        "NIC_1_NETWORK_NAME": "blue",
        "NIC_1_NETWORK_SUBNET": "10.9.0.0/24",
        "NIC_1_NETWORK_GATEWAY": "10.9.0.1",
        "NIC_1_NETWORK_MAC_PREFIX": "aa:00:01",
        "NIC_1_NETWORK_TAGS": "a b",
        "INSTANCE_BE_maxmem": "256",
        "INSTANCE_BE_MAXMEM": "256",
        "INSTANCE_HV_disk_type": "paravirtual",
        "INSTANCE_HV_DISK_TYPE": "paravirtual",
        "INSTANCE_HV_nic_type": "e1000",
        "INSTANCE_HV_NIC_TYPE": "e1000",
        "INSTANCE_HV_acpi": "True",
        "INSTANCE_HV_ACPI": "True",
        "INSTANCE_HV_root_path": "",
        "INSTANCE_HV_ROOT_PATH": "",
    }


async def test_the_log_is_named_after_what_was_done_to_whom_and_holds_no_word_of_ours(os_host: OsHost) -> None:
    os_host.install("tiny", variants="default\n", parameters="token x\n", rename=Behaviour(says="renamed"))
    await os_host.definitions.run("rename", build_guest("tiny+default"), [], params={"token": "s3cret"})
    assert os_host.only_log() == ("rename-tiny+default-web1.example-2026-11-22T18:09:10Z.log", "renamed\n")


async def test_a_failing_script_shows_its_last_lines_and_its_log(os_host: OsHost) -> None:
    lines = "\n".join(f"line {number}" for number in range(1, 41))
    os_host.install("tiny", parameters="token x\n", create=Behaviour(says=lines, status=4))
    with pytest.raises(Failed) as caught:
        await os_host.definitions.run("create", build_guest("tiny"), build_disks(), params={"token": "s3cret"})
    error = caught.value
    name, text = os_host.only_log()
    assert error.message.startswith(
        "the create script of OS 'tiny' for web1.example failed with exit status 4: line 21\n"
    )
    assert error.message.endswith(f"line 40\n(its log on this node: {os_host.log_dir}/{name})")
    assert text == lines + "\n"
    assert (error.facts["status"], error.facts["log"]) == (4, f"{os_host.log_dir}/{name}")
    assert "s3cret" not in f"{error.message} {error.facts}"


async def test_only_what_the_script_wrote_now_is_shown(os_host: OsHost) -> None:
    path = os_host.install("tiny", create=Behaviour(says="yesterday"))
    await os_host.definitions.run("create", build_guest("tiny"), [], params={})
    os_host.host.script(f"{path}/create", Behaviour(status=1))
    with pytest.raises(Failed, match="exit status 1 and said nothing"):
        await os_host.definitions.run("create", build_guest("tiny"), [], params={})


async def test_a_hanging_script_is_ended_and_says_so(os_host: OsHost) -> None:
    os_host.install("tiny", create=Behaviour(says="waiting for a mirror", hangs=True))
    with pytest.raises(Failed) as caught:
        await os_host.definitions.run("create", build_guest("tiny"), [], params={}, timeout_s=2)
    assert "did not end within 2 s and was killed: waiting for a mirror" in caught.value.message
    assert os_host.log_dir in caught.value.message
    assert caught.value.facts["timeout_s"] == 2


async def test_a_broken_definition_runs_nothing(os_host: OsHost) -> None:
    path = os_host.install("tiny")
    os_host.files.write(f"{path}/create", b"#!/bin/sh\n", mode=0o600)
    with pytest.raises(Refused, match="script create is not executable"):
        await os_host.definitions.run("create", build_guest("tiny"), [], params={})
    assert os_host.files.list_dir(os_host.log_dir) == []


async def test_an_undeclared_variant_that_was_forced_still_runs(os_host: OsHost) -> None:
    os_host.install("tiny", variants="default\n", create=Behaviour(tells_env=True))
    await os_host.definitions.run("create", build_guest("tiny+own"), [], params={})
    assert "OS_VARIANT=own\n" in os_host.only_log()[1]


async def test_untrusted_creation_is_refused_on_the_node_itself(os_host: OsHost) -> None:
    path = os_host.install("image", rename=Behaviour(says="fine"))
    os_host.files.rename(f"{path}/create", f"{path}/create_untrusted")
    [found] = await os_host.definitions.list()
    assert (found.valid, found.trusted) == (True, False)
    with pytest.raises(Refused, match="must run inside a helper virtual machine"):
        await os_host.definitions.run("create", build_guest("image"), [], params={})
    await os_host.definitions.run("rename", build_guest("image"), [], params={})
    assert os_host.only_log()[1] == "fine\n"


@pytest.mark.parametrize("script", ["import", "export", "create_untrusted"])
async def test_scripts_that_need_more_than_a_call_are_refused(os_host: OsHost, script: Script) -> None:
    os_host.install("tiny")
    with pytest.raises(Refused, match=r"stream|helper"):
        await os_host.definitions.run(script, build_guest("tiny"), [], params={})


async def test_verify_can_be_run_like_the_others(os_host: OsHost) -> None:
    os_host.install("tiny", verify=Behaviour(says="port is bad", status=1))
    with pytest.raises(Refused, match="port is bad"):
        await os_host.definitions.run("verify", build_guest("tiny"), [], params={})


async def test_a_log_that_cannot_be_written_is_told(os_host: OsHost) -> None:
    os_host.install("tiny")
    os_host.files.write(f"{os_host.host.root}/log", b"")
    with pytest.raises(Failed, match="log/os cannot be made: File exists"):
        await os_host.definitions.run("create", build_guest("tiny"), [], params={})


async def test_the_definition_of_the_project_is_valid_and_accepts_its_defaults() -> None:
    ours = Path(__file__).parents[3] / "os"
    definitions = Definitions(
        runner=SystemRunner(), files=SystemFiles(), clock=SystemClock(), search_path=[str(ours)], log_dir="/nowhere"
    )
    [tiny] = await definitions.list()
    assert tiny.problems == ()
    await definitions.validate("tiny", {"heartbeat_s": "1"})
    with pytest.raises(Refused, match="heartbeat_s"):
        await definitions.validate("tiny+disk", {"heartbeat_s": "0"})
