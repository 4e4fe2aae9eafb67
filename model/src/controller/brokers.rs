//! Who may be a broker, and when is it fenced, unfenced, and allowed to leave?
//!
//! KIP-631 (registration, heartbeats, fencing), KIP-841 (a fenced or leaving broker is in no ISR), KIP-966
//! (a broker that restarts without a clean shutdown is eligible for nothing).

use alloc::{vec, vec::Vec};

use super::{
    decide::{Context, View},
    image::BrokerImage,
    leaders,
    record::{BrokerRegistrationChangeRecord, Record, RegisterBrokerRecord},
};
use crate::{
    museum::Bug,
    protocol::{
        ErrorCode,
        broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerStanding},
        broker_registration::{BrokerRegistrationRequest, BrokerRegistrationResponse},
    },
    units::{BrokerEpoch, NodeId},
};

/// Registers a broker process, fenced, under a new epoch: the offset of the decision's first record.
///
/// The same process asking again, since it did not hear the answer, keeps its epoch and standing. A new one
/// is taken out of every ISR, and out of every set of eligible replicas unless it names the epoch of a clean
/// shutdown that is the one registered.
///
/// Refuses with `DuplicateBrokerRegistration` while another process of that id is alive.
pub(super) fn register(
    view: View<'_>,
    context: &Context<'_>,
    request: &BrokerRegistrationRequest,
) -> Result<(Vec<Record>, BrokerRegistrationResponse), ErrorCode> {
    let broker = request.broker;
    let existing = view.image.broker(broker);
    let same = existing.filter(|existing| existing.incarnation == request.incarnation);
    if existing.is_some() && same.is_none() && context.sessions.is_alive(context.now, broker) {
        return Err(ErrorCode::DuplicateBrokerRegistration);
    }
    // KAFKA-16952: a repeated registration was taken for a restart.
    let same = same.filter(|_| !view.museum.has(Bug::ReregisterBumpsBrokerEpoch));
    let (mut records, registration) = match same {
        Some(same) => (Vec::new(), *same),
        None => {
            let clean =
                existing.is_some_and(|existing| request.previous_broker_epoch == Some(existing.epoch));
            // A mutant: nobody asked how the last life ended.
            let clean = clean || view.museum.has(Bug::UncleanRestartCountsAsClean);
            // A mutant: a new life gets a new epoch.
            let former = existing.filter(|_| view.museum.has(Bug::BrokerEpochGoesBack));
            let registration = BrokerImage {
                epoch: former
                    .map_or(BrokerEpoch(context.next.0), |it| BrokerEpoch(it.epoch.0.saturating_sub(1))),
                incarnation: request.incarnation,
                clean,
                fenced: true,
                in_controlled_shutdown: false,
            };
            (restarted(view, broker, clean), registration)
        }
    };
    records.push(Record::RegisterBroker(RegisterBrokerRecord {
        broker,
        epoch: registration.epoch,
        incarnation: registration.incarnation,
        clean: registration.clean,
        fenced: registration.fenced,
        in_controlled_shutdown: registration.in_controlled_shutdown,
    }));
    Ok((records, BrokerRegistrationResponse { result: Ok(registration.epoch) }))
}

/// What the restart of a broker does to the partitions it holds.
fn restarted(view: View<'_>, broker: NodeId, clean: bool) -> Vec<Record> {
    // KAFKA-18106: a restart within the session left leaders and ISRs as they were, so that a leader that
    // had lost the end of its log went on in the same epoch.
    if view.museum.has(Bug::UncleanReregisterNoEpochBump) {
        return Vec::new();
    }
    if clean || !view.config.eligible_leader_replicas_enable {
        leaders::without(view, broker)
    } else {
        leaders::without_unclean(view, broker)
    }
}

/// How a broker stands after a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

/// Takes a sign of life, and what the broker wants: to be unfenced, to be fenced, or to leave.
///
/// It is unfenced once it has applied its own registration, not the end of the log, which may move as fast
/// as it follows (KAFKA-13959). It may leave once it leads nothing and every other active broker has
/// applied what moved its leaderships.
///
/// Refuses with `StaleBrokerEpoch` unless it names its registration.
pub(super) fn heartbeat(
    view: View<'_>,
    context: &Context<'_>,
    request: &BrokerHeartbeatRequest,
) -> Result<(Vec<Record>, BrokerHeartbeatResponse), ErrorCode> {
    let broker = request.broker;
    let registration = view.registered(broker, request.broker_epoch)?;
    let needed = if view.museum.has(Bug::UnfenceNeedsLogEnd) {
        // KAFKA-13959: with a steady stream of records the broker was always one fetch behind.
        context.next.0
    } else {
        registration.epoch.0 + 1
    };
    let caught_up = request.metadata_end.0 >= needed;
    let now = current(context, broker, registration);
    let next = following(view, context, request, now, caught_up);
    let records = match next {
        next if next == now => Vec::new(),
        Standing::Fenced | Standing::ShutdownNow => fence(view, broker),
        Standing::Unfenced => unfence(view, broker, registration.epoch),
        Standing::ControlledShutdown => begin_to_leave(view, broker, registration),
    };
    let standing = BrokerStanding {
        caught_up,
        fenced: matches!(next, Standing::Fenced | Standing::ShutdownNow),
        may_shut_down: next == Standing::ShutdownNow,
    };
    Ok((records, BrokerHeartbeatResponse { result: Ok(standing) }))
}

