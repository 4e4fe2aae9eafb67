//! What do conversations and promises share? A small world whose mail and disks can be held by hand.

pub mod disk;
pub mod names;
pub mod world;
pub mod script;
pub mod command;
pub mod asking;
pub mod show;
