"""The driver answers after commit, by the committed log, and says nothing that is not durable."""

import pytest

from tests.node.cluster import Cluster
from yakt.errors import RefusedError
from yakt.ids import Epoch, NodeId

SET = "CONFIG SET client-metrics/a metrics={}"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_write_is_answered_only_when_a_majority_has_it(cluster: Cluster) -> None:
    leader = cluster.elect()
    one, two = cluster.others(leader)
    one.holds_flushes = two.holds_flushes = True
    asking = leader.write(SET.format(1))
    cluster.run(0.1)
    assert asking.text == "…"
    [flush] = one.held
    flush.run()
    one.driver.flushed(flush)
    cluster.settle()
    assert asking.text.startswith("OK offset=")


def test_the_leaders_own_disk_may_be_the_slow_one(cluster: Cluster) -> None:
    leader = cluster.elect()
    leader.holds_flushes = True
    asking = leader.write(SET.format(1))
    cluster.settle()
    assert asking.text.startswith("OK offset=")
    assert leader.held, "its own flush is still out"


def test_what_comes_in_during_a_flush_is_one_batch(cluster: Cluster) -> None:
    leader = cluster.elect()
    leader.holds_flushes = True
    leader.write(SET.format(1))
    end = leader.driver.core.log_end_offset
    asked = [leader.write(f"CONFIG SET client-metrics/k{n} metrics=1") for n in range(10)]
    assert leader.driver.core.log_end_offset == end, "nothing is decided while a flush is out"
    [flush] = leader.held
    flush.run()
    leader.held.clear()
    leader.driver.flushed(flush)
    cluster.settle()
    assert all(one.text.startswith("OK") for one in asked)
    assert [batch.count for batch in leader.store.read(end, leader.driver.core.log_end_offset, 1 << 20)] == [10]


def test_a_write_at_a_follower_is_answered_when_its_own_log_has_it(cluster: Cluster) -> None:
    leader = cluster.elect()
    follower = cluster.others(leader)[0]
    asking = follower.write(SET.format(5))
    assert asking.text == "…"
    cluster.run(0.05)
    assert asking.text == f"OK offset={asking.answer.pairs['offset']}\n"
    row = follower.read("CONFIG GET client-metrics/a", confirm=False)
    assert 'value="5"' in row.text


def test_a_read_at_a_follower_sees_every_write_answered_before(cluster: Cluster) -> None:
    leader = cluster.elect()
    follower = cluster.others(leader)[0]
    write = leader.write(SET.format(9))
    cluster.deliver(lambda _from, to: to != follower.id)
    cluster.deliver(lambda _from, to: to != follower.id)
    cluster.deliver(lambda _from, to: to != follower.id)
    assert write.text.startswith("OK")
    read = follower.read("CONFIG GET client-metrics/a")
    assert read.text == "…"
    cluster.run(0.05)
    assert 'value="9"' in read.text


def test_a_deposed_leader_answers_no_linearizable_read(cluster: Cluster) -> None:
    old = cluster.elect()
    for other in cluster.others(old):
        cluster.cut |= {(old.id, other.id), (other.id, old.id)}
    read = old.read("TOPIC LIST", timeout=0.7)
    cluster.run(0.6)
    assert read.text == "…"
    assert any(node is not old for node in cluster.leaders())
    cluster.run(0.2)
    assert read.text.startswith(("ERR NO_LEADER", "ERR TIMEOUT"))
    assert "applied=no" in read.text


def test_what_a_deposed_leader_wrote_and_nobody_has_is_not_applied(cluster: Cluster) -> None:
    old = cluster.elect()
    for other in cluster.others(old):
        cluster.cut |= {(old.id, other.id), (other.id, old.id)}
    lost = old.write(SET.format("lost"), timeout=60)
    cluster.run(3)
    assert lost.text == "…", "nobody can tell yet"
    cluster.cut.clear()
    cluster.run(3)
    assert lost.text.startswith("ERR NOT_LEADER")
    assert "retry=true applied=no" in lost.text
    assert old.read("CONFIG GET client-metrics/a", confirm=False).text.startswith("OK count=0")


