"""`decide`: from a command and the latest state to records and an answer; the stamp brings ids, times, chance."""

from collections.abc import Callable
from typing import Any

from yakt.metadata import (
    acl_control,
    assignment_control,
    broker_control,
    config_alteration,
    config_control,
    feature_control,
    partition_control,
    producer_control,
    quota_control,
    refusals,
    scram_control,
    token_control,
    topic_control,
)
from yakt.metadata import commands as c
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.state import State

Decide = Callable[[State, Any, Stamp], Decision]

DECIDE: dict[type, Decide] = {
    c.SetConfigs: config_control.set_configs,
    c.DeleteConfigs: config_control.delete_configs,
    c.HeartbeatBroker: broker_control.heartbeat,
    c.CreateTopic: topic_control.create,
    c.DeleteTopic: topic_control.delete,
    c.AddPartitions: topic_control.add_partitions,
    c.CreatePartition: assignment_control.create,
    c.DeletePartition: assignment_control.delete,
    c.ReassignPartition: assignment_control.reassign,
    c.CancelReassignment: assignment_control.cancel,
    c.ElectLeader: partition_control.elect,
    c.AlterIsr: partition_control.alter_isr,
    c.AlterPartitions: partition_control.alter,
    c.AssignDirectories: partition_control.assign_directories,
    c.AlterConfigs: config_alteration.alter,
    c.AlterQuota: quota_control.alter,
    c.DeleteQuotas: quota_control.delete,
    c.SetScramCredential: scram_control.set_password,
    c.UpsertScramCredential: scram_control.upsert,
    c.DeleteScramCredentials: scram_control.delete,
    c.AddAcls: acl_control.add,
    c.DeleteAcls: acl_control.delete,
    c.DeleteToken: token_control.delete,
    c.SetFeatures: feature_control.set_levels,
    c.RegisterBroker: broker_control.register,
    c.RegisterKafkaBroker: broker_control.register_kafka,
    c.ChangeBroker: broker_control.change,
    c.UnregisterBroker: broker_control.unregister,
    c.FenceBroker: broker_control.fence,
    c.AllocateProducerIds: producer_control.allocate,
    c.RegisterProducer: producer_control.register,
    c.DeleteProducer: producer_control.delete,
}


def decide(state: State, command: c.Command, stamp: Stamp) -> Decision:
    """The records that carry out `command` on `state`, which is left as it is. Raises RefusedError."""
    return DECIDE[type(command)](state, command, stamp)


def check_unchanged(state: State, command: c.Command, if_offset: int) -> None:
    """`if-offset=`. Raises RefusedError (CONFLICT) if what the command is about changed at or after `if_offset`."""
    changed: int | None = None
    what = ""
    match command:
        case c.SetConfigs(entity=entity) | c.DeleteConfigs(entity=entity) | c.AlterConfigs(entity=entity):
            what = f"{entity.kind}/{entity.name}"
            changed = state.configs.changed_offset(config_control.resource_of(entity))
        case (
            c.CreateTopic(name=name)
            | c.DeleteTopic(name=name)
            | c.AddPartitions(topic=name)
            | c.CreatePartition(topic=name)
            | c.DeletePartition(topic=name)
            | c.ReassignPartition(topic=name)
            | c.CancelReassignment(topic=name)
            | c.ElectLeader(topic=name)
            | c.AlterIsr(topic=name)
        ):
            what = f"topic/{name}"
            changed = state.topic_changed_offset(name)
        case (
            c.RegisterBroker(id=broker_id)
            | c.RegisterKafkaBroker(id=broker_id)
            | c.ChangeBroker(id=broker_id)
            | c.UnregisterBroker(id=broker_id)
            | c.FenceBroker(id=broker_id)
            | c.HeartbeatBroker(id=broker_id)
        ):
            what = f"broker/{broker_id}"
            changed = state.brokers.changed_offset(broker_id)
        case c.SetFeatures(changes=changes):
            what = "a feature's level"
            offsets = (state.features.changed_offset(change.name) for change in changes)
            changed = max((offset for offset in offsets if offset is not None), default=None)
        case c.AllocateProducerIds():
            what = "the next block of producer ids"
            changed = state.next_producer_id.changed_offset(0)
        case c.RegisterProducer(producer=producer_id) | c.DeleteProducer(id=producer_id):
            what = f"producer {producer_id}"
            if producer_id is not None:
                changed = state.producers.changed_offset(producer_id)
        case c.AlterQuota(entity=quota_entity) | c.DeleteQuotas(entity=quota_entity):
            what = "a quota of that entity"
            changed = quota_control.changed_offset(state, quota_entity)
        case (
            c.SetScramCredential(user=user, mechanism=mechanism)
            | c.UpsertScramCredential(user=user, mechanism=mechanism)
            | c.DeleteScramCredentials(user=user, mechanism=mechanism)
        ):
            what = f"a credential of {user}"
            changed = scram_control.changed_offset(state, user, mechanism)
        case c.AddAcls() | c.DeleteAcls():
            what = "the list of ACLs"
            changed = state.acls.newest_offset()
        case c.DeleteToken(id=token_id):
            what = f"token {token_id}"
            changed = state.tokens.changed_offset(token_id)
    if changed is not None and changed >= if_offset:
        raise refusals.conflict(f"{what} changed at offset {changed}", changed=changed)
