//! Does a broker that has heard of another leader leave the log to it? (`WB-StepDown`)

use trial_model::{
    event::{Event, EventKind, ReplicaRole},
    node::Node,
    units::{LeaderEpoch, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Inside, Name, safety};

pub(super) const INFO: CheckInfo = safety(
    "leaders_step_down",
    "WB-StepDown",
    "A broker that has applied a newer epoch of a partition appends nothing more to it as leader of an older one, be it about to shut down or not.",
);

struct LeadersStepDown;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(LeadersStepDown)
}

impl Check for LeadersStepDown {
    fn hears(&self) -> Hears {
        Hears { inspects: &[EventKind::Appended], ..Hears::default() }
    }

    fn inspect(&mut self, inside: Inside<'_>, found: &mut Found) {
        let Inside { node, state, events, .. } = inside;
        let Node::Broker(broker) = state else { return };
        let Some((id, epoch, newer)) = late(events, |id| broker.epoch_applied(id)) else { return };
        found.report(INFO.name, Some(id), |n| {
            (
                format!("{} appends to {} in epoch {epoch}, which is over", Name(n, node), Name(n, id)),
                vec![("it leads", format!("in epoch {epoch}")), ("it applied", format!("epoch {newer}"))],
            )
        });
    }
}

/// What a step appended as leader although the metadata that its broker had applied before tells of a newer
/// epoch: of which partition, in which epoch, and the newer one.
fn late(
    events: &[Event],
    applied: impl Fn(TopicPartition) -> Option<LeaderEpoch>,
) -> Option<(TopicPartition, LeaderEpoch, LeaderEpoch)> {
    // What is applied in the same step may have come after the append.
    if events.iter().any(|event| matches!(event, Event::MetadataApplied { .. })) {
        return None;
    }
    events.iter().find_map(|event| {
        let Event::Appended { partition, role: ReplicaRole::Leader, epoch, .. } = *event else { return None };
        let newer = applied(partition).filter(|newer| *newer > epoch)?;
        Some((partition, epoch, newer))
    })
}

#[cfg(test)]
mod tests {
    use trial_model::units::Offset;

    use super::{super::testing::*, *};

    fn appended(role: ReplicaRole, epoch: u32) -> Event {
        Event::Appended {
            partition: P,
            role,
            base: Offset(4),
            end: Offset(5),
            epoch: LeaderEpoch(epoch),
            crc: 7,
            producer: None,
            control: false,
            max_timestamp: trial_model::time::Timestamp(0),
        }
    }

    #[test]
    fn an_append_in_an_epoch_that_is_over_is_noticed() {
        let two = |_| Some(LeaderEpoch(2));
        assert_eq!(
            late(&[appended(ReplicaRole::Leader, 1)], two),
            Some((P, LeaderEpoch(1), LeaderEpoch(2)))
        );
    }

    #[test]
    fn who_leads_in_the_newest_epoch_follows_or_has_only_just_heard_is_well() {
        let two = |_| Some(LeaderEpoch(2));
        assert_eq!(late(&[appended(ReplicaRole::Leader, 2)], two), None);
        assert_eq!(late(&[appended(ReplicaRole::Follower, 1)], two), None);
        assert_eq!(late(&[appended(ReplicaRole::Leader, 1)], |_| None), None);
        let heard = Event::MetadataApplied {
            end: Offset(9),
            epoch: LeaderEpoch(1),
            fingerprint: 3,
            from_snapshot: false,
        };
        assert_eq!(late(&[appended(ReplicaRole::Leader, 1), heard], two), None);
    }
}
