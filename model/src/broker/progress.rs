//! What follows when a replica's log, high watermark or ISR has moved?
//!
//! The one place where movement is turned into consequences: who is acknowledged, who may read on, who
//! joins the ISR. It touches only the replica that moved and those who wait for it.

use super::{
    Broker, Timer,
    replicas::{Slot, Waiter},
};
use crate::{
    controller::image::Image,
    disk::DiskReply,
    event::Event,
    log::Progress,
    machine::{ConnectionId, Effects},
    partition::leader::Remote,
    protocol::{ErrorCode, alter_partition::IsrProposal},
    time::Now,
    units::{NodeId, NodeSet, Offset},
};

/// Whether a follower may be in sync: its broker is neither fenced nor about to leave, and it fetches as the
/// process that is registered. KIP-841, KIP-903.
pub(super) fn may_join(image: &Image, remote: &Remote) -> bool {
    image.broker(remote.id).is_some_and(|broker| {
        broker.is_active() && remote.broker_epoch.is_none_or(|epoch| epoch == broker.epoch)
    })
}

impl Broker {
    /// The disk has answered about a log.
    pub(super) fn on_log_disk(&mut self, now: Now, slot: Slot, reply: &DiskReply, effects: &mut Effects) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let before = replica.partition.log.written();
        let outcome = replica.partition.log.on_disk(now, reply, &mut effects.disk, &mut effects.events);
        match outcome {
            Err(error) => self.disk_failed(reply, error, effects),
            Ok(Progress { written, flushed, cold, truncated, cleaned }) => {
                if truncated {
                    self.note_cleaned(slot, effects);
                    self.truncated(now, slot, effects);
                }
                if cleaned {
                    self.cleaned(now, slot, effects);
                }
                if written {
                    self.written(now, slot, before, effects);
                }
                if flushed {
                    self.checkpoints.recovery_points_moved = true;
                }
                if let Some(done) = cold {
                    self.on_cold(now, slot, done, effects);
                }
                self.watch_log(Some(slot));
            }
        }
    }

    /// A cut that had to look at the disk has ended.
    fn truncated(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        replica.partition.bound_high_watermark();
        let partition = replica.partition.id();
        self.fetchers.moved(partition);
        self.fetchers.written(partition);
        // What the controller said meanwhile had to wait.
        self.reconcile(now, partition, effects);
    }

    /// A log has more written than before.
    fn written(&mut self, now: Now, slot: Slot, before: Offset, effects: &mut Effects) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let written = replica.partition.log.written();
        let partition = replica.partition.id();
        if replica.partition.leader().is_some() {
            self.note_who_was_level(slot, before);
            self.release_written(slot, written, effects);
            self.wake_readers(slot, true);
            self.advance(now, slot, effects);
        } else if replica.partition.follower().is_some() {
            let settled = written == replica.partition.log.end();
            self.adopt_high_watermark(now, slot, effects);
            if settled {
                self.fetchers.written(partition);
            }
        }
    }

    /// Followers that had everything up to `end` and have not said otherwise since were level with us until
    /// their last fetch: an incremental fetch does not name them.
    fn note_who_was_level(&mut self, slot: Slot, end: Offset) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let Some(leader) = replica.partition.leader_mut() else { return };
        for (connection, _) in &replica.readers {
            let Some(session) = self.sessions.get(*connection) else { continue };
            let Some(state) = session.replica else { continue };
            if let Some(remote) = leader.remote_mut(state.replica) {
                remote.was_level(end, session.asked_at);
            }
        }
    }

    fn release_written(&mut self, slot: Slot, written: Offset, effects: &mut Effects) {
        while let Some(replica) = self.replicas.get_mut(slot)
            && replica.until_written.front().is_some_and(|waiter| waiter.until <= written)
            && let Some(waiter) = replica.until_written.pop_front()
        {
            self.settle_produce(slot, waiter, Ok(()), effects);
        }
    }

    fn release_committed(&mut self, slot: Slot, effects: &mut Effects) {
        let museum = self.museum();
        while let Some(replica) = self.replicas.get_mut(slot)
            && let Some(waiter) = replica.until_committed.front()
            && let Some(result) = replica.partition.acknowledges(waiter.until, museum)
            && let Some(waiter) = replica.until_committed.pop_front()
        {
            self.settle_produce(slot, waiter, result.map_err(|error| (error, None)), effects);
        }
    }

    /// Moves a leader's high watermark as far as it may go, with what follows.
    pub(super) fn advance(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        let (museum, max_lag) = (self.museum(), self.config.replica_lag_time_max_ms);
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let image = &self.metadata.image;
        let eligible = |remote: &Remote| may_join(image, remote);
        if replica.partition.advance(now, max_lag, eligible, museum, &mut effects.events) {
            self.checkpoints.high_watermarks_moved = true;
            self.coordinators.high_watermark_moved(slot);
            self.release_committed(slot, effects);
            self.wake_readers(slot, false);
        }
    }

    /// Takes over what the leader said of its high watermark and log start, as far as our log allows.
    pub(super) fn adopt_high_watermark(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        if replica.partition.adopt_high_watermark(&mut effects.events) {
            self.checkpoints.high_watermarks_moved = true;
        }
        let Some(start) = replica.partition.follower().and_then(|follower| follower.leader_log_start) else {
            return;
        };
        if start > replica.partition.log.start() {
            replica.partition.advance_start(now, start, crate::event::LogStartReason::Leader, effects);
            self.checkpoints.log_starts_moved = true;
            // The leader wants to know: DeleteRecords waits for it.
            let partition = replica.partition.id();
            self.fetchers.moved(partition);
        }
    }

    /// Something new may be there for those who read a replica: for `replicas` the log's end, for consumers
    /// the high watermark. Followers hear of a high watermark with their next answer.
    fn wake_readers(&mut self, slot: Slot, replicas: bool) {
        let Some(replica) = self.replicas.get(slot) else { return };
        for (connection, at) in &replica.readers {
            let Some(session) = self.sessions.get_mut(*connection) else { continue };
            if session.replica.is_some() == replicas {
                self.sessions.mark(*connection, *at);
            } else if !replicas {
                session.mark(*at);
            }
        }
    }

    /// A replica is not what it was: whoever reads it is to be told.
    pub(super) fn wake_all_readers(&mut self, slot: Slot) {
        let Some(replica) = self.replicas.get(slot) else { return };
        for (connection, at) in &replica.readers {
            self.sessions.mark(*connection, *at);
        }
    }

    /// A session does not read a replica any more.
    pub(super) fn stop_reading(&mut self, connection: ConnectionId, at: u32, slot: Slot) {
        if let Some(replica) = self.replicas.get_mut(slot) {
            replica.readers.retain(|reader| *reader != (connection, at));
        }
    }

    /// Nobody is acknowledged any more by a replica that does not lead.
    pub(super) fn fail_waiters(&mut self, slot: Slot, error: ErrorCode, effects: &mut Effects) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let partition = replica.partition.id();
        let waiters: alloc::vec::Vec<Waiter> =
            replica.until_written.drain(..).chain(replica.until_committed.drain(..)).collect();
        let deletions = core::mem::take(&mut replica.until_deleted);
        let hint = self.hint(partition, error);
        for waiter in waiters {
            self.settle_produce(slot, waiter, Err((error, hint)), effects);
        }
        for waiter in deletions {
            self.settle_delete(waiter, Err((error, hint)), effects);
        }
    }

    /// Proposes a follower that has just fetched into the ISR, if it may join.
    pub(super) fn maybe_expand(&mut self, slot: Slot, replica: NodeId, effects: &mut Effects) {
        let museum = self.museum();
        let Some(held) = self.replicas.get(slot) else { return };
        let Some(leader) = held.partition.leader() else { return };
        let high_watermark = held.partition.high_watermark();
        let eligible = |remote: &Remote| may_join(&self.metadata.image, remote);
        let isr = leader
            .remote(replica)
            .and_then(|remote| leader.propose_expand(remote, high_watermark, eligible, museum));
        if let Some(isr) = isr {
            self.propose(slot, isr, effects);
        }
    }

    /// Proposes somebody into the ISR who fetches all the time, but has nothing new to say: what it waited for
    /// has happened here. Who has not fetched for long is looked at when it does.
    fn expand_by_someone(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        let since = self.config.replica_lag_time_max_ms;
        let Some(replica) = self.replicas.get(slot) else { return };
        let out = |id: &NodeId| replica.partition.isr().is_some_and(|isr| !isr.maximal().contains(*id));
        let mut fetching = alloc::vec::Vec::new();
        for (connection, at) in &replica.readers {
            let Some(session) = self.sessions.get_mut(*connection) else { continue };
            match session.replica.map(|state| state.replica).filter(out) {
                Some(id) if now.monotonic.since(session.asked_at) <= since => fetching.push(id),
                Some(_) => session.owe(*at),
                None => {}
            }
        }
        for id in fetching {
            self.maybe_expand(slot, id, effects);
        }
    }

    /// Whoever is not in the ISR is looked at when it fetches next, although it may not name the partition.
    pub(super) fn owe_outsiders(&mut self, slot: Slot) {
        let Some(replica) = self.replicas.get(slot) else { return };
        let Some(isr) = replica.partition.isr() else { return };
        for (connection, at) in &replica.readers {
            let Some(session) = self.sessions.get_mut(*connection) else { continue };
            if session.replica.is_some_and(|state| !isr.maximal().contains(state.replica)) {
                session.owe(*at);
            }
        }
    }

    /// Looks for followers that have lagged for too long.
    pub(super) fn check_isrs(&mut self, now: Now, effects: &mut Effects) {
        let (museum, max_lag) = (self.museum(), self.config.replica_lag_time_max_ms);
        for slot in self.replicas.slots() {
            let Some(replica) = self.replicas.get(slot) else { continue };
            let Some(leader) = replica.partition.leader() else { continue };
            let end = replica.partition.log.written();
            if let Some(isr) = leader.propose_shrink(end, now.monotonic, max_lag, museum) {
                self.propose(slot, isr, effects);
            }
        }
        self.set_isr_timer(now);
    }

    pub(super) fn set_isr_timer(&mut self, now: Now) {
        let interval = (self.config.replica_lag_time_max_ms / 2).max(core::time::Duration::from_millis(1));
        self.timers.set(now.monotonic + interval, Timer::IsrCheck);
    }

    fn propose(&mut self, slot: Slot, isr: NodeSet, effects: &mut Effects) {
        let (museum, own_epoch) = (self.museum(), self.life.epoch());
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let partition = replica.partition.id();
        let Some(leader) = replica.partition.leader_mut() else { return };
        effects.note(Event::IsrProposed {
            partition,
            epoch: leader.epoch,
            partition_epoch: leader.partition_epoch,
            from: leader.isr.committed().clone(),
            to: isr.clone(),
        });
        let me = leader.me();
        let known_as = |id: NodeId| {
            if id == me { own_epoch } else { leader.remote(id).and_then(|remote| remote.broker_epoch) }
        };
        let proposal = IsrProposal {
            partition,
            leader_epoch: leader.epoch,
            partition_epoch: leader.partition_epoch,
            isr: isr.iter().map(|id| (id, known_as(id))).collect(),
        };
        leader.proposed(isr, museum);
        self.proposals.add(proposal);
    }

    /// A leader's ISR is another than before: the high watermark may move, and somebody else may join.
    pub(super) fn isr_changed(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        self.advance(now, slot, effects);
        self.release_committed(slot, effects);
        self.expand_by_someone(now, slot, effects);
    }

    /// Has the timer of a log follow what the log wants.
    pub(super) fn watch_log(&mut self, slot: Option<Slot>) {
        let Some(slot) = slot else { return };
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        let wanted = replica.partition.log.deadline();
        if replica.wakes_at != wanted {
            replica.wakes_at = wanted;
            match wanted {
                Some(at) => self.timers.set(at, Timer::Log(slot)),
                None => {
                    self.timers.cancel(&Timer::Log(slot));
                }
            }
        }
    }

    pub(super) fn tick_log(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        let Some(replica) = self.replicas.get_mut(slot) else { return };
        replica.wakes_at = None;
        replica.partition.log.tick(now, &mut effects.disk, &mut effects.events);
        self.watch_log(Some(slot));
    }
}
