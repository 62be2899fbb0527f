"""Scenarios as transcripts: one file each, named after the symptom; `--rewrite` records what happens now."""

from pathlib import Path

import pytest

from tests.raft.scripted import ScriptedCluster

SCENARIOS = Path(__file__).parent / "testdata"


def check_transcript(path: Path, *, rewrite: bool) -> None:
    """Stanzas: commands, `----`, what they bring about; comments stand where they are."""
    cluster = ScriptedCluster()
    text = path.read_text()
    recorded = []
    for stanza in text.strip("\n").split("\n\n"):
        script, separator, _ = stanza.partition("----")
        if not separator and all(line.startswith("#") for line in stanza.splitlines()):
            recorded.append(stanza)
            continue
        output = cluster.run(script)
        recorded.append(f"{script.rstrip()}\n----" + (f"\n{output}" if output else ""))
    result = "\n\n".join(recorded) + "\n"
    if rewrite:
        path.write_text(result)
    assert result == text


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.txt")), ids=lambda path: path.stem)
def test_scenario(path: Path, rewrite: bool) -> None:
    check_transcript(path, rewrite=rewrite)
