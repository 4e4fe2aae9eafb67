//! Which log is compacted next, and when does the broker look for one?
//!
//! As Kafka's cleaner with one thread: the filthiest log is cleaned, then the filthiest of what is left; when
//! none is filthy enough it rests for `log.cleaner.backoff.ms`. A broker without compacted topics has no cleaner.

use alloc::collections::BTreeMap;

use super::{Broker, Timer, replicas::Slot};
use crate::{
    event::Event,
    log::{Cleanable, checkpoints::encode_offsets},
    machine::Effects,
    time::Now,
    units::{Offset, TopicPartition},
};

/// What a broker's cleaner does.
#[derive(Clone, Debug, Default)]
pub(super) struct Cleaner {
    /// A topic is compacted.
    pub needed: bool,
    /// It rests, or works and will be woken.
    awake: bool,
    /// Whose log it cleans.
    at_work: Option<Slot>,
    /// Up to where each log was cleaned, as the checkpoint has it.
    checkpoint: BTreeMap<TopicPartition, Offset>,
}

impl Broker {
    /// Takes over what the checkpoint says of former lives.
    pub(super) fn restore_cleaner(&mut self, checkpoint: BTreeMap<TopicPartition, Offset>) {
        self.cleaner.checkpoint = checkpoint;
    }

    /// Up to where a log was cleaned in a former life.
    pub(super) fn cleaned_before(&self, partition: TopicPartition) -> Offset {
        self.cleaner.checkpoint.get(&partition).copied().unwrap_or_default()
    }

    /// Begins to look for logs to clean, if there may be any.
    pub(super) fn wake_cleaner(&mut self, now: Now) {
        if self.cleaner.needed && !self.cleaner.awake {
            self.cleaner.awake = true;
            self.set_timer(now, self.config.log_cleaner_backoff_ms, Timer::Cleaner);
        }
    }

    /// The cleaner has rested.
    pub(super) fn look_for_filth(&mut self, now: Now, effects: &mut Effects) {
        self.clean_filthiest(now, effects);
        self.set_timer(now, self.config.log_cleaner_backoff_ms, Timer::Cleaner);
    }

    fn clean_filthiest(&mut self, now: Now, effects: &mut Effects) {
        let log = |slot| self.replicas.get(slot).map(|replica| &replica.partition.log);
        if self.closing.is_some() || self.cleaner.at_work.and_then(log).is_some_and(|log| log.is_cleaning()) {
            return;
        }
        let mut filthiest: Option<(Slot, Cleanable)> = None;
        for (slot, replica) in self.replicas.iter() {
            let partition = &replica.partition;
            let Some(found) = partition.log.cleanable(now, partition.high_watermark()) else { continue };
            if filthiest.is_none_or(|(_, other)| found.is_filthier_than(&other)) {
                filthiest = Some((slot, found));
            }
        }
        self.cleaner.at_work = filthiest.map(|(slot, _)| slot);
        if let Some((slot, cleanable)) = filthiest
            && let Some(replica) = self.replicas.get_mut(slot)
        {
            replica.partition.log.clean(now, cleanable, &mut effects.disk);
            let partition = replica.partition.log.partition();
            let Cleanable { from, to, .. } = cleanable;
            effects.events.push(Event::LogCleaning { partition, from, to });
        }
    }

    /// A cleaning has ended.
    pub(super) fn cleaned(&mut self, now: Now, slot: Slot, effects: &mut Effects) {
        self.note_cleaned(slot, effects);
        self.clean_filthiest(now, effects);
    }

    /// Saves up to where a log was cleaned, if that has changed. A log that was cut must not seem to be clean
    /// where it grows again: of what was deleted there, older records would come back.
    pub(super) fn note_cleaned(&mut self, slot: Slot, effects: &mut Effects) {
        let Some(log) = self.replicas.get(slot).map(|replica| &replica.partition.log) else { return };
        let (partition, cleaned) = (log.partition(), log.cleaned());
        if self.cleaned_before(partition) != cleaned {
            self.cleaner.checkpoint.insert(partition, cleaned);
            self.save_cleaner(effects);
        }
    }

    /// A replica is gone.
    pub(super) fn forget_cleaned(&mut self, partition: TopicPartition, effects: &mut Effects) {
        if self.cleaner.checkpoint.remove(&partition).is_some() {
            self.save_cleaner(effects);
        }
    }

    fn save_cleaner(&mut self, effects: &mut Effects) {
        let content = encode_offsets(&self.cleaner.checkpoint);
        self.checkpoints.cleaner.save(content, &mut effects.disk);
    }
}
