"""What Kafka itself said on the wire."""

import tarfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def kafka_wire(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames recorded between Kafka's own brokers and controllers (testdata/README.md), unpacked."""
    directory = tmp_path_factory.mktemp("kafka-wire")
    with tarfile.open(Path(__file__).parents[1] / "testdata" / "kafka-wire.tar.xz") as archive:
        filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(directory, **filters)
    return directory