fn current(context: &Context<'_>, broker: NodeId, registration: &BrokerImage) -> Standing {
    if registration.fenced {
        Standing::Fenced
    } else if context.sessions.leaves_at(broker).is_some() {
        Standing::ControlledShutdown
    } else {
        Standing::Unfenced
    }
}

fn following(
    view: View<'_>,
    context: &Context<'_>,
    request: &BrokerHeartbeatRequest,
    now: Standing,
    caught_up: bool,
) -> Standing {
    let BrokerHeartbeatRequest { broker, want_fence, want_shutdown, .. } = *request;
    match now {
        Standing::Fenced if want_shutdown => Standing::ShutdownNow,
        Standing::Fenced if !want_fence && caught_up => Standing::Unfenced,
        Standing::Fenced => Standing::Fenced,
        Standing::Unfenced if want_fence && want_shutdown => Standing::ShutdownNow,
        Standing::Unfenced if want_fence => Standing::Fenced,
        Standing::Unfenced if !want_shutdown => Standing::Unfenced,
        Standing::Unfenced if leaders::leads_any(view, broker) => Standing::ControlledShutdown,
        Standing::Unfenced => Standing::ShutdownNow,
        Standing::ControlledShutdown if leaders::leads_any(view, broker) => now,
        Standing::ControlledShutdown => {
            let leaves_at = context.sessions.leaves_at(broker);
            if leaves_at.is_some_and(|end| end <= context.sessions.lowest_active()) {
                Standing::ShutdownNow
            } else {
                now
            }
        }
        Standing::ShutdownNow => now,
    }
}

/// Fences a broker: it leads nothing and is in no ISR. Nothing to do if it is fenced already.
pub(super) fn fence(view: View<'_>, broker: NodeId) -> Vec<Record> {
    let Some(registration) = view.image.broker(broker).filter(|registration| !registration.fenced) else {
        return Vec::new();
    };
    let mut records = leaders::without(view, broker);
    records.push(change(broker, registration.epoch, Some(true), None));
    records
}

fn unfence(view: View<'_>, broker: NodeId, epoch: BrokerEpoch) -> Vec<Record> {
    let mut records = vec![change(broker, epoch, Some(false), None)];
    // A mutant: what nobody leads is for it to lead.
    if !view.museum.has(Bug::UnfenceElectsNobody) {
        records.extend(leaders::with(view, broker));
    }
    records
}

fn begin_to_leave(view: View<'_>, broker: NodeId, registration: &BrokerImage) -> Vec<Record> {
    let mut records = Vec::new();
    if !registration.in_controlled_shutdown {
        records.push(change(broker, registration.epoch, None, Some(true)));
    }
    records.extend(leaders::without(view, broker));
    records
}

