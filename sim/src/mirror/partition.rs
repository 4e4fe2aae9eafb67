//! What is true of one partition: by the controller's word, and by what its replicas say?

use trial_model::{
    event::{Event, PartitionState, ReplicaRole, TruncateReason},
    time::Instant,
    units::{LeaderEpoch, NodeId, NodeSet, Offset, TopicPartition},
};

use super::log::{Entry, Replica, Trunk, commit, give_up};
use crate::check::TopicRules;

/// An election, by the controller's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elected {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Who, if anybody.
    pub leader: Option<NodeId>,
    /// Whether the leader was not known to have everything.
    pub unclean: bool,
    /// Whether nobody was known to have everything, as so many had died.
    pub pardoned: bool,
}

/// A broker that began to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// When.
    pub at: Instant,
    /// Who.
    pub node: NodeId,
    /// In which epoch.
    pub epoch: LeaderEpoch,
    /// Where its log ended.
    pub log_end: Offset,
}

/// Replicas that lost committed records on their disks and have not caught up since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lossy {
    /// How many.
    pub replicas: usize,
    /// How many of them because a disk lied.
    pub deceived: usize,
    /// Whether everybody in the ISR is among them.
    pub all_in_sync: bool,
}

/// Committed records that a new leader did not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Who led then, and from when.
    pub by: Leadership,
    /// The first record lost.
    pub from: Offset,
    /// One past the last.
    pub to: Offset,
    /// What stood before this was deleted then, and is gone with the rest: the leader's log may begin earlier, and
    /// have other records there.
    pub deleted: Offset,
    /// Whether the election was unclean by the controller's own word.
    pub unclean: bool,
    /// Whether the controllers had nobody left who was known to have everything.
    pub pardoned: bool,
    /// Which replicas were lossy then.
    pub lossy: Lossy,
    /// Up to where, and until when, an earlier leader that had not heard of the election went on committing:
    /// that is lost with the rest.
    pub strayed: Option<(Offset, Instant)>,
}

impl Loss {
    /// Whether a committed record at `offset` that was sent at `since` may be among what was lost.
    pub fn covers(&self, offset: Offset, since: Instant) -> bool {
        let then = offset < self.to && self.by.at >= since;
        let later = self.strayed.is_some_and(|(to, until)| offset < to && until >= since);
        (self.from <= offset || offset < self.deleted) && (then || later)
    }
}

/// Who moved the true high watermark last, and on whom it counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// When.
    pub at: Instant,
    /// Who.
    pub node: NodeId,
    /// In which epoch.
    pub epoch: LeaderEpoch,
    /// From.
    pub from: Offset,
    /// To.
    pub to: Offset,
    /// The replicas counted.
    pub counted: NodeSet,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Whether it did not shut down.
    pub(super) unclean: bool,
    /// Whether its machine lost the power.
    pub(super) lost_power: bool,
    /// Whether its disk was replaced by an empty one.
    pub(super) lost_disk: bool,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Which.
    pub id: TopicPartition,
    /// What its topic allows.
    pub rules: TopicRules,
    /// Whether its topic is gone.
    pub deleted: bool,
    /// The newest state by the controller's word.
    pub truth: Option<PartitionState>,
    /// When that began.
    pub truth_since: Instant,
    /// The elections, oldest first.
    pub elected: Vec<Elected>,
    /// Every replica that ever told of itself, by node.
    pub replicas: Vec<Replica>,
    /// What is committed.
    pub trunk: Trunk,
    /// The true high watermark: the largest offset that a lawful leader announced.
    pub high_watermark: Offset,
    /// Who moved it last.
    pub moved: Option<Moved>,
    /// From which epoch on committed records are missing, or may be, as its leader was elected uncleanly: an
    /// earlier leader's word counts no more.
    pub regime: Option<LeaderEpoch>,
    /// What was lost when such an epoch began, if only what an earlier leader commits still; the newest, in order.
    reigns: Vec<Loss>,
    /// Where those parted from what is committed who were elected uncleanly and began only when another had been: what
    /// they commit is lost with them; the newest, in order.
    late: Vec<Loss>,
    /// Whether somebody was elected because all who were known to have everything died uncleanly, so many as
    /// `min.insync.replicas` at least, and has not led yet.
    pub pardon: bool,
    /// Whether somebody was elected uncleanly, by the controller's own word, and nobody has led since: what
    /// that one does not have is given up already.
    pub conceded: bool,
    /// What was lost, when.
    pub losses: Vec<Loss>,
    /// Who led, in the order in which they began; the newest few.
    pub leaderships: Vec<Leadership>,
    /// Batches that were committed by the event that is being looked at.
    pub grown: Vec<Entry>,
    /// How often a replica lost records to a power failure or with its disk.
    pub lossy_restarts: u32,
    /// How often a replica's disk was replaced by an empty one.
    pub lost_disks: u32,
    /// Since when a replica has begun behind records that were deleted: it knows nothing of who had produced
    /// them, and if it leads some day, what is sent again of them is new to it.
    pub forgetful_since: Option<Instant>,
}

