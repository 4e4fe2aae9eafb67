pub mod clock;
pub mod disk;
pub mod latency;
pub mod network;
