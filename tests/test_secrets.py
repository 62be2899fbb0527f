"""What is secret, over real processes: a password is in no file, line or error of any node."""

from pathlib import Path

import attrs
import trio

from yakt.client import open_client
from yakt.dev.cluster import open_cluster
from yakt.dev.configs import dev_configs

PASSWORD = "Zaphod-ärger-42"


def files_with(directory: Path, secret: bytes) -> list[str]:
    """Those below the directory that hold it."""
    return [str(path) for path in directory.rglob("*") if path.is_file() and secret in path.read_bytes()]


async def test_a_password_typed_at_a_follower_is_nowhere_afterwards(tmp_path: Path) -> None:
    configs = [attrs.evolve(config, http=None, kafka=None) for config in dev_configs(tmp_path, nodes=3, base_port=0)]
    async with open_cluster(configs, tmp_path, lambda line: None) as cluster:
        for node_id in cluster.nodes:
            cluster.start(node_id)
        await cluster.wait_serving()
        with trio.fail_after(60):
            for node in cluster.nodes.values():  # one of them leads, the others forward
                async with open_client(str(node.line_address)) as client:
                    await client.ask_line(f'SCRAM SET user{node.id} password="{PASSWORD}" request=r{node.id} by=ann')
            async with open_client(str(cluster.node(1).line_address)) as client:
                await client.ask_line("SNAPSHOT CREATE wait=true")
                assert len((await client.ask_line("SCRAM LIST")).rows) == 3
                log = await client.ask_line("LOG from=0")
                made = [row.pairs for row in log.rows if row.pairs["kind"] == "UserScramCredentialRecord"]
                assert [pairs["by"] for pairs in made] == ["ann"] * 3
                assert all(pairs["fields"]["storedKey"] == "[redacted]" for pairs in made)  # type: ignore[index,call-overload]
                # Many at once, as a script has them, are decided one after the other.
                async with trio.open_nursery() as nursery:
                    for number in range(24):
                        nursery.start_soon(
                            client.ask_line, f"SCRAM SET many{number} password=p mechanism=SCRAM-SHA-512"
                        )
                assert len((await client.ask_line("SCRAM LIST")).rows) == 27
    assert files_with(tmp_path, b"user2")  # so that the search itself is known to find something
    assert files_with(tmp_path, PASSWORD.encode()) == []
    assert files_with(tmp_path, b"rger-42") == []
