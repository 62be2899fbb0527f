"""Random metadata records of every type and version, for any test that folds, stores or sends some."""

from typing import Any

from hypothesis import strategies as st

from yakt.metadata.codec import TYPES, RecordType
from yakt.metadata.records import Record
from yakt.wire.schema import UUID, Array, Bytes, Fixed, Mapped, Nullable, String, Struct, Type

TAGS = st.dictionaries(st.integers(20_000, (1 << 32) - 1), st.binary(max_size=9), max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)


def values(kind: Type, version: int = 0) -> st.SearchStrategy[Any]:
    """Any value of a declared type that `version` can hold."""
    match kind:
        case Fixed(code="d"):
            return st.floats(allow_nan=False)
        case Fixed(code="?"):
            return st.booleans()
        case Fixed():
            if kind is UUID:
                return st.binary(min_size=16, max_size=16)
            bits = 8 * kind.size
            return (
                st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
                if kind.code.islower()
                else st.integers(0, (1 << bits) - 1)
            )
        case String():
            found: st.SearchStrategy[Any] = st.text(max_size=20) | st.just("long" * 50)
            return st.none() | found if kind.nullable else found
        case Bytes():
            return st.none() | st.binary(max_size=20) if kind.nullable else st.binary(max_size=20)
        case Array():
            found = st.lists(values(kind.of, version), max_size=4).map(tuple)
            return st.none() | found if kind.nullable else found
        case Struct():
            kept = {one.name: values(one.type, version) for one in kind.fields if one.is_in(version)}
            return st.builds(kind.cls, **kept, **({"tags": TAGS} if kind.keeps_tags else {}))
        case Nullable() | Mapped():
            raise AssertionError("no metadata record has such a field")


def records_of(declared: RecordType, version: int) -> st.SearchStrategy[Record]:
    """Any record of one type that this version can hold."""
    return values(declared.declared, version)


def versioned_records() -> st.SearchStrategy[tuple[Record, int]]:
    """Any record at all, and a version that holds it."""
    return st.sampled_from([(one, version) for one in TYPES for version in range(one.version_max + 1)]).flatmap(
        lambda pair: st.tuples(records_of(*pair), st.just(pair[1]))
    )


def written_records() -> st.SearchStrategy[Record]:
    """Any record as it may be written at metadata.version 21."""
    fixed = [(one, one.written) for one in TYPES if isinstance(one.written, int)]
    return st.sampled_from(fixed).flatmap(lambda pair: records_of(*pair))
