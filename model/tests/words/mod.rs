//! What do conversations and promises share? A small world whose mail and disks can be held by hand.

#![allow(dead_code, reason = "conversations use one part of it, promises another")]

pub mod disk;
pub mod names;
pub mod world;
pub mod cluster;
pub mod script;
pub mod command;
pub mod asking;
pub mod show;
