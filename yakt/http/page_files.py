"""The live page's files, as they are in the package: each with its ETag, and the headers that keep a page to itself."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs

TYPES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "LICENSE": "text/plain; charset=utf-8",
}
HEADERS: Mapping[str, str] = {
    # Nothing from elsewhere, nothing inline, no text ever parsed as HTML, in nobody's frame.
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Kept, and asked after each time: a node of another release has another page.
    "cache-control": "no-cache",
}


@attrs.frozen
class PageFile:
    """One file: its bytes, media type, and ETag with its quotes."""

    content: bytes
    type: str
    etag: str

    def is_known(self, if_none_match: str | None) -> bool:
        """Whether a client that sent this `If-None-Match` has it already."""
        if if_none_match is None:
            return False
        tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
        return self.etag in tags or "*" in tags


def load() -> Mapping[str, PageFile]:
    """All files by their path below `/page/`; `index.html` is what `/` shows."""
    return dict(_walk(files("yakt.http").joinpath("page"), ""))


def _walk(directory: Traversable, below: str) -> Iterator[tuple[str, PageFile]]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{below}{entry.name}/")
        elif (kind := TYPES.get(entry.name.rpartition(".")[2])) is not None:
            content = entry.read_bytes()
            yield below + entry.name, PageFile(content, kind, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
