//! Kafka's wire protocol: frames to the model's requests and responses, and back.
//!
//! A server reads a frame with [`read_request`], hands the request to its node, and spells the node's answer with
//! [`write_response`]; a node that asks another spells with [`write_request`] and reads with
//! [`read_response`]. What the model's own types leave out (hosts and ports, sessions' numbers, names that
//! a request said and its answer must repeat) stands in the [`Book`] and the [`Call`]. Record batches pass
//! as they are: only their header is looked at, and their CRC.
//!
//! Whatever bytes come, nothing here panics, and nothing is allocated beyond what the frame itself can hold.

mod versions;
mod names;
mod book;
mod call;
mod convert;
mod frame;
mod dispatch;
mod api_versions;
mod produce;
mod fetch;
mod session;
mod list_offsets;
mod offset_for_leader_epoch;
mod metadata;
mod describe_cluster;
mod describe_topics;
mod topics;
mod configs;
mod delete_records;
mod elect_leaders;
mod producer_ids;
mod offsets;
mod groups;
mod group_admin;
mod consumer_groups;
mod quorum;
mod fetch_snapshot;
mod alter_partition;
mod brokers;
#[cfg(test)]
mod tests;

pub use book::{Book, Endpoint};
pub use call::Call;
pub use dispatch::{Asked, read_request, read_response, write_request, write_response};
pub use frame::{Refused, SIZE_BYTES};
pub use names::Names;
pub use session::FetchSession;
pub use versions::{Listener, between_nodes, supported};
