//! What does each reader read, and which of it has changed since it was last told? KIP-227.
//!
//! A connection that fetches has a session: the partitions it reads and where it stands in each. A follower
//! names only those that have moved; a consumer names all of them every time. What happens to a replica
//! marks the sessions that read it, so that a fetch costs what has changed and not what it covers.

use alloc::{collections::VecDeque, vec::Vec};

use smallvec::SmallVec;

use super::replicas::Slot;
use crate::{
    flat::{FlatMap, FlatSet},
    machine::{Caller, ConnectionId},
    museum::{Bug, Museum},
    protocol::{
        PartitionRef,
        fetch::{FetchRequest, PartitionFetch, PartitionFetched, ReplicaState},
    },
    time::Instant,
    units::NodeId,
};

/// One partition of a session.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was asked for last.
    pub asked: PartitionFetch,
    /// The replica here, once it was found.
    pub slot: Option<Slot>,
    /// Whether nothing above the high watermark was there when it was asked for. Only the museum looks.
    pub was_level: bool,
}

/// What one connection fetches.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who reads.
    pub reader: NodeId,
    /// Which replica it is, if it is one.
    pub replica: Option<ReplicaState>,
    /// The fetch that waits for an answer.
    pub waiting: Option<Caller>,
    /// Whether it has waited long enough.
    pub expired: bool,
    /// `min_bytes` of that fetch.
    pub min_bytes: u32,
    /// `max_bytes` of that fetch.
    pub max_bytes: u32,
    /// When it was asked.
    pub asked_at: Instant,
    /// When it has waited long enough, if it stands among those that wait.
    waits_until: Option<Instant>,
    /// The answer while some of it comes from the disk.
    pub assembling: Option<Assembling>,
    entries: Vec<Option<Entry>>,
    index: FlatMap<PartitionRef, u32>,
    free: Vec<u32>,
    /// Where something may be new, in order.
    dirty: Vec<u32>,
    /// Partitions to be looked at with the next fetch, as if it named them.
    owed: Vec<u32>,
    /// Where the next answer begins to look, so that the first partitions do not take all the room.
    first: u32,
}

/// An answer that waits for the disk.
#[derive(Clone, Debug)]
pub struct Assembling {
    /// Who is answered.
    pub caller: Caller,
    /// The answers; those that wait are empty.
    pub partitions: Vec<PartitionFetched>,
    /// How many reads are under way.
    pub left: usize,
}

impl Session {
    fn new(reader: NodeId) -> Session {
        Session {
            reader,
            replica: None,
            waiting: None,
            expired: false,
            min_bytes: 0,
            max_bytes: 0,
            asked_at: Instant::ZERO,
            waits_until: None,
            assembling: None,
            entries: Vec::new(),
            index: FlatMap::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            owed: Vec::new(),
            first: 0,
        }
    }

