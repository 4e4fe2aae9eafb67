//! What holds of partitions whatever happens to brokers, in whatever order?

use alloc::vec::Vec;

use super::{
    decide::Question,
    fixture::Cluster,
    image::{Change, PartitionImage},
};
use crate::{
    protocol::{
        Request,
        topics::{ElectLeadersRequest, ElectionKind},
    },
    rng::Rng,
    time::Instant,
    units::{NodeId, TopicPartition},
};

const BROKERS: u32 = 4;
const UNCLEAN: (&str, &str) = ("unclean.leader.election.enable", "true");

struct Run {
    cluster: Cluster,
    rng: Rng,
    partitions: Vec<TopicPartition>,
    incarnation: u64,
    min_isr: usize,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut rng = Rng::named(seed, "controller/properties");
        let min_isr = rng.between(1, 3) as u32;
        let mut cluster = Cluster::of(BROKERS).set_min_isr(min_isr);
        cluster.config.eligible_leader_replicas_enable = rng.below(3) > 0;
        let partitions = [
            cluster.topic("orders", &[1, 2, 3], &[]),
            cluster.topic("audit", &[2, 3, 4], &[UNCLEAN]),
            cluster.topic("single", &[4], &[]),
        ];
        Run { cluster, rng, partitions: partitions.into(), incarnation: 100, min_isr: min_isr as usize }
    }

    fn happen(&mut self) {
        let nth = self.rng.between(1, BROKERS.into()) as u32;
        match self.rng.below(9) {
            0 | 1 => self.cluster.expire(nth),
            2 | 3 => {
                let _ = self.cluster.beat(nth);
            }
            4 => {
                let _ = self.cluster.heartbeat(nth, self.cluster.next, false, true);
            }
            5 => self.restart(nth),
            6 | 7 => self.propose(),
            _ => self.elect(),
        }
    }

    fn restart(&mut self, nth: u32) {
        if self.rng.below(2) == 0 {
            self.cluster.now = Instant(self.cluster.now.0 + 20_000_000_000);
        }
        self.incarnation += 1;
        let clean = self.rng.below(2) == 0;
        let previous = clean.then(|| self.cluster.epoch(nth));
        let _ = self.cluster.register(nth, self.incarnation, previous);
    }

    /// A leader proposes a set of replicas with itself in it: eligible or not, fresh or stale.
    fn propose(&mut self) {
        let Some(partition) = self.rng.pick(&self.partitions).copied() else { return };
        let state = self.cluster.state(partition).clone();
        let Some(leader) = state.leader else { return };
        let isr: Vec<u32> = (state.replicas.iter())
            .filter(|replica| **replica == leader || self.rng.below(2) == 0)
            .map(|replica| replica.nth())
            .collect();
        let mut proposal = self.cluster.proposal(partition, &isr);
        if self.rng.below(5) == 0 {
            proposal.partition_epoch.0 = proposal.partition_epoch.0.saturating_sub(1);
        }
        let _ = self.cluster.propose(leader.nth(), proposal);
    }

    fn elect(&mut self) {
        let kind = if self.rng.below(4) == 0 { ElectionKind::Unclean } else { ElectionKind::Preferred };
        let request = ElectLeadersRequest { kind, partitions: None, timeout: Default::default() };
        let question = match self.rng.below(2) {
            0 => Question::Balance,
            _ => Question::Request(Request::ElectLeaders(request)),
        };
        self.cluster.ask(question);
    }

    fn check(&self) {
        for partition in &self.partitions {
            self.check_state(self.cluster.state(*partition));
        }
        for change in &self.cluster.changes {
            if let Change::Partition { partition, before: Some(before) } = change {
                self.check_change(before, self.cluster.state(*partition));
            }
        }
    }

    fn check_state(&self, state: &PartitionImage) {
        let elr_enabled = self.cluster.config.eligible_leader_replicas_enable;
        let held = |replica: NodeId| state.replicas.contains(&replica);
        let active = |replica: NodeId| {
            self.cluster.image.broker(replica).is_some_and(super::image::BrokerImage::is_active)
        };
        assert!(state.isr.iter().chain(state.elr.iter()).all(held), "replicas alone are in sync or eligible");
        assert!(state.isr.iter().all(|replica| !state.elr.contains(replica)), "nobody is both");
        if state.isr.len() >= self.min_isr.min(state.replicas.len()) {
            assert!(state.elr.is_empty(), "nobody need be eligible while enough are in sync");
        }
        match state.leader {
            Some(leader) => {
                assert!(state.isr.contains(leader) && active(leader), "a leader is in sync and active");
                assert!(state.last_known_elr.is_empty(), "a leader is known, not remembered");
            }
            None => assert!(!state.isr.iter().any(active), "whoever may lead does"),
        }
        if elr_enabled {
            assert!(state.isr.iter().all(active), "KIP-841: no fenced or leaving broker is in sync");
            if state.isr.is_empty() && state.elr.is_empty() {
                assert_eq!(state.last_known_elr.len(), 1, "the last leader is remembered");
            }
        } else {
            assert!(!state.isr.is_empty() && state.elr.is_empty(), "the last member stays in sync");
        }
    }

    fn check_change(&self, before: &PartitionImage, after: &PartitionImage) {
        assert_eq!(after.partition_epoch, before.partition_epoch.next());
        let elected = before.leader != after.leader;
        assert!(after.leader_epoch == if elected { before.leader_epoch.next() } else { before.leader_epoch });
        if elected
            && let Some(leader) = after.leader
            && !before.isr.contains(leader)
            && !before.elr.contains(leader)
        {
            assert_eq!(
                after.recovery,
                super::record::LeaderRecovery::Recovering,
                "an unclean leader is marked"
            );
        }
    }
}

#[test]
fn whatever_happens_to_brokers_partitions_stay_sound() {
    for seed in 0..60 {
        let mut run = Run::new(seed);
        for _ in 0..150 {
            run.happen();
            run.check();
        }
        // In the end everybody comes back, and what can be led is.
        run.cluster.now = Instant(run.cluster.now.0 + 20_000_000_000);
        for nth in 1..=BROKERS {
            run.incarnation += 1;
            run.cluster.register(nth, run.incarnation, None).expect("all sessions are over");
        }
        for nth in 1..=BROKERS {
            run.cluster.beat(nth).expect("registered");
            run.check();
        }
        let led = |partition: &TopicPartition| run.cluster.state(*partition).leader.is_some();
        assert!(run.partitions.iter().all(led), "seed {seed}");
    }
}
