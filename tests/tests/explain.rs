//! Is a failure explained: the wrong decision named, the chain short, what it takes true?

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use trial::{
    Engine, Options, Scenario,
    diff::{Moment, Side, State, compare},
    explain::{Case, Limits, Look, Told, fork_seed, needed, recorded, setup_of, show, suspects, turned},
    simulate,
};
use trial_model::{museum::Bug, time::Instant};
use trial_tests::{load, root, scenario, scenario_files, seed_of};

/// What the line of the wrong decision says for each planted bug: the event that the decision made, and what
/// contradicted it. Nothing that explains knows of the museum.
const DECISIONS: &[(&str, &str, &str)] = &[
    ("acks-all-without-min-isr", "moved the high watermark", "min.insync.replicas is 2"),
    ("alterpartition-retry-lost", "put off its proposal", "never proposed again"),
    (
        "controller-active-before-replay",
        "became active having replayed metadata up to",
        "its own log ends at",
    ),
    ("epoch-start-not-recorded-on-election", "states leader.start orders-0", "did not note it"),
    ("fenced-broker-joins-isr", "took broker-3 into the ISR", "is fenced, by its own records"),
    ("hw-before-own-epoch-record", "committed metadata", "its epoch begins at"),
    ("hw-ignores-pending-isr", "moved the high watermark", "and it was counted"),
    ("last-replica-standing", "states leader.elected orders-0", "is fenced, and ELR is on"),
    ("leader-resumes-same-epoch", "went on leading quorum epoch", "nobody elected it in this life"),
    ("metadata-accepts-older-epoch", "for the leader of", "it knew of epoch"),
    ("observer-becomes-candidate", "became prospective", "it is no voter"),
    ("raft-ack-before-flush", "committed metadata", "had flushed"),
    ("read-limit-computed-twice", "states fetch.read orders-0", "committed: up to"),
    ("sequence-reset-on-delivery-timeout", "sent new records", "other records had that number"),
    ("truncate-to-local-hw", "its own high watermark", "was committed, and it had it"),
    ("unclean-election-any-replica", "elected broker-", "unclean elections are not allowed"),
];

fn planted(slug: &str) -> (Scenario, u64) {
    let mut scenario = scenario(&format!("museum/{slug}"));
    let bug = Bug::from_slug(slug).expect("is one");
    scenario.plant.push(trial::scenario::values::BugName(bug));
    let seed = seed_of(&scenario);
    (scenario, seed)
}

fn case(slug: &str) -> Case {
    let (scenario, seed) = planted(slug);
    Case::of(&scenario, seed).unwrap_or_else(|| panic!("{slug} fails"))
}

