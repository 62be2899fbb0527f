"""check-config: a line a file, and what several files contradict each other in."""

from pathlib import Path

import pytest

from yakt.cli import main

CONF = Path(__file__).parent.parent / "conf"


def test_the_files_of_conf_are_one_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(CONF / f"node{number}.toml") for number in (1, 2, 3)]
    assert main(["check-config", *files]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines()[1] == (
        f"{files[1]}: node 2 of cluster eWFrdC1kZW1vLWNsdXN0ZQ, "
        "peer 127.0.0.1:7102 line 127.0.0.1:7202 http 127.0.0.1:7302 kafka 127.0.0.1:7402, data data/node2"
    )


def test_nodes_that_want_other_levels_of_kraft_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / f"node{number}.toml" for number in (1, 2)]
    for number, file in enumerate(files, 1):
        text = (CONF / f"node{number}.toml").read_text()
        file.write_text(text.replace("kraft_version = 0", "kraft_version = 1") if number == 2 else text)
    assert main(["check-config", *map(str, files)]) == 5
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].endswith("data data/node2, kraft.version 1")
    assert captured.err == f"{files[1]}: 1, where {files[0]} has another @ $.quorum.kraft_version\n"


def test_faults_of_one_and_contradictions_of_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (CONF / "node1.toml").read_text()
    files = [tmp_path / name for name in ("a.toml", "b.toml", "c.toml")]
    files[0].write_text(text)
    files[1].write_text(text.replace("127.0.0.1:7103", "127.0.0.1:7109"))
    files[2].write_text(text.replace("snapshot_bytes = 20971520", "snapshot_bytes = 1"))
    assert main(["check-config", *map(str, files)]) == 5
    captured = capsys.readouterr()
    assert [line.partition(":")[0] for line in captured.out.splitlines()] == [str(files[0]), str(files[1])]
    line = 1 + text[: text.index("snapshot_bytes =")].count("\n")
    assert captured.err.splitlines() == [
        f"{files[2]}:{line}: 1 is too small, at least 4096 bytes @ $.log.snapshot_bytes",
        f"{files[1]}: describes another cluster than {files[0]} @ $.cluster",
        f"{files[1]}: 1 is the node of {files[0]} too @ $.node.id",
        f'{files[1]}: "data/node1" is the directory of {files[0]} too @ $.node.data',
    ]
