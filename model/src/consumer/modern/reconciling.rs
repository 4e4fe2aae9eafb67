//! How does a member come to own what it is told to?
//!
//! Kafka's `AbstractMembershipManager.maybeReconcile`. As far as the topics are known by their ids: first it stops
//! handing on records of what it gives up and, with `enable.auto.commit`, commits where it stands; then its
//! application is told, what is new is taken over, and the coordinator hears of it. What is not known yet follows when
//! it is.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{Standing, Underway};
use crate::{
    client::NamedPartition,
    consumer::{Consumer, group::Prepare},
    event::CommitReason,
    machine::Effects,
    time::Now,
    units::TopicPartition,
};

impl Consumer {
    /// Takes the next step towards what it is to own.
    pub(super) fn reconcile(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        let Some(modern) = &mut group.modern else { return };
        if modern.standing != Standing::Reconciling {
            return;
        }
        if let Some(underway) = &modern.underway {
            if underway.committed {
                self.take_over(now, effects);
            } else {
                // It may have to be said again, before more is handed on.
                self.send_commits(now, effects);
            }
            return;
        }
        let target: BTreeSet<TopicPartition> = modern.target.clone();
        let owned = modern.owned.clone();
        let (told, beating) = (modern.told, group.beating);
        let mut owns = BTreeMap::new();
        let mut unknown = false;
        for at in target {
            match self.name_of(at).or_else(|| owned.get(&at).cloned()) {
                Some(named) => {
                    owns.insert(at, named);
                }
                None => unknown = true,
            }
        }
        if unknown {
            self.view.want_update();
        }
        if told && owns.keys().eq(owned.keys()) {
            // Nothing of it is known yet, or it has everything by now.
            if !unknown && let Some(modern) = self.modern_mut() {
                modern.standing = Standing::Acknowledging;
            }
            return;
        }
        if told && beating && owns.keys().any(|at| !owned.contains_key(at)) {
            // What it has only now learned of it has just told the coordinator it does not own, which may have given
            // it to somebody else for that: Kafka's member takes it all the same, and two may own it for a while.
            return;
        }
        let gives_up: Vec<NamedPartition> =
            owned.iter().filter(|(at, _)| !owns.contains_key(at)).map(|(_, named)| named.clone()).collect();
        let commits = !gives_up.is_empty() && self.config.enable_auto_commit;
        if let Some(modern) = self.modern_mut() {
            modern.underway = Some(Underway { owns, committed: !commits });
        }
        for named in &gives_up {
            let at = self.index_of(named);
            self.partitions[at.0].pending = true;
            self.place(now.monotonic, at, effects);
        }
        if commits && self.commit(now, CommitReason::Revoked) {
            if let Some(group) = &mut self.group {
                group.prepare = Prepare::Committing;
            }
            self.send_commits(now, effects);
        } else {
            self.committed_before_giving_up(now, effects);
        }
    }

    /// What it had to commit before it gives partitions up is committed, or cannot be. It goes on with its
    /// application's next poll.
    pub(in crate::consumer) fn committed_before_giving_up(&mut self, now: Now, effects: &mut Effects) {
        let Some(group) = &mut self.group else { return };
        group.prepare = Prepare::Needed;
        let polls = group.work.is_polling();
        let Some(underway) = group.modern.as_mut().and_then(|modern| modern.underway.as_mut()) else {
            return;
        };
        underway.committed = true;
        if polls {
            self.take_over(now, effects);
        }
    }

    fn take_over(&mut self, now: Now, effects: &mut Effects) {
        self.release_pending();
        let Some(group) = &mut self.group else { return };
        let Some(modern) = &mut group.modern else { return };
        let Some(underway) = modern.underway.take() else { return };
        let former = core::mem::replace(&mut modern.owned, underway.owns);
        modern.told = true;
        modern.standing = Standing::Acknowledging;
        let kept: Vec<NamedPartition> =
            former.iter().filter(|(at, _)| modern.owned.contains_key(at)).map(|(_, it)| it.clone()).collect();
        let all: Vec<NamedPartition> = modern.owned.values().cloned().collect();
        group.owner = (group.member.clone(), group.generation);
        group.auto_commit_at = now.monotonic + self.config.auto_commit_interval_ms;
        if kept.len() < former.len() {
            self.own(now, &kept, false, effects);
        }
        if kept.len() < all.len() || former.is_empty() {
            self.own(now, &all, false, effects);
        }
    }

    /// Nothing waits to be given up any more.
    pub(super) fn release_pending(&mut self) {
        for partition in &mut self.partitions {
            partition.pending = false;
        }
    }

    fn modern_mut(&mut self) -> Option<&mut super::Modern> {
        self.group.as_mut()?.modern.as_mut()
    }

    /// A partition by its topic's name, if that is known.
    fn name_of(&self, at: TopicPartition) -> Option<NamedPartition> {
        let topic = self.view.by_id(at.topic)?;
        let view = self.view.view(topic);
        (view.id() == Some(at.topic))
            .then(|| NamedPartition { topic: view.name().clone(), partition: at.partition })
    }
}
