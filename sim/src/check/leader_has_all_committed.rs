//! Does whoever leads have everything that was committed? (`WB-LC`)

use trial_model::event::{Event, EventKind, ReplicaRole};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "leader_has_all_committed",
    "WB-LC",
    "The newest leader of a partition holds every committed record, unless an unclean election was allowed or min.insync.replicas disks lost records.",
);

struct LeaderHasAllCommitted;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(LeaderHasAllCommitted)
}

impl Check for LeaderHasAllCommitted {
    fn hears(&self) -> Hears {
        Hears {
            before: &[EventKind::LeaderStarted],
            after: &[EventKind::HighWatermarkAdvanced],
            ..Hears::default()
        }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::LeaderStarted { partition: id, epoch, log_end, .. } = *event else { return };
        let Some(partition) = scene.cluster.partition(id).filter(|partition| !partition.deleted) else {
            return;
        };
        if partition.newest_epoch().is_some_and(|newest| newest > epoch) {
            return;
        }
        if partition.rules.may_be_unclean() && partition.conceded {
            return;
        }
        let committed = partition.high_watermark;
        let replica = partition.replica(scene.node);
        let parts = replica.is_some_and(|replica| replica.parts(&partition.trunk));
        if (log_end >= committed && !parts) || scene.forgives(partition) {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            let what = if parts { "other records than" } else { "not all of" };
            (
                format!("{} leads {} with {what} the committed ones", Name(n, node), Name(n, id)),
                vec![
                    ("leader", format!("{} in epoch {epoch}, its log ends at {log_end}", Name(n, node))),
                    ("committed", format!("up to {committed}{}", moved(partition, n))),
                    ("agrees", format!("up to {}", replica.map_or(0, |replica| replica.agreed.0))),
                    ("lossy", format!("{} restarts lost records on a disk", partition.lossy_restarts)),
                ],
            )
        });
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Event::HighWatermarkAdvanced { partition: id, epoch, to, .. } = *event else { return };
        let Some(partition) = scene.cluster.partition(id).filter(|partition| !partition.deleted) else {
            return;
        };
        if partition.is_newest(scene.node, epoch) || !partition.lawful(epoch) {
            return;
        }
        let Some(newest) = partition.leaderships.last().filter(|newest| newest.epoch > epoch) else { return };
        let Some(replica) =
            partition.replica(newest.node).filter(|_| partition.is_newest(newest.node, newest.epoch))
        else {
            return;
        };
        // One that has died since may have lost what was not committed then, and does not lead until it says so.
        let leads = replica.open && replica.role == Some(ReplicaRole::Leader);
        if !leads || replica.holds(&partition.trunk, to) || scene.forgives(partition) {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, Some(id), |n| {
            (
                format!(
                    "{} leads {} without records that an earlier leader commits",
                    Name(n, newest.node),
                    Name(n, id)
                ),
                vec![
                    (
                        "leader",
                        format!(
                            "{} in epoch {}, its log ends at {}",
                            Name(n, newest.node),
                            newest.epoch,
                            replica.end
                        ),
                    ),
                    ("committed", format!("up to {to} by {} in epoch {epoch}", Name(n, node))),
                ],
            )
        });
    }
}

/// Who committed last, for a report: `: broker-1 in epoch 4 at 3.066s on {1,2}`.
pub(super) fn moved(partition: &crate::mirror::Partition, n: &dyn trial_model::event::Names) -> String {
    partition.moved.as_ref().map_or(String::new(), |moved| {
        format!(": {} in epoch {} at {}s on {}", Name(n, moved.node), moved.epoch, moved.at, moved.counted)
    })
}

#[cfg(test)]
mod tests {
    use trial_model::event::BrokerState;

    use super::{super::testing::*, Event, INFO};
    use crate::world_event::Stop;

