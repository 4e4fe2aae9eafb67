//! Which knobs does Kafka have, what are they called, and what are they set to?
//!
//! Kafka's own keys as typed fields, with Kafka's defaults and bounds. A key of Kafka's that the model has
//! no use for is not listed, and setting it is refused: a setting that does nothing would teach a lie.

use alloc::{
    format,
    string::{String, ToString},
};
use core::{fmt, time::Duration};

/// One configuration key, for lists, suggestions and documentation.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Kafka's spelling.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What may be written: `true or false`, `milliseconds from 0 to …`.
    pub expects: fn() -> String,
}

/// Why a setting was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no such key here.
    UnknownKey,
    /// The value is not one of those the key takes; says which those are.
    BadValue {
        /// What may be written.
        expected: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::UnknownKey => f.write_str("no such configuration key"),
            ConfigError::BadValue { expected } => write!(f, "expected {expected}"),
        }
    }
}

/// A type that a configuration value can have.
pub trait Value: Sized {
    /// Reads what a properties file or scenario says; `None` if it makes no sense.
    fn parse(text: &str) -> Option<Self>;
    /// As it is written.
    fn show(&self) -> String;
    /// The number that bounds apply to, if they do.
    fn number(&self) -> Option<i64>;
    /// What may be written, in words, between these bounds.
    fn expects(low: i64, high: i64) -> String;
}

macro_rules! number_values {
    ($($ty:ty)*) => { $(
        impl Value for $ty {
            fn parse(text: &str) -> Option<Self> { text.parse().ok() }
            fn show(&self) -> String { self.to_string() }
            fn number(&self) -> Option<i64> { i64::try_from(*self).ok() }
            fn expects(low: i64, high: i64) -> String {
                if high == i64::MAX { format!("a whole number of at least {low}") } else { format!("a whole number from {low} to {high}") }
            }
        }
    )* };
}
number_values!(u16 u32 u64 i64);

impl Value for bool {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
    fn number(&self) -> Option<i64> {
        None
    }
    fn expects(_: i64, _: i64) -> String {
        "true or false".into()
    }
}

/// Milliseconds.
impl Value for Duration {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Duration::from_millis)
    }
    fn show(&self) -> String {
        self.as_millis().to_string()
    }
    fn number(&self) -> Option<i64> {
        i64::try_from(self.as_millis()).ok()
    }
    fn expects(low: i64, high: i64) -> String {
        if high == i64::MAX {
            format!("milliseconds, at least {low}")
        } else {
            format!("milliseconds from {low} to {high}")
        }
    }
}

/// Milliseconds, or `-1` for never.
impl Value for Option<Duration> {
    fn parse(text: &str) -> Option<Self> {
        if text == "-1" { Some(None) } else { Some(Some(Duration::parse(text)?)) }
    }
    fn show(&self) -> String {
        self.map_or("-1".into(), |d| d.show())
    }
    fn number(&self) -> Option<i64> {
        self.and_then(|d| d.number())
    }
    fn expects(low: i64, high: i64) -> String {
        format!("{}, or -1 for never", Duration::expects(low, high))
    }
}

/// A number, or `-1` for no limit.
impl Value for Option<u64> {
    fn parse(text: &str) -> Option<Self> {
        if text == "-1" { Some(None) } else { Some(Some(text.parse().ok()?)) }
    }
    fn show(&self) -> String {
        self.map_or("-1".into(), |n| n.to_string())
    }
    fn number(&self) -> Option<i64> {
        self.and_then(|n| i64::try_from(n).ok())
    }
    fn expects(low: i64, high: i64) -> String {
        format!("{}, or -1 for no limit", u64::expects(low, high))
    }
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl Value for $name {
            fn parse(text: &str) -> Option<Self> { match text { $($text => Some($name::$variant),)* _ => None } }
            fn show(&self) -> String { match self { $($name::$variant => $text.into(),)* } }
            fn number(&self) -> Option<i64> { None }
            fn expects(_: i64, _: i64) -> String { [$($text),*].join(" or ") }
        }
    };
}

