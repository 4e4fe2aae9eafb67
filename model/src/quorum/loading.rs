//! What does a member know of its former life, and as what does it begin this one?

use alloc::{boxed::Box, vec::Vec};

use super::{
    Context, Quorum, Role, Stage,
    role::{Ballot, Follower, Resigned},
    snapshot::{self, Snapshots},
    state_file::{self, Election, StateFile},
};
use crate::{
    disk::{Dir, DiskDone, DiskError, DiskOp, DiskReply, DiskRequest, DiskTag, FileKind, FileName, Suffix},
    event::Event,
    log::recovery::{Hints, Listed, Loader},
    museum::Bug,
    protocol::fetch::EpochEnd,
    time::{Instant, Now},
    units::{NodeSet, TopicPartition},
};

/// How far the reading of the disk has come.
#[derive(Clone, Debug)]
pub(super) enum Loading {
    /// It is asked what there is.
    List,
    /// The `quorum-state` file is being read.
    State {
        /// What there is.
        files: Vec<Listed>,
    },
    /// The newest snapshot is being read.
    Snapshot {
        /// What there is.
        files: Vec<Listed>,
    },
    /// The log is being read.
    Log(Box<Loader>),
}

impl Quorum {
    /// Begins to read the disk.
    pub(super) fn load(&mut self, cx: &mut Context<'_>) {
        self.stage = Stage::Loading(Loading::List);
        read(state_file::FILE, DiskOp::List, cx);
    }

    /// Takes a reply while loading.
    pub(super) fn on_loading_disk(
        &mut self,
        now: Now,
        reply: &DiskReply,
        cx: &mut Context<'_>,
    ) -> Result<(), DiskError> {
        let Stage::Loading(loading) = &mut self.stage else { return Ok(()) };
        if let Loading::Log(loader) = loading {
            // A temporary file of ours was removed.
            if matches!(reply.file.kind, FileKind::QuorumState | FileKind::MetadataSnapshot(..)) {
                return Ok(());
            }
            let (disk, events) = (&mut cx.effects.disk, &mut cx.effects.events);
            if let Some(loaded) = loader.on_disk(now, reply, disk, events)? {
                self.log = loaded.log;
                self.begin(now, cx);
            }
            return Ok(());
        }
        let outcome = reply.outcome.as_ref().map_err(|error| *error)?;
        match (core::mem::replace(loading, Loading::List), outcome) {
            (Loading::List, DiskDone::Listed(files)) => {
                let ours = |file: &FileName| file.dir == Dir::Log(TopicPartition::METADATA);
                let files: Vec<Listed> = files.iter().filter(|(file, _)| ours(file)).copied().collect();
                self.read_state(files, cx);
            }
            (Loading::State { files }, DiskDone::Read(bytes)) => {
                // Half a file under this name would be the disk's doing: it was flushed before it got it.
                let election = Election::decode(bytes).ok_or(DiskError::Io)?;
                self.election = election;
                self.state_file = StateFile::loaded(election);
                self.read_snapshot(files, cx);
            }
            (Loading::Snapshot { files }, DiskDone::Read(bytes)) => {
                let stored = stored_snapshots(&files);
                self.snapshots = Snapshots::loaded(stored, bytes.clone());
                self.read_log(files, cx);
            }
            // A temporary file was removed.
            (loading, _) => self.stage = Stage::Loading(loading),
        }
        Ok(())
    }

    fn read_state(&mut self, files: Vec<Listed>, cx: &mut Context<'_>) {
        for (file, _) in &files {
            let ours = matches!(file.kind, FileKind::QuorumState | FileKind::MetadataSnapshot(..));
            if ours && file.suffix == Suffix::Tmp {
                read(*file, DiskOp::Remove, cx);
            }
        }
        match files.iter().find(|(file, _)| *file == state_file::FILE) {
            Some((file, len)) => {
                read(*file, DiskOp::Read { at: 0, len: *len }, cx);
                self.stage = Stage::Loading(Loading::State { files });
            }
            None => self.read_snapshot(files, cx),
        }
    }

