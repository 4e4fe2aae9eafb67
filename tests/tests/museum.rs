//! Is every bug that has a scenario caught, and only when it is planted?

use libtest_mimic::{Arguments, Failed, Trial};
use trial::{Engine, Options, Run};
use trial_model::museum::{Bug, Museum};
use trial_tests::{load, root, scenario_files, seed_of, verdict};

/// The bugs to start with, of those that have a scenario: replication, ISR, quorum, controller, recovery,
/// producers and consumers.
const FIRST_TIER: &[&str] = &[
    "acks-all-without-min-isr",
    "alterpartition-retry-lost",
    "controller-active-before-replay",
    "epoch-start-not-recorded-on-election",
    "fenced-broker-joins-isr",
    "hw-before-own-epoch-record",
    "hw-ignores-pending-isr",
    "last-replica-standing",
    "leader-resumes-same-epoch",
    "metadata-accepts-older-epoch",
    "raft-ack-before-flush",
    "read-limit-computed-twice",
    "truncate-to-local-hw",
    "unclean-election-any-replica",
];

fn main() {
    let args = Arguments::from_args();
    let mut trials: Vec<Trial> = scenario_files("museum")
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root().join("scenarios")).expect("below scenarios");
            let name = name.to_string_lossy().replace(".scenario.json", "");
            Trial::test(name, move || check(&path))
        })
        .collect();
    trials.push(Trial::test("museum/at_least_twelve_of_the_first_tier", || {
        let shown = |slug: &&&str| root().join(format!("scenarios/museum/{slug}.scenario.json")).is_file();
        let count = FIRST_TIER.iter().filter(shown).count();
        if count >= 12 { Ok(()) } else { Err(format!("only {count} have a scenario").into()) }
    }));
    libtest_mimic::run(&args, trials).exit();
}

fn check(path: &std::path::Path) -> Result<(), Failed> {
    let scenario = load(path);
    if !scenario.plant.is_empty() {
        return Err("a scenario of the museum plants nothing itself".into());
    }
    let bug = Bug::from_slug(&scenario.name).ok_or("it has the name of no bug")?;
    let run = |museum: Museum| -> Run {
        let options = Options { engine: Engine::Direct, museum, ..Options::default() };
        trial::simulate(&scenario, seed_of(&scenario), options)
    };
    verdict(&scenario, &run(Museum::CLOSED))?;
    let planted = run(Museum::CLOSED.with(bug));
    match planted.violations.first() {
        Some(first) if first.check == bug.caught_by() => Ok(()),
        Some(first) => Err(format!("{} is violated first, not {}", first.check, bug.caught_by()).into()),
        None => Err(format!("{} is not violated", bug.caught_by()).into()),
    }
}
