//! Which file reads and spells which API?

use bytes::Bytes;
use kacrab_protocol::generated as kafka;
use trial_model::{
    protocol::{Request, Response},
    units::NodeId,
};

use crate::{
    alter_partition, api_versions,
    book::Book,
    brokers,
    call::Call,
    configs, consumer_groups, delete_records, describe_cluster, describe_topics, elect_leaders, fetch,
    fetch_snapshot,
    frame::{self, Refused, write_answer, write_question},
    group_admin, groups, list_offsets, metadata, names, offset_for_leader_epoch, offsets, produce,
    producer_ids, quorum,
    session::FetchSession,
    topics,
    versions::{self, Listener},
};

/// What came of reading a request's frame.
#[derive(Debug)]
pub enum Asked {
    /// The node is to answer, and [`write_response`] spells it.
    Node {
        /// What the answer must repeat.
        call: Box<Call>,
        /// Who asks, if it is one of our own nodes: it says so in its client id. Nothing hangs on it.
        from: Option<NodeId>,
        /// What is asked.
        request: Request,
    },
    /// The answer is known without the node: this frame, its size before it.
    Answer(Bytes),
}

/// Reads `frame`, a request without its size.
///
/// Refuses, and then the connection is to be closed, what is malformed, an API that the listener does not
/// speak, and a version of it that is not spoken; only ApiVersions is answered in any version.
pub fn read_request(
    mut frame: Bytes,
    listener: Listener,
    session: &mut FetchSession,
    book: &Book,
) -> Result<Asked, Refused> {
    let (key, version, correlation) = frame::peek(&frame)?;
    let spoken = versions::find(listener, key).ok_or(Refused::UnknownApi { key })?;
    let mut call = Call::new(key, version, correlation);
    if version < spoken.min || version > spoken.max {
        if key == versions::API_VERSIONS {
            let message = api_versions::unsupported(listener);
            return Ok(Asked::Answer(frame::write_answer_as(&call, 0, &message)?));
        }
        return Err(Refused::UnknownVersion { key, version });
    }
    let header = frame::read_header(&mut frame)?;
    debug_assert_eq!((header.key, header.version, header.correlation), (key, version, correlation));
    let from = header.client.as_deref().and_then(node_named);
    macro_rules! message {
        // What stands behind the message is let be, as Kafka does: librdkafka 2.16 leaves three bytes there
        // when it asks for all topics.
        ($module:ident::$ty:ident) => {
            kafka::$module::$ty::read(&mut frame, version)?
        };
    }
    let request = match key {
        versions::PRODUCE => {
            Request::Produce(produce::read(message!(produce_request::ProduceRequestData), &mut call)?)
        }
        versions::FETCH => {
            match fetch::read(message!(fetch_request::FetchRequestData), &mut call, session)? {
                fetch::Read::Fetch(request) => Request::Fetch(request),
                fetch::Read::NoSession(message) => return Ok(Asked::Answer(write_answer(&call, &message)?)),
            }
        }
        versions::LIST_OFFSETS => Request::ListOffsets(list_offsets::read(
            message!(list_offsets_request::ListOffsetsRequestData),
            &mut call,
        )?),
        versions::METADATA => {
            Request::Metadata(metadata::read(message!(metadata_request::MetadataRequestData), &mut call)?)
        }
        versions::OFFSET_COMMIT => Request::OffsetCommit(offsets::read_commit(
            message!(offset_commit_request::OffsetCommitRequestData),
            &mut call,
        )),
        versions::OFFSET_FETCH => Request::OffsetFetch(offsets::read_fetch(
            &message!(offset_fetch_request::OffsetFetchRequestData),
            &mut call,
        )),
        versions::FIND_COORDINATOR => {
            match group_admin::read_find(
                &message!(find_coordinator_request::FindCoordinatorRequestData),
                &call,
            ) {
                group_admin::Read::Find(request) => Request::FindCoordinator(request),
                group_admin::Read::UnknownKind(message) => {
                    return Ok(Asked::Answer(write_answer(&call, &message)?));
                }
            }
        }
        versions::JOIN_GROUP => Request::JoinGroup(groups::read_join(
            message!(join_group_request::JoinGroupRequestData),
            &call,
            header.client.as_deref(),
        )),
        versions::HEARTBEAT => {
            Request::Heartbeat(groups::read_heartbeat(&message!(heartbeat_request::HeartbeatRequestData)))
        }
        versions::LEAVE_GROUP => Request::LeaveGroup(groups::read_leave(
            &message!(leave_group_request::LeaveGroupRequestData),
            &call,
        )),
        versions::SYNC_GROUP => {
            match groups::read_sync(message!(sync_group_request::SyncGroupRequestData), &call) {
                groups::ReadSync::Sync(request) => Request::SyncGroup(request),
                groups::ReadSync::Untyped(message) => {
                    return Ok(Asked::Answer(write_answer(&call, &message)?));
                }
            }
        }
        versions::DESCRIBE_GROUPS => Request::DescribeGroups(group_admin::read_describe(&message!(
            describe_groups_request::DescribeGroupsRequestData
        ))),
        versions::LIST_GROUPS => {
            Request::ListGroups(group_admin::read_list(&message!(list_groups_request::ListGroupsRequestData)))
        }
        versions::API_VERSIONS => {
            message!(api_versions_request::ApiVersionsRequestData);
            return Ok(Asked::Answer(write_answer(&call, &api_versions::answer(listener, version))?));
        }
        versions::CREATE_TOPICS => Request::CreateTopics(topics::read_create(
            message!(create_topics_request::CreateTopicsRequestData),
            &mut call,
        )?),
        versions::DELETE_TOPICS => Request::DeleteTopics(topics::read_delete(
            message!(delete_topics_request::DeleteTopicsRequestData),
            &mut call,
        )?),
        versions::DELETE_RECORDS => Request::DeleteRecords(delete_records::read(
            message!(delete_records_request::DeleteRecordsRequestData),
            &mut call,
        )?),
        versions::INIT_PRODUCER_ID => {
            match producer_ids::read(message!(init_producer_id_request::InitProducerIdRequestData)) {
                producer_ids::Read::Init(request) => Request::InitProducerId(request),
                producer_ids::Read::NoTransactions(message) => {
                    return Ok(Asked::Answer(write_answer(&call, &message)?));
                }
            }
        }
        versions::OFFSET_FOR_LEADER_EPOCH => Request::OffsetForLeaderEpoch(offset_for_leader_epoch::read(
            message!(offset_for_leader_epoch_request::OffsetForLeaderEpochRequestData),
            &mut call,
        )?),
        versions::DESCRIBE_CONFIGS => Request::DescribeConfigs(configs::read_describe(
            message!(describe_configs_request::DescribeConfigsRequestData),
            &mut call,
        )),
        versions::ALTER_CONFIGS => Request::AlterConfigs(configs::read_alter(
            message!(alter_configs_request::AlterConfigsRequestData),
            &mut call,
        )),
        versions::INCREMENTAL_ALTER_CONFIGS => Request::IncrementalAlterConfigs(configs::read_change(
            message!(incremental_alter_configs_request::IncrementalAlterConfigsRequestData),
            &mut call,
        )),
        versions::CREATE_PARTITIONS => Request::CreatePartitions(topics::read_grow(
            message!(create_partitions_request::CreatePartitionsRequestData),
            &mut call,
        )?),
        versions::DELETE_GROUPS => Request::DeleteGroups(group_admin::read_delete(&message!(
            delete_groups_request::DeleteGroupsRequestData
        ))),
        versions::ELECT_LEADERS => {
            match elect_leaders::read(message!(elect_leaders_request::ElectLeadersRequestData), &mut call) {
                elect_leaders::Read::Elect(request) => Request::ElectLeaders(request),
                elect_leaders::Read::UnknownKind(message) => {
                    return Ok(Asked::Answer(write_answer(&call, &message)?));
                }
            }
        }
        versions::OFFSET_DELETE => Request::OffsetDelete(offsets::read_delete(&message!(
            offset_delete_request::OffsetDeleteRequestData
        ))),
        versions::VOTE => Request::Vote(quorum::read_vote(message!(vote_request::VoteRequestData))?),
        versions::BEGIN_QUORUM_EPOCH => Request::BeginQuorumEpoch(quorum::read_begin(message!(
            begin_quorum_epoch_request::BeginQuorumEpochRequestData
        ))?),
        versions::END_QUORUM_EPOCH => Request::EndQuorumEpoch(quorum::read_end(message!(
            end_quorum_epoch_request::EndQuorumEpochRequestData
        ))?),
        versions::DESCRIBE_QUORUM => {
            message!(describe_quorum_request::DescribeQuorumRequestData);
            Request::DescribeQuorum(trial_model::protocol::quorum::DescribeQuorumRequest {})
        }
        versions::ALTER_PARTITION => Request::AlterPartition(alter_partition::read(
            message!(alter_partition_request::AlterPartitionRequestData),
            &mut call,
        )?),
        versions::FETCH_SNAPSHOT => Request::FetchSnapshot(fetch_snapshot::read(message!(
            fetch_snapshot_request::FetchSnapshotRequestData
        ))?),
        versions::DESCRIBE_CLUSTER => Request::Metadata(describe_cluster::read(
            message!(describe_cluster_request::DescribeClusterRequestData),
            &mut call,
        )),
        versions::BROKER_REGISTRATION => {
            match brokers::read(message!(broker_registration_request::BrokerRegistrationRequestData), book)? {
                brokers::Read::Registration(request) => Request::BrokerRegistration(request),
                brokers::Read::OtherCluster(message) => {
                    return Ok(Asked::Answer(write_answer(&call, &message)?));
                }
            }
        }
        versions::BROKER_HEARTBEAT => Request::BrokerHeartbeat(brokers::read_heartbeat(message!(
            broker_heartbeat_request::BrokerHeartbeatRequestData
        ))?),
        versions::ALLOCATE_PRODUCER_IDS => Request::AllocateProducerIds(producer_ids::read_allocate(
            message!(allocate_producer_ids_request::AllocateProducerIdsRequestData),
        )?),
        versions::CONSUMER_GROUP_HEARTBEAT => {
            match consumer_groups::read_heartbeat(
                &message!(consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequestData),
                &mut call,
                header.client.as_deref(),
            ) {
                consumer_groups::Read::Heartbeat(request) => Request::ConsumerGroupHeartbeat(request),
                consumer_groups::Read::Nameless(message) => {
                    return Ok(Asked::Answer(write_answer(&call, &message)?));
                }
            }
        }
        versions::CONSUMER_GROUP_DESCRIBE => Request::ConsumerGroupDescribe(consumer_groups::read_describe(
            &message!(consumer_group_describe_request::ConsumerGroupDescribeRequestData),
        )),
        versions::DESCRIBE_TOPIC_PARTITIONS => Request::DescribeTopicPartitions(describe_topics::read(
            message!(describe_topic_partitions_request::DescribeTopicPartitionsRequestData),
            &mut call,
        )?),
        _ => return Err(Refused::UnknownApi { key }),
    };
    Ok(Asked::Node { call: Box::new(call), from, request })
}

