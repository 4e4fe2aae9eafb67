//! Does any run of very many break a promise?

mod campaign;
mod coverage;
mod dice;
mod draw;
mod kinds;
mod landmarks;
mod search;
mod shard;
mod strategy;

pub use self::{
    campaign::{Best, Campaign, Failure, Found, Limits, Tried},
    coverage::{Coverage, Moment},
    draw::draw,
    landmarks::{Landmark, Landmarks},
    search::{LAG, Search, Series},
    shard::Shard,
    strategy::{Learned, Manner, Proposal, Proposed, Strategy},
};
