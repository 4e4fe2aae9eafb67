//! What must a member never forget, and how does it stand on the disk?
//!
//! Kafka's `quorum-state`: the newest epoch, the vote given in it, and its leader. A member that forgot its
//! vote could vote twice, so nothing of it takes effect outside before it is on the platter (KIP-595).

use alloc::format;

use bytes::Bytes;

use super::replacement::Replacement;
use crate::{
    disk::{DiskError, DiskReply, DiskWork, FileKind, FileName},
    units::{LeaderEpoch, NodeId, TopicPartition},
};

/// Where the state lies.
pub(super) const FILE: FileName = FileName::of_log(TopicPartition::METADATA, FileKind::QuorumState);

/// An epoch, the vote given in it and its leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Election {
    /// The newest epoch known.
    pub(super) epoch: LeaderEpoch,
    /// For whom this member voted in it.
    pub(super) voted: Option<NodeId>,
    /// Who leads it.
    pub(super) leader: Option<NodeId>,
}

impl Election {
    /// As Kafka writes it.
    pub(super) fn encode(&self) -> Bytes {
        let id = |node: Option<NodeId>| node.map_or(-1, |node| i64::from(node.0));
        let (leader, epoch, voted) = (id(self.leader), self.epoch, id(self.voted));
        Bytes::from(format!(
            "{{\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":{voted},\"data_version\":0}}"
        ))
    }

    /// What `encode` wrote; `None` if these bytes are something else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Election> {
        let text = core::str::from_utf8(bytes).ok()?;
        if !text.starts_with('{') || !text.ends_with('}') {
            return None;
        }
        let node = |id: i64| match id {
            -1 => Some(None),
            id => Some(Some(NodeId(u32::try_from(id).ok()?))),
        };
        Some(Election {
            epoch: LeaderEpoch(u32::try_from(number(text, "\"leaderEpoch\":")?).ok()?),
            voted: node(number(text, "\"votedId\":")?)?,
            leader: node(number(text, "\"leaderId\":")?)?,
        })
    }
}

/// The number after `key`.
fn number(text: &str, key: &str) -> Option<i64> {
    let rest = &text[text.find(key)? + key.len()..];
    rest[..rest.find([',', '}'])?].parse().ok()
}

/// The state on the platter, and what is on its way there.
#[derive(Clone, Debug, Default)]
pub(super) struct StateFile {
    durable: Election,
    writing: Option<(Election, Replacement)>,
}

impl StateFile {
    /// With what was read at start.
    pub(super) fn loaded(durable: Election) -> StateFile {
        StateFile { durable, writing: None }
    }

    /// Begins to write `election`, unless it stands there already or one is on its way: nothing is decided
    /// while a decision is being written.
    pub(super) fn write(&mut self, election: Election, disk: &mut DiskWork) {
        match &self.writing {
            Some((writing, _)) => {
                assert!(*writing == election, "a decision was made while one is being written")
            }
            None if election != self.durable => {
                self.writing = Some((election, Replacement::begin(FILE, election.encode(), true, disk)));
            }
            None => {}
        }
    }

    /// Whether something is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether a reply is about this file.
    pub(super) fn is_mine(&self, reply: &DiskReply) -> bool {
        self.writing.as_ref().is_some_and(|(_, replacement)| replacement.is_mine(reply))
    }

    /// Takes a reply about it.
    pub(super) fn on_disk(&mut self, reply: &DiskReply, disk: &mut DiskWork) -> Result<(), DiskError> {
        if let Some((election, replacement)) = &mut self.writing
            && replacement.on_disk(reply, disk)?
        {
            self.durable = *election;
            self.writing = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_as_it_was_written() {
        let election = Election { epoch: LeaderEpoch(7), voted: Some(NodeId::controller(2)), leader: None };
        assert_eq!(Election::decode(&election.encode()), Some(election));
        assert_eq!(Election::decode(&Election::default().encode()), Some(Election::default()));
    }

    #[test]
    fn a_torn_file_is_not_taken_for_a_state() {
        let bytes = Election { epoch: LeaderEpoch(12), ..Election::default() }.encode();
        for len in 0..bytes.len() {
            assert_eq!(Election::decode(&bytes[..len]), None, "{len} bytes");
        }
    }
}