/// The node of a name such as `broker-2`.
fn node_named(name: &str) -> Option<NodeId> {
    let (role, nth) = name.rsplit_once('-')?;
    let nth = nth.parse().ok().filter(|nth| (1..10_000).contains(nth))?;
    match role {
        "broker" => Some(NodeId::broker(nth)),
        "controller" => Some(NodeId::controller(nth)),
        _ => None,
    }
}

/// Spells the answer to `call`, its size before it.
///
/// Refuses an answer to another API than was asked, and one that does not fit into a frame.
pub fn write_response(call: &Call, response: &Response, book: &Book) -> Result<Bytes, Refused> {
    match (call.key, response) {
        (versions::PRODUCE, Response::Produce(r)) => write_answer(call, &produce::answer(r, call, book)),
        (versions::FETCH, Response::Fetch(r)) => write_answer(call, &fetch::answer(r, call, book)),
        (versions::LIST_OFFSETS, Response::ListOffsets(r)) => {
            write_answer(call, &list_offsets::answer(r, call))
        }
        (versions::METADATA, Response::Metadata(r)) => write_answer(call, &metadata::answer(r, call, book)),
        (versions::DESCRIBE_CLUSTER, Response::Metadata(r)) => {
            write_answer(call, &describe_cluster::answer(r, call, book))
        }
        (versions::OFFSET_COMMIT, Response::OffsetCommit(r)) => {
            write_answer(call, &offsets::answer_commit(r, call))
        }
        (versions::OFFSET_FETCH, Response::OffsetFetch(r)) => {
            write_answer(call, &offsets::answer_fetch(r, call))
        }
        (versions::FIND_COORDINATOR, Response::FindCoordinator(r)) => {
            write_answer(call, &group_admin::answer_find(r, call, book))
        }
        (versions::JOIN_GROUP, Response::JoinGroup(r)) => write_answer(call, &groups::answer_join(r, call)),
        (versions::HEARTBEAT, Response::Heartbeat(r)) => write_answer(call, &groups::answer_heartbeat(*r)),
        (versions::LEAVE_GROUP, Response::LeaveGroup(r)) => {
            write_answer(call, &groups::answer_leave(r, call))
        }
        (versions::SYNC_GROUP, Response::SyncGroup(r)) => write_answer(call, &groups::answer_sync(r)),
        (versions::DESCRIBE_GROUPS, Response::DescribeGroups(r)) => {
            write_answer(call, &group_admin::answer_describe(r, call))
        }
        (versions::LIST_GROUPS, Response::ListGroups(r)) => write_answer(call, &group_admin::answer_list(r)),
        (versions::CREATE_TOPICS, Response::CreateTopics(r)) => {
            write_answer(call, &topics::answer_create(r, call))
        }
        (versions::DELETE_TOPICS, Response::DeleteTopics(r)) => {
            write_answer(call, &topics::answer_delete(r, call))
        }
        (versions::DELETE_RECORDS, Response::DeleteRecords(r)) => {
            write_answer(call, &delete_records::answer(r, call))
        }
        (versions::INIT_PRODUCER_ID, Response::InitProducerId(r)) => {
            write_answer(call, &producer_ids::answer(r))
        }
        (versions::OFFSET_FOR_LEADER_EPOCH, Response::OffsetForLeaderEpoch(r)) => {
            write_answer(call, &offset_for_leader_epoch::answer(r, call))
        }
        (versions::DESCRIBE_CONFIGS, Response::DescribeConfigs(r)) => {
            write_answer(call, &configs::answer_describe(r, call))
        }
        (versions::ALTER_CONFIGS, Response::AlterConfigs(r)) => {
            write_answer(call, &configs::answer_alter(r, call))
        }
        (versions::INCREMENTAL_ALTER_CONFIGS, Response::IncrementalAlterConfigs(r)) => {
            write_answer(call, &configs::answer_change(r, call))
        }
        (versions::CREATE_PARTITIONS, Response::CreatePartitions(r)) => {
            write_answer(call, &topics::answer_grow(r, call))
        }
        (versions::DELETE_GROUPS, Response::DeleteGroups(r)) => {
            write_answer(call, &group_admin::answer_delete(r))
        }
        (versions::ELECT_LEADERS, Response::ElectLeaders(r)) => {
            write_answer(call, &elect_leaders::answer(r, call))
        }
        (versions::OFFSET_DELETE, Response::OffsetDelete(r)) => {
            write_answer(call, &offsets::answer_delete(r))
        }
        (versions::VOTE, Response::Vote(r)) => write_answer(call, &quorum::answer_vote(r)),
        (versions::BEGIN_QUORUM_EPOCH, Response::BeginQuorumEpoch(r)) => {
            write_answer(call, &quorum::answer_begin(r))
        }
        (versions::END_QUORUM_EPOCH, Response::EndQuorumEpoch(r)) => {
            write_answer(call, &quorum::answer_end(r))
        }
        (versions::DESCRIBE_QUORUM, Response::DescribeQuorum(r)) => {
            write_answer(call, &quorum::answer_describe(r, call.version, book))
        }
        (versions::ALTER_PARTITION, Response::AlterPartition(r)) => {
            write_answer(call, &alter_partition::answer(r, call))
        }
        (versions::FETCH_SNAPSHOT, Response::FetchSnapshot(r)) => {
            write_answer(call, &fetch_snapshot::answer(r))
        }
        (versions::BROKER_REGISTRATION, Response::BrokerRegistration(r)) => {
            write_answer(call, &brokers::answer(r))
        }
        (versions::BROKER_HEARTBEAT, Response::BrokerHeartbeat(r)) => {
            write_answer(call, &brokers::answer_heartbeat(r))
        }
        (versions::ALLOCATE_PRODUCER_IDS, Response::AllocateProducerIds(r)) => {
            write_answer(call, &producer_ids::answer_allocate(r))
        }
        (versions::CONSUMER_GROUP_HEARTBEAT, Response::ConsumerGroupHeartbeat(r)) => {
            write_answer(call, &consumer_groups::answer_heartbeat(r, call))
        }
        (versions::CONSUMER_GROUP_DESCRIBE, Response::ConsumerGroupDescribe(r)) => {
            write_answer(call, &consumer_groups::answer_describe(r, call))
        }
        (versions::DESCRIBE_TOPIC_PARTITIONS, Response::DescribeTopicPartitions(r)) => {
            write_answer(call, &describe_topics::answer(r, call))
        }
        _ => Err(Refused::Unspeakable),
    }
}

