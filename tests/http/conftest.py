"""One cluster for the tests that leave it whole."""

from collections.abc import Iterator

import pytest

from tests.http.nodes import Nodes, open_nodes

pytest.importorskip("hypercorn")


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes; nobody stops them before the end."""
    with open_nodes(tmp_path_factory.mktemp("http-nodes")) as found:
        yield found
