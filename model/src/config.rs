//! Which knobs does Kafka have, what are they called, and what are they set to?
//!
//! Kafka's own keys as typed fields, with Kafka's defaults and bounds. A key of Kafka's that the model has
//! no use for is not listed, and setting it is refused: a setting that does nothing would teach a lie.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, time::Duration};

use crate::units::Ratio;

/// What type a value is of, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// True or false.
    Boolean,
    /// Text, or one word of several.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 16 bits.
    Short,
    /// A whole number of 64 bits; times are such.
    Long,
    /// A number with decimals.
    Double,
    /// Words with commas between.
    List,
}

/// One configuration key, for lists, suggestions and documentation.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Kafka's spelling.
    pub name: &'static str,
    /// What type its value is of.
    pub kind: Kind,
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
    /// Kafka's word for it.
    const KIND: Kind;
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
    ($($ty:ty: $kind:ident)*) => { $(
        impl Value for $ty {
            const KIND: Kind = Kind::$kind;
            fn parse(text: &str) -> Option<Self> { text.parse().ok() }
            fn show(&self) -> String { self.to_string() }
            fn number(&self) -> Option<i64> { i64::try_from(*self).ok() }
            fn expects(low: i64, high: i64) -> String {
                if high == i64::MAX { format!("a whole number of at least {low}") } else { format!("a whole number from {low} to {high}") }
            }
        }
    )* };
}
number_values!(u16: Short u32: Int u64: Long i64: Long);

impl Value for bool {
    const KIND: Kind = Kind::Boolean;
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
    const KIND: Kind = Kind::Long;
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
    const KIND: Kind = Kind::Long;
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
    const KIND: Kind = Kind::Long;
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

/// A part of one, in decimals as Kafka writes it: `0.5`.
impl Value for Ratio {
    const KIND: Kind = Kind::Double;
    fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() && part.is_empty() || part.len() > 9 || !digits(whole) || !digits(part) {
            return None;
        }
        let of = 10u64.pow(part.len() as u32);
        let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
        let ratio = Ratio(number(whole)?.checked_mul(of)?.checked_add(number(part)?)?, of);
        (ratio.0 <= ratio.1).then_some(ratio)
    }
    fn show(&self) -> String {
        let (mut text, mut rest) = ((self.0 / self.1).to_string(), self.0 % self.1);
        text.push('.');
        loop {
            let digit = u128::from(rest) * 10 / u128::from(self.1);
            rest = (u128::from(rest) * 10 % u128::from(self.1)) as u64;
            text.push_str(&digit.to_string());
            if rest == 0 || text.len() > 10 {
                return text;
            }
        }
    }
    fn number(&self) -> Option<i64> {
        None
    }
    fn expects(_: i64, _: i64) -> String {
        "a number from 0 to 1".into()
    }
}

/// What becomes of records that nobody needs any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CleanupPolicy {
    /// The oldest segments are deleted by time or size.
    Delete,
    /// Of each key the newest record stays.
    Compact,
    /// Both.
    CompactDelete,
}

impl CleanupPolicy {
    /// Whether superseded records are cleaned away.
    pub fn compacts(self) -> bool {
        self != CleanupPolicy::Delete
    }

    /// Whether segments are deleted by time and size.
    pub fn deletes(self) -> bool {
        self != CleanupPolicy::Compact
    }
}

/// A list, in any order.
impl Value for CleanupPolicy {
    const KIND: Kind = Kind::List;
    fn parse(text: &str) -> Option<Self> {
        let (mut compacts, mut deletes) = (false, false);
        for word in text.split(',') {
            match word.trim() {
                "compact" => compacts = true,
                "delete" => deletes = true,
                _ => return None,
            }
        }
        Some(match (compacts, deletes) {
            (true, true) => CleanupPolicy::CompactDelete,
            (true, false) => CleanupPolicy::Compact,
            _ => CleanupPolicy::Delete,
        })
    }
    fn show(&self) -> String {
        match self {
            CleanupPolicy::Delete => "delete",
            CleanupPolicy::Compact => "compact",
            CleanupPolicy::CompactDelete => "compact,delete",
        }
        .into()
    }
    fn number(&self) -> Option<i64> {
        None
    }
    fn expects(_: i64, _: i64) -> String {
        "delete or compact or compact,delete".into()
    }
}

macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl Value for $name {
            const KIND: Kind = Kind::String;
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

choices! {
    /// Which protocol a consumer speaks with its group's coordinator.
    GroupProtocolChoice {
        /// JoinGroup and SyncGroup: the members assign.
        Classic = "classic",
        /// ConsumerGroupHeartbeat: the coordinator assigns (KIP-848).
        Consumer = "consumer",
    }
}
choices! {
    /// Which groups may be moved to the other protocol while their members go on (KIP-848).
    MigrationPolicy {
        /// Either way.
        Bidirectional = "bidirectional",
        /// Classic groups only, to KIP-848's protocol.
        Upgrade = "upgrade",
        /// KIP-848 groups only, to the classic protocol.
        Downgrade = "downgrade",
        /// None.
        Disabled = "disabled",
    }
}

impl MigrationPolicy {
    /// Whether a classic group may become a KIP-848 group.
    pub fn upgrades(self) -> bool {
        matches!(self, MigrationPolicy::Bidirectional | MigrationPolicy::Upgrade)
    }

    /// Whether a KIP-848 group may become a classic group.
    pub fn downgrades(self) -> bool {
        matches!(self, MigrationPolicy::Bidirectional | MigrationPolicy::Downgrade)
    }
}

choices! {
    /// A way to share partitions out among the members of a group.
    Assignor {
        /// Topic by topic, neighbouring partitions to one member.
        Range = "range",
        /// All partitions in turn.
        RoundRobin = "roundrobin",
        /// As evenly as can be, and as it was as far as can be.
        Sticky = "sticky",
        /// The same, with members keeping what they keep while a rebalance is on (KIP-429).
        CooperativeSticky = "cooperative-sticky",
    }
}

/// The ways to assign that a consumer knows, the one it likes best first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignors(pub Vec<Assignor>);

impl Default for Assignors {
    /// Kafka's: range now, cooperative-sticky for whoever moves on.
    fn default() -> Assignors {
        Assignors(alloc::vec![Assignor::Range, Assignor::CooperativeSticky])
    }
}

impl Value for Assignors {
    const KIND: Kind = Kind::List;
    fn parse(text: &str) -> Option<Self> {
        let mut known = Vec::new();
        for name in text.split(',') {
            let assignor = Assignor::parse(name.trim())?;
            if !known.contains(&assignor) {
                known.push(assignor);
            }
        }
        Some(Assignors(known))
    }
    fn show(&self) -> String {
        self.0.iter().map(Value::show).collect::<Vec<_>>().join(",")
    }
    fn number(&self) -> Option<i64> {
        None
    }
    fn expects(_: i64, _: i64) -> String {
        "one or more of range, roundrobin, sticky and cooperative-sticky, with commas between".into()
    }
}

/// Any text; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub alloc::sync::Arc<str>);

impl Value for Text {
    const KIND: Kind = Kind::String;
    fn parse(text: &str) -> Option<Self> {
        Some(Text(text.into()))
    }
    fn show(&self) -> String {
        self.0.as_ref().into()
    }
    fn number(&self) -> Option<i64> {
        None
    }
    fn expects(_: i64, _: i64) -> String {
        "any text".into()
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
            pub const KEYS: &'static [Key] = &[$(Key { name: $key, kind: <$ty as Value>::KIND, about: $about, expects: || <$ty as Value>::expects($low, $high) },)*];

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
        log_cleanup_policy: CleanupPolicy, "log.cleanup.policy", CleanupPolicy::Delete, 0, 0, "what becomes of records that nobody needs any more";
        log_cleaner_backoff_ms: Duration, "log.cleaner.backoff.ms", ms(15_000), 0, LONG, "how long the cleaner rests when there is nothing to clean";
        log_cleaner_min_cleanable_ratio: Ratio, "log.cleaner.min.cleanable.ratio", Ratio(5, 10), 0, 0, "how much of a compacted log must be dirty before it is cleaned";
        log_cleaner_delete_retention_ms: Duration, "log.cleaner.delete.retention.ms", ms(24 * 3_600_000), 0, LONG, "how long a tombstone stays after it was first cleaned";
        log_cleaner_min_compaction_lag_ms: Duration, "log.cleaner.min.compaction.lag.ms", ms(0), 0, LONG, "how old a record must be before it may be cleaned away";
        log_cleaner_max_compaction_lag_ms: Duration, "log.cleaner.max.compaction.lag.ms", ms(i64::MAX as u64), 1, LONG, "how old a record may grow before its log is cleaned, dirty enough or not";
        log_message_timestamp_type: TimestampType, "log.message.timestamp.type", TimestampType::CreateTime, 0, 0, "whose time a record bears";
        message_max_bytes: u32, "message.max.bytes", 1_048_588, 0, INT, "how large a batch may be";
        min_insync_replicas: u32, "min.insync.replicas", 1, 1, INT, "how many replicas must be in sync for acks=all";
        unclean_leader_election_enable: bool, "unclean.leader.election.enable", false, 0, 0, "whether a replica that is not in sync may lead if no other can";
        auto_create_topics_enable: bool, "auto.create.topics.enable", true, 0, 0, "whether a topic that a client asks for by name is created, if the client says that it may be";
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
        offsets_topic_num_partitions: u32, "offsets.topic.num.partitions", 50, 1, INT, "over how many partitions of __consumer_offsets groups are spread";
        offsets_topic_replication_factor: u16, "offsets.topic.replication.factor", 3, 1, 32_767, "how many replicas __consumer_offsets has";
        offsets_topic_segment_bytes: u64, "offsets.topic.segment.bytes", 100 << 20, 14, INT, "how large a segment of __consumer_offsets grows";
        offsets_load_buffer_size: u32, "offsets.load.buffer.size", 5 << 20, 1, INT, "how much of its log a coordinator reads at once";
        offset_metadata_max_bytes: u32, "offset.metadata.max.bytes", 4_096, 0, INT, "how much may be remembered with a committed offset";
        offsets_commit_timeout_ms: Duration, "offsets.commit.timeout.ms", ms(5_000), 1, INT, "how long a group's record may take to be committed";
        offsets_retention_minutes: u32, "offsets.retention.minutes", 7 * 24 * 60, 1, INT, "how long offsets are kept of a group that has no members";
        offsets_retention_check_interval_ms: Duration, "offsets.retention.check.interval.ms", ms(600_000), 1, LONG, "how often offsets are looked for that are too old";
        group_initial_rebalance_delay_ms: Duration, "group.initial.rebalance.delay.ms", ms(3_000), 0, INT, "how long the first members of a group wait for more";
        group_min_session_timeout_ms: Duration, "group.min.session.timeout.ms", ms(6_000), 1, INT, "the least session.timeout.ms that a member may have";
        group_max_session_timeout_ms: Duration, "group.max.session.timeout.ms", ms(1_800_000), 1, INT, "the greatest session.timeout.ms that a member may have";
        group_max_size: u32, "group.max.size", INT as u32, 1, INT, "how many members a classic group may have";
        group_consumer_heartbeat_interval_ms: Duration, "group.consumer.heartbeat.interval.ms", ms(5_000), 1, INT, "how often a member of a KIP-848 group is to tell that it lives";
        group_consumer_session_timeout_ms: Duration, "group.consumer.session.timeout.ms", ms(45_000), 1, INT, "how long a silent member of a KIP-848 group counts as alive";
        group_consumer_max_size: u32, "group.consumer.max.size", INT as u32, 1, INT, "how many members a KIP-848 group may have";
        group_consumer_regex_refresh_interval_ms: Duration, "group.consumer.regex.refresh.interval.ms", ms(600_000), 10_000, INT, "how long what the regular expressions of a KIP-848 group fit counts at most until it is looked up again";
        group_consumer_migration_policy: MigrationPolicy, "group.consumer.migration.policy", MigrationPolicy::Bidirectional, 0, 0, "which groups may be moved to the other protocol while their members go on";
    }
}

config! {
    /// What a controller is set to.
    ControllerConfig {
        controller_quorum_election_timeout_ms: Duration, "controller.quorum.election.timeout.ms", ms(1_000), 1, INT, "how long a candidate waits for votes";
        controller_quorum_first_election_timeout_ms: Option<Duration>, "controller.quorum.first.election.timeout.ms", None, 1, INT, "how long at first a voter waits for a leader that has never heard of an epoch, doubled until it is controller.quorum.election.timeout.ms (Kafka: that from the beginning, as with -1)";
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
        cleanup_policy: CleanupPolicy, "cleanup.policy", CleanupPolicy::Delete, 0, 0, "what becomes of records that nobody needs any more";
        min_cleanable_dirty_ratio: Ratio, "min.cleanable.dirty.ratio", Ratio(5, 10), 0, 0, "how much of a compacted log must be dirty before it is cleaned";
        delete_retention_ms: Duration, "delete.retention.ms", ms(24 * 3_600_000), 0, LONG, "how long a tombstone stays after it was first cleaned";
        min_compaction_lag_ms: Duration, "min.compaction.lag.ms", ms(0), 0, LONG, "how old a record must be before it may be cleaned away";
        max_compaction_lag_ms: Duration, "max.compaction.lag.ms", ms(i64::MAX as u64), 1, LONG, "how old a record may grow before its log is cleaned, dirty enough or not";
        message_timestamp_type: TimestampType, "message.timestamp.type", TimestampType::CreateTime, 0, 0, "whose time a record bears";
        max_message_bytes: u32, "max.message.bytes", 1_048_588, 0, INT, "how large a batch may be";
        min_insync_replicas: u32, "min.insync.replicas", 1, 1, INT, "how many replicas must be in sync for acks=all";
        unclean_leader_election_enable: bool, "unclean.leader.election.enable", false, 0, 0, "whether a replica that is not in sync may lead if no other can";
    }
}

impl TopicConfig {
    /// The broker's key that says what holds for topics that do not; `None` if there is no such key of topics.
    pub fn broker_key(key: &str) -> Option<&'static str> {
        Some(match key {
            "segment.bytes" => "log.segment.bytes",
            "segment.ms" => "log.roll.ms",
            "index.interval.bytes" => "log.index.interval.bytes",
            "flush.messages" => "log.flush.interval.messages",
            "flush.ms" => "log.flush.interval.ms",
            "retention.ms" => "log.retention.ms",
            "retention.bytes" => "log.retention.bytes",
            "file.delete.delay.ms" => "log.segment.delete.delay.ms",
            "cleanup.policy" => "log.cleanup.policy",
            "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio",
            "delete.retention.ms" => "log.cleaner.delete.retention.ms",
            "min.compaction.lag.ms" => "log.cleaner.min.compaction.lag.ms",
            "max.compaction.lag.ms" => "log.cleaner.max.compaction.lag.ms",
            "message.timestamp.type" => "log.message.timestamp.type",
            "max.message.bytes" => "message.max.bytes",
            "min.insync.replicas" => "min.insync.replicas",
            "unclean.leader.election.enable" => "unclean.leader.election.enable",
            _ => return None,
        })
    }

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
            cleanup_policy: broker.log_cleanup_policy,
            min_cleanable_dirty_ratio: broker.log_cleaner_min_cleanable_ratio,
            delete_retention_ms: broker.log_cleaner_delete_retention_ms,
            min_compaction_lag_ms: broker.log_cleaner_min_compaction_lag_ms,
            max_compaction_lag_ms: broker.log_cleaner_max_compaction_lag_ms,
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
        client_id: Text, "client.id", Text::default(), 0, 0, "what it is called at brokers; its member id begins so";
        group_id: Text, "group.id", Text::default(), 0, 0, "the group it is a member of";
        group_instance_id: Text, "group.instance.id", Text::default(), 0, 0, "its lasting name in the group, if it is a static member (KIP-345)";
        group_protocol: GroupProtocolChoice, "group.protocol", GroupProtocolChoice::Classic, 0, 0, "which group protocol it speaks (KIP-848)";
        group_remote_assignor: Text, "group.remote.assignor", Text::default(), 0, 0, "which assignor of its coordinator it would like (KIP-848); any, if empty";
        partition_assignment_strategy: Assignors, "partition.assignment.strategy", Assignors::default(), 0, 0, "how partitions are assigned, the way it likes best first";
        session_timeout_ms: Duration, "session.timeout.ms", ms(45_000), 1, INT, "how long it may be silent and stay a member";
        heartbeat_interval_ms: Duration, "heartbeat.interval.ms", ms(3_000), 1, INT, "how often it tells that it lives";
        max_poll_interval_ms: Duration, "max.poll.interval.ms", ms(300_000), 1, INT, "how long its application may take between two polls and stay a member";
        enable_auto_commit: bool, "enable.auto.commit", true, 0, 0, "whether it commits by itself what its application was given by the poll before";
        auto_commit_interval_ms: Duration, "auto.commit.interval.ms", ms(5_000), 0, INT, "how often it does";
        default_api_timeout_ms: Duration, "default.api.timeout.ms", ms(60_000), 0, INT, "how long a commit that is waited for is tried";
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
    fn a_ratio_is_written_in_decimals_and_is_at_most_one() {
        let mut config = TopicConfig::default();
        for (text, ratio) in
            [("0.25", Ratio(25, 100)), ("1", Ratio(1, 1)), ("1.0", Ratio(10, 10)), (".5", Ratio(5, 10))]
        {
            assert_eq!(config.set("min.cleanable.dirty.ratio", text), Ok(()), "{text}");
            assert_eq!(config.min_cleanable_dirty_ratio, ratio);
        }
        for text in ["1.1", "-0.5", "half", ".", "", "0.5.5"] {
            assert!(config.set("min.cleanable.dirty.ratio", text).is_err(), "{text}");
        }
        assert_eq!(Ratio(25, 100).show(), "0.25");
        assert_eq!(Ratio(10, 10).show(), "1.0");
    }

    #[test]
    fn a_cleanup_policy_is_a_list_in_any_order() {
        let mut config = TopicConfig::default();
        assert_eq!(config.set("cleanup.policy", "delete, compact"), Ok(()));
        assert_eq!(config.get("cleanup.policy").as_deref(), Some("compact,delete"));
        assert!(config.cleanup_policy.compacts() && config.cleanup_policy.deletes());
        assert!(config.set("cleanup.policy", "compress").is_err());
    }

    #[test]
    fn a_topic_inherits_from_its_broker() {
        let mut broker = BrokerConfig::default();
        broker.set("log.segment.bytes", "4096").expect("in bounds");
        assert_eq!(TopicConfig::of_broker(&broker).segment_bytes, 4096);
    }

    #[test]
    fn every_key_of_a_topic_has_one_of_its_broker() {
        for key in TopicConfig::KEYS {
            let name = TopicConfig::broker_key(key.name).expect(key.name);
            let mut broker = BrokerConfig::default();
            let before = TopicConfig::of_broker(&broker).get(key.name);
            let others = ["17", "0.25", "true", "compact", "LogAppendTime"];
            let other = others.iter().find(|other| broker.set(name, other).is_ok()).expect(name);
            let after = TopicConfig::of_broker(&broker);
            assert_eq!(after.get(key.name).as_deref(), Some(*other), "{name}");
            let changed = TopicConfig::KEYS.iter().filter(|it| {
                after.get(it.name) != TopicConfig::of_broker(&BrokerConfig::default()).get(it.name)
            });
            assert_eq!(changed.map(|it| it.name).collect::<Vec<_>>(), [key.name], "{before:?}");
        }
    }
}
