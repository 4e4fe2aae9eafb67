//! Which topics and partitions come to be, and cease to?

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

use super::{
    decide::{Context, View},
    placement,
    record::{ConfigRecord, LeaderRecovery, PartitionRecord, Record, RemoveTopicRecord, TopicRecord},
};
use crate::{
    config::TopicConfig,
    protocol::{
        ErrorCode, TopicName,
        topics::{
            CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
            DeleteTopicsRequest, DeleteTopicsResponse, NewTopic,
        },
    },
    units::{LeaderEpoch, NodeId, NodeSet, PartitionEpoch, TopicId, TopicPartition},
};

/// How many records one request may come to (Kafka: `MAX_RECORDS_PER_USER_OP`), here for its partitions alone.
const MAX_PARTITIONS: usize = 10_000;

/// What a request says that leaves the number of partitions to the controller: Kafka's -1.
const DEFAULT_PARTITIONS: u32 = u32::MAX;

/// What a request says that leaves the replication factor to the controller: Kafka's -1.
const DEFAULT_REPLICATION_FACTOR: u16 = u16::MAX;

/// Creates topics, each by itself or not at all.
///
/// A topic's id is the offset of its record: nobody had it before. Its ISRs are those of its replicas that
/// are active, and the first of them leads.
pub(super) fn create(
    view: View<'_>,
    context: &mut Context<'_>,
    request: &CreateTopicsRequest,
) -> (Vec<Record>, CreateTopicsResponse) {
    let mut names = Names::default();
    let repeated = repeated(request.topics.iter().map(|topic| &topic.name));
    let mut records = Vec::new();
    let mut partitions = 0;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let result = if repeated.contains(&topic.name) {
            Err(ErrorCode::InvalidRequest)
        } else {
            names.check(view, &topic.name)
        }
        .and_then(|()| plan(view, context, topic, MAX_PARTITIONS - partitions));
        let result = result.map(|placed| {
            partitions += placed.len();
            names.add(&topic.name);
            let id = TopicId(context.next.0 + records.len() as u64);
            state(view, id, topic, &placed, &mut records);
            id
        });
        topics.push((topic.name.clone(), result));
    }
    (records, CreateTopicsResponse { topics })
}

/// The replicas of a new topic's partitions.
fn plan(
    view: View<'_>,
    context: &mut Context<'_>,
    topic: &NewTopic,
    room: usize,
) -> Result<Vec<Vec<NodeId>>, ErrorCode> {
    check_config(topic.config.iter().map(|(key, value)| (key, value)))?;
    let placed = if topic.assignment.is_empty() {
        let partitions = match topic.partitions {
            DEFAULT_PARTITIONS => view.config.num_partitions,
            partitions => partitions,
        };
        let replication_factor = match topic.replication_factor {
            DEFAULT_REPLICATION_FACTOR => view.config.default_replication_factor,
            replication_factor => replication_factor,
        };
        if replication_factor == 0 {
            return Err(ErrorCode::InvalidReplicationFactor);
        }
        if partitions == 0 {
            return Err(ErrorCode::InvalidPartitions);
        }
        if partitions as usize > room {
            return Err(ErrorCode::PolicyViolation);
        }
        placement::place(view, context.rng, partitions, replication_factor)?
    } else {
        if topic.assignment.len() > room {
            return Err(ErrorCode::PolicyViolation);
        }
        check_assignment(view, &topic.assignment)?;
        topic.assignment.clone()
    };
    Ok(placed)
}

/// Refuses with `InvalidConfig` what a topic cannot be set to.
pub(super) fn check_config<'a>(
    config: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<(), ErrorCode> {
    let mut scratch = TopicConfig::default();
    for (key, value) in config {
        scratch.set(key, value).map_err(|_| ErrorCode::InvalidConfig)?;
    }
    // KIP-354: what must be cleaned by then may be cleaned by then.
    if scratch.max_compaction_lag_ms < scratch.min_compaction_lag_ms {
        return Err(ErrorCode::InvalidConfig);
    }
    Ok(())
}

