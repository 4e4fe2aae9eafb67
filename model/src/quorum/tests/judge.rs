//! What have members promised by what they said and did, and do they keep it?

use std::{format, string::String, vec::Vec};

use bytes::Bytes;

use super::cluster::{Cluster, MICRO, MILLI, Member};
use crate::{
    event::{Event, QuorumRole},
    machine::Effects,
    protocol::Request,
    quorum::{Committed, Context},
    units::{LeaderEpoch, NodeId, Offset},
};

impl Cluster {
    pub(super) fn fail(&mut self, why: String) {
        if self.broken.is_none() {
            self.broken = Some(format!("seed {} at {} ms: {why}", self.seed, self.now / MILLI));
        }
    }

    pub(super) fn hear_contact(&mut self, to: NodeId, from: NodeId, request: &Request) {
        if matches!(request, Request::Fetch(_) | Request::FetchSnapshot(_)) && self.voters.contains(from) {
            self.members.get_mut(&to).expect("a member").voter_contact.insert(from, self.now);
        }
    }

    /// Takes what became committed, as an application does.
    pub(super) fn poll(&mut self, id: NodeId, effects: &mut Effects) {
        let now = self.clocks();
        while let Some(committed) = self.members.get_mut(&id).expect("a member").quorum.poll() {
            match committed {
                Committed::Snapshot { end, bytes, .. } => self.apply_snapshot(id, end, &bytes),
                Committed::Records { range, epoch, values } => {
                    if self.members[&id].end != range.start {
                        self.fail(format!("{id} got {range:?} after {}", self.members[&id].end));
                    }
                    self.members.get_mut(&id).expect("a member").end = range.end;
                    if values.is_empty() {
                        self.agree(id, range.start, epoch, &Bytes::from_static(b"(leader change)"));
                    }
                    for (n, value) in values.into_iter().enumerate() {
                        self.apply(id, Offset(range.start.0 + n as u64), epoch, value);
                    }
                }
            }
        }
        let member = self.members.get_mut(&id).expect("a member");
        if member.end.0 > member.snapshot_at + 25 {
            member.snapshot_at = member.end.0;
            let image: Vec<(u64, &[u8])> = member.applied.iter().map(|(at, v)| (at.0, v.as_ref())).collect();
            let bytes = postcard::to_allocvec(&image).expect("numbers and bytes");
            let mut cx = Context { effects, correlation: &mut member.correlation };
            member.quorum.take_snapshot(now, member.end, bytes.into(), &mut cx);
        }
    }

    /// What one takes for committed at an offset, nobody takes for another.
    fn agree(&mut self, id: NodeId, at: Offset, epoch: LeaderEpoch, value: &Bytes) {
        let known = self.committed.entry(at).or_insert_with(|| (epoch, value.clone())).clone();
        if known != (epoch, value.clone()) {
            let (e, v) = known;
            self.fail(format!("{id} has {value:?} of epoch {epoch} at {at}, another {v:?} of {e}"));
        }
    }

    fn apply(&mut self, id: NodeId, at: Offset, epoch: LeaderEpoch, value: Bytes) {
        self.agree(id, at, epoch, &value);
        let life = self.members[&id].life;
        if self.members[&id].quorum.is_leader() {
            let mine =
                |w: &(NodeId, u32, Offset, Bytes)| w.0 == id && w.1 == life && w.2 == at && w.3 == value;
            if self.waiting.iter().any(mine) {
                self.acked.insert(at, value.clone());
            }
        }
        self.members.get_mut(&id).expect("a member").applied.insert(at, value);
    }

    fn apply_snapshot(&mut self, id: NodeId, end: Offset, bytes: &Bytes) {
        let Ok(image) = postcard::from_bytes::<Vec<(u64, &[u8])>>(bytes) else {
            return self.fail(format!("{id} has a snapshot to {end} of {} bytes that is none", bytes.len()));
        };
        let member = self.members.get_mut(&id).expect("a member");
        member.applied = image.into_iter().map(|(at, v)| (Offset(at), Bytes::copy_from_slice(v))).collect();
        member.end = end;
        member.snapshot_at = end.0;
        let wrong = member.applied.iter().any(|(at, v)| self.committed.get(at).is_none_or(|(_, c)| c != v));
        if wrong {
            self.fail(format!("{id}'s snapshot to {end} is not what was committed"));
        }
    }

