//! Which APIs are spoken, in which versions, and to whom are they shown?

/// Who is expected at a listener: Kafka has other APIs for controllers than for brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Clients and other brokers.
    Broker,
    /// Other controllers, and brokers.
    Controller,
}

/// An API, and the versions of it that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Its number on the wire.
    pub key: i16,
    /// The first version shown in ApiVersions.
    pub shown: i16,
    /// The first version that is carried out.
    pub min: i16,
    /// The last.
    pub max: i16,
}

const fn api(key: i16, min: i16, max: i16) -> Spoken {
    Spoken { key, shown: min, min, max }
}

pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;
pub(crate) const LIST_OFFSETS: i16 = 2;
pub(crate) const METADATA: i16 = 3;
pub(crate) const API_VERSIONS: i16 = 18;
pub(crate) const CREATE_TOPICS: i16 = 19;
pub(crate) const DELETE_TOPICS: i16 = 20;
pub(crate) const DELETE_RECORDS: i16 = 21;
pub(crate) const INIT_PRODUCER_ID: i16 = 22;
pub(crate) const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
pub(crate) const CREATE_PARTITIONS: i16 = 37;
pub(crate) const VOTE: i16 = 52;
pub(crate) const BEGIN_QUORUM_EPOCH: i16 = 53;
pub(crate) const END_QUORUM_EPOCH: i16 = 54;
pub(crate) const DESCRIBE_QUORUM: i16 = 55;
pub(crate) const ALTER_PARTITION: i16 = 56;
pub(crate) const FETCH_SNAPSHOT: i16 = 59;
pub(crate) const DESCRIBE_CLUSTER: i16 = 60;
pub(crate) const BROKER_REGISTRATION: i16 = 62;
pub(crate) const BROKER_HEARTBEAT: i16 = 63;
pub(crate) const ALLOCATE_PRODUCER_IDS: i16 = 67;
pub(crate) const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

const BROKER: &[Spoken] = &[
    // Shown from 0 on and refused below 3: old librdkafka compresses only where it sees version 0
    // (KAFKA-18659). Not 12, which promises transactions of version 2.
    Spoken { key: PRODUCE, shown: 0, min: 3, max: 11 },
    api(FETCH, 4, 17),
    api(LIST_OFFSETS, 1, 9),
    api(METADATA, 0, 13),
    api(API_VERSIONS, 0, 4),
    api(CREATE_TOPICS, 2, 7),
    api(DELETE_TOPICS, 1, 6),
    api(DELETE_RECORDS, 0, 2),
    api(INIT_PRODUCER_ID, 0, 5),
    api(OFFSET_FOR_LEADER_EPOCH, 2, 4),
    api(CREATE_PARTITIONS, 0, 3),
    api(DESCRIBE_CLUSTER, 0, 2),
    api(DESCRIBE_TOPIC_PARTITIONS, 0, 0),
];

const CONTROLLER: &[Spoken] = &[
    api(FETCH, 17, 17),
    api(API_VERSIONS, 0, 4),
    api(CREATE_TOPICS, 2, 7),
    api(DELETE_TOPICS, 1, 6),
    api(CREATE_PARTITIONS, 0, 3),
    api(VOTE, 0, 2),
    api(BEGIN_QUORUM_EPOCH, 0, 1),
    api(END_QUORUM_EPOCH, 0, 1),
    api(DESCRIBE_QUORUM, 0, 2),
    api(ALTER_PARTITION, 2, 3),
    api(FETCH_SNAPSHOT, 0, 1),
    api(BROKER_REGISTRATION, 0, 4),
    api(BROKER_HEARTBEAT, 0, 1),
    api(ALLOCATE_PRODUCER_IDS, 0, 0),
];

/// What a listener speaks, in order of the keys.
pub const fn supported(listener: Listener) -> &'static [Spoken] {
    match listener {
        Listener::Broker => BROKER,
        Listener::Controller => CONTROLLER,
    }
}

/// The API of a key at a listener, if it is spoken there.
pub(crate) fn find(listener: Listener, key: i16) -> Option<Spoken> {
    supported(listener).iter().find(|spoken| spoken.key == key).copied()
}

/// The version that our own nodes use among themselves: the last of those spoken. They are of one build.
pub fn between_nodes(key: i16) -> Option<i16> {
    let controllers = find(Listener::Controller, key);
    controllers.or_else(|| find(Listener::Broker, key)).map(|spoken| spoken.max)
}
