//! Where is a failure looked at again? In fresh processes, on both engines, and then it is shrunk.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use super::{
    pool::{Death, Hand, Reply, Setup},
    wire::{Answer, Ask, Side},
};
use crate::{
    cli::findings::{Findings, text},
    fuzz::{Campaign, Failure, Found, Proposal, Tried},
    report::{
        Summary,
        campaign::{Bucket, Cut},
        failure,
        words::{clock, counted},
    },
    scenario::{Scenario, values::Seed},
};

/// What everybody who makes runs must know.
pub struct Desk<'a> {
    /// What is run.
    pub campaign: &'a Campaign,
    /// How processes are started.
    pub setup: Setup,
    /// How processes are started that plant no canary, if one is to be found.
    pub plain: Option<Setup>,
    /// How long each kind of failure is shrunk.
    pub shrink: Duration,
    /// Whether anybody still waits.
    pub waits: &'a (dyn Fn() -> bool + Sync),
    /// The files of the scenarios, and their texts, by name.
    pub files: BTreeMap<String, (String, String)>,
}

/// A kind of failure that was looked at again.
pub struct Examined {
    /// What the summary says of it.
    pub bucket: Bucket,
    /// The repro.
    pub repro: Scenario,
    /// Why it could not be kept.
    pub unsaved: Option<String>,
}

