//! Who lets the nodes step? Two engines, one trace.

pub mod direct;
#[cfg(madsim)]
pub mod madsim;
