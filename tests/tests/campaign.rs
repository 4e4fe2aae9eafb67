//! Is `trial fuzz` what CI needs? A run that misbehaves fails alone, what is found is never lost, every report is
//! there, and shards become one again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const TRIAL: &str = env!("CARGO_BIN_EXE_trial-under-test");
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
/// A campaign that soon finds something.
const PLANTED: [&str; 7] =
    ["fuzz", "--plant", "truncate-to-local-hw", "--shrink-time", "0s", "--stop-after", "1"];

/// A directory of its own for a test, empty.
fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("campaign").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("can be made");
    dir
}

fn clean(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir);
    for name in ["RUST_LOG", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_BASE_REF", "TRIAL_SHARD"] {
        command.env_remove(name);
    }
    command
}

fn trial(dir: &Path, args: &[&str]) -> Output {
    clean(TRIAL, dir).args(args).output().expect("can be started")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn both(output: &Output) -> String {
    said(output) + &told(output)
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).expect("can be read")).expect("is JSON")
}

fn latest(dir: &Path) -> PathBuf {
    fs::canonicalize(dir.join("target/trial/fuzz/latest")).expect("there was a campaign")
}

fn kinds(summary: &Value) -> Vec<String> {
    let buckets = summary["buckets"].as_array().expect("a list");
    let mut kinds: Vec<String> =
        buckets.iter().map(|bucket| bucket["kind"].as_str().expect("is text").into()).collect();
    kinds.sort();
    kinds
}

/// A program that makes runs as trial does, with something changed.
fn worker(dir: &Path, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let file = dir.join("worker");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("is ours");
    file.display().to_string()
}