/// A manual assignment names registered brokers, none twice for a partition, as many for each, and for each
/// one that may lead.
fn check_assignment(view: View<'_>, assignment: &[Vec<NodeId>]) -> Result<(), ErrorCode> {
    let factor = assignment.first().map_or(0, Vec::len);
    for replicas in assignment {
        let distinct: BTreeSet<NodeId> = replicas.iter().copied().collect();
        let registered = replicas.iter().all(|replica| view.image.broker(*replica).is_some());
        let led = replicas.iter().any(|replica| view.is_active(*replica));
        if replicas.len() != factor || distinct.len() != factor || !registered || !led {
            return Err(ErrorCode::InvalidReplicaAssignment);
        }
    }
    Ok(())
}

/// States a new topic: its name, its settings, its partitions.
fn state(view: View<'_>, id: TopicId, topic: &NewTopic, placed: &[Vec<NodeId>], records: &mut Vec<Record>) {
    records.push(Record::Topic(TopicRecord { name: topic.name.clone(), topic: id }));
    // Of a key that is given twice the last value holds.
    let config: BTreeMap<&String, &String> = topic.config.iter().map(|(key, value)| (key, value)).collect();
    records.extend(config.into_iter().map(|(key, value)| {
        Record::Config(ConfigRecord { topic: id, key: key.clone(), value: Some(value.clone()) })
    }));
    let partitions = (0u32..).zip(placed);
    records.extend(
        partitions.map(|(number, replicas)| new_partition(view, TopicPartition::new(id, number), replicas)),
    );
}

fn new_partition(view: View<'_>, partition: TopicPartition, replicas: &[NodeId]) -> Record {
    let active = || replicas.iter().copied().filter(|replica| view.is_active(*replica));
    Record::Partition(PartitionRecord {
        partition,
        replicas: replicas.to_vec(),
        isr: active().collect(),
        elr: NodeSet::new(),
        last_known_elr: NodeSet::new(),
        leader: active().next(),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        recovery: LeaderRecovery::Recovered,
    })
}

/// Deletes topics, each by itself.
pub(super) fn delete(view: View<'_>, request: &DeleteTopicsRequest) -> (Vec<Record>, DeleteTopicsResponse) {
    let mut records = Vec::new();
    let mut seen = BTreeSet::new();
    let topics = request.topics.iter().map(|name| {
        let result = match view.image.topic_id(name) {
            None => Err(ErrorCode::UnknownTopicOrPartition),
            Some(topic) if !seen.insert(topic) => Err(ErrorCode::InvalidRequest),
            Some(topic) => {
                records.push(Record::RemoveTopic(RemoveTopicRecord { topic }));
                Ok(())
            }
        };
        (name.clone(), result)
    });
    let topics = topics.collect();
    (records, DeleteTopicsResponse { topics })
}

/// Gives topics more partitions, each by itself, with as many replicas as their first has.
pub(super) fn create_partitions(
    view: View<'_>,
    context: &mut Context<'_>,
    request: &CreatePartitionsRequest,
) -> (Vec<Record>, CreatePartitionsResponse) {
    let mut records = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    let repeated = repeated(request.topics.iter().map(|(name, _)| name));
    for (name, count) in &request.topics {
        let room = MAX_PARTITIONS - records.len();
        let result = if repeated.contains(name) {
            Err(ErrorCode::InvalidRequest)
        } else {
            more(view, context, name, *count, room)
        };
        topics.push((name.clone(), result.map(|more| records.extend(more))));
    }
    (records, CreatePartitionsResponse { topics })
}

fn more(
    view: View<'_>,
    context: &mut Context<'_>,
    name: &TopicName,
    count: u32,
    room: usize,
) -> Result<Vec<Record>, ErrorCode> {
    let id = view.image.topic_id(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partitions = view.image.topic(id).map_or(&[][..], |topic| &topic.partitions);
    let existing = partitions.len() as u32;
    if count <= existing {
        return Err(ErrorCode::InvalidPartitions);
    }
    if (count - existing) as usize > room {
        return Err(ErrorCode::PolicyViolation);
    }
    let factor = partitions.first().map_or(0, |first| first.replicas.len());
    let factor = u16::try_from(factor).map_err(|_| ErrorCode::InvalidReplicationFactor)?;
    let placed = placement::place(view, context.rng, count - existing, factor)?;
    Ok((existing..)
        .zip(&placed)
        .map(|(number, replicas)| new_partition(view, TopicPartition::new(id, number), replicas))
        .collect())
}

/// The names that a request says more than once. It cannot mean both.
fn repeated<'a>(names: impl Iterator<Item = &'a TopicName>) -> BTreeSet<&'a TopicName> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}

