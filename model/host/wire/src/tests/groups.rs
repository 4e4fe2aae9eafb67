//! Groups on the wire: one of each, and what each version says and leaves out.

use std::sync::Arc;

use trial_model::protocol::{NamedPartition, consumer_group::*, group_admin::*, groups::*, offsets::*};

use super::*;

fn at(topic: &str, partition: u32) -> NamedPartition {
    NamedPartition { topic: topic.into(), partition }
}

fn committed(offset: u64) -> CommittedOffset {
    CommittedOffset { offset: Offset(offset), epoch: Some(E3), metadata: "why".into() }
}

fn wanted(group: &str) -> GroupOffsetsWanted {
    GroupOffsetsWanted { group: group.into(), member: None, epoch: NO_GENERATION, partitions: None }
}

fn join() -> JoinGroupRequest {
    JoinGroupRequest {
        group: "g".into(),
        session_timeout: MS(45_000),
        rebalance_timeout: MS(300_000),
        member: "m1".into(),
        instance: Some("i1".into()),
        protocol_type: "consumer".into(),
        protocols: vec![
            GroupProtocol { name: "range".into(), metadata: Bytes::from_static(b"orders") },
            GroupProtocol { name: "roundrobin".into(), metadata: Bytes::new() },
        ],
        client: "broker-1".into(),
        id_first: true,
        may_skip_assignment: true,
    }
}

fn sync() -> SyncGroupRequest {
    SyncGroupRequest {
        group: "g".into(),
        generation: 4,
        member: "m1".into(),
        instance: Some("i1".into()),
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignments: vec![("m1".into(), Bytes::from_static(b"0")), ("m2".into(), Bytes::from_static(b"1"))],
    }
}

/// A heartbeat that says everything.
fn beat() -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest {
        group: "g".into(),
        member: "m1".into(),
        epoch: 4,
        client: "broker-1".into(),
        instance: Some("i1".into()),
        rack: Some("r1".into()),
        rebalance_timeout: Some(MS(300_000)),
        topics: Some(vec!["a".into(), "b".into()]),
        pattern: Some("or.*".into()),
        assignor: Some("uniform".into()),
        owned: Some(vec![(TopicId(9), vec![0, 2]), (TopicId(11), vec![1])]),
    }
}

fn leaving(member: &str, instance: Option<&str>) -> LeavingMember {
    LeavingMember { member: member.into(), instance: instance.map(Into::into) }
}

pub(super) fn requests() -> Vec<Request> {
    vec![
        Request::OffsetCommit(OffsetCommitRequest {
            group: "g".into(),
            generation: 4,
            member: "m1".into(),
            instance: Some("i1".into()),
            offsets: vec![
                (at("a", 0), committed(7)),
                (at("a", 1), CommittedOffset { epoch: None, metadata: "".into(), ..committed(0) }),
                (at("b", 0), committed(9)),
            ],
        }),
        Request::OffsetFetch(OffsetFetchRequest {
            groups: vec![
                GroupOffsetsWanted {
                    member: Some("m1".into()),
                    epoch: 4,
                    partitions: Some(vec![at("a", 0), at("a", 1), at("b", 0)]),
                    ..wanted("g")
                },
                wanted("h"),
            ],
            require_stable: true,
        }),
        Request::FindCoordinator(FindCoordinatorRequest {
            kind: CoordinatorKind::Transaction,
            keys: vec!["g".into(), "h".into()],
        }),
        Request::JoinGroup(join()),
        Request::Heartbeat(HeartbeatRequest {
            group: "g".into(),
            generation: 4,
            member: "m1".into(),
            instance: Some("i1".into()),
        }),
        Request::LeaveGroup(LeaveGroupRequest {
            group: "g".into(),
            members: vec![leaving("m1", None), leaving("", Some("i2"))],
        }),
        Request::SyncGroup(sync()),
        Request::DescribeGroups(DescribeGroupsRequest { groups: vec!["g".into(), "h".into()] }),
        Request::ListGroups(ListGroupsRequest {
            states: vec!["stable".into(), "no such state".into()],
            types: vec!["classic".into()],
        }),
        Request::DeleteGroups(DeleteGroupsRequest { groups: vec!["g".into(), "h".into()] }),
        Request::OffsetDelete(OffsetDeleteRequest {
            group: "g".into(),
            partitions: vec![at("a", 0), at("a", 1), at("b", 0)],
        }),
        Request::ConsumerGroupHeartbeat(beat()),
        Request::ConsumerGroupDescribe(ConsumerGroupDescribeRequest { groups: vec!["g".into(), "h".into()] }),
    ]
}

