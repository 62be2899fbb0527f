"""The import contract can fail: for each arrow that it must refuse, a small graph with that arrow."""

import grimp
import pytest
from importlinter import ContractCheck

from tools._architecture import PartsContract

PARTS = ["yakt:", "yakt.ids:", "yakt.raft: ids", "yakt.node: ids raft", "yakt.line: ids node.service"]


def check(*arrows: tuple[str, str]) -> ContractCheck:
    """Hold the contract against a yakt of just these imports, `(importer, imported)`."""
    graph = grimp.ImportGraph()
    for module in ("yakt", "yakt.ids", "yakt.raft.core", "yakt.raft.vote", "yakt.node.driver", "yakt.node.service"):
        graph.add_module(module)
    for importer, imported in arrows:
        for module in (importer, imported):
            graph.add_module(module, is_squashed=not module.startswith("yakt"))
        graph.add_import(importer=importer, imported=imported, line_number=7, line_contents="import it")
    options = {"parts": PARTS, "pure": ["yakt.raft"], "effects": ["time", "trio"]}
    contract = PartsContract(name="parts", session_options={}, contract_options=options)
    return contract.check(graph, verbose=False)


@pytest.mark.parametrize(
    "arrow",
    [
        ("yakt.raft.core", "yakt.ids"),
        ("yakt.raft.core", "yakt.raft.vote"),
        ("yakt.raft.core", "math"),
        ("yakt.node.driver", "yakt.raft.core"),
        ("yakt.node.driver", "trio"),
        ("yakt.line.listener", "yakt.node.service"),
        ("yakt.line.listener", "yakt"),
    ],
)
def test_allowed(arrow: tuple[str, str]) -> None:
    assert check(arrow).kept


@pytest.mark.parametrize(
    ("arrow", "complaint"),
    [
        (("yakt.ids", "yakt.raft.core"), "yakt.ids:7: yakt.ids may not import yakt.raft.core"),
        (("yakt.raft.core", "yakt.node.driver"), "yakt.raft.core:7: yakt.raft may not import yakt.node.driver"),
        (("yakt.raft.core", "time"), "yakt.raft.core:7: yakt.raft may not import time"),
        (("yakt.line.listener", "yakt.node.driver"), "yakt.line.listener:7: yakt.line may not import yakt.node.driver"),
        (("yakt.rafts", "yakt.ids"), "yakt.rafts belongs to no part: give it a line in pyproject.toml"),
    ],
)
def test_refused(arrow: tuple[str, str], complaint: str) -> None:
    found = check(arrow)
    assert not found.kept
    assert found.metadata["complaints"] == [complaint]