/// Spells a request of the node `from` under the frame number `correlation`, its size before it; in
/// `version`, or in the one that our nodes use among themselves; in the last that has names for topics that are named.
///
/// What the version has no field for is left out. Refuses an API that is not spoken on the wire, and a topic that is to be
/// named and whose name nobody has told the book.
pub fn write_request(
    from: NodeId,
    correlation: i32,
    request: &Request,
    version: Option<i16>,
    session: &mut FetchSession,
    book: &Book,
) -> Result<(Bytes, Call), Refused> {
    let key = request.api().code();
    let version = version.or_else(|| match request {
        // What has ids alone is for our own producers.
        Request::Produce(r) if produce::names_topics(r) => {
            versions::find(Listener::Broker, key).map(|spoken| spoken.last_shown)
        }
        _ => versions::between_nodes(key),
    });
    let version = version.ok_or(Refused::UnknownApi { key })?;
    let mut call = Call::new(key, version, correlation);
    let named = names::named(request, &book.names, &mut call)?;
    let request = named.as_ref().unwrap_or(request);
    let name = match request {
        // Members' ids are made of it, and operators know them by it.
        Request::JoinGroup(r) => r.client.to_string(),
        Request::ConsumerGroupHeartbeat(r) => r.client.to_string(),
        _ => from.to_string(),
    };
    macro_rules! frame {
        ($message:expr) => {{
            let message = $message;
            write_question(&call, &name, &message)?
        }};
    }
    let frame = match request {
        Request::Produce(r) => frame!(produce::spell(r, &call)),
        Request::Fetch(r) => frame!(fetch::spell(r, &call, session)),
        Request::ListOffsets(r) => frame!(list_offsets::spell(r, &call)),
        Request::Metadata(r) => frame!(metadata::spell(r, &call)),
        Request::OffsetCommit(r) => frame!(offsets::spell_commit(r, &call)),
        Request::OffsetFetch(r) => frame!(offsets::spell_fetch(r, &call)),
        Request::FindCoordinator(r) => frame!(group_admin::spell_find(r, &call)),
        Request::JoinGroup(r) => frame!(groups::spell_join(r, &call)),
        Request::Heartbeat(r) => frame!(groups::spell_heartbeat(r, &call)),
        Request::LeaveGroup(r) => frame!(groups::spell_leave(r, &call)),
        Request::SyncGroup(r) => frame!(groups::spell_sync(r, &call)),
        Request::DescribeGroups(r) => frame!(group_admin::spell_describe(r)),
        Request::ListGroups(r) => frame!(group_admin::spell_list(r, &call)),
        Request::CreateTopics(r) => frame!(topics::spell_create(r)),
        Request::DeleteTopics(r) => frame!(topics::spell_delete(r, &call)),
        Request::DeleteRecords(r) => frame!(delete_records::spell(r, &call)),
        Request::InitProducerId(r) => frame!(producer_ids::spell(r, &call)),
        Request::OffsetForLeaderEpoch(r) => frame!(offset_for_leader_epoch::spell(r, &call)),
        Request::DescribeConfigs(r) => frame!(configs::spell_describe(r)),
        Request::AlterConfigs(r) => frame!(configs::spell_alter(r)),
        Request::IncrementalAlterConfigs(r) => frame!(configs::spell_change(r)),
        Request::CreatePartitions(r) => frame!(topics::spell_grow(r)),
        Request::DeleteGroups(r) => frame!(group_admin::spell_delete(r)),
        Request::ElectLeaders(r) => frame!(elect_leaders::spell(r)),
        Request::OffsetDelete(r) => frame!(offsets::spell_delete(r)),
        Request::Vote(r) => frame!(quorum::spell_vote(r, version, book)),
        Request::BeginQuorumEpoch(r) => frame!(quorum::spell_begin(r, book)),
        Request::EndQuorumEpoch(r) => frame!(quorum::spell_end(r, version, book)),
        Request::DescribeQuorum(r) => frame!(quorum::spell_describe(r)),
        Request::AlterPartition(r) => frame!(alter_partition::spell(r, &call)),
        Request::FetchSnapshot(r) => frame!(fetch_snapshot::spell(r, book)),
        Request::BrokerRegistration(r) => frame!(brokers::spell(r, &call, book)),
        Request::BrokerHeartbeat(r) => frame!(brokers::spell_heartbeat(r)),
        Request::AllocateProducerIds(r) => frame!(producer_ids::spell_allocate(r)),
        Request::ConsumerGroupHeartbeat(r) => frame!(consumer_groups::spell_heartbeat(r, &call)),
        Request::ConsumerGroupDescribe(r) => frame!(consumer_groups::spell_describe(r)),
        Request::DescribeTopicPartitions(r) => frame!(describe_topics::spell(r)),
    };
    Ok((frame, call))
}

