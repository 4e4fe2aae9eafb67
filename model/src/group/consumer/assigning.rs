//! Who is to own what in the end? The assignors that the coordinator knows (`group.consumer.assignors`).
//!
//! Kafka's `UniformAssignor`, the default, and `RangeAssignor`: functions from what the members want, and what they
//! were to own before, to what they are to own. Each gives every partition of a topic to exactly one of the members
//! that want it, and says the same whenever it is told the same.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{range, uniform};
use crate::units::{InstanceId, MemberId, TopicId, TopicPartition};

/// A way to assign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerAssignor {
    /// As many partitions to each member as can be, of all topics together; moves as few as can be.
    Uniform,
    /// Topic by topic, neighbouring partitions to one member.
    Range,
}

impl ServerAssignor {
    /// The default: the first of `group.consumer.assignors`.
    pub const DEFAULT: ServerAssignor = ServerAssignor::Uniform;

    /// The assignor of a name.
    pub fn named(name: &str) -> Option<ServerAssignor> {
        match name {
            "uniform" => Some(ServerAssignor::Uniform),
            "range" => Some(ServerAssignor::Range),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ServerAssignor::Uniform => "uniform",
            ServerAssignor::Range => "range",
        }
    }

    /// What each member is to own, in the order of the members. `partitions` says how many each topic has.
    pub fn assign(
        self,
        members: &[Wants],
        partitions: &BTreeMap<TopicId, u32>,
    ) -> Vec<BTreeSet<TopicPartition>> {
        match self {
            ServerAssignor::Uniform => uniform::assign(members, partitions),
            ServerAssignor::Range => range::assign(members, partitions),
        }
    }
}

/// A member as assignors see it.
#[derive(Clone, Debug)]
pub struct Wants {
    /// Its id.
    pub member: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// The topics it wants to read.
    pub topics: BTreeSet<TopicId>,
    /// What it was to own by the target assignment before.
    pub before: BTreeSet<TopicPartition>,
}

/// All partitions of a topic.
pub(super) fn all(topic: TopicId, count: u32) -> impl Iterator<Item = TopicPartition> {
    (0..count).map(move |partition| TopicPartition::new(topic, partition))
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;
    use crate::rng::Rng;

    const ORDERS: TopicId = TopicId(7);
    const AUDIT: TopicId = TopicId(9);

    fn wants(nth: usize, topics: &[TopicId], before: &BTreeSet<TopicPartition>) -> Wants {
        Wants {
            member: format!("m{nth}").as_str().into(),
            instance: None,
            topics: topics.iter().copied().collect(),
            before: before.clone(),
        }
    }

    fn counts(shares: &[BTreeSet<TopicPartition>]) -> Vec<usize> {
        shares.iter().map(BTreeSet::len).collect()
    }

    /// Every partition that somebody wants has one owner, who wants it.
    fn is_whole(members: &[Wants], partitions: &BTreeMap<TopicId, u32>, shares: &[BTreeSet<TopicPartition>]) {
        let mut given = BTreeMap::new();
        for (member, share) in members.iter().zip(shares) {
            for at in share {
                assert!(member.topics.contains(&at.topic), "{at} was not wanted");
                assert_eq!(given.insert(*at, &member.member), None, "{at} was given twice");
            }
        }
        for (topic, count) in partitions {
            let wanted = members.iter().any(|member| member.topics.contains(topic));
            for at in all(*topic, *count) {
                assert_eq!(given.contains_key(&at), wanted, "{at}");
            }
        }
    }

    #[test]
    fn uniform_is_even_and_moves_only_what_it_must() {
        let none = BTreeSet::new();
        let partitions = BTreeMap::from([(ORDERS, 5), (AUDIT, 4)]);
        let both = [ORDERS, AUDIT];
        let members: Vec<Wants> = (0..2).map(|nth| wants(nth, &both, &none)).collect();
        let shares = ServerAssignor::Uniform.assign(&members, &partitions);
        is_whole(&members, &partitions, &shares);
        assert_eq!(counts(&shares), [5, 4]);
        let mut members: Vec<Wants> = (0..2).map(|nth| wants(nth, &both, &shares[nth])).collect();
        members.push(wants(2, &both, &none));
        let next = ServerAssignor::Uniform.assign(&members, &partitions);
        is_whole(&members, &partitions, &next);
        assert_eq!(counts(&next), [3, 3, 3]);
        assert!(next[0].is_subset(&shares[0]) && next[1].is_subset(&shares[1]));
    }

    #[test]
    fn range_gives_neighbours_and_the_first_more() {
        let none = BTreeSet::new();
        let partitions = BTreeMap::from([(ORDERS, 5), (AUDIT, 5)]);
        let members: Vec<Wants> = (0..2).map(|nth| wants(nth, &[ORDERS, AUDIT], &none)).collect();
        let shares = ServerAssignor::Range.assign(&members, &partitions);
        is_whole(&members, &partitions, &shares);
        let expected: BTreeSet<TopicPartition> = all(ORDERS, 3).chain(all(AUDIT, 3)).collect();
        assert_eq!(shares[0], expected);
    }

    #[test]
    fn static_members_come_first_by_their_lasting_names() {
        let none = BTreeSet::new();
        let mut members = vec![wants(0, &[ORDERS], &none), wants(1, &[ORDERS], &none)];
        members[1].instance = Some("till-1".into());
        let shares = ServerAssignor::Range.assign(&members, &BTreeMap::from([(ORDERS, 1)]));
        assert_eq!(counts(&shares), [0, 1]);
    }

    #[test]
    fn whatever_is_wanted_is_shared_out_whole_and_as_evenly_as_may_be() {
        let mut dice = Rng::named(7, "assigning");
        for _ in 0..300 {
            let mut below = |n: u64| dice.next_u64() % n;
            let topics: Vec<TopicId> = (0..1 + below(4)).map(|nth| TopicId(3 + nth)).collect();
            let partitions: BTreeMap<TopicId, u32> = topics.iter().map(|it| (*it, below(9) as u32)).collect();
            let same = below(2) == 0;
            let mut members = Vec::new();
            for nth in 0..1 + below(6) {
                let mine: Vec<TopicId> = topics.iter().copied().filter(|_| same || below(3) > 0).collect();
                members.push(wants(nth as usize, &mine, &BTreeSet::new()));
            }
            for how in [ServerAssignor::Uniform, ServerAssignor::Range] {
                let shares = how.assign(&members, &partitions);
                is_whole(&members, &partitions, &shares);
                assert_eq!(shares, how.assign(&members, &partitions));
                let mut again = members.clone();
                for (member, share) in again.iter_mut().zip(&shares) {
                    member.before = share.clone();
                }
                assert_eq!(how.assign(&again, &partitions), shares, "nothing changed, nothing moves");
                let counts = counts(&shares);
                if how == ServerAssignor::Uniform && same {
                    let (most, least) = (counts.iter().max(), counts.iter().min());
                    assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1), "{counts:?}");
                }
            }
        }
    }
}