    /// One of its partitions.
    pub fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(at as usize)?.as_ref()
    }

    /// One of its partitions.
    pub fn entry_mut(&mut self, at: u32) -> Option<&mut Entry> {
        self.entries.get_mut(at as usize)?.as_mut()
    }

    /// Something may be new in a partition.
    pub fn mark(&mut self, at: u32) {
        if let Err(place) = self.dirty.binary_search(&at) {
            self.dirty.insert(place, at);
        }
    }

    /// Something has changed for its follower here that matters once it fetches again: that the next fetch
    /// need not name the partition does not mean that it is not for it.
    pub fn owe(&mut self, at: u32) {
        if !self.owed.contains(&at) {
            self.owed.push(at);
        }
    }

    /// Nothing is new there any more.
    pub fn clean(&mut self, at: u32) {
        if let Ok(place) = self.dirty.binary_search(&at) {
            self.dirty.remove(place);
        }
    }

    /// Where something may be new, from the place on where the last answer ended.
    pub fn marked(&self) -> SmallVec<[u32; 8]> {
        let (before, from) = self.dirty.split_at(self.dirty.partition_point(|at| *at < self.first));
        // Pushed one by one, for there are one or two: `collect` takes longer to begin.
        let mut marked = SmallVec::new();
        for at in from.iter().chain(before) {
            marked.push(*at);
        }
        marked
    }

    /// All its partitions, in the order they were asked for.
    pub fn all(&self) -> SmallVec<[u32; 8]> {
        (0..self.entries.len() as u32).filter(|at| self.entries[*at as usize].is_some()).collect()
    }

    /// The next answer begins after `at`.
    pub fn begin_after(&mut self, at: u32) {
        self.first = at + 1;
    }

    /// Takes in a partition that was asked for; says where it stands.
    fn set(&mut self, asked: PartitionFetch) -> u32 {
        if let Some(at) = self.index.get(&asked.partition).copied()
            && let Some(entry) = self.entry_mut(at)
        {
            entry.asked = asked;
            return at;
        }
        let at = self.free.pop().unwrap_or(self.entries.len() as u32);
        self.index.insert(asked.partition.clone(), at);
        let entry = Some(Entry { asked, slot: None, was_level: false });
        match self.entries.get_mut(at as usize) {
            Some(hole) => *hole = entry,
            None => self.entries.push(entry),
        }
        at
    }

    fn forget(&mut self, partition: &PartitionRef) -> Option<(u32, Option<Slot>)> {
        let at = self.index.remove(partition)?;
        self.clean(at);
        let slot = self.entries[at as usize].take().and_then(|entry| entry.slot);
        self.free.push(at);
        Some((at, slot))
    }

    /// Whether it names exactly these partitions, in this order.
    fn names(&self, partitions: &[PartitionFetch]) -> bool {
        self.entries.len() == partitions.len()
            && self.entries.iter().zip(partitions).all(|(entry, asked)| {
                entry.as_ref().is_some_and(|entry| entry.asked.partition == asked.partition)
            })
    }
}

/// What a fetch has changed in its session.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// The partitions that the request names, and those that it was [owed](Session::owe); all of the session's if its follower last spoke by another.
    pub named: SmallVec<[u32; 8]>,
    /// Those that are not read any more, with their replicas here.
    pub dropped: Vec<(u32, Slot)>,
}

/// All the sessions of a broker.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    open: FlatMap<ConnectionId, Session>,
    /// Sessions in which something may be new for the one who waits.
    awake: VecDeque<ConnectionId>,
    /// When each that waits has waited long enough.
    by_expiry: FlatSet<(Instant, ConnectionId)>,
    /// By which session each follower last said where it is.
    spoke: FlatMap<NodeId, ConnectionId>,
}

impl Sessions {
    /// A connection's session.
    pub fn get(&self, id: ConnectionId) -> Option<&Session> {
        self.open.get(&id)
    }

