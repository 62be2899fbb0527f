"""Points in time as people write them, and as this API shows them; ms since 1970 inside."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from yakt.http.problems import bad_field

_MS_MAX = 253_402_300_799_999
"""The end of the year 9999."""
_TEXT_SIZE_MAX = 64


def format_moment(time_ms: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    clipped = min(max(time_ms, 0), _MS_MAX)
    moment = datetime.fromtimestamp(clipped // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{clipped % 1000:03d}Z"


def parse_moment(value: object, field: str = "timestamp") -> int:
    """Unix seconds (a number or text), ISO 8601 (UTC if it does not say), or an HTTP date. Raises RefusedError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _of_seconds(float(value), field)
    if isinstance(value, str) and 0 < len(value) <= _TEXT_SIZE_MAX:
        text = value.strip()
        try:
            return _of_seconds(float(text), field)
        except ValueError:
            pass
        for read in (datetime.fromisoformat, parsedate_to_datetime):
            try:
                moment = read(text)
            except (ValueError, TypeError, IndexError):
                continue
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return _of_seconds(moment.timestamp(), field)
    raise bad_field(field, "is a time: Unix seconds, ISO 8601 or an HTTP date")


def _of_seconds(seconds: float, field: str) -> int:
    if not math.isfinite(seconds) or not 0 <= seconds * 1000 <= _MS_MAX:
        raise bad_field(field, "is a time between 1970 and 9999")
    return round(seconds * 1000)
