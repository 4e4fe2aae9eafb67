//! How are partitions assigned by `roundrobin`?
//!
//! Kafka's `RoundRobinAssignor`: all partitions of all topics in turn, each to the next member that wants it.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::{Member, wanted};
use crate::protocol::{NamedPartition, TopicName};

pub(super) fn assign(members: &[&Member], partitions: &BTreeMap<TopicName, u32>) -> Vec<Vec<NamedPartition>> {
    let mut shares = vec![Vec::new(); members.len()];
    let mut turn = 0;
    for named in wanted(members, partitions) {
        while !members[turn % members.len()].wants(&named.topic) {
            turn += 1;
        }
        shares[turn % members.len()].push(named);
        turn += 1;
    }
    shares
}
