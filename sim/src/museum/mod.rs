//! What is there to tell about each historical bug, and how soon was it found?
//!
//! The stories stand in `stories.json`, one for each bug; the figures are what `trial museum bench --save`
//! has written.

pub mod page;
pub mod results;

use serde::Deserialize;
use trial_model::museum::Bug;

use crate::scenario::values::BugName;

/// The story of one bug.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// Which.
    pub bug: BugName,
    /// Of what it is a part: replication, in-sync replicas, log, quorum, controller, producer, consumer, consumer
    /// groups.
    pub area: String,
    /// What Kafka, or another, did.
    pub story: String,
    /// When it shows.
    pub trigger: String,
    /// How it was mended.
    pub mended: String,
    /// The file of the model in which its branch stands.
    pub file: String,
    /// The function there.
    pub function: String,
    /// The scenario that passes without it and fails with it, if there is one.
    #[serde(default)]
    pub scenario: Option<String>,
}

/// Every story, in the order of the catalogue.
pub fn stories() -> Vec<Story> {
    serde_json::from_str(include_str!("stories.json")).expect("the stories are right: a test reads them")
}

/// The story of a bug; a mutant has none.
pub fn story(bug: BugName) -> Option<Story> {
    stories().into_iter().find(|story| story.bug == bug)
}

/// The bugs that somebody once had.
pub fn historical() -> impl Iterator<Item = Bug> {
    Bug::ALL.iter().copied().filter(|bug| !is_mutant(*bug))
}

/// Whether nobody ever had the bug: it was made up for a check that no historical one breaks first.
pub fn is_mutant(bug: Bug) -> bool {
    bug.ticket().starts_with("none")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    const AREAS: [&str; 8] = [
        "replication",
        "in-sync replicas",
        "log",
        "quorum",
        "controller",
        "producer",
        "consumer",
        "consumer groups",
    ];

    #[test]
    fn every_bug_has_one_complete_story() {
        let told: Vec<Bug> = stories().iter().map(|story| story.bug.0).collect();
        let expected: Vec<Bug> = historical().collect();
        assert_eq!(told, expected, "one for each, in the order of the catalogue");
        for story in stories() {
            let slug = story.bug.0.slug();
            assert!(AREAS.contains(&&story.area[..]), "{slug}: there is no area {:?}", story.area);
            for (what, text) in
                [("story", &story.story), ("trigger", &story.trigger), ("mended", &story.mended)]
            {
                let whole = text.len() > 15 && text.ends_with('.');
                assert!(whole, "{slug}: its {what} is no sentence: {text:?}");
            }
        }
    }

    #[test]
    fn each_branch_stands_where_its_story_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for story in stories() {
            let bug = format!("Bug::{:?}", story.bug.0);
            let text = fs::read_to_string(root.join(&story.file)).expect("it names a file");
            let begins = text.find(&format!("fn {}(", story.function));
            let from = begins.unwrap_or_else(|| panic!("{}: no fn {}", story.file, story.function));
            let body = &text[from + 3..];
            let ends = ["\nfn ", "\n    fn ", "\n    pub"].iter().filter_map(|next| body.find(next)).min();
            let here = body[..ends.unwrap_or(body.len())].match_indices(&bug).any(|(at, _)| {
                body[at + bug.len()..].chars().next().is_none_or(|next| !next.is_alphanumeric())
            });
            assert!(here, "{}: no {bug} in fn {}", story.file, story.function);
        }
    }

    #[test]
    fn each_scenario_of_the_museum_is_named_by_its_story() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for story in stories() {
            let own = format!("scenarios/museum/{}.scenario.json", story.bug.0.slug());
            let there = root.join(&own).is_file().then_some(own);
            assert_eq!(story.scenario, there, "{}", story.bug.0.slug());
        }
    }
}
