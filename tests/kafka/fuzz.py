"""Bytes that coverage chooses, for Kafka's codec: refused with CodecError, or read and written the same again.

    python -m tests.kafka.fuzz [DIRECTORY] [-runs=N] [-seed=N] …      libFuzzer's options; endless without -runs

Needs atheris, of the extra `test`. The suite runs some seconds of it (test_fuzz.py). Inputs begin with a byte that says
what the rest is: 0 a request's frame, n the answer of the n-th (API, version) of `ANSWERS`.
"""

import sys
from typing import Any

from yakt.errors import CodecError, RefusedError

if __name__ == "__main__":
    import atheris

    with atheris.instrument_imports(include=["yakt.kafka", "yakt.wire"]):
        from yakt.kafka import apis, codec, envelopes
        from yakt.wire import generate
else:
    from yakt.kafka import apis, codec, envelopes
    from yakt.wire import generate

ANSWERS = [(api, version) for api in apis.APIS.values() for version in range(api.least, api.most + 1)]


def check(data: bytes) -> bool:
    """Whether it was something; raises whatever the codec should not have raised."""
    if not data:
        return False
    kind, frame = data[0], data[1:]
    try:
        if kind == 0:
            check_request(frame)
        else:
            check_answer(ANSWERS[kind % len(ANSWERS)], frame)
    except (CodecError, RefusedError):
        return False
    return True


def check_request(frame: bytes) -> None:
    """A request as a client's: what was read and written is read and written the same again (a NaN too, which is not
    equal to itself). Raises CodecError, RefusedError."""
    header = codec.decode_header(frame)
    if not header.is_served:
        raise CodecError("a version that is not served", 0)
    body = codec.decode_body(header, frame)
    once = codec.encode_request(header.api, header.version, header.correlation, header.client_id, body)
    found = codec.decode_header(once)
    assert (found.correlation, found.client_id) == (header.correlation, header.client_id)
    again = codec.decode_body(found, once)
    assert codec.encode_request(found.api, found.version, found.correlation, found.client_id, again) == once
    if header.api is apis.ENVELOPE:
        envelopes.open_envelope(body)


def check_answer(of: tuple[apis.Api, int], frame: bytes) -> None:
    """An answer as a controller's. Raises CodecError."""
    api, version = of
    correlation, body = codec.decode_response(api, version, frame)
    header = codec.Header(api, version, correlation, None, 0)
    once = codec.encode_response(header, body)
    assert codec.encode_response(header, codec.decode_response(api, version, once)[1]) == once


def instrument_generated() -> None:
    """Let coverage see into the readers too, whose text is made when they are first called: now, all of them."""
    original = generate._Text.compile

    def compile_instrumented(self: Any, *words: Any, **keys: Any) -> Any:
        return atheris.instrument_func(original(self, *words, **keys))

    generate._Text.compile = compile_instrumented  # type: ignore[method-assign]
    for number, (api, version) in enumerate(ANSWERS):
        check(bytes((number,)) + bytes(4096))
        check(b"\0" + api.key.to_bytes(2) + version.to_bytes(2) + bytes(4096))


if __name__ == "__main__":
    instrument_generated()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
