//! Does a quorum leader step down whom no majority follows? (`WB-Raft-Lease`)

use trial_model::{
    time::Instant,
    units::{LeaderEpoch, NodeId},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "quorum_leader_has_majority",
    "WB-Raft-Lease",
    "A quorum leader that a majority has not followed for the check-quorum time does not lead any more.",
);

/// Which leaders are without a majority, and since when.
#[derive(Default)]
struct QuorumLeaderHasMajority {
    lonely: Vec<(NodeId, LeaderEpoch, Instant)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(QuorumLeaderHasMajority::default())
}

impl Check for QuorumLeaderHasMajority {
    fn hears(&self) -> Hears {
        Hears { ticks: true, ..Hears::default() }
    }

    fn tick(&mut self, scene: Scene<'_>, found: &mut Found) {
        let quorum = &scene.cluster.quorum;
        for voter in &quorum.voters {
            let known = self.lonely.iter().position(|(node, ..)| *node == voter.node);
            let lonely =
                voter.process.well() && quorum.leads(voter) && quorum.with(voter) < quorum.majority();
            if !lonely {
                known.map(|at| self.lonely.swap_remove(at));
                continue;
            }
            let Some(at) = known.filter(|at| self.lonely[*at].1 == voter.epoch) else {
                known.map(|at| self.lonely.swap_remove(at));
                self.lonely.push((voter.node, voter.epoch, scene.at));
                continue;
            };
            let since = self.lonely[at].2;
            if scene.at.since(since) <= scene.setup.patience.check_quorum {
                continue;
            }
            self.lonely[at].2 = Instant::FOREVER;
            found.report(INFO.name, None, |n| {
                let views = quorum.voters.iter().map(|other| {
                    let state = if other.process.alive { other.role.to_string() } else { "stopped".into() };
                    format!("{} {state} epoch {}", Name(n, other.node), other.epoch)
                });
                (
                    format!("{} leads the quorum although no majority follows it", Name(n, voter.node)),
                    vec![
                        ("leader", format!("{} in epoch {}", Name(n, voter.node), voter.epoch)),
                        ("alone", format!("since {since}s")),
                        ("voters", views.collect::<Vec<_>>().join(", ")),
                    ],
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::event::QuorumRole;

    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    #[test]
    fn a_leader_that_goes_on_alone_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.stop(c(2), Stop::Crash).stop(c(3), Stop::Crash).wait(9);
        assert_eq!(bench.fired(), 0, "it may not know yet");
        bench.wait(4);
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_leader_with_a_majority_or_that_steps_down_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench.stop(c(2), Stop::Crash).wait(60).stop(c(3), Stop::Crash).wait(3);
        bench.role(1, QuorumRole::Resigned, 1, None).wait(60);
        assert_eq!(bench.fired(), 0);
    }
}
