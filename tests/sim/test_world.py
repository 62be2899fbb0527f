"""World: order, time, and nothing but the seed."""

from yakt.sim.world import World


def test_things_happen_in_time_and_then_in_the_order_asked_for() -> None:
    world = World(1)
    seen: list[str] = []
    world.at(2.0, seen.append, "later")
    world.at(1.0, seen.append, "first")
    world.at(1.0, seen.append, "second")
    world.after(0.5, seen.append, "soonest")
    world.run()
    assert seen == ["soonest", "first", "second", "later"]
    assert world.events == 4
    assert world.now == 2.0


def test_until_is_exclusive_and_time_gets_there() -> None:
    world = World(1)
    seen: list[str] = []
    world.at(1.0, seen.append, "before")
    world.at(2.0, seen.append, "at")
    world.run(until=2.0)
    assert seen == ["before"]
    assert world.now == 2.0


def test_events_bound_the_run_and_what_is_left_stays() -> None:
    world = World(1)
    seen: list[int] = []
    for number in range(5):
        world.at(float(number), seen.append, number)
    world.run(events=2)
    assert seen == [0, 1]
    assert world.now == 1.0
    world.run()
    assert seen == [0, 1, 2, 3, 4]


def test_the_past_counts_as_now() -> None:
    world = World(1)
    times: list[float] = []
    world.at(5.0, lambda: world.at(1.0, lambda: times.append(world.now)))
    world.run()
    assert times == [5.0]
