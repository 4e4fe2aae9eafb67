//! Does what is shrunk still fail, for the same reason, and is it simpler?

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use trial::{
    Engine, Options, Scenario, Signature,
    scenario::{
        self,
        file::Fault,
        values::{BugName, Seed},
    },
    shrink::{Limits, Refusal, Shrunk, Wishes, shrink},
    simulate,
};
use trial_model::museum::Bug;
use trial_tests::{root, scenario, seed_of};

/// A scenario of the museum with its bug planted, and as many faults besides that do nothing for it.
fn noisy(slug: &str, noise: u64) -> Scenario {
    let mut it = scenario(&format!("museum/{slug}"));
    it.plant = vec![BugName(Bug::from_slug(slug).expect("is a bug"))];
    it.faults.extend((0..noise).map(|nth| {
        let act = match nth % 3 {
            0 => json!({ "clock_jump": { "node": "broker-1", "by": "3s" } }),
            1 => json!({ "slow_link": { "from": "broker-1", "to": "p", "by": "1ms" } }),
            _ => json!({ "lossy_link": { "from": "controller-1", "to": "controller-2", "loss": 0.01 } }),
        };
        let at = format!("{}ms", 2_500 + 137 * nth);
        let fault = json!({ "id": format!("noise-{nth}"), "when": { "at": at }, "do": act });
        serde_json::from_value::<Fault>(fault).expect("is a fault")
    }));
    it
}

fn at_most(runs: u64) -> Limits {
    Limits { runs: Some(runs), time: None, jobs: 1 }
}

fn shrunk(it: &Scenario, runs: u64, wishes: &Wishes) -> Shrunk {
    shrink(it, at_most(runs), wishes, &mut |_| true).expect("fails")
}

fn signature(it: &Scenario, seed: u64) -> Option<Signature> {
    let options = Options { engine: Engine::Direct, stop_at_first: true, ..Options::default() };
    Signature::of(&simulate(it, seed, options))
}

/// What is promised of whatever was shrunk: it loads as it is written, fails as before, and is not larger.
fn keeps_its_promises(before: &Scenario, after: &Shrunk) {
    let text = serde_json::to_string_pretty(&after.scenario).expect("is JSON");
    let read = scenario::load(&text, &[]).expect("what is written can be loaded");
    assert_eq!(read, after.scenario);
    let found = signature(&read, seed_of(&read)).expect("still fails");
    assert_eq!(found.check(), after.signature.check());
    assert_eq!(signature(before, seed_of(before)), Some(after.signature));
    let size = |it: &Scenario| {
        [
            it.faults.len(),
            it.topology.brokers as usize,
            it.topology.controllers as usize,
            it.clients().len(),
            it.topology.topics.len(),
        ]
    };
    assert!(size(&after.scenario).iter().zip(size(before)).all(|(after, before)| *after <= before));
    assert!(after.scenario.ends().1 <= before.ends().1);
    let origin = after.scenario.origin.as_ref().expect("is told");
    assert_eq!(origin.bucket, Some(found.to_string()));
}

#[test]
fn faults_that_do_nothing_go_and_the_one_that_matters_stays() {
    let before = noisy("truncate-to-local-hw", 12);
    let after = shrunk(&before, 600, &Wishes { same_bucket: true, ..Wishes::default() });
    keeps_its_promises(&before, &after);
    assert_eq!(after.scenario.faults.len(), 1, "{:?}", after.scenario.faults);
    assert_eq!(after.scenario.faults[0].id, "n4");
    assert_eq!(signature(&after.scenario, seed_of(&after.scenario)), Some(after.signature));
    // Without the bug nothing is wrong with what is left.
    let mended = Scenario { plant: Vec::new(), ..after.scenario.clone() };
    assert_eq!(signature(&mended, seed_of(&mended)), None);
    assert!(after.strength_after >= 40, "{}", after.strength_after);
}

