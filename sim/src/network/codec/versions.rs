//! In which versions of an API can a request be said, and whatever answers it, without losing anything?
//!
//! Older versions say less, and then an answer means something else. What stands here is since when everything that the
//! model says has a place.

use std::ops::RangeInclusive;

use trial_model::protocol::{
    PartitionRef, Request, TopicRef, groups::NO_GENERATION, list_offsets::OffsetSpec,
};
use trial_wire::{Listener, supported};

/// One of the versions that are spoken at `listener` and lose nothing of `request`: the one that was `drawn`.
///
/// Refuses an API that is not spoken there, and a request that no version spoken has room for.
pub(super) fn of(request: &Request, listener: Listener, drawn: u64) -> Result<i16, String> {
    let key = request.api().code();
    let spoken = supported(listener).iter().find(|spoken| spoken.key == key);
    let spoken = spoken.ok_or("its API is not spoken there")?;
    let carrying = carrying(request);
    let (first, last) = (spoken.min.max(*carrying.start()), spoken.max.min(*carrying.end()));
    match u64::try_from(last - first) {
        Ok(more) => Ok(first + (drawn % (more + 1)) as i16),
        Err(_) => Err(format!("no version of {} to {} has room for it", spoken.min, spoken.max)),
    }
}

const fn since(first: i16) -> RangeInclusive<i16> {
    first..=i16::MAX
}

fn by_id<'a>(mut partitions: impl Iterator<Item = &'a PartitionRef>) -> bool {
    partitions.any(|partition| matches!(partition.topic, TopicRef::Id(_)))
}

/// The versions that have room for everything.
fn carrying(request: &Request) -> RangeInclusive<i16> {
    match request {
        // Leader hints since 10 (KIP-951), topics by id since 13 (KIP-516).
        Request::Produce(r) => match by_id(r.partitions.iter().map(|it| &it.partition)) {
            true => since(13),
            false => 10..=12,
        },
        // Divergence, snapshots and hints since 12 (KIP-595); topics by id, and by nothing else, since 13; the
        // replica's registration since 15 (KIP-903).
        Request::Fetch(r) => {
            let by_id = by_id(r.partitions.iter().map(|it| &it.partition));
            match r.replica.map(|replica| replica.broker_epoch.is_some()) {
                Some(true) => since(15),
                _ if by_id || r.partitions.is_empty() => since(13),
                _ => 12..=12,
            }
        }
        // Leader epochs since 4 (KIP-320), the greatest timestamp since 7 (KIP-734).
        Request::ListOffsets(r) => {
            let greatest = r.partitions.iter().any(|it| it.spec == OffsetSpec::MaxTimestamp);
            since(if greatest { 7 } else { 4 })
        }
        // Ids in answers since 10, in requests since 12 (KIP-516). What may be created since 4 (KIP-204).
        Request::Metadata(r) => {
            let by_id = r.topics.iter().flatten().any(|topic| matches!(topic, TopicRef::Id(_)));
            since(if by_id { 12 } else { 10 })
        }
        // Leader epochs since 6 (KIP-320), static members since 7 (KIP-345).
        Request::OffsetCommit(_) => since(7),
        // Which group it is about the answer says since 8 (KIP-709); members since 9 (KIP-848).
        Request::OffsetFetch(r) => {
            let member = r.groups.iter().any(|it| it.member.is_some() || it.epoch != NO_GENERATION);
            since(if member { 9 } else { 8 })
        }
        // Which group it is about the answer says since 4 (KIP-699).
        Request::FindCoordinator(_) => since(4),
        // The type of the group since 7 (KIP-559); that the assignment stands, from 9 on always (KIP-814).
        Request::JoinGroup(r) if r.may_skip_assignment => since(9),
        Request::JoinGroup(_) => 7..=8,
        // Static members (KIP-345).
        Request::Heartbeat(_) | Request::LeaveGroup(_) => since(3),
        // What was agreed on since 5 (KIP-559).
        Request::SyncGroup(_) => since(5),
        Request::DescribeGroups(_) => since(4),
        // States since 4 (KIP-518), types since 5 (KIP-848).
        Request::ListGroups(_) => since(5),
        // The new topic's id since 7.
        Request::CreateTopics(_) => since(7),
        // Which kind of election since 1 (KIP-460).
        Request::ElectLeaders(_) => since(1),
        // What the producer was, since 3 (KIP-360).
        Request::InitProducerId(r) if r.current.is_some() => since(3),
        // Which replica asks since 3.
        Request::OffsetForLeaderEpoch(r) if r.replica.is_some() => since(3),
        // KIP-996.
        Request::Vote(r) if r.pre_vote => since(2),
        // The registrations of those proposed since 3, and nothing else (KIP-903).
        Request::AlterPartition(_) => since(3),
        // KIP-966.
        Request::BrokerRegistration(r) if r.previous_broker_epoch.is_some() => since(3),
        // A member that has no id yet is given one by 0 alone; regular expressions since 1.
        Request::ConsumerGroupHeartbeat(r) if r.member.as_str().is_empty() => 0..=0,
        Request::ConsumerGroupHeartbeat(r) if r.pattern.is_some() => since(1),
        // Which protocol a member speaks since 1 (KIP-1099).
        Request::ConsumerGroupDescribe(_) => since(1),
        _ => since(0),
    }
}
