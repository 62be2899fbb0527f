"""Every exception raised on purpose, told apart by what must be done about it. Whatever else escapes is a bug."""

from collections.abc import Mapping, Sequence

from yakt.ids import NodeId


class YaktError(Exception):
    """Raised on purpose."""


class ConfigError(YaktError):
    """Do not start. `problems`: one line a fault, `<what> @ $.<path>`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class CodecError(YaktError):
    """These bytes are not what they claim to be. `position`: where in the given bytes, from 0."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message if position is None else f"{message} (byte {position})")
        self.position = position


class RemoteProtocolError(YaktError):
    """The other side broke the protocol: drop the connection, keep the node."""


class NotReachedError(YaktError):
    """No server took it: nothing was applied."""


class StorageError(YaktError):
    """The disk failed or lied: stop the node; never go on from a doubtful log."""


class ReplayError(YaktError):
    """Records that do not fit the state they follow: never appended; met in a committed log, the node stops."""


class ViolationError(YaktError):
    """The simulator saw a property fail. `check` names it (verification.md, section 2), e.g. `S3 VoteOnce`."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(f"{check}: {message}")
        self.check = check


class RefusedError(YaktError):
    """A client cannot have that.

    `code` is stable (line-protocol codes, or Kafka's own error name); each adapter words it its own way.
    `kafka` is Kafka's error number where there is one. `details` are further pairs of the answer
    (`key=`, `near=`, …) in order; `maybe` is true only where the write may have been applied all the same.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        kafka: int | None = None,
        hint: str | None = None,
        retry: bool = False,
        maybe: bool = False,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kafka = kafka
        self.hint = hint
        self.retry = retry
        self.maybe = maybe
        self.details: Mapping[str, object] = details or {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code}, {self.message!r})"


class NotLeaderError(RefusedError):
    """`leader` says whom to ask, or None while there is none; `address` is that node's line port."""

    def __init__(self, leader: NodeId | None, address: str | None = None, message: str | None = None) -> None:
        super().__init__(
            "NOT_LEADER",
            message or (f"node {leader} leads" if leader is not None else "no leader is known"),
            retry=True,
            details={"leader": leader, "address": address},
        )
        self.leader = leader
        self.address = address