impl Desk<'_> {
    /// A new hand.
    pub fn hand(&self) -> Hand {
        Hand::new(self.setup.clone())
    }

    /// Makes runs of the campaign, as `try_one` does. Where a canary is to be found, what fails without it, too, has
    /// not found it.
    pub fn tries(&self) -> impl FnMut(&Proposal) -> Result<Option<Tried>, String> {
        let mut hand = self.hand();
        let mut plain = self.plain.clone().map(Hand::new);
        move |proposal| {
            let mut tried = self.try_one(&mut hand, proposal)?;
            if let (Some(tried), Some(plain)) = (&mut tried, &mut plain)
                && tried.failure.is_some()
                && self.try_one(plain, proposal)?.is_none_or(|other| other.failure.is_some())
            {
                tried.failure = None;
            }
            Ok(tried)
        }
    }

    /// How long a run is waited for: it should give up by itself before.
    fn limit(&self) -> Duration {
        let run = self.campaign.limits.run;
        run + (run / 10).max(Duration::from_millis(500))
    }

    /// Makes a run of the campaign; `None` if nobody waits any more. Refuses to go on without processes.
    pub fn try_one(&self, hand: &mut Hand, proposal: &Proposal) -> Result<Option<Tried>, String> {
        let began = std::time::Instant::now();
        let ask =
            Ask::Try(Box::new(Scenario::clone(&proposal.scenario)), Seed(proposal.seed), proposal.watched);
        let failure = match hand.ask(&ask, self.limit(), self.waits) {
            Reply::Answer(Answer::Tried(outcome)) => return outcome.tried(proposal).map(Some),
            Reply::Answer(other) => return Err(unexpected(&other)),
            Reply::Interrupted => return Ok(None),
            Reply::TooLong => Failure::TooLong,
            Reply::Died(Death::Memory(why)) => Failure::Memory(why),
            Reply::Died(Death::Other(why)) => Failure::Crashed(why),
            Reply::Broken(why) => return Err(why),
        };
        Ok(Some(Tried {
            index: proposal.index,
            seed: proposal.seed,
            by: proposal.by,
            scenario: proposal.scenario.clone(),
            steps: 0,
            simulated: Duration::ZERO,
            took: began.elapsed(),
            cpu: Duration::ZERO,
            digest: String::new(),
            events: BTreeMap::new(),
            coverage: None,
            failure: Some(failure),
        }))
    }

    /// A run in full, and of which kind its failure is.
    pub fn judge(
        &self,
        hand: &mut Hand,
        scenario: &Scenario,
        seed: Seed,
        side: Side,
    ) -> Result<(Summary, Option<String>), String> {
        match hand.ask(&Ask::Judge(Box::new(scenario.clone()), seed, side), self.limit(), self.waits) {
            Reply::Answer(Answer::Judged(summary, kind)) => Ok((*summary, kind)),
            Reply::Answer(other) => Err(unexpected(&other)),
            Reply::TooLong => Err("the run did not end in time".into()),
            Reply::Interrupted => Err("interrupted".into()),
            Reply::Died(Death::Memory(why) | Death::Other(why)) | Reply::Broken(why) => Err(why),
        }
    }

    /// Looks at every kind of failure again, several at a time; `told` hears of each.
    pub fn examine(
        &self,
        findings: &Findings,
        found: &BTreeMap<String, Found>,
        times: &BTreeMap<String, BTreeMap<String, u64>>,
        new: &(dyn Fn(&str) -> Option<bool> + Sync),
        told: &(dyn Fn(&Bucket) + Sync),
    ) -> Vec<Examined> {
        let waiting = Mutex::new(found.iter());
        let done = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.campaign.jobs.max(1).min(found.len()) {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().map(|mut all| all.next());
                        let Ok(Some((kind, found))) = next else { return };
                        let times = times.get(kind).cloned().unwrap_or_default();
                        let it = self.look_again(findings, kind, found, times, new(kind));
                        told(&it.bucket);
                        if let Ok(mut done) = done.lock() {
                            done.push(it);
                        }
                    }
                });
            }
        });
        done.into_inner().unwrap_or_default()
    }

    fn look_again(
        &self,
        findings: &Findings,
        kind: &str,
        found: &Found,
        times: BTreeMap<String, u64>,
        new: Option<bool>,
    ) -> Examined {
        let best = &found.best;
        let mut repro = findings.repro(self.campaign, best, kind);
        let path = findings.bucket(kind).join("repro.json").display().to_string();
        let without = self.campaign.without.iter().map(|check| format!(" --without-check {check}"));
        let again = format!("trial run {path}{}", without.collect::<String>());
        let name = best.scenario.name.clone();
        let mut bucket = Bucket {
            kind: kind.into(),
            headline: found.failure.headline().into(),
            times,
            index: best.index,
            seed: Seed(best.seed),
            file: self.file(&name, kind.split('/').next().unwrap_or(kind)),
            scenario: name,
            faults: best.faults(),
            shrunk: None,
            confirmed: false,
            parts: Vec::new(),
            new,
            repro: format!("{}/repro.json", crate::report::campaign::below(kind)),
            report: by_itself(found, kind, &again),
        };
        // A fresh process: what another run left behind cannot matter there.
        let mut hand = self.hand();
        match &found.failure {
            Failure::Broken { .. } => {
                let commands = (path.as_str(), again.as_str());
                self.confirm(&mut hand, &mut bucket, &repro, &best.digest, commands);
                if bucket.confirmed
                    && bucket.counts()
                    && !self.shrink.is_zero()
                    // The shrinker judges with every check.
                    && self.campaign.without.is_empty()
                    && (self.waits)()
                    && let Some(kept) = self.shrink(&mut hand, &mut bucket, &repro, commands)
                {
                    // The run as it was found stays beside it.
                    let _ = findings.keep(kind, "found.json", &text(&repro));
                    repro = kept;
                }
            }
            _ => {
                let proposal = Proposal {
                    index: best.index,
                    nth: 0,
                    by: "",
                    seed: best.seed,
                    scenario: best.scenario.clone(),
                    watched: false,
                };
                let tried = self.try_one(&mut hand, &proposal).ok().flatten();
                bucket.confirmed = tried.and_then(|it| it.failure).is_some_and(|it| it.kind() == kind);
            }
        }
        let kept = findings.keep(kind, "repro.json", &text(&repro));
        let kept = kept.and_then(|()| findings.keep(kind, "report.txt", &bucket.report));
        Examined { bucket, repro, unsaved: kept.err() }
    }

    /// The file of a scenario, and the line in it where a promise stands, or the first.
    fn file(&self, scenario: &str, check: &str) -> Option<(String, usize)> {
        let (file, text) = self.files.get(scenario)?;
        let at = text.find(&format!("\"{check}\"")).unwrap_or(0);
        Some((file.clone(), text[..at].matches('\n').count() + 1))
    }

    /// Whether the run is the same in a fresh process and on the other engine.
    fn confirm(
        &self,
        hand: &mut Hand,
        bucket: &mut Bucket,
        repro: &Scenario,
        digest: &str,
        (place, again): (&str, &str),
    ) {
        let first = self.judge(hand, repro, bucket.seed, Side::Direct);
        let Ok((summary, kind)) = first else { return };
        bucket.confirmed = kind.as_deref() == Some(bucket.kind.as_str());
        let report = failure::report(&summary, repro, Some(place), again);
        if !report.is_empty() {
            bucket.report = report;
        }
        let mut digests =
            vec![("in the campaign", digest.to_string()), ("in a fresh process", summary.digest)];
        if cfg!(madsim) && (self.waits)() {
            match self.judge(hand, repro, bucket.seed, Side::Madsim) {
                Ok((summary, _)) => digests.push(("on madsim", summary.digest)),
                Err(_) => bucket.confirmed = false,
            }
        }
        if digests.iter().any(|(_, other)| other != digest) {
            bucket.confirmed = false;
            bucket.parts = digests.into_iter().map(|(place, digest)| (place.into(), digest)).collect();
        }
    }

    /// The least that still fails in the same way.
    fn shrink(
        &self,
        hand: &mut Hand,
        bucket: &mut Bucket,
        repro: &Scenario,
        (place, again): (&str, &str),
    ) -> Option<Scenario> {
        let millis = u64::try_from(self.shrink.as_millis()).unwrap_or(u64::MAX);
        // Measuring the strength at the end may take longer than the limit.
        let limit = self.shrink * 2 + self.limit() * 2;
        let ask = Ask::Shrink(Box::new(repro.clone()), millis);
        let Reply::Answer(Answer::Shrunk(cut)) = hand.ask(&ask, limit, self.waits) else { return None };
        let seed = cut.scenario.seed.unwrap_or(bucket.seed);
        let (summary, kind) = self.judge(&mut self.hand(), &cut.scenario, seed, Side::Direct).ok()?;
        if kind.as_deref() != Some(bucket.kind.as_str()) {
            return None;
        }
        let shrunk = Cut {
            faults: cut.scenario.faults.len(),
            runs: cut.runs,
            took_ms: cut.took_ms,
            strength: cut.strength,
        };
        let report = failure::report(&summary, &cut.scenario, Some(place), again);
        bucket.report = with_shrinking(&report, bucket.faults, &shrunk);
        bucket.shrunk = Some(shrunk);
        Some(cut.scenario)
    }
}

