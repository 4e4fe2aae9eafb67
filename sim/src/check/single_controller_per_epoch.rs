//! Does one controller at most lead in a quorum epoch? (`WB-Raft-ES`)

use std::collections::BTreeMap;

use trial_model::{
    event::{Event, EventKind, QuorumRole},
    units::{LeaderEpoch, NodeId, NodeSet},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};
use crate::world_event::WorldEvent;

pub(super) const INFO: CheckInfo = safety(
    "single_controller_per_epoch",
    "WB-Raft-ES",
    "Nobody knows of two leaders of one quorum epoch, and no voter votes twice in one.",
);

/// The leader of each epoch with who said so first, every vote, and whose disk was lost.
#[derive(Default)]
struct SingleControllerPerEpoch {
    leaders: BTreeMap<LeaderEpoch, (NodeId, NodeId)>,
    votes: BTreeMap<(LeaderEpoch, NodeId), NodeId>,
    lost: NodeSet,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::new(SingleControllerPerEpoch::default())
}

impl Check for SingleControllerPerEpoch {
    fn hears(&self) -> Hears {
        Hears {
            after: &[
                EventKind::QuorumRoleChanged,
                EventKind::QuorumLeaderElected,
                EventKind::QuorumVoted,
                EventKind::ControllerActivated,
            ],
            ..Hears::default()
        }
    }

    fn world(&mut self, _scene: Scene<'_>, event: &WorldEvent, _found: &mut Found) {
        if let WorldEvent::NodeStopped { node, lost_disk: true, .. } = event {
            self.lost.insert(*node);
        }
    }

    fn after(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        match *event {
            Event::QuorumRoleChanged { role, epoch, leader } => {
                if let Some(leader) = leader.filter(|_| role != QuorumRole::Candidate) {
                    self.claim(scene, epoch, leader, found);
                }
            }
            Event::QuorumLeaderElected { epoch, .. } | Event::ControllerActivated { epoch, .. } => {
                self.claim(scene, epoch, scene.node, found);
            }
            Event::QuorumVoted { epoch, candidate } => self.voted(scene, epoch, candidate, found),
            _ => {}
        }
    }
}

impl SingleControllerPerEpoch {
    fn claim(&mut self, scene: Scene<'_>, epoch: LeaderEpoch, leader: NodeId, found: &mut Found) {
        let (first, by) = *self.leaders.entry(epoch).or_insert((leader, scene.node));
        if self.leaders.len() > 4_096 {
            self.leaders.pop_first();
        }
        if first == leader {
            return;
        }
        let votes = |of: NodeId| {
            let elected =
                scene.cluster.quorum.elections.iter().find(|(known, who, ..)| (*known, *who) == (epoch, of));
            elected.map_or(NodeSet::new(), |(_, _, votes, _)| votes.clone())
        };
        let (one, another) = (votes(first), votes(leader));
        let both: NodeSet = one.iter().filter(|voter| another.contains(*voter)).collect();
        if !both.is_empty() && both.is_subset(&self.lost) {
            return;
        }
        let node = scene.node;
        found.report(INFO.name, None, |n| {
            (
                format!("quorum epoch {epoch} has two leaders"),
                vec![
                    ("epoch", epoch.to_string()),
                    ("one", format!("{} with {one}, says {}", Name(n, first), Name(n, by))),
                    ("another", format!("{} with {another}, says {}", Name(n, leader), Name(n, node))),
                    ("voted twice", both.to_string()),
                ],
            )
        });
    }

    fn voted(&mut self, scene: Scene<'_>, epoch: LeaderEpoch, candidate: NodeId, found: &mut Found) {
        let node = scene.node;
        let first = *self.votes.entry((epoch, node)).or_insert(candidate);
        if self.votes.len() > 16_384 {
            self.votes.pop_first();
        }
        if first == candidate || self.lost.contains(node) {
            return;
        }
        found.report(INFO.name, None, |n| {
            (
                format!("{} votes twice in quorum epoch {epoch}", Name(n, node)),
                vec![
                    ("epoch", epoch.to_string()),
                    ("one", Name(n, first).to_string()),
                    ("another", Name(n, candidate).to_string()),
                    ("voted twice", Name(n, node).to_string()),
                ],
            )
        });
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, QuorumRole},
        units::LeaderEpoch,
    };

    use super::{super::testing::*, INFO};

    #[test]
    fn two_leaders_of_one_epoch_are_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.role(2, QuorumRole::Leader, 1, Some(2));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_voter_that_votes_twice_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        let vote = |nth, epoch| Event::QuorumVoted { epoch: LeaderEpoch(epoch), candidate: c(nth) };
        bench.say(c(3), vote(1, 5)).say(c(3), vote(2, 6)).say(c(3), vote(2, 6));
        assert_eq!(bench.fired(), 0);
        bench.say(c(3), vote(1, 6));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn a_leader_an_epoch_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench.quorum(2, 2).role(1, QuorumRole::Follower, 2, Some(2)).quorum(1, 3);
        assert_eq!(bench.fired(), 0);
    }
}
