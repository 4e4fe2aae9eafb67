//! What is one log set to?

use core::time::Duration;

use crate::{
    config::{BrokerConfig, CleanupPolicy, TimestampType, TopicConfig},
    units::Ratio,
};

/// The settings of one log: those of its topic, and what this model adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`
    pub segment_bytes: u64,
    /// `segment.ms`
    pub segment_ms: Duration,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `flush.messages`
    pub flush_messages: u64,
    /// `flush.ms`
    pub flush_ms: Option<Duration>,
    /// `retention.ms`
    pub retention_ms: Option<Duration>,
    /// `retention.bytes`
    pub retention_bytes: Option<u64>,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: Duration,
    /// `cleanup.policy`
    pub cleanup_policy: CleanupPolicy,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: Ratio,
    /// `delete.retention.ms`
    pub delete_retention_ms: Duration,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: Duration,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: Duration,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `max.message.bytes`
    pub max_message_bytes: u32,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: Duration,
    /// Whether the sequences of idempotent producers are kept; the metadata log has none.
    pub producers: bool,
    /// How many bytes of the newest batches stay in memory. What is older is read from the disk.
    pub cache_bytes: usize,
}

impl LogConfig {
    /// How much of a log's tail stays in memory if nobody says otherwise.
    pub const CACHE_BYTES: usize = 64 << 10;

    /// The log of a partition.
    pub fn of_partition(topic: &TopicConfig, broker: &BrokerConfig) -> LogConfig {
        LogConfig {
            segment_bytes: topic.segment_bytes,
            segment_ms: topic.segment_ms,
            index_interval_bytes: topic.index_interval_bytes,
            flush_messages: topic.flush_messages,
            flush_ms: topic.flush_ms,
            retention_ms: topic.retention_ms,
            retention_bytes: topic.retention_bytes,
            file_delete_delay_ms: topic.file_delete_delay_ms,
            cleanup_policy: topic.cleanup_policy,
            min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
            delete_retention_ms: topic.delete_retention_ms,
            min_compaction_lag_ms: topic.min_compaction_lag_ms,
            max_compaction_lag_ms: topic.max_compaction_lag_ms,
            timestamp_type: topic.message_timestamp_type,
            max_message_bytes: topic.max_message_bytes,
            producer_id_expiration_ms: broker.producer_id_expiration_ms,
            producers: true,
            cache_bytes: LogConfig::CACHE_BYTES,
        }
    }

    /// The metadata log: flushed when the quorum says so, shortened when a snapshot takes its place, and
    /// without producers.
    pub fn of_metadata(segment_bytes: u64) -> LogConfig {
        LogConfig {
            segment_bytes,
            retention_ms: None,
            retention_bytes: None,
            max_message_bytes: i32::MAX as u32,
            producers: false,
            ..LogConfig::of_partition(&TopicConfig::default(), &BrokerConfig::default())
        }
    }
}
