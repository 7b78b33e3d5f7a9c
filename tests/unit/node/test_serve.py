"""What a node does with an envelope before and around the deed."""

import asyncio
import inspect
import logging
import pkgutil
import typing
from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec
import pytest

from ganeti.base.files import SystemFiles
from ganeti.base.paths import Paths
from ganeti.contract import calls
from ganeti.contract.calls import Answer, Call, Envelope, reply_type
from ganeti.contract.calls.disk import DiskCreate, DiskRemove, DiskSizes, DiskSizesGet
from ganeti.contract.calls.instance import GuestStatesGet, InstanceStart, InstanceStop
from ganeti.contract.calls.node import NodeDelay, NodeLeave, Ping, Pong
from ganeti.contract.calls.subjects import keys_of
from ganeti.contract.guest import Guest
from ganeti.contract.settings import NodeSettings
from ganeti.contract.storage import Owner
from ganeti.model.objects import Disk
from ganeti.node.fence import Fence
from ganeti.node.handlers import load
from ganeti.node.host import Host
from ganeti.node.serve import NodeServer
from ganeti.node.turns import Turns

MASTER = "ab" * 32
OWNER = Owner(instance_name="web1.example.com", instance_uuid="i")
Wrap = Callable[..., bytes]


def opened(data: bytes) -> Answer:
    return msgspec.json.decode(data, type=Answer)


async def ask(server: NodeServer, data: bytes, caller: str = MASTER) -> Answer:
    return opened(await server.serve(data, caller))


def refusal(answer: Answer, kind: str = "refused") -> str:
    assert answer.error is not None
    assert answer.error.error == kind
    return answer.error.message


def all_calls() -> list[type[Call[Any]]]:
    for module in pkgutil.iter_modules(calls.__path__):
        import_module(f"{calls.__name__}.{module.name}")
    return list(Call.__subclasses__())


def test_every_call_has_one_handler_that_takes_it_and_answers_as_it_declares():
    handlers = load()
    assert {kind for kind, _ in handlers.values()} == set(all_calls())
    for kind, handler in handlers.values():
        hints = typing.get_type_hints(handler)
        assert hints["call"] is kind, handler
        assert hints["return"] == reply_type(kind), handler
        assert inspect.iscoroutinefunction(handler), handler


async def test_a_ping_says_who_answers(server: NodeServer, envelope: Wrap):
    answer = await ask(server, envelope(Ping(), epoch=3))
    pong = msgspec.json.decode(answer.reply, type=Pong)
    assert (pong.name, pong.version, pong.epoch, pong.boot_id) == ("node1.example.com", "4.0.0", 3, "boot-1")


async def test_who_is_no_master_candidate_is_refused_and_learns_nothing(server: NodeServer, envelope: Wrap):
    stranger = "cd" * 32
    said = refusal(await ask(server, b"not even an envelope", caller=stranger))
    assert stranger in said
    assert "master candidate" in said
    assert refusal(await ask(server, envelope(Ping(), epoch=9), caller=stranger)) == said
    answer = await ask(server, envelope(Ping(), epoch=1))
    assert msgspec.json.decode(answer.reply, type=Pong).epoch == 1  # its epoch 9 left no trace


async def test_new_settings_count_from_the_next_call_on(server: NodeServer, settings: NodeSettings, envelope: Wrap):
    server.settings = msgspec.structs.replace(settings, callers=())
    refusal(await ask(server, envelope(Ping())))


async def test_a_call_of_another_cluster_is_refused_by_both_names(server: NodeServer, envelope: Wrap):
    said = refusal(await ask(server, envelope(Ping(), cluster="other")))
    assert "cluster.example.com" in said
    assert "not to other" in said


async def test_an_older_epoch_is_refused_with_both_named(server: NodeServer, envelope: Wrap):
    await ask(server, envelope(Ping(), epoch=5))
    answer = await ask(server, envelope(Ping(), epoch=4))
    assert "epoch 4" in refusal(answer)
    assert "epoch 5" in refusal(answer)
    assert answer.error is not None
    assert (answer.error.code, answer.error.facts) == ("wrong_state", {"epoch": 4, "newest_epoch": 5})


async def test_the_epoch_outlives_the_daemon(server: NodeServer, host: Host, envelope: Wrap):
    await ask(server, envelope(Ping(), epoch=5))
    assert Fence(files=SystemFiles(), path=host.paths.epoch).epoch == 5


