//! `trial museum bench`: how soon does each strategy find each historical bug?

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clap::Args;
use serde::{Deserialize, Serialize};
use trial_model::museum::Bug;

use super::{Common, Exit, Format, Output, interrupt, progress, seed::SeedArg};
use crate::{
    fuzz::{
        Manner,
        hunt::{Essence, Find, Hunt, essence, hunt},
    },
    nth_seed,
    scenario::values::{BugName, Seed, Span},
    shrink::{SEEDS, written},
};

#[derive(Args)]
pub struct Bench {
    /// Only these bugs; all of them if left out.
    bugs: Vec<BugName>,
    /// Only these bugs, in one word: a,b.
    #[arg(long = "bugs", value_name = "A,B", value_delimiter = ',')]
    listed: Vec<BugName>,
    /// For how long to look for each, from each base, by each strategy: time of a processor.
    #[arg(long, value_name = "T", default_value = "120s")]
    budget: Span,
    /// From how many bases of seeds: the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    bases: u64,
    /// Where the series of bases begins.
    #[arg(long, default_value = "1")]
    base: SeedArg,
    /// By which strategies: all, or some of uniform, swarm, pct, story, guided, portfolio.
    #[arg(long, value_name = "A,B|all", default_value = "portfolio", value_delimiter = ',')]
    strategy: Vec<Which>,
    /// Consumer groups in every drawn cluster; otherwise one in six has some.
    #[arg(long)]
    groups: bool,
    /// How many hunts at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// For how long to shrink what was found of each bug; 0s to leave it as it is.
    #[arg(long, value_name = "T", default_value = "60s")]
    shrink: Span,
    /// Where to save the results after every bug, as JSON. What stands there already for a bug and a strategy,
    /// from as many bases and with as large a budget, is not measured again.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Where to write what was found of each bug, shrunk; and what fails without a bug, as it was drawn.
    #[arg(long, value_name = "DIR")]
    repros: Option<PathBuf>,
}

/// A strategy, or all of them.
#[derive(Clone, Copy, Debug)]
struct Which(Option<Manner>);

impl std::str::FromStr for Which {
    type Err = String;
    fn from_str(text: &str) -> Result<Which, String> {
        if text == "all" { Ok(Which(None)) } else { text.parse().map(|manner| Which(Some(manner))) }
    }
}

/// How one strategy found one bug.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// From how many bases it was found, of how many that were tried: once more than half have found nothing, the
    /// others are left out.
    pub found_of: (u64, u64),
    /// How many seconds of a processor there were for each base.
    pub budget_s: f64,
    /// How many of them it took, in the median of the bases.
    pub median_cpu_s: Option<f64>,
    /// How many runs, likewise.
    pub median_runs: Option<u64>,
    /// How many seconds of a processor each base took that found it, in ascending order.
    pub cpu_s: Vec<f64>,
    /// Which check what was found first violates.
    pub check: Option<String>,
    /// Its kind of failure.
    pub bucket: Option<String>,
    /// Its seed.
    pub seed: Option<Seed>,
    /// How many faults are left of what was found of the bug, by whichever strategy, once it is shrunk.
    pub faults: Option<usize>,
    /// With how many of fifty other seeds that fails.
    pub strength: Option<usize>,
    /// How many of those seeds pass without the bug.
    pub passes: Option<usize>,
    /// How many runs on the way failed that fail without the bug, too: they do not count.
    pub others: u64,
    /// The first of them: kind of failure and seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// What there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Every bug by its slug, every strategy by its name.
pub type Results = BTreeMap<String, BTreeMap<String, Row>>;

