//! Does the command keep its word: exit codes, files, streams and colours?

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

const SMALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/small.scenario.json");

/// A directory of its own for a test, empty.
fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("can be made");
    dir
}

fn trial(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial-under-test"));
    command.args(args);
    for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "GITHUB_ACTIONS"] {
        command.env_remove(name);
    }
    command
}

fn done(args: &[&str]) -> Output {
    trial(args).output().expect("can be started")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("is text")
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("is text")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("is text")
}

/// Runs the small scenario with more arguments; the one directory that it leaves.
fn run(out: &Path, more: &[&str]) -> (Output, PathBuf) {
    let mut args = vec!["run", SMALL, "--out", path(out)];
    args.extend(more);
    let output = done(&args);
    let mut dirs: Vec<_> =
        fs::read_dir(out.join("runs")).expect("was made").flatten().map(|e| e.path()).collect();
    dirs.sort();
    assert!(
        dirs.iter().all(|dir| !dir.file_name().expect("has one").to_string_lossy().starts_with('.')),
        "{dirs:?}"
    );
    (output, dirs.pop().expect("left one"))
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).expect("can be read")).expect("is JSON")
}

#[test]
fn a_run_passes_and_leaves_its_directory() {
    let out = scratch("run");
    let (output, dir) = run(&out, &[]);
    let text = said(&output);
    assert_eq!(code(&output), 0, "{text}{}", told(&output));
    assert!(text.starts_with("small   seed 0x1   1 controller, 3 brokers, 2 clients\n"), "{text}");
    assert!(text.contains("\nPASS   4 of 4 properties   "), "{text}");
    for name in ["scenario.json", "result.json", "report.txt", "trace.jsonl.zst"] {
        assert!(dir.join(name).is_file(), "{name}");
    }
    let result = json(&dir.join("result.json"));
    assert_eq!(result["verdict"], "pass");
    assert_eq!(result["seed"], "0x1");
    let digest = result["digest"].as_str().expect("has one");
    assert!(text.contains(&format!("trace {}", &digest[..8])), "{text}");
    assert_eq!(json(&dir.join("scenario.json"))["seed"], "0x1");
    assert_eq!(
        fs::canonicalize(out.join("latest")).expect("links"),
        fs::canonicalize(&dir).expect("is there")
    );
}

#[test]
fn a_pipe_gets_no_colour_and_no_bar() {
    let out = scratch("pipe");
    let outputs = [
        run(&out, &["-v"]).0,
        done(&["check", SMALL, "no-such-file"]),
        done(&["list", "config"]),
        done(&["--help"]),
        done(&["run", SMALL, "--set", "faults.0.for=soon", "--out", path(&out)]),
    ];
    for output in &outputs {
        for stream in [&output.stdout, &output.stderr] {
            assert!(
                !stream.contains(&0x1b) && !stream.contains(&b'\r'),
                "{}",
                String::from_utf8_lossy(stream)
            );
        }
    }
}