#[test]
fn the_wrong_decision_of_each_planted_bug_is_named() {
    let mut failed = Vec::new();
    for (slug, what, but) in DECISIONS {
        let decision = case(slug).decision();
        let fits = decision.as_ref().is_some_and(|(said, why)| said.contains(what) && why.contains(but));
        if !fits {
            failed.push(format!("{slug}: {decision:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_chain_is_short_ends_with_the_failure_and_marks_one_decision() {
    for (slug, ..) in DECISIONS {
        let case = case(slug);
        let lines = case.chain(14);
        assert!(lines.len() <= 15, "{slug}: {} lines", lines.len());
        assert!(lines.is_sorted_by_key(|line| line.at), "{slug}: in order of time");
        assert_eq!(lines.iter().filter(|line| line.wrong).count(), 1, "{slug}: one decision");
        assert_eq!(lines.iter().filter(|line| line.broken).count(), 1, "{slug}: one end");
        let told = Told { case: &case, lines, parts: None, needed: None, turned: None };
        let text = show(&told, Look::Human);
        assert!(text.contains("◀ wrong"), "{slug}: {text}");
        text.lines().for_each(|line| assert!(line.chars().count() <= 100, "{slug}: {line}"));
        let mermaid = show(&told, Look::Mermaid);
        assert!(mermaid.starts_with("sequenceDiagram\n"), "{mermaid}");
        let json: serde_json::Value = serde_json::from_str(&show(&told, Look::Json)).expect("is JSON");
        assert_eq!(json["check"], case.violation.check);
    }
}

/// A run in which nothing is wrong has no wrong decision: what is said of a failing run is not said of every
/// run.
#[test]
fn nothing_is_called_wrong_in_runs_that_pass() {
    let mut failed = Vec::new();
    for folder in ["museum", "replication", "elections", "producers", "consumers", "regressions"] {
        for path in scenario_files(folder) {
            let scenario = load(&path);
            let (run, record) = recorded(&scenario, seed_of(&scenario), None);
            if !run.violations.is_empty() {
                continue;
            }
            let found = suspects(&record, &setup_of(&scenario), &run.names);
            failed.extend(
                found.first().map(|wrong| format!("{}: {} ({})", path.display(), wrong.what, wrong.but)),
            );
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn writing_down_does_not_change_the_run() {
    let scenario = scenario("museum/hw-ignores-pending-isr");
    let seed = seed_of(&scenario);
    let plain = simulate(&scenario, seed, Options { engine: Engine::Direct, ..Options::default() });
    let (run, record) = recorded(&scenario, seed, None);
    assert_eq!(plain.digest, run.digest);
    assert_eq!(record.steps.len() as u64, run.steps, "every step is there");
    let caused = record.steps.iter().filter(|step| step.cause.is_some()).count();
    assert!(caused * 2 > record.steps.len(), "{caused} of {} have a cause", record.steps.len());
    for step in &record.steps {
        for earlier in step.cause.iter().chain(&step.before) {
            assert!(record.steps[*earlier].at <= step.at, "nothing is caused by what comes later");
        }
    }
}

#[test]
fn a_fork_is_the_run_up_to_its_moment_and_repeats() {
    let scenario = scenario("museum/truncate-to-local-hw");
    let seed = seed_of(&scenario);
    let at = Instant(3_000_000_000);
    let fork = |nth| {
        let scribe = trial::explain::Scribe::new();
        let run = simulate(
            &scenario,
            seed,
            Options {
                engine: Engine::Direct,
                scribe: Some(scribe.clone()),
                reseed: Some((at, fork_seed(seed, at, nth))),
                ..Options::default()
            },
        );
        (run.digest, scribe.take())
    };
    let (_, plain) = recorded(&scenario, seed, None);
    let ((one, record), (again, _), (other, _)) = (fork(0), fork(0), fork(1));
    assert_eq!(one, again);
    assert_ne!(one, other);
    let before = plain.entries.partition_point(|entry| entry.at < at);
    assert_eq!(plain.entries[..before], record.entries[..before], "the same up to then");
    assert_ne!(plain.entries, record.entries, "and another one afterwards");
}

#[test]
fn what_is_needed_is_needed_and_what_is_not_is_not() {
    let (mut scenario, seed) = planted("acks-all-without-min-isr");
    // A fault long before that nobody needs.
    let mut spare = scenario.faults[0].clone();
    spare.id = "spare".into();
    spare.when.at = Some("1500ms".parse().expect("is a time"));
    spare.lasts = Some("100ms".parse().expect("is a time"));
    scenario.faults.insert(0, spare);
    let Some(case) = Case::of(&scenario, seed) else { panic!("still fails") };
    let limits = Limits { runs: 400, time: None };
    let found = needed(&scenario, seed, case.violation.check, &case.faults, limits);
    assert!(!found.stopped && found.runs <= 400, "{found:?}");
    assert!(found.spare >= 1, "{found:?}");
    assert!(!found.needs.is_empty(), "{found:?}");
    let fails = |scenario: &Scenario| {
        let run = simulate(scenario, seed, Options { engine: Engine::Direct, ..Options::default() });
        run.violations.iter().any(|violation| violation.check == case.violation.check)
    };
    let without = |id: &str| {
        let mut fewer = scenario.clone();
        fewer.faults.retain(|fault| fault.id != "spare" && fault.id != id);
        fewer
    };
    let names = found.needs.iter().map(|need| need.what.as_str()).collect::<Vec<_>>().join("\n");
    for fault in &case.faults {
        // How long it must last is told anew.
        let named = names.contains(fault.what.split(" for ").next().unwrap_or_default());
        assert!(named || fails(&without(&fault.id)), "{} is not named, and is needed\n{names}", fault.what);
    }
    let again = needed(&scenario, seed, case.violation.check, &case.faults, limits);
    assert_eq!(found, again, "the same twice");
}

#[test]
fn the_chance_rises_towards_the_failure() {
    let (scenario, seed) = planted("truncate-to-local-hw");
    let case = case("truncate-to-local-hw");
    let found = turned(&scenario, seed, case.violation.check, &case.chain(14), 4, None);
    assert_eq!(found, turned(&scenario, seed, case.violation.check, &case.chain(14), 4, None));
    let last = found.points.last().expect("there are some");
    assert!(last.1 >= found.points[0].1, "{found:?}");
}

#[test]
fn two_runs_part_where_the_bug_is() {
    let (buggy, seed) = planted("truncate-to-local-hw");
    let well = scenario("museum/truncate-to-local-hw");
    let (a, b) = (Side::of(&well, seed), Side::of(&buggy, seed));
    let found = compare(&a, &b, None, None);
    let parting = found.parting.as_ref().expect("they part");
    assert!(parting.sides[1].as_deref().is_some_and(|text| text.contains("log.truncate")), "{parting:?}");
    let differs =
        found.state.iter().any(|(_, what, [one, other])| what == "log end of orders-0" && one != other);
    assert!(differs, "{:?}", found.state);
    assert!(a.violation.is_none() && b.violation.is_some());
    assert!(compare(&a, &Side::of(&well, seed), None, None).parting.is_none(), "a run is itself");
}

#[test]
fn a_state_is_what_was_told_up_to_then() {
    let well = scenario("museum/truncate-to-local-hw");
    let (run, record) = recorded(&well, seed_of(&well), None);
    let value = |moment| {
        let facts = State::at(&record, &run.names, moment).facts();
        facts.iter().find(|(key, _)| key.2 == "high watermark").map(|(_, value)| value.clone())
    };
    assert_eq!(value(Moment::Time(Instant::ZERO)), None);
    assert!(value(Moment::Time(Instant::FOREVER)).is_some());
    assert_eq!(value(Moment::Event(record.entries.len() - 1)), value(Moment::Time(Instant::FOREVER)));
}

fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("can be made");
    dir
}

fn trial(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial-under-test"));
    for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "GITHUB_ACTIONS"] {
        command.env_remove(name);
    }
    command.current_dir(root()).args(args).output().expect("can be started")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const FILE: &str = "scenarios/museum/truncate-to-local-hw.scenario.json";

#[test]
fn explain_says_the_same_twice_and_refuses_what_it_cannot() {
    let quick = ["explain", FILE, "--plant", "truncate-to-local-hw", "--forks", "0", "--runs", "0"];
    let (one, another) = (trial(&quick), trial(&quick));
    assert_eq!(one.status.code(), Some(0), "{}", told(&one));
    assert_eq!(said(&one), said(&another));
    assert!(said(&one).contains("WHY no_truncation_below_high_watermark FAILED"), "{}", said(&one));
    let passes = trial(&["explain", FILE]);
    assert_eq!(passes.status.code(), Some(2));
    assert!(told(&passes).contains("nothing to explain"), "{}", told(&passes));
    let nowhere = trial(&["explain", "target/no-such-run"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(told(&nowhere).contains("target/no-such-run"), "{}", told(&nowhere));
    let dir = scratch("other-version");
    fs::write(dir.join("result.json"), "{\"format\": 99}").expect("can be written");
    let other = trial(&["explain", dir.to_str().expect("is text")]);
    assert_eq!(other.status.code(), Some(5), "{}", told(&other));
}

#[test]
fn diff_takes_files_seeds_and_bugs() {
    let buggy = format!("{FILE}+truncate-to-local-hw");
    let (one, another) = (trial(&["diff", FILE, &buggy]), trial(&["diff", FILE, &buggy]));
    assert_eq!(one.status.code(), Some(0), "{}", told(&one));
    assert_eq!(said(&one), said(&another));
    assert!(said(&one).contains("A passes.  B fails no_truncation_below_high_watermark"), "{}", said(&one));
    said(&one).lines().for_each(|line| assert!(line.chars().count() <= 100, "{line}"));
    assert!(said(&trial(&["diff", FILE, FILE])).contains("the same run"));
    let seeds = trial(&["diff", FILE, &format!("{FILE}@7"), "--only", "leader.elected"]);
    assert!(said(&seeds).contains("told  seed:"), "{}", said(&seeds));
    for (args, why) in [
        (vec!["diff", FILE, &format!("{FILE}+truncate-to-local-hv")], "did you mean `truncate-to-local-hw`"),
        (vec!["diff", FILE, FILE, "--only", "leader_elected"], "did you mean `leader.elected`"),
        (vec!["diff", FILE, FILE, "--state-at", "#99999999"], "there is no event #99999999"),
    ] {
        let refused = trial(&args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(told(&refused).contains(why), "{args:?}: {}", told(&refused));
    }
}

#[test]
fn replay_looks_inside_and_bisects() {
    let at = trial(&["replay", FILE, "--show", "broker-2/orders-0", "--at", "4.3s"]);
    assert_eq!(at.status.code(), Some(0), "{}", told(&at));
    assert!(said(&at).contains("role of orders-0"), "{}", said(&at));
    let since = trial(&["replay", FILE, "--show", "broker-2/orders-0", "--from", "4.30s", "--at", "4.4s"]);
    assert!(
        said(&since).contains("follower of broker-3, epoch 0 → follower of broker-1"),
        "{}",
        said(&since)
    );
    let early = trial(&["replay", FILE, "--until", "#100"]);
    assert!(said(&early).contains("ended at"), "{}{}", said(&early), told(&early));
    let nobody = trial(&["replay", FILE, "--show", "broker-9"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(told(&nobody).contains("there are controller-1"), "{}", told(&nobody));
    assert_eq!(trial(&["replay", FILE, "--bisect"]).status.code(), Some(0));
    assert_eq!(trial(&["replay", "nowhere", "--bisect"]).status.code(), Some(125));
}
