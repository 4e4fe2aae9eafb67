//! `trial museum`: which historical bugs can be switched back on, and how soon are they found?

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use trial_model::museum::{Bug, Museum as Planted};

use super::{Common, Exit, Format, Output, interrupt, progress, seed::SeedArg};
use crate::{
    fuzz::{Campaign, Learned, Limits, Manner, Shard},
    nth_seed,
    scenario::values::{BugName, Seed, Span},
};

/// Historical bugs of Kafka that can be switched back on.
#[derive(Args)]
pub struct Museum {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Every bug: its ticket, the check that catches it, what it breaks.
    List,
    /// One bug.
    Show {
        /// Which.
        bug: BugName,
    },
    /// Look for every bug by drawn clusters, with nothing but its name given.
    Bench(Bench),
}

#[derive(Args)]
struct Bench {
    /// Only these bugs; all of them if left out.
    bugs: Vec<BugName>,
    /// For how long to look for each, from each base: running time of one run after the other.
    #[arg(long, value_name = "T", default_value = "120s")]
    budget: Span,
    /// From how many bases of seeds: the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    bases: u64,
    /// Where the series of bases begins.
    #[arg(long, default_value = "1")]
    base: SeedArg,
}

/// How one bug was looked for from one base.
#[derive(Clone, Debug)]
struct Hunt {
    /// Runs until it was found; or all that were tried.
    runs: u64,
    /// What they took.
    took: Duration,
    /// The kind of failure and the run, if it was found.
    found: Option<(String, u64)>,
    /// How many runs on the way failed, and fail without the bug, too: they show another.
    others: u64,
}

pub fn main(it: &Museum, common: &Common, output: &mut Output) -> Exit {
    match &it.what {
        What::List => {
            for bug in Bug::ALL {
                output.say(&match common.format {
                    Format::Human => format!(
                        "{:<44} {:<12} {:<40} {}\n",
                        bug.slug(),
                        bug.ticket(),
                        bug.caught_by(),
                        bug.breaks()
                    ),
                    _ => format!("{}\n", told(*bug)),
                });
            }
            Exit::Ok
        }
        What::Show { bug } => {
            output.say(&match common.format {
                Format::Human => shown(bug.0),
                _ => format!("{}\n", told(bug.0)),
            });
            Exit::Ok
        }
        What::Bench(it) => bench(it, common, output),
    }
}

fn told(bug: Bug) -> serde_json::Value {
    json!({ "bug": bug.slug(), "ticket": bug.ticket(), "caught_by": bug.caught_by(), "breaks": bug.breaks() })
}

fn shown(bug: Bug) -> String {
    let slug = bug.slug();
    format!(
        "{slug}   {}\n  breaks    {}\n  caught    by {}\n  find it   trial fuzz --plant {slug} --stop-after 1\n",
        bug.ticket(),
        bug.breaks(),
        bug.caught_by()
    )
}

fn bench(it: &Bench, common: &Common, output: &mut Output) -> Exit {
    interrupt::listen();
    let all: Vec<BugName> = Bug::ALL.iter().copied().map(BugName).collect();
    let bugs = if it.bugs.is_empty() { &all } else { &it.bugs };
    let bar = progress::bar(bugs.len() as u64 * it.bases, progress::shown(common));
    if common.format == Format::Human {
        output.say(&format!("{:<44} {:>7} {:>9} {:>9}  {}\n", "bug", "found", "runs", "seconds", "first as"));
    }
    let (mut found_all, mut others) = (0, 0);
    for bug in bugs {
        let mut hunts = Vec::new();
        for nth in 0..it.bases {
            hunts.push(hunt(*bug, nth_seed(it.base.0.0, nth), it.budget.0));
            bar.inc(1);
            if interrupt::interrupted() {
                return Exit::Interrupted;
            }
        }
        hunts.sort_by_key(|hunt| (hunt.found.is_none(), hunt.took));
        let times = hunts.iter().filter(|hunt| hunt.found.is_some()).count() as u64;
        let median = &hunts[hunts.len() / 2];
        found_all += u64::from(median.found.is_some());
        others += hunts.iter().map(|hunt| hunt.others).sum::<u64>();
        output.say(&row(*bug, &hunts, times, median, common));
    }
    bar.finish_and_clear();
    if common.format == Format::Human {
        output.say(&format!(
            "{found_all} of {} found within {}, in the median of {} bases\n",
            bugs.len(),
            it.budget,
            it.bases
        ));
    }
    if others > 0 {
        let why = format!("{others} runs failed that fail without the planted bug, too: see `trial fuzz`");
        return output.fail(Exit::Failed, &why);
    }
    Exit::Ok
}

fn row(bug: BugName, hunts: &[Hunt], times: u64, median: &Hunt, common: &Common) -> String {
    let first = hunts.iter().find_map(|hunt| hunt.found.as_ref());
    if common.format != Format::Human {
        let line = json!({
            "bug": bug, "found": times, "bases": hunts.len(),
            "median_runs": median.found.as_ref().map(|_| median.runs),
            "median_ms": median.found.as_ref().map(|_| median.took.as_millis() as u64),
            "first": first.map(|(kind, _)| kind), "seed": first.map(|(_, seed)| Seed(*seed)),
        });
        return format!("{line}\n");
    }
    let found = format!("{times}/{}", hunts.len());
    let (runs, took) = match median.found {
        Some(_) => (
            median.runs.to_string(),
            format!("{}.{}", median.took.as_secs(), median.took.subsec_millis() / 100),
        ),
        None => ("-".into(), "-".into()),
    };
    let first = first.map_or("not found".into(), |(kind, seed)| format!("{kind}  {}", Seed(*seed)));
    format!("{:<44} {found:>7} {runs:>9} {took:>9}  {first}\n", bug.to_string())
}

/// Tries one run after the other until one fails that passes without the bug, or the time is over.
fn hunt(bug: BugName, base: u64, budget: Duration) -> Hunt {
    let limits = Limits { runs: u64::MAX, time: None, kinds: None, run: Duration::from_secs(60) };
    let campaign = |museum| Campaign {
        base,
        scenarios: Vec::new(),
        strategy: Manner::Swarm,
        museum,
        shard: Shard::WHOLE,
        jobs: 1,
        limits,
    };
    let (planted, plain) = (campaign(Planted::CLOSED.with(bug.0)), campaign(Planted::CLOSED));
    let mut it = Hunt { runs: 0, took: Duration::ZERO, found: None, others: 0 };
    let mut search = planted.search();
    while it.took < budget
        && !interrupt::interrupted()
        && let Some(proposal) = search.propose()
    {
        let tried = planted.try_one(&proposal);
        search.told(&proposal, Some(Learned::of(&tried)));
        it.runs += 1;
        it.took += tried.took;
        if let Some(failure) = tried.failure {
            if plain.try_one(&proposal).failure.is_none() {
                it.found = Some((failure.kind(), tried.seed));
                break;
            }
            it.others += 1;
        }
    }
    it
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_easy_bug_is_found_and_its_run_passes_without_it() {
        let hunt = hunt(BugName(Bug::TruncateToLocalHw), nth_seed(1, 0), Duration::from_secs(60));
        assert!(hunt.found.is_some() && hunt.others == 0, "{hunt:?}");
        assert!(hunt.runs > 0 && hunt.took > Duration::ZERO);
    }

    #[test]
    fn what_has_no_time_finds_nothing() {
        let hunt = hunt(BugName(Bug::TruncateToLocalHw), 1, Duration::ZERO);
        assert!(hunt.found.is_none() && hunt.runs == 0);
    }
}
