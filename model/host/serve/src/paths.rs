//! Where does a file of the model stand, and which file is this?

use std::path::{Path, PathBuf};

use trial_model::{
    disk::{Dir, FileKind, FileName, Suffix},
    units::{LeaderEpoch, Offset, TopicId, TopicPartition},
};

const SUFFIXES: [(Suffix, &str); 4] = [
    (Suffix::Tmp, ".tmp"),
    (Suffix::Cleaned, ".cleaned"),
    (Suffix::Swap, ".swap"),
    (Suffix::Deleted, ".deleted"),
];

const METADATA: &str = "__cluster_metadata-0";

/// Where a file stands below `root`.
pub(crate) fn path_of(root: &Path, file: FileName) -> PathBuf {
    root.join(file.to_string())
}

/// Where a directory stands.
pub(crate) fn dir_path(root: &Path, dir: Dir) -> PathBuf {
    match dir {
        Dir::Root => root.to_owned(),
        Dir::Log(partition) => root.join(partition.to_string()),
    }
}

/// The log whose directory bears this name.
pub(crate) fn log_named(name: &str) -> Option<TopicPartition> {
    if name == METADATA {
        return Some(TopicPartition::METADATA);
    }
    let (topic, partition) = name.strip_prefix("topic#")?.rsplit_once('-')?;
    Some(TopicPartition::new(TopicId(topic.parse().ok()?), partition.parse().ok()?))
}

/// The file of `dir` that bears this name; `None` for what the model knows nothing of.
pub(crate) fn file_named(dir: Dir, name: &str) -> Option<FileName> {
    let with_suffix = SUFFIXES.iter().find_map(|(suffix, text)| Some((name.strip_suffix(text)?, *suffix)));
    let (stem, suffix) = with_suffix.unwrap_or((name, Suffix::None));
    let kind = match stem {
        "meta.properties" => FileKind::MetaProperties,
        ".kafka_cleanshutdown" => FileKind::CleanShutdown,
        "recovery-point-offset-checkpoint" => FileKind::RecoveryPoints,
        "replication-offset-checkpoint" => FileKind::HighWatermarks,
        "log-start-offset-checkpoint" => FileKind::LogStarts,
        "cleaner-offset-checkpoint" => FileKind::CleanerOffsets,
        "quorum-state" => FileKind::QuorumState,
        "partition.metadata" => FileKind::PartitionMetadata,
        "leader-epoch-checkpoint" => FileKind::LeaderEpochs,
        _ => numbered(stem)?,
    };
    let file = FileName { dir, kind, suffix };
    // Only the very name: `1.log` is not `00000000000000000001.log`.
    (file.to_string().rsplit('/').next() == Some(name)).then_some(file)
}

fn numbered(stem: &str) -> Option<FileKind> {
    let (number, kind) = stem.rsplit_once('.')?;
    if kind == "checkpoint" {
        let (end, epoch) = number.split_once('-')?;
        return Some(FileKind::MetadataSnapshot(Offset(end.parse().ok()?), LeaderEpoch(epoch.parse().ok()?)));
    }
    let offset = Offset(number.parse().ok()?);
    match kind {
        "log" => Some(FileKind::Segment(offset)),
        "index" => Some(FileKind::OffsetIndex(offset)),
        "timeindex" => Some(FileKind::TimeIndex(offset)),
        "snapshot" => Some(FileKind::ProducerSnapshot(offset)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_spelled() {
        let kinds = [
            FileKind::MetaProperties,
            FileKind::CleanShutdown,
            FileKind::RecoveryPoints,
            FileKind::HighWatermarks,
            FileKind::LogStarts,
            FileKind::CleanerOffsets,
            FileKind::QuorumState,
            FileKind::PartitionMetadata,
            FileKind::LeaderEpochs,
            FileKind::Segment(Offset(42)),
            FileKind::OffsetIndex(Offset(0)),
            FileKind::TimeIndex(Offset(7)),
            FileKind::ProducerSnapshot(Offset(9)),
            FileKind::MetadataSnapshot(Offset(42), LeaderEpoch(7)),
        ];
        let suffixes = [Suffix::None, Suffix::Tmp, Suffix::Cleaned, Suffix::Swap, Suffix::Deleted];
        let orders = TopicPartition::new(TopicId(3), 12);
        for dir in [Dir::Root, Dir::Log(orders), Dir::Log(TopicPartition::METADATA)] {
            for (kind, suffix) in kinds.iter().flat_map(|kind| suffixes.map(|suffix| (*kind, suffix))) {
                let file = FileName { dir, kind, suffix };
                let path = file.to_string();
                let name = path.rsplit('/').next().unwrap_or(&path);
                assert_eq!(file_named(dir, name), Some(file), "{path}");
            }
        }
        assert_eq!(log_named(&orders.to_string()), Some(orders));
        assert_eq!(log_named("__cluster_metadata-0"), Some(TopicPartition::METADATA));
        for stranger in ["1.log", "trial.properties", ".lock", "x.index", ".tmp", "é.log"] {
            assert_eq!(file_named(Dir::Root, stranger), None, "{stranger}");
        }
    }
}
