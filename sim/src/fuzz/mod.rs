//! Does any run of very many break a promise?

mod campaign;
mod dice;
mod draw;
mod shard;

pub use self::{
    campaign::{Campaign, Failure, Found, Limits, Tried},
    draw::draw,
    shard::Shard,
};
