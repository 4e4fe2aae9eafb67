//! What is one replica's log, and how far does it reach?

pub mod batch;