choices! {
    /// Whose time a record bears.
    TimestampType {
        /// The producer's.
        CreateTime = "CreateTime",
        /// The leader's, when it appended.
        LogAppendTime = "LogAppendTime",
    }
}
choices! {
    /// Where a consumer begins that has no position, or whose position is gone.
    AutoOffsetReset {
        /// At the log's start.
        Earliest = "earliest",
        /// At the high watermark.
        Latest = "latest",
        /// Nowhere: the application is told.
        None = "none",
    }
}
choices! {
    /// How a producer chooses a partition where the application did not.
    Partitioner {
        /// By the key's murmur2 hash; without a key one partition until a batch is full (KIP-794).
        Default = "default",
        /// In turn, whatever the key.
        RoundRobin = "round_robin",
    }
}
choices! {
    /// Kafka's `acks`.
    AcksSetting {
        /// Nobody.
        None = "0",
        /// The leader.
        Leader = "1",
        /// Every replica in sync.
        All = "all",
    }
}

impl From<AcksSetting> for crate::protocol::produce::Acks {
    fn from(setting: AcksSetting) -> Self {
        match setting {
            AcksSetting::None => Self::None,
            AcksSetting::Leader => Self::Leader,
            AcksSetting::All => Self::All,
        }
    }
}

macro_rules! config {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty, $key:literal, $default:expr, $low:expr, $high:expr, $about:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $(#[doc = concat!("`", $key, "`: ", $about)] pub $field: $ty,)* }

        impl Default for $name {
            fn default() -> Self { $name { $($field: $default,)* } }
        }

        impl $name {
            /// Every key it has, in the order of their documentation.
            pub const KEYS: &'static [Key] = &[$(Key { name: $key, about: $about, expects: || <$ty as Value>::expects($low, $high) },)*];

            /// Sets one key as a properties file would.
            ///
            /// Refuses a key that is not there, a value of another type and one out of Kafka's bounds, and
            /// then changes nothing.
            pub fn set(&mut self, key: &str, text: &str) -> Result<(), ConfigError> {
                match key {
                    $($key => {
                        let expected = || <$ty as Value>::expects($low, $high);
                        let Some(value) = <$ty as Value>::parse(text) else { return Err(ConfigError::BadValue { expected: expected() }) };
                        if value.number().is_some_and(|n| !($low..=$high).contains(&n)) {
                            return Err(ConfigError::BadValue { expected: expected() });
                        }
                        self.$field = value;
                        Ok(())
                    })*
                    _ => Err(ConfigError::UnknownKey),
                }
            }

            /// What a key is set to, as it is written; `None` if there is no such key.
            pub fn get(&self, key: &str) -> Option<String> {
                match key { $($key => Some(self.$field.show()),)* _ => None }
            }
        }
    };
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;

config! {
    /// What a broker is set to; the values of its topics where they do not say otherwise.
    BrokerConfig {
        log_segment_bytes: u64, "log.segment.bytes", 1 << 30, 14, INT, "how large a segment grows before the next begins";
        log_roll_ms: Duration, "log.roll.ms", ms(7 * 24 * 3_600_000), 1, LONG, "how old a segment grows before the next begins";
        log_index_interval_bytes: u32, "log.index.interval.bytes", 4096, 0, INT, "how many bytes between two entries of the offset index";
        log_flush_interval_messages: u64, "log.flush.interval.messages", i64::MAX as u64, 1, LONG, "after how many records a log is flushed";
        log_flush_interval_ms: Option<Duration>, "log.flush.interval.ms", None, 0, LONG, "for how long a record may stay unflushed";
        log_retention_ms: Option<Duration>, "log.retention.ms", Some(ms(7 * 24 * 3_600_000)), 0, LONG, "how long records are kept";
        log_retention_bytes: Option<u64>, "log.retention.bytes", None, 0, LONG, "how many bytes of a partition are kept";
        log_retention_check_interval_ms: Duration, "log.retention.check.interval.ms", ms(300_000), 1, LONG, "how often retention looks";
        log_segment_delete_delay_ms: Duration, "log.segment.delete.delay.ms", ms(60_000), 0, LONG, "how long a deleted segment's files stay";
        log_message_timestamp_type: TimestampType, "log.message.timestamp.type", TimestampType::CreateTime, 0, 0, "whose time a record bears";
        message_max_bytes: u32, "message.max.bytes", 1_048_588, 0, INT, "how large a batch may be";
        min_insync_replicas: u32, "min.insync.replicas", 1, 1, INT, "how many replicas must be in sync for acks=all";
        unclean_leader_election_enable: bool, "unclean.leader.election.enable", false, 0, 0, "whether a replica that is not in sync may lead if no other can";
        num_partitions: u32, "num.partitions", 1, 1, INT, "how many partitions a topic gets that does not say";
        default_replication_factor: u16, "default.replication.factor", 1, 1, 32_767, "how many replicas a topic gets that does not say";
        replica_lag_time_max_ms: Duration, "replica.lag.time.max.ms", ms(30_000), 0, LONG, "how long a follower may lag and stay in the ISR";
        replica_fetch_wait_max_ms: Duration, "replica.fetch.wait.max.ms", ms(500), 0, INT, "how long a follower's fetch waits at the leader";
        replica_fetch_min_bytes: u32, "replica.fetch.min.bytes", 1, 0, INT, "how much a follower's fetch waits for";
        replica_fetch_max_bytes: u32, "replica.fetch.max.bytes", 1 << 20, 0, INT, "how much a follower fetches of one partition";
        replica_fetch_response_max_bytes: u32, "replica.fetch.response.max.bytes", 10 << 20, 0, INT, "how much a follower fetches at once";
        replica_fetch_backoff_ms: Duration, "replica.fetch.backoff.ms", ms(1_000), 0, INT, "how long a follower rests after an error";
        replica_socket_timeout_ms: Duration, "replica.socket.timeout.ms", ms(30_000), 0, INT, "how long a follower waits for an answer";
        replica_high_watermark_checkpoint_interval_ms: Duration, "replica.high.watermark.checkpoint.interval.ms", ms(5_000), 1, LONG, "how often high watermarks are saved";
        log_flush_offset_checkpoint_interval_ms: Duration, "log.flush.offset.checkpoint.interval.ms", ms(60_000), 0, INT, "how often recovery points are saved";
        log_flush_start_offset_checkpoint_interval_ms: Duration, "log.flush.start.offset.checkpoint.interval.ms", ms(60_000), 0, INT, "how often log starts are saved";
        fetch_max_bytes: u32, "fetch.max.bytes", 55 << 20, 1024, INT, "how much one fetch may return";
        producer_id_expiration_ms: Duration, "producer.id.expiration.ms", ms(86_400_000), 1, INT, "how long a silent producer's sequences are remembered";
        broker_heartbeat_interval_ms: Duration, "broker.heartbeat.interval.ms", ms(2_000), 1, INT, "how often a broker tells that it lives";
        broker_session_timeout_ms: Duration, "broker.session.timeout.ms", ms(9_000), 1, INT, "how long a silent broker counts as alive (the controller's own value decides)";
        initial_broker_registration_timeout_ms: Duration, "initial.broker.registration.timeout.ms", ms(60_000), 1, INT, "how long a broker tries to register before it gives up";
        controlled_shutdown_enable: bool, "controlled.shutdown.enable", true, 0, 0, "whether a broker moves its leaderships away before it stops";
        request_timeout_ms: Duration, "request.timeout.ms", ms(30_000), 1, INT, "how long a request to another server waits for its answer";
        controller_quorum_fetch_timeout_ms: Duration, "controller.quorum.fetch.timeout.ms", ms(2_000), 1, INT, "how long without a successful fetch before a leader is looked for";
        controller_quorum_request_timeout_ms: Duration, "controller.quorum.request.timeout.ms", ms(2_000), 1, INT, "how long a quorum request waits for its answer";
        controller_quorum_retry_backoff_ms: Duration, "controller.quorum.retry.backoff.ms", ms(20), 0, INT, "how long to rest after a failed quorum request";
        metadata_log_segment_bytes: u64, "metadata.log.segment.bytes", 1 << 30, 14, INT, "how large a segment of the metadata log grows";
        metadata_log_max_record_bytes_between_snapshots: u64, "metadata.log.max.record.bytes.between.snapshots", 20 << 20, 1, LONG, "after how many bytes of records a metadata snapshot is taken";
        metadata_log_max_snapshot_interval_ms: Duration, "metadata.log.max.snapshot.interval.ms", ms(3_600_000), 0, LONG, "after how long a metadata snapshot is taken";
    }
}

config! {
    /// What a controller is set to.
    ControllerConfig {
        controller_quorum_election_timeout_ms: Duration, "controller.quorum.election.timeout.ms", ms(1_000), 1, INT, "how long a candidate waits for votes";
        controller_quorum_election_backoff_max_ms: Duration, "controller.quorum.election.backoff.max.ms", ms(1_000), 0, INT, "how long a candidate that lost rests at most";
        controller_quorum_fetch_timeout_ms: Duration, "controller.quorum.fetch.timeout.ms", ms(2_000), 1, INT, "how long a voter waits for its leader, and a leader for a majority of voters, before it acts";
        controller_quorum_request_timeout_ms: Duration, "controller.quorum.request.timeout.ms", ms(2_000), 1, INT, "how long a quorum request waits for its answer";
        controller_quorum_retry_backoff_ms: Duration, "controller.quorum.retry.backoff.ms", ms(20), 0, INT, "how long to rest after a failed quorum request";
        controller_quorum_append_linger_ms: Duration, "controller.quorum.append.linger.ms", ms(25), 0, INT, "how long the leader gathers records before it flushes them";
        broker_session_timeout_ms: Duration, "broker.session.timeout.ms", ms(9_000), 1, INT, "how long a silent broker counts as alive";
        unclean_leader_election_enable: bool, "unclean.leader.election.enable", false, 0, 0, "whether a replica that is not in sync may lead if no other can, for topics that do not say";
        min_insync_replicas: u32, "min.insync.replicas", 1, 1, INT, "how many replicas must be in sync, for topics that do not say";
        default_replication_factor: u16, "default.replication.factor", 1, 1, 32_767, "how many replicas a topic gets that does not say";
        num_partitions: u32, "num.partitions", 1, 1, INT, "how many partitions a topic gets that does not say";
        auto_leader_rebalance_enable: bool, "auto.leader.rebalance.enable", true, 0, 0, "whether leadership goes back to preferred replicas by itself";
        leader_imbalance_check_interval_seconds: u64, "leader.imbalance.check.interval.seconds", 300, 1, LONG, "how often that is looked at";
        leader_imbalance_per_broker_percentage: u32, "leader.imbalance.per.broker.percentage", 10, 0, INT, "how much of a broker's leaderships may be elsewhere";
        eligible_leader_replicas_enable: bool, "eligible.leader.replicas.enable", true, 0, 0, "whether the controller keeps eligible leader replicas (Kafka: feature eligible.leader.replicas.version, KIP-966)";
        metadata_log_segment_bytes: u64, "metadata.log.segment.bytes", 1 << 30, 14, INT, "how large a segment of the metadata log grows";
        metadata_log_max_record_bytes_between_snapshots: u64, "metadata.log.max.record.bytes.between.snapshots", 20 << 20, 1, LONG, "after how many bytes of records a metadata snapshot is taken";
        metadata_log_max_snapshot_interval_ms: Duration, "metadata.log.max.snapshot.interval.ms", ms(3_600_000), 0, LONG, "after how long a metadata snapshot is taken";
        metadata_max_retention_bytes: Option<u64>, "metadata.max.retention.bytes", Some(100 << 20), 0, LONG, "how many bytes of the metadata log and its snapshots are kept";
        metadata_max_idle_interval_ms: Duration, "metadata.max.idle.interval.ms", ms(500), 0, INT, "how often an idle active controller writes a no-op record; 0 for never";
        producer_ids_block_size: u32, "producer.ids.block.size", 1_000, 1, INT, "how many producer ids a broker gets at once (Kafka: a constant)";
    }
}

config! {
    /// What a topic is set to; made from its broker's values and its own.
    TopicConfig {
        segment_bytes: u64, "segment.bytes", 1 << 30, 14, INT, "how large a segment grows before the next begins";
        segment_ms: Duration, "segment.ms", ms(7 * 24 * 3_600_000), 1, LONG, "how old a segment grows before the next begins";
        index_interval_bytes: u32, "index.interval.bytes", 4096, 0, INT, "how many bytes between two entries of the offset index";
        flush_messages: u64, "flush.messages", i64::MAX as u64, 1, LONG, "after how many records the log is flushed";
        flush_ms: Option<Duration>, "flush.ms", None, 0, LONG, "for how long a record may stay unflushed";
        retention_ms: Option<Duration>, "retention.ms", Some(ms(7 * 24 * 3_600_000)), 0, LONG, "how long records are kept";
        retention_bytes: Option<u64>, "retention.bytes", None, 0, LONG, "how many bytes of a partition are kept";
        file_delete_delay_ms: Duration, "file.delete.delay.ms", ms(60_000), 0, LONG, "how long a deleted segment's files stay";
        message_timestamp_type: TimestampType, "message.timestamp.type", TimestampType::CreateTime, 0, 0, "whose time a record bears";
        max_message_bytes: u32, "max.message.bytes", 1_048_588, 0, INT, "how large a batch may be";
        min_insync_replicas: u32, "min.insync.replicas", 1, 1, INT, "how many replicas must be in sync for acks=all";
        unclean_leader_election_enable: bool, "unclean.leader.election.enable", false, 0, 0, "whether a replica that is not in sync may lead if no other can";
    }
}

impl TopicConfig {
    /// What a topic is set to that says nothing of its own.
    pub fn of_broker(broker: &BrokerConfig) -> TopicConfig {
        TopicConfig {
            segment_bytes: broker.log_segment_bytes,
            segment_ms: broker.log_roll_ms,
            index_interval_bytes: broker.log_index_interval_bytes,
            flush_messages: broker.log_flush_interval_messages,
            flush_ms: broker.log_flush_interval_ms,
            retention_ms: broker.log_retention_ms,
            retention_bytes: broker.log_retention_bytes,
            file_delete_delay_ms: broker.log_segment_delete_delay_ms,
            message_timestamp_type: broker.log_message_timestamp_type,
            max_message_bytes: broker.message_max_bytes,
            min_insync_replicas: broker.min_insync_replicas,
            unclean_leader_election_enable: broker.unclean_leader_election_enable,
        }
    }
}

config! {
    /// What a producer is set to.
    ProducerConfig {
        acks: AcksSetting, "acks", AcksSetting::All, 0, 0, "who must have a record before it counts as sent";
        enable_idempotence: bool, "enable.idempotence", true, 0, 0, "whether sequence numbers keep retries from duplicating and reordering";
        batch_size: u32, "batch.size", 16_384, 0, INT, "how many bytes of records a batch gathers";
        linger_ms: Duration, "linger.ms", ms(5), 0, LONG, "how long a batch waits for company";
        max_in_flight_requests_per_connection: u32, "max.in.flight.requests.per.connection", 5, 1, INT, "how many requests to one broker may be unanswered";
        max_request_size: u32, "max.request.size", 1 << 20, 0, INT, "how large a request may be";
        buffer_memory: u64, "buffer.memory", 32 << 20, 0, LONG, "how many bytes of records may wait";
        max_block_ms: Duration, "max.block.ms", ms(60_000), 0, LONG, "how long a send may wait for metadata or for memory";
        retries: u32, "retries", i32::MAX as u32, 0, INT, "how often a batch is tried again";
        retry_backoff_ms: Duration, "retry.backoff.ms", ms(100), 0, LONG, "how long to rest before the first retry";
        retry_backoff_max_ms: Duration, "retry.backoff.max.ms", ms(1_000), 0, LONG, "how long to rest at most";
        request_timeout_ms: Duration, "request.timeout.ms", ms(30_000), 0, INT, "how long a request waits for its answer";
        delivery_timeout_ms: Duration, "delivery.timeout.ms", ms(120_000), 0, INT, "after how long a record counts as failed";
        reconnect_backoff_ms: Duration, "reconnect.backoff.ms", ms(50), 0, LONG, "how long to rest before connecting again";
        reconnect_backoff_max_ms: Duration, "reconnect.backoff.max.ms", ms(1_000), 0, LONG, "how long to rest at most";
        metadata_max_age_ms: Duration, "metadata.max.age.ms", ms(300_000), 0, LONG, "how old the view of the cluster may grow";
        partitioner: Partitioner, "partitioner", Partitioner::Default, 0, 0, "how a partition is chosen (Kafka: partitioner.class)";
    }
}

config! {
    /// What a consumer is set to.
    ConsumerConfig {
        auto_offset_reset: AutoOffsetReset, "auto.offset.reset", AutoOffsetReset::Latest, 0, 0, "where to begin without a position";
        fetch_min_bytes: u32, "fetch.min.bytes", 1, 0, INT, "how much a fetch waits for";
        fetch_max_wait_ms: Duration, "fetch.max.wait.ms", ms(500), 0, INT, "how long it waits";
        fetch_max_bytes: u32, "fetch.max.bytes", 50 << 20, 0, INT, "how much it returns in all";
        max_partition_fetch_bytes: u32, "max.partition.fetch.bytes", 1 << 20, 0, INT, "how much it returns of one partition";
        max_poll_records: u32, "max.poll.records", 500, 1, INT, "how many records the application gets by one poll";
        retry_backoff_ms: Duration, "retry.backoff.ms", ms(100), 0, LONG, "how long to rest before the first retry";
        retry_backoff_max_ms: Duration, "retry.backoff.max.ms", ms(1_000), 0, LONG, "how long to rest at most";
        request_timeout_ms: Duration, "request.timeout.ms", ms(30_000), 0, INT, "how long a request waits for its answer";
        reconnect_backoff_ms: Duration, "reconnect.backoff.ms", ms(50), 0, LONG, "how long to rest before connecting again";
        reconnect_backoff_max_ms: Duration, "reconnect.backoff.max.ms", ms(1_000), 0, LONG, "how long to rest at most";
        metadata_max_age_ms: Duration, "metadata.max.age.ms", ms(300_000), 0, LONG, "how old the view of the cluster may grow";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_what_kafka_takes_and_nothing_else() {
        let mut config = BrokerConfig::default();
        assert_eq!(config.set("min.insync.replicas", "2"), Ok(()));
        assert_eq!(config.min_insync_replicas, 2);
        assert_eq!(
            config.set("min.insync.replicas", "0"),
            Err(ConfigError::BadValue { expected: "a whole number from 1 to 2147483647".into() })
        );
        assert_eq!(config.set("min.insync.replica", "2"), Err(ConfigError::UnknownKey));
        assert_eq!(config.set("log.retention.bytes", "-1"), Ok(()));
        assert_eq!(config.get("log.retention.bytes").as_deref(), Some("-1"));
    }

    #[test]
    fn a_topic_inherits_from_its_broker() {
        let mut broker = BrokerConfig::default();
        broker.set("log.segment.bytes", "4096").expect("in bounds");
        assert_eq!(TopicConfig::of_broker(&broker).segment_bytes, 4096);
    }
}