    #[test]
    fn a_leader_without_a_committed_record_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2]).hw(1, 1, 1, &[1, 2]);
        bench.elect(3, 2, &[3]).leads(3, 2);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_leader_without_a_record_that_nobody_committed_is_well() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).replicated(1, 1, 8, &[]);
        bench.elect(3, 2, &[2, 3]).leads(3, 2);
        // A leader that nobody told of its fall commits what the new one has as well.
        bench.hw(1, 1, 1, &[1, 2, 3]);
        assert_eq!(bench.fired(), 0);
    }

    /// A record is committed on all three; then those die uncleanly who are told, and those are back who are
    /// told. Broker 2 has lost it, is elected and leads.
    fn loses(dead: &[u32], back: &[u32], min_insync: usize, unclean: bool) -> u64 {
        let mut bench = Bench::with(INFO.name, |setup| {
            setup.elr = true;
            setup.topic_defaults.min_insync = min_insync;
        });
        bench = bench.begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).shrink(1, 1, &[1, 2]);
        for nth in dead {
            bench.stop(b(*nth), Stop::PowerLoss);
        }
        for nth in back {
            bench.start(b(*nth)).recovered(*nth, u64::from(*nth != 2), None);
            bench.say(b(*nth), Event::BrokerStateChanged { state: BrokerState::Starting });
        }
        bench.elected(2, 2, &[2], unclean).leads(2, 2);
        bench.fired()
    }

    #[test]
    fn a_loss_is_lawful_only_if_all_who_could_be_elected_died_uncleanly() {
        assert_eq!(loses(&[1, 2], &[1, 2], 2, true), 0, "nobody is left who is known to have everything");
        assert_eq!(loses(&[1, 2], &[2], 2, true), 1, "broker 1 may come back, and may have shut down well");
        assert_eq!(loses(&[2], &[2], 2, true), 1, "broker 1 lives");
        assert_eq!(loses(&[1, 2], &[1, 2], 3, true), 1, "three must die to lose what three must have");
        assert_eq!(loses(&[1, 2], &[1, 2], 2, false), 1, "a clean election loses nothing");
    }

    #[test]
    fn a_controller_learns_of_a_death_before_the_logs_are_read_back() {
        for (state, fired) in [(Some(BrokerState::Recovery), 0), (None, 1)] {
            let mut bench = Bench::with(INFO.name, |setup| {
                setup.elr = true;
                setup.topic_defaults.min_insync = 2;
            });
            bench = bench.begun();
            bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).shrink(1, 1, &[1, 2]);
            for nth in 1..=2 {
                bench.stop(b(nth), Stop::PowerLoss).start(b(nth));
                if let Some(state) = state {
                    bench.say(b(nth), Event::BrokerStateChanged { state });
                }
            }
            bench.elected(2, 2, &[2], true).recovered(2, 0, None).leads(2, 2);
            assert_eq!(bench.fired(), fired);
        }
    }

    #[test]
    fn who_dies_on_its_way_into_the_isr_counts_as_dead() {
        let mut bench = Bench::with(INFO.name, |setup| {
            setup.elr = true;
            setup.topic_defaults.min_insync = 2;
        });
        bench = bench.begun();
        bench.replicated(0, 1, 7, &[2, 3]).hw(1, 1, 1, &[1, 2, 3]).shrink(1, 1, &[2, 3]);
        bench.stop(b(1), Stop::PowerLoss).expand(2, 1, &[1, 2, 3]).shrink(2, 1, &[1, 2]);
        bench.stop(b(2), Stop::PowerLoss);
        for nth in 1..=2 {
            bench.start(b(nth)).recovered(nth, 0, None);
            bench.say(b(nth), Event::BrokerStateChanged { state: BrokerState::Starting });
        }
        bench.elected(2, 2, &[2], true).leads(2, 2);
        assert_eq!(bench.fired(), 0);
    }

    /// Broker 2 was elected uncleanly, and once more before it heard of it: what it commits meanwhile counts.
    #[test]
    fn what_is_committed_by_who_is_elected_again_is_not_lost_with_its_election() {
        let mut bench = Bench::with(INFO.name, |setup| setup.topic_defaults.unclean = true).begun();
        bench.replicated(0, 1, 7, &[3]).hw(1, 1, 1, &[1, 3]);
        bench.elected(2, 2, &[2], true).elected(2, 3, &[2], false).leads(2, 2);
        bench.append(b(2), Leader, 0, 2, 9).hw(2, 2, 1, &[2]);
        assert_eq!(bench.fired(), 0);
        bench.elect(3, 4, &[3]).leads(3, 4);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_zombie_that_commits_what_the_new_leader_lacks_is_noticed() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2]).elect(3, 2, &[2, 3]).leads(3, 2).hw(1, 1, 1, &[1, 2]);
        assert_eq!(bench.fired(), 1);
    }

    /// The zombie counts a fetch from before the power loss.
    #[test]
    fn a_leader_that_died_and_lost_what_was_not_committed_then_does_not_lead_yet() {
        let mut bench = Bench::of(INFO.name).begun();
        bench.replicated(0, 1, 7, &[2, 3]).elect(3, 2, &[2, 3]).leads(3, 2);
        bench.stop(b(3), Stop::PowerLoss).start(b(3)).recovered(3, 0, None).hw(1, 1, 1, &[1, 2]);
        assert_eq!(bench.fired(), 0);
    }
}
