"""Guests of QEMU move between two hosts while they run, and stay whole whatever breaks on the way."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ganeti.base.errors import Failed, Refused
from ganeti.contract.guest import Guest
from ganeti.contract.migration import Pace
from tests.contract.hypervisor.pair import FAST, NAMES, Pair, new_ca, tiny_boot
from tests.contract.hypervisor.worlds import until, why_not_kvm

pytestmark = pytest.mark.qemu


@pytest.fixture
def pair(root: Path) -> Iterator[Pair]:
    if reason := why_not_kvm():
        pytest.skip(reason)
    made = Pair(root)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_boot(tmp_path_factory.mktemp("boot"))


async def started(pair: Pair) -> Guest:
    guest = pair.guest()
    await pair.source.start(guest, pair.shared_disks(guest))
    await pair.hosts[0].until_ready(guest)
    return guest


async def test_a_guest_moves_over_tls_and_goes_on_without_a_boot(pair: Pair) -> None:
    guest = await started(pair)
    disks = pair.shared_disks(guest)

    _, landing = await pair.receive(guest, disks)
    assert landing.disks_port is None
    assert await pair.states(guest) == [("running", ""), ("paused", "incoming")]
    await pair.source.send(guest, landing, FAST)
    await pair.source.send(guest, landing, FAST)
    progress = await pair.sent(guest)

    assert progress.phase == "completed"
    assert progress.sent_bytes > 0
    assert await pair.states(guest) == [("paused", "sent"), ("paused", "arrived")]
    await pair.target.finish(guest)
    await pair.target.finish(guest)
    await pair.source.leave(guest)
    await pair.source.leave(guest)
    assert await pair.states(guest) == [None, ("running", "")]
    assert pair.hosts[0].leftovers(guest) == []
    assert pair.hosts[1].console(guest) == ""  # no second boot
    await pair.hosts[1].type(guest, "r")
    await pair.hosts[1].until_ready(guest)
    await pair.target.stop(guest, force=True, timeout_s=0)
    assert pair.hosts[1].leftovers(guest) == []


async def test_a_guest_goes_there_and_back_with_its_machine_type(pair: Pair) -> None:
    guest = await started(pair)
    machine = pair.hosts[0].runtime(guest).machine
    await pair.migrate(guest, pair.shared_disks(guest))
    pair.source, pair.target = pair.target, pair.source
    moving = await pair.source.moving(guest)
    assert (moving.machine, moving.paused) == (machine, False)
    landing = await pair.target.receive(
        moving, pair.shared_disks(guest), address="127.0.0.1", peer=NAMES[1], copies_disks=False, pace=FAST
    )
    await pair.source.send(guest, msgspec.structs.replace(landing, name=NAMES[0]), FAST)
    assert (await pair.sent(guest)).phase == "completed"
    await pair.target.finish(guest)
    await pair.source.leave(guest)
    assert await pair.states(guest) == [("running", ""), None]
    assert pair.hosts[1].leftovers(guest) == []


async def test_a_frozen_guest_arrives_frozen(pair: Pair) -> None:
    guest = await started(pair)
    await pair.source.pause(guest)
    await pair.migrate(guest, pair.shared_disks(guest))
    assert await pair.states(guest) == [None, ("paused", "")]


async def test_a_guest_can_be_stopped_for_the_move(pair: Pair) -> None:
    guest = await started(pair)
    await pair.migrate(guest, pair.shared_disks(guest), pace=msgspec.structs.replace(FAST, live=False))
    assert await pair.states(guest) == [None, ("running", "")]


async def test_a_guest_whose_target_is_given_up_before_the_end_runs_on(pair: Pair) -> None:
    guest = await started(pair)
    _, landing = await pair.receive(guest, pair.shared_disks(guest))
    await pair.source.send(guest, landing, msgspec.structs.replace(FAST, bandwidth_mib_s=1))

    await pair.source.keep(guest)
    await pair.target.abort(guest)
    await pair.source.keep(guest)
    await pair.target.abort(guest)

    assert await pair.states(guest) == [("running", ""), None]
    assert pair.hosts[1].leftovers(guest) == []
    await pair.migrate(guest, pair.shared_disks(guest))
    assert await pair.states(guest) == [None, ("running", "")]


async def test_a_guest_that_has_been_sent_can_still_go_on_at_its_source(pair: Pair) -> None:
    guest = await started(pair)
    _, landing = await pair.receive(guest, pair.shared_disks(guest))
    await pair.source.send(guest, landing, FAST)
    assert (await pair.sent(guest)).phase == "completed"

    await pair.source.keep(guest)
    await pair.target.abort(guest)

    assert await pair.states(guest) == [("running", ""), None]
    await pair.hosts[0].type(guest, "r")
    await pair.hosts[0].until_ready(guest, boots=2)


async def test_a_target_that_dies_on_the_way_leaves_the_source_running(pair: Pair) -> None:
    guest = await started(pair)
    _, landing = await pair.receive(guest, pair.shared_disks(guest))
    await pair.source.send(guest, landing, msgspec.structs.replace(FAST, bandwidth_mib_s=1))
    (pid,) = pair.hosts[1].qemus(guest)
    os.kill(pid, signal.SIGKILL)

    progress = await pair.sent(guest)

    assert progress.phase == "failed"
    assert progress.error
    with pytest.raises(Failed, match=r"is gone"):
        await until_gone(pair, guest)
    await pair.target.finish(guest, if_there=True)
    await pair.source.keep(guest)
    await pair.target.abort(guest)
    assert await pair.states(guest) == [("running", ""), None]
    assert pair.hosts[1].leftovers(guest) == []


async def until_gone(pair: Pair, guest: Guest) -> None:
    await until(lambda: not pair.hosts[1].qemus(guest), what="end of QEMU")
    await pair.target.finish(guest)


async def test_a_certificate_of_another_cluster_is_not_let_in(pair: Pair) -> None:
    guest = await started(pair)
    pair.hosts[0].certify(new_ca(), trusts=pair.ca)
    _, landing = await pair.receive(guest, pair.shared_disks(guest))
    await refused_on_the_way(pair, guest, landing)


async def test_a_node_that_was_not_asked_for_is_not_let_in(pair: Pair) -> None:
    guest = await started(pair)
    pair.hosts[0].certify(pair.ca, "node3.example.com")
    _, landing = await pair.receive(guest, pair.shared_disks(guest))
    await refused_on_the_way(pair, guest, landing)


async def test_a_target_with_another_name_gets_no_guest(pair: Pair) -> None:
    guest = await started(pair)
    pair.hosts[1].certify(pair.ca, "node3.example.com")
    _, landing = await pair.receive(guest, pair.shared_disks(guest))
    await refused_on_the_way(pair, guest, landing)


async def refused_on_the_way(pair: Pair, guest: Guest, landing: object) -> None:
    await pair.source.send(guest, landing, FAST)  # type: ignore[arg-type]
    progress = await pair.sent(guest)
    assert progress.phase == "failed"
    assert progress.error
    state = await pair.target.state(guest.name)
    assert state is None or state.status != "running"
    await pair.source.keep(guest)
    await pair.target.abort(guest)
    assert await pair.states(guest) == [("running", ""), None]


async def test_two_guests_wait_on_two_ports(pair: Pair) -> None:
    guest = await started(pair)
    other = pair.hosts[0].guest("web2.example.com", nics=())
    await pair.source.start(other, pair.hosts[0].disks(other))
    _, first = await pair.receive(guest, pair.shared_disks(guest))
    _, second = await pair.receive(other, pair.shared_disks(other))
    assert first.port >= 8102
    assert second.port > first.port


async def test_objections_are_sentences(pair: Pair) -> None:
    guest = await started(pair)
    moving = await pair.source.moving(guest)
    assert await pair.target.objections_to(moving) == []
    newer = msgspec.structs.replace(moving, version="99.1.0", machine="pc-i440fx-99.1")
    against = await pair.target.objections_to(newer)
    assert [
        words for sentence in against for words in ("machine type pc-i440fx-99.1", "older than") if words in sentence
    ]
    assert len(against) == 2
    assert len(await pair.target.objections_to(newer, ignore_version=True)) == 1
    os.unlink(pair.hosts[1].paths.node_certificate)
    assert any("node.pem is not there" in sentence for sentence in await pair.target.objections_to(moving))


async def test_an_unknown_capability_is_told_with_those_there_are(pair: Pair) -> None:
    guest = await started(pair)
    with pytest.raises(Failed, match="no migration capability 'teleport'"):
        await pair.receive(guest, pair.shared_disks(guest), pace=Pace(capabilities=("teleport",)))
    assert pair.hosts[1].leftovers(guest) == []


async def test_a_guest_that_does_not_run_does_not_move(pair: Pair) -> None:
    guest = pair.guest()
    with pytest.raises(Refused, match="it does not run"):
        await pair.source.moving(guest)
    await pair.source.keep(guest)
    await pair.source.leave(guest)


WRITER = (
    "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); printf '%-512s' $i | dd of=/dev/vda bs=512 seek=$((i % 8192))"
    " conv=notrunc,fsync 2>/dev/null && echo ACK-$i-; done\n"
)


def acked(pair: Pair, guest: Guest) -> list[int]:
    text = pair.hosts[0].console(guest) + pair.hosts[1].console(guest)
    return [int(number) for number in re.findall(r"ACK-(\d+)-", text)]


async def test_a_local_disk_moves_with_its_guest_and_keeps_every_acknowledged_write(pair: Pair, boot: Path) -> None:
    guest = pair.tiny(boot)
    here, there = pair.local_disks(guest)
    await pair.source.start(guest, here)
    host = pair.hosts[0]
    reader, writer = await asyncio.open_unix_connection(host.places.socket(guest.name, "serial"))
    drained = asyncio.ensure_future(drain(reader))
    await until(lambda: "press Enter" in host.console(guest), what="boot", limit_s=180)
    writer.write(b"\n")
    await until(lambda: "# " in host.console(guest), what="shell", limit_s=60)
    writer.write(WRITER.encode())
    await writer.drain()
    await until(lambda: len(acked(pair, guest)) > 20, what="first writes", limit_s=60)

    _, landing = await pair.receive(guest, there, copies=True)
    assert landing.disks_port is not None
    before = max(acked(pair, guest))
    await pair.source.send(guest, landing, FAST)
    progress = await pair.sent(guest)
    assert progress.phase == "completed", progress
    at_switch = max(acked(pair, guest))
    await pair.target.finish(guest)
    await pair.source.leave(guest)
    writer.close()
    drained.cancel()
    reader2, writer2 = await asyncio.open_unix_connection(pair.hosts[1].places.socket(guest.name, "serial"))
    drained2 = asyncio.ensure_future(drain(reader2))
    await until(lambda: max(acked(pair, guest)) > at_switch + 20, what="writes on the target", limit_s=60)
    assert await pair.states(guest) == [None, ("running", "")]
    writer2.close()
    drained2.cancel()
    await pair.target.stop(guest, force=True, timeout_s=0)

    last = max(acked(pair, guest))
    image = Path(there[0].path).read_bytes()
    print(f"writes acknowledged before {before}, at the switch {at_switch}, in the end {last}; {progress}")
    for number in range(max(1, last - 8000), last + 1):
        at = (number % 8192) * 512
        assert image[at : at + 512].decode().strip() in (str(number), str(number + 8192)), number


async def drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def test_a_target_that_dies_while_disks_are_copied_leaves_the_source_running(pair: Pair) -> None:
    guest = pair.guest()
    here, there = pair.local_disks(guest)
    Path(here[0].path).write_bytes(Path(pair.hosts[0].disks(guest)[0].path).read_bytes() + os.urandom(32 << 20))
    with open(here[0].path, "r+b") as file:
        file.truncate(64 << 20)
    await pair.source.start(guest, here)
    await pair.hosts[0].until_ready(guest)
    slow = msgspec.structs.replace(FAST, bandwidth_mib_s=1)
    _, landing = await pair.receive(guest, there, copies=True, pace=slow)
    await pair.source.send(guest, landing, slow)
    progress = await pair.source.watch(guest, within_s=1)
    assert progress.phase == "disks"
    assert 0 < progress.disk_done_bytes < progress.disk_total_bytes
    (pid,) = pair.hosts[1].qemus(guest)
    os.kill(pid, signal.SIGKILL)

    progress = await pair.sent(guest)
    assert progress.phase == "failed"
    assert "a disk could not be copied" in progress.error
    await pair.source.keep(guest)
    await pair.target.abort(guest)
    assert await pair.states(guest) == [("running", ""), None]
    assert pair.hosts[1].leftovers(guest) == []


async def test_copying_of_disks_can_be_given_up(pair: Pair) -> None:
    guest = pair.guest()
    here, there = pair.local_disks(guest)
    Path(here[0].path).write_bytes(os.urandom(64 << 20))
    await pair.source.start(guest, here)
    slow = msgspec.structs.replace(FAST, bandwidth_mib_s=1)
    _, landing = await pair.receive(guest, there, copies=True, pace=slow)
    await pair.source.send(guest, landing, slow)
    await pair.source.keep(guest)
    await pair.target.abort(guest)
    assert await pair.states(guest) == [("running", ""), None]
    await pair.migrate(guest, there, copies=True)
    assert await pair.states(guest) == [None, ("running", "")]
    assert Path(here[0].path).read_bytes() == Path(there[0].path).read_bytes()


async def test_a_local_disk_goes_there_and_back_and_zeros_take_no_room(pair: Pair) -> None:
    guest = pair.guest()
    here, there = pair.local_disks(guest)
    first = Path(pair.hosts[0].disks(guest)[0].path).read_bytes()[:512]
    with open(here[0].path, "r+b") as file:
        file.write(first)
        file.seek(32 << 20)
        file.write(os.urandom(4 << 20))
    await pair.source.start(guest, here)
    await pair.migrate(guest, there, copies=True)
    assert os.stat(there[0].path).st_blocks * 512 < 8 << 20
    with open(here[0].path, "wb") as file:
        file.truncate(64 << 20)
    pair.source, pair.target = pair.target, pair.source
    moving = await pair.source.moving(guest)
    landing = await pair.target.receive(moving, here, address="127.0.0.1", peer=NAMES[1], copies_disks=True, pace=FAST)
    await pair.source.send(guest, msgspec.structs.replace(landing, name=NAMES[0]), FAST)
    assert (await pair.sent(guest)).phase == "completed"
    await pair.target.finish(guest)
    await pair.source.leave(guest)
    assert await pair.states(guest) == [("running", ""), None]
    assert Path(here[0].path).read_bytes() == Path(there[0].path).read_bytes()


async def test_post_copy_lets_the_target_fetch_what_is_missing(pair: Pair) -> None:
    guest = await started(pair)
    pace = msgspec.structs.replace(FAST, bandwidth_mib_s=1, capabilities=("postcopy-ram",))
    _, landing = await pair.receive(guest, pair.shared_disks(guest), pace=pace)
    await pair.source.send(guest, landing, pace)
    await pair.source.watch(guest, within_s=0.2)
    await pair.source.switch(guest)
    await pair.target.finish(guest)
    assert (await pair.sent(guest)).phase == "completed"
    await pair.source.leave(guest)
    assert await pair.states(guest) == [None, ("running", "")]
