"""What is typed at a swarm, read into orders."""

import random

import pytest

from tests.swarm.fake import SETTINGS
from yakt.swarm.orders import Asked, Order, OrderError, read_order
from yakt.swarm.settings import Settings

SIX = Settings(**SETTINGS)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("kill 3", Order("kill", (1003,))),
        ("KILL 1003", Order("kill", (1003,))),
        ("start 1 3-5", Order("start", (1001, 1003, 1004, 1005))),
        ("stop 1002-1003 3", Order("stop", (1002, 1003))),
        ("flap all", Order("flap", tuple(range(1001, 1007)))),
        ("lag rack=r2", Order("lag", (1002, 1005))),
        ("lag 1 for=2.5", Order("lag", (1001,), 2.5)),
        ("lag for=10s 1", Order("lag", (1001,), 10.0)),
        ("status", Asked("status")),
        ("exit", Asked("quit")),
        ("?", Asked("help")),
        ("  ", None),
    ],
)
def test_orders(text: str, order: object) -> None:
    assert read_order(text, SIX, random.Random(1).random) == order


def test_by_chance() -> None:
    order = read_order("kill any=4", SIX, random.Random(1).random)
    assert isinstance(order, Order)
    assert len(set(order.ids)) == 4
    assert set(order.ids) <= set(SIX.ids)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kil 3", "no order kil; there are kill, start"),
        ("kill", "kill which brokers?"),
        ("kill 7", "there is no broker 7: the ids are 1001 to 1006, the places 1 to 6"),
        ("kill 5-2", "5-2 ends before it begins"),
        ("kill x", "x names no broker"),
        ("kill rack=r9", "no rack r9; there are r1 to r3"),
        ("kill any=7", "any=7: the swarm has 6"),
        ("kill any=x", "any=x: how many?"),
        ("kill 3 for=0", "for=0: how many seconds?"),
        ("kill 3 for=", "for=: how many seconds?"),
        ("kill ³", "³ names no broker"),
    ],
)
def test_nonsense(text: str, complaint: str) -> None:
    with pytest.raises(OrderError, match=complaint.replace("?", r"\?")):
        read_order(text, SIX, random.Random(1).random)
