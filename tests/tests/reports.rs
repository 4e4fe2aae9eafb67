//! What does a person read first? Reports of runs that never were, so that every word is known.

use trial::{
    report::{
        Summary, Verdict, ci, failure, human,
        summary::{Broken, Build, Circumstances, Done, FORMAT, Seen},
    },
    scenario::{Scenario, file::Actor, load, values::Seed},
};

const SCENARIO: &str = include_str!("scenario_errors/base.scenario.json");
const AGAIN: &str = "trial run base.scenario.json --seed 0x9c1f2ab47d03e611";
const PLACE: &str = "target/trial/runs/20261120-101502-base-9c1f2ab4";

fn scenario() -> Scenario {
    load(SCENARIO, &[]).expect("is well")
}

/// A run that passed.
fn passed() -> Summary {
    let seconds = |n: u64| n * 1_000_000_000;
    Summary {
        format: FORMAT,
        scenario: "leader-crash-mid-produce".into(),
        seed: Seed(0x9c1f_2ab4_7d03_e611),
        engine: "direct".into(),
        build: Build { trial: "0.1.0".into(), binary: "4be1f07c".into() },
        verdict: Verdict::Pass,
        because: None,
        digest: "3fd0a9c2".repeat(8),
        steps: 90_000,
        events: [("log.append".to_string(), 58_000), ("hw.advance".to_string(), 204)].into(),
        checks: vec!["acked_records_are_readable".into(), "replicas_agree".into()],
        violations: Vec::new(),
        decision: None,
        goals: vec![Seen { event: "leader.elected".into(), at_least: 2, seen: 3 }],
        faults: vec![
            done("slow-follower", 2_000, "pause broker-3 for 900ms"),
            done("kill-leader", 3_068, "crash broker-1, unsynced writes lost"),
        ],
        acked: vec![400, 400, 400, 400, 210, 390, 200, 0, 10, 800, 500, 400, 400, 400, 400],
        delivered: 5_000,
        elections: vec![(4_530_000_000, "orders-0: broker-1 → broker-2 (epoch 5)".into())],
        settle_began: Some(seconds(15)),
        settled: Some(seconds(16) + 400_000_000),
        ended: seconds(16) + 400_000_000,
        took_ms: 410,
        until: None,
        stop_at_first: false,
        without: Vec::new(),
        trace: None,
    }
}

fn done(id: &str, millis: u64, what: &str) -> Done {
    Done { id: id.into(), at: millis * 1_000_000, ended: None, what: what.into() }
}

/// The run of the report in the handbook: a record that was acknowledged is gone.
fn failed() -> Summary {
    let line = |label: &str, text: &str| (label.to_string(), text.to_string());
    let broken = Broken {
        check: "acked_records_are_readable".into(),
        at: 5_080_000_000,
        headline: "an acknowledged record is gone".into(),
        lines: vec![
            line(
                "lost",
                "orders-0 @1226  key \"k-17\"  value \"p1/001226\"       1 of 1,227 acknowledged records",
            ),
            line("acked", "3.067s  broker-1, leader epoch 4, acks=all, in sync {1,2}  →  p1"),
            line("gone", "5.073s  broker-3 elected, epoch 5, its log ends at 1226"),
            line("seen", "5.080s  c1 read @1226 = \"p1/001227\""),
        ],
    };
    Summary { verdict: Verdict::Fail, violations: vec![broken], ..passed() }
}

/// Bugs whose wrong decision nobody names yet: the report says what broke, and `explain` where to look.
const UNNAMED: [&str; 5] = [
    "controlled-shutdown-offset-moves",
    "log-start-mid-batch-fetch",
    "partition-epoch-not-propagated",
    "reorder-without-idempotence",
    "sequence-reassigned-in-heap-order",
];

/// The reports of violations of many kinds, each of a planted bug: what broke, which decision was wrong, what
/// was done to the cluster, what to type.
#[test]
fn the_report_of_each_planted_bug() {
    let (mut kinds, mut unnamed) = (std::collections::BTreeSet::new(), Vec::new());
    for path in trial_tests::scenario_files("museum") {
        let mut scenario = trial_tests::load(&path);
        let bug = trial_model::museum::Bug::from_slug(&scenario.name).expect("the scenario of a bug");
        scenario.plant.push(trial::scenario::values::BugName(bug));
        let seed = trial_tests::seed_of(&scenario);
        let options = trial::Options { engine: trial::Engine::Direct, ..trial::Options::default() };
        let run = trial::simulate(&scenario, seed, options);
        let around = Circumstances {
            engine: "direct".into(),
            took: std::time::Duration::ZERO,
            until: None,
            stop_at_first: false,
            cut_short: None,
            without: Vec::new(),
        };
        let mut summary = Summary::of(&scenario, &run, &around);
        summary.explain(&scenario);
        let again = format!("trial run scenarios/museum/{0}.scenario.json --plant {0}", scenario.name);
        let place = "target/trial/latest";
        let text = failure::report(&summary, &scenario, Some(place), &again);
        // The line of the trace follows.
        assert!(text.lines().count() < failure::LINES, "{} lines:\n{text}", text.lines().count());
        fits(&text);
        if summary.decision.is_none() {
            unnamed.push(bug.slug());
        }
        assert!(text.contains(&format!("trial explain {place}")), "{text}");
        kinds.insert(run.violations[0].check);
        golden(&format!("planted/{}", scenario.name), &text);
    }
    assert!(kinds.len() >= 10, "violations of many kinds: {kinds:?}");
    assert_eq!(unnamed, UNNAMED, "whose wrong decision is named, and whose not");
}

