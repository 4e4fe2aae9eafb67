//! Does the schema that editors use say what the loader says?

use std::{fs, path::Path};

use serde_json::Value;
use trial::scenario::{load, schema};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/schema/scenario-v1.json");

#[test]
fn the_committed_schema_is_the_one_of_the_types() {
    let generated = schema();
    if std::env::var_os("TRIAL_WRITE").is_some() {
        fs::write(COMMITTED, &generated).expect("can be written");
    }
    let committed = fs::read_to_string(COMMITTED).expect("stands in the repository");
    assert!(
        committed == generated,
        "the types have changed: TRIAL_WRITE=1 cargo test -p trial-tests --test schema"
    );
}

fn scenarios(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            scenarios(&path, found);
        } else if path.to_string_lossy().ends_with(".scenario.json")
            || path.to_string_lossy().ends_with(".repro.json")
        {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn every_scenario_obeys_the_schema_and_the_loader() {
    let schema: Value = serde_json::from_str(&schema()).expect("is JSON");
    let validator = jsonschema::validator_for(&schema).expect("is a schema");
    let mut files = Vec::new();
    for dir in ["../scenarios", "tests/scenario_errors"] {
        scenarios(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut files);
    }
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).expect("can be read");
        let scenario =
            load(&text, &[]).unwrap_or_else(|problems| panic!("{}: {problems:#?}", file.display()));
        // As it was written, and as it is written back with everything spelled out.
        for value in [
            trial::scenario::plain(&text).expect("is JSON"),
            serde_json::to_value(&scenario).expect("writes"),
        ] {
            let errors: Vec<_> =
                validator.iter_errors(&value).map(|e| format!("{e} at {}", e.instance_path())).collect();
            assert!(errors.is_empty(), "{}: {errors:#?}", file.display());
        }
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let schema: Value = serde_json::from_str(&schema()).expect("is JSON");
    let validator = jsonschema::validator_for(&schema).expect("is a schema");
    let base = include_str!("scenario_errors/base.scenario.json");
    for (from, to) in [
        (r#""for": "900ms""#, r#""for": 900"#),
        (r#""lose_unsynced": true"#, r#""lose_unsyncd": true"#),
        (r#""kind": "leader.elected""#, r#""kind": "leader_elected""#),
        (r#""loss": 0.001"#, r#""loss": 1.5"#),
        (r#""rate": "400/s""#, r#""rate": "400""#),
    ] {
        let value = trial::scenario::plain(&base.replace(from, to)).expect("is JSON");
        assert!(!validator.is_valid(&value), "{to}");
    }
}
