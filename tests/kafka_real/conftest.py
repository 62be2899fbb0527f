"""Three nodes and brokers of 3.9.1, 4.1.1 and 4.3.1, started once for all tests here."""

from collections.abc import Iterator

import pytest

from tests.kafka_lab.stage import Stage, running_stage
from yakt.dev.releases import TRIED, Release, find_release
from yakt.errors import ConfigError


@pytest.fixture(scope="session")
def releases() -> list[Release]:
    """The three, or a visible skip."""
    try:
        return [find_release(version, lambda line: None) for version in TRIED]
    except ConfigError as exc:
        pytest.skip(f"Kafka cannot be had: {'; '.join(exc.problems)}")


@pytest.fixture(scope="session")
def _stage(releases: list[Release], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_stage(releases, tmp_path_factory.mktemp("stage")) as opened:
        yield opened


@pytest.fixture
def stage(_stage: Stage) -> Stage:
    """The stage, with everything up that an earlier test may have left down."""
    _stage.restore()
    return _stage