#[test]
fn what_is_drawn_from_a_nemesis_is_written_out_and_shrunk() {
    let mut before = noisy("acks-all-without-min-isr", 0);
    let nemesis = json!({ "between": ["3s", "8s"], "every": "400ms", "at_most": 2,
        "weights": { "pause": 1, "slow_link": 2, "reset": 1 } });
    before.nemesis = Some(serde_json::from_value(nemesis).expect("is one"));
    let after = shrunk(&before, 600, &Wishes::default());
    assert!(after.before.faults.len() > 8, "{}", after.before.faults.len());
    keeps_its_promises(&before, &after);
    assert!(after.scenario.faults.len() <= 4, "{:?}", after.scenario.faults);
    assert_eq!(after.scenario.nemesis, None);
}

#[test]
fn the_same_limit_of_runs_gives_the_same_result_with_any_number_of_jobs() {
    let before = noisy("leader-resumes-same-epoch", 5);
    let wishes = Wishes::default();
    for runs in [1, 2, 90] {
        let one = shrunk(&before, runs, &wishes);
        let other = shrink(&before, Limits { jobs: 3, ..at_most(runs) }, &wishes, &mut |_| true);
        let other = other.expect("fails");
        keeps_its_promises(&before, &one);
        assert_eq!(one.scenario, other.scenario);
        assert_eq!((one.runs, one.strength_after), (other.runs, other.strength_after));
        assert!(one.cut_short);
    }
}

#[test]
fn what_is_to_be_kept_is_kept() {
    let before = noisy("truncate-to-local-hw", 3);
    let path = |text: &str| text.split('.').map(str::to_string).collect::<Vec<_>>();
    let keep = vec![path("faults.noise-1"), path("topology.brokers"), path("workload.p.producer.rate")];
    let after = shrunk(&before, 300, &Wishes { keep, ..Wishes::default() });
    keeps_its_promises(&before, &after);
    let ids: Vec<&str> = after.scenario.faults.iter().map(|fault| fault.id.as_str()).collect();
    assert_eq!(ids, ["n4", "noise-1"]);
    assert_eq!(after.scenario.faults[1], before.faults[2]);
    assert_eq!(after.scenario.topology.brokers, 3);
    assert_eq!(after.scenario.workload[0].count(), 1);
}

#[test]
fn what_breaks_no_promise_is_refused() {
    let mut sound = noisy("truncate-to-local-hw", 0);
    sound.plant.clear();
    let refused = shrink(&sound, at_most(10), &Wishes::default(), &mut |_| true);
    assert_eq!(refused.err(), Some(Refusal::Passes));
    let keep = vec![vec!["faults".to_string(), "7".to_string()]];
    let wishes = Wishes { keep, ..Wishes::default() };
    let refused = shrink(&sound, at_most(10), &wishes, &mut |_| true);
    assert!(matches!(refused, Err(Refusal::Keep(why)) if why.contains("`faults.7`")));
}

// The command.

fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shrink").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("can be made");
    dir
}

fn trial(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial-under-test"));
    command.args(args).current_dir(dir).env_remove("GITHUB_ACTIONS");
    command.output().expect("can be started")
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

/// Writes a scenario with a seed that fails under it.
fn failing(dir: &Path) -> Scenario {
    let mut it = noisy("truncate-to-local-hw", 4);
    it.seed = Some(Seed(seed_of(&it)));
    fs::write(dir.join("it.scenario.json"), serde_json::to_string(&it).expect("is JSON"))
        .expect("is written");
    it
}

#[test]
fn the_command_writes_a_repro_that_replays() {
    let dir = scratch("writes");
    failing(&dir);
    let output = trial(&dir, &["shrink", "it.scenario.json", "--runs", "400", "--time", "0s"]);
    let text = said(&output);
    assert_eq!(code(&output), 0, "{text}{}", told(&output));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("shrink  no_truncation_below_high_watermark/"), "{text}");
    assert!(lines[1].starts_with("  faults  5 → 1     nodes  3+3 → "), "{text}");
    assert!(lines[2].starts_with("  n4           at 3700ms"), "{text}");
    assert!(text.contains("\n  strength     ") && text.contains(" of 50 seeds\n"), "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{text}");
    let name = lines.iter().find_map(|line| line.strip_prefix("wrote ")).expect("says where");
    assert!(name.starts_with("no_truncation_below_high_watermark-") && name.ends_with(".repro.json"));
    let repro = fs::read_to_string(dir.join(name)).expect("is there");
    let repro: Value = serde_json::from_str(&repro).expect("is strict JSON");
    assert_eq!(repro["origin"]["found_by"], "trial shrink");
    assert_eq!(repro["faults"].as_array().map(Vec::len), Some(1));
    let again = trial(&dir, &["replay", name]);
    assert_eq!(code(&again), 1, "{}{}", said(&again), told(&again));
    assert!(said(&again).contains("identical to the recording"), "{}", said(&again));
    // What is as simple as it can be stays as it is.
    let output = trial(
        &dir,
        &["shrink", name, "--runs", "400", "--time", "0s", "-o", "2.repro.json", "--format", "json"],
    );
    let document: Value = serde_json::from_str(&said(&output)).expect("is JSON");
    assert_eq!(document["after"]["faults"], 1);
    assert_eq!(document["repro"], "2.repro.json");
}

