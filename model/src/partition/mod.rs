//! What is one replica of one partition?

pub mod leader;
pub mod isr;
pub mod high_watermark;
pub mod follower;
pub mod truncation;
