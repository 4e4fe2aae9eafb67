//! Is a member that does not ask for its share out in time? (`WB-SyncTime`)

use std::time::Duration;

use trial_model::{
    event::{Event, EventKind, GroupState, RemovalReason},
    group::Coordinator,
    node::Node,
    time::Instant,
    units::{GroupId, MemberId, NodeId, TopicPartition},
};

use super::{Check, CheckInfo, Found, Hears, Inside, Name, safety};

pub(super) const INFO: CheckInfo = safety(
    "rebalances_are_bounded",
    "WB-SyncTime",
    "Once all of a classic group have joined, who does not ask for its share is waited for no longer than the group's rebalance timeout, however long its session is (KAFKA-12890).",
);

/// How much later than its timer a coordinator may look.
const SLACK: Duration = Duration::from_millis(500);

#[derive(Default)]
struct RebalancesAreBounded {
    waits: Vec<Wait>,
}

/// A coordinator waits for a generation's members to ask for their shares.
struct Wait {
    node: NodeId,
    by: TopicPartition,
    group: GroupId,
    /// Since when, by its own clock.
    since: Instant,
    /// How long the slowest of the members may take.
    timeout: Duration,
    /// How long each may be silent.
    sessions: Vec<(MemberId, Duration)>,
}

pub(super) fn check() -> Box<dyn Check> {
    Box::<RebalancesAreBounded>::default()
}

impl Check for RebalancesAreBounded {
    fn hears(&self) -> Hears {
        Hears {
            inspects: &[
                EventKind::CoordinatorLoaded,
                EventKind::CoordinatorUnloaded,
                EventKind::GroupStateChanged,
                EventKind::MemberRemoved,
            ],
            ..Hears::default()
        }
    }

    fn inspect(&mut self, inside: Inside<'_>, found: &mut Found) {
        let Node::Broker(broker) = inside.state else { return };
        let group_of = |by: TopicPartition, group: &GroupId| {
            let coordinator = broker.coordinators().find(|it: &&Coordinator| it.partition() == by)?;
            let group = coordinator.classic(group)?;
            let sessions = group.members.iter().map(|(id, member)| (id.clone(), member.session_timeout));
            Some((group.rebalance_timeout(), sessions.collect()))
        };
        for event in inside.events {
            let Some((group, waited, timeout)) = self.heard(inside.node, inside.now.monotonic, event, group_of) else {
                continue;
            };
            found.report(INFO.name, None, |n| {
                let waited = waited.as_secs_f64();
                (
                    format!("{} waited too long for a member of {group}", Name(n, inside.node)),
                    vec![
                        ("waited", format!("{waited:.3}s for it to ask for its share, until its session was over")),
                        ("allowed", format!("{:.3}s, the group's rebalance timeout", timeout.as_secs_f64())),
                    ],
                )
            });
        }
    }
}

impl RebalancesAreBounded {
    /// Takes in what a coordinator says; and how long it waited in which group, and might have, if that was too long.
    fn heard(
        &mut self,
        node: NodeId,
        now: Instant,
        event: &Event,
        group_of: impl Fn(TopicPartition, &GroupId) -> Option<(Duration, Vec<(MemberId, Duration)>)>,
    ) -> Option<(GroupId, Duration, Duration)> {
        match event {
            Event::CoordinatorLoaded { partition, .. } | Event::CoordinatorUnloaded { partition, .. } => {
                self.waits.retain(|wait| wait.node != node || wait.by != *partition);
            }
            Event::GroupStateChanged { group, partition: by, state, .. } => {
                self.waits.retain(|wait| wait.node != node || wait.group != *group);
                if *state == GroupState::CompletingRebalance
                    && let Some((timeout, sessions)) = group_of(*by, group)
                {
                    self.waits.push(Wait { node, by: *by, group: group.clone(), since: now, timeout, sessions });
                }
            }
            // Who waits for its share is not silent: it is the coordinator that is.
            Event::MemberRemoved { group, member, why: RemovalReason::SessionExpired } => {
                let wait = self.waits.iter().find(|wait| wait.node == node && wait.group == *group)?;
                // A coordinator that stood still comes late to everything, and to the shorter time first.
                let (_, session) = wait.sessions.iter().find(|(id, _)| id == member)?;
                if *session <= wait.timeout {
                    return None;
                }
                let waited = now.since(wait.since);
                return (waited > wait.timeout + SLACK).then(|| (group.clone(), waited, wait.timeout));
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use trial_model::units::{LeaderEpoch, Offset, TopicId};

    use super::*;

    const BY: TopicPartition = TopicPartition { topic: TopicId(7), partition: 0 };

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn state(state: GroupState) -> Event {
        let (group, coordinator) = ("billing".into(), LeaderEpoch(1));
        Event::GroupStateChanged { group, partition: BY, coordinator, state, generation: 1, members: Vec::new() }
    }

    fn removed(why: RemovalReason) -> Event {
        Event::MemberRemoved { group: "billing".into(), member: MemberId("m".into()), why }
    }

    /// Whether it is noticed what the same coordinator said at these times, in milliseconds, if a rebalance may take a
    /// second.
    fn noticed(said: &[(u64, Event)]) -> bool {
        noticed_of(3, said)
    }

    /// The same of a member that may be silent for so many seconds.
    fn noticed_of(session: u64, said: &[(u64, Event)]) -> bool {
        let mut check = RebalancesAreBounded::default();
        let sessions = || vec![(MemberId("m".into()), Duration::from_secs(session))];
        let group_of = |_, _: &GroupId| Some((Duration::from_secs(1), sessions()));
        let mut all = said.iter().map(|(ms, event)| check.heard(NodeId(1), at(*ms), event, group_of));
        all.any(|late| late.is_some())
    }

    #[test]
    fn a_member_that_is_waited_for_until_its_session_is_over_is_noticed() {
        let begins = (100, state(GroupState::CompletingRebalance));
        let late = (2_000, removed(RemovalReason::SessionExpired));
        assert!(noticed(&[begins.clone(), late.clone()]));
        assert!(!noticed(&[begins.clone(), (900, removed(RemovalReason::SessionExpired))]));
        assert!(!noticed(&[begins.clone(), (2_000, removed(RemovalReason::SyncExpired))]));
        assert!(!noticed(&[begins.clone(), (300, state(GroupState::Stable)), late.clone()]));
        assert!(!noticed(&[begins, (1_200, state(GroupState::PreparingRebalance)), late]));
    }

    #[test]
    fn who_stood_still_may_come_late_to_a_session_that_was_shorter() {
        let begins = (100, state(GroupState::CompletingRebalance));
        let late = (8_000, removed(RemovalReason::SessionExpired));
        assert!(!noticed_of(1, &[begins.clone(), late.clone()]));
        assert!(noticed_of(2, &[begins, late]));
    }

    #[test]
    fn who_reads_its_groups_anew_waits_for_nobody() {
        let begins = (100, state(GroupState::CompletingRebalance));
        let unloaded = Event::CoordinatorUnloaded { partition: BY, epoch: LeaderEpoch(1) };
        let (end, groups) = (Offset::ZERO, 1);
        let loaded = Event::CoordinatorLoaded { partition: BY, epoch: LeaderEpoch(2), end, groups };
        for again in [unloaded, loaded] {
            let late = (2_000, removed(RemovalReason::SessionExpired));
            assert!(!noticed(&[begins.clone(), (300, again), late]));
        }
    }
}
