//! What is asked of a broker that is none of its own business: topics that are not there, and how the controllers stand.

use trial_model::{
    controller::image::TopicImage,
    protocol::{
        ErrorCode, Request, Response, TopicRef,
        metadata::{MetadataRequest, MetadataResponse},
        quorum::{DescribeQuorumRequest, DescribeQuorumResponse},
    },
    units::{NodeId, NodeRole},
};

use super::cluster::{B1, B2, Cluster};

/// Asks a broker for topics by name, and gives back what it is told of each at once.
fn ask(cluster: &mut Cluster, names: &[&str], may_create: bool) -> Vec<Option<ErrorCode>> {
    let topics = names.iter().map(|name| TopicRef::Name((*name).into())).collect();
    let request = MetadataRequest { topics: Some(topics), allow_auto_topic_creation: may_create };
    match cluster.ask(B2, Request::Metadata(request)) {
        Some(Response::Metadata(MetadataResponse { topics, .. })) => {
            topics.iter().map(|it| it.error).collect()
        }
        other => panic!("another answer: {other:?}"),
    }
}

/// A topic as the controllers have it.
fn known(cluster: &Cluster, name: &str) -> Option<TopicImage> {
    let image = cluster.image();
    image.topic(image.topic_id(&name.into())?).cloned()
}

const UNKNOWN: Option<ErrorCode> = Some(ErrorCode::UnknownTopicOrPartition);

/// > If this is true, the broker may auto-create topics that we requested which do not already exist, if it is
/// > configured to do so.
///
/// `MetadataRequest.json`, `AllowAutoTopicCreation`.
#[test]
pub fn a_topic_is_created_by_asking_for_it() {
    let mut cluster = Cluster::of(2, &[("num.partitions", "3"), ("default.replication.factor", "2")]);
    assert_eq!(ask(&mut cluster, &["clicks"], false), [UNKNOWN]);
    cluster.run(1_000);
    assert_eq!(known(&cluster, "clicks"), None, "who asked did not want it");

    // Twice in one request it is still one topic; what cannot be a topic's name is told so.
    let told = ask(&mut cluster, &["clicks", "no/slash", "clicks"], true);
    assert_eq!(told, [UNKNOWN, Some(ErrorCode::InvalidTopic), UNKNOWN]);
    cluster.run(1_000);
    let clicks = known(&cluster, "clicks").expect("it was created");
    assert_eq!((clicks.partitions.len(), clicks.partitions[0].replicas.len()), (3, 2));
    assert_eq!(ask(&mut cluster, &["clicks"], true), [None]);
    assert_eq!(cluster.image().names().len(), 1);
}

/// > Enable auto creation of topic on the server.
///
/// `ServerLogConfigs.java`, `AUTO_CREATE_TOPICS_ENABLE_DOC`.
#[test]
pub fn no_topic_is_created_where_the_server_does_not_create_any() {
    let mut cluster = Cluster::of(2, &[("auto.create.topics.enable", "false")]);
    assert_eq!(ask(&mut cluster, &["clicks", "no/slash"], true), [UNKNOWN; 2]);
    cluster.run(1_000);
    assert_eq!(cluster.image().names().len(), 0);
}

/// > The number of partitions for the offset commit topic (should not change after deployment).
///
/// `GroupCoordinatorConfig.java`, `OFFSETS_TOPIC_PARTITIONS_DOC`; whoever asks for it (`AutoTopicCreationManager.scala`).
#[test]
pub fn the_topic_of_the_offsets_is_created_as_the_one_that_it_is() {
    let settings = [("offsets.topic.num.partitions", "5"), ("offsets.topic.replication.factor", "1")];
    let mut cluster = Cluster::of(2, &settings);
    assert_eq!(ask(&mut cluster, &["__consumer_offsets"], true), [UNKNOWN]);
    cluster.run(1_000);
    let offsets = known(&cluster, "__consumer_offsets").expect("it was created");
    assert_eq!(offsets.partitions.len(), 5);
}

/// > The DescribeQuorum API is used by the admin client to show the status of the quorum. This API must be sent to
/// > the leader, which is the only node that would have lag information for all of the voters.
///
/// `KIP-595`; a broker hands it on, since clients reach no controller (`KafkaApis.scala`, `forwardToController`).
#[test]
pub fn a_broker_tells_how_the_controllers_stand() {
    let mut cluster = Cluster::with(3, 2, &[]);
    let describe = |cluster: &mut Cluster, millis| match cluster.ask_for(
        millis,
        B1,
        Request::DescribeQuorum(DescribeQuorumRequest {}),
    ) {
        Some(Response::DescribeQuorum(response)) => response,
        other => panic!("another answer: {other:?}"),
    };
    let all_voters = |told: &DescribeQuorumResponse| {
        let role = NodeRole::Controller;
        told.voters.iter().all(|(voter, _)| voter.role() == role) && told.voters.len() == 3
    };
    let before = describe(&mut cluster, 1_000);
    assert_eq!((before.error, before.leader, before.observers.len()), (None, cluster.world.active(), 2));
    assert!(all_voters(&before), "{before:?}");

    // Whoever leads next is found, however late.
    let leader: NodeId = before.leader.expect("somebody leads");
    cluster.world.crash(leader);
    let after = describe(&mut cluster, 20_000);
    assert_eq!((after.error, after.leader), (None, cluster.world.active()));
    assert!(after.epoch > before.epoch && after.leader != Some(leader) && all_voters(&after), "{after:?}");
}
