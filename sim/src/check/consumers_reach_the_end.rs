//! Does every consumer get to the end of what it reads? (`L-consume`)

use trial_model::units::{NodeId, Offset, TopicPartition};

use super::{
    Check, CheckInfo, ClientKind, Found, Hears, Scene, Unsettled, lag::Lag, liveness,
    partitions_have_leaders::is_led,
};
use crate::{
    mirror::Partition,
    world_event::{Phase, WorldEvent},
};

pub(super) const INFO: CheckInfo = liveness(
    "consumers_reach_the_end",
    "L-consume",
    "At rest every running consumer comes to read all that is committed in its partitions, and the audit all that was before it.",
);

#[derive(Default)]
struct ConsumersReachTheEnd {
    /// How far each partition was committed a while ago.
    committed: Lag<Vec<Offset>>,
    /// How far each was when the audit began, which is there to read all that.
    before_audit: Vec<Offset>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(ConsumersReachTheEnd::default())
}

impl Check for ConsumersReachTheEnd {
    fn hears(&self) -> Hears {
        Hears { ticks: true, ..Hears::default() }
    }

    fn tick(&mut self, scene: Scene<'_>, _found: &mut Found) {
        let partitions = &scene.cluster.partitions;
        let look = || partitions.iter().map(|partition| partition.high_watermark).collect();
        self.committed.look(scene.at, scene.setup.patience.lag, look);
    }

    fn world(&mut self, scene: Scene<'_>, event: &WorldEvent, _found: &mut Found) {
        if let WorldEvent::PhaseBegan(Phase::Audit) = event {
            self.before_audit =
                scene.cluster.partitions.iter().map(|partition| partition.high_watermark).collect();
        }
    }

    fn unsettled(&self, scene: Scene<'_>) -> Option<Unsettled> {
        let marks = self.committed.then(scene.at, scene.setup.patience.lag)?;
        for client in scene.setup.clients.iter().filter(|client| client.kind == ClientKind::Consumer) {
            if !scene.cluster.process(client.node).is_some_and(|process| process.well()) {
                continue;
            }
            if waits_for_what_is_gone(scene, client.node) {
                continue;
            }
            let mut reads = scene.history.positions(client.node).filter(|(_, position)| position.assigned);
            if client.auditor
                && reads.next().is_none()
                && let Some(unread) = self.to_be_audited(scene)
            {
                return Some(
                    Unsettled::new(format!(
                        "{} has not begun to read {}",
                        client.name,
                        scene.cluster.called(unread)
                    ))
                    .of(unread),
                );
            }
            for (partition, position) in
                scene.history.positions(client.node).filter(|(_, position)| position.assigned)
            {
                let place = scene.cluster.place(partition.id);
                let Some(at) = place else { continue };
                let audited = self.before_audit.get(at).filter(|_| client.auditor);
                let Some(mark) = marks.get(at).max(audited) else { continue };
                let known = &scene.cluster.partitions[at];
                // What was committed then and is lost since, nobody can read.
                let mark = (*mark).min(known.high_watermark);
                let at = position.next.unwrap_or(Offset::ZERO);
                if known.deleted || at >= mark || !is_led(scene, known) {
                    continue;
                }
                let called = scene.cluster.called(partition.id);
                return Some(
                    Unsettled::new(format!("{} has read {called} to {at} of {mark}", client.name))
                        .of(partition.id)
                        .line(
                            "consumer",
                            format!(
                                "{}, next {}",
                                client.name,
                                position.next.map_or("unknown".into(), |next| next.to_string())
                            ),
                        )
                        .line(
                            "committed",
                            format!("up to {mark} for {:?} at least", scene.setup.patience.lag),
                        ),
                );
            }
        }
        None
    }
}