#[test]
fn colour_comes_when_it_is_asked_for_and_not_when_it_is_refused() {
    let bad = ["run", SMALL, "--set", "faults.0.for=soon"];
    let coloured = |command: &mut Command| command.output().expect("can be started").stderr.contains(&0x1b);
    assert!(coloured(trial(&bad).env("CLICOLOR_FORCE", "1")));
    assert!(!coloured(trial(&bad).env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1")));
    assert!(coloured(trial(&bad).args(["--color", "always"]).env("NO_COLOR", "1")));
    assert!(!coloured(trial(&bad).args(["--color", "never"]).env("CLICOLOR_FORCE", "1")));
}

#[test]
fn a_replay_says_identical() {
    let out = scratch("replay");
    let (_, dir) = run(&out, &["--seed", "0xabc"]);
    let output = done(&["replay", path(&dir)]);
    assert_eq!(code(&output), 0, "{}{}", said(&output), told(&output));
    assert!(
        said(&output).contains("identical to the recording\n") && !said(&output).contains("NOT"),
        "{}",
        said(&output)
    );
    // As a file, too: the scenario beside it pins the seed, but has no digest to compare with.
    let output = done(&["replay", path(&dir.join("scenario.json"))]);
    assert!(said(&output).contains("nothing to compare with"), "{}", said(&output));
}

#[test]
fn a_replay_of_another_trace_shows_where_they_part() {
    let out = scratch("parted");
    let (_, dir) = run(&out, &[]);
    // The same seed in another scenario, passed off as the recorded one.
    let mut scenario = json(&dir.join("scenario.json"));
    scenario["workload"][0]["producer"]["rate"] = "60/s".into();
    fs::write(dir.join("scenario.json"), scenario.to_string()).expect("can be written");
    let output = done(&["replay", path(&dir)]);
    assert_eq!(code(&output), 4, "{}{}", said(&output), told(&output));
    assert!(
        said(&output).contains("NOT identical") && said(&output).contains("parts at event #"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_damaged_run_directory_is_told_in_one_line() {
    let out = scratch("damaged");
    let (_, dir) = run(&out, &[]);
    let (result, trace) = (dir.join("result.json"), dir.join("trace.jsonl.zst"));
    let whole = fs::read_to_string(&result).expect("can be read");
    let refused = |expected: i32, says: &str| {
        let output = done(&["replay", path(&dir)]);
        assert_eq!(code(&output), expected, "{}", told(&output));
        let text = told(&output);
        assert!(text.starts_with("error: ") && text.contains(says) && text.lines().count() == 1, "{text}");
        assert_eq!(said(&output), "");
    };
    fs::write(&result, &whole[..whole.len() / 2]).expect("can be written");
    refused(2, "is damaged");
    fs::write(&result, whole.replacen("\"format\": 1", "\"format\": 7", 1)).expect("can be written");
    refused(5, "is of format 7; this trial reads format 1");
    fs::write(&result, &whole).expect("can be written");
    let mut bytes = fs::read(&trace).expect("can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&trace, &bytes).expect("can be written");
    refused(2, "is damaged");
    fs::remove_file(&trace).expect("can be removed");
    refused(2, "trace.jsonl.zst cannot be read");
    fs::remove_file(&result).expect("can be removed");
    refused(2, "is not a run");
}

#[test]
fn another_version_of_the_format_is_not_a_mistake_in_it() {
    let dir = scratch("version");
    let file = dir.join("new.repro.json");
    let text = fs::read_to_string(SMALL).expect("can be read");
    fs::write(&file, text.replacen("\"version\": 1", "\"version\": 2", 1)).expect("can be written");
    for command in ["run", "replay", "check"] {
        let output = done(&[command, path(&file), "--out", path(&dir.join("out"))]);
        assert_eq!(code(&output), 5, "{command}: {}", told(&output));
        assert!(told(&output).contains("this is format 2"), "{}", told(&output));
    }
    let output = done(&["replay", SMALL]);
    assert_eq!((code(&output), told(&output).contains("pins no seed")), (2, true));
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let out = scratch("refused").join("out");
    for more in [
        &["--set", "faults.0.for=soon"][..],
        &["--set", "topology.brokers=2"],
        &["--seed", "many"],
        &["--plant", "no-such-bug"],
        &["--engine", "turbo"],
        &["--until", "5"],
        &["--report", "pdf:x"],
        &["--nemesis", "no-such-file"],
        &["--set", "faults"],
    ] {
        let mut args = vec!["run", SMALL, "--out", path(&out)];
        args.extend(more);
        let output = done(&args);
        assert_eq!(code(&output), 2, "{more:?}: {}", told(&output));
        assert!(told(&output).starts_with("error: "), "{more:?}: {}", told(&output));
        assert!(!out.exists(), "{more:?}");
    }
    assert_eq!(code(&done(&["run", "no-such-file"])), 2);
    assert_eq!(code(&done(&["fly"])), 2);
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let out = scratch("codes");
    let inconclusive = r#"properties=[{"check":"sometimes","event":"snapshot.load","at_least":9}]"#;
    for (set, expected, says) in [
        (
            r#"expect={"violates":"no_duplicates"}"#,
            1,
            "expected no_duplicates to be violated, and it was not",
        ),
        (inconclusive, 3, "snapshot.load occurred 0 of 9 times"),
    ] {
        let (output, dir) = run(&out, &["--set", set]);
        assert_eq!(code(&output), expected, "{}", said(&output));
        assert!(said(&output).contains(says), "{}", said(&output));
        assert!(fs::read_to_string(dir.join("report.txt")).expect("is there").contains(says));
    }
    let output = run(&out, &["--until", "1s"]).0;
    assert_eq!(
        (code(&output), said(&output).contains("ended at 1s as told")),
        (3, true),
        "{}",
        said(&output)
    );
}

#[test]
fn a_seed_has_four_forms() {
    let out = scratch("seeds");
    let head = |seed: &str| {
        said(&run(&out, &["--seed", seed, "--until", "1ms", "--trace", "none"]).0)
            .lines()
            .next()
            .map(str::to_string)
    };
    let sixteen = head("0x10");
    assert_eq!(sixteen, head("16"));
    assert!(sixteen.is_some_and(|line| line.contains("seed 0x10 ")));
    let commit = head("4be1f07c00112233445566778899aabbccddeeff");
    assert!(commit.is_some_and(|line| line.contains("seed 0x4be1f07c00112233 ")));
    assert_ne!(head("random"), head("random"));
}

#[test]
fn json_is_json_and_the_engines_agree() {
    let out = scratch("json");
    let digest = |engine: &str, format: &str| {
        let output = run(&out, &["--engine", engine, "--format", format, "--trace", "none"]).0;
        let text = said(&output);
        assert_eq!(format == "jsonl", text.lines().count() == 1, "{text}");
        let value: Value = serde_json::from_str(&text).expect("is JSON");
        assert!(told(&output).is_empty(), "{}", told(&output));
        value["digest"].clone()
    };
    let direct = digest("direct", "json");
    assert_eq!(direct, digest("direct", "jsonl"));
    if cfg!(madsim) {
        assert_eq!(direct, digest("madsim", "json"));
    } else {
        let output = done(&["run", SMALL, "--engine", "madsim"]);
        assert_eq!((code(&output), told(&output).contains("built without madsim")), (2, true));
    }
}

#[test]
fn reports_go_where_they_are_told() {
    let out = scratch("reports");
    let file = |name: &str| out.join(name);
    let reports: Vec<String> = ["junit", "github", "md", "json"]
        .iter()
        .map(|kind| format!("{kind}:{}", file(kind).display()))
        .collect();
    let mut args: Vec<&str> = reports.iter().flat_map(|report| ["--report", report]).collect();
    args.extend(["--set", r#"expect={"violates":"no_duplicates"}"#]);
    run(&out, &args);
    let text = |kind: &str| fs::read_to_string(file(kind)).expect("was written");
    assert!(
        text("junit").contains("<failure message=\"expected no_duplicates to be violated"),
        "{}",
        text("junit")
    );
    assert!(text("github").starts_with("::error file="), "{}", text("github"));
    assert!(text("md").starts_with("### ❌ small: "), "{}", text("md"));
    assert_eq!(json(&file("json"))["verdict"], "fail");
    // On GitHub an annotation comes by itself, unless it is not wanted.
    let args = ["run", SMALL, "--out", path(&out), "--set", r#"expect={"violates":"no_duplicates"}"#];
    let on_github = |more: &[&str]| {
        said(&trial(&args).args(more).env("GITHUB_ACTIONS", "true").output().expect("starts"))
    };
    assert!(on_github(&[]).contains("::error file="));
    assert!(!on_github(&["--no-ci"]).contains("::error file="));
}

#[test]
fn determinism_is_checked_in_every_way() {
    let output = done(&["check-determinism", SMALL, "--seeds", "2"]);
    assert_eq!(code(&output), 0, "{}{}", said(&output), told(&output));
    assert!(
        said(&output).contains("✓ small") && said(&output).contains("fresh process"),
        "{}",
        said(&output)
    );
}

#[test]
fn check_says_what_is_well_and_what_is_not() {
    let dir = scratch("check");
    assert_eq!(code(&done(&["check", path(&dir)])), 2);
    let bad = dir.join("bad.scenario.json");
    fs::write(
        &bad,
        fs::read_to_string(SMALL).expect("is there").replace("leader:orders-0", "leader:order-0"),
    )
    .expect("can be written");
    fs::copy(SMALL, dir.join("good.scenario.json")).expect("can be copied");
    let output = done(&["check", path(&dir)]);
    assert_eq!(code(&output), 2);
    assert!(said(&output).starts_with("ok    small "), "{}", said(&output));
    assert!(told(&output).contains("help: did you mean `orders-0`?"), "{}", told(&output));
    let output = done(&["check", path(&dir), "--format", "json"]);
    let value: Value = serde_json::from_str(&said(&output)).expect("is JSON");
    assert_eq!((&value[0]["ok"], &value[1]["ok"]), (&false.into(), &true.into()));
    assert_eq!(value[0]["problems"][0]["line"], 15, "{value}");
}

#[test]
fn lists_name_what_scenarios_can_name() {
    for (what, name) in [
        ("properties", "acked_records_are_readable"),
        ("events", "hw.advance"),
        ("selectors", "leader:orders-0"),
        ("bugs", "truncate-to-local-hw"),
        ("config", "min.insync.replicas"),
    ] {
        let output = done(&["list", what]);
        assert!(code(&output) == 0 && said(&output).contains(name), "{what}: {}", said(&output));
        let rows: Value =
            serde_json::from_str(&said(&done(&["list", what, "--format", "json"]))).expect("is JSON");
        assert!(rows.as_array().is_some_and(|rows| rows.len() > 5), "{what}");
    }
    let output = done(&["list", "scenarios", path(Path::new(SMALL).parent().expect("has one"))]);
    assert!(said(&output).contains("A leader dies and comes back, in a hurry."), "{}", said(&output));
    for shell in ["bash", "zsh", "fish"] {
        assert!(said(&done(&["completions", shell])).contains("check-determinism"), "{shell}");
    }
    assert!(said(&done(&["man"])).contains(".TH trial"));
    assert!(said(&done(&["schema"])).starts_with('{'));
}

#[test]
fn a_reader_that_goes_away_is_no_bug() {
    let mut child =
        trial(&["list", "config"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    let status = child.wait().expect("ends");
    let mut text = String::new();
    child.stderr.take().expect("is piped").read_to_string(&mut text).expect("is text");
    assert_eq!((status.code(), text.as_str()), (Some(0), ""));
}

#[test]
fn the_log_has_the_simulated_time() {
    let out = scratch("log");
    let output = trial(&["run", SMALL, "--out", path(&out), "--until", "2100ms", "-q"])
        .env("RUST_LOG", "trial=debug")
        .output()
        .expect("starts");
    let text = told(&output);
    assert!(text.contains("   0.000000  INFO trial::world      broker-1       node.start"), "{text}");
    assert!(text.contains("   2.000000  INFO trial::world "), "{text}");
    assert!(text.contains(" DEBUG trial::broker "), "{text}");
}

#[cfg(unix)]
#[test]
fn what_was_found_is_saved_when_it_is_interrupted() {
    let out = scratch("interrupted");
    let long = r#"phases={"chaos":"10h","settle":"10s"}"#;
    let child = trial(&["run", SMALL, "--out", path(&out), "--set", long, "--trace", "none"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // Until it has begun, there is nobody to listen.
    let runs = out.join("runs");
    while fs::read_dir(&runs).map_or(0, |entries| entries.count()) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_millis(500));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("starts");
    assert!(killed.success());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(code(&output), 130, "{}{}", said(&output), told(&output));
    assert!(said(&output).contains("interrupted"), "{}", said(&output));
    let dirs: Vec<_> = fs::read_dir(&runs).expect("is there").flatten().map(|entry| entry.path()).collect();
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    assert!(dirs[0].join("result.json").is_file());
}

/// In a build without madsim both run for real, until they are told to stop.
#[cfg(madsim)]
#[test]
fn a_build_that_simulates_says_how_to_serve() {
    for (args, instead) in [(&["serve"][..], "cargo serve"), (&["node", "broker-1"], "cargo node")] {
        let output = done(args);
        assert!(code(&output) == 2 && told(&output).contains(instead), "{}", told(&output));
    }
    assert_eq!(code(&done(&["node"])), 2, "which node?");
}