def test_what_a_dead_leader_wrote_and_the_next_one_has_stands(cluster: Cluster) -> None:
    old = cluster.elect()
    follower, third = cluster.others(old)
    asking = follower.write(SET.format("kept"))
    cluster.deliver()  # to the leader: decided, shipped
    cluster.deliver(lambda sender, to: sender == old.id)  # the data and the decision arrive; no further fetch does
    cluster.kill(old)
    cluster.elect()
    cluster.run(1)
    assert asking.text.startswith("OK offset=")
    assert "value=kept" in third.read("CONFIG GET client-metrics/a", confirm=False).text


def test_a_command_that_wrote_nothing_is_not_answered_by_a_deposed_leader(cluster: Cluster) -> None:
    old = cluster.elect()
    first = old.write(SET.format("same"))
    cluster.settle()
    assert first.text.startswith("OK")
    for other in cluster.others(old):
        cluster.cut |= {(old.id, other.id), (other.id, old.id)}
    again = old.write(SET.format("same"), timeout=60)
    cluster.run(0.2)
    assert again.text == "…", "its value is there already, but is it still?"
    cluster.run(3)
    assert again.text.startswith("ERR NOT_LEADER")


def test_a_refusal_waits_for_the_leaders_confirmation_too(cluster: Cluster) -> None:
    leader = cluster.elect()
    refused = leader.write("TOPIC DELETE nothing")
    assert refused.text == "…"
    cluster.settle()
    assert refused.text.startswith("ERR UNKNOWN_TOPIC kafka=3")


def test_the_same_request_is_applied_once_across_leaders(cluster: Cluster) -> None:
    old = cluster.elect()
    first = old.write(SET.format(1) + " request=r1")
    cluster.run(0.1)
    cluster.kill(old)
    new = cluster.elect()
    again = new.write(SET.format(1) + " request=r1")
    other = new.write(SET.format(2) + " request=r1")
    cluster.run(0.1)
    assert again.text == first.text
    assert other.text.startswith("ERR CONFLICT")


def test_without_a_leader_writes_and_reads_say_so(cluster: Cluster) -> None:
    leader = cluster.elect()
    one, two = cluster.others(leader)
    cluster.kill(leader)
    cluster.kill(one)
    cluster.run(1)
    write, read = two.write(SET.format(1), timeout=0.5), two.read("TOPIC LIST", timeout=0.5)
    cluster.run(1)
    for asking in (write, read):
        assert asking.text.startswith("ERR NO_LEADER")
        assert "retry=true applied=no" in asking.text


def test_a_write_that_finds_no_leader_waits_for_one(cluster: Cluster) -> None:
    leader = cluster.elect()
    one, two = cluster.others(leader)
    cluster.kill(leader)
    cluster.kill(one)
    cluster.run(1)
    write = two.write(SET.format(1))
    cluster.run(0.5)
    one.boot()
    cluster.run(3)
    assert write.text.startswith("OK")


def test_forward_false_names_the_leader_instead(cluster: Cluster) -> None:
    leader = cluster.elect()
    follower = cluster.others(leader)[0]
    asking = follower.write(SET.format(1) + " forward=false")
    assert asking.text.startswith("ERR NOT_LEADER")
    assert f"leader={leader.id}" in asking.text
    assert f"127.0.0.1:{7200 + leader.id}" in asking.text


def test_an_open_write_is_the_only_one_that_says_maybe(cluster: Cluster) -> None:
    leader = cluster.elect()
    for other in cluster.others(leader):
        cluster.cut |= {(leader.id, other.id), (other.id, leader.id)}
    asking = leader.write(SET.format(1), timeout=0.2)
    cluster.run(0.3)
    assert asking.text.startswith("ERR TIMEOUT")
    assert "retry=true applied=maybe" in asking.text


def test_a_forwarded_write_to_a_leader_that_hangs_is_given_up_when_another_leads(cluster: Cluster) -> None:
    old = cluster.elect()
    follower = cluster.others(old)[0]
    for other in cluster.others(old):
        cluster.cut |= {(old.id, other.id), (other.id, old.id)}
    cluster.cut.discard((follower.id, old.id))  # the question arrives, the answer never does
    asking = follower.write(SET.format(1), timeout=60)
    safe = follower.write(SET.format(2) + " request=r2", timeout=60)
    cluster.run(3)
    assert asking.text.startswith("ERR TIMEOUT")
    assert "applied=maybe" in asking.text
    assert safe.text.startswith("OK"), "with a request id it can be asked again"


