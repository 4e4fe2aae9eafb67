//! What is promised to a group that changes its protocol while its members go on.

use alloc::{string::ToString, vec};

use bytes::Bytes;

use super::*;
use crate::{
    config::MigrationPolicy,
    consumer::protocol::Assignment,
    machine::Caller,
    protocol::groups::{
        HeartbeatRequest, JoinGroupResponse, LeaveGroupRequest, LeavingMember, SyncGroupRequest,
    },
};

fn share(partitions: &[u32], user_data: Option<&'static [u8]>) -> Bytes {
    let partitions = partitions.iter().map(|it| orders(*it)).collect();
    Assignment { partitions, user_data: user_data.map(Bytes::from_static) }.encode()
}

impl Bench {
    /// Asks for a share as a classic member; with it come the shares of all, if it leads.
    fn syncs_as(
        &mut self,
        nth: u32,
        generation: i32,
        member: &MemberId,
        all: &[(&MemberId, Bytes)],
    ) -> Caller {
        let request = SyncGroupRequest {
            group: GROUP.into(),
            generation,
            member: member.clone(),
            instance: None,
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            assignments: all.iter().map(|(member, share)| ((*member).clone(), share.clone())).collect(),
        };
        self.ask(nth, Request::SyncGroup(request))
    }

    /// A classic group of two in generation 2, a partition each.
    fn classic_pair(&mut self, user_data: Option<&'static [u8]>) -> (MemberId, MemberId) {
        let (first, caller) = self.joins(1);
        assert_eq!(self.joined(caller).generation, 1);
        let synced = self.syncs_as(1, 1, &first, &[(&first, share(&[0, 1], None))]);
        self.synced(synced).expect("it has a share");
        let (second, waits) = self.joins(2);
        let again = self.rejoins(1, &first);
        assert_eq!((self.joined(again).generation, self.joined(waits).generation), (2, 2));
        let all = [(&first, share(&[0], user_data)), (&second, share(&[1], user_data))];
        let leader = self.syncs_as(1, 2, &first, &all);
        let follower = self.syncs_as(2, 2, &second, &[]);
        assert!(self.synced(leader).is_ok() && self.synced(follower).is_ok());
        (first, second)
    }

    /// What a classic member is told to own.
    fn shared(&mut self, caller: Caller) -> Vec<u32> {
        let share = self.synced(caller).expect("it has a share");
        let share = Assignment::decode(&share).expect("it makes sense");
        share.partitions.iter().map(|it| it.partition).collect()
    }

    /// A classic member joins again, owning nothing, and asks for its share.
    fn joins_again(&mut self, nth: u32, member: &MemberId) -> (JoinGroupResponse, Vec<u32>) {
        let caller = self.rejoins(nth, member);
        let joined = self.joined(caller);
        assert_eq!(joined.error, None);
        let caller = self.syncs_as(nth, joined.generation, member, &[]);
        let share = self.shared(caller);
        (joined, share)
    }
}

#[test]
fn a_group_is_upgraded_while_its_members_go_on() {
    let mut bench = Bench::new();
    bench.has_topic("orders", ORDERS, 3);
    let (first, second) = bench.classic_pair(None);
    assert_eq!(bench.told(3, joining(3)), Ok((3, Some(vec![2]))), "what nobody owns is its own at once");
    let group = bench.described();
    assert_eq!((group.state, group.epoch, group.members.len()), ("Reconciling", 3, 3));
    assert_eq!(group.members.iter().filter(|it| it.classic).count(), 2);
    assert_eq!(bench.coordinator.committed().classic(&GROUP.into()), None);
    // The others hear of it by heartbeat, join again and are told what they had.
    for (nth, member, had) in [(1, &first, 0), (2, &second, 1)] {
        assert_eq!(bench.beats(nth, 2, member), Some(ErrorCode::RebalanceInProgress));
        let (joined, share) = bench.joins_again(nth, member);
        assert_eq!((joined.generation, joined.leader, joined.members.len()), (3, MemberId::default(), 0));
        assert_eq!(share, [had]);
        assert_eq!(bench.beats(nth, 3, member), None);
    }
    assert_eq!(bench.described().state, "Stable");
    let commit = bench.commits(1, 3, &first, 5);
    assert_eq!(bench.committed(commit), None);
    let late = bench.commits(1, 2, &first, 4);
    assert_eq!(bench.committed(late), Some(ErrorCode::IllegalGeneration));
    let asks = |bench: &Bench, epoch| {
        let (group, member) = (GROUP.into(), Some(first.clone()));
        bench.coordinator.fetch(&GroupOffsetsWanted { group, member, epoch, partitions: None }).error
    };
    assert_eq!((asks(&bench, 3), asks(&bench, 2)), (None, Some(ErrorCode::IllegalGeneration)));
    let before = (bench.consumer_group(), bench.owned());
    bench.moves();
    assert_eq!((bench.consumer_group(), bench.owned()), before);
}

