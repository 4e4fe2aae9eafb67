//! Do nodes say to each other what Kafka's say? Every file of `conversations/`, command by command.
//!
//! As etcd raft's interaction tests: a file steps a small cluster by hand and keeps what was heard. What can
//! be said is listed in `words/command.rs`.

mod words;

use std::{fs, path::PathBuf};

fn files() -> Vec<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conversations");
    let entries = fs::read_dir(dir).expect("the conversations are there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

#[test]
fn every_conversation_goes_as_it_is_written() {
    let rewrite = std::env::var_os("TRIAL_REWRITE").is_some();
    let only = std::env::var("TRIAL_ONLY").unwrap_or_default();
    let mut wrong = Vec::new();
    for file in files().into_iter().filter(|file| file.to_string_lossy().contains(&only)) {
        let held = std::panic::catch_unwind(|| words::script::converse(&file, rewrite));
        match held {
            Ok(Ok(())) => {}
            Ok(Err(difference)) => wrong.push(difference),
            Err(_) => wrong.push(format!("{} ends in a panic", file.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn there_are_conversations() {
    assert!(files().len() >= 20, "{} conversations", files().len());
}
