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
    /// The last version shown.
    pub last_shown: i16,
    /// The first version that is carried out.
    pub min: i16,
    /// The last: our own nodes, which are of one build, may go beyond what is shown.
    pub max: i16,
}

const fn api(key: i16, min: i16, max: i16) -> Spoken {
    Spoken { key, shown: min, last_shown: max, min, max }
}

pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;
pub(crate) const LIST_OFFSETS: i16 = 2;
pub(crate) const METADATA: i16 = 3;
pub(crate) const OFFSET_COMMIT: i16 = 8;
pub(crate) const OFFSET_FETCH: i16 = 9;
pub(crate) const FIND_COORDINATOR: i16 = 10;
pub(crate) const JOIN_GROUP: i16 = 11;
pub(crate) const HEARTBEAT: i16 = 12;
pub(crate) const LEAVE_GROUP: i16 = 13;
pub(crate) const SYNC_GROUP: i16 = 14;
pub(crate) const DESCRIBE_GROUPS: i16 = 15;
pub(crate) const LIST_GROUPS: i16 = 16;
pub(crate) const API_VERSIONS: i16 = 18;
pub(crate) const CREATE_TOPICS: i16 = 19;
pub(crate) const DELETE_TOPICS: i16 = 20;
pub(crate) const DELETE_RECORDS: i16 = 21;
pub(crate) const INIT_PRODUCER_ID: i16 = 22;
pub(crate) const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
pub(crate) const DESCRIBE_CONFIGS: i16 = 32;
pub(crate) const ALTER_CONFIGS: i16 = 33;
pub(crate) const CREATE_PARTITIONS: i16 = 37;
pub(crate) const DELETE_GROUPS: i16 = 42;
pub(crate) const ELECT_LEADERS: i16 = 43;
pub(crate) const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
pub(crate) const OFFSET_DELETE: i16 = 47;
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
pub(crate) const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
pub(crate) const CONSUMER_GROUP_DESCRIBE: i16 = 69;
pub(crate) const DESCRIBE_TOPIC_PARTITIONS: i16 = 75;

const BROKER: &[Spoken] = &[
    // Shown from 0 on and refused below 3: old librdkafka compresses only where it sees version 0
    // (KAFKA-18659). Not 12, which promises transactions of version 2; 13 is how our own producers name topics by id.
    Spoken { key: PRODUCE, shown: 0, last_shown: 11, min: 3, max: 13 },
    api(FETCH, 4, 17),
    api(LIST_OFFSETS, 1, 9),
    api(METADATA, 0, 13),
    // Not 10 of these two, which name topics by id (KIP-848).
    api(OFFSET_COMMIT, 2, 9),
    api(OFFSET_FETCH, 1, 9),
    api(FIND_COORDINATOR, 0, 6),
    api(JOIN_GROUP, 0, 9),
    api(HEARTBEAT, 0, 4),
    api(LEAVE_GROUP, 0, 5),
    api(SYNC_GROUP, 0, 5),
    api(DESCRIBE_GROUPS, 0, 6),
    api(LIST_GROUPS, 0, 5),
    api(API_VERSIONS, 0, 4),
    api(CREATE_TOPICS, 2, 7),
    api(DELETE_TOPICS, 1, 6),
    api(DELETE_RECORDS, 0, 2),
    api(INIT_PRODUCER_ID, 0, 5),
    api(OFFSET_FOR_LEADER_EPOCH, 2, 4),
    api(DESCRIBE_CONFIGS, 1, 4),
    api(ALTER_CONFIGS, 0, 2),
    api(CREATE_PARTITIONS, 0, 3),
    api(DELETE_GROUPS, 0, 2),
    api(ELECT_LEADERS, 0, 2),
    api(INCREMENTAL_ALTER_CONFIGS, 0, 1),
    api(OFFSET_DELETE, 0, 0),
    api(DESCRIBE_QUORUM, 0, 2),
    api(DESCRIBE_CLUSTER, 0, 2),
    api(CONSUMER_GROUP_HEARTBEAT, 0, 1),
    api(CONSUMER_GROUP_DESCRIBE, 0, 1),
    api(DESCRIBE_TOPIC_PARTITIONS, 0, 0),
];

const CONTROLLER: &[Spoken] = &[
    api(FETCH, 17, 17),
    api(API_VERSIONS, 0, 4),
    api(CREATE_TOPICS, 2, 7),
    api(DELETE_TOPICS, 1, 6),
    api(ALTER_CONFIGS, 0, 2),
    api(CREATE_PARTITIONS, 0, 3),
    api(ELECT_LEADERS, 0, 2),
    api(INCREMENTAL_ALTER_CONFIGS, 0, 1),
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