#[test]
fn a_run_that_eats_memory_or_time_fails_alone() {
    let dir = scratch("limits");
    let output = trial(
        &dir,
        &[
            "fuzz",
            &format!("{HERE}/campaign/explodes.scenario.json"),
            &format!("{HERE}/campaign/endless.scenario.json"),
            &format!("{HERE}/cli/small.scenario.json"),
            "--seeds",
            "2",
            "--run-memory",
            "96MiB",
            "--run-timeout",
            "3s",
        ],
    );
    assert_eq!(code(&output), 1, "{}", both(&output));
    let summary = json(&latest(&dir).join("summary.json"));
    assert_eq!(kinds(&summary), ["run_memory", "run_timeout"], "{}", both(&output));
    assert_eq!(summary["runs"], 6, "the campaign went on");
    for bucket in summary["buckets"].as_array().expect("a list") {
        let timeout = bucket["kind"] == "run_timeout";
        let scenario = if timeout { "endless" } else { "explodes" };
        assert_eq!(bucket["times"], serde_json::json!({ scenario: 2 }));
        assert_eq!(bucket["confirmed"], true, "{bucket}");
        let headline = bucket["headline"].as_str().expect("is text");
        assert!(
            timeout || headline.contains("more memory than it may have: memory allocation of"),
            "{headline}"
        );
        let repro = json(&latest(&dir).join(bucket["repro"].as_str().expect("is text")));
        assert_eq!(repro["seed"], bucket["seed"]);
        assert!(
            bucket["report"].as_str().expect("is text").contains(bucket["seed"].as_str().expect("is text"))
        );
    }
    let text = fs::read_to_string(latest(&dir).join("junit.xml")).expect("is there");
    assert!(text.contains(r#"<testcase name="run_memory" classname="small"/>"#), "{text}");
}

#[test]
fn a_process_that_dies_is_a_failure_of_its_run() {
    let dir = scratch("dies");
    let script = "read line; echo 'thread has overflowed its stack' >&2; kill -ABRT $$";
    let output = trial(&dir, &["fuzz", "--seeds", "3", "--jobs", "1", "--worker", &worker(&dir, script)]);
    assert_eq!(code(&output), 1, "{}", both(&output));
    let summary = json(&latest(&dir).join("summary.json"));
    assert_eq!((kinds(&summary), &summary["runs"]), (vec!["run_crash".into()], &Value::from(3)));
    assert!(said(&output).contains("overflowed its stack"), "{}", said(&output));
}

#[test]
fn another_trace_on_the_other_engine_is_told_with_both_digests() {
    let dir = scratch("parts");
    // The same program, whose madsim gives another digest.
    let sed = r#"sed -u '/"engine":"madsim"/s/"digest":"......../"digest":"ffffffff/'"#;
    let worker = worker(&dir, &format!("{TRIAL} \"$@\" | {sed}"));
    let output = trial(&dir, &[&PLANTED[..], &["--worker", &worker]].concat());
    assert_eq!(code(&output), 4, "{}", both(&output));
    let parts = &json(&latest(&dir).join("summary.json"))["buckets"][0]["parts"];
    let of =
        |nth: usize| (parts[nth][0].as_str().unwrap_or_default(), parts[nth][1].as_str().unwrap_or_default());
    let ((first, here), (_, fresh), (other, there)) = (of(0), of(1), of(2));
    assert_eq!((first, here, other), ("in the campaign", fresh, "on madsim"), "{parts}");
    assert!(there.starts_with("ffffffff") && there[8..] == here[8..], "{parts}");
    for digest in [here, there] {
        assert!(said(&output).contains(&format!(" {digest}\n")), "{}", said(&output));
    }
}

#[test]
fn what_was_found_is_kept_when_somebody_ends_it() {
    let dir = scratch("ended");
    let args = ["fuzz", "--plant", "truncate-to-local-hw", "--time", "600s"];
    let mut command = clean(TRIAL, &dir);
    let child =
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("can be started");
    let began = Instant::now();
    let found = || {
        let buckets = fs::read_dir(dir.join("target/trial/fuzz/1/buckets"));
        buckets.into_iter().flatten().flatten().any(|bucket| bucket.path().join("repro.json").is_file())
    };
    while !found() {
        assert!(began.elapsed() < Duration::from_secs(300), "nothing was found");
        std::thread::sleep(Duration::from_millis(50));
    }
    let kill =
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("can be started");
    assert!(kill.success());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(code(&output), 130, "{}", both(&output));
    let summary = json(&latest(&dir).join("summary.json"));
    assert_eq!(summary["interrupted"], true);
    let bucket = latest(&dir).join(summary["buckets"][0]["repro"].as_str().expect("is text"));
    let replayed = trial(&dir, &["replay", bucket.to_str().expect("is text")]);
    assert_eq!(code(&replayed), 1, "{}", both(&replayed));
    assert!(bucket.with_file_name("seeds.txt").is_file() && bucket.with_file_name("report.txt").is_file());
}

#[test]
fn what_finds_no_room_is_printed_whole() {
    let dir = scratch("full");
    // Every file ends after some bytes: the pipe does not.
    let args = [&PLANTED[..], &["--jobs", "1"]].concat().join(" ");
    let script = format!("trap '' XFSZ; ulimit -f 1; exec {TRIAL} {args}");
    let output = clean("/bin/sh", &dir).args(["-c", &script]).output().expect("can be started");
    assert_eq!(code(&output), 2, "{}", both(&output));
    assert!(told(&output).contains("repro.json cannot be written: File too large"), "{}", told(&output));
    let text = said(&output);
    let begins = text.find("\n{\n").expect("the repro stands there");
    let mut documents = serde_json::Deserializer::from_str(&text[begins..]).into_iter::<Value>();
    let repro = documents.next().expect("there is one").expect("is JSON");
    assert_eq!(repro["plant"][0], "truncate-to-local-hw");
    fs::write(dir.join("saved.json"), repro.to_string()).expect("is written");
    let replayed = trial(&dir, &["replay", "saved.json"]);
    assert_eq!(code(&replayed), 1, "{}", both(&replayed));
    assert!(said(&replayed).contains("identical to the recording"), "{}", said(&replayed));
    assert!(!latest(&dir).join("summary.json").exists(), "half a summary is none");
}

#[test]
fn every_report_is_written_at_once_and_github_is_noticed() {
    let dir = scratch("reports");
    let reports = ["--report", "junit:it.xml", "--report", "md:it.md", "--report", "json:it.json"];
    let more = ["--report", "github:it.txt", "--format", "jsonl"];
    let output = trial(&dir, &[&PLANTED[..], &reports, &more].concat());
    assert_eq!(code(&output), 1, "{}", both(&output));
    let runs: Vec<Value> =
        said(&output).lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let summary = json(&dir.join("it.json"));
    assert_eq!(summary["runs"], runs.len());
    assert_eq!(summary, json(&latest(&dir).join("summary.json")));
    let kind = &kinds(&summary)[0];
    assert_eq!(runs.iter().filter(|run| run["failure"] == kind.as_str()).count() as u64, times(&summary));
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("is written");
    let (check, _) = kind.split_once('/').expect("a kind has two parts");
    let annotation = format!("::error title={check}::");
    assert!(read("it.txt").starts_with(&annotation), "{}", read("it.txt"));
    assert!(read("it.md").starts_with("### ❌ trial fuzz: 1 bucket in "), "{}", read("it.md"));
    assert!(read("it.xml").contains(&format!("type=\"{kind}\">FAIL  {check}")), "{}", read("it.xml"));
    // The same, as GitHub has it.
    let page = dir.join("page.md");
    fs::write(&page, "before\n").expect("is written");
    let github = |more: &[&str]| {
        let mut command = clean(TRIAL, &dir);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &page);
        command.args(PLANTED).args(more).output().expect("can be started")
    };
    let silent = github(&["--no-ci"]);
    assert!(!both(&silent).contains("::error"), "{}", both(&silent));
    assert_eq!(read("page.md"), "before\n");
    let output = github(&[]);
    assert!(said(&output).contains(&annotation), "{}", both(&output));
    assert!(read("page.md").starts_with("before\n### ❌ trial fuzz: 1 bucket in "), "{}", read("page.md"));
}

fn times(summary: &Value) -> u64 {
    let times = summary["buckets"][0]["times"].as_object().expect("by scenario");
    times.values().filter_map(Value::as_u64).sum()
}

#[test]
fn only_what_is_new_counts() {
    let dir = scratch("new");
    assert_eq!(code(&trial(&dir, &PLANTED)), 1);
    let first = latest(&dir);
    let known = kinds(&json(&first.join("summary.json")));
    let since = |place: &str| {
        // With a limit of runs: what is known does not end it.
        let args = ["fuzz", "--plant", "truncate-to-local-hw", "--shrink-time", "0s", "--seeds", "10"];
        trial(&dir, &[&args[..], &["--new-since", place]].concat())
    };
    let is_known = |place: &str| {
        let output = since(place);
        let summary = json(&latest(&dir).join("summary.json"));
        assert_eq!(kinds(&summary), known, "{}", both(&output));
        assert_eq!(
            (code(&output), &summary["buckets"][0]["new"]),
            (0, &Value::Bool(false)),
            "{}",
            both(&output)
        );
        let xml = fs::read_to_string(latest(&dir).join("junit.xml")).expect("is there");
        assert!(xml.contains("<skipped message=\"known before: "), "{xml}");
    };
    is_known(first.to_str().expect("is text"));
    fs::write(dir.join("known.txt"), format!("# a comment\n{}\n", known[0])).expect("is written");
    is_known("known.txt");
    // A revision that has the repro, and the one before it.
    let git = |args: &[&str]| {
        let mut git = clean("git", &dir);
        git.args(["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "init.defaultBranch=main"]);
        let output = git.args(args).output().expect("git is there");
        assert!(output.status.success(), "{args:?}: {}", both(&output));
    };
    git(&["init", "-q"]);
    git(&["add", "known.txt"]);
    git(&["commit", "-q", "-m", "before"]);
    fs::create_dir(dir.join("regressions")).expect("can be made");
    let repro =
        first.join(json(&first.join("summary.json"))["buckets"][0]["repro"].as_str().expect("is text"));
    fs::copy(repro, dir.join("regressions/it.repro.json")).expect("is copied");
    git(&["add", "regressions"]);
    git(&["commit", "-q", "-m", "after"]);
    is_known("HEAD");
    let output = since("HEAD~1");
    assert_eq!(code(&output), 1, "{}", both(&output));
    assert!(said(&output).contains("new since HEAD~1 (0 known)"), "{}", said(&output));
    assert_eq!(json(&latest(&dir).join("summary.json"))["buckets"][0]["new"], true);
    let output = since("no-such-branch");
    assert_eq!(code(&output), 2);
    assert_eq!(
        told(&output),
        "error: --new-since: there is no file, directory or git revision `no-such-branch`\n"
    );
    // What is committed there is run first wherever nothing is planted.
    let output = trial(&dir, &["fuzz", "--seeds", "1"]);
    assert_eq!(code(&output), 1, "{}", both(&output));
    assert!(said(&output).contains("(regressions: 1 of 1 FAILED)"), "{}", said(&output));
    let output = trial(&dir, &["fuzz", "--seeds", "1", "--no-regressions"]);
    assert_eq!(code(&output), 0, "{}", both(&output));
    fs::copy(format!("{HERE}/cli/small.scenario.json"), dir.join("regressions/it.repro.json"))
        .expect("is copied");
    let output = trial(&dir, &["fuzz", "--seeds", "1"]);
    assert_eq!(code(&output), 0, "{}", both(&output));
    assert!(said(&output).contains("(regressions: 1 passed)"), "{}", said(&output));
}

#[test]
fn shards_are_merged_and_what_does_not_belong_together_is_refused() {
    let dir = scratch("merge");
    let shard = |nth: &str, out: &str, more: &[&str]| {
        let args = [&PLANTED[..5], &["--strategy", "swarm", "--shard", nth, "--out", out]].concat();
        code(&trial(&dir, &[&args[..], more].concat()))
    };
    let seeds = ["--seeds", "12"];
    let codes = [("1/3", "a"), ("2/3", "b"), ("3/3", "c")].map(|(nth, out)| shard(nth, out, &seeds));
    assert!(codes.contains(&1), "{codes:?}");
    // A strategy that learns learns other things from another shard.
    trial(&dir, &[&PLANTED[..5], &["--strategy", "swarm"], &seeds].concat());
    let whole = json(&latest(&dir).join("summary.json"));
    let [a, b, c] = ["a/fuzz/latest", "b/fuzz/latest", "c/fuzz/latest"];
    let reports = ["--report", "junit:it.xml", "--report", "md:it.md"];
    let output = trial(&dir, &[&["merge", c, a, b, "-o", "all"][..], &reports].concat());
    assert_eq!(code(&output), 1, "{}", both(&output));
    let merged = json(&dir.join("all/summary.json"));
    assert_eq!(kinds(&merged), kinds(&whole), "shards find what the whole finds");
    for what in ["runs", "simulated_ms", "events"] {
        assert_eq!(merged[what], whole[what], "{what}");
    }
    assert_eq!((times(&merged), &merged["shards"]), (times(&whole), &serde_json::json!([1, 2, 3])));
    let bucket = dir.join("all").join(merged["buckets"][0]["repro"].as_str().expect("is text"));
    assert_eq!(code(&trial(&dir, &["replay", bucket.to_str().expect("is text")])), 1);
    let seeds = fs::read_to_string(bucket.with_file_name("seeds.txt")).expect("is there");
    assert_eq!(seeds.lines().count() as u64, times(&merged), "{seeds}");
    for name in ["it.xml", "it.md", "all/summary.md", "all/junit.xml"] {
        assert!(dir.join(name).is_file(), "{name}");
    }
    // What is missing is named; what was found counts all the same.
    let output = trial(&dir, &["merge", a, c]);
    assert!(said(&output).contains("missing: shard 2 of 3\n"), "{}", both(&output));
    assert_eq!(told(&output), "shard 2 of 3 is not there\n");
    shard("2/3", "other", &["--seeds", "12", "--base", "7"]);
    shard("2/3", "longer", &["--seeds", "13"]);
    let mut newer = merged;
    newer["format"] = 9.into();
    fs::write(dir.join("newer.json"), newer.to_string()).expect("is written");
    for (args, expected, why) in [
        (&["merge", a, b, b][..], 2, "shard 2/3 is there twice: b/fuzz/latest and b/fuzz/latest"),
        (
            &["merge", a, "other/fuzz/latest"],
            2,
            "other/fuzz/latest is of another campaign than a/fuzz/latest: its base is `0x7`, not `0x1`",
        ),
        (
            &["merge", a, "longer/fuzz/latest"],
            2,
            "longer/fuzz/latest is of another campaign than a/fuzz/latest: its limit is `13 runs`, not `12 runs`",
        ),
        (&["merge", "newer.json"], 5, "newer.json is of format 9; this trial reads format 2"),
        (
            &["merge", "a"],
            2,
            "a is no campaign: a/summary.json cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let output = trial(&dir, args);
        assert_eq!((code(&output), told(&output)), (expected, format!("error: {why}\n")), "{args:?}");
    }
    // Nothing was found, but not everything was looked at.
    let clean = ["fuzz", "--seeds", "2", "--shard", "1/2", "--out", "clean"];
    assert_eq!(code(&trial(&dir, &clean)), 0);
    assert_eq!(code(&trial(&dir, &["merge", "clean/fuzz/latest"])), 3);
}

#[test]
fn what_contradicts_itself_is_one_clear_error() {
    let dir = scratch("bad");
    let small = format!("{HERE}/cli/small.scenario.json");
    fs::copy(&small, dir.join("again.scenario.json")).expect("is copied");
    fs::write(dir.join("newer.repro.json"), r#"{ "version": 2, "name": "it" }"#).expect("is written");
    fs::write(dir.join("list.txt"), "no kind\n").expect("is written");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--seeds", "5", "--time", "5s"], 2, "the argument '--seeds <N>' cannot be used with '--time <T>'"),
        (&["--time", "0s"], 2, "--time 0s is no time to run anything in"),
        (&["--run-timeout", "0s"], 2, "--run-timeout 0s is no time to run anything in"),
        (&["--seeds", "2", "--shard", "3/4"], 2, "shard 3/4 has nothing to do: there are 2 runs in all"),
        (&["--shard", "5/4"], 2, "there is no part 5 of 4: parts are counted from 1"),
        (&["--canary", "--new-since", "HEAD"], 2, "--canary with --new-since: a canary is to be found"),
        (&["--canary", "--profile", "pr"], 2, "--canary with --profile pr: a canary is to be found"),
        (&["--profile", "weekly"], 2, "[possible values: pr, nightly]"),
        (&["--plant", "truncate-to-local-hv"], 2, "did you mean `truncate-to-local-hw`"),
        (&["--run-memory", "much"], 2, "`much` is not a size"),
        (&["--new-since", "list.txt"], 2, "list.txt:1: `no kind` is no kind of failure: write CHECK/3f7a"),
        (&["newer.repro.json"], 5, "this is format 2; this trial reads format 1"),
        (&[&small, "again.scenario.json"], 2, "are both called `small`: nobody could tell which one failed"),
        (&["--worker", "no/such/program", "--seeds", "1"], 70, "no/such/program cannot be started"),
    ];
    for (args, expected, sentence) in cases {
        let output = trial(&dir, &[&["fuzz"], *args].concat());
        assert_eq!(code(&output), *expected, "{args:?}: {}", both(&output));
        assert!(told(&output).contains(sentence), "{args:?}: {}", told(&output));
        let errors = told(&output).lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "{args:?}: {}", told(&output));
    }
}

#[test]
fn a_night_begins_with_a_canary() {
    let dir = scratch("night");
    let args = ["fuzz", "--profile", "nightly", "--seeds", "2", "--base", "1"];
    let output = trial(&dir, &args);
    assert_eq!(code(&output), 0, "{}", both(&output));
    assert!(said(&output).contains("canary truncate-to-local-hw found after "), "{}", said(&output));
    // A program that plants nothing catches nothing: the night is not green.
    let script = format!(r#"exec {TRIAL} fuzz-worker --run-timeout 60s --run-memory 2GiB"#);
    let small = format!("{HERE}/cli/small.scenario.json");
    let output = trial(&dir, &[&args[..], &[&small, "--worker", &worker(&dir, &script)]].concat());
    assert_eq!(code(&output), 1, "{}", both(&output));
    assert!(told(&output).contains("the net catches nothing: truncate-to-local-hw"), "{}", told(&output));
}