    fn read_snapshot(&mut self, files: Vec<Listed>, cx: &mut Context<'_>) {
        match stored_snapshots(&files).into_iter().max() {
            Some((id, len)) => {
                read(snapshot::file(id), DiskOp::Read { at: 0, len }, cx);
                self.stage = Stage::Loading(Loading::Snapshot { files });
            }
            None => self.read_log(files, cx),
        }
    }

    fn read_log(&mut self, mut files: Vec<Listed>, cx: &mut Context<'_>) {
        files
            .retain(|(file, _)| !matches!(file.kind, FileKind::QuorumState | FileKind::MetadataSnapshot(..)));
        let config = self.log.config().clone();
        let (hints, disk) = (Hints::default(), &mut cx.effects.disk);
        let loader = Loader::begin(TopicPartition::METADATA, config, hints, files, self.museum, disk);
        self.stage = Stage::Loading(Loading::Log(Box::new(loader)));
    }

    /// Everything is read: takes up what it was, as far as that is safe. Kafka: `QuorumState.initialize`.
    fn begin(&mut self, now: Now, cx: &mut Context<'_>) {
        self.stage = Stage::Running;
        if let Some(id) = self.snapshots.latest_id() {
            self.drop_log_for(now, id, cx);
        }
        // What was read may only have been in the page cache; this member is about to vouch for it.
        self.flush(cx);
        if self.election.epoch < self.last_epoch() {
            self.election = Election { epoch: self.last_epoch(), voted: None, leader: None };
        }
        let until = now.monotonic + self.wait_to_stand();
        self.role = self.first_role(now, until);
        let (epoch, leader) = (self.election.epoch, self.leader());
        self.tell(Event::QuorumRoleChanged { role: self.role(), epoch, leader });
    }

    fn first_role(&mut self, now: Now, until: Instant) -> Role {
        let Election { leader, voted, .. } = self.election;
        if !self.may_stand() && leader.is_none() {
            return Role::Unattached { until: Instant::FOREVER };
        }
        match leader {
            Some(leader) if leader == self.id => self.after_leading(now, until),
            Some(_) => Role::Follower(Follower {
                until: now.monotonic + self.config.fetch_timeout,
                has_fetched: false,
                leader_high_watermark: None,
                download: None,
            }),
            None if voted == Some(self.id) => Role::Candidate(Ballot::new(self.id, until, 1)),
            None => Role::Unattached { until },
        }
    }

    /// One that led when it died may have given out records of its epoch that it does not have any more, so it
    /// never leads that epoch again, nor helps another to (KAFKA-10527, KAFKA-10661).
    fn after_leading(&mut self, now: Now, until: Instant) -> Role {
        if self.museum.has(Bug::LeaderResumesSameEpoch) {
            // KAFKA-10527: it went on, and gave offsets of its epoch to other records.
            return Role::Leader(self.new_leader(now, NodeSet::new().with(self.id)));
        }
        if self.museum.has(Bug::RestartedLeaderVotesInOwnEpoch) {
            // KAFKA-10661: it came back knowing neither its leadership nor its vote.
            self.election = Election { voted: None, leader: None, ..self.election };
            return Role::Unattached { until };
        }
        Role::Resigned(Resigned { until, unacknowledged: self.peers.ids().collect(), successors: Vec::new() })
    }
}

/// The snapshots among the files, whole ones.
fn stored_snapshots(files: &[Listed]) -> Vec<(EpochEnd, u64)> {
    let id = |(file, len): &Listed| match (file.kind, file.suffix) {
        (FileKind::MetadataSnapshot(end, epoch), Suffix::None) => Some((EpochEnd { epoch, end }, *len)),
        _ => None,
    };
    files.iter().filter_map(id).collect()
}

fn read(file: FileName, op: DiskOp, cx: &mut Context<'_>) {
    cx.effects.disk.push(DiskRequest { tag: DiskTag(0), file, op });
}
