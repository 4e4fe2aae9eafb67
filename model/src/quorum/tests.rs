//! Do members keep what Raft promises, whatever the network, the disks and the power do?

mod cluster;
mod disk;
mod judge;

use core::time::Duration;
use std::{eprintln, string::String, vec, vec::Vec};

use self::cluster::Cluster;
use crate::{
    event::{Event, QuorumRole},
    machine::Halt,
    museum::Museum,
    protocol::ErrorCode,
    units::{NodeId, Ratio},
};

/// One run: twenty seconds of trouble while a client writes, then calm, then everybody is asked.
fn trouble(seed: u64, museum: Museum) -> Result<Cluster, String> {
    let voters = if seed.is_multiple_of(3) { 5 } else { 3 };
    let first = seed.is_multiple_of(4).then_some(Duration::from_millis(10));
    let mut cluster = Cluster::hurried(seed, voters, 1 + (seed % 2) as u32, museum, first);
    let mut calm_at = 0;
    for _ in 0..400 {
        cluster.run(50);
        cluster.send_one();
        calm_at += 1;
        if cluster.rng.chance(Ratio(1, 6)) {
            misfortune(&mut cluster);
        }
    }
    cluster.heal();
    for _ in 0..200 {
        cluster.run(50);
        if cluster.is_settled() && calm_at > 0 {
            break;
        }
    }
    cluster.send_one();
    cluster.run(3_000);
    cluster.judge_end();
    match cluster.broken.clone() {
        Some(broken) => Err(std::format!("{broken}\n{}", cluster.trace(60))),
        None => Ok(cluster),
    }
}

/// Something goes wrong, or is mended.
fn misfortune(cluster: &mut Cluster) {
    let ids: Vec<NodeId> = cluster.members.keys().copied().collect();
    let one = *cluster.rng.pick(&ids).expect("there are members");
    let other = *cluster.rng.pick(&ids).expect("there are members");
    match cluster.rng.below(13) {
        0 | 1 => cluster.kill(one, false),
        2 => cluster.kill(one, true),
        3 => ids.iter().for_each(|id| cluster.kill(*id, true)),
        4 | 5 => {
            cluster.cut.insert((one, other));
        }
        6 => {
            for id in ids {
                cluster.cut.insert((one, id));
                cluster.cut.insert((id, one));
            }
        }
        7 => cluster.loss = Ratio(cluster.rng.below(30), 100),
        8 => cluster.disk_micros = cluster.rng.between(100, 60_000),
        9 => cluster.cut.clear(),
        10 => blink(cluster),
        _ => ids.iter().for_each(|id| cluster.restart(*id)),
    }
}

/// The leader loses its power for a moment, perhaps while it writes.
fn blink(cluster: &mut Cluster) {
    let Some(leader) = cluster.leader() else { return };
    let (before, dark) = (cluster.rng.between(4, 20), cluster.rng.between(1, 100));
    cluster.run(before);
    cluster.kill(leader, true);
    cluster.run(dark);
    cluster.restart(leader);
}

#[test]
fn promises_hold_in_every_trouble() {
    let (mut acked, mut epochs) = (0, 0);
    for seed in 0..200 {
        match trouble(seed, Museum::CLOSED) {
            Ok(cluster) => {
                acked += cluster.acked.len();
                epochs += cluster.members[&NodeId::controller(1)].quorum.epoch().0;
            }
            Err(why) => panic!("{why}"),
        }
    }
    eprintln!("{acked} records acknowledged, {epochs} epochs");
    assert!(acked > 20_000, "the trouble must leave something to promise: {acked}");
    assert!(epochs > 1_000, "the trouble must make leaders change: {epochs}");
}

/// A quorum that has a leader, and that leader.
fn settled(seed: u64, museum: Museum) -> (Cluster, NodeId) {
    let mut cluster = Cluster::new(seed, 3, 1, museum);
    cluster.run(3_000);
    assert!(cluster.is_settled(), "{}", cluster.trace(40));
    let leader = cluster.members.values().find_map(|m| m.quorum.leader()).expect("settled");
    (cluster, leader)
}

