//! Do the assignors keep their promises, whatever the members want?

use alloc::{format, vec};

use super::*;
use crate::rng::Rng;

const ALL: [Assignor; 4] =
    [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky];

fn named(topic: &str, partition: u32) -> NamedPartition {
    NamedPartition { topic: topic.into(), partition }
}

fn member(id: &str, topics: &[&str]) -> Member {
    let topics = topics.iter().map(|topic| TopicName::from(*topic)).collect();
    Member { id: id.into(), instance: None, topics, owned: vec![], generation: -1 }
}

fn counts(of: &[(&str, u32)]) -> BTreeMap<TopicName, u32> {
    of.iter().map(|(topic, count)| ((*topic).into(), *count)).collect()
}

/// `a: t0 t1; b: t2`.
fn shown(shares: &[(MemberId, Vec<NamedPartition>)]) -> alloc::string::String {
    let of = |share: &[NamedPartition]| {
        share.iter().map(|it| format!(" {}{}", it.topic, it.partition)).collect::<alloc::string::String>()
    };
    shares.iter().map(|(id, share)| format!("{id}:{}", of(share))).collect::<Vec<_>>().join("; ")
}

#[test]
fn range_and_round_robin_assign_as_their_documentation_says() {
    let members = [member("C0", &["t0", "t1"]), member("C1", &["t0", "t1"])];
    let counts = counts(&[("t0", 3), ("t1", 3)]);
    let range = assign(Assignor::Range, &members, &counts);
    assert_eq!(shown(&range), "C0: t00 t01 t10 t11; C1: t02 t12");
    let turns = assign(Assignor::RoundRobin, &members, &counts);
    assert_eq!(shown(&turns), "C0: t00 t02 t11; C1: t01 t10 t12");
}

#[test]
fn round_robin_passes_over_who_does_not_want_a_topic() {
    let members = [member("C0", &["t0"]), member("C1", &["t0", "t1"]), member("C2", &["t0", "t1", "t2"])];
    let turns = assign(Assignor::RoundRobin, &members, &counts(&[("t0", 1), ("t1", 2), ("t2", 3)]));
    assert_eq!(shown(&turns), "C0: t00; C1: t10; C2: t11 t20 t21 t22");
}

#[test]
fn static_members_keep_their_order_whatever_their_ids() {
    let mut members = [member("z", &["t"]), member("a", &["t"])];
    members[0].instance = Some("first".into());
    assert_eq!(shown(&assign(Assignor::Range, &members, &counts(&[("t", 3)]))), "z: t0 t1; a: t2");
}

#[test]
fn a_later_generation_is_right_and_in_the_same_neither_is() {
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    for (of, generation) in [(0, 3), (1, 4)] {
        members[of].owned = vec![named("t", 0)];
        members[of].generation = generation;
    }
    assert_eq!(shown(&assign(Assignor::Sticky, &members, &counts(&[("t", 2)]))), "a: t1; b: t0");
    members[1].generation = 3;
    assert_eq!(shown(&assign(Assignor::Sticky, &members, &counts(&[("t", 2)]))), "a: t0; b: t1");
}

#[test]
fn cooperative_members_give_up_before_others_get() {
    let mut members = [member("a", &["t"]), member("b", &["t"])];
    members[0].owned = vec![named("t", 0), named("t", 1)];
    members[0].generation = 1;
    let first = assign(Assignor::CooperativeSticky, &members, &counts(&[("t", 2)]));
    assert_eq!(shown(&first), "a: t0; b:");
    members[0].owned.pop();
    let second = assign(Assignor::CooperativeSticky, &members, &counts(&[("t", 2)]));
    assert_eq!(shown(&second), "a: t0; b: t1");
}

/// A group as chance has it: what its members want, and what they say they had.
fn drawn(rng: &mut Rng) -> (Vec<Member>, BTreeMap<TopicName, u32>) {
    let topics: Vec<(TopicName, u32)> = (0..1 + rng.below(4))
        .map(|nth| (TopicName::from(&*format!("t{nth}")), rng.below(8) as u32))
        .collect();
    let alike = rng.below(2) == 0;
    let members = (0..1 + rng.below(6)).map(|nth| {
        let wanted = topics.iter().filter(|_| alike || rng.below(3) > 0).map(|(topic, _)| topic.clone());
        let mut member = member(&format!("m{nth}"), &[]);
        member.topics = wanted.collect();
        if rng.below(3) == 0 {
            member.instance = Some((&*format!("i{}", 9 - nth)).into());
        }
        member.generation = rng.below(3).cast_signed() as i32;
        for (topic, count) in &topics {
            let claims = (0..count + 1).filter(|_| rng.below(4) == 0);
            member.owned.extend(claims.map(|partition| NamedPartition { topic: topic.clone(), partition }));
        }
        member
    });
    (members.collect(), topics.iter().cloned().collect())
}