    pub(super) fn judge(&mut self, id: NodeId, events: &[Event]) {
        for event in events {
            match event {
                Event::QuorumHighWatermarkAdvanced { from, to, leader, .. } => {
                    if to < from {
                        self.fail(format!("{id}'s high watermark went back from {from} to {to}"));
                    }
                    if *leader {
                        self.committed_end = self.committed_end.max(*to);
                    }
                }
                Event::QuorumRoleChanged { role, .. }
                    if !self.voters.contains(id)
                        && !matches!(role, QuorumRole::Unattached | QuorumRole::Follower) =>
                {
                    self.fail(format!("{id}, an observer, is {role}"));
                }
                Event::QuorumLeaderElected { log_end, .. } if *log_end < self.committed_end => {
                    let end = self.committed_end;
                    self.fail(format!("{id} leads with a log to {log_end}; {end} is committed"));
                }
                Event::Appended { base, epoch, crc, .. } => {
                    let known = *self.appended.entry((*epoch, *base)).or_insert(*crc);
                    if known != *crc {
                        self.fail(format!(
                            "{id} has another batch at {base} of epoch {epoch} than others had"
                        ));
                    }
                }
                Event::Truncated { to, high_watermark, .. } if to < high_watermark => {
                    self.fail(format!("{id} truncates to {to} below {high_watermark}"));
                }
                _ => {}
            }
        }
        let member = &self.members[&id];
        if member.quorum.is_leader() {
            let epoch = member.quorum.epoch();
            let known = *self.leaders.entry(epoch).or_insert(id);
            if known != id {
                self.fail(format!("{known} and {id} both lead epoch {epoch}"));
            }
        }
    }

    /// A leader from which no majority of voters has fetched for so long.
    pub(super) fn lonely_leader(&self, millis: u64) -> Option<NodeId> {
        let lately = |at: &u64| *at + millis * MILLI > self.now;
        let lonely = |m: &Member| {
            m.up && m.quorum.is_leader()
                && m.voter_contact.values().filter(|at| lately(at)).count() < self.voters.len() / 2
        };
        self.members.iter().find(|(_, m)| lonely(m)).map(|(id, _)| *id)
    }

    /// Whether everybody follows one leader and has everything that it has.
    pub(super) fn is_settled(&self) -> bool {
        let Some((id, leader)) =
            self.members.iter().find(|(_, m)| m.up && m.quorum.has_committed_own_epoch())
        else {
            return false;
        };
        self.members.values().all(|m| {
            m.up && m.quorum.leader() == Some(*id)
                && m.quorum.epoch() == leader.quorum.epoch()
                && m.end == leader.quorum.log_end()
        })
    }

    /// What does not hold once everything is well again.
    pub(super) fn judge_end(&mut self) {
        let short: Vec<String> = self
            .members
            .iter()
            .map(|(id, m)| {
                format!(
                    "{id} {} epoch {} hw {} end {}",
                    m.quorum.role(),
                    m.quorum.epoch(),
                    m.end,
                    m.quorum.log_end()
                )
            })
            .collect();
        if !self.is_settled() {
            self.fail(format!("nobody leads, or not everybody follows: {}", short.join("; ")));
        }
        let lost =
            |m: &Member| self.acked.iter().find(|(at, v)| m.applied.get(at) != Some(v)).map(|(at, _)| *at);
        if let Some((id, at)) = self.members.iter().find_map(|(id, m)| lost(m).map(|at| (*id, at))) {
            self.fail(format!("{id} does not have what was promised at {at}"));
        }
    }

    /// The last things that were told, as text.
    pub(super) fn trace(&self, last: usize) -> String {
        let from = self.told.len().saturating_sub(last);
        self.told[from..]
            .iter()
            .map(|(at, id, e)| format!("{:>9} {id} {} {e}\n", at / MICRO, e.kind().name()))
            .collect()
    }
}