/// Reads `frame`, the answer to `call` without its size.
///
/// Refuses, and then the connection is of no more use, what is malformed or answers another request.
pub fn read_response(
    call: &mut Call,
    mut frame: Bytes,
    session: &mut FetchSession,
) -> Result<Response, Refused> {
    frame::read_answer_header(call, &mut frame)?;
    let version = call.version;
    macro_rules! message {
        ($module:ident::$ty:ident) => {
            kafka::$module::$ty::read(&mut frame, version)?
        };
    }
    let mut response = match call.key {
        versions::PRODUCE => {
            Response::Produce(produce::read_answer(message!(produce_response::ProduceResponseData), call)?)
        }
        versions::FETCH => {
            Response::Fetch(fetch::read_answer(message!(fetch_response::FetchResponseData), call, session)?)
        }
        versions::LIST_OFFSETS => Response::ListOffsets(list_offsets::read_answer(message!(
            list_offsets_response::ListOffsetsResponseData
        ))?),
        versions::METADATA => Response::Metadata(metadata::read_answer(
            message!(metadata_response::MetadataResponseData),
            call,
        )?),
        versions::OFFSET_COMMIT => Response::OffsetCommit(offsets::read_commit_answer(&message!(
            offset_commit_response::OffsetCommitResponseData
        ))),
        versions::OFFSET_FETCH => Response::OffsetFetch(offsets::read_fetch_answer(
            &message!(offset_fetch_response::OffsetFetchResponseData),
            call,
        )),
        versions::FIND_COORDINATOR => Response::FindCoordinator(group_admin::read_find_answer(
            &message!(find_coordinator_response::FindCoordinatorResponseData),
            call,
        )?),
        versions::JOIN_GROUP => Response::JoinGroup(groups::read_join_answer(
            message!(join_group_response::JoinGroupResponseData),
            call,
        )),
        versions::HEARTBEAT => Response::Heartbeat(groups::read_heartbeat_answer(&message!(
            heartbeat_response::HeartbeatResponseData
        ))),
        versions::LEAVE_GROUP => Response::LeaveGroup(groups::read_leave_answer(&message!(
            leave_group_response::LeaveGroupResponseData
        ))),
        versions::SYNC_GROUP => Response::SyncGroup(groups::read_sync_answer(message!(
            sync_group_response::SyncGroupResponseData
        ))),
        versions::DESCRIBE_GROUPS => Response::DescribeGroups(group_admin::read_describe_answer(message!(
            describe_groups_response::DescribeGroupsResponseData
        ))),
        versions::LIST_GROUPS => Response::ListGroups(group_admin::read_list_answer(&message!(
            list_groups_response::ListGroupsResponseData
        ))),
        versions::CREATE_TOPICS => Response::CreateTopics(topics::read_create_answer(
            message!(create_topics_response::CreateTopicsResponseData),
            call,
        )?),
        versions::DELETE_TOPICS => Response::DeleteTopics(topics::read_delete_answer(message!(
            delete_topics_response::DeleteTopicsResponseData
        ))?),
        versions::DELETE_RECORDS => Response::DeleteRecords(delete_records::read_answer(message!(
            delete_records_response::DeleteRecordsResponseData
        ))?),
        versions::INIT_PRODUCER_ID => Response::InitProducerId(producer_ids::read_answer(message!(
            init_producer_id_response::InitProducerIdResponseData
        ))?),
        versions::OFFSET_FOR_LEADER_EPOCH => {
            Response::OffsetForLeaderEpoch(offset_for_leader_epoch::read_answer(message!(
                offset_for_leader_epoch_response::OffsetForLeaderEpochResponseData
            ))?)
        }
        versions::DESCRIBE_CONFIGS => Response::DescribeConfigs(configs::read_describe_answer(message!(
            describe_configs_response::DescribeConfigsResponseData
        ))?),
        versions::ALTER_CONFIGS => Response::AlterConfigs(configs::read_alter_answer(&message!(
            alter_configs_response::AlterConfigsResponseData
        ))?),
        versions::INCREMENTAL_ALTER_CONFIGS => {
            Response::IncrementalAlterConfigs(configs::read_change_answer(&message!(
                incremental_alter_configs_response::IncrementalAlterConfigsResponseData
            ))?)
        }
        versions::CREATE_PARTITIONS => Response::CreatePartitions(topics::read_grow_answer(message!(
            create_partitions_response::CreatePartitionsResponseData
        ))?),
        versions::DELETE_GROUPS => Response::DeleteGroups(group_admin::read_delete_answer(&message!(
            delete_groups_response::DeleteGroupsResponseData
        ))),
        versions::ELECT_LEADERS => Response::ElectLeaders(elect_leaders::read_answer(message!(
            elect_leaders_response::ElectLeadersResponseData
        ))),
        versions::OFFSET_DELETE => Response::OffsetDelete(offsets::read_delete_answer(&message!(
            offset_delete_response::OffsetDeleteResponseData
        ))),
        versions::VOTE => {
            Response::Vote(quorum::read_vote_answer(message!(vote_response::VoteResponseData))?)
        }
        versions::BEGIN_QUORUM_EPOCH => Response::BeginQuorumEpoch(quorum::read_begin_answer(message!(
            begin_quorum_epoch_response::BeginQuorumEpochResponseData
        ))?),
        versions::END_QUORUM_EPOCH => Response::EndQuorumEpoch(quorum::read_end_answer(message!(
            end_quorum_epoch_response::EndQuorumEpochResponseData
        ))?),
        versions::DESCRIBE_QUORUM => Response::DescribeQuorum(quorum::read_describe_answer(message!(
            describe_quorum_response::DescribeQuorumResponseData
        ))?),
        versions::ALTER_PARTITION => Response::AlterPartition(alter_partition::read_answer(
            message!(alter_partition_response::AlterPartitionResponseData),
            call,
        )?),
        versions::FETCH_SNAPSHOT => Response::FetchSnapshot(fetch_snapshot::read_answer(message!(
            fetch_snapshot_response::FetchSnapshotResponseData
        ))?),
        versions::BROKER_REGISTRATION => Response::BrokerRegistration(brokers::read_answer(message!(
            broker_registration_response::BrokerRegistrationResponseData
        ))?),
        versions::BROKER_HEARTBEAT => Response::BrokerHeartbeat(brokers::read_heartbeat_answer(message!(
            broker_heartbeat_response::BrokerHeartbeatResponseData
        ))?),
        versions::ALLOCATE_PRODUCER_IDS => Response::AllocateProducerIds(producer_ids::read_allocate_answer(
            message!(allocate_producer_ids_response::AllocateProducerIdsResponseData),
        )?),
        versions::CONSUMER_GROUP_HEARTBEAT => {
            Response::ConsumerGroupHeartbeat(consumer_groups::read_heartbeat_answer(
                &message!(consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponseData),
                call,
            ))
        }
        versions::CONSUMER_GROUP_DESCRIBE => {
            Response::ConsumerGroupDescribe(consumer_groups::read_describe_answer(
                &message!(consumer_group_describe_response::ConsumerGroupDescribeResponseData),
                call,
            ))
        }
        versions::DESCRIBE_TOPIC_PARTITIONS => {
            Response::DescribeTopicPartitions(describe_topics::read_answer(
                message!(describe_topic_partitions_response::DescribeTopicPartitionsResponseData),
                call,
            )?)
        }
        _ => return Err(Refused::Unspeakable),
    };
    names::identified(&mut response, call);
    Ok(response)
}