impl Partition {
    /// A partition that nothing is known of.
    pub fn new(id: TopicPartition, rules: TopicRules) -> Partition {
        Partition {
            id,
            rules,
            deleted: false,
            truth: None,
            truth_since: Instant::ZERO,
            elected: Vec::new(),
            replicas: Vec::new(),
            trunk: Trunk::default(),
            high_watermark: Offset::ZERO,
            moved: None,
            regime: None,
            reigns: Vec::new(),
            late: Vec::new(),
            pardon: false,
            conceded: false,
            losses: Vec::new(),
            leaderships: Vec::new(),
            grown: Vec::new(),
            lossy_restarts: 0,
            lost_disks: 0,
            forgetful_since: None,
        }
    }

    /// The replica on `node`, if it ever told of itself.
    pub fn replica(&self, node: NodeId) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.node == node)
    }

    /// The replica on `node`.
    pub fn replica_mut(&mut self, node: NodeId) -> &mut Replica {
        let at = match self.replicas.iter().position(|replica| replica.node == node) {
            Some(at) => at,
            None => {
                let at = self.replicas.partition_point(|replica| replica.node < node);
                self.replicas.insert(at, Replica::new(node));
                at
            }
        };
        &mut self.replicas[at]
    }

    /// The election of `epoch`, if it is known.
    pub fn election(&self, epoch: LeaderEpoch) -> Option<&Elected> {
        self.elected.iter().rev().find(|elected| elected.epoch == epoch)
    }

    /// The newest epoch by the controller's word.
    pub fn newest_epoch(&self) -> Option<LeaderEpoch> {
        self.truth.as_ref().map(|state| state.leader_epoch)
    }

    /// Whether nobody else was to lead since so far: in what newer epochs there are nobody leads, or the same does, and
    /// it has not heard of them yet. What it has is what there will be.
    fn is_last(&self, by: Leadership) -> bool {
        self.elected_since(by.epoch).all(|it| it.leader.is_none_or(|leader| leader == by.node))
    }

    /// The elections since that of an epoch.
    fn elected_since(&self, epoch: LeaderEpoch) -> impl Iterator<Item = &Elected> {
        self.elected.iter().filter(move |elected| elected.epoch > epoch)
    }

    /// Whether `node` leads in the newest epoch.
    pub fn is_newest(&self, node: NodeId, epoch: LeaderEpoch) -> bool {
        self.truth.as_ref().is_some_and(|state| state.leader == Some(node) && state.leader_epoch == epoch)
    }

    /// Whether what is said in `epoch` counts: no loss has been adopted since, nor before it began.
    pub fn lawful(&self, epoch: LeaderEpoch) -> bool {
        self.regime.is_none_or(|regime| epoch >= regime)
            && !self.late.iter().any(|late| late.by.epoch == epoch)
    }

    /// Whether `node` was elected uncleanly last, and nobody has led since: it need not have what the others have.
    pub fn is_conceded_to(&self, node: NodeId) -> bool {
        let last = self.elected.iter().rev().find(|elected| elected.unclean);
        self.conceded && last.is_some_and(|last| last.leader == Some(node))
    }

    /// Everybody whom the controller may elect without asking: the ISR and the ELR.
    pub fn candidates(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.truth.iter().flat_map(|state| state.isr.iter().chain(state.elr.iter()))
    }

    /// `min.insync.replicas`, no more than there are replicas.
    pub fn min_insync(&self) -> usize {
        let replicas = self.truth.as_ref().map_or(usize::MAX, |state| state.replicas.len().max(1));
        self.rules.min_insync.clamp(1, replicas)
    }

    /// Who lost committed records on its disk and has not caught up since.
    pub fn lossy(&self) -> Lossy {
        let lossy = || self.replicas.iter().filter(|replica| replica.lossy);
        let mut in_sync = self.truth.iter().flat_map(|state| state.isr.iter()).peekable();
        Lossy {
            replicas: lossy().count(),
            deceived: lossy().filter(|replica| replica.deceived).count(),
            all_in_sync: in_sync.peek().is_some()
                && in_sync.all(|member| lossy().any(|replica| replica.node == member)),
        }
    }

    /// Whether nobody is left whom the controller could know to have everything, and so many have died that
    /// the configuration does not protect from it (KIP-966): each of those who could be elected until now died
    /// uncleanly and has come back to register, which takes it out of the ISR and the ELR, and so did as many
    /// as `min.insync.replicas`, all told, without having been in sync since.
    pub(crate) fn is_exhausted(&self) -> bool {
        let dead = self.replicas.iter().filter(|replica| replica.unclean && replica.returned);
        self.candidates().all(|node| dead.clone().any(|replica| replica.node == node))
            && dead.count() >= self.min_insync()
    }

    /// Takes the controller's word. `serving` are those of the ISR who run as the process that is registered.
    pub(super) fn told(&mut self, at: Instant, state: &PartitionState, unclean: bool, serving: &NodeSet) {
        let pardoned = unclean && self.is_exhausted();
        self.pardon |= pardoned;
        self.conceded |= unclean;
        if let Some(before) = &self.truth {
            for replica in self.replicas.iter_mut().filter(|replica| replica.unclean) {
                // Out of the ELR it comes as it left, dead perhaps; from outside only with everything, if it
                // has not died since it was proposed.
                let was_outside = !before.isr.contains(replica.node) && !before.elr.contains(replica.node);
                replica.unclean = !serving.contains(replica.node) || !was_outside;
                replica.returned &= replica.unclean;
            }
        }
        if self.elected.last().is_none_or(|last| last.epoch < state.leader_epoch) {
            self.elected.push(Elected { epoch: state.leader_epoch, leader: state.leader, unclean, pardoned });
            if self.elected.len() > 256 {
                self.elected.remove(0);
            }
        }
        self.truth = Some(state.clone());
        self.truth_since = at;
    }

    pub(super) fn announce(&mut self, moved: Moved) {
        self.grown.clear();
        if self.deleted {
            return;
        }
        if !self.lawful(moved.epoch) {
            self.strays(&moved);
            return;
        }
        if moved.to <= self.high_watermark {
            return;
        }
        let grown = &mut self.grown;
        commit(&mut self.trunk, &mut self.replicas, moved.node, moved.to, |entry| grown.push(*entry));
        self.high_watermark = moved.to;
        self.count_lost(&moved);
        self.moved = Some(moved);
    }

    /// Who was counted for what it had said before it lost that on its disk lacks committed records, as if they
    /// had been committed before.
    fn count_lost(&mut self, moved: &Moved) {
        for replica in &mut self.replicas {
            let lost = replica.end < moved.to && replica.lost_to.is_some_and(|to| to >= moved.to);
            if lost && !replica.lossy && moved.counted.contains(replica.node) {
                replica.lossy = true;
                self.lossy_restarts += 1;
            }
        }
    }

    /// A leader goes on that has not heard of an election in which committed records were given up, or begins in one
    /// when another has been elected.
    fn strays(&mut self, moved: &Moved) {
        let late = self.late.iter().find(|late| late.by.epoch == moved.epoch);
        // The first that ended its reign lacked what it commits; later ones may have begun behind that.
        let ended = || self.reigns.iter().find(|reign| reign.by.epoch > moved.epoch);
        let ended = late.or_else(ended).copied();
        let Some(reign) = ended.filter(|reign| moved.to > reign.from) else { return };
        let noted = self.losses.iter().rposition(|loss| loss.by == reign.by);
        if noted.is_none() && self.losses.len() < 64 {
            self.losses.push(reign);
        }
        let at = noted.unwrap_or(self.losses.len().saturating_sub(1));
        if let Some(loss) = self.losses.get_mut(at).filter(|loss| loss.by == reign.by) {
            let to = loss.strayed.map_or(moved.to, |(to, _)| to.max(moved.to));
            loss.strayed = Some((to, moved.at));
        }
    }

    /// A leader begins. If it leads in the newest epoch, what it does not have is gone.
    pub(super) fn led(&mut self, by: Leadership, high_watermark: Offset) {
        self.grown.clear();
        let replica = self.replica_mut(by.node);
        (replica.role, replica.epoch, replica.open) = (Some(ReplicaRole::Leader), by.epoch, true);
        let seen = self.leaderships.iter().any(|other| other.epoch > by.epoch);
        let newest = self.newest_epoch().map_or(!seen, |newest| by.epoch >= newest || self.is_last(by));
        if newest {
            // It may lose more before it hears that it was elected once more.
            let again = self.elected_since(by.epoch).any(|elected| elected.unclean);
            let unclean = self.conceded;
            self.conceded &= again;
            let (before, lossy) = (self.high_watermark, self.lossy());
            let pardoned = self.pardon;
            self.pardon &= again;
            let given_up = give_up(&mut self.trunk, &mut self.replicas, by.node);
            if given_up.is_some() || unclean {
                let from = given_up.unwrap_or(self.trunk.end);
                if given_up.is_some() {
                    self.high_watermark = self.high_watermark.min(from);
                }
                self.regime = Some(by.epoch);
                let deleted = self.trunk.start;
                let loss = Loss { by, from, to: before, deleted, unclean, pardoned, lossy, strayed: None };
                if self.reigns.len() == 64 {
                    self.reigns.remove(0);
                }
                self.reigns.push(loss);
                let has_deleted = self.replica(by.node).is_some_and(|replica| replica.start < deleted);
                if (given_up.is_some() || has_deleted) && self.losses.len() < 64 {
                    self.losses.push(loss);
                }
            }
        }
        if !newest {
            self.begins_late(by);
        }
        if newest && high_watermark > self.high_watermark {
            // What it takes to be committed it will tell its followers.
            let moved = Moved {
                at: by.at,
                node: by.node,
                epoch: by.epoch,
                from: self.high_watermark,
                to: high_watermark,
                counted: NodeSet::new(),
            };
            self.announce(moved);
        }
        let leader = self.replica_mut(by.node);
        (leader.unclean, leader.returned) = (false, false);
        self.leaderships.push(by);
        if self.leaderships.len() > 256 {
            self.leaderships.remove(0);
        }
    }

    /// Somebody leads whose time is over. If it was elected uncleanly, and that is allowed, it need not have what is
    /// committed, and what it commits is no more than what it has given up: others have something else there, or nothing.
    fn begins_late(&mut self, by: Leadership) {
        let Some(&Elected { unclean: true, pardoned, .. }) = self.election(by.epoch) else { return };
        let Some(replica) = self.replica(by.node) else { return };
        if !pardoned && !self.rules.may_be_unclean() {
            return;
        }
        let (from, deleted, lossy) = (replica.agreed, self.trunk.start, self.lossy());
        self.late.push(Loss { by, from, to: from, deleted, unclean: true, pardoned, lossy, strayed: None });
        if self.late.len() > 64 {
            self.late.remove(0);
        }
    }

    /// A node leads or follows. If nothing was read back in this life, its log was not yet on its disk when it died: it
    /// is a new one.
    pub(super) fn begins(&mut self, node: NodeId, log_end: Offset) {
        let (trunk, known) = (&self.trunk, self.replicas.iter_mut().find(|replica| replica.node == node));
        if let Some(replica) = known.filter(|replica| !replica.open && log_end < replica.end) {
            replica.recovered(Offset::ZERO, log_end, None, trunk);
            self.lossy_restarts += u32::from(replica.lossy);
        }
    }

    pub(super) fn follows(&mut self, node: NodeId, epoch: LeaderEpoch) {
        let replica = self.replica_mut(node);
        (replica.role, replica.epoch, replica.open) = (Some(ReplicaRole::Follower), epoch, true);
    }

    /// Takes what a node says of its own log.
    pub(super) fn log_event(&mut self, node: NodeId, event: &Event) {
        let at = match self.replicas.iter().position(|replica| replica.node == node) {
            Some(at) => at,
            None => {
                self.replica_mut(node);
                self.replicas.iter().position(|replica| replica.node == node).expect("just put there")
            }
        };
        self.note_copy(at, event);
        let (trunk, replica) = (&self.trunk, &mut self.replicas[at]);
        match *event {
            Event::Appended { base, end, epoch, crc, producer, .. } => {
                replica.open = true;
                replica.append(Entry { base, end, epoch, crc, producer }, trunk);
            }
            Event::Written { end, .. } => replica.written = end,
            Event::Flushed { end, .. } => replica.flushed_to(end),
            Event::Truncated { to, why: TruncateReason::Snapshot, .. } => replica.wipe(to),
            Event::Truncated { to, .. } => replica.truncate(to),
            Event::LogStartMoved { to, .. } => replica.start = replica.start.max(to),
            Event::Recovered { start, end, last_epoch, last_crc, .. } => {
                replica.recovered(start, end, last_epoch.zip(last_crc), trunk);
                self.lossy_restarts += u32::from(replica.lossy);
            }
            Event::HighWatermarkAdvanced { to, .. }
            | Event::HighWatermarkAdopted { to, .. }
            | Event::HighWatermarkRestored { to, .. } => replica.high_watermark = Some(to),
            Event::ReplicaStopped { deleted, .. } => {
                replica.role = None;
                if deleted {
                    replica.wipe(Offset::ZERO);
                    replica.open = false;
                }
            }
            _ => {}
        }
    }

    /// A replica that skips what was cleaned away has it copied from another.
    fn note_copy(&mut self, at: usize, event: &Event) {
        if let Event::Appended { base, .. } = *event
            && self.replicas[at].end < base
            && base <= self.trunk.cleaned
        {
            self.trunk.copied = self.trunk.copied.max(base);
        }
    }

    /// A process that holds a replica has ended: whether cleanly, and what became of its disk.
    pub(super) fn stopped(&mut self, node: NodeId, end: End) {
        let Some(replica) = self.replicas.iter_mut().find(|replica| replica.node == node) else { return };
        replica.unclean |= end.unclean;
        replica.lost_power |= end.lost_power;
        replica.open = false;
        replica.role = None;
        replica.high_watermark = None;
        replica.epoch = LeaderEpoch(0);
        if end.lost_disk {
            // Also where all records were deleted: their offsets are given again.
            replica.lossy |= replica.end > Offset::ZERO;
            replica.lost_to = replica.lost_to.max(Some(replica.end));
            self.lossy_restarts += u32::from(replica.lossy);
            self.lost_disks += 1;
            replica.wipe(Offset::ZERO);
            replica.cut_since_flush = false;
        }
    }

    /// The broker `node` begins to register.
    pub(super) fn registers(&mut self, node: NodeId) {
        if let Some(replica) = self.replicas.iter_mut().find(|replica| replica.node == node) {
            replica.returned = replica.unclean;
        }
    }

    /// The disk of `node` may give back something else than was written.
    pub(super) fn deceived(&mut self, node: NodeId) {
        self.replica_mut(node).deceived = true;
    }
}