async def test_an_epoch_that_cannot_be_written_down_is_not_obeyed(
    server: NodeServer, host: Host, envelope: Wrap, guest: Guest
):
    host.files.remove(host.paths.epoch)
    host.files.make_dirs(host.paths.epoch + "/in the way")
    said = refusal(await ask(server, envelope(InstanceStart(guest=guest), epoch=2)), "failed")
    assert "cannot write down the master's epoch" in said
    assert host.fence.epoch == 0


def test_a_broken_epoch_file_stops_the_start_and_says_which(paths: Paths):
    files = SystemFiles()
    files.write(paths.epoch, b"seven\n")
    with pytest.raises(Exception, match=paths.epoch):
        Fence(files=files, path=paths.epoch)


async def test_a_call_this_version_does_not_know_names_both_versions(server: NodeServer, envelope: Wrap):
    said = refusal(await ask(server, envelope(b'{"call": "disk.levitate"}', version="9.9")))
    assert "'disk.levitate'" in said
    assert "9.9" in said
    assert "4.0.0" in said


@pytest.mark.parametrize(
    "raw",
    [
        b'{"call": "node.delay"}',
        b'{"call": "node.delay", "duration_s": "long"}',
        b'{"call": "node.ping", "colour": "red"}',
        b'{"what": 1}',
        b"[]",
    ],
)
async def test_a_call_with_wrong_fields_is_refused_and_says_what_is_wrong(
    server: NodeServer, envelope: Wrap, raw: bytes
):
    assert "cannot read this call: " in refusal(await ask(server, envelope(raw)))


@pytest.mark.parametrize("data", [b"", b"hello", b"{}", b"\xff\xfe", b'{"cluster": 1}'])
async def test_what_is_no_envelope_is_refused(server: NodeServer, data: bytes):
    assert "cannot read this call: " in refusal(await ask(server, data))


async def test_a_repeat_gets_the_recorded_answer_and_nothing_is_done_again(
    server: NodeServer, host: Host, envelope: Wrap, disk: Callable[[int], Disk]
):
    create = envelope(DiskCreate(disk=disk(0), owner=OWNER), call_id="one")
    assert (await ask(server, create)).error is None
    await ask(server, envelope(DiskRemove(disk=disk(0))))
    assert (await ask(server, create)).error is None
    answer = await ask(server, envelope(DiskSizesGet(disks=(disk(0),))))
    assert msgspec.json.decode(answer.reply, type=DiskSizes).sizes_mib == (None,)


async def test_a_repeat_of_a_call_at_work_waits_for_the_same_answer(server: NodeServer, envelope: Wrap):
    begun = asyncio.get_running_loop().time()
    call = envelope(NodeDelay(duration_s=0.05), call_id="one")
    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(server.serve(call, MASTER)) for _ in range(20)]
    assert len({answer.result() for answer in answers}) == 1
    assert asyncio.get_running_loop().time() - begun < 20 * 0.05


async def test_what_only_reads_is_asked_anew_each_time(server: NodeServer, envelope: Wrap, disk: Callable[[int], Disk]):
    sizes = envelope(DiskSizesGet(disks=(disk(0),)), call_id="same")
    before = await ask(server, sizes)
    await ask(server, envelope(DiskCreate(disk=disk(0), owner=OWNER)))
    after = await ask(server, sizes)
    assert (bytes(before.reply), bytes(after.reply)) == (b'{"sizes_mib":[null]}', b'{"sizes_mib":[2]}')


async def test_the_record_of_answers_has_an_end():
    from ganeti.node.answers import Answers

    answers, done = Answers(limit=2), []

    async def deed(name: str) -> bytes:
        done.append(name)
        return name.encode()

    for name in ("a", "b", "a", "c", "a", "b"):
        assert await answers.once(name, lambda name=name: deed(name)) == name.encode()  # type: ignore[misc]
    assert done == ["a", "b", "c", "b"]  # b was the longest unused when c came


async def test_who_waits_for_a_deed_that_is_broken_off_is_told(server: NodeServer, envelope: Wrap):
    call = envelope(NodeDelay(duration_s=3600), call_id="one")
    loop = asyncio.get_running_loop()
    first = loop.create_task(server.serve(call, MASTER))
    second = loop.create_task(server.serve(call, MASTER))
    await asyncio.sleep(0)
    first.cancel()
    assert "broken off" in refusal(opened(await second), "unavailable")
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_calls_about_one_guest_take_turns_and_others_do_not_wait(guest: Guest, disk: Callable[[int], Disk]):
    turns, log = Turns(), []
    other = msgspec.structs.replace(guest, name="db1.example.com", disks=())

    async def deed(name: str, call: Call[Any], *, until: asyncio.Event | None = None) -> None:
        async with turns.of(keys_of(call)):
            log.append(f"{name} begins")
            if until is not None:
                await until.wait()
            log.append(f"{name} ends")

    go = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(deed("start", InstanceStart(guest=guest), until=go))
        group.create_task(deed("stop", InstanceStop(guest=guest)))
        group.create_task(deed("its disk", DiskRemove(disk=disk(1))))
        await group.create_task(deed("other", InstanceStop(guest=other)))
        go.set()
    assert log[:3] == ["start begins", "other begins", "other ends"]
    assert log[3] == "start ends"
    assert sorted(log[4:]) == ["its disk begins", "its disk ends", "stop begins", "stop ends"]
    assert turns._queues == {}


