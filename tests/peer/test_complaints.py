"""One line, however often it happens."""

from yakt.ids import Instant
from yakt.peer.complaints import ADDRESSES_MAX, QUIET_S, Complaints


def at(seconds: float) -> Instant:
    return Instant(seconds)


def test_a_second_complaint_waits_and_is_counted() -> None:
    complaints = Complaints()
    assert complaints.admit("a", at(0)) == 0
    assert complaints.admit("a", at(1)) is None
    assert complaints.admit("a", at(QUIET_S - 0.1)) is None
    assert complaints.admit("b", at(1)) == 0, "another address has its own"
    assert complaints.admit("a", at(QUIET_S)) == 2
    assert complaints.admit("a", at(QUIET_S + 1)) is None


def test_a_flood_of_addresses_is_forgotten_in_order() -> None:
    complaints = Complaints()
    for number in range(ADDRESSES_MAX + 1):
        assert complaints.admit(str(number), at(0)) == 0
    assert complaints.admit(str(ADDRESSES_MAX), at(1)) is None
    assert complaints.admit("0", at(1)) == 0
