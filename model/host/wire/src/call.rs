//! What of a request must be remembered until its answer is spelled, or read?

use kacrab_protocol::{KafkaString, KafkaUuid};
use trial_model::{
    protocol::{NamedPartition, PartitionRef, TopicName, TopicRef},
    units::TopicId,
};

/// One request on its way: what its answer repeats.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) foreign: Foreign,
    pub(crate) echo: Echo,
    /// Topics that the request named for want of a place for their ids.
    pub(crate) named: Vec<(TopicName, TopicId)>,
}

/// What only some APIs repeat.
#[derive(Clone, Debug, Default)]
pub(crate) enum Echo {
    #[default]
    Nothing,
    /// Partitions of a Produce whose records are no batch, or of an OffsetCommit whose offset is none, each with the
    /// error it is told.
    Refused(Vec<(PartitionRef, i16)>),
    /// Partitions that an OffsetFetch asks for: in version 1 each is told the error of all.
    Asked(Vec<NamedPartition>),
    /// Topics that were refused before the node heard of them.
    RefusedTopics(Vec<RefusedTopic>),
    /// What DescribeConfigs wants to know besides, and what has no settings.
    Configs { synonyms: bool, documentation: bool, refused: Vec<RefusedResource> },
    /// The partitions that ElectLeaders names.
    Elected(Vec<NamedPartition>),
    /// The number of the session that a Fetch belongs to; 0 for none.
    Session(i32),
    /// Whose endpoints DescribeCluster asks for, as the request said.
    EndpointType(i8),
    /// How many partitions DescribeTopicPartitions wants at most, and from where.
    Page { limit: i32, from: Option<(KafkaString, i32)> },
}

/// A topic refused before the node heard of it.
#[derive(Clone, Debug)]
pub(crate) struct RefusedTopic {
    pub(crate) name: Option<KafkaString>,
    pub(crate) id: KafkaUuid,
    pub(crate) error: i16,
    pub(crate) why: &'static str,
}

/// Something whose settings were refused before the node heard of it, with `InvalidRequest`.
#[derive(Clone, Debug)]
pub(crate) struct RefusedResource {
    pub(crate) kind: i8,
    pub(crate) name: KafkaString,
    pub(crate) why: &'static str,
}

impl Call {
    pub(crate) fn new(key: i16, version: i16, correlation: i32) -> Call {
        Call {
            key,
            version,
            correlation,
            foreign: Foreign::default(),
            echo: Echo::Nothing,
            named: Vec::new(),
        }
    }

    /// The API's key on the wire.
    pub fn key(&self) -> i16 {
        self.key
    }

    /// The frame's own number, which the answer repeats.
    pub fn correlation(&self) -> i32 {
        self.correlation
    }
}

/// Topic ids that are none of this cluster's: ours have an upper half of zero. Each stands for itself in the
/// answer, under a number that no topic has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Foreign(Vec<KafkaUuid>);

impl Foreign {
    pub(crate) fn id(&mut self, uuid: KafkaUuid) -> TopicId {
        if uuid.most_significant_bits() == 0 && uuid.least_significant_bits() < u64::MAX / 2 {
            return TopicId(uuid.least_significant_bits());
        }
        self.0.push(uuid);
        TopicId(u64::MAX - (self.0.len() as u64 - 1))
    }

    pub(crate) fn uuid(&self, id: TopicId) -> KafkaUuid {
        let nth = usize::try_from(u64::MAX - id.0).ok();
        let foreign = nth.and_then(|nth| self.0.get(nth)).copied();
        foreign.unwrap_or(KafkaUuid::from_parts(0, id.0))
    }

    /// The topic as a request says it: by id if that is what the version has.
    pub(crate) fn topic(&mut self, by_id: bool, name: &KafkaString, id: KafkaUuid) -> TopicRef {
        if by_id { TopicRef::Id(self.id(id)) } else { TopicRef::Name(name.as_str().into()) }
    }

    /// Name and id as a frame has them; whichever is not known stays empty.
    pub(crate) fn spell(&self, topic: &TopicRef) -> (KafkaString, KafkaUuid) {
        match topic {
            TopicRef::Id(id) => (KafkaString::default(), self.uuid(*id)),
            TopicRef::Name(name) => (crate::convert::string(name.as_str()), KafkaUuid::ZERO),
        }
    }
}