def test_a_restart_keeps_what_was_answered(cluster: Cluster) -> None:
    leader = cluster.elect()
    asking = leader.write("CONFIG SET topic/x a=b", SET.format("durable"))
    cluster.run(0.1)
    assert "OK offset=" in asking.text
    for node in cluster.up():
        cluster.kill(node)
    for node in cluster.nodes.values():
        node.boot()
    leader = cluster.elect()
    for node in cluster.up():
        assert "value=durable" in node.read("CONFIG GET client-metrics/a", confirm=False).text


def test_every_node_folds_the_same_image(cluster: Cluster) -> None:
    leader = cluster.elect()
    leader.write("BROKER REGISTER 1 host=h port=1 session=60000", "BROKER HEARTBEAT 1", "TOPIC CREATE t partitions=3")
    cluster.run(3)
    leader.write("TOPIC DELETE t", SET.format(3))
    cluster.run(3)
    hashes = {node.driver.loader.image.hash for node in cluster.up()}
    assert len(hashes) == 1
    agreed = [node.driver.loader.image.hash_agreed_offset for node in cluster.up()]
    assert min(agreed) > 0, "the leader's hash came with the log and was compared"


def test_one_node_alone_leads_at_once() -> None:
    cluster = Cluster(size=1)
    [node] = cluster.up()
    assert node.driver.loader.active is not None
    asking = node.write(SET.format(1))
    assert asking.text.startswith("OK")


def test_five_nodes_go_on_after_two_deaths() -> None:
    cluster = Cluster(size=5)
    leader = cluster.elect()
    cluster.kill(leader)
    leader = cluster.elect()
    cluster.kill(leader)
    leader = cluster.elect()
    asking = leader.write(SET.format(1))
    cluster.run(0.1)
    assert asking.text.startswith("OK")
    assert leader.id != NodeId(0)


def test_more_than_the_queue_holds_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yakt.node.driver.QUEUE_MAX", 3)
    leader = cluster.elect()
    leader.holds_flushes = True
    leader.write(SET.format(0))
    assert leader.write(*[SET.format(n) for n in range(3)]).text == "…"
    assert leader.write(SET.format(9)).text.startswith("ERR OVERLOADED")


def test_what_a_lost_leader_may_have_written_says_maybe_though_it_waits_for_the_next(cluster: Cluster) -> None:
    old = cluster.elect()
    follower, third = cluster.others(old)
    written = follower.write(SET.format(1) + " request=r1", timeout=3)
    cluster.deliver(lambda _from, to: to == old.id)  # it is decided there, and on its way to the third node
    cluster.deliver(lambda _from, to: to == third.id)
    cluster.kill(old)
    cluster.kill(third)
    cluster.run(4)
    assert "ERR TIMEOUT" in written.text
    assert "applied=maybe" in written.text, "nobody leads, but somebody did"


def test_a_repeat_at_a_leader_deposed_since_does_not_say_that_nothing_was_applied(cluster: Cluster) -> None:
    old = cluster.elect()
    one, _ = cluster.others(old)
    first = old.write(SET.format(1) + " request=r1", timeout=60)
    cluster.deliver(lambda _from, to: to == one.id)  # one other has it, and will lead; its fetch does not arrive
    again = old.write(SET.format(1) + " request=r1", timeout=60)
    cluster.mail.clear()
    cluster.cut = {(old.id, node.id) for node in cluster.others(old)}
    cluster.cut |= {(node.id, old.id) for node in cluster.others(old)}
    cluster.run(10, until=lambda: len(cluster.leaders()) == 1 and cluster.leaders() != [old])
    cluster.run(1)
    told = again.text
    cluster.cut.clear()
    cluster.run(5)
    assert first.text.startswith("OK"), "the next leader had it"
    assert "applied=no" not in told, told


def test_what_a_lost_leader_may_have_written_is_not_denied_by_the_next(cluster: Cluster) -> None:
    old = cluster.elect()
    follower, third = cluster.others(old)
    written = follower.write(SET.format(1) + " request=r1", timeout=60)
    cluster.kill(old)
    cluster.time += 1
    third.driver.on_time()
    while not follower.driver._forwarded:  # until the third node leads and is asked
        assert cluster.deliver()
    [number] = follower.driver._forwarded
    follower.driver.forward_answered(number, [RefusedError("OVERLOADED", "too many", retry=True)], [0], Epoch(-1))
    follower.driver.end_turn()
    assert "ERR TIMEOUT" in written.text
    assert "applied=maybe" in written.text
