"""Bytes to requests: whole, byte by byte, cut short; and every bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.errors import RefusedError
from yakt.line import asks
from yakt.line.conversation import REQUESTS_WAITING_MAX, RUNAWAY_SIZE_MAX, Conversation
from yakt.line.grammar import Request
from yakt.line.words import LINE_SIZE_MAX
from yakt.metadata.asked import Asked, Origin


def comparable(requests: list[Request]) -> list[object]:
    return [
        (request.tag, repr(request.ask) if isinstance(request.ask, RefusedError) else request.ask)
        for request in requests
    ]


def understood(*parts: bytes, end: bool = True) -> list[Request]:
    talk = Conversation("1.2.3.4:5")
    for part in parts:
        talk.feed(part)
    if end:
        talk.end()
    return list(talk.requests)


SCRIPT = (
    b'HELLO 1 client=me\r\n@a CONFIG SET topic/x a=1\n\n# no\nTOPIC DELETE x reason="\xc3\xa9 b"\nNOPE\n\xff\nPING\n'
)


def test_lines_become_requests_however_they_arrive() -> None:
    whole = comparable(understood(SCRIPT))
    assert len(whole) == 6
    assert comparable(understood(*(SCRIPT[place : place + 1] for place in range(len(SCRIPT))))) == whole
    for cut in range(len(SCRIPT)):
        assert comparable(understood(SCRIPT[:cut], SCRIPT[cut:])) == whole


def test_the_client_name_counts_from_the_next_line_on() -> None:
    requests = understood(b"TOPIC DELETE x\nHELLO client=me\nTOPIC DELETE x\n")
    first, _, last = [request.ask for request in requests]
    assert isinstance(first, Asked)
    assert isinstance(last, Asked)
    assert (first.origin, last.origin) == (Origin("", "1.2.3.4:5"), Origin("me", "1.2.3.4:5"))


@pytest.mark.parametrize("cut", range(1, len(b"TOPIC DELETE orders")))
def test_a_line_cut_short_is_not_done(cut: int) -> None:
    requests = understood(b"PING\n" + b"TOPIC DELETE orders"[:cut])
    assert requests[0].ask == asks.Ping()
    assert all(isinstance(request.ask, RefusedError) for request in requests[1:])
    assert len(requests) == 2


def test_an_overlong_line_is_refused_once_and_the_next_is_in_step() -> None:
    long = b"x" * (LINE_SIZE_MAX + 3)
    for parts in (
        [long[:40000], long[40000:] + b"\nPING\n"],
        [long[:LINE_SIZE_MAX], long[LINE_SIZE_MAX:], b"\n", b"PING\n"],
    ):
        codes = [ask.code if isinstance(ask := request.ask, RefusedError) else ask for request in understood(*parts)]
        assert codes == ["LINE_TOO_LONG", asks.Ping()]


@pytest.mark.parametrize(("size", "refused"), [(LINE_SIZE_MAX, False), (LINE_SIZE_MAX + 1, True)])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_the_longest_line(size: int, refused: bool, line_end: bytes) -> None:
    line = b"# " + b"x" * (size - 2)
    parts = [line[:LINE_SIZE_MAX], line[LINE_SIZE_MAX:] + line_end + b"PING\n"]
    assert len(understood(*parts)) == 1 + refused


def test_endless_lines_end_the_conversation() -> None:
    talk = Conversation("")
    fed = 0
    while not talk.is_over:
        talk.feed(b"x" * LINE_SIZE_MAX)
        fed += LINE_SIZE_MAX
        assert fed <= RUNAWAY_SIZE_MAX + 2 * LINE_SIZE_MAX
    assert [request.ask.code for request in talk.requests if isinstance(request.ask, RefusedError)] == ["LINE_TOO_LONG"]


def test_no_more_is_read_once_too_many_requests_wait() -> None:
    talk = Conversation("")
    talk.feed(b"PING\n" * 5000 + b"QUI")
    assert len(talk.requests) == REQUESTS_WAITING_MAX
    assert not talk.wants_input
    count = 0
    while talk.requests:
        count += len(talk.requests)
        talk.taken = len(talk.requests)
        talk.requests.clear()
        talk.go_on()
        assert not talk.requests  # what was taken still counts
        talk.taken = 0
        talk.go_on()
    assert count == 5000
    assert talk.wants_input
    talk.feed(b"T\nPING\n")
    assert [request.ask for request in talk.requests] == [asks.Quit()]
    assert talk.is_over


def test_the_end_is_heard_after_the_lines_that_wait() -> None:
    talk = Conversation("")
    talk.feed(b"PING\n" * 1500 + b"PIN")
    talk.end()
    assert not talk.is_over
    talk.requests.clear()
    talk.go_on()
    assert talk.is_over
    assert len(talk.requests) == 477
    assert isinstance(talk.requests[-1].ask, RefusedError)


@pytest.mark.parametrize(
    ("first", "protocol"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nTOPIC DELETE x\n", "HTTP"),
        (b"post http://localhost/ HTTP/1.1\r\n", "HTTP"),
        (b"OPTIONS * HTTP/1.1\r\n", "HTTP"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "HTTP"),
        (b"POST /" + b"a" * (LINE_SIZE_MAX - 6), "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"\x00\x00\x00\x24\x00\x12\x00\x03", "Kafka"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, LINE_SIZE_MAX])
def test_other_protocols_get_one_hint(first: bytes, protocol: str, size: int) -> None:
    talk = Conversation("")
    for place in range(0, len(first), size):
        talk.feed(first[place : place + size])
    talk.feed(b"\nTOPIC DELETE x\n")
    talk.end()
    [request] = talk.requests
    assert isinstance(request.ask, RefusedError)
    assert request.ask.details["protocol"] == protocol
    assert talk.is_over


def test_another_protocol_is_no_matter_after_the_first_line() -> None:
    assert len(understood(b"PING\nGET / HTTP/1.1\nPING\n")) == 3


@pytest.mark.parametrize("word", ["ruok", "srvr", "mntr"])
def test_a_zookeeper_word_needs_no_line_end(word: str) -> None:
    for parts in ([word.encode()], [word[:2].encode(), word[2:].encode()], [word.encode() + b"\n"]):
        talk = Conversation("")
        for part in parts:
            talk.feed(part)
        assert [request.ask for request in talk.requests] == [asks.ZooKeeperWord(word)]
        assert talk.is_over


_CHUNKS = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(
        [b"PING\n", b"\n", b"QUIT\n", b"HELLO client=x\n", b"x" * 70, b"GET /", b"\x16", b"ruok", b"@t ", b'"']
    )
)


@given(_CHUNKS)
def test_any_bytes_in_any_pieces(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    if b"ruok" in data or b"srvr" in data or b"mntr" in data:
        return  # whole at once or not, that word may come before its line is known to end
    assert comparable(understood(*chunks)) == comparable(understood(data))
    assert len(understood(data)) <= data.count(b"\n") + 1