fn joined() -> JoinGroupResponse {
    let member = |member: &str, instance: Option<&str>| JoinedMember {
        member: member.into(),
        instance: instance.map(Into::into),
        metadata: Bytes::from_static(b"orders"),
    };
    JoinGroupResponse {
        error: None,
        generation: 4,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        leader: "m1".into(),
        skip_assignment: true,
        member: "m1".into(),
        members: vec![member("m1", Some("i1")), member("m2", None)],
    }
}

/// A member of a KIP-848 group of which everything is known.
fn consumer_member() -> ConsumerGroupMember {
    ConsumerGroupMember {
        member: "m1".into(),
        instance: Some("i1".into()),
        epoch: 4,
        client: "c".into(),
        host: "/127.0.0.1".into(),
        rack: Some("r1".into()),
        topics: vec!["a".into(), "b".into()],
        pattern: Some("or.*".into()),
        assignment: vec![(TopicId(9), "a".into(), vec![0, 2])],
        target: vec![(TopicId(9), "a".into(), vec![0]), (TopicId(11), "b".into(), vec![1])],
        classic: true,
    }
}

fn consumer_group(group: &str, error: Option<ErrorCode>) -> ConsumerGroupDescription {
    ConsumerGroupDescription {
        group: group.into(),
        error,
        state: "",
        epoch: 0,
        assignment_epoch: 0,
        assignor: "".into(),
        members: Vec::new(),
    }
}

fn described(group: &str, state: &'static str) -> DescribedGroup {
    let (protocol_type, protocol): (Arc<str>, Arc<str>) = ("consumer".into(), "range".into());
    DescribedGroup { group: group.into(), error: None, state, protocol_type, protocol, members: Vec::new() }
}

pub(super) fn responses() -> Vec<Response> {
    let not_here = ErrorCode::NotCoordinator;
    vec![
        Response::OffsetCommit(OffsetCommitResponse {
            partitions: vec![
                (at("a", 0), None),
                (at("a", 1), Some(ErrorCode::OffsetMetadataTooLarge)),
                (at("b", 0), None),
            ],
        }),
        Response::OffsetFetch(OffsetFetchResponse {
            groups: vec![
                GroupOffsets {
                    group: "g".into(),
                    error: None,
                    partitions: vec![
                        (at("a", 0), Ok(Some(committed(7)))),
                        (at("a", 1), Ok(None)),
                        (at("b", 0), Err(ErrorCode::UnstableOffsetCommit)),
                    ],
                },
                GroupOffsets { group: "h".into(), error: Some(not_here), partitions: Vec::new() },
            ],
        }),
        Response::FindCoordinator(FindCoordinatorResponse {
            coordinators: vec![("g".into(), Ok(B1)), ("h".into(), Err(ErrorCode::CoordinatorNotAvailable))],
        }),
        Response::JoinGroup(joined()),
        Response::Heartbeat(HeartbeatResponse { error: Some(ErrorCode::RebalanceInProgress) }),
        Response::LeaveGroup(LeaveGroupResponse {
            error: None,
            members: vec![
                (leaving("m1", None), Some(ErrorCode::UnknownMemberId)),
                (leaving("", Some("i2")), None),
            ],
        }),
        Response::SyncGroup(SyncGroupResponse {
            error: None,
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            assignment: Bytes::from_static(b"0"),
        }),
        Response::DescribeGroups(DescribeGroupsResponse {
            groups: vec![
                DescribedGroup {
                    members: vec![DescribedMember {
                        member: "m1".into(),
                        instance: Some("i1".into()),
                        client: "c".into(),
                        host: "/127.0.0.1".into(),
                        metadata: Bytes::from_static(b"orders"),
                        assignment: Bytes::from_static(b"0"),
                    }],
                    ..described("g", "Stable")
                },
                described("h", "Dead"),
                DescribedGroup { error: Some(not_here), ..described("i", "") },
            ],
        }),
        Response::ListGroups(ListGroupsResponse {
            error: Some(ErrorCode::CoordinatorLoadInProgress),
            groups: vec![ListedGroup {
                group: "g".into(),
                protocol_type: "consumer".into(),
                state: "Empty",
                kind: "classic",
            }],
        }),
        Response::DeleteGroups(DeleteGroupsResponse {
            groups: vec![("g".into(), None), ("h".into(), Some(ErrorCode::NonEmptyGroup))],
        }),
        Response::OffsetDelete(OffsetDeleteResponse {
            error: None,
            partitions: vec![
                (at("a", 0), None),
                (at("a", 1), Some(ErrorCode::GroupSubscribedToTopic)),
                (at("b", 0), None),
            ],
        }),
        Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse {
            error: None,
            member: Some("m1".into()),
            epoch: 5,
            interval: MS(5_000),
            assignment: Some(vec![(TopicId(9), vec![0, 2]), (TopicId(11), vec![1])]),
        }),
        Response::ConsumerGroupDescribe(ConsumerGroupDescribeResponse {
            groups: vec![
                ConsumerGroupDescription {
                    state: "Reconciling",
                    epoch: 5,
                    assignment_epoch: 4,
                    assignor: "uniform".into(),
                    members: vec![
                        consumer_member(),
                        ConsumerGroupMember {
                            instance: None,
                            rack: None,
                            pattern: None,
                            assignment: Vec::new(),
                            classic: false,
                            ..consumer_member()
                        },
                    ],
                    ..consumer_group("g", None)
                },
                consumer_group("h", Some(ErrorCode::GroupIdNotFound)),
                consumer_group("i", Some(not_here)),
            ],
        }),
    ]
}