/// Whether a member is committing all that it has and one of its topics is gone: `commitSync` asks again until its time
/// is up, since its broker may not have heard of the topic yet, and so each time until its leader hears of it.
fn waits_for_what_is_gone(scene: Scene<'_>, member: NodeId) -> bool {
    let Some(owner) = scene.cluster.groups.owner(member) else { return false };
    let Some(group) = scene.cluster.groups.group(&owner.group) else { return false };
    let in_vain = owner.partitions.iter().filter_map(|id| group.progress_in(*id)?.in_vain);
    in_vain.into_iter().any(|(node, at)| node == member && scene.at.since(at) < scene.setup.patience.lag)
}

impl ConsumersReachTheEnd {
    /// A partition with records that were there before the audit began, and that can be read.
    fn to_be_audited(&self, scene: Scene<'_>) -> Option<TopicPartition> {
        let before = self.before_audit.iter().zip(&scene.cluster.partitions);
        let unread = |(mark, known): &(&Offset, &Partition)| {
            (**mark).min(known.high_watermark) > known.trunk.start
                && !known.deleted
                && !known.id.is_metadata()
                && !scene.cluster.is_internal(known.id.topic)
                && is_led(scene, known)
        };
        before.into_iter().find(unread).map(|(_, known)| known.id)
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{event::Event, protocol::ErrorCode};

    use super::{super::testing::*, INFO};
    use crate::world_event::Phase;

    #[test]
    fn a_consumer_that_stands_still_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.say(C1, Event::Assigned { partitions: vec![P] }).send(P1, 0);
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).phase(Phase::Settle);
        assert!(bench.unsettled().is_empty(), "it was committed just now");
        bench.wait(5);
        assert_eq!(bench.unsettled().len(), 1);
        bench.finish();
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_member_of_a_group_is_a_consumer_too() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.owns(C1, 3, &[P]).send(P1, 0);
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).phase(Phase::Settle).wait(5);
        assert_eq!(bench.unsettled().len(), 1);
        bench.owns(C1, 4, &[]);
        assert!(bench.unsettled().is_empty(), "it is another's now");
    }

    #[test]
    fn a_member_whose_commit_waits_for_what_is_gone_is_not_to_blame() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.owns(C1, 3, &[P]).send(P1, 0);
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).phase(Phase::Settle).wait(5);
        assert_eq!(bench.unsettled().len(), 1);
        bench.commit_sent(C1, 9).commit_retried(C1, 9, ErrorCode::CoordinatorLoadInProgress);
        assert_eq!(bench.unsettled().len(), 1);
        bench.commit_retried(C1, 9, ErrorCode::UnknownTopicOrPartition);
        assert!(bench.unsettled().is_empty());
        bench.wait(5);
        assert_eq!(bench.unsettled().len(), 1, "it has not asked for a while");
    }

    #[test]
    fn the_audit_reads_all_that_was_there_before_it() {
        let assigned = Event::Assigned { partitions: vec![P] };
        let mut bench = Bench::of(INFO.name).begun();
        bench.phase(Phase::Settle).wait(5).say(C1, assigned.clone()).say(C9, assigned);
        bench.send(P1, 0).replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]);
        assert!(bench.unsettled().is_empty(), "it was committed just now");
        bench.phase(Phase::Audit);
        assert_eq!(bench.unsettled().len(), 1, "for others it was just now, but not for the audit");
        bench.read(C9, 0, P1, 0);
        assert!(bench.unsettled().is_empty());
    }

    #[test]
    fn an_audit_that_has_not_begun_is_not_over() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.send(P1, 0).replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).phase(Phase::Settle);
        bench.wait(5);
        assert!(bench.unsettled().is_empty());
        bench.phase(Phase::Audit);
        assert_eq!(bench.unsettled().len(), 1);
        bench.say(C9, Event::Assigned { partitions: vec![P] }).read(C9, 0, P1, 0);
        assert!(bench.unsettled().is_empty());
    }

    #[test]
    fn one_that_has_read_everything_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.say(C1, Event::Assigned { partitions: vec![P] }).send(P1, 0);
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).read(C1, 0, P1, 0).phase(Phase::Settle);
        bench.wait(5).finish();
        assert_eq!(bench.fired(), 0);
    }
}
