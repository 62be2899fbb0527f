"""Passwords, ACLs and quotas, set with lines and with Kafka's tools: stock brokers heed and show them."""

from pathlib import Path

import attrs
import pytest
import trio

from tests.kafka.test_real_brokers import free_port, stage
from tests.kafka_lab.broker import Broker
from tests.kafka_lab.lab import KafkaTools, find_tools

pytestmark = pytest.mark.slow
HEEDED_S = 30
"""A broker follows the log by itself: nothing here tells when it has heard of a change."""

SECURITY = {
    "listeners": "PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:{sasl}",
    "advertised.listeners": "PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:{sasl}",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
    "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
    "listener.name.sasl.scram-sha-256.sasl.jaas.config": "{module} required;",
    "listener.name.sasl.scram-sha-512.sasl.jaas.config": "{module} required;",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}
MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"
TOPICS = "org.apache.kafka.tools.TopicCommand"
DENIED = "TopicAuthorizationException"
LOGIN = "SaslAuthenticationException"
UNSEEN = "does not exist as expected"


@pytest.fixture(scope="module", params=["3.9.1", "4.3.1"])
def tools(request: pytest.FixtureRequest) -> KafkaTools:
    """One release, or a visible skip."""
    found = find_tools(request.param)
    if isinstance(found, str):
        pytest.skip(f"Kafka cannot be had: {found}")
    return found


def login(directory: Path, user: str, password: str, mechanism: str) -> Path:
    """A client's properties."""
    path = directory / f"{user}.properties"
    path.write_text(
        f"security.protocol=SASL_PLAINTEXT\nsasl.mechanism={mechanism}\nrequest.timeout.ms=8000\ndefault.api.timeout.ms=8000\n"
        f'sasl.jaas.config={MODULE} required username="{user}" password="{password}";\n'
    )
    return path


async def shown(broker: Broker, as_whom: Path, topic: str) -> str | None:
    """What is wrong with this user's look at a topic, None if nothing is."""
    try:
        await broker.tool(TOPICS, "--command-config", str(as_whom), "--describe", "--topic", topic)
    except AssertionError as exc:
        return str(exc)
    return None


async def made(broker: Broker, as_whom: Path, topic: str) -> str | None:
    """What is wrong with this user's making a topic, None if nothing is."""
    try:
        await broker.tool(TOPICS, "--command-config", str(as_whom), "--create", "--topic", topic)
    except AssertionError as exc:
        return str(exc)
    return None


async def heeded(broker: Broker, as_whom: Path, topic: str, said: str | None) -> None:
    """Until the broker says so to this user: it hears of a change a moment after it was committed."""
    with trio.fail_after(HEEDED_S):
        while (found := await shown(broker, as_whom, topic)) != said and not (said and found and said in found):
            pass


async def test_who_may_log_in_and_do_what(tools: KafkaTools, tmp_path: Path) -> None:
    acls, configs = tools.release.main_of("acls"), tools.release.main_of("configs")
    async with stage(tools, tmp_path, super_users=["User:ANONYMOUS"]) as there:
        sasl = free_port()
        settings = {
            key: text.format(port=there.broker.port, sasl=sasl, module=MODULE) for key, text in SECURITY.items()
        }
        plain = attrs.evolve(there.broker, settings=settings)
        secure = attrs.evolve(plain, port=sasl)  # the same broker, by its other door
        alice = login(tmp_path, "alice", "wonder land", "SCRAM-SHA-512")
        bob = login(tmp_path, "bob", "builder", "SCRAM-SHA-256")
        await there.client.ask_line('SCRAM SET alice password="wonder land" mechanism=SCRAM-SHA-512 iterations=8192')
        async with plain.running():
            await there.wait_broker(fenced=False)

            # Who has no password does not come in; who has one, sees nothing yet.
            for topic in ("a-1", "b-1"):
                await plain.topics("--create", "--topic", topic)
            assert LOGIN in str(await shown(secure, bob, "b-1"))
            assert UNSEEN in str(await shown(secure, alice, "a-1"))

            # A line gives leave, for what begins with a-.
            await there.client.ask_line(
                "ACL ADD topic/a- principal=User:alice operation=WRITE,DESCRIBE_CONFIGS pattern=PREFIXED"
            )
            await heeded(secure, alice, "a-1", None)
            assert UNSEEN in str(await shown(secure, alice, "b-1"))
            assert len(await secure.produce("a-1", 10, "--producer.config", str(alice))) == 10
            assert await secure.produce("b-1", 1, "--producer.config", str(alice)) == []

            # So it does for what the broker leaves to the controller; and alice is kept beside what she wrote.
            assert DENIED in str(await made(secure, alice, "a-2"))
            await there.client.ask_line("ACL ADD topic/a- principal=User:alice operation=CREATE pattern=PREFIXED")
            assert await made(secure, alice, "a-2") is None
            assert DENIED in str(await made(secure, alice, "b-2"))
            log = await there.client.ask_line("LOG from=0 limit=10000")
            by = {
                row.pairs["fields"]["name"]: row.pairs["by"] for row in log.rows if row.pairs["kind"] == "TopicRecord"
            }  # type: ignore[index,call-overload]
            assert by == {"a-1": "User:ANONYMOUS", "b-1": "User:ANONYMOUS", "a-2": "User:alice"}

            # Kafka's own tools do the same for bob, and lines show it.
            await plain.tool(
                configs, "--alter", "--entity-type", "users", "--entity-name", "bob",
                "--add-config", "SCRAM-SHA-256=[password=builder]",
            )  # fmt: skip
            await plain.tool(
                configs, "--alter", "--entity-type", "users", "--entity-name", "bob",
                "--add-config", "producer_byte_rate=1048576",
            )  # fmt: skip
            await plain.tool(
                acls, "--add", "--allow-principal", "User:bob", "--operation", "Read", "--operation", "DescribeConfigs",
                "--topic", "b-1",
            )  # fmt: skip
            credentials = await there.client.ask_line("SCRAM LIST")
            assert [(row.pairs["user"], row.pairs["mechanism"]) for row in credentials.rows] == [
                ("alice", "SCRAM-SHA-512"),
                ("bob", "SCRAM-SHA-256"),
            ]
            [quota] = (await there.client.ask_line("QUOTA LIST user=bob")).rows
            assert (quota.pairs["key"], quota.pairs["value"]) == ("producer_byte_rate", 1048576)
            assert len((await there.client.ask_line("ACL LIST topic/b-1 principal=User:bob")).rows) == 2
            await heeded(secure, bob, "b-1", None)

            # And the other way round.
            listed = await plain.tool(acls, "--list", "--topic", "a-1", "--resource-pattern-type", "match")
            assert "principal=User:alice" in listed
            described = await plain.tool(configs, "--describe", "--entity-type", "users", "--entity-name", "alice")
            assert "SCRAM-SHA-512=iterations=8192" in described
            await plain.tool(
                acls, "--remove", "--force", "--allow-principal", "User:bob", "--operation", "Read", "--topic", "b-1"
            )
            assert len((await there.client.ask_line("ACL LIST topic/b-1")).rows) == 1
            await there.client.ask_line("SCRAM DELETE bob")
            await heeded(secure, bob, "b-1", LOGIN)
