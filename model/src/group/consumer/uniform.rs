//! How are partitions assigned by `uniform`?
//!
//! What Kafka's `UniformAssignor` promises. If all members want the same topics, none has more than one partition
//! more than another; if not, no partition could move to another member that wants it and make the two more even. A
//! partition stays with whom it was to belong to unless balance needs a move.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec,
    vec::Vec,
};

use super::assigning::{Wants, all};
use crate::units::{TopicId, TopicPartition};

pub(super) fn assign(
    members: &[Wants],
    partitions: &BTreeMap<TopicId, u32>,
) -> Vec<BTreeSet<TopicPartition>> {
    let mut free: BTreeSet<TopicPartition> =
        partitions.iter().flat_map(|(topic, count)| all(*topic, *count)).collect();
    let mut shares = vec![BTreeSet::new(); members.len()];
    let even = members.windows(2).all(|two| two[0].topics == two[1].topics);
    let mut most = most_each(members, partitions, even);
    for (at, member) in members.iter().enumerate() {
        for partition in &member.before {
            let kept = member.topics.contains(&partition.topic) && shares[at].len() < most[at];
            if kept && free.remove(partition) {
                shares[at].insert(*partition);
            }
        }
    }
    if even {
        // Who was to have one more may not be there to keep it: the first who could take it do.
        let least = free_quota(members, partitions);
        let mut extras = least.1 - shares.iter().filter(|share| share.len() > least.0).count();
        for (share, most) in shares.iter().zip(&mut most) {
            if share.len() <= least.0 {
                *most = least.0 + usize::from(extras > 0);
                extras = extras.saturating_sub(1);
            }
        }
    }
    for partition in free {
        let wanting = (0..members.len())
            .filter(|at| members[*at].topics.contains(&partition.topic) && shares[*at].len() < most[*at]);
        if let Some(least) = wanting.min_by_key(|at| shares[*at].len()) {
            shares[least].insert(partition);
        }
    }
    while let Some((from, to, partition)) = improvement(members, &shares) {
        shares[from].remove(&partition);
        shares[to].insert(partition);
    }
    shares
}

/// How many partitions each member gets if all want the same, and how many get one more.
fn free_quota(members: &[Wants], partitions: &BTreeMap<TopicId, u32>) -> (usize, usize) {
    let wanted = |topic: &TopicId| members.iter().any(|member| member.topics.contains(topic));
    let total: usize = partitions.iter().filter(|(topic, _)| wanted(topic)).map(|(_, n)| *n as usize).sum();
    match members.len() {
        0 => (0, 0),
        many => (total / many, total % many),
    }
}

/// How many of what it had each member may keep at most: of those that had more than all get, the first keep one more.
fn most_each(members: &[Wants], partitions: &BTreeMap<TopicId, u32>, even: bool) -> Vec<usize> {
    if !even {
        return vec![usize::MAX; members.len()];
    }
    let (least, mut extras) = free_quota(members, partitions);
    let mut most = Vec::with_capacity(members.len());
    for member in members {
        let exists = |at: &&TopicPartition| {
            member.topics.contains(&at.topic) && partitions.get(&at.topic).is_some_and(|n| at.partition < *n)
        };
        let more = extras > 0 && member.before.iter().filter(exists).count() > least;
        extras -= usize::from(more);
        most.push(least + usize::from(more));
    }
    most
}

/// A partition that one of those with the most could hand to somebody with at least two less.
fn improvement(
    members: &[Wants],
    shares: &[BTreeSet<TopicPartition>],
) -> Option<(usize, usize, TopicPartition)> {
    let mut fullest: Vec<usize> = (0..members.len()).collect();
    fullest.sort_by_key(|at| core::cmp::Reverse(shares[*at].len()));
    let least = shares.iter().map(BTreeSet::len).min()?;
    for from in fullest.into_iter().take_while(|at| shares[*at].len() >= least + 2) {
        let mut emptiest: Vec<usize> =
            (0..members.len()).filter(|to| shares[*to].len() + 2 <= shares[from].len()).collect();
        emptiest.sort_by_key(|to| shares[*to].len());
        for to in emptiest {
            // What it did not have before goes first.
            let mut movable: Vec<&TopicPartition> =
                shares[from].iter().filter(|at| members[to].topics.contains(&at.topic)).collect();
            movable.sort_by_key(|at| members[from].before.contains(at));
            if let Some(partition) = movable.first() {
                return Some((from, to, **partition));
            }
        }
    }
    None
}
