"""What all tests share."""

import os
import tarfile
from pathlib import Path

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


@pytest.fixture(scope="session")
def kafka_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Metadata directories written by Kafka's own controllers (testdata/README.md), unpacked and writable."""
    directory = tmp_path_factory.mktemp("kafka-logs")
    with tarfile.open(Path(__file__).parent / "testdata" / "kafka-logs.tar.xz") as archive:
        # Python before 3.11.4 knows no filters, later ones want one.
        filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(directory, **filters)
    return directory