/// The report of a failure that no check tells of, or that was not seen again.
fn by_itself(found: &Found, kind: &str, again: &str) -> String {
    let left = format!("FAIL  {}", kind.split('/').next().unwrap_or(kind));
    let best = &found.best;
    format!(
        "{left:<50}{}  seed {:#x}\n      {}\n\n  again     {again}\n",
        best.scenario.name,
        best.seed,
        found.failure.headline()
    )
}

/// A report that says how much was needed, and whether the seed matters.
fn with_shrinking(report: &str, before: usize, cut: &Cut) -> String {
    let (fails, of) = cut.strength;
    let runs = counted(usize::try_from(cut.runs).unwrap_or(usize::MAX), "run");
    let cost = format!("{runs}, {}", clock(cut.took_ms));
    let told = |line: &str| match line.strip_prefix("  schedule  ") {
        Some(head) => {
            let enough = match cut.faults {
                0 => head.to_string(),
                1 => "1 fault is enough".into(),
                many => format!("{many} faults are enough"),
            };
            let shrunk = format!("shrunk from {before} in {cost}");
            format!("  schedule  {enough} ({shrunk}); {fails} of {of} other seeds fail\n")
        }
        None => format!("{line}\n"),
    };
    report.lines().map(told).collect()
}

fn unexpected(answer: &Answer) -> String {
    match answer {
        Answer::Refused(why) => why.clone(),
        _ => "a process answers something else than it was asked".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_enough() {
        let cut = Cut { faults: 2, runs: 138, took_ms: 6_200, strength: (50, 50) };
        let text = with_shrinking("FAIL  it\n\n  schedule  2 faults\n      at 1s  pause\n", 41, &cut);
        let schedule = "2 faults are enough (shrunk from 41 in 138 runs, 6.2s); 50 of 50 other seeds fail";
        assert_eq!(text, format!("FAIL  it\n\n  schedule  {schedule}\n      at 1s  pause\n"));
        let cut = Cut { faults: 1, runs: 12_345, took_ms: 61_000, strength: (3, 50) };
        let text = with_shrinking("  schedule  1 fault\n", 1_000, &cut);
        let schedule = "1 fault is enough (shrunk from 1000 in 12,345 runs, 1m01s); 3 of 50 other seeds fail";
        assert_eq!(text, format!("  schedule  {schedule}\n"));
        assert!(text.trim_end().len() <= 100, "{text}");
    }
}
