//! How are partitions assigned by `range`?
//!
//! Kafka's server-side `RangeAssignor`: topic by topic, neighbouring partitions to one member; the first members get
//! one more if it does not come out even. Topics with as many partitions are so assigned alike. Static members come
//! first, by their lasting names, so that a restart moves nothing.

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
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| {
        let member = &members[*at];
        (member.instance.is_none(), member.instance.clone(), member.member.clone())
    });
    let mut shares = vec![BTreeSet::new(); members.len()];
    for (topic, count) in partitions {
        let wanting: Vec<usize> =
            order.iter().copied().filter(|at| members[*at].topics.contains(topic)).collect();
        let many = u32::try_from(wanting.len()).unwrap_or(u32::MAX);
        if many == 0 {
            continue;
        }
        let mut numbers = all(*topic, *count);
        for (nth, at) in (0..).zip(wanting) {
            let share = count / many + u32::from(nth < count % many);
            shares[at].extend(numbers.by_ref().take(share as usize));
        }
    }
    shares
}
