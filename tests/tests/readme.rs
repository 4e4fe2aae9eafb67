//! Does the README tell the truth?

use trial::Engine;
use trial_tests::{root, run_with_golden, scenario, seed_of};

#[test]
fn the_digest_in_the_readme_is_the_one_on_the_screen() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("there is a README");
    let said =
        readme.split("`trace ").nth(1).and_then(|rest| rest.get(..8)).expect("the README prints a digest");
    let scenario = scenario("replication/leader-crash-mid-produce");
    let (run, _) = run_with_golden(&scenario, seed_of(&scenario), Engine::Direct);
    assert_eq!(said, run.digest.to_string(), "write the new digest into README.md if the change is meant");
}

#[test]
fn every_path_in_the_documents_exists() {
    for document in ["README.md", "ARCHITECTURE.md", "deploy/README.md"] {
        let text = std::fs::read_to_string(root().join(document)).expect("the document is there");
        let quoted = text.split('`').skip(1).step_by(2);
        let paths = quoted.filter(|word| {
            let known = ["model/", "sim/", "tests/", "scenarios/", "snapshots/", ".ci/", "deploy/"];
            known.iter().any(|start| word.starts_with(start)) && !word.contains(['*', '<', ' ', '{'])
        });
        for path in paths {
            assert!(root().join(path).exists(), "{document} speaks of {path}, which is not there");
        }
    }
}
