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

/// How long a topic's name may be.
const MAX_NAME: usize = 249;

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
    let mut names = Names::of(view);
    let mut records = Vec::new();
    let mut partitions = 0;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let twice = request.topics.iter().filter(|other| other.name == topic.name).count() > 1;
        let result = if twice { Err(ErrorCode::InvalidRequest) } else { names.check(view, &topic.name) }
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
    check_config(&topic.config)?;
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

fn check_config(config: &[(String, String)]) -> Result<(), ErrorCode> {
    let mut scratch = TopicConfig::default();
    for (key, value) in config {
        scratch.set(key, value).map_err(|_| ErrorCode::InvalidConfig)?;
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
    let mut records: Vec<Record> = Vec::new();
    let topics = request.topics.iter().map(|name| {
        let record = view.image.topic_id(name).map(|topic| Record::RemoveTopic(RemoveTopicRecord { topic }));
        let result = match record {
            None => Err(ErrorCode::UnknownTopicOrPartition),
            Some(record) if records.contains(&record) => Err(ErrorCode::InvalidRequest),
            Some(record) => {
                records.push(record);
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
    for (name, count) in &request.topics {
        let twice = request.topics.iter().filter(|(other, _)| other == name).count() > 1;
        let room = MAX_PARTITIONS - records.len();
        let result =
            if twice { Err(ErrorCode::InvalidRequest) } else { more(view, context, name, *count, room) };
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

/// The names that are taken, while topics are created.
struct Names {
    /// Names with a `.` or `_` as metrics would spell them; made when first needed.
    spelled: Option<BTreeSet<String>>,
}

impl Names {
    fn of(_: View<'_>) -> Names {
        Names { spelled: None }
    }

    /// Whether a topic may bear `name`: legal, not taken, and not one that differs from another only in `.`
    /// and `_`, which metrics cannot tell apart.
    fn check(&mut self, view: View<'_>, name: &TopicName) -> Result<(), ErrorCode> {
        if !is_legal(name.as_str()) {
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

/// Kafka's rule: 1 to 249 ASCII letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
fn is_legal(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=MAX_NAME).contains(&name.len()) && name != "." && name != ".." && name.chars().all(legal)
}