#[test]
fn every_partition_goes_to_exactly_one_member_that_wants_it() {
    let mut rng = Rng::named(1, "assignors");
    for _ in 0..2_000 {
        let (members, counts) = drawn(&mut rng);
        for how in ALL {
            let shares = assign(how, &members, &counts);
            assert_eq!(shares, assign(how, &members, &counts), "it says the same again");
            let mut given: Vec<NamedPartition> = Vec::new();
            for ((id, share), member) in shares.iter().zip(&members) {
                assert_eq!(*id, member.id);
                assert!(share.iter().all(|named| member.wants(&named.topic)));
                given.extend(share.iter().cloned());
            }
            given.sort();
            let sorted: Vec<&Member> = members.iter().collect();
            let all: Vec<_> = wanted(&sorted, &counts).collect();
            let claimed = |named: &NamedPartition| members.iter().any(|it| it.owned.contains(named));
            // What somebody has to give up first is handed out by the next assignment.
            let owed = all.iter().filter(|it| {
                how != Assignor::CooperativeSticky || !claimed(it) || given.binary_search(it).is_ok()
            });
            assert_eq!(given, owed.cloned().collect::<Vec<_>>(), "{how:?} {members:?}");
        }
    }
}

#[test]
fn sticky_is_as_even_as_can_be() {
    let mut rng = Rng::named(2, "assignors");
    for _ in 0..2_000 {
        let (members, counts) = drawn(&mut rng);
        let shares = assign(Assignor::Sticky, &members, &counts);
        for (_, from) in &shares {
            for ((_, to), member) in shares.iter().zip(&members) {
                let could = from.iter().any(|named| member.wants(&named.topic));
                assert!(!could || from.len() < to.len() + 2, "{} of {members:?}", shown(&shares));
            }
        }
    }
}

/// What the members say next: that they have what they got.
fn later(members: &[Member], shares: &[(MemberId, Vec<NamedPartition>)]) -> Vec<Member> {
    let owned = |(member, (_, share)): (&Member, &(MemberId, Vec<NamedPartition>))| Member {
        owned: share.clone(),
        generation: 9,
        ..member.clone()
    };
    members.iter().zip(shares).map(owned).collect()
}

#[test]
fn sticky_moves_nothing_without_need() {
    let mut rng = Rng::named(3, "assignors");
    for _ in 0..2_000 {
        let (members, counts) = drawn(&mut rng);
        for how in [Assignor::Sticky, Assignor::CooperativeSticky] {
            let shares = assign(Assignor::Sticky, &members, &counts);
            let mut members = later(&members, &shares);
            assert_eq!(assign(how, &members, &counts), shares, "nothing has changed");
            if members.len() < 2 {
                continue;
            }
            // One leaves: the others keep what they have.
            members.pop();
            for (before, after) in shares.iter().zip(assign(how, &members, &counts)) {
                let alike = members.iter().all(|it| it.topics.len() == counts.len());
                assert!(!alike || before.1.iter().all(|named| after.1.contains(named)));
            }
        }
    }
}

#[test]
fn cooperative_groups_settle() {
    let mut rng = Rng::named(4, "assignors");
    for _ in 0..1_000 {
        let (mut members, counts) = drawn(&mut rng);
        let mut shares = Vec::new();
        for round in 0.. {
            assert!(round < 4, "it goes on for ever");
            let next = assign(Assignor::CooperativeSticky, &members, &counts);
            let settled = shares == next;
            members = later(&members, &next);
            shares = next;
            if settled {
                break;
            }
        }
        let given: usize = shares.iter().map(|(_, share)| share.len()).sum();
        let sorted: Vec<&Member> = members.iter().collect();
        assert_eq!(given, wanted(&sorted, &counts).count());
    }
}
