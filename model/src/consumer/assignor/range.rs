//! How are partitions assigned by `range`?
//!
//! Kafka's `RangeAssignor`: topic by topic, neighbouring partitions to one member; the first members get one more
//! if it does not come out even. Topics with as many partitions are so assigned alike.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::Member;
use crate::protocol::{NamedPartition, TopicName};

pub(super) fn assign(members: &[&Member], partitions: &BTreeMap<TopicName, u32>) -> Vec<Vec<NamedPartition>> {
    let mut shares = vec![Vec::new(); members.len()];
    for (topic, count) in partitions {
        let wanting: Vec<usize> = (0..members.len()).filter(|at| members[*at].wants(topic)).collect();
        let many = u32::try_from(wanting.len()).unwrap_or(u32::MAX);
        if many == 0 {
            continue;
        }
        let mut numbers = 0..*count;
        for (nth, at) in (0..).zip(wanting) {
            let share = count / many + u32::from(nth < count % many);
            let mine = numbers.by_ref().take(share as usize);
            shares[at].extend(mine.map(|partition| NamedPartition { topic: topic.clone(), partition }));
        }
    }
    shares
}
