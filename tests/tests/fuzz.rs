//! Does `trial fuzz` find what is planted, keep it, and try every run of every shard once?

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// A directory of its own for a test, empty.
fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("can be made");
    dir
}

fn trial(out: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial-under-test"));
    command.args(args).arg("--out").arg(out);
    for name in ["RUST_LOG", "GITHUB_ACTIONS", "TRIAL_SHARD", "TRIAL_SHARDS", "JOB_COMPLETION_INDEX"] {
        command.env_remove(name);
    }
    command.output().expect("can be started")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).expect("can be read")).expect("is JSON")
}

/// The only campaign below `out`.
fn campaign(out: &Path) -> PathBuf {
    let entries = fs::read_dir(out.join("fuzz")).expect("was made").flatten().map(|entry| entry.path());
    let mut dirs = entries.filter(|path| !path.is_symlink());
    let dir = dirs.next().expect("one campaign");
    assert_eq!(dirs.next(), None);
    let latest = fs::canonicalize(out.join("fuzz/latest")).expect("links");
    assert_eq!(latest, fs::canonicalize(&dir).expect("is there"));
    dir
}

#[test]
fn shards_try_every_run_once_and_nothing_breaks() {
    let mut indices = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let out = scratch(&format!("shard-{}", &shard[..1]));
        let output = trial(&out, &["fuzz", "--seeds", "10", "--shard", shard, "--format", "jsonl"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}{}",
            said(&output),
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = said(&output);
        let runs = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
        let before = indices.len();
        indices.extend(runs.map(|run| run["index"].as_u64().expect("an index")));
        let summary = json(&campaign(&out).join("summary.json"));
        assert_eq!(summary["runs"], indices.len() - before);
        assert_eq!(summary["buckets"].as_array().map(Vec::len), Some(0));
    }
    indices.sort_unstable();
    assert_eq!(indices, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_planted_bug_is_found_kept_and_replayed() {
    let out = scratch("planted");
    let args = ["fuzz", "--seeds", "300", "--plant", "truncate-to-local-hw", "--stop-after", "1"];
    let output = trial(&out, &[&args[..], &["--shrink-time", "2s"]].concat());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("planted truncate-to-local-hw") && text.contains("\nFAIL  "), "{text}");
    let dir = campaign(&out);
    let summary = json(&dir.join("summary.json"));
    let bucket = &summary["buckets"][0];
    let repro = dir.join(bucket["repro"].as_str().expect("a path"));
    let kept = json(&repro);
    assert_eq!(kept["plant"][0], "truncate-to-local-hw");
    assert_eq!(kept["origin"]["bucket"], bucket["kind"]);
    let report = fs::read_to_string(repro.with_file_name("report.txt")).expect("there is a report");
    // A command is never cut, however long the path in it is.
    let fits = |line: &str| line.chars().count() <= 100 || line.contains(" trial ");
    assert!(report.lines().count() <= 20 && report.lines().all(fits), "{report}");
    let again = trial(&out, &["replay", repro.to_str().expect("is text")]);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("identical"), "{}", said(&again));
}

#[test]
fn the_canary_is_caught_and_an_empty_net_is_told() {
    let out = scratch("canary");
    let output =
        trial(&out, &["fuzz", "--canary", "--seeds", "300", "--stop-after", "1", "--shrink-time", "0s"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // One run of a cluster with one broker cannot show it.
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/small.scenario.json");
    let output = trial(&out, &["fuzz", scenario, "--canary", "--seeds", "1", "--nemesis", "none"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the net catches nothing"));
}

#[test]
fn scenarios_take_turns_under_one_series_of_seeds() {
    let out = scratch("turns");
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli");
    let output =
        trial(&out, &["fuzz", dir, "--seeds", "2", "--nemesis", "light", "--format", "jsonl", "--jobs", "1"]);
    let text = said(&output);
    let runs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let names: BTreeSet<&str> = runs.iter().filter_map(|run| run["scenario"].as_str()).collect();
    assert_eq!(runs.len(), 2 * names.len(), "{text}");
}

#[test]
fn what_makes_no_campaign_is_refused() {
    let out = scratch("refused");
    for args in [
        &["fuzz", "--shard", "5/4"][..],
        &["fuzz", "--shard", "0/1"],
        &["fuzz", "--shard", "auto"],
        &["fuzz", "--seeds", "0"],
        &["fuzz", "--time", "soon"],
        &["fuzz", "--plant", "no-such-bug"],
        &["fuzz", "--nemesis", "heavy"],
        &["fuzz", "no/such/file.scenario.json"],
    ] {
        let output = trial(&out, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(!output.stderr.is_empty(), "{args:?} says why");
    }
    assert!(!out.join("fuzz").exists(), "nothing is written for a campaign that never was");
}