/// The witnesses of the checks of groups, too: which decision was wrong, and what led there in the group's own words.
#[test]
fn the_decision_of_each_witness_of_groups() {
    let is_member = |actor: &Actor| matches!(actor, Actor::Consumer(consumer) if consumer.group.is_some());
    let mut seen = 0;
    for path in trial_tests::scenario_files("gate") {
        let scenario = trial_tests::load(&path);
        if !scenario.workload.iter().any(is_member) {
            continue;
        }
        seen += 1;
        let case = trial::explain::Case::of(&scenario, trial_tests::seed_of(&scenario));
        let case = case.unwrap_or_else(|| panic!("{} fails", scenario.name));
        assert_eq!(case.violation.check, scenario.name);
        let (what, but) = case.decision().unwrap_or_else(|| panic!("{}: no decision", scenario.name));
        assert!(!what.is_empty() && !but.is_empty(), "{}: {what}; {but}", scenario.name);
        let chain = case.chain(14);
        let of_groups = |what: &str| ["group.", "member.", "commit."].iter().any(|it| what.starts_with(it));
        assert!(chain.iter().any(|line| of_groups(&line.what)), "{}: {chain:#?}", scenario.name);
    }
    assert!(seen >= 13, "{seen} witnesses have groups");
}

fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../../snapshots/reports", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

/// At most 20 lines and 100 columns, whatever the run was.
fn fits(text: &str) {
    assert!(text.lines().count() <= failure::LINES, "{} lines:\n{text}", text.lines().count());
    for line in text.lines() {
        assert!(line.chars().count() <= failure::COLUMNS, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn a_pass_is_five_lines() {
    let summary = passed();
    let text = format!(
        "{}\n{}{}",
        human::head(&scenario(), summary.seed),
        human::phases(&summary),
        human::verdict(&summary, &scenario(), Some("target/trial/latest"), AGAIN)
    );
    golden("pass", &text);
}

#[test]
fn a_failure_names_promise_record_faults_and_what_to_type() {
    let text = human::verdict(&failed(), &scenario(), Some(PLACE), AGAIN);
    fits(&text);
    golden("failure", &text);
}

#[test]
fn a_failure_of_many_words_and_faults_still_fits() {
    let mut summary = failed();
    let words = "the high watermark moved past what the in-sync set had ".repeat(6);
    summary.violations[0].headline = words.clone();
    summary.violations[0].lines.iter_mut().for_each(|(_, text)| *text = words.clone());
    summary.violations[0].lines.extend((0..6).map(|n| (format!("a-very-long-label-{n}"), words.clone())));
    summary.violations.push(Broken { check: "replicas_agree".into(), ..summary.violations[0].clone() });
    summary.faults = (0..40).map(|n| done(&format!("f{n}"), n * 100, &words)).collect();
    summary.scenario = "a-scenario-with-a-name-that-goes-on-and-on".repeat(2);
    let text = human::verdict(&summary, &scenario(), Some(PLACE), AGAIN);
    fits(&text);
    golden("failure_of_many_words", &text);
}

#[test]
fn a_failure_without_faults_or_words_says_when_it_was() {
    let mut summary = failed();
    summary.violations[0].lines.clear();
    summary.faults.clear();
    let text = human::verdict(&summary, &scenario(), None, AGAIN);
    fits(&text);
    golden("failure_without_faults", &text);
}

#[test]
fn a_panic_shows_its_words_and_its_place() {
    let mut summary = failed();
    let line = |label: &str, text: &str| (label.to_string(), text.to_string());
    summary.violations[0] = Broken {
        check: "no_panics".into(),
        at: 3_000_000_000,
        headline: "a node panicked: the high watermark is past the end".into(),
        lines: vec![
            line("panic", "the high watermark is past the end"),
            line("where", "model/src/partition/high_watermark.rs:88:9"),
        ],
    };
    golden("panic", &human::verdict(&summary, &scenario(), Some(PLACE), AGAIN));
}

#[test]
fn what_is_not_sure_says_why() {
    let mut summary = passed();
    summary.verdict = Verdict::Inconclusive;
    summary.because = Some("leader.elected occurred 1 of 2 times".into());
    summary.goals[0].seen = 1;
    golden("inconclusive", &human::verdict(&summary, &scenario(), Some(PLACE), AGAIN));
}

#[test]
fn a_failure_that_was_expected_is_a_pass_and_says_so() {
    let summary = Summary { verdict: Verdict::Pass, ..failed() };
    golden("expected_failure", &human::verdict(&summary, &scenario(), Some(PLACE), AGAIN));
}

#[test]
fn continuous_integration_gets_the_same_words() {
    let (summary, scenario) = (failed(), scenario());
    let case = ci::Case {
        file: "scenarios/base.scenario.json",
        text: SCENARIO,
        scenario: &scenario,
        summary: &summary,
        place: Some(PLACE),
        again: AGAIN,
    };
    golden("junit", &ci::junit(&case));
    golden("github", &ci::github(&case));
    golden("markdown", &ci::markdown(&case));
}

#[test]
fn xml_takes_any_text() {
    let mut summary = failed();
    summary.violations[0].headline = "<&\"\u{1b}\u{0}é".into();
    let scenario = scenario();
    let case =
        ci::Case { file: "f", text: "", scenario: &scenario, summary: &summary, place: None, again: AGAIN };
    let text = ci::junit(&case);
    assert!(text.contains("message=\"&lt;&amp;&quot;é\""), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{0}'));
}

#[test]
fn a_summary_reads_back_the_same() {
    for summary in [passed(), failed()] {
        let text = serde_json::to_string(&summary).expect("writes");
        assert_eq!(serde_json::from_str::<Summary>(&text).expect("reads"), summary);
    }
}
