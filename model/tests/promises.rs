//! Does the model keep what Kafka promises? One test for one sentence of Kafka's own documentation.
//!
//! Each test quotes its sentence, without markup, and says where it stands: a file of Apache Kafka's repository
//! as of October 2024, where nothing else is said. It then has real nodes keep it: nothing below asks a helper
//! of the model what it would do.

mod words;

mod promises {
    pub mod cluster;

    pub mod acknowledging;
    pub mod idempotence;
    pub mod sending;
    pub mod consuming;
    pub mod replicating;
    pub mod electing;
    pub mod storing;
    pub mod agreeing;
}

use std::{fs, path::PathBuf};

/// Every file of promises, with its name.
fn files() -> Vec<(String, String)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/promises");
    let entries =
        fs::read_dir(dir).expect("the promises are there").map(|entry| entry.expect("a file").path());
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    entries
        .map(|path| (name(&path).unwrap_or_default(), fs::read_to_string(&path).expect("it can be read")))
        .filter(|(name, _)| name != "cluster.rs")
        .collect()
}

#[test]
fn every_promise_quotes_its_sentence_and_names_its_source() {
    let mut promises = 0;
    for (name, text) in files() {
        let tests: Vec<&str> = text.split("#[test]\n").collect();
        for (before, test) in tests.iter().zip(&tests[1..]) {
            let title = test.lines().next().unwrap_or_default();
            let doc = before.lines().rev().take_while(|line| line.starts_with("///"));
            let doc: Vec<&str> = doc.map(|line| line.trim_start_matches("///").trim()).collect();
            assert!(doc.iter().any(|line| line.starts_with("> ")), "{name}: {title} quotes nothing");
            let source = |line: &&str| !line.starts_with('>') && line.starts_with('`');
            assert!(doc.iter().any(source), "{name}: {title} names no source");
            promises += 1;
        }
    }
    assert!(promises >= 28, "{promises} promises");
}

/// With a bug of the museum the promise it breaks is not kept.
#[cfg(feature = "museum")]
mod planted {
    use trial_model::museum::{Bug, Museum};

    use super::promises::cluster::PLANTED;

    fn breaks(bug: Bug, promise: fn()) {
        PLANTED.set(Museum::CLOSED.with(bug));
        let kept = std::panic::catch_unwind(promise);
        PLANTED.set(Museum::CLOSED);
        assert!(kept.is_err(), "the promise is kept with {}", bug.slug());
    }

    #[test]
    fn acks_all_without_min_isr() {
        breaks(
            Bug::AcksAllWithoutMinIsr,
            super::promises::acknowledging::a_write_fails_that_too_few_replicas_would_acknowledge,
        );
    }
}