#[test]
fn the_first_election_is_as_soon_as_is_set_and_no_later_one() {
    let first = Some(Duration::from_millis(20));
    let within = |seed, first, millis| {
        let mut cluster = Cluster::hurried(seed, 3, 0, Museum::CLOSED, first);
        cluster.run_until(millis, |cluster| cluster.leader().is_some()).then_some(cluster)
    };
    // Two in three at most wait for less than twice that, and none for less than an election timeout if nothing is set.
    assert!((0..20).all(|seed| within(seed, None, 199).is_none()));
    let soon = (0..20).filter_map(|seed| within(seed, first, 100)).collect::<Vec<_>>();
    assert!(soon.len() >= 18, "{} of 20 elected a leader within 100 ms", soon.len());
    let mut undisturbed = 0;
    for mut cluster in soon {
        // Whoever lost it may rest for no time and win the next: that is as ever.
        cluster.run(500);
        let leader = cluster.leader().expect("one of them leads");
        undisturbed += u32::from(cluster.members[&leader].quorum.epoch().0 == 1);
        cluster.kill(leader, false);
        // The others are in an epoch: they wait for the leader as ever, and it is as long as a fetch timeout.
        assert!(!cluster.run_until(300, |cluster| cluster.leader().is_some()), "{}", cluster.trace(40));
        assert!(cluster.run_until(5_000, |cluster| cluster.leader().is_some()), "{}", cluster.trace(40));
    }
    assert!(undisturbed >= 15, "{undisturbed} of 20 first elections were the only ones");
}

#[test]
fn who_is_too_far_for_the_first_election_waits_for_longer_every_time() {
    // Alone, it asks again and again, and ever less often.
    let mut cluster = Cluster::hurried(9, 3, 0, Museum::CLOSED, Some(Duration::from_millis(2)));
    for far in [2, 3].map(NodeId::controller) {
        cluster.kill(far, false);
    }
    cluster.run(4_000);
    let asked = cluster.told.iter().filter(|(_, id, event)| {
        *id == NodeId::controller(1)
            && matches!(event, Event::QuorumRoleChanged { role: QuorumRole::Prospective, .. })
    });
    let times: Vec<u64> = asked.map(|(at, ..)| *at).collect();
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.first().is_some_and(|wait| *wait < 40_000_000), "{waits:?}");
    assert!(waits.iter().rev().take(5).all(|wait| *wait >= 400_000_000), "{waits:?}");
}

/// Cuts `one` off from every other voter.
fn cut_off(cluster: &mut Cluster, one: NodeId) {
    for other in (1..=5).map(NodeId::controller) {
        cluster.cut.insert((one, other));
        cluster.cut.insert((other, one));
    }
}

#[test]
fn a_leader_from_which_no_majority_fetches_steps_down() {
    let (mut cluster, leader) = settled(1, Museum::CLOSED);
    cut_off(&mut cluster, leader);
    // One and a half fetch timeouts.
    cluster.run(620);
    assert_eq!(cluster.lonely_leader(600), None, "{}", cluster.trace(40));
    cluster.run(2_000);
    let others = cluster.members.values().filter(|m| m.quorum.leader().is_some_and(|l| l != leader)).count();
    assert!(others >= 2, "the others have elected one of themselves: {}", cluster.trace(40));
}

#[test]
fn a_voter_that_was_cut_off_comes_back_without_raising_the_epoch() {
    let (mut cluster, leader) = settled(2, Museum::CLOSED);
    let follower =
        [1, 2, 3].map(NodeId::controller).into_iter().find(|id| *id != leader).expect("two others");
    let epoch = cluster.members[&leader].quorum.epoch();
    cut_off(&mut cluster, follower);
    cluster.run(5_000);
    cluster.cut.clear();
    cluster.run(2_000);
    assert!(cluster.is_settled(), "{}", cluster.trace(40));
    assert_eq!(cluster.members[&leader].quorum.epoch(), epoch, "KIP-996");
}