async def test_a_call_that_waited_while_a_new_master_came_is_not_done(
    server: NodeServer, envelope: Wrap, guest: Guest, disk: Callable[[int], Disk]
):
    async with asyncio.TaskGroup() as group, server._turns.of({f"disk/{disk(0).uuid}"}):
        old = group.create_task(ask(server, envelope(DiskCreate(disk=disk(0), owner=OWNER), epoch=1)))
        await ask(server, envelope(Ping(), epoch=2))
    assert "a newer master with epoch 2" in refusal(old.result())
    answer = await ask(server, envelope(DiskSizesGet(disks=(disk(0),)), epoch=2))
    assert bytes(answer.reply) == b'{"sizes_mib":[null]}'


async def test_a_deed_that_takes_too_long_is_broken_off_with_the_limit(
    server: NodeServer, envelope: Wrap, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(NodeDelay, "limit_s", 0.01)
    said = refusal(await ask(server, envelope(NodeDelay(duration_s=3600))), "failed")
    assert said == "node.delay was broken off on node node1.example.com after 0.01 s"


async def test_a_deed_whose_caller_gave_it_up_is_broken_off(server: NodeServer, envelope: Wrap):
    def counted(call: Call[Any], *, seq: int, waits_for: tuple[int, ...] = ()) -> bytes:
        plain = msgspec.json.decode(envelope(call), type=Envelope)
        return msgspec.json.encode(msgspec.structs.replace(plain, sender="m", seq=seq, open=waits_for))

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        long = group.create_task(ask(server, counted(NodeDelay(duration_s=3600), seq=1)))
        while not server._breakable:
            await asyncio.sleep(0)
        await ask(server, counted(Ping(), seq=2, waits_for=(1,)))
        await asyncio.sleep(0)
        assert not long.done()
        await ask(server, counted(Ping(), seq=3))
        assert "its caller gave it up" in refusal(await long, "failed")


async def test_an_error_nobody_foresaw_is_a_bug_with_a_traceback_and_the_daemon_lives(
    host: Host, settings: NodeSettings, envelope: Wrap, caplog: pytest.LogCaptureFixture
):
    async def broken(host: Host, call: Ping) -> Pong:
        raise ZeroDivisionError("oh")

    server = NodeServer(host, settings=settings, handlers={**load(), "node.ping": (Ping, broken)})
    with caplog.at_level(logging.ERROR):
        said = refusal(await ask(server, envelope(Ping())), "bug")
    assert "ZeroDivisionError: oh" in said
    assert any(record.exc_info for record in caplog.records)
    assert (await ask(server, envelope(GuestStatesGet(hypervisors=("fake",))))).error is None


async def test_an_error_of_the_operating_system_is_the_operators(host: Host, settings: NodeSettings, envelope: Wrap):
    async def full(host: Host, call: Ping) -> Pong:
        raise OSError(28, "No space left on device", "/srv/x")

    server = NodeServer(host, settings=settings, handlers={**load(), "node.ping": (Ping, full)})
    said = refusal(await ask(server, envelope(Ping())), "failed")
    assert "No space left on device" in said
    assert "/srv/x" in said


async def test_who_has_left_serves_nobody_and_leaves_again_in_peace(server: NodeServer, host: Host, envelope: Wrap):
    for path in (host.paths.node_settings, host.paths.node_certificate, host.paths.ca_certificate):
        host.files.write(path, b"x")
    assert (await ask(server, envelope(NodeLeave(), epoch=4))).error is None
    assert host.left.is_set()
    assert host.files.list_dir(host.paths.data) == []
    assert "has left the cluster" in refusal(await ask(server, envelope(Ping(), epoch=4)))
    assert (await ask(server, envelope(NodeLeave(), epoch=4))).error is None
    assert host.files.list_dir(host.paths.data) == []