/// What the node hears of `request` in `version`, and what its answer has to repeat.
fn heard(request: &Request, version: i16) -> (Box<Call>, Request) {
    let asking = &mut FetchSession::default();
    let (frame, _) = write_request(B1, 70, request, Some(version), asking, &book()).expect("it is spelled");
    let asked = read_request(body(&frame), Listener::Broker, &mut FetchSession::default(), &book());
    let Ok(Asked::Node { call, request, .. }) = asked else { panic!("{asked:?}") };
    (call, request)
}

fn heard_join(request: &JoinGroupRequest, version: i16) -> JoinGroupRequest {
    let (_, Request::JoinGroup(heard)) = heard(&Request::JoinGroup(request.clone()), version) else {
        panic!("a JoinGroup is one");
    };
    heard
}

#[test]
fn how_a_member_joins_hangs_on_the_version() {
    let told = |version| {
        let heard = heard_join(&join(), version);
        (heard.rebalance_timeout, heard.id_first, heard.instance.is_some(), heard.may_skip_assignment)
    };
    assert_eq!(told(0), (MS(45_000), false, false, false));
    assert_eq!(told(3), (MS(300_000), false, false, false));
    assert_eq!(told(4), (MS(300_000), true, false, false));
    assert_eq!(told(5), (MS(300_000), true, true, false));
    assert_eq!(told(9), (MS(300_000), true, true, true));
}