#[test]
fn a_leader_that_resigns_hands_over_at_once() {
    let (mut cluster, leader) = settled(3, Museum::CLOSED);
    cluster.step(leader, |quorum, now, cx| quorum.shut_down(now, cx));
    // Far less than a fetch timeout: the most caught up stands as soon as it is told.
    cluster.run(150);
    let quorum = &cluster.members[&leader].quorum;
    assert!(quorum.may_stop(), "{}", cluster.trace(40));
    assert_ne!(quorum.leader(), Some(leader));
}

#[test]
fn an_append_is_refused_where_nobody_leads() {
    let (mut cluster, leader) = settled(4, Museum::CLOSED);
    let follower =
        [1, 2, 3].map(NodeId::controller).into_iter().find(|id| *id != leader).expect("two others");
    let mut refused = None;
    cluster.step(follower, |quorum, now, cx| refused = quorum.append(now, vec!["x".into()], cx).err());
    assert_eq!(refused, Some(ErrorCode::NotController));
}

#[test]
fn a_leader_whose_disk_fails_halts_and_another_leads() {
    let (mut cluster, leader) = settled(5, Museum::CLOSED);
    cluster.ailing = Some(leader);
    cluster.send_one();
    cluster.run(50);
    assert!(!cluster.members[&leader].up, "it halts: {}", cluster.trace(20));
    let failed = |(_, id, event): &(u64, NodeId, Event)| {
        *id == leader && matches!(event, Event::Halted { why: Halt::DiskFailed })
    };
    assert!(cluster.told.iter().any(failed));
    cluster.run(3_000);
    assert!(cluster.leader().is_some_and(|id| id != leader), "{}", cluster.trace(40));
}

#[test]
fn the_leader_tells_how_the_quorum_stands() {
    let (mut cluster, leader) = settled(6, Museum::CLOSED);
    cluster.send_one();
    cluster.run(300);
    let quorum = &cluster.members[&leader].quorum;
    let description = quorum.describe(cluster.clocks());
    assert_eq!(description.error, None);
    assert_eq!((description.leader, description.epoch), (Some(leader), quorum.epoch()));
    assert_eq!(description.high_watermark, quorum.log_end());
    let voters: Vec<_> = (1..=3).map(|nth| (NodeId::controller(nth), quorum.log_end())).collect();
    assert_eq!(description.voters, voters);
    assert_eq!(description.observers.as_slice(), [NodeId::broker(1)]);

    let follower = &cluster.members[&NodeId::broker(1)].quorum;
    assert_eq!(follower.describe(cluster.clocks()).error, Some(ErrorCode::NotLeaderOrFollower));
}

#[test]
fn a_voter_alone_elects_itself_and_commits() {
    let mut cluster = Cluster::new(7, 1, 1, Museum::CLOSED);
    assert!(cluster.run_until(2_000, Cluster::is_settled), "{}", cluster.trace(40));
    for _ in 0..50 {
        cluster.send_one();
        cluster.run(50);
    }
    cluster.kill(NodeId::controller(1), true);
    cluster.restart(NodeId::controller(1));
    cluster.run(2_000);
    cluster.judge_end();
    assert_eq!(cluster.broken, None);
    assert!(cluster.acked.len() > 50, "{} records", cluster.acked.len());
}

