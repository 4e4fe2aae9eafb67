//! Which topics do the regular expressions of a KIP-848 group fit, and when is that looked up anew?
//!
//! Kafka's `maybeUpdateRegularExpressions` and `handleRegularExpressionsResult`. A member's regular expression is
//! looked up after its heartbeat has been answered, all of a group's together, and what they fit is written down: so the
//! next coordinator goes by the same. Once they are looked up, there is some rest; then new topics are looked for.

use alloc::{collections::BTreeSet, sync::Arc, vec::Vec};
use core::time::Duration;

use super::{ConsumerGroup, GroupEpoch, Resolved, Subscription, hash_of, heartbeat::Move};
use crate::{
    client::pattern::Pattern,
    controller::image::Image,
    event::RebalanceReason,
    group::{
        Coordinator, Cx,
        image::{Question, Then},
        record::GroupRecord,
    },
    protocol::{ErrorCode, TopicName, consumer_group::ConsumerGroupHeartbeatRequest},
    time::Timestamp,
    units::{GroupId, Offset},
};

/// How long after they were looked up they are not looked up again (Kafka: `REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
const REST: Duration = Duration::from_secs(10);

/// Regular expressions, and what they fit now.
type Fitting = Vec<(Arc<str>, BTreeSet<TopicName>)>;

impl Coordinator {
    /// Looks up what the regular expressions of a group fit, if it is time: if one of them never was, if there are new
    /// topics that fit, or if it was `group.consumer.regex.refresh.interval.ms` ago. If that is something else than
    /// before, the group is in a new epoch.
    pub(super) fn look_up_patterns(&mut self, id: &GroupId, cx: &mut Cx<'_>) {
        let Some(group) = self.shard.state().and_then(|state| state.consumer(id)) else { return };
        let looked = group.resolved.values().next().map(|resolved| resolved.at);
        let since = |at: Timestamp| Duration::from_millis(u64::try_from(cx.now.wall.0 - at.0).unwrap_or(0));
        if looked.is_some_and(|at| since(at) <= REST) {
            return;
        }
        let patterns = group.patterns();
        let unknown = patterns.iter().any(|pattern| !group.resolved.contains_key(pattern));
        let old = looked.is_some_and(|at| since(at) > self.settings.consumer_regex_refresh);
        let fingerprint = cx.metadata.fingerprint();
        if patterns.is_empty() || (!unknown && !old && self.matched.get(id) == Some(&fingerprint)) {
            return;
        }
        let fitting = fitting(patterns, cx.metadata);
        if !unknown && !old && !group.fits_more(&fitting) {
            self.matched.insert(id.clone(), fingerprint);
            return;
        }
        let mut next = Move::of(id, group);
        let changed = next.resolve(fitting, cx.metadata, cx.metadata_end, cx.now.wall);
        let records = next.records();
        // What cannot be written now is looked up after another heartbeat.
        if self.write(None, &Question::Move { records: records.clone(), answer: Then::Nothing }, cx).is_err()
        {
            return;
        }
        self.matched.insert(id.clone(), fingerprint);
        if changed {
            self.note_epoch(id, RebalanceReason::TopicsChanged, cx);
        }
        self.note_moved(id, &records, cx);
    }
}

/// What each fits of the topics that there are: the coordinators' own as well, if it says so.
fn fitting(patterns: BTreeSet<Arc<str>>, metadata: &Image) -> Fitting {
    let fitting = |pattern: Arc<str>| {
        let fits = Pattern(pattern.clone()).matcher();
        let topics = metadata.names().map(|(name, _)| name).filter(|name| fits(name.as_str()));
        let topics = topics.cloned().collect();
        (pattern, topics)
    };
    patterns.into_iter().map(fitting).collect()
}

impl ConsumerGroup {
    /// The regular expressions that somebody is subscribed by.
    fn patterns(&self) -> BTreeSet<Arc<str>> {
        self.members.values().filter_map(|member| member.pattern.clone()).collect()
    }

    /// Whether these fit topics that they did not fit when they were looked up.
    fn fits_more(&self, fitting: &Fitting) -> bool {
        fitting.iter().any(|(pattern, topics)| {
            self.resolved.get(pattern).is_none_or(|before| !topics.is_subset(&before.topics))
        })
    }

    /// Whether somebody may come with this regular expression: with one that somebody else has brought already, or with
    /// one that is one. Refuses with `InvalidRegularExpression`.
    pub(super) fn check_pattern(&self, request: &ConsumerGroupHeartbeatRequest) -> Result<(), ErrorCode> {
        let Some(pattern) = request.pattern.as_ref().filter(|pattern| !pattern.is_empty()) else {
            return Ok(());
        };
        let known = self.members.values().any(|member| member.pattern.as_ref() == Some(pattern));
        if known || Pattern(pattern.clone()).is_valid() {
            Ok(())
        } else {
            Err(ErrorCode::InvalidRegularExpression)
        }
    }

    /// Whether a subscription waits until its regular expression has been looked up: the group is in a new epoch then.
    pub(super) fn is_to_be_looked_up(&self, subscription: &Subscription) -> bool {
        subscription.pattern.as_ref().is_some_and(|pattern| !self.resolved.contains_key(pattern))
    }
}

impl Move<'_> {
    /// Writes down what regular expressions fit. Says whether that is something else than before: then the group is in
    /// a new epoch.
    fn resolve(&mut self, fitting: Fitting, metadata: &Image, version: Offset, at: Timestamp) -> bool {
        let mut changed = false;
        for (pattern, topics) in fitting {
            let before = self.after.resolved.get(&pattern).map(|before| &before.topics);
            changed |= before.map_or(!topics.is_empty(), |before| *before != topics);
            let value = Some(Resolved { topics, version, at });
            self.say(GroupRecord::Pattern { group: self.id.clone(), pattern, value });
        }
        let metadata_hash = hash_of(&self.after.topics(metadata), metadata);
        changed |= metadata_hash != self.after.metadata_hash();
        if changed {
            let value = GroupEpoch { epoch: self.after.epoch() + 1, metadata_hash };
            self.say(GroupRecord::Epoch { group: self.id.clone(), value: Some(value) });
        }
        changed
    }

    /// Forgets what regular expressions fit that nobody is subscribed by any more.
    pub(super) fn forget_patterns(&mut self) {
        if self.after.resolved.is_empty() {
            return;
        }
        let patterns = self.after.patterns();
        let unused: Vec<Arc<str>> =
            self.after.resolved.keys().filter(|it| !patterns.contains(*it)).cloned().collect();
        for pattern in unused {
            self.say(GroupRecord::Pattern { group: self.id.clone(), pattern, value: None });
        }
    }
}