#[test]
fn the_directory_of_a_run_is_shrunk_too() {
    let dir = scratch("directory");
    failing(&dir);
    let run = trial(&dir, &["run", "it.scenario.json", "--out", "out", "--trace", "none"]);
    assert_eq!(code(&run), 1, "{}{}", said(&run), told(&run));
    let output =
        trial(&dir, &["shrink", "out/latest", "--runs", "60", "--time", "0s", "-o", "it.repro.json", "-q"]);
    assert_eq!((code(&output), said(&output)), (0, "it.repro.json\n".into()), "{}", told(&output));
    assert!(dir.join("it.repro.json").is_file());
}

#[test]
fn bad_input_is_one_clear_error() {
    let dir = scratch("bad");
    let it = failing(&dir);
    let sound = Scenario { plant: Vec::new(), ..it.clone() };
    fs::write(dir.join("sound.json"), serde_json::to_string(&sound).expect("is JSON")).expect("is written");
    let unpinned = Scenario { seed: None, ..it.clone() };
    fs::write(dir.join("unpinned.json"), serde_json::to_string(&unpinned).expect("is JSON"))
        .expect("is written");
    fs::write(dir.join("newer.json"), r#"{ "version": 2, "name": "it" }"#).expect("is written");
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["sound.json"],
            2,
            "sound.json breaks no promise under seed 0x3ad3ba9437ebeeaf, so there is nothing to shrink",
        ),
        (&["unpinned.json"], 2, "unpinned.json pins no seed: say with --seed which one fails"),
        (&["newer.json"], 5, "this is format 2; this trial reads format 1"),
        (&["none.json"], 2, "none.json cannot be read"),
        (&["."], 2, ". is not a run"),
        (&["it.scenario.json", "--keep", "faults.n9"], 2, "--keep: there is nothing at `faults.n9`"),
        (&["it.scenario.json", "--keep", "faults..for"], 2, "a path is keys and positions"),
        (&["it.scenario.json", "-o", "."], 2, ". is a directory"),
        (&["it.scenario.json", "-o", "no/such/place.json"], 2, "there is no directory no/such"),
        (&["it.scenario.json", "--time", "0s"], 2, "--time 0s is no limit, and needs --runs"),
        (&["it.scenario.json", "--runs", "0"], 2, "invalid value '0'"),
        (&["it.scenario.json", "--plant", "no-such-bug"], 2, "no-such-bug"),
    ];
    for (args, expected, sentence) in cases {
        let output = trial(&dir, &[&["shrink"], *args].concat());
        let text = told(&output);
        assert_eq!(code(&output), *expected, "{args:?}: {text}");
        assert!(text.contains(sentence), "{args:?}: {text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("error")).count(), 1, "{args:?}: {text}");
        assert_eq!(said(&output), "", "{args:?}");
    }
    assert!(!root().join("sound.json").exists());
}
