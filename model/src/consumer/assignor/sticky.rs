//! How are partitions assigned by `sticky` and `cooperative-sticky`?
//!
//! What Kafka's `AbstractStickyAssignor` promises, by a shorter way: a partition stays where it was unless balance
//! needs a move, and no move of a partition, nor a chain of moves, could make it more even. When two members claim
//! a partition, the later generation is right; if it is the same, neither is.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec,
    vec::Vec,
};

use super::{Member, wanted};
use crate::protocol::{NamedPartition, TopicName};

pub(super) fn assign(members: &[&Member], partitions: &BTreeMap<TopicName, u32>) -> Vec<Vec<NamedPartition>> {
    let before = owners(members);
    let mut shares = vec![Vec::new(); members.len()];
    let mut free = Vec::new();
    for named in wanted(members, partitions) {
        match before.get(&named) {
            Some((owner, _)) if members[*owner].wants(&named.topic) => shares[*owner].push(named),
            _ => free.push(named),
        }
    }
    for named in free {
        let wanting = (0..members.len()).filter(|at| members[*at].wants(&named.topic));
        if let Some(least) = wanting.min_by_key(|at| shares[*at].len()) {
            shares[least].push(named);
        }
    }
    while let Some(chain) = improvement(members, &shares) {
        for step in chain.windows(2) {
            hand_over(members, &before, &mut shares, step[0], step[1]);
        }
    }
    for share in &mut shares {
        share.sort();
    }
    shares
}

/// Who had each partition last, and in which generation.
fn owners(members: &[&Member]) -> BTreeMap<NamedPartition, (usize, i32)> {
    let mut owners: BTreeMap<NamedPartition, (Option<usize>, i32)> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        for named in &member.owned {
            match owners.get_mut(named) {
                Some((owner, _)) if *owner == Some(at) => {}
                Some((owner, generation)) if *generation == member.generation => *owner = None,
                Some((_, generation)) if *generation > member.generation => {}
                _ => {
                    owners.insert(named.clone(), (Some(at), member.generation));
                }
            }
        }
    }
    owners
        .into_iter()
        .filter_map(|(named, (owner, generation))| Some((named, (owner?, generation))))
        .collect()
}

/// The shortest chain of members, each handing one partition to the next, after which the first, one of those with
/// the most, has one less, and the last, which has at least two less, one more.
fn improvement(members: &[&Member], shares: &[Vec<NamedPartition>]) -> Option<Vec<usize>> {
    let mut fullest: Vec<usize> = (0..members.len()).collect();
    fullest.sort_by_key(|at| core::cmp::Reverse(shares[*at].len()));
    let least = shares.iter().map(Vec::len).min()?;
    fullest
        .into_iter()
        .take_while(|at| shares[*at].len() >= least + 2)
        .find_map(|from| chain_from(members, shares, from))
}

fn chain_from(members: &[&Member], shares: &[Vec<NamedPartition>], from: usize) -> Option<Vec<usize>> {
    let mut came_from = vec![None; members.len()];
    let mut waiting = VecDeque::from([from]);
    while let Some(at) = waiting.pop_front() {
        let mut next: Vec<usize> = (0..members.len())
            .filter(|to| *to != from && came_from[*to].is_none())
            .filter(|to| shares[at].iter().any(|named| members[*to].wants(&named.topic)))
            .collect();
        next.sort_by_key(|to| shares[*to].len());
        for to in next {
            came_from[to] = Some(at);
            if shares[to].len() + 2 <= shares[from].len() {
                let mut chain = vec![to];
                while let Some(before) = came_from[chain[chain.len() - 1]] {
                    chain.push(before);
                }
                chain.reverse();
                return Some(chain);
            }
            waiting.push_back(to);
        }
    }
    None
}

/// Moves a partition: one that the receiver had before, else one that the giver did not have, else its last.
fn hand_over(
    members: &[&Member],
    before: &BTreeMap<NamedPartition, (usize, i32)>,
    shares: &mut [Vec<NamedPartition>],
    from: usize,
    to: usize,
) {
    let cost = |named: &NamedPartition| match before.get(named) {
        Some((owner, _)) if *owner == to => 0,
        Some((owner, _)) if *owner == from => 2,
        _ => 1,
    };
    let movable = (0..shares[from].len()).rev().filter(|nth| members[to].wants(&shares[from][*nth].topic));
    if let Some(nth) = movable.min_by_key(|nth| cost(&shares[from][*nth])) {
        let named = shares[from].remove(nth);
        shares[to].push(named);
    }
}

/// What may be handed out at once where members go on reading what they own: a partition that somebody else still
/// owns is given to nobody until that member has given it up and everybody joins again (KIP-429).
pub(super) fn give_up_first(
    members: &[&Member],
    mut shares: Vec<Vec<NamedPartition>>,
) -> Vec<Vec<NamedPartition>> {
    for (at, share) in shares.iter_mut().enumerate() {
        let elsewhere = |named: &NamedPartition| {
            members.iter().enumerate().any(|(other, member)| other != at && member.owned.contains(named))
        };
        share.retain(|named| members[at].owned.contains(named) || !elsewhere(named));
    }
    shares
}
