"""What all tests share."""

import os

import hypothesis
import pytest

# No deadlines: how long an example takes is this machine's affair. In CI the examples are the same every time.
hypothesis.settings.register_profile("yakt", deadline=None, derandomize="CI" in os.environ, print_blob=True)
hypothesis.settings.load_profile("yakt")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rewrite`, for transcripts: record what happens now, for review in the diff."""
    parser.addoption("--rewrite", action="store_true", help="record transcripts anew instead of comparing with them")


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether this run records transcripts anew."""
    return bool(request.config.getoption("--rewrite"))
