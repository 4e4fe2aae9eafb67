//! Does any run of very many break a promise?

mod campaign;
mod cleaning;
mod coverage;
mod dice;
mod draw;
mod faults;
mod guided;
pub mod hunt;
mod kinds;
mod landmarks;
mod members;
mod mutate;
mod pct;
mod portfolio;
mod search;
mod shard;
mod story;
mod strategy;
mod workload;

pub use self::{
    campaign::{Best, Campaign, Failure, Found, Limits, Tried},
    coverage::{Coverage, Moment, Watcher},
    draw::{Taste, cluster, draw},
    landmarks::{Landmark, Landmarks},
    search::{LAG, Search, Series},
    shard::Shard,
    strategy::{Learned, Manner, Proposal, Proposed, Strategy},
};
