"""What every hypervisor driver does, the fake one too."""

from __future__ import annotations

import asyncio

import pytest

from ganeti.base.errors import Refused
from tests.contract.hypervisor.worlds import World, until


async def test_a_started_guest_is_listed_as_running_with_its_size(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com", vcpus=2)

    await driver.start(guest, world.disks(guest))

    (state,) = await driver.list()
    assert (state.name, state.hypervisor, state.status) == (guest.name, guest.hypervisor, "running")
    assert (state.memory_mib, state.vcpus, state.uuid) == (64, 2, guest.uuid)
    assert await driver.state(guest.name) is not None
    await driver.stop(guest, force=True, timeout_s=0)


async def test_nothing_is_listed_on_an_empty_host(world: World) -> None:
    driver = world.driver()

    assert await driver.list() == []
    assert await driver.state("web1.example.com") is None


async def test_starting_a_guest_that_runs_leaves_it_alone(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")
    await driver.start(guest, world.disks(guest))
    before = await driver.state(guest.name)

    await driver.start(guest, world.disks(guest), paused=True)

    after = await driver.state(guest.name)
    assert before is not None
    assert after is not None
    assert (after.status, after.pid) == ("running", before.pid)
    assert await world.boots(guest) == 1


async def test_after_a_stop_nothing_of_the_guest_is_left(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")
    await driver.start(guest, world.disks(guest))
    assert world.leftovers(guest)

    await driver.stop(guest, force=True, timeout_s=0)

    assert world.leftovers(guest) == []
    assert await driver.list() == []
    assert await driver.state(guest.name) is None


async def test_stopping_a_guest_that_does_not_run_is_fine(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")

    await driver.stop(guest, force=False, timeout_s=30)
    await driver.stop(guest, force=True, timeout_s=0)

    assert world.leftovers(guest) == []


async def test_a_guest_that_heeds_its_power_button_is_stopped_before_the_time_is_over(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")
    await driver.start(guest, world.disks(guest))
    await world.boots(guest)

    async with asyncio.timeout(60):
        await driver.stop(guest, force=False, timeout_s=3600)

    assert world.leftovers(guest) == []


async def test_a_guest_started_paused_runs_when_it_is_resumed(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")

    await driver.start(guest, world.disks(guest), paused=True)
    first = await driver.state(guest.name)
    await driver.resume(guest)
    second = await driver.state(guest.name)
    await driver.pause(guest)
    await driver.pause(guest)
    third = await driver.state(guest.name)

    assert [state and state.status for state in (first, second, third)] == ["paused", "running", "paused"]
    await driver.stop(guest, force=True, timeout_s=0)
    assert world.leftovers(guest) == []


async def test_a_paused_guest_can_be_stopped_in_order(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")
    await driver.start(guest, world.disks(guest))
    await world.boots(guest)
    await driver.pause(guest)

    async with asyncio.timeout(60):
        await driver.stop(guest, force=False, timeout_s=3600)

    assert world.leftovers(guest) == []


async def test_guests_outlive_the_daemon(world: World) -> None:
    guest = world.guest("web1.example.com")
    await world.driver().start(guest, world.disks(guest))

    reborn = world.driver()

    (state,) = await reborn.list()
    assert (state.name, state.status, state.uuid) == (guest.name, "running", guest.uuid)
    await reborn.start(guest, world.disks(guest))
    assert await world.boots(guest) == 1
    await reborn.stop(guest, force=True, timeout_s=0)
    assert world.leftovers(guest) == []


async def test_a_reboot_boots_the_same_guest_again(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")
    await driver.start(guest, world.disks(guest))
    before = await driver.state(guest.name)
    assert await world.boots(guest) == 1

    await driver.reboot(guest)

    async def booted_twice() -> bool:
        return await world.boots(guest) == 2

    await until(booted_twice, what="second boot")
    after = await driver.state(guest.name)
    assert before is not None
    assert after is not None
    assert (after.status, after.pid) == ("running", before.pid)
    await driver.stop(guest, force=True, timeout_s=0)


async def test_a_guest_that_does_not_run_cannot_be_changed(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")

    for deed in (driver.reboot(guest), driver.pause(guest), driver.resume(guest), driver.balloon(guest, 32)):
        with pytest.raises(Refused, match=r"web1.example.com: it does not run") as error:
            await deed
        assert error.value.code == "wrong_state"
    assert world.leftovers(guest) == []


async def test_memory_is_changed_between_nothing_and_maxmem_only(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")
    await driver.start(guest, world.disks(guest))

    for wrong_mib in (0, -1, 65):
        with pytest.raises(Refused, match="from 1 to 64 MiB"):
            await driver.balloon(guest, wrong_mib)
    await driver.balloon(guest, 64)

    state = await driver.state(guest.name)
    assert state is not None
    assert (state.status, state.memory_mib) == ("running", 64)
    await driver.stop(guest, force=True, timeout_s=0)


async def test_a_guest_that_powers_itself_off_is_known_to_have_done_so_when_that_is_wanted(world: World) -> None:
    wanted = {"user_shutdown": True} if any(param.name == "user_shutdown" for param in world.params) else {}
    driver, guest = world.driver(), world.guest("web1.example.com", user_shutdown=True, hvparams=wanted)
    await driver.start(guest, world.disks(guest))

    await world.power_off(guest)

    async def is_user_down() -> bool:
        state = await driver.state(guest.name)
        return state is not None and state.status == "user-down"

    await until(is_user_down, what="user-down")
    assert [state.status for state in await world.driver().list()] == ["user-down"]
    await driver.start(guest, world.disks(guest))
    assert [state.status for state in await driver.list()] == ["running"]
    await driver.stop(guest, force=True, timeout_s=0)
    assert world.leftovers(guest) == []


async def test_a_guest_that_powers_itself_off_is_just_down_otherwise(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")
    await driver.start(guest, world.disks(guest))

    await world.power_off(guest)

    assert [state.status for state in await driver.list()] == ["stopped"]
    with pytest.raises(Refused, match="it does not run"):
        await driver.pause(guest)
    await driver.stop(guest, force=False, timeout_s=30)
    assert world.leftovers(guest) == []
    assert await driver.list() == []


async def test_guests_are_listed_by_name_whatever_the_order_of_their_start(world: World) -> None:
    driver = world.driver()
    guests = [world.guest(name) for name in ("c.example.com", "a.example.com", "b.example.com")]

    await asyncio.gather(*(driver.start(guest, world.disks(guest)) for guest in guests))

    assert [state.name for state in await driver.list()] == ["a.example.com", "b.example.com", "c.example.com"]
    await asyncio.gather(*(driver.stop(guest, force=True, timeout_s=0) for guest in guests))
    assert [world.leftovers(guest) for guest in guests] == [[], [], []]


@pytest.mark.parametrize("name", ["../evil", "", ".hidden", "a/b"])
async def test_a_name_that_is_a_path_is_refused(world: World, name: str) -> None:
    driver, guest = world.driver(), world.guest(name)

    with pytest.raises(Refused, match="cannot be the name of a guest"):
        await driver.start(guest, [])
    with pytest.raises(Refused, match="cannot be the name of a guest"):
        await driver.stop(guest, force=True, timeout_s=0)

    assert await driver.list() == []


async def test_the_console_says_how_it_is_reached(world: World) -> None:
    driver, guest = world.driver(), world.guest("web1.example.com")

    console = await driver.console(guest, host="node1.example.com")

    assert console.instance == guest.name
    if console.kind == "msg":
        assert console.message
    else:
        assert console.host == "node1.example.com"


async def test_facts_of_the_host_are_of_a_host(world: World) -> None:
    facts = await world.driver().facts()

    assert 0 < facts.memory_free_mib <= facts.memory_total_mib
    assert 0 <= facts.memory_node_mib < facts.memory_total_mib
    assert facts.cpu_total >= 1
    assert facts.cpu_nodes >= 1
    assert facts.cpu_sockets >= 1
    assert facts.version


async def test_nothing_stands_against_the_parameters_of_a_guest_that_can_run(world: World) -> None:
    assert list(await world.driver().check(world.guest("web1.example.com").hvparams)) == []