#[test]
fn who_waits_while_its_group_is_upgraded_is_told_to_join_again() {
    let mut bench = Bench::new();
    let (first, _) = bench.classic_pair(None);
    let waits = bench.rejoins(1, &first);
    bench.told(3, joining(3)).expect("it may join");
    assert_eq!(bench.joined(waits).error, Some(ErrorCode::RebalanceInProgress));
}

#[test]
fn a_classic_member_gives_up_before_another_takes_over() {
    let mut bench = Bench::new();
    let (first, second) = bench.classic_pair(None);
    assert_eq!(bench.told(3, joining(3)), Ok((3, Some(vec![]))));
    let (_, share) = bench.joins_again(1, &first);
    assert_eq!(share.len() + bench.joins_again(2, &second).1.len(), 2, "somebody is left without");
    // Another two come: whoever has one keeps it, and each of these waits.
    bench.has_topic("orders", ORDERS, 4);
    assert_eq!(bench.told(3, beating(3, 3, None)), Ok((4, Some(vec![2]))));
    let (_, mine) = bench.joins_again(1, &first);
    let (_, others) = bench.joins_again(2, &second);
    assert_eq!(mine.len() + others.len(), 3);
    assert_eq!(bench.owned().len(), 3);
    assert_eq!(bench.described().state, "Stable");
}

#[test]
fn the_last_one_to_leave_that_speaks_kip_848_leaves_a_classic_group_behind() {
    let mut bench = Bench::new();
    bench.has_topic("orders", ORDERS, 3);
    let (first, second) = bench.classic_pair(None);
    bench.told(3, joining(3)).expect("it may join");
    bench.joins_again(1, &first);
    bench.joins_again(2, &second);
    assert_eq!(bench.told(3, beating(3, LEAVE_EPOCH, None)), Ok((-1, None)));
    assert_eq!(bench.described().error, Some(ErrorCode::GroupIdNotFound));
    let image = bench.coordinator.committed().classic(&GROUP.into()).cloned().expect("a classic group");
    assert_eq!((image.generation, image.members.len()), (3, 2));
    assert_eq!(bench.beats(1, 3, &first), Some(ErrorCode::RebalanceInProgress));
    let (one, two) = (bench.rejoins(1, &first), bench.rejoins(2, &second));
    let (one, two) = (bench.joined(one), bench.joined(two));
    assert_eq!((one.generation, two.generation), (4, 4));
    assert_eq!(one.members.len() + two.members.len(), 2, "one of them leads");
    bench.moves();
    assert_eq!(bench.coordinator.describe(&GROUP.into()).members.len(), 2);
}

#[test]
fn who_takes_the_place_of_the_last_one_that_speaks_kip_848_has_a_classic_group() {
    let as_till = |request| ConsumerGroupHeartbeatRequest { instance: Some("till-1".into()), ..request };
    for (says_the_same, policy) in [
        (true, MigrationPolicy::Bidirectional),
        (false, MigrationPolicy::Bidirectional),
        (true, MigrationPolicy::Upgrade),
    ] {
        let mut bench = Bench::of(&BrokerConfig { group_consumer_migration_policy: policy, ..config() });
        assert_eq!(bench.told(3, as_till(joining(3))), Ok((1, Some(vec![0, 1]))));
        bench.has_topic("audit", TopicId(9), 1);
        if !says_the_same {
            let topics = Some(vec!["orders".into(), "audit".into()]);
            bench
                .told(3, as_till(ConsumerGroupHeartbeatRequest { topics, ..beating(3, 1, None) }))
                .expect("it is a member");
        }
        // Another process comes under its name, of a version that speaks the classic protocol alone.
        let request = bench.join_request(1, &MemberId::default(), Some("till-1"));
        let caller = bench.ask(1, Request::JoinGroup(request));
        let joined = bench.joined(caller);
        assert_eq!(joined.error, None);
        let stays = policy == MigrationPolicy::Upgrade;
        assert_eq!(bench.described().error, Some(ErrorCode::GroupIdNotFound).filter(|_| !stays));
        assert_eq!(bench.coordinator.describe(&GROUP.into()).state == "Dead", stays);
        if stays {
            continue;
        }
        let removed = |it: &Event| matches!(it, Event::MemberRemoved { member, why: RemovalReason::Replaced, .. } if *member == id(3));
        assert!(bench.events.iter().any(removed));
        let mut sync = SyncGroupRequest {
            group: GROUP.into(),
            generation: joined.generation,
            member: joined.member.clone(),
            instance: Some("till-1".into()),
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            assignments: Vec::new(),
        };
        let caller = bench.ask(1, Request::SyncGroup(sync.clone()));
        if says_the_same {
            // Nothing else has changed: it has what the other had, and nobody is to join again.
            assert_eq!((joined.generation, bench.shared(caller)), (1, vec![0, 1]));
        } else {
            // What it wants to read is something else: it is to join again.
            assert!(bench.synced(caller).is_err());
            let request = bench.join_request(1, &joined.member, Some("till-1"));
            let caller = bench.ask(1, Request::JoinGroup(request));
            let again = bench.joined(caller);
            assert_eq!((again.error, again.members.len()), (None, 1), "and leads");
            sync.generation = again.generation;
            sync.assignments = vec![(joined.member.clone(), share(&[0, 1], None))];
            let caller = bench.ask(1, Request::SyncGroup(sync));
            assert_eq!(bench.shared(caller), [0, 1]);
        }
        bench.moves();
        assert_eq!(bench.coordinator.describe(&GROUP.into()).members.len(), 1);
    }
}

