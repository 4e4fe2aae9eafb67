//! What must hold of every run? One promise a file; this one is the list of them.
//!
//! The engine tells the judge what nodes noted and what the world did to them. The judge keeps a picture of
//! the cluster (`mirror`) and of what clients were told (`history`), and asks the checks that care. Everything
//! across nodes is looked at in canonical order, `(at, node, nth)`, so that a verdict does not hang on who was
//! polled first.

mod found;
mod judge;
mod lag;
mod setup;
#[cfg(test)]
pub mod testing;

use trial_model::{
    event::{Event, EventKind},
    node::Node,
    time::{Instant, Now},
    units::{GroupId, NodeId, Offset},
};

pub use self::{
    found::{Found, Name, Violation},
    judge::Judge,
    setup::{ClientInfo, ClientKind, JudgeSetup, MemberInfo, Patience, TopicRules},
};
use crate::{
    disk::Disk,
    history::{History, Outcome, Sent},
    mirror::{Cluster, Loss, Partition},
    world_event::WorldEvent,
};

/// Whether a check says that something bad never happens, or that something good happens in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Something bad never happens.
    Safety,
    /// Something good happens within bounded time once faults are over.
    Liveness,
}

/// A check as catalogues and reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckInfo {
    /// The name that scenarios and reports use.
    pub name: &'static str,
    /// The code that the literature of this project uses: `WB-LC`.
    pub code: &'static str,
    /// Safety or liveness.
    pub kind: Kind,
    /// What it promises, in a sentence.
    pub about: &'static str,
}

/// What a check wants to be asked about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hears {
    /// Events before they change the picture.
    pub before: &'static [EventKind],
    /// Events after they have changed it.
    pub after: &'static [EventKind],
    /// Events right at a node's step, with the node to look into.
    pub inspects: &'static [EventKind],
    /// The end of every instant at which metadata was committed or told of.
    pub truths: bool,
    /// Ten times a simulated second.
    pub ticks: bool,
}

/// What a check sees.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Now.
    pub at: Instant,
    /// Who speaks; nobody in particular at ticks and ends.
    pub node: NodeId,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// What clients did and were told.
    pub history: &'a History,
    /// The scenario.
    pub setup: &'a JudgeSetup,
}

/// What there is to see of a node right after a step.
#[derive(Clone, Copy)]
pub struct Inside<'a> {
    /// Who.
    pub node: NodeId,
    /// Its memory.
    pub state: &'a Node,
    /// Its disk, as the page cache has it, before anything is done of what the step asks for.
    pub disk: &'a Disk,
    /// What its clocks say.
    pub now: Now,
    /// What the step noted.
    pub events: &'a [Event],
}

impl Scene<'_> {
    /// Whether more of a partition's replicas have died than its configuration protects from.
    ///
    /// With eligible leader replicas (KIP-966) that is so in one case only: the controllers had nobody left who
    /// was known to have everything, `min.insync.replicas` of them having died uncleanly, and elected the last
    /// leader, in an election that they call unclean. Until it leads, and loses what it does not have.
    fn forgives(&self, partition: &Partition) -> bool {
        partition.pardon || self.setup.forgives(partition.lossy(), partition.min_insync())
    }

    /// Whether committed records at `offset` were lost so, or in an election that the topic allows, at `since`
    /// or later.
    fn forgives_loss_at(&self, partition: &Partition, offset: Offset, since: Instant) -> bool {
        partition.losses.iter().filter(|loss: &&Loss| loss.covers(offset, since)).any(|loss| {
            loss.pardoned
                || (loss.unclean && partition.rules.may_be_unclean())
                || self.setup.forgives(loss.lossy, partition.min_insync())
        })
    }

    /// Whether a record that was sent at `since` may stand at `offset` and elsewhere, too: who was elected uncleanly
    /// had lost what was there, committed or not, and had it sent again; and another such election brought it back.
    fn forgives_return_to(&self, partition: &Partition, offset: Offset, since: Instant) -> bool {
        let lost = |loss: &Loss| loss.unclean && loss.from <= offset && loss.by.at >= since;
        partition.rules.may_be_unclean() && partition.losses.iter().any(lost)
    }

    /// Whether a record may stand in a partition twice although its producer is idempotent: it may have been sent
    /// again to a leader that began behind records that had been deleted, and so knew nothing of who had produced
    /// them, or the request that its producer had given up arrived there. Kafka's followers copy records, and no
    /// producers' state without them.
    fn forgives_repeat_of(&self, partition: &Partition, sent: &Sent) -> bool {
        let may_come = matches!(sent.outcome, Outcome::InFlight | Outcome::Unknown);
        partition.forgetful_since.is_some_and(|since| may_come || sent.told >= since)
    }

    /// Whether what a group's coordinator wrote may be gone: its log has lost committed records so, or may have.
    fn forgives_group(&self, group: &GroupId) -> bool {
        let Some(group) = self.cluster.groups.group(group) else { return false };
        let log = self.cluster.partition(group.coordinator.0);
        log.is_some_and(|log| self.forgives(log) || !log.losses.is_empty() || log.deleted)
    }

    /// Whether an acknowledged record may be gone: it was lost as above, and the scenario is not a lesson about
    /// just that.
    fn forgives_loss_of(&self, check: &str, sent: &Sent) -> bool {
        let (Some(place), Some(offset)) = (self.history.partitions.get(sent.place as usize), sent.acked_at)
        else {
            return false;
        };
        let known = self.cluster.partition(place.id).filter(|_| !self.setup.demands(check));
        known.is_some_and(|known| self.forgives_loss_at(known, offset, sent.at))
    }
}