/// The names that are taken, while topics are created.
#[derive(Default)]
struct Names {
    /// Names with a `.` or `_` as metrics would spell them; made when first needed.
    spelled: Option<BTreeSet<String>>,
}

impl Names {
    /// Whether a topic may bear `name`: legal, not taken, and not one that differs from another only in `.`
    /// and `_`, which metrics cannot tell apart.
    fn check(&mut self, view: View<'_>, name: &TopicName) -> Result<(), ErrorCode> {
        if !name.is_legal() {
            return Err(ErrorCode::InvalidTopic);
        }
        if view.image.topic_id(name).is_some() {
            return Err(ErrorCode::TopicAlreadyExists);
        }
        if may_collide(name.as_str()) {
            let taken = self.spelled.get_or_insert_with(|| {
                view.image
                    .names()
                    .filter(|(name, _)| may_collide(name.as_str()))
                    .map(|(name, _)| spell(name))
                    .collect()
            });
            if taken.contains(&spell(name)) {
                return Err(ErrorCode::InvalidTopic);
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &TopicName) {
        if let Some(taken) = &mut self.spelled
            && may_collide(name.as_str())
        {
            taken.insert(spell(name));
        }
    }
}

fn may_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

fn spell(name: &TopicName) -> String {
    name.as_str().replace('.', "_")
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};
    use core::time::Duration;

    use super::*;
    use crate::{
        controller::{
            decide::Question,
            fixture::{Cluster, broker, set},
        },
        protocol::{Request, Response},
    };

    fn new(name: &str, partitions: u32, replication_factor: u16) -> NewTopic {
        let (assignment, config) = (vec![], vec![]);
        NewTopic { name: name.into(), partitions, replication_factor, assignment, config }
    }

    fn assigned(name: &str, assignment: &[&[u32]]) -> NewTopic {
        let assignment = assignment.iter().map(|replicas| replicas.iter().copied().map(broker).collect());
        NewTopic { assignment: assignment.collect(), ..new(name, 0, 0) }
    }

    fn set_to(key: &str, value: &str) -> NewTopic {
        NewTopic { config: vec![(key.into(), value.into())], ..new("orders", 1, 1) }
    }

    #[test]
    fn a_topic_that_cannot_be_is_refused_for_what_is_wrong() {
        let long = "x".repeat(250);
        let table = [
            (new("", 1, 1), ErrorCode::InvalidTopic),
            (new("..", 1, 1), ErrorCode::InvalidTopic),
            (new("no/slash", 1, 1), ErrorCode::InvalidTopic),
            (new(&long, 1, 1), ErrorCode::InvalidTopic),
            (new("a.b", 1, 1), ErrorCode::InvalidTopic),
            (new("a_b", 1, 1), ErrorCode::TopicAlreadyExists),
            (new("orders", 0, 1), ErrorCode::InvalidPartitions),
            (new("orders", 10_001, 1), ErrorCode::PolicyViolation),
            (new("orders", 1, 0), ErrorCode::InvalidReplicationFactor),
            (new("orders", 1, 4), ErrorCode::InvalidReplicationFactor),
            (assigned("orders", &[&[1, 2], &[3]]), ErrorCode::InvalidReplicaAssignment),
            (assigned("orders", &[&[1, 1]]), ErrorCode::InvalidReplicaAssignment),
            (assigned("orders", &[&[1, 9]]), ErrorCode::InvalidReplicaAssignment),
            (assigned("orders", &[&[]]), ErrorCode::InvalidReplicaAssignment),
            (assigned("orders", &[&[3]]), ErrorCode::InvalidReplicaAssignment),
            (set_to("min.insync.replica", "1"), ErrorCode::InvalidConfig),
            (set_to("min.insync.replicas", "0"), ErrorCode::InvalidConfig),
        ];
        let mut cluster = Cluster::of(3);
        cluster.topic("a_b", &[1], &[]);
        cluster.expire(3);
        for (topic, error) in table {
            let name = topic.name.to_string();
            assert_eq!(cluster.create(topic), Err(error), "{name}");
            assert!(cluster.records.is_empty());
        }
    }

    #[test]
    fn a_topic_gets_what_it_asked_for() {
        let mut cluster = Cluster::of(3);
        cluster.expire(1);
        let config = vec![("min.insync.replicas".to_string(), "2".to_string())];
        let id =
            cluster.create(NewTopic { config, ..assigned("orders", &[&[1, 2, 3]]) }).expect("it is legal");
        let state = cluster.state(TopicPartition::new(id, 0));
        assert_eq!((state.leader, &state.isr), (Some(broker(2)), &set(&[2, 3])));
        let config = cluster.image.topic_config(id, &TopicConfig::default()).expect("it exists");
        assert_eq!(config.min_insync_replicas, 2);
        assert_eq!(cluster.image.topic_id(&"orders".into()), Some(id));
    }

    #[test]
    fn what_is_left_to_the_controller_is_as_it_is_set() {
        let mut cluster = Cluster::of(3);
        (cluster.config.num_partitions, cluster.config.default_replication_factor) = (4, 2);
        let id = cluster.create(new("orders", u32::MAX, u16::MAX)).expect("it is legal");
        let topic = cluster.image.topic(id).expect("it exists");
        assert_eq!((topic.partitions.len(), topic.partitions[0].replicas.len()), (4, 2));
    }

    #[test]
    fn leaderships_and_replicas_are_spread_evenly() {
        let mut cluster = Cluster::of(4);
        let id = cluster.create(new("orders", 40, 3)).expect("it is legal");
        let partitions = &cluster.image.topic(id).expect("it exists").partitions;
        for nth in 1..=4 {
            let led = partitions.iter().filter(|state| state.leader == Some(broker(nth))).count();
            let held = partitions.iter().filter(|state| state.replicas.contains(&broker(nth))).count();
            assert_eq!((led, held), (10, 30));
        }
    }

    #[test]
    fn a_deleted_topic_is_gone_and_its_name_is_free() {
        let mut cluster = Cluster::of(2);
        let partition = cluster.topic("orders", &[1, 2], &[("retention.ms", "5")]);
        let names = ["orders", "orders", "nothing"].map(TopicName::from);
        let request = DeleteTopicsRequest { topics: names.into(), timeout: Duration::ZERO };
        let Some(Response::DeleteTopics(response)) =
            cluster.ask(Question::Request(Request::DeleteTopics(request)))
        else {
            panic!("a response to what was asked")
        };
        let results: Vec<_> = response.topics.into_iter().map(|(_, result)| result).collect();
        let expected = [Ok(()), Err(ErrorCode::InvalidRequest), Err(ErrorCode::UnknownTopicOrPartition)];
        assert_eq!(results, expected);
        assert_eq!(cluster.image.partition(partition), None);
        assert_eq!(cluster.image.held_by(broker(1)).count(), 0);
        assert_ne!(cluster.topic("orders", &[1], &[]).topic, partition.topic);
    }

    #[test]
    fn partitions_are_only_ever_added() {
        let mut cluster = Cluster::of(3);
        let partition = cluster.topic("orders", &[1, 2], &[]);
        let table = [
            ("orders", 3, Ok(())),
            ("orders", 3, Err(ErrorCode::InvalidPartitions)),
            ("orders", 1, Err(ErrorCode::InvalidPartitions)),
            ("nothing", 3, Err(ErrorCode::UnknownTopicOrPartition)),
            ("orders", 20_000, Err(ErrorCode::PolicyViolation)),
        ];
        for (name, count, expected) in table {
            let request =
                CreatePartitionsRequest { topics: vec![(name.into(), count)], timeout: Duration::ZERO };
            let response = cluster.ask(Question::Request(Request::CreatePartitions(request)));
            let Some(Response::CreatePartitions(response)) = response else {
                panic!("a response to what was asked")
            };
            assert_eq!(response.topics[0].1, expected);
        }
        let topic = cluster.image.topic(partition.topic).expect("it exists");
        assert!(topic.partitions.iter().all(|state| state.replicas.len() == 2 && state.leader.is_some()));
        assert_eq!(topic.partitions.len(), 3);
    }
}
