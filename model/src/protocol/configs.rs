//! DescribeConfigs 32, AlterConfigs 33, IncrementalAlterConfigs 44 (KIP-226, KIP-339): what topics and brokers are set
//! to. Any broker tells of topics, and each of itself; what changes goes on to the active controller (KIP-590).

use alloc::{string::String, vec::Vec};

use super::{ErrorCode, TopicName};
use crate::{config::Kind, units::NodeId};

/// Whose settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A topic's.
    Topic(TopicName),
    /// One broker's.
    Broker(NodeId),
    /// Every broker's that says nothing of its own: Kafka's broker without a name.
    AllBrokers,
}

/// Asks what things are set to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribeConfigsRequest {
    /// Whose settings, and which keys; `None` for all.
    pub resources: Vec<(Resource, Option<Vec<String>>)>,
}

/// One answer a resource, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescribeConfigsResponse {
    /// The settings, in the order of their documentation; a key that is not known is left out.
    pub resources: Vec<(Resource, Result<Vec<Setting>, ErrorCode>)>,
}

/// What one key is set to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Kafka's key.
    pub key: &'static str,
    /// What type it is of.
    pub kind: Kind,
    /// What it means.
    pub about: &'static str,
    /// Whether nobody can change it while the broker runs.
    pub read_only: bool,
    /// Who says what of it, the one first that counts: never empty.
    pub said: Vec<Said>,
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Said {
    /// Under which key.
    pub key: &'static str,
    /// As it is written.
    pub value: String,
    /// Where.
    pub by: Source,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The topic itself.
    Topic,
    /// What its broker was started with. A broker that was started with Kafka's default counts as one that says nothing.
    Broker,
    /// Kafka's default.
    Default,
}

/// Gives things these settings and no others: what is not mentioned goes back to what it was by default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterConfigsRequest {
    /// The settings of each.
    pub resources: Vec<(Resource, Vec<(String, String)>)>,
    /// Whether it is only to be said what would come of it.
    pub validate_only: bool,
}

/// What to do with a setting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// It becomes this.
    Set(String),
    /// It goes back to its default.
    Delete,
    /// A list gets these words as well.
    Append(String),
    /// A list loses these words.
    Subtract(String),
}

/// Changes single settings (KIP-339).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IncrementalAlterConfigsRequest {
    /// What is to be done with which keys of each.
    pub resources: Vec<(Resource, Vec<(String, Operation)>)>,
    /// Whether it is only to be said what would come of it.
    pub validate_only: bool,
}

/// One answer a resource, in order: to both ways of changing settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterConfigsResponse {
    /// What came of each.
    pub resources: Vec<(Resource, Result<(), ErrorCode>)>,
}
