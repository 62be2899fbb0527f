"""Striped placement: spread over racks and brokers, whatever chance says (controller.md §7)."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.errors import RefusedError
from yakt.metadata.placement import UsableBroker, place

BROKERS = st.lists(
    st.builds(UsableBroker, st.integers(0, 50), st.sampled_from([None, "a", "b", "c"]), st.booleans()),
    min_size=1,
    max_size=12,
    unique_by=lambda broker: broker.id,
).filter(lambda brokers: any(not broker.fenced for broker in brokers))


@given(BROKERS, st.integers(1, 40), st.integers(0, 2**32), st.data())
def test_every_placement_is_sound(brokers: list[UsableBroker], partitions: int, seed: int, data: st.DataObject) -> None:
    replication = data.draw(st.integers(1, len(brokers)))
    placed = place(brokers, partitions, replication, random.Random(seed).random)
    fenced = {broker.id for broker in brokers if broker.fenced}
    racks = {broker.id: broker.rack for broker in brokers}
    assert len(placed) == partitions
    for replicas in placed:
        assert len(replicas) == len(set(replicas)) == replication
        assert set(replicas) <= set(racks)
        assert replicas[0] not in fenced


@given(st.integers(0, 2**32), st.integers(1, 3))
def test_as_many_racks_as_replicas_hold_one_each(seed: int, replication: int) -> None:
    brokers = [UsableBroker(number, "abc"[number % 3], False) for number in range(9)]
    for replicas in place(brokers, 30, replication, random.Random(seed).random):
        assert len({"abc"[broker_id % 3] for broker_id in replicas}) == replication


@given(BROKERS, st.integers(1, 40), st.integers(0, 2**32), st.data())
def test_as_many_racks_as_there_can_be_hold_a_replica(
    brokers: list[UsableBroker], partitions: int, seed: int, data: st.DataObject
) -> None:
    replication = data.draw(st.integers(1, len(brokers)))
    racks = {broker.id: broker.rack for broker in brokers}
    for replicas in place(brokers, partitions, replication, random.Random(seed).random):
        assert len({racks[broker_id] for broker_id in replicas}) == min(replication, len(set(racks.values())))


@given(BROKERS, st.integers(1, 40), st.integers(0, 2**32), st.data())
def test_within_a_rack_the_unfenced_come_first(
    brokers: list[UsableBroker], partitions: int, seed: int, data: st.DataObject
) -> None:
    replication = data.draw(st.integers(1, len(brokers)))
    by_id = {broker.id: broker for broker in brokers}
    for replicas in place(brokers, partitions, replication, random.Random(seed).random):
        for broker in (by_id[broker_id] for broker_id in replicas):
            if broker.fenced:
                same = {one.id for one in brokers if one.rack == broker.rack and not one.fenced}
                assert same <= set(replicas[: replicas.index(broker.id)])


@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 2**32))
def test_everybody_leads_once_before_anybody_leads_again(brokers: int, rounds: int, seed: int) -> None:
    placed = place(
        [UsableBroker(n, None, False) for n in range(brokers)], brokers * rounds, 1, random.Random(seed).random
    )
    for start in range(0, brokers * rounds, brokers):
        assert sorted(replicas[0] for replicas in placed[start : start + brokers]) == list(range(brokers))


def test_leaders_and_replicas_are_spread_evenly() -> None:
    brokers = [UsableBroker(number, None, False) for number in range(4)]
    placed = place(brokers, 40, 2, random.Random(5).random)
    leaders = Counter(replicas[0] for replicas in placed)
    assert leaders == dict.fromkeys(range(4), 10)
    every = Counter(broker_id for replicas in placed for broker_id in replicas)
    assert max(every.values()) - min(every.values()) <= 8


def test_the_fenced_are_last() -> None:
    brokers = [UsableBroker(1, None, True), UsableBroker(2, None, False), UsableBroker(3, None, False)]
    for replicas in place(brokers, 10, 3, random.Random(1).random):
        assert replicas[2] == 1


@pytest.mark.parametrize(
    ("replication", "fenced", "hint"), [(3, False, "BROKER LIST"), (1, True, "BROKER HEARTBEAT 1")]
)
def test_refusals(replication: int, fenced: bool, hint: str) -> None:
    brokers = [UsableBroker(1, None, fenced), UsableBroker(2, None, fenced)]
    with pytest.raises(RefusedError) as refused:
        place(brokers, 1, replication, random.Random(1).random)
    assert (refused.value.code, refused.value.hint) == ("INVALID_REPLICATION_FACTOR", hint)
