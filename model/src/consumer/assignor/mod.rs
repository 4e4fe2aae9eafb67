//! Who reads which partition?
//!
//! Kafka's four assignors, as functions from what the members say to what they get. Each gives every partition to
//! exactly one member that wants its topic, if there is one, and says the same whenever it is told the same.

mod range;
mod round_robin;
mod sticky;
#[cfg(test)]
mod tests;

use alloc::{collections::BTreeMap, vec::Vec};

use super::protocol::{Subscription, decode_sticky};
use crate::{
    config::Assignor,
    protocol::{NamedPartition, TopicName, groups::JoinedMember},
    units::{InstanceId, MemberId},
};

/// A member as assignors see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its `group.instance.id`.
    pub instance: Option<InstanceId>,
    /// The topics it wants to read.
    pub topics: Vec<TopicName>,
    /// What it owned last, as it says.
    pub owned: Vec<NamedPartition>,
    /// In which generation; -1 for none.
    pub generation: i32,
}

impl Member {
    /// A member as a leader is told of it. One whose subscription makes no sense wants nothing.
    pub fn read(joined: &JoinedMember, how: Assignor) -> Member {
        let (id, instance) = (joined.member.clone(), joined.instance.clone());
        let Some(said) = Subscription::decode(&joined.metadata) else {
            return Member { id, instance, topics: Vec::new(), owned: Vec::new(), generation: -1 };
        };
        let (owned, generation) = match how {
            // Members of an eager group own nothing while they join: they say what they had.
            Assignor::Sticky => said.user_data.and_then(|it| decode_sticky(&it)).unwrap_or((Vec::new(), -1)),
            // Before subscriptions had a generation it stood in the user data.
            Assignor::CooperativeSticky if said.generation < 0 => {
                let data = said.user_data.as_deref().and_then(|it| it.get(..4)?.try_into().ok());
                (said.owned, data.map_or(-1, i32::from_be_bytes))
            }
            _ => (said.owned, said.generation),
        };
        Member { id, instance, topics: said.topics, owned, generation }
    }

    fn wants(&self, topic: &TopicName) -> bool {
        self.topics.contains(topic)
    }
}

/// What each member gets, in the order of the members. `partitions` says how many each topic has; a topic that is
/// not there has none.
pub fn assign(
    how: Assignor,
    members: &[Member],
    partitions: &BTreeMap<TopicName, u32>,
) -> Vec<(MemberId, Vec<NamedPartition>)> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    // Static members first, by their lasting names, so that a restart moves nothing.
    order.sort_by_key(|at| {
        let member = &members[*at];
        (member.instance.is_none(), member.instance.clone(), member.id.clone())
    });
    let sorted: Vec<&Member> = order.iter().map(|at| &members[*at]).collect();
    let shares = match how {
        Assignor::Range => range::assign(&sorted, partitions),
        Assignor::RoundRobin => round_robin::assign(&sorted, partitions),
        Assignor::Sticky => sticky::assign(&sorted, partitions),
        Assignor::CooperativeSticky => sticky::give_up_first(&sorted, sticky::assign(&sorted, partitions)),
    };
    let mut by_member: Vec<_> = order.into_iter().zip(shares).collect();
    by_member.sort_by_key(|(at, _)| *at);
    by_member.into_iter().map(|(at, share)| (members[at].id.clone(), share)).collect()
}

/// All partitions of the topics that somebody wants, in order.
fn wanted<'a>(
    members: &'a [&Member],
    partitions: &'a BTreeMap<TopicName, u32>,
) -> impl Iterator<Item = NamedPartition> + 'a {
    partitions.iter().filter(|(topic, _)| members.iter().any(|member| member.wants(topic))).flat_map(
        |(topic, count)| (0..*count).map(|partition| NamedPartition { topic: topic.clone(), partition }),
    )
}
