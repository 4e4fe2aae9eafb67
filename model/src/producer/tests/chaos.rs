//! Whatever a network and leaders do to it, does an idempotent producer write every record at most once and
//! in order, and tell the truth about it?

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::*;
use crate::{
    log::producers::{ProducerBatch, Producers, Verdict},
    units::RecordCount,
};

/// The log of partition 0, which every leader has, and what may happen on the way to it.
struct World {
    script: Script<Producer>,
    rng: Rng,
    log: Vec<u64>,
    producers: Producers,
    /// Requests whose connection broke: a broker may read them yet, or not.
    adrift: Vec<Question>,
    leader: (u32, u32),
    ids: u64,
    sent: u64,
    acked: BTreeMap<u64, Option<u64>>,
    failed: BTreeMap<u64, bool>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut short = config();
        short.delivery_timeout_ms = core::time::Duration::from_secs(3);
        short.request_timeout_ms = core::time::Duration::from_millis(800);
        World {
            script: Script::start(Producer::new(setup(Museum::CLOSED), short)),
            rng: Rng::named(seed, "chaos"),
            log: Vec::new(),
            producers: Producers::new(Offset(0)),
            adrift: Vec::new(),
            leader: (2, 5),
            ids: 70,
            sent: 0,
            acked: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    /// What a leader does with a batch.
    fn append(&mut self, question: &Question) -> Answer {
        let batch = batch(question);
        let stamp = batch.header().producer.expect("it is idempotent");
        let count = RecordCount(u64::from(batch.header().record_count));
        match self.producers.judge(stamp, count)? {
            Verdict::Duplicate(known) => Ok(known.base.0),
            Verdict::Next => {
                let base = self.log.len() as u64;
                let mut appended = batch.clone();
                appended.assign(Offset(base), LeaderEpoch(self.leader.1));
                self.producers.append(stamp.id, stamp.epoch, ProducerBatch::of(&appended, stamp));
                self.log.extend(values(question).iter().map(|value| {
                    value.trim_start_matches("record ").parse::<u64>().expect("every value is a number")
                }));
                Ok(base)
            }
        }
    }

    /// A broker deals with the oldest question it has been asked.
    fn serve(&mut self, kindly: bool) {
        let Some(first) = self.script.questions.first() else { return };
        let to = first.to;
        let question = self.script.questions.remove(0);
        match &question.request {
            Request::Metadata(_) => {
                self.script.questions.insert(0, question);
                let leaders = [self.leader, (3, 5)];
                self.script.metadata(&leaders);
            }
            Request::InitProducerId(_) => {
                self.script.questions.insert(0, question);
                self.ids += 1;
                name(&mut self.script, self.ids, 0);
            }
            Request::Produce(_) if to.nth() != self.leader.0 => {
                let hint = LeaderHint {
                    leader: Some(NodeId::broker(self.leader.0)),
                    epoch: LeaderEpoch(self.leader.1),
                };
                let hint = (kindly || self.happens(50)).then_some(hint);
                answer_with(&mut self.script, &question, Err(ErrorCode::NotLeaderOrFollower), hint);
            }
            _ => {
                let fate = if kindly { 100 } else { self.rng.below(100) };
                let result = match fate {
                    0..12 => Err(ErrorCode::NotEnoughReplicas),
                    12..15 => Err(ErrorCode::InvalidRecord),
                    15..17 => Err(ErrorCode::UnknownServerError),
                    17..25 => self.append(&question).and(Err(ErrorCode::RequestTimedOut)),
                    25..30 => self.append(&question).and(Err(ErrorCode::NotLeaderOrFollower)),
                    30..32 => self.append(&question).and(Err(ErrorCode::UnknownServerError)),
                    _ => self.append(&question),
                };
                answer(&mut self.script, &question, result);
            }
        }
    }

    fn act(&mut self) {
        match self.rng.below(100) {
            0..30 => {
                self.sent += 1;
                let tag = self.sent;
                self.script.tell(Command::Send(record(tag)));
            }
            30..75 => self.serve(false),
            75..80 => {
                let broker = self.rng.between(1, 3) as u32;
                let lost = self.script.questions.iter().filter(|q| q.to == NodeId::broker(broker));
                self.adrift.extend(lost.filter(|q| q.request.api() == ApiKey::Produce).cloned());
                self.script.disconnect(broker);
            }
            80..85 if !self.adrift.is_empty() => {
                let late = self.adrift.remove(0);
                // No producer can guard against a copy of what it has given up that is read only after what
                // follows was refused; neither can Kafka's.
                let given_up = self.failed.keys().any(|tag| values(&late).contains(&format!("record {tag}")));
                if late.to.nth() == self.leader.0 && !given_up && self.happens(60) {
                    let _ = self.append(&late);
                }
            }
            85..88 => self.leader = (self.rng.between(1, 3) as u32, self.leader.1 + 1),
            _ => {
                let asked: Vec<Question> = self.script.questions.clone();
                let millis = self.rng.between(1, 400);
                self.script.pass(millis);
                // What has timed out may still be read.
                let still: BTreeSet<_> = self.script.questions.iter().map(|q| q.correlation).collect();
                let gone = asked.into_iter().filter(|q| !still.contains(&q.correlation));
                self.adrift.extend(gone.filter(|q| q.request.api() == ApiKey::Produce));
            }
        }
        self.listen();
    }

    fn listen(&mut self) {
        for event in self.script.told_of(EventKind::RecordAcked) {
            if let Event::RecordAcked { tag, offset, .. } = event {
                assert_eq!(self.acked.insert(tag.0, offset.map(|o| o.0)), None, "told once");
            }
        }
        for (tag, _, maybe) in failed(&mut self.script) {
            assert_eq!(self.failed.insert(tag, maybe), None, "told once");
        }
    }

    /// Everything is well again, until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..400 {
            self.serve(true);
            self.script.pass(20);
            self.listen();
        }
        assert!(self.script.client.accumulator.is_empty(), "everything came to an end");
    }

    fn judge(&self, seed: u64) {
        assert!(self.log.is_sorted_by(|a, b| a < b), "seed {seed}: in order, and none twice: {:?}", self.log);
        for tag in 1..=self.sent {
            let at = self.log.iter().position(|logged| *logged == tag);
            match (self.acked.get(&tag), self.failed.get(&tag)) {
                (Some(offset), None) => {
                    assert!(at.is_some(), "seed {seed}: {tag} was acknowledged");
                    if let Some(offset) = offset {
                        assert_eq!(at, Some(*offset as usize), "seed {seed}: {tag}");
                    }
                }
                (None, Some(false)) => assert_eq!(at, None, "seed {seed}: {tag} is not there for sure"),
                (None, Some(true)) => {}
                told => panic!("seed {seed}: {tag}: {told:?}"),
            }
        }
    }
}

#[test]
fn records_are_written_at_most_once_and_in_order() {
    let (mut acked, mut unknown) = (0, 0);
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..250 {
            world.act();
        }
        world.settle();
        world.judge(seed);
        acked += world.acked.len();
        unknown += world.failed.values().filter(|maybe| **maybe).count();
    }
    assert!(acked > 5_000 && unknown > 200, "it was neither too easy nor too hard: {acked}, {unknown}");
}

#[test]
fn a_new_record_is_written_after_everything_has_calmed_down() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.act();
        }
        world.settle();
        world.sent += 1;
        world.script.tell(Command::Send(record(world.sent)));
        world.settle();
        assert!(world.acked.contains_key(&world.sent), "seed {seed}");
    }
}
