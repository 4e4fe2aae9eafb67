//! What can a machine check about the text of this repository?

use std::path::{Path, PathBuf};

use trial::check::CATALOGUE;
use trial_model::museum::Bug;
use trial_tests::root;

fn sources(below: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).expect("sources are text");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

/// The model is pure: `no_std` leaves out clocks and threads, and this what else would break a replay.
#[test]
fn nothing_in_the_model_can_break_a_replay() {
    let lib = std::fs::read_to_string(root().join("model/src/lib.rs")).expect("the model is there");
    assert!(lib.contains("#![no_std]"));
    for (path, text) in sources("model/src") {
        let in_tests = |at: usize| text[..at].contains("#[cfg(test)]");
        let mut at = 0;
        for line in text.lines() {
            for word in ["HashMap", "HashSet", "SystemTime", "f32", "f64", "thread_rng", "cfg(madsim)"] {
                let found =
                    code(line).split(|c: char| !c.is_alphanumeric() && !"_()".contains(c)).any(|w| w == word);
                assert!(!found || in_tests(at), "{}: {line}", path.display());
            }
            at += line.len() + 1;
        }
    }
}

/// The first line of a file asks its question.
#[test]
fn every_file_says_what_it_is_about() {
    for folder in ["model", "sim", "tests"] {
        for (path, text) in sources(folder) {
            assert!(
                text.starts_with("//!") || text.starts_with("#![cfg"),
                "{}: begins without //!",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_is_left_to_be_done_by_its_own_word() {
    let words = ["to".to_owned() + "do!(", "un".to_owned() + "implemented!(", "FIX".to_owned() + "ME"];
    for folder in ["model", "sim", "tests"] {
        for (path, text) in sources(folder) {
            for word in &words {
                assert!(!text.contains(word.as_str()), "{}: {word}", path.display());
            }
        }
    }
}

/// A bug of the museum names a check that exists.
#[test]
fn every_bug_is_caught_by_a_check_of_the_catalogue() {
    for bug in Bug::ALL {
        let known = CATALOGUE.iter().any(|check| check.name == bug.caught_by());
        assert!(known, "{} names {}", bug.slug(), bug.caught_by());
    }
}

/// `MUSEUM.md` is what `trial museum page > MUSEUM.md` makes of the bugs and of what the bench has measured.
#[test]
fn the_page_of_the_museum_is_up_to_date() {
    let results =
        trial::museum::results::read(&root().join("museum/results.json")).expect("they can be read");
    let page = std::fs::read_to_string(root().join("MUSEUM.md")).expect("there is a page");
    assert!(page == trial::museum::page::page(&results), "cargo trial museum page > MUSEUM.md");
    assert!(Bug::ALL.len() >= 56);
}

/// Arrows point right and down: the model knows nobody, the host only the model.
#[test]
fn arrows_point_only_down() {
    let forbidden = [
        ("model/src", &["trial_host", "trial::", "tokio", "madsim"][..]),
        ("model/host/src", &["trial::"][..]),
    ];
    for (folder, words) in forbidden {
        for (path, text) in sources(folder) {
            for line in text.lines() {
                for word in words {
                    assert!(
                        !code(line).contains(word) || is_host_using_tokio(&path, word),
                        "{}: {line}",
                        path.display()
                    );
                }
            }
        }
    }
}

fn is_host_using_tokio(path: &Path, word: &str) -> bool {
    path.to_string_lossy().contains("/host/") && (word == "tokio" || word == "madsim")
}
