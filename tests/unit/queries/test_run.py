"""Queries: which rows come, in which order, what nodes are asked, what stands where nothing is known."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ganeti.base.errors import Refused, Unavailable
from ganeti.contract import api
from ganeti.contract.calls.instance import GuestStates
from ganeti.contract.calls.node import NodeFacts
from ganeti.contract.guest import GuestStatus
from ganeti.master.queries import engine
from tests.unit.queries import world
from tests.unit.queries.world import World

SILENT = Unavailable("node does not answer")


async def names(made: World, *arguments: str, what: Any = "instance", **query: Any) -> list[Any]:
    """The first column of the rows."""
    field = "id" if what == "job" else "name"
    reply = await engine.run(api.Query(what=what, fields=[field], arguments=list(arguments), **query), made)
    return [row[0][1] for row in reply.rows]


def three() -> World:
    web1, web2 = world.rich("web1"), world.instance("web2", primary_node="n2", admin_state="down")
    made = World(world.picture(world.node(1), world.node(2), world.node(10), web2, world.instance("web10"), web1))
    made.guests = {"n1": GuestStates(guests=(world.guest(web1),))}
    return made


async def test_rows_are_in_natural_order() -> None:
    assert await names(three()) == ["web1.example", "web2.example", "web10.example"]
    assert await names(three(), what="node") == ["node1.example", "node2.example", "node10.example"]


@pytest.mark.parametrize(
    "arguments, found",
    [
        (["web10", "web2.example", "web2"], ["web2.example", "web10.example"]),
        (["i-web1"], ["web1.example"]),
        (["web1*"], ["web1.example", "web10.example"]),
        (["web?", "web10"], ["web1.example", "web2.example", "web10.example"]),
        (["nosuch*"], []),
        (['name == "web1"'], ["web1.example"]),
        (['"prod" in tags'], ["web1.example"]),
        (['pnode == "node1" and not "prod" in tags'], ["web10.example"]),
        (["be/memory >= 512"], ["web1.example"]),
        (['status == "running"'], ["web1.example"]),
        (['status == "ERROR_down" or admin_state == "down"'], ["web2.example", "web10.example"]),
        (["snodes =~ m/^node2/"], ["web1.example"]),
        (["oper_ram > 100"], ["web1.example"]),
    ],
)
async def test_arguments_choose_rows(arguments: list[str], found: list[str]) -> None:
    assert await names(three(), *arguments) == found


async def test_a_filter_in_json_form_and_arguments_both_count() -> None:
    assert await names(three(), "web1*", qfilter=["!", ["=[]", "tags", "web"]]) == ["web10.example"]
    assert await names(three(), "admin_up", force_filter=True) == ["web1.example", "web10.example"]


@pytest.mark.parametrize(
    "what, arguments, code, message",
    [
        ("instance", ["nosuch"], "unknown_entity", "^Instance name nosuch not found$"),
        ("instance", ["no1", "web1", "no2"], "unknown_entity", "^Instance names no1, no2 not found$"),
        ("node", ["nosuch"], "unknown_entity", "^Node name nosuch not found$"),
        ("job", ["77"], "unknown_entity", "^Job 77 not found$"),
        ("job", ["web"], "wrong_input", "not a job id"),
        ("instance", ["name =="], "wrong_input", "position 8"),
        ("instance", ["nofield == 1"], "wrong_input", "no field 'nofield'"),
        ("instance", ['be/memory > "5"'], "wrong_input", "without quotes"),
        ("instance", ['"x" in name'], "wrong_input", "name is not a list"),
        ("instance", ["name == 5"], "wrong_input", "in quotes"),
        ("instance", ["admin_up == 1"], "wrong_input", "not admin_up"),
    ],
)
async def test_what_cannot_be_chosen_is_refused_with_words(
    what: str, arguments: list[str], code: str, message: str
) -> None:
    with pytest.raises(Refused, match=message) as caught:
        await names(three(), *arguments, what=what)
    assert caught.value.code == code


async def test_a_filter_argument_is_needed_when_one_is_announced() -> None:
    with pytest.raises(Refused, match="filter is needed"):
        await names(three(), force_filter=True)


async def test_no_node_is_asked_for_what_the_configuration_knows() -> None:
    made = three()
    await names(made, 'admin_state == "up"')
    await engine.run(api.Query(what="node", fields=["name", "pinst_cnt", "role"]), made)
    assert made.asked == []


async def test_only_nodes_of_rows_that_remain_are_asked() -> None:
    made = three()
    query = api.Query(what="instance", fields=["name", "oper_ram"], arguments=['name == "web2"'])
    await engine.run(query, made)
    assert made.asked == [("guests", ["n2"])]


async def test_consoles_are_asked_for_running_instances_only() -> None:
    made = three()
    await engine.run(api.Query(what="instance", fields=["console"]), made)
    assert made.asked == [("guests", ["n1", "n2"]), ("consoles", ["web1.example"])]


CASES: list[tuple[str, dict[str, Any], dict[str, GuestStatus], str, tuple[int, Any]]] = [
    # what it shall be, where its guest is and how, status, oper_ram
    ("up", {}, {"n1": "running"}, "running", (api.NORMAL, 128)),
    ("up", {}, {"n1": "paused"}, "running", (api.NORMAL, 128)),
    ("up", {}, {}, "ERROR_down", (api.UNAVAILABLE, None)),
    ("up", {}, {"n1": "stopped"}, "ERROR_down", (api.UNAVAILABLE, None)),
    ("up", {}, {"n1": "user-down"}, "USER_down", (api.UNAVAILABLE, None)),
    ("up", {}, {"n2": "running"}, "ERROR_wrongnode", (api.UNAVAILABLE, None)),
    ("up", {}, {"n1": "running", "n2": "running"}, "running", (api.NORMAL, 128)),
    ("up", {}, {"n1": "stopped", "n2": "running"}, "ERROR_wrongnode", (api.UNAVAILABLE, None)),
    ("down", {}, {}, "ADMIN_down", (api.UNAVAILABLE, None)),
    ("down", {}, {"n1": "running"}, "ERROR_up", (api.NORMAL, 128)),
    ("down", {}, {"n2": "running"}, "ERROR_wrongnode", (api.UNAVAILABLE, None)),
    ("down", {"admin_state_source": "user"}, {}, "USER_down", (api.UNAVAILABLE, None)),
    ("offline", {}, {}, "ADMIN_offline", (api.UNAVAILABLE, None)),
    ("offline", {}, {"n1": "running"}, "ERROR_up", (api.NORMAL, 128)),
]


@pytest.mark.parametrize("admin_state, changes, guests, status, memory", CASES)
async def test_status_follows_from_desired_and_actual_state(
    admin_state: str, changes: dict[str, Any], guests: dict[str, GuestStatus], status: str, memory: tuple[int, Any]
) -> None:
    web = world.instance("web", admin_state=admin_state, secondary_nodes=("n2",), **changes)
    made = World(world.picture(world.node(1), world.node(2), web))
    made.guests = {uuid: GuestStates(guests=(world.guest(web, state),)) for uuid, state in guests.items()}
    reply = await engine.run(api.Query(what="instance", fields=["status", "oper_ram", "oper_state"]), made)
    runs_here = memory[0] == api.NORMAL
    assert reply.rows == [[(api.NORMAL, status), memory, (api.NORMAL, runs_here)]]


async def test_an_offline_node_is_not_asked_and_its_values_say_so() -> None:
    web = world.instance("web")
    made = World(world.picture(world.node(1, offline=True), web))
    reply = await engine.run(api.Query(what="instance", fields=["status", "oper_ram", "oper_state"]), made)
    assert reply.rows == [[(api.NORMAL, "ERROR_nodeoffline"), (api.OFFLINE, None), (api.OFFLINE, None)]]
    reply = await engine.run(api.Query(what="node", fields=["mfree", "dfree", "bootid", "role"]), made)
    assert reply.rows == [[(api.OFFLINE, None)] * 3 + [(api.NORMAL, "M")]]
    assert [nodes for _, nodes in made.asked if nodes] == []


@pytest.mark.parametrize("answer", [SILENT, GuestStates(problems={"kvm": "no /dev/kvm"})])
async def test_a_silent_node_gives_no_data(answer: Any) -> None:
    made = World(world.picture(world.node(1), world.instance("web")))
    made.guests = {"n1": answer}
    reply = await engine.run(api.Query(what="instance", fields=["status", "oper_ram", "oper_state"]), made)
    assert reply.rows == [[(api.NORMAL, "ERROR_nodedown"), (api.NO_DATA, None), (api.NO_DATA, None)]]


async def test_live_facts_of_nodes_say_why_they_are_not_there() -> None:
    made = World(world.picture(world.node(1), world.node(2, vm_capable=False), world.node(3), world.node(4)))
    made.facts = {"n1": world.facts(), "n2": world.facts(), "n3": SILENT, "n4": NodeFacts(boot_id="b")}
    reply = await engine.run(api.Query(what="node", fields=["mfree", "dfree", "bootid"]), made)
    assert [[status for status, _ in row] for row in reply.rows] == [
        [api.NORMAL, api.NORMAL, api.NORMAL],
        [api.UNAVAILABLE, api.UNAVAILABLE, api.NORMAL],
        [api.NO_DATA, api.NO_DATA, api.NO_DATA],
        [api.NO_DATA, api.UNAVAILABLE, api.NORMAL],
    ]


@pytest.mark.parametrize(
    "changes, letter",
    [
        ({"uuid": "n1"}, "M"),
        ({}, "C"),
        ({"master_candidate": False}, "R"),
        ({"master_candidate": False, "drained": True}, "D"),
        ({"master_candidate": False, "offline": True}, "O"),
    ],
)
async def test_the_role_of_a_node_is_one_letter(changes: dict[str, Any], letter: str) -> None:
    made = World(world.picture(world.node(5, **changes)))
    reply = await engine.run(api.Query(what="node", fields=["role"]), made)
    assert reply.rows == [[(api.NORMAL, letter)]]


async def test_jobs_come_by_number_and_from_the_archive_when_asked() -> None:
    made = three()
    made.job_list = [world.job(10, "queued"), world.job(9, "error"), world.job(2, "success")]
    made.archive = [world.job(1, "success")]
    assert await names(made, what="job") == [2, 9, 10]
    assert made.asked == []
    assert await names(made, 'status == "queued" or status == "error"', what="job") == [9, 10]
    assert await names(made, what="job", qfilter=["==", "status", "success"]) == [2]
    assert await names(made, "10", "2", what="job") == [2, 10]
    assert made.asked == []
    assert await names(made, "1", what="job") == [1]
    reply = await engine.run(api.Query(what="job", fields=["id", "archived"]), made)
    assert [(row[0][1], row[1][1]) for row in reply.rows] == [(1, True), (2, False), (9, False), (10, False)]


async def test_ten_thousand_instances_are_listed_fast(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [world.node(number) for number in range(1, 101)]
    instances = [
        world.instance(f"vm{number}", primary_node=f"n{number % 100 + 1}", beparams={"maxmem": 256})
        for number in range(10_000)
    ]
    made = World(world.picture(*nodes, *instances))
    for node in nodes:
        running = tuple(world.guest(row) for row in instances if row.primary_node == node.uuid)
        made.guests[node.uuid] = GuestStates(guests=running)
    took = []
    reply = None
    for _ in range(3):
        before = time.perf_counter()
        reply = await engine.run(api.Query(what="instance"), made)
        took.append(time.perf_counter() - before)
    before = time.perf_counter()
    await engine.run(api.Query(what="instance", arguments=['be/memory >= 256 and status == "running"']), made)
    filtered = time.perf_counter() - before
    with capsys.disabled():
        print(f"\n10,000 instances: {min(took) * 1000:.0f} ms, with a filter {filtered * 1000:.0f} ms")
    assert reply is not None
    assert len(reply.rows) == 10_000
    assert reply.rows[2][0] == (api.NORMAL, "vm2.example")
