"""Runs that wait: who is let through when, and who is taken out."""

from yakt.ids import Epoch, Instant
from yakt.node.runs import Reads, Run, Writes
from yakt.node.waiting import Waiting


def writes(epoch: int = 1, ticket: int = 0) -> Writes:
    run = Writes((), Instant(0.0), lambda results: None, epoch=Epoch(epoch))
    run.ticket = ticket
    return run


def reads(ticket: int = 0, wait_end: int = 0) -> Reads:
    run = Reads((), Instant(0.0), lambda run: None, lambda results: None)
    run.ticket, run.wait_end = ticket, wait_end
    return run


def let_through(waiting: Waiting, applied: int) -> list[Run]:
    return [*waiting.confirmed(), *waiting.applied(applied)]


def test_whoever_waits_for_an_offset_is_let_through_in_its_order_then_in_theirs() -> None:
    waiting = Waiting()
    late, first, second = writes(), writes(), writes()
    waiting.until(9, late)
    waiting.until(5, first)
    waiting.until(5, second)
    assert let_through(waiting, 4) == []
    assert let_through(waiting, 5) == [first, second]
    assert let_through(waiting, 9) == [late]
    assert len(waiting) == 0


def test_a_turn_has_one_ticket_and_its_confirmation_confirms_all_before_it() -> None:
    waiting = Waiting()
    assert not waiting.has_ticket_to_ask
    one, same, later = reads(waiting.next_ticket()), reads(waiting.next_ticket()), reads()
    assert one.ticket == same.ticket == waiting.take_ticket_to_ask()
    assert not waiting.has_ticket_to_ask
    later.ticket = waiting.next_ticket()
    for run in (one, same, later):
        waiting.until_confirmed(run)
    assert waiting.reads_to_confirm == 3
    waiting.confirm(one.ticket, 7)
    assert let_through(waiting, 6) == []  # confirmed, and 7 is not applied yet
    assert let_through(waiting, 7) == [one, same]
    waiting.confirm(later.ticket, 7)
    assert let_through(waiting, 7) == [later]


def test_a_confirmed_read_waits_for_the_further_of_what_it_asked_for_and_what_was_committed() -> None:
    waiting = Waiting()
    run = reads(waiting.next_ticket(), wait_end=12)
    waiting.until_confirmed(run)
    waiting.confirm(run.ticket, 7)
    assert let_through(waiting, 11) == []
    assert let_through(waiting, 12) == [run]


def test_writes_with_a_ticket_wait_for_both_in_either_order() -> None:
    waiting = Waiting()
    run, newer = writes(ticket=waiting.next_ticket()), reads()
    waiting.until(5, run)
    waiting.take_ticket_to_ask()
    newer.ticket = waiting.next_ticket()
    waiting.until_confirmed(newer)
    assert let_through(waiting, 5) == []  # applied; now it waits, before the newer one, for its ticket
    assert [*waiting] == [run, newer]
    waiting.confirm(run.ticket, 5)
    assert let_through(waiting, 5) == [run]
    assert run.ticket == 0
    assert [*waiting] == [newer]


def test_who_was_answered_meanwhile_is_passed_over_and_cleared() -> None:
    waiting = Waiting()
    gone, stays = writes(), writes()
    waiting.until(5, gone)
    waiting.until(6, stays)
    gone.answered = True
    assert let_through(waiting, 5) == []
    stays.answered = True
    waiting.clear_answered()
    assert len(waiting) == 0


def test_what_an_earlier_epoch_wrote_past_the_new_one_is_lost() -> None:
    waiting = Waiting()
    old, applied, new, read = writes(epoch=1), writes(epoch=1), writes(epoch=2), reads()
    waiting.until(9, old)
    waiting.until(5, applied)
    waiting.until(9, new)
    waiting.until(9, read)
    assert waiting.take_lost(5, Epoch(2)) == [old]
    assert let_through(waiting, 9) == [applied, new, read]


def test_unsure_writes_are_those_with_a_ticket_wherever_they_wait() -> None:
    waiting = Waiting()
    ticket = waiting.next_ticket()
    sure, unsure, confirming, read = writes(), writes(ticket=ticket), writes(ticket=ticket), reads(ticket)
    waiting.until(5, sure)
    waiting.until(5, unsure)
    waiting.until_confirmed(confirming)
    waiting.until_confirmed(read)
    assert waiting.take_unsure() == [unsure, confirming]
    assert {id(run) for run in waiting} == {id(sure), id(read)}
