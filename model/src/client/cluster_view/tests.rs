//! Does a view only go forward, and is it asked for when it must be and not more often?

use alloc::vec;

use super::*;
use crate::{protocol::metadata::PartitionMetadata, rng::Rng};

fn view(museum: Museum) -> ClusterView {
    let backoff =
        Backoff::new(Duration::from_millis(100), Duration::from_millis(100), Rng::named(1, "metadata"));
    let bootstrap = [NodeId::broker(1)].into_iter().collect();
    ClusterView::new(bootstrap, Duration::from_secs(300), backoff, museum)
}

fn net() -> InFlight<()> {
    let backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(50), Rng::named(1, "r"));
    InFlight::new(crate::machine::Channel::MAIN, Duration::from_secs(30), backoff, Rng::named(1, "n"))
}

fn ms(millis: u64) -> Instant {
    Instant(millis * 1_000_000)
}

fn says(id: u64, leader: u32, epoch: u32) -> MetadataResponse {
    MetadataResponse {
        brokers: [1, 2, 3].map(NodeId::broker).into_iter().collect(),
        controller: None,
        topics: vec![TopicMetadata {
            topic: TopicRef::Name("orders".into()),
            error: None,
            name: Some("orders".into()),
            id: Some(TopicId(id)),
            partitions: [PartitionMetadata {
                partition: 0,
                error: None,
                leader: Some(NodeId::broker(leader)),
                leader_epoch: LeaderEpoch(epoch),
                replicas: vec![],
                isr: NodeSet::new(),
                offline: NodeSet::new(),
            }]
            .into(),
        }],
    }
}

fn missing() -> MetadataResponse {
    let mut response = says(1, 1, 1);
    response.topics[0].error = Some(ErrorCode::UnknownTopicOrPartition);
    response.topics[0].id = None;
    response.topics[0].partitions = [].into();
    response
}

fn leader(view: &ClusterView) -> Option<u32> {
    view.leadership(TopicIndex(0), 0).leader.map(NodeId::nth)
}

#[test]
fn an_older_epoch_is_not_believed_unless_the_topic_is_another() {
    let (mut view, mut effects) = (view(Museum::CLOSED), Effects::new());
    let orders = view.topic(&"orders".into());
    assert_eq!(view.learn(ms(1), &says(7, 2, 5), &mut effects), [(orders, 0)]);
    assert_eq!(effects.events.len(), 1);
    assert_eq!(view.learn(ms(2), &says(7, 1, 4), &mut effects), []);
    assert_eq!(leader(&view), Some(2));
    assert_eq!(view.learn(ms(3), &says(8, 3, 0), &mut effects), [(orders, 0)]);
    assert_eq!(leader(&view), Some(3));
    assert_eq!(view.by_id(TopicId(7)), None);
}

#[test]
#[cfg(feature = "museum")]
fn with_the_bug_an_older_epoch_is_believed() {
    let (mut view, mut effects) = (view(Museum::CLOSED.with(Bug::MetadataAcceptsOlderEpoch)), Effects::new());
    view.topic(&"orders".into());
    view.learn(ms(1), &says(7, 2, 5), &mut effects);
    view.learn(ms(2), &says(7, 1, 4), &mut effects);
    assert_eq!(leader(&view), Some(1));
}

#[test]
#[cfg(feature = "museum")]
fn with_the_bug_a_topic_that_is_created_again_is_not_believed() {
    let (mut view, mut effects) = (view(Museum::CLOSED.with(Bug::TopicRecreateEpochCompare)), Effects::new());
    view.topic(&"orders".into());
    view.learn(ms(1), &says(7, 2, 5), &mut effects);
    view.learn(ms(2), &says(8, 3, 0), &mut effects);
    assert_eq!(leader(&view), Some(2));
}

#[test]
fn a_topic_that_vanishes_has_no_leader_and_is_asked_about_again() {
    let (mut view, mut effects) = (view(Museum::CLOSED), Effects::new());
    let orders = view.topic(&"orders".into());
    view.ask(ms(1), &mut net(), (), &mut effects);
    view.learn(ms(1), &says(7, 2, 5), &mut effects);
    assert_eq!(view.learn(ms(2), &missing(), &mut effects), [(orders, 0)]);
    assert_eq!((leader(&view), view.partition(orders, 0)), (None, None));
    assert_eq!(view.deadline(), Some(ms(102)));
    // Back again, and no older than it was.
    assert_eq!(view.learn(ms(102), &says(7, 1, 4), &mut effects), [(orders, 0)]);
    assert_eq!(leader(&view), Some(2));
}

#[test]
fn a_hint_counts_if_it_is_news() {
    let (mut view, mut effects) = (view(Museum::CLOSED), Effects::new());
    let orders = view.topic(&"orders".into());
    view.learn(ms(1), &says(7, 2, 5), &mut effects);
    let hint = |leader, epoch| LeaderHint { leader: Some(NodeId::broker(leader)), epoch: LeaderEpoch(epoch) };
    assert!(!view.learn_hint(orders, 0, hint(3, 5), &mut effects));
    assert!(view.learn_hint(orders, 0, hint(3, 6), &mut effects));
    assert_eq!(leader(&view), Some(3));
    assert!(view.learn_hint(orders, 0, hint(9, 7), &mut effects), "where it is comes along");
    assert_eq!(leader(&view), Some(9));
}

#[test]
fn it_is_asked_for_when_wanted_but_not_more_often_than_the_backoff_allows() {
    let (mut view, mut net, mut effects) = (view(Museum::CLOSED), net(), Effects::new());
    assert_eq!(view.deadline(), None);
    view.topic(&"orders".into());
    view.ask(ms(1), &mut net, (), &mut effects);
    assert_eq!((net.count(NodeId::broker(1)), view.deadline()), (1, None));
    view.learn(ms(2), &says(7, 2, 5), &mut effects);
    assert_eq!(view.deadline(), Some(ms(2) + Duration::from_secs(300)));
    view.want_update();
    assert_eq!(view.deadline(), Some(ms(102)));
    // A new topic is worth a question at once.
    view.topic(&"payments".into());
    assert_eq!(view.deadline(), Some(ms(0)));
}

#[test]
fn with_everybody_resting_the_question_waits() {
    let (mut view, mut net, mut effects) = (view(Museum::CLOSED), net(), Effects::new());
    view.topic(&"orders".into());
    net.broken(ms(0), NodeId::broker(1));
    view.ask(ms(1), &mut net, (), &mut effects);
    assert!(effects.mail.is_empty());
    assert_eq!(view.deadline(), Some(ms(50)));
}