/// The schedule of figure 8 in the paper on Raft: a record of a former epoch reaches a majority under a new
/// leader, who dies before a record of its own epoch does; and one comes back with a shorter log that is newer.
///
/// What broke by it; `None` if chance did not let it come about.
fn figure_8(seed: u64, museum: Museum) -> Option<Result<(), String>> {
    let mut cluster = Cluster::new(seed, 5, 0, museum);
    assert!(cluster.run_until(9_000, Cluster::is_settled));
    let first = cluster.leader()?;
    // One record, as large as a fetch, stays with the first leader.
    cut_off(&mut cluster, first);
    cluster.step(first, |quorum, now, cx| {
        quorum.append(now, vec![vec![7; 900].into()], cx).expect("it leads still");
    });
    cluster.run(50);
    cluster.kill(first, false);
    // The leader change of the second stays with the second.
    cluster.run_until(5_000, |c| c.leader().is_some());
    let second = cluster.leader()?;
    cut_off(&mut cluster, second);
    cluster.run(15);
    cluster.kill(second, false);
    // The first leads again: of three that are up, the others have shorter logs.
    cluster.cut.clear();
    let third = cluster.members.keys().copied().find(|id| ![first, second].contains(id))?;
    cluster.kill(third, false);
    cluster.restart(first);
    if !cluster.run_until(9_000, |c| c.leader() == Some(first)) {
        return None;
    }
    // It dies as soon as it takes anything more for committed.
    let old = cluster.members[&first].quorum.high_watermark();
    cluster.run_until(9_000, |c| c.members[&first].quorum.high_watermark() > old);
    cluster.kill(first, false);
    // Then the second is back, and leads if it can.
    cluster.restart(second);
    cluster.run(3_000);
    cluster.heal();
    cluster.run(5_000);
    cluster.judge_end();
    Some(cluster.broken.map_or(Ok(()), Err))
}

#[test]
fn a_record_of_a_former_epoch_is_not_committed_by_counting() {
    let came_about: Vec<_> = (0..30).filter_map(|seed| figure_8(seed, Museum::CLOSED)).collect();
    assert!(came_about.len() > 5, "chance lets it come about sometimes");
    assert!(came_about.iter().all(Result::is_ok), "{came_about:?}");
}

/// The mistakes of the past, each found by a promise that it breaks.
#[cfg(feature = "museum")]
mod museum {
    use super::*;
    use crate::museum::Bug;

    /// What the first of so many seeds says that `bug` breaks, where nothing breaks without it.
    fn broken_by(bug: Bug, seeds: u64) -> String {
        let planted = Museum::CLOSED.with(bug);
        (0..seeds)
            .find_map(|seed| Some((seed, trouble(seed, planted).err()?)))
            .map(|(seed, why)| {
                assert!(trouble(seed, Museum::CLOSED).is_ok(), "seed {seed} fails by itself");
                why
            })
            .unwrap_or_else(|| panic!("{seeds} seeds do not find {}", bug.slug()))
    }

    #[test]
    fn leader_resumes_same_epoch() {
        broken_by(Bug::LeaderResumesSameEpoch, 200);
    }

    #[test]
    fn restarted_leader_votes_in_own_epoch() {
        broken_by(Bug::RestartedLeaderVotesInOwnEpoch, 3_000);
    }

    #[test]
    fn raft_ack_before_flush() {
        broken_by(Bug::RaftAckBeforeFlush, 200);
    }

    #[test]
    fn hw_before_own_epoch_record() {
        let planted = Museum::CLOSED.with(Bug::HwBeforeOwnEpochRecord);
        let broken = (0..30).filter_map(|seed| figure_8(seed, planted)?.err()).count();
        assert!(broken > 0, "a committed record is overwritten");
    }

    #[test]
    fn snapshot_file_not_synced() {
        broken_by(Bug::SnapshotFileNotSynced, 200);
    }

    #[test]
    fn observer_becomes_candidate() {
        broken_by(Bug::ObserverBecomesCandidate, 200);
    }

    #[test]
    fn no_check_quorum() {
        let (mut cluster, leader) = settled(1, Museum::CLOSED.with(Bug::NoCheckQuorum));
        cut_off(&mut cluster, leader);
        cluster.run(620);
        assert_eq!(cluster.lonely_leader(600), Some(leader));
    }
}