#[test]
fn the_client_id_of_the_header_is_that_of_the_member() {
    let request = JoinGroupRequest { client: "billing".into(), ..join() };
    assert_eq!(heard_join(&request, 9), request);
    // No client id, and nothing else either: in version 0 all that a message says stands one after another.
    let frame = Bytes::from_static(&[
        0, 11, 0, 0, 0, 0, 0, 5, 0xff, 0xff, 0, 1, b'g', 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let asked = read_request(frame, Listener::Broker, &mut FetchSession::default(), &book());
    let Ok(Asked::Node { request: Request::JoinGroup(read), .. }) = asked else { panic!("{asked:?}") };
    assert_eq!((&*read.client, read.session_timeout, read.rebalance_timeout), ("", MS(9), MS(9)));
}

#[test]
fn whoever_may_not_join_is_told_no_protocol() {
    let refused = JoinGroupResponse::refused(ErrorCode::MemberIdRequired, "m1".into());
    let told = |version| crate::groups::answer_join(&refused, &Call::new(11, version, 1));
    assert_eq!((told(6).error_code, told(6).generation_id, told(6).member_id.as_str()), (79, -1, "m1"));
    assert_eq!(told(6).protocol_name.as_ref().map(|name| name.as_str()), Some(""));
    assert_eq!((told(7).protocol_type, told(7).protocol_name), (None, None));
}

#[test]
fn whoever_syncs_must_say_what_it_has_joined() {
    let request = Request::SyncGroup(SyncGroupRequest { protocol: None, ..sync() });
    let (_, Request::SyncGroup(_)) = heard(&request, 4) else { panic!("older ones need not") };
    let asking = &mut FetchSession::default();
    let (frame, mut call) = write_request(B1, 1, &request, Some(5), asking, &book()).expect("it is spelled");
    let asked = read_request(body(&frame), Listener::Broker, &mut FetchSession::default(), &book());
    let Ok(Asked::Answer(frame)) = asked else { panic!("{asked:?}") };
    let answer = read_response(&mut call, body(&frame), asking).expect("it is read");
    let refused = SyncGroupResponse::refused(ErrorCode::InconsistentGroupProtocol);
    assert_eq!(answer, Response::SyncGroup(refused));
}

#[test]
fn an_old_leave_names_one_member_and_is_told_of_it_alone() {
    let request = Request::LeaveGroup(LeaveGroupRequest {
        group: "g".into(),
        members: vec![leaving("m1", Some("i1")), leaving("m2", None)],
    });
    let (call, Request::LeaveGroup(heard)) = heard(&request, 2) else { panic!("it is one") };
    assert_eq!(heard.members, [leaving("m1", None)]);
    let members = vec![(leaving("m1", None), Some(ErrorCode::UnknownMemberId))];
    let told = crate::groups::answer_leave(&LeaveGroupResponse { error: None, members }, &call);
    assert_eq!((told.error_code, told.members.len()), (25, 0));
}

#[test]
fn a_coordinator_is_told_with_its_address() {
    let coordinators = vec![("g".into(), Ok(B1)), ("h".into(), Err(ErrorCode::CoordinatorNotAvailable))];
    let response = FindCoordinatorResponse { coordinators };
    let told = crate::group_admin::answer_find(&response, &Call::new(10, 4, 1), &book());
    let each: Vec<_> = told
        .coordinators
        .iter()
        .map(|it| (it.key.as_str(), it.node_id, it.host.as_str(), it.port, it.error_code))
        .collect();
    assert_eq!(each, [("g", 1, "127.0.0.1", 9092, 0), ("h", -1, "", -1, 15)]);
    let told = crate::group_admin::answer_find(&response, &Call::new(10, 3, 1), &book());
    assert_eq!(told.coordinators, []);
    assert_eq!((told.node_id, told.host.as_str(), told.port, told.error_code), (1, "127.0.0.1", 9092, 0));
}

#[test]
fn nobody_looks_after_share_groups() {
    // Version 3: two tags' ends, a compact string, the kind.
    let old = [0, 10, 0, 3, 0, 0, 0, 5, 0xff, 0xff, 0, 2, b'g', 2, 0];
    // Version 6: the kind, one compact string.
    let new = [0, 10, 0, 6, 0, 0, 0, 5, 0xff, 0xff, 0, 2, 2, 2, b'g', 0];
    for (frame, version) in [(Bytes::copy_from_slice(&old), 3), (Bytes::copy_from_slice(&new), 6)] {
        let asked = read_request(frame, Listener::Broker, &mut FetchSession::default(), &book());
        let Ok(Asked::Answer(frame)) = asked else { panic!("{version}: {asked:?}") };
        let mut call = Call::new(10, version, 5);
        let read = read_response(&mut call, body(&frame), &mut FetchSession::default());
        let Ok(Response::FindCoordinator(read)) = read else { panic!("{version}: {read:?}") };
        let found: Vec<_> = read.coordinators.into_iter().map(|(_, found)| found).collect();
        assert_eq!(found, [Err(ErrorCode::InvalidRequest)], "{version}");
    }
}

#[test]
fn what_is_not_committed_is_no_error() {
    let group = GroupOffsets { group: "g".into(), error: None, partitions: vec![(at("a", 1), Ok(None))] };
    let response = OffsetFetchResponse { groups: vec![group] };
    let told = crate::offsets::answer_fetch(&response, &Call::new(9, 7, 1));
    let it = &told.topics[0].partitions[0];
    let metadata = it.metadata.as_ref().map(|text| text.as_str());
    assert_eq!((it.committed_offset, it.committed_leader_epoch, it.error_code), (-1, -1, 0));
    assert_eq!((metadata, told.error_code), (Some(""), 0));
}

#[test]
fn before_an_offset_fetch_could_fail_as_a_whole_each_partition_did() {
    let request = Request::OffsetFetch(OffsetFetchRequest {
        groups: vec![GroupOffsetsWanted { partitions: Some(vec![at("a", 0), at("b", 3)]), ..wanted("g") }],
        require_stable: false,
    });
    let error = Some(ErrorCode::NotCoordinator);
    let group = GroupOffsets { group: "g".into(), error, partitions: Vec::new() };
    let response = OffsetFetchResponse { groups: vec![group] };
    let told = |version| crate::offsets::answer_fetch(&response, &heard(&request, version).0);
    let old = told(1);
    let each: Vec<_> = old.topics.iter().flat_map(|topic| &topic.partitions).collect();
    let each: Vec<_> =
        each.iter().map(|it| (it.partition_index, it.committed_offset, it.error_code)).collect();
    assert_eq!(each, [(0, -1, 16), (3, -1, 16)]);
    assert_eq!((told(2).topics.len(), told(2).error_code), (0, 16));
}

#[test]
fn no_topics_are_all_of_them() {
    let request =
        Request::OffsetFetch(OffsetFetchRequest { groups: vec![wanted("g")], require_stable: true });
    for version in 7..=9 {
        assert_eq!(heard(&request, version).1, request);
    }
}

#[test]
fn an_offset_below_zero_is_refused_alone() {
    let offsets = vec![(at("a", 0), committed(7)), (at("a", 1), committed(u64::MAX))];
    let request = OffsetCommitRequest {
        group: "g".into(),
        generation: i32::MIN,
        member: MemberId::default(),
        instance: None,
        offsets,
    };
    let (call, Request::OffsetCommit(heard)) = heard(&Request::OffsetCommit(request), 9) else {
        panic!("it is one");
    };
    assert_eq!((heard.generation, heard.offsets), (NO_GENERATION, vec![(at("a", 0), committed(7))]));
    let response = OffsetCommitResponse { partitions: vec![(at("a", 0), None)] };
    let told = crate::offsets::answer_commit(&response, &call);
    let each: Vec<_> = told.topics.iter().flat_map(|topic| &topic.partitions).collect();
    let each: Vec<_> = each.iter().map(|it| (it.partition_index, it.error_code)).collect();
    assert_eq!(each, [(0, 0), (1, 42)]);
}

#[test]
fn a_group_that_is_not_there_is_dead_and_later_an_error() {
    let response = DescribeGroupsResponse { groups: vec![described("h", "Dead")] };
    let told = |version| {
        let told = crate::group_admin::answer_describe(&response, &Call::new(15, version, 1));
        let group = &told.groups[0];
        assert_eq!((group.group_state.as_str(), group.authorized_operations), ("Dead", i32::MIN));
        (group.error_code, group.error_message.as_ref().map(|text| text.as_str().to_owned()))
    };
    assert_eq!(told(5), (0, None));
    assert_eq!(told(6), (69, Some("Group h not found.".to_owned())));
}

#[test]
fn brokers_keep_some_topics_for_themselves() {
    let topic = |name: &str| TopicMetadata { name: Some(name.into()), ..topic_metadata() };
    let topics: Vec<_> = ["__consumer_offsets", "a"].map(topic).into();
    let response = MetadataResponse { brokers: set(&[1]), controller: None, topics: topics.clone() };
    let told = metadata::answer(&response, &Call::new(3, 12, 1), &book());
    assert_eq!(told.topics.iter().map(|topic| topic.is_internal).collect::<Vec<_>>(), [true, false]);
    let eligible = vec![(set(&[]), set(&[]))];
    let describe = |metadata| TopicDescription { metadata, eligible: eligible.clone() };
    let response = DescribeTopicPartitionsResponse { topics: topics.into_iter().map(describe).collect() };
    let told = describe_topics::answer(&response, &Call::new(75, 0, 1));
    assert_eq!(told.topics.iter().map(|topic| topic.is_internal).collect::<Vec<_>>(), [true, false]);
}

/// What a heartbeat in the last version comes to, with the call for its answer.
fn heard_beat(request: ConsumerGroupHeartbeatRequest) -> (Box<Call>, ConsumerGroupHeartbeatRequest) {
    let (call, heard) = heard(&Request::ConsumerGroupHeartbeat(request), 1);
    let Request::ConsumerGroupHeartbeat(heard) = heard else { panic!("a heartbeat is one") };
    (call, heard)
}

#[test]
fn nothing_new_is_not_nothing_at_all() {
    let nothing_new = ConsumerGroupHeartbeatRequest {
        instance: None,
        rack: None,
        rebalance_timeout: None,
        topics: None,
        pattern: None,
        assignor: None,
        owned: None,
        ..beat()
    };
    assert_eq!(heard_beat(nothing_new.clone()).1, nothing_new);
    let nothing_at_all = ConsumerGroupHeartbeatRequest {
        rebalance_timeout: Some(MS(0)),
        topics: Some(Vec::new()),
        pattern: Some("".into()),
        owned: Some(Vec::new()),
        ..nothing_new
    };
    assert_eq!(heard_beat(nothing_at_all.clone()).1, nothing_at_all);
    let told = |assignment| {
        let response = ConsumerGroupHeartbeatResponse {
            error: None,
            member: Some("m1".into()),
            epoch: 5,
            interval: MS(5_000),
            assignment,
        };
        let told = crate::consumer_groups::answer_heartbeat(&response, &Call::new(68, 1, 1));
        told.assignment.map(|assignment| assignment.topic_partitions.len())
    };
    assert_eq!((told(None), told(Some(Vec::new()))), (None, Some(0)));
}

#[test]
fn a_member_is_given_an_id_until_members_make_their_own() {
    let nameless = ConsumerGroupHeartbeatRequest { member: MemberId::default(), epoch: 0, ..beat() };
    let (_, Request::ConsumerGroupHeartbeat(read)) =
        heard(&Request::ConsumerGroupHeartbeat(nameless.clone()), 0)
    else {
        panic!("it is one");
    };
    assert_eq!((read.member.as_str(), read.pattern), ("", None));
    let asking = &mut FetchSession::default();
    let request = Request::ConsumerGroupHeartbeat(nameless);
    let (frame, mut call) = write_request(B1, 1, &request, Some(1), asking, &book()).expect("it is spelled");
    let asked = read_request(body(&frame), Listener::Broker, &mut FetchSession::default(), &book());
    let Ok(Asked::Answer(frame)) = asked else { panic!("{asked:?}") };
    let answer = read_response(&mut call, body(&frame), asking).expect("it is read");
    let refused = ConsumerGroupHeartbeatResponse::refused(ErrorCode::InvalidRequest);
    assert_eq!(answer, Response::ConsumerGroupHeartbeat(refused));
}

#[test]
fn what_a_member_owns_of_another_cluster_is_told_as_it_was() {
    use kacrab_protocol::{
        KafkaUuid,
        generated::consumer_group_heartbeat_request::{ConsumerGroupHeartbeatRequestData, TopicPartitions},
    };
    let foreign = KafkaUuid::from_parts(7, 9);
    let owned = TopicPartitions { topic_id: foreign, partitions: vec![-1, 3], ..Default::default() };
    let data = ConsumerGroupHeartbeatRequestData {
        member_id: crate::convert::string("m1"),
        rebalance_timeout_ms: -2,
        topic_partitions: Some(vec![owned]),
        ..Default::default()
    };
    let mut call = Call::new(68, 1, 1);
    let read = crate::consumer_groups::read_heartbeat(&data, &mut call, None);
    let crate::consumer_groups::Read::Heartbeat(read) = read else { panic!("it has a name") };
    let owned = read.owned.clone().unwrap_or_default();
    // No topic of ours has this number, and none of its partitions that one.
    assert_eq!(owned, [(TopicId(u64::MAX), vec![u32::MAX, 3])]);
    assert_eq!((read.rebalance_timeout, &*read.client), (None, ""));
    let again = crate::consumer_groups::spell_heartbeat(&read, &call);
    assert_eq!(again.topic_partitions, data.topic_partitions);
}

#[test]
fn who_speaks_which_protocol_is_told_later() {
    let group = ConsumerGroupDescription { members: vec![consumer_member()], ..consumer_group("g", None) };
    let response = Response::ConsumerGroupDescribe(ConsumerGroupDescribeResponse { groups: vec![group] });
    let classic = |version| {
        let mut call = Call::new(69, version, 1);
        let frame = write_response(&call, &response, &book()).expect("it is spelled");
        let read = read_response(&mut call, body(&frame), &mut FetchSession::default());
        let Ok(Response::ConsumerGroupDescribe(read)) = read else { panic!("{read:?}") };
        read.groups[0].members[0].classic
    };
    assert_eq!((classic(0), classic(1)), (false, true));
}

#[test]
fn a_group_of_the_other_kind_is_not_found_and_that_is_said_in_words() {
    let groups = vec![consumer_group("h", Some(ErrorCode::GroupIdNotFound))];
    let response = ConsumerGroupDescribeResponse { groups };
    let told = crate::consumer_groups::answer_describe(&response, &Call::new(69, 1, 1));
    let group = &told.groups[0];
    let message = group.error_message.as_ref().map(|text| text.as_str());
    assert_eq!((group.error_code, message), (69, Some("Group h is not a consumer group.")));
    assert_eq!(group.authorized_operations, i32::MIN);
}
