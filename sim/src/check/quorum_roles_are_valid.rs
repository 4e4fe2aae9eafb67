//! Does every member of the quorum play a part that it may play? (`WB-Raft-Roles`)

use trial_model::{
    event::{Event, EventKind, QuorumRole},
    units::{NodeRole, NodeSet},
};

use super::{Check, CheckInfo, Found, Hears, Name, Scene, safety};

pub(super) const INFO: CheckInfo = safety(
    "quorum_roles_are_valid",
    "WB-Raft-Roles",
    "Only voters stand for election, only candidates come to lead, with a majority of votes, and no member goes back to an older epoch.",
);

struct QuorumRolesAreValid;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(QuorumRolesAreValid)
}

impl Check for QuorumRolesAreValid {
    fn hears(&self) -> Hears {
        Hears { before: &[EventKind::QuorumRoleChanged, EventKind::QuorumLeaderElected], ..Hears::default() }
    }

    fn before(&mut self, scene: Scene<'_>, event: &Event, found: &mut Found) {
        let Some(wrong) = wrong(scene, event) else { return };
        let node = scene.node;
        found.report(INFO.name, None, |n| {
            let before = scene.cluster.quorum.voter(node);
            (
                format!("{} plays a part in the quorum that it may not: {wrong}", Name(n, node)),
                vec![
                    (
                        "before",
                        before.map_or("observer".into(), |voter| {
                            format!("{} in epoch {}", voter.role, voter.epoch)
                        }),
                    ),
                    ("event", event.show(n).to_string()),
                    ("wrong", wrong),
                ],
            )
        });
    }
}

fn wrong(scene: Scene<'_>, event: &Event) -> Option<String> {
    let (node, quorum) = (scene.node, &scene.cluster.quorum);
    let before = quorum.voter(node);
    match event {
        Event::QuorumRoleChanged { role, epoch, leader } => {
            let stands = !matches!(role, QuorumRole::Unattached | QuorumRole::Follower);
            if stands && node.role() != NodeRole::Controller {
                return Some(format!("an observer becomes {role}"));
            }
            if before.is_some_and(|before| before.epoch > *epoch) {
                return Some(format!("it goes back to epoch {epoch}"));
            }
            match role {
                QuorumRole::Leader if *leader != Some(node) => {
                    Some("it leads and knows another leader".into())
                }
                QuorumRole::Follower if leader.is_none_or(|leader| leader == node) => {
                    Some("it follows nobody, or itself".into())
                }
                QuorumRole::Leader => {
                    let stood = before.is_none_or(|before| {
                        matches!(before.role, QuorumRole::Candidate | QuorumRole::Leader)
                            && before.epoch == *epoch
                    });
                    (!stood && quorum.voters.len() > 1).then(|| "it leads and was no candidate".into())
                }
                _ => None,
            }
        }
        Event::QuorumLeaderElected { votes, .. } => {
            let voters: NodeSet = quorum.voters.iter().map(|voter| voter.node).collect();
            let enough = votes.len() >= quorum.majority() && votes.is_subset(&voters);
            (!enough).then(|| format!("it is elected by {votes}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::{Event, QuorumRole},
        units::{LeaderEpoch, Offset},
    };

    use super::{super::testing::*, INFO};
    use crate::world_event::Stop;

    #[test]
    fn a_leader_that_resumes_after_a_restart_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        bench.stop(c(1), Stop::Crash).start(c(1)).role(1, QuorumRole::Leader, 1, Some(1));
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn an_observer_that_stands_for_election_is_noticed() {
        let mut bench = Bench::of(INFO.name);
        let epoch = LeaderEpoch(2);
        bench.say(b(1), Event::QuorumRoleChanged { role: QuorumRole::Candidate, epoch, leader: None });
        assert_eq!(bench.fired(), 1);
    }

    #[test]
    fn an_election_by_the_book_is_well() {
        let mut bench = Bench::of(INFO.name);
        bench.role(2, QuorumRole::Prospective, 1, None).quorum(2, 2);
        bench.role(1, QuorumRole::Unattached, 3, None).role(1, QuorumRole::Resigned, 3, None);
        assert_eq!(bench.fired(), 0);
        let epoch = LeaderEpoch(4);
        bench.say(c(1), Event::QuorumLeaderElected { epoch, votes: voters(&[1]), log_end: Offset(0) });
        assert_eq!(bench.fired(), 1);
    }
}