/// A promise, and how it is watched.
pub trait Check: Send {
    /// What it wants to be asked about.
    fn hears(&self) -> Hears;
    /// An event, before it changes the picture.
    fn before(&mut self, _scene: Scene<'_>, _event: &Event, _found: &mut Found) {}
    /// An event, after it has changed the picture.
    fn after(&mut self, _scene: Scene<'_>, _event: &Event, _found: &mut Found) {}
    /// What the world did, after it has changed the picture.
    fn world(&mut self, _scene: Scene<'_>, _event: &WorldEvent, _found: &mut Found) {}
    /// A node right after a step that noted an event this check asked for. Knows this node only.
    fn inspect(&mut self, _inside: Inside<'_>, _found: &mut Found) {}
    /// The end of an instant at which a controller told of a committed record.
    fn truth(&mut self, _scene: Scene<'_>, _found: &mut Found) {}
    /// A tenth of a second has passed.
    fn tick(&mut self, _scene: Scene<'_>, _found: &mut Found) {}
    /// What has not come to rest, if anything: for liveness.
    fn unsettled(&self, _scene: Scene<'_>) -> Option<Unsettled> {
        None
    }
    /// The run is over.
    fn finish(&mut self, _scene: Scene<'_>, _found: &mut Found) {}
}

/// What the check of a name wants to be asked about.
pub fn hears(name: &str) -> Hears {
    all().iter().find(|(info, _)| info.name == name).map_or(Hears::default(), |(_, check)| check.hears())
}

/// What has not come to rest, and the lines of a report that say why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// What, in a line.
    pub what: String,
    /// Of which partition.
    pub partition: Option<trial_model::units::TopicPartition>,
    /// The lines of a report.
    pub lines: Vec<(&'static str, String)>,
}

impl Unsettled {
    /// Something that has not come to rest, in a line.
    pub fn new(what: String) -> Unsettled {
        Unsettled { what, partition: None, lines: Vec::new() }
    }

    /// The same, of a partition.
    #[must_use]
    pub fn of(mut self, partition: trial_model::units::TopicPartition) -> Unsettled {
        self.partition = Some(partition);
        self
    }

    /// The same, with a line for the report.
    #[must_use]
    pub fn line(mut self, label: &'static str, text: String) -> Unsettled {
        self.lines.push((label, text));
        self
    }
}

const fn safety(name: &'static str, code: &'static str, about: &'static str) -> CheckInfo {
    CheckInfo { name, code, kind: Kind::Safety, about }
}

const fn liveness(name: &'static str, code: &'static str, about: &'static str) -> CheckInfo {
    CheckInfo { name, code, kind: Kind::Liveness, about }
}

/// The checks that look into nodes right after their steps: they judge a run while it happens, and no record of
/// what nodes stated.
pub fn look_inside() -> Vec<&'static str> {
    let looking = all().into_iter().filter(|(_, check)| !check.hears().inspects.is_empty());
    looking.map(|(info, _)| info.name).collect()
}

macro_rules! checks {
    ($($module:ident)*) => {
        $(mod $module;)*

        /// Every check, liveness in causal order.
        pub const CATALOGUE: &[CheckInfo] = &[$($module::INFO,)*];

        fn all() -> Vec<(CheckInfo, Box<dyn Check>)> {
            vec![$(($module::INFO, $module::check()),)*]
        }
    };
}

checks! {
    no_panics
    leader_has_all_committed
    candidates_have_all_committed
    committed_records_exist
    maximal_isr_covers_isr
    isr_members_agree
    replicas_agree
    epoch_and_offset_name_one_record
    single_leader_per_epoch
    leaders_step_down
    acks_all_needs_min_insync
    high_watermark_in_bounds
    follower_high_watermark_is_shared
    no_truncation_below_high_watermark
    unclean_replica_is_excluded
    one_isr_proposal_in_flight
    epoch_cache_matches_log
    controller_state_is_valid
    recovery_keeps_flushed
    log_offsets_increase
    compaction_keeps_newest
    reads_stay_in_bound
    producer_state_matches_log
    producer_ids_are_unique
    metadata_never_goes_back
    metadata_images_agree
    epochs_increase
    single_controller_per_epoch
    metadata_log_agrees
    quorum_leader_has_all_committed
    quorum_high_watermark_is_monotone
    committed_metadata_is_durable
    quorum_roles_are_valid
    quorum_leader_has_majority
    snapshot_covers_log_start
    acked_records_are_readable
    one_value_per_offset
    no_duplicates
    acked_offset_holds_the_record
    sends_keep_their_order
    no_skipped_records
    reads_never_go_back
    acked_records_are_read
    end_offsets_never_decrease
    no_phantom_records
    one_coordinator_per_group
    coordinator_state_matches_log
    generations_only_grow
    rebalances_are_bounded
    one_owner_per_partition
    partition_epochs_are_valid
    stable_groups_are_reconciled
    commits_are_fenced
    committed_offsets_are_kept
    committed_offsets_never_go_back
    groups_begin_where_they_committed
    commits_follow_processing
    groups_process_every_record
    fenced_members_were_replaced
    quorum_elects_leader
    controller_is_active
    voters_catch_up
    brokers_are_unfenced
    metadata_converges
    shutdown_completes
    partitions_have_leaders
    isr_is_full
    writes_complete
    writes_are_available
    coordinators_are_there
    groups_become_stable
    consumers_reach_the_end
    clients_recover
}