    /// A connection's session.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Session> {
        self.open.get_mut(&id)
    }

    /// The fetch of a session has to wait until `until`.
    pub fn wait(&mut self, id: ConnectionId, until: Instant) {
        if let Some(session) = self.open.get_mut(&id) {
            session.waits_until = Some(until);
            self.by_expiry.insert((until, id));
        }
    }

    /// The fetch of a session is about to be answered: the one who waits for it.
    pub fn take_waiting(&mut self, id: ConnectionId) -> Option<(Caller, &mut Session)> {
        let session = self.open.get_mut(&id)?;
        if let Some(until) = session.waits_until.take() {
            self.by_expiry.remove(&(until, id));
        }
        Some((session.waiting.take()?, session))
    }

    /// When the first fetch has waited long enough.
    pub fn deadline(&self) -> Option<Instant> {
        self.by_expiry.first().map(|(until, _)| *until)
    }

    /// Takes out a session whose fetch has waited long enough at `now`.
    pub fn pop_expired(&mut self, now: Instant) -> Option<ConnectionId> {
        let (until, id) = *self.by_expiry.first()?;
        if until > now {
            return None;
        }
        self.by_expiry.pop_first();
        Some(id)
    }

    /// Takes in a fetch, which waits from now on.
    pub fn take_in(&mut self, caller: Caller, request: FetchRequest, now: Instant, museum: Museum) -> Taken {
        let session = self.open.get_or_insert_with(caller.connection, || Session::new(caller.node));
        let mut taken = Taken::default();
        if !request.incremental && !session.names(&request.partitions) {
            for (at, entry) in (0u32..).zip(core::mem::take(&mut session.entries)) {
                taken.dropped.extend(entry.and_then(|entry| entry.slot).map(|slot| (at, slot)));
            }
            session.index.clear();
            session.free.clear();
            session.dirty.clear();
            session.owed.clear();
            session.first = 0;
        }
        for partition in request.forgotten {
            if let Some((at, Some(slot))) = session.forget(&partition.into()) {
                taken.dropped.push((at, slot));
            }
        }
        taken.named.reserve(request.partitions.len());
        for asked in request.partitions {
            let at = session.set(asked);
            session.mark(at);
            taken.named.push(at);
        }
        // KAFKA-9338: what a session remembers of a partition lacked the leader epoch, so that after its first
        // fetch nobody was fenced.
        if request.incremental && museum.has(Bug::FetchSessionDropsEpoch) {
            session.entries.iter_mut().flatten().for_each(|entry| entry.asked.current_leader_epoch = None);
        }
        for at in core::mem::take(&mut session.owed) {
            if session.entry(at).is_some() && !taken.named.contains(&at) {
                taken.named.push(at);
            }
        }
        // A fetch that was late on an old connection has put its follower back to where it was then. The
        // follower does not know, and names only what has moved: what it said here before is said again.
        let elsewhere = request
            .replica
            .is_some_and(|it| self.spoke.insert(it.replica, caller.connection) != Some(caller.connection));
        if elsewhere {
            taken.named = session.all();
        }
        session.replica = request.replica;
        session.waiting = Some(caller);
        session.expired = false;
        session.min_bytes = request.min_bytes;
        session.max_bytes = request.max_bytes;
        session.asked_at = now;
        taken
    }

    /// Something may be new in a partition of a session.
    pub fn mark(&mut self, id: ConnectionId, at: u32) {
        let Some(session) = self.open.get_mut(&id) else { return };
        session.mark(at);
        if session.waiting.is_some() {
            self.awake.push_back(id);
        }
    }

    /// The next session in which something may be new for the one who waits.
    pub fn next_awake(&mut self) -> Option<ConnectionId> {
        self.awake.pop_front()
    }

    /// The connection is gone. Gives out which replicas its session read.
    pub fn close(&mut self, id: ConnectionId) -> Vec<(u32, Slot)> {
        let Some(session) = self.open.remove(&id) else { return Vec::new() };
        if let Some(replica) = session.replica
            && self.spoke.get(&replica.replica) == Some(&id)
        {
            self.spoke.remove(&replica.replica);
        }
        if let Some(until) = session.waits_until {
            self.by_expiry.remove(&(until, id));
        }
        (0u32..).zip(session.entries).filter_map(|(at, entry)| Some((at, entry?.slot?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{CorrelationId, Offset, TopicId, TopicPartition};
    use core::time::Duration;

    const CALLER: Caller =
        Caller { node: NodeId(1), connection: ConnectionId(4), correlation: CorrelationId(1) };

    fn at(partition: u32) -> TopicPartition {
        TopicPartition::new(TopicId(2), partition)
    }

    fn fetch(partitions: &[u32], incremental: bool, forgotten: &[u32]) -> FetchRequest {
        let asked = |partition: &u32| PartitionFetch {
            partition: at(*partition).into(),
            current_leader_epoch: None,
            fetch_offset: Offset(0),
            last_fetched_epoch: None,
            log_start: None,
            max_bytes: 1,
        };
        FetchRequest {
            replica: None,
            max_wait: Duration::ZERO,
            min_bytes: 1,
            max_bytes: 1,
            partitions: partitions.iter().map(asked).collect(),
            incremental,
            forgotten: forgotten.iter().map(|partition| at(*partition)).collect(),
        }
    }

    #[test]
    fn an_incremental_fetch_means_the_others_too() {
        let mut sessions = Sessions::default();
        assert_eq!(
            sessions.take_in(CALLER, fetch(&[0, 1, 2], false, &[]), Instant(1), Museum::CLOSED).named[..],
            [0, 1, 2]
        );
        let session = sessions.get_mut(CALLER.connection).expect("just made");
        (0..3).for_each(|at| session.clean(at));
        assert_eq!(
            sessions.take_in(CALLER, fetch(&[1], true, &[0]), Instant(2), Museum::CLOSED).named[..],
            [1]
        );
        let session = sessions.get_mut(CALLER.connection).expect("still there");
        assert_eq!(session.marked()[..], [1]);
        assert_eq!(session.all()[..], [1, 2]);
    }

    #[test]
    fn what_is_owed_comes_with_the_next_fetch_and_once() {
        let mut sessions = Sessions::default();
        sessions.take_in(CALLER, fetch(&[0, 1, 2], false, &[]), Instant::ZERO, Museum::CLOSED);
        for _ in 0..2 {
            sessions.get_mut(CALLER.connection).expect("it fetches").owe(1);
        }
        sessions.get_mut(CALLER.connection).expect("it fetches").owe(2);
        let taken = sessions.take_in(CALLER, fetch(&[], true, &[2]), Instant::ZERO, Museum::CLOSED);
        assert_eq!(taken.named[..], [1], "the other is not read any more");
        assert!(
            sessions.take_in(CALLER, fetch(&[], true, &[]), Instant::ZERO, Museum::CLOSED).named.is_empty()
        );
    }

    #[test]
    fn a_late_fetch_on_an_old_connection_is_put_right_by_the_next() {
        let mut sessions = Sessions::default();
        let follower = |partitions: &[u32], incremental| FetchRequest {
            replica: Some(ReplicaState { replica: NodeId(1), broker_epoch: None }),
            ..fetch(partitions, incremental, &[])
        };
        let old = Caller { connection: ConnectionId(3), ..CALLER };
        assert_eq!(
            sessions.take_in(CALLER, follower(&[0, 1], false), Instant(1), Museum::CLOSED).named[..],
            [0, 1]
        );
        assert_eq!(sessions.take_in(CALLER, follower(&[1], true), Instant(2), Museum::CLOSED).named[..], [1]);
        assert_eq!(
            sessions.take_in(old, follower(&[0, 1], false), Instant(3), Museum::CLOSED).named[..],
            [0, 1]
        );
        assert_eq!(
            sessions.take_in(CALLER, follower(&[], true), Instant(4), Museum::CLOSED).named[..],
            [0, 1]
        );
        assert_eq!(
            sessions.take_in(CALLER, follower(&[], true), Instant(5), Museum::CLOSED).named[..],
            [0_u32; 0]
        );
    }

    #[test]
    fn a_whole_fetch_replaces_the_one_before() {
        let mut sessions = Sessions::default();
        sessions.take_in(CALLER, fetch(&[0, 1], false, &[]), Instant(1), Museum::CLOSED);
        sessions.take_in(CALLER, fetch(&[3], false, &[]), Instant(2), Museum::CLOSED);
        let session = sessions.get(CALLER.connection).expect("it fetches");
        assert_eq!(session.all()[..], [0]);
    }

    #[test]
    fn an_answer_begins_where_the_last_one_ended() {
        let mut sessions = Sessions::default();
        sessions.take_in(CALLER, fetch(&[0, 1, 2], false, &[]), Instant(1), Museum::CLOSED);
        let session = sessions.get_mut(CALLER.connection).expect("just made");
        session.begin_after(0);
        assert_eq!(session.marked()[..], [1, 2, 0]);
    }
}
