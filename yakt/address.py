"""Where something listens: a host and a port, read from text; knows nothing of sockets and looks up no name."""

import ipaddress
import re

import attrs

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_PORT = re.compile(r"[0-9]{1,5}")
_WILDCARDS = frozenset({"0.0.0.0", "::"})


@attrs.frozen
class Address:
    """A host, without the brackets of IPv6, and a port, 0 to 65535; 0 means whichever is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `host:port`; IPv6 stands in brackets, `[::1]:7101`. Raises ValueError that says what is wrong."""
        host, colon, port = text.rpartition(":")
        if not colon or not host:
            raise ValueError(f'"{text}" is not host:port')
        if host.startswith("[") and host.endswith("]"):
            try:
                host = str(ipaddress.IPv6Address(host[1:-1]))  # of its many spellings, one
            except ValueError:
                raise ValueError(f'"{text}": "{host[1:-1]}" is no IPv6 address') from None
        elif ":" in host:
            raise ValueError(f'"{text}": write an IPv6 address in brackets, [::1]:7101')
        elif re.fullmatch(r"[0-9.]+", host):
            try:
                ipaddress.IPv4Address(host)
            except ValueError:
                raise ValueError(f'"{text}": "{host}" is no IPv4 address') from None
        elif len(host) > 253 or not _NAME.fullmatch(host):
            raise ValueError(f'"{text}": "{host}" is no host name')
        if not _PORT.fullmatch(port) or int(port) > 65535:
            raise ValueError(f'"{text}": a port is a number from 0 to 65535')
        return cls(host, int(port))

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every interface: good to listen on, no use to be told."""
        return self.host in _WILDCARDS

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
