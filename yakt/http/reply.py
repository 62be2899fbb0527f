"""What a handler answers with: a status, a body that becomes JSON, and headers."""

from collections.abc import Mapping
from urllib.parse import urlencode

import attrs

from yakt.http.asking import Asking
from yakt.http.records import Envelope, beside, envelopes
from yakt.metadata.answers import Answer


@attrs.frozen
class Reply:
    """`body` is JSON values; None: no body."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = attrs.Factory(dict)


async def list_of(ask: Asking, answer: Answer, path: str) -> Reply:
    """An array of envelopes; where there is more, a Link header says how to go on."""
    times = await ask.times(answer.rows)
    headers = {"YAKt-Offset": str(answer.pairs.get("offset", ""))}
    following = answer.pairs.get("next")
    if following is not None:
        headers["YAKt-Next"] = str(following)
        query = urlencode({**ask.taken, **ask.options, "after": str(following)})
        headers["Link"] = f'<{path}?{query}>; rel="next"'
    return Reply(envelopes(answer.rows, times, ask.names), headers=headers)


async def one_of(ask: Asking, answer: Answer, status: int = 200) -> Reply:
    """The single envelope of an answer with one row."""
    times = await ask.times(answer.rows)
    return of_envelope(envelopes(answer.rows, times, ask.names)[0], answer, status)


def of_envelope(found: Envelope, answer: Answer, status: int = 200) -> Reply:
    """An envelope, with what names it beside."""
    return Reply(beside(found), status, {"YAKt-Offset": str(answer.pairs.get("offset", ""))})


def checked(answer: Answer) -> Reply | None:
    """`check=true`: the records that would be written; None if it was no check."""
    if answer.pairs.get("check") is not True:
        return None
    return Reply({**answer.pairs, "records": [row.pairs for row in answer.rows]})
