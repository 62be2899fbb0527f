"""Near names: what a slip of the hand may have meant."""

import pytest

from yakt.metadata.refusals import nearest


@pytest.mark.parametrize(
    ("name", "names", "near"),
    [
        ("ordrs", ["orders", "users"], ["orders"]),
        ("oredrs", ["orders"], ["orders"]),
        ("ORDERS", ["orders"], ["orders"]),
        ("x", ["y"], ["y"]),
        ("x", ["yy", "abc"], []),
        ("payments", ["orders"], []),
        ("orders-1", ["orders-2", "orders-3", "orders-4", "orders-10"], ["orders-10", "orders-2", "orders-3"]),
        ("", ["a"], ["a"]),
        ("a", [], []),
    ],
)
def test_nearest(name: str, names: list[str], near: list[str]) -> None:
    assert nearest(name, names) == near