#[test]
fn a_group_that_may_not_be_upgraded_is_not() {
    let disabled = BrokerConfig { group_consumer_migration_policy: MigrationPolicy::Downgrade, ..config() };
    let full = BrokerConfig { group_consumer_max_size: 2, ..config() };
    for (settings, user_data) in [(&disabled, None), (&full, None), (&config(), Some(&b"own"[..]))] {
        let mut bench = Bench::of(settings);
        let (first, _) = bench.classic_pair(user_data);
        assert_eq!(bench.told(3, joining(3)), Err(ErrorCode::GroupIdNotFound));
        assert_eq!(bench.beats(1, 2, &first), None, "nothing has changed");
    }
}

#[test]
fn a_group_without_members_begins_anew_under_either_protocol() {
    let mut bench =
        Bench::of(&BrokerConfig { group_consumer_migration_policy: MigrationPolicy::Disabled, ..config() });
    let leaves = |member: &MemberId| LeaveGroupRequest {
        group: GROUP.into(),
        members: vec![LeavingMember { member: member.clone(), instance: None }],
    };
    let member = bench.settled();
    let caller = bench.ask(1, Request::LeaveGroup(leaves(&member)));
    bench.answered(caller);
    assert_eq!(bench.told(3, joining(3)), Ok((1, Some(vec![0, 1]))));
    assert_eq!(bench.told(3, beating(3, LEAVE_EPOCH, None)), Ok((-1, None)));
    let (_, caller) = bench.joins(1);
    assert_eq!(bench.joined(caller).generation, 1);
    assert_eq!(bench.described().error, Some(ErrorCode::GroupIdNotFound));
}

#[test]
fn a_classic_member_that_makes_no_sense_is_refused_as_ever() {
    let mut bench = Bench::new();
    bench.has_topic("orders", ORDERS, 3);
    let (first, second) = bench.classic_pair(None);
    bench.told(3, joining(3)).expect("it may join");
    let unknown = MemberId("nobody-1".to_string().as_str().into());
    assert_eq!(bench.beats(1, 1, &first), Some(ErrorCode::IllegalGeneration));
    assert_eq!(bench.beats(1, 2, &unknown), Some(ErrorCode::UnknownMemberId));
    assert_eq!(bench.beats(3, 3, &id(3)), Some(ErrorCode::UnknownMemberId), "it speaks KIP-848's protocol");
    let synced = bench.syncs_as(1, 2, &first, &[]);
    assert_eq!(bench.synced(synced), Err(ErrorCode::RebalanceInProgress));
    let mut odd = bench.join_request(1, &first, None);
    odd.protocols[0].name = "sticky".into();
    let odd = bench.ask(1, Request::JoinGroup(odd));
    assert_eq!(bench.joined(odd).error, Some(ErrorCode::InconsistentGroupProtocol));
    // Who is told to join again and does not is out in the end; and so is who is silent.
    bench.joins_again(2, &second);
    for _ in 0..10 {
        bench.pass(8_000);
        bench.beats(1, 2, &first);
        let request =
            HeartbeatRequest { group: GROUP.into(), generation: 3, member: second.clone(), instance: None };
        let caller = bench.ask(2, Request::Heartbeat(request));
        bench.answered(caller);
        bench.told(3, beating(3, 3, None)).ok();
    }
    let out = |it: &Event| matches!(it, Event::MemberRemoved { member, why: RemovalReason::RebalanceExpired, .. } if *member == first);
    assert!(bench.events.iter().any(out));
}
