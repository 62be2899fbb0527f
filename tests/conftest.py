"""What all tests share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rewrite`, for transcripts: record what happens now, for review in the diff."""
    parser.addoption("--rewrite", action="store_true", help="record transcripts anew instead of comparing with them")


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether this run records transcripts anew."""
    return bool(request.config.getoption("--rewrite"))