pub fn main(it: &Bench, common: &Common, output: &mut Output) -> Exit {
    match bench(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn bench(it: &Bench, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let mut results = match &it.save {
        Some(path) => read(path).map_err(|why| output.fail(Exit::Usage, &why))?,
        None => Results::new(),
    };
    if let Some(dir) = &it.repros {
        fs::create_dir_all(dir).map_err(|error| {
            output.fail(Exit::Usage, &format!("{} cannot be made: {error}", dir.display()))
        })?;
    }
    interrupt::listen();
    let named: Vec<Bug> = it.bugs.iter().chain(&it.listed).map(|bug| bug.0).collect();
    let bugs = if named.is_empty() { Bug::ALL.to_vec() } else { named };
    let manners: Vec<Manner> = match it.strategy.iter().map(|which| which.0).collect::<Option<Vec<_>>>() {
        Some(manners) => manners,
        None => Manner::ALL.to_vec(),
    };
    let human = common.format == Format::Human;
    if human {
        output.say(&head());
    }
    let bar = progress::bar(bugs.len() as u64, progress::shown(common));
    for bug in &bugs {
        let rows = results.entry(bug.slug().into()).or_default();
        let missing: Vec<Manner> = manners.iter().copied().filter(|manner| !it.has(rows, *manner)).collect();
        let hunts = it.hunts(*bug, &missing);
        if interrupt::interrupted() {
            // What is half done says nothing; what was saved before stays.
            return Ok(Exit::Interrupted);
        }
        if !hunts.is_empty() {
            it.take(*bug, hunts, rows).map_err(|why| output.fail(Exit::Usage, &why))?;
        }
        for manner in &manners {
            if let Some(row) = rows.get(manner.name()) {
                output.say(&told(*bug, *manner, row, human));
            }
        }
        if let Some(path) = &it.save {
            save(path, &results).map_err(|why| output.fail(Exit::Usage, &why))?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if human {
        output.say(&curve(&results, &bugs, &manners));
    }
    let rows = bugs.iter().filter_map(|bug| results.get(bug.slug())).flat_map(BTreeMap::values);
    let rows: Vec<&Row> = rows.filter(|row| row.others > 0).collect();
    if !rows.is_empty() {
        let others: u64 = rows.iter().map(|row| row.others).sum();
        let mut why = format!("{others} runs failed that fail without the planted bug, too");
        rows.iter().filter_map(|row| row.other.as_ref()).for_each(|other| why += &format!("\n  {other}"));
        return Err(output.fail(Exit::Failed, &(why + "\n--repros keeps them")));
    }
    Ok(Exit::Ok)
}

impl Bench {
    /// Whether there is a row already that says as much.
    fn has(&self, rows: &BTreeMap<String, Row>, manner: Manner) -> bool {
        rows.get(manner.name()).is_some_and(|row| {
            let (found, bases) = row.found_of;
            let enough = row.budget_s >= self.budget.0.as_secs_f64();
            bases >= self.bases && (found == bases || enough) || enough && self.is_lost(bases - found)
        })
    }

    /// Whether, with so many bases that found nothing, the median can only be that nothing was found.
    fn is_lost(&self, without: u64) -> bool {
        without * 2 > self.bases
    }

    /// Every hunt for a bug, by strategy and base.
    fn hunts(&self, bug: Bug, manners: &[Manner]) -> Vec<(Manner, Vec<Hunt>)> {
        let tasks: Vec<(Manner, u64)> =
            manners.iter().flat_map(|manner| (0..self.bases).map(move |nth| (*manner, nth))).collect();
        let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<(Manner, u64), Hunt>::new()));
        // The bases that are left would change nothing that is said, and take the longest.
        let lost = |manner: Manner| {
            let done = done.lock().expect("no panic");
            let without = done.iter().filter(|((of, _), hunt)| *of == manner && hunt.found.is_none()).count();
            self.is_lost(without as u64)
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.min(tasks.len().try_into().unwrap_or(u16::MAX)) {
                scope.spawn(|| {
                    while let Some((manner, nth)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if lost(*manner) {
                            continue;
                        }
                        let base = nth_seed(self.base.0.0, *nth);
                        let hunt = hunt(bug, self.groups, *manner, base, self.budget.0, || {
                            !interrupt::interrupted()
                        });
                        done.lock().expect("no panic").insert((*manner, *nth), hunt);
                    }
                });
            }
        });
        let mut done = done.into_inner().expect("no panic");
        let of = |manner: &Manner| {
            let hunts = (0..self.bases).filter_map(|nth| done.remove(&(*manner, nth))).collect();
            (*manner, hunts)
        };
        manners.iter().map(of).collect()
    }

    /// Writes down what came of the hunts for a bug, and shrinks the smallest find.
    fn take(
        &self,
        bug: Bug,
        hunts: Vec<(Manner, Vec<Hunt>)>,
        rows: &mut BTreeMap<String, Row>,
    ) -> Result<(), String> {
        let finds = hunts.iter().flat_map(|(_, hunts)| hunts).filter_map(|hunt| hunt.found.as_ref());
        let smallest = finds.min_by_key(|find| find.scenario.faults.len()).cloned();
        if let Some(dir) = &self.repros {
            for other in hunts.iter().flat_map(|(_, hunts)| hunts).flat_map(|hunt| &hunt.others) {
                let mut scenario = crate::scenario::Scenario::clone(&other.scenario);
                scenario.seed = Some(Seed(other.seed));
                let name = format!("{}-{}.repro.json", other.kind.replace('/', "-"), Seed(other.seed));
                write(&dir.join(name), &written(&scenario))?;
            }
        }
        for (manner, hunts) in hunts {
            rows.insert(manner.name().into(), row(hunts, self.bases, self.budget.0));
        }
        let Some(find) = smallest.filter(|_| !self.shrink.0.is_zero()) else { return Ok(()) };
        let going_on = || !interrupt::interrupted();
        let Some(essence) = essence(bug, &find, self.shrink.0, self.jobs.into(), going_on) else {
            return Ok(());
        };
        for row in rows.values_mut().filter(|row| row.found_of.0 > 0) {
            row.faults = Some(essence.scenario.faults.len());
            row.strength = Some(essence.strength);
            row.passes = Some(essence.passes);
            row.note = weakness(&essence, &find);
        }
        match &self.repros {
            Some(dir) => write(&dir.join(format!("{}.repro.json", bug.slug())), &written(&essence.scenario)),
            None => Ok(()),
        }
    }
}

/// Why a repro is less than one wishes for, as far as it can be told from it.
fn weakness(essence: &Essence, find: &Find) -> Option<String> {
    let faults = essence.scenario.faults.len();
    if essence.cut_short && (faults > 4 || essence.strength < 40) {
        return Some("shrinking was cut short: give --shrink more time".into());
    }
    if faults > 4 {
        return Some(format!(
            "{faults} faults of {} are needed, each at its time",
            find.scenario.faults.len()
        ));
    }
    if essence.strength < 40 {
        let timed = essence.scenario.faults.iter().filter(|fault| fault.when.at.is_some()).count();
        return Some(match timed {
            0 => {
                "its faults follow on events, and still the messages must come in one order of several".into()
            }
            _ => "its faults begin at times, and what they must meet comes a little earlier or later".into(),
        });
    }
    (essence.passes < SEEDS)
        .then(|| format!("{} of {SEEDS} seeds fail without the bug, too", SEEDS - essence.passes))
}

/// What is said of the hunts from `bases` bases; of those that are missing nothing was found.
fn row(mut hunts: Vec<Hunt>, bases: u64, budget: Duration) -> Row {
    let seconds = |time: Duration| (time.as_secs_f64() * 1_000.0).round() / 1_000.0;
    hunts.sort_by_key(|hunt| (hunt.found.is_none(), hunt.cpu));
    let found: Vec<&Hunt> = hunts.iter().filter(|hunt| hunt.found.is_some()).collect();
    let median = hunts.get(bases as usize / 2).filter(|hunt| hunt.found.is_some());
    let first = found.first().and_then(|hunt| hunt.found.as_ref());
    Row {
        found_of: (found.len() as u64, hunts.len() as u64),
        budget_s: seconds(budget),
        median_cpu_s: median.map(|hunt| seconds(hunt.cpu)),
        median_runs: median.map(|hunt| hunt.runs),
        cpu_s: found.iter().map(|hunt| seconds(hunt.cpu)).collect(),
        check: first.map(|find| find.kind.split('/').next().unwrap_or_default().into()),
        bucket: first.map(|find| find.kind.clone()),
        seed: first.map(|find| Seed(find.seed)),
        others: hunts.iter().map(|hunt| hunt.others.len() as u64).sum(),
        other: hunts
            .iter()
            .flat_map(|hunt| &hunt.others)
            .next()
            .map(|it| format!("{} with seed {}", it.kind, Seed(it.seed))),
        ..Row::default()
    }
}

fn head() -> String {
    format!(
        "{:<42} {:<9} {:>5} {:>6} {:>8} {:>6} {:>8}  {}\n",
        "bug", "strategy", "found", "runs", "cpu s", "faults", "strength", "first as"
    )
}

fn told(bug: Bug, manner: Manner, row: &Row, human: bool) -> String {
    if !human {
        return format!(
            "{}\n",
            serde_json::json!({ "bug": bug.slug(), "strategy": manner.name(), "row": row })
        );
    }
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let found = format!("{}/{}", row.found_of.0, row.found_of.1);
    format!(
        "{:<42} {:<9} {found:>5} {:>6} {:>8} {:>6} {:>8}  {}{}\n",
        bug.slug(),
        manner.name(),
        or_none(row.median_runs.map(|runs| runs.to_string())),
        or_none(row.median_cpu_s.map(|seconds| format!("{seconds:.2}"))),
        or_none(row.faults.map(|faults| faults.to_string())),
        or_none(row.strength.map(|strength| format!("{strength}/{SEEDS}"))),
        row.bucket.clone().unwrap_or_else(|| "not found".into()),
        row.note.as_ref().map_or(String::new(), |note| format!("  ({note})"))
    )
}

/// How many of the bugs each strategy had found after so many seconds of a processor each, in the median.
fn curve(results: &Results, bugs: &[Bug], manners: &[Manner]) -> String {
    const AFTER: [(f64, &str); 7] =
        [(0.1, "0.1"), (0.3, "0.3"), (1.0, "1"), (3.0, "3"), (10.0, "10"), (30.0, "30"), (120.0, "120")];
    let mut text =
        format!("\nbugs of {} found within so many CPU seconds, in the median of the bases\n", bugs.len());
    for manner in manners {
        let rows = bugs.iter().filter_map(|bug| results.get(bug.slug())?.get(manner.name()));
        let medians: Vec<f64> = rows.filter_map(|row| row.median_cpu_s).collect();
        for (within, shown) in AFTER {
            let many = medians.iter().filter(|seconds| **seconds <= within).count();
            text += &format!("{:<10} {shown:>4} s {many:>3} {}\n", manner.name(), "#".repeat(many));
        }
    }
    text
}

/// The results that were saved; none if there is no such file.
pub fn read(path: &Path) -> Result<Results, String> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| format!("{} holds no results of a bench: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Results::new()),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn save(path: &Path, results: &Results) -> Result<(), String> {
    let text = serde_json::to_string_pretty(results).map_err(|error| error.to_string())? + "\n";
    write(path, &text)
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", path.display());
    let beside = path.with_extension("part");
    fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunted(cpu: u64, found: bool) -> Hunt {
        let scenario = std::sync::Arc::new(crate::fuzz::cluster(1, crate::fuzz::Taste::default()).0);
        let find = Find { kind: "replicas_agree/3f7a".into(), seed: 7, scenario };
        Hunt { runs: cpu, cpu: Duration::from_secs(cpu), found: found.then_some(find), others: Vec::new() }
    }

    #[test]
    fn the_median_counts_those_that_found_nothing_last() {
        let most = row(vec![hunted(9, false), hunted(2, true), hunted(5, true)], 3, Duration::from_secs(9));
        assert_eq!((most.found_of, most.median_cpu_s, most.median_runs), ((2, 3), Some(5.0), Some(5)));
        assert_eq!(most.check.as_deref(), Some("replicas_agree"));
        let few = row(vec![hunted(9, false), hunted(2, true), hunted(9, false)], 3, Duration::from_secs(9));
        assert_eq!((few.found_of, few.median_cpu_s, few.cpu_s), ((1, 3), None, vec![2.0]));
    }

    #[test]
    fn what_fails_without_the_bug_is_counted_and_the_first_is_named() {
        let mut hunt = hunted(2, true);
        hunt.others.extend(hunted(1, true).found);
        hunt.others.extend(hunted(1, true).found);
        let row = row(vec![hunt], 1, Duration::from_secs(9));
        assert_eq!((row.others, row.other.as_deref()), (2, Some("replicas_agree/3f7a with seed 0x7")));
    }

    #[test]
    fn bases_that_were_left_out_found_nothing() {
        let most = row(vec![hunted(2, true), hunted(9, false), hunted(9, false)], 4, Duration::from_secs(9));
        assert_eq!((most.found_of, most.median_cpu_s), ((1, 3), None));
        let found = row(vec![hunted(2, true), hunted(3, true), hunted(4, true)], 5, Duration::from_secs(9));
        assert_eq!(found.median_cpu_s, Some(4.0));
    }

    #[test]
    fn a_curve_counts_up() {
        let mut results = Results::new();
        let bug = Bug::ALL[0];
        let found = row(vec![hunted(2, true)], 1, Duration::from_secs(9));
        results.entry(bug.slug().into()).or_default().insert("swarm".into(), found);
        let text = curve(&results, &[bug], &[Manner::Swarm]);
        assert!(text.contains("   1 s   0 \n") && text.contains("   3 s   1 #\n"), "{text}");
    }
}