fn change(
    broker: NodeId,
    epoch: BrokerEpoch,
    fenced: Option<bool>,
    in_controlled_shutdown: Option<bool>,
) -> Record {
    Record::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker,
        epoch,
        fenced,
        in_controlled_shutdown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::fixture::{Cluster, broker, set},
        time::Instant,
        units::Offset,
    };

    #[test]
    fn a_broker_gets_the_offset_of_its_registration_as_epoch_and_begins_fenced() {
        let mut cluster = Cluster::of(0);
        let next = cluster.next;
        assert_eq!(cluster.register(1, 70, None), Ok(BrokerEpoch(next.0)));
        assert!(cluster.image.broker(broker(1)).is_some_and(|broker| broker.fenced && !broker.clean));
    }

    #[test]
    fn while_a_process_is_alive_no_other_takes_its_id() {
        let mut cluster = Cluster::of(1);
        assert_eq!(cluster.register(1, 99, None), Err(ErrorCode::DuplicateBrokerRegistration));
        cluster.now = Instant(10_000_000_000);
        assert!(cluster.register(1, 99, None).is_ok());
        assert_eq!(
            cluster.heartbeat(1, Offset::ZERO, false, false).map(|standing| standing.fenced),
            Ok(true)
        );
        // A registration of the former process that was on its way all the time.
        assert_eq!(cluster.register(1, 70, None), Err(ErrorCode::DuplicateBrokerRegistration));
    }

    /// KAFKA-16952: the same process that registers again keeps its epoch and stays unfenced.
    #[test]
    fn a_repeated_registration_changes_nothing() {
        let mut cluster = Cluster::of(1);
        let epoch = cluster.epoch(1);
        assert_eq!(cluster.register(1, 1, None), Ok(epoch));
        assert!(cluster.image.broker(broker(1)).is_some_and(|broker| !broker.fenced));
    }

    #[test]
    fn only_the_registered_epoch_is_heard() {
        let mut cluster = Cluster::of(1);
        assert_eq!(cluster.beat(2), Err(ErrorCode::StaleBrokerEpoch));
    }

    /// KAFKA-13959: a broker is unfenced once it has applied its own registration.
    #[test]
    fn a_broker_is_unfenced_when_it_has_applied_its_registration() {
        let mut cluster = Cluster::of(1);
        let epoch = cluster.register(2, 5, None).expect("a new broker");
        let _later = cluster.topic("orders", &[1], &[]);
        let behind = cluster.heartbeat(2, Offset(epoch.0), false, false).expect("registered");
        assert!(behind.fenced && !behind.caught_up);
        let waits = cluster.heartbeat(2, Offset(epoch.0 + 1), true, false).expect("registered");
        assert!(waits.fenced && waits.caught_up);
        let there = cluster.heartbeat(2, Offset(epoch.0 + 1), false, false).expect("registered");
        assert!(!there.fenced);
    }

    #[test]
    fn a_broker_leaves_when_its_leaderships_are_moved_and_everybody_knows() {
        let mut cluster = Cluster::of(3);
        let partition = cluster.topic("orders", &[1, 2, 3], &[]);
        let before = cluster.next;
        let first = cluster.heartbeat(1, before, false, true).expect("registered");
        assert!(!first.may_shut_down && !first.fenced);
        assert!(cluster.image.broker(broker(1)).is_some_and(|broker| broker.in_controlled_shutdown));
        assert_eq!(cluster.state(partition).leader, Some(broker(2)));
        assert_eq!(cluster.state(partition).isr, set(&[2, 3]));
        // Nobody else has heard of it yet.
        assert!(cluster.heartbeat(1, before, false, true).is_ok_and(|standing| !standing.may_shut_down));
        cluster.beat(2).expect("registered");
        assert!(cluster.heartbeat(1, before, false, true).is_ok_and(|standing| !standing.may_shut_down));
        cluster.beat(3).expect("registered");
        let last = cluster.heartbeat(1, before, false, true).expect("registered");
        assert!(last.may_shut_down && last.fenced);
    }

    #[test]
    fn one_that_leads_nothing_leaves_at_once_and_so_does_a_fenced_one() {
        let mut cluster = Cluster::of(2);
        assert!(cluster.heartbeat(1, cluster.next, false, true).is_ok_and(|standing| standing.may_shut_down));
        cluster.expire(2);
        assert!(cluster.heartbeat(2, cluster.next, false, true).is_ok_and(|standing| standing.may_shut_down));
        assert!(cluster.records.is_empty());
    }

    /// KIP-966: "the broker includes its previous broker epoch" to show that it shut down cleanly.
    #[test]
    fn a_clean_restart_stays_eligible() {
        for clean in [true, false] {
            let mut cluster = Cluster::of(2).set_min_isr(2);
            let partition = cluster.topic("orders", &[1, 2], &[]);
            let epoch = cluster.epoch(2);
            cluster.expire(2);
            cluster.register(2, 50, clean.then_some(epoch)).expect("its session is over");
            assert_eq!(cluster.state(partition).elr, if clean { set(&[2]) } else { set(&[]) });
        }
    }

    /// KAFKA-18106: what was a leader before a restart leads no more in that epoch.
    #[test]
    fn a_restart_that_nobody_noticed_still_ends_the_leadership() {
        let mut cluster = Cluster::of(2);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        cluster.now = Instant(10_000_000_000);
        cluster.register(1, 60, None).expect("its session is over");
        let state = cluster.state(partition);
        assert_eq!((state.leader, state.leader_epoch.0, &state.isr), (Some(broker(2)), 1, &set(&[2])));
    }

    #[cfg(feature = "museum")]
    #[test]
    fn what_the_museum_forgets() {
        let mut cluster = Cluster::of(2).planted(Bug::UncleanReregisterNoEpochBump);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        cluster.now = Instant(10_000_000_000);
        cluster.register(1, 60, None).expect("its session is over");
        assert_eq!(cluster.state(partition).leader, Some(broker(1)));

        let mut cluster = Cluster::of(1).planted(Bug::ReregisterBumpsBrokerEpoch);
        let epoch = cluster.epoch(1);
        assert!(cluster.register(1, 1, None).is_ok_and(|again| again > epoch));

        let mut cluster = Cluster::of(1).planted(Bug::UnfenceNeedsLogEnd);
        let epoch = cluster.register(2, 5, None).expect("a new broker");
        let _later = cluster.topic("orders", &[1], &[]);
        let there = cluster.heartbeat(2, Offset(epoch.0 + 1), false, false);
        assert!(there.is_ok_and(|standing| standing.fenced));
    }
}
