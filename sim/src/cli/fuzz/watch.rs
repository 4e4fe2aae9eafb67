//! How does a campaign look while it runs? A bar where somebody watches, a line now and then where nobody does.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use trial_model::event::EventKind;

use crate::{
    cli::{Common, Format, Output, progress},
    fuzz::{Found, Landmarks, Tried},
    report::{
        campaign::{Bucket, Ran},
        words::{clock, counted, grouped, long},
    },
};

/// How often a line is written where there is no bar.
const EVERY: Duration = Duration::from_secs(10);
/// So many events are shown that are rare, and that never were.
const RARE: usize = 4;

/// What was seen on the way.
#[derive(Default)]
pub struct Seen {
    /// How many runs.
    pub runs: u64,
    /// How much time was simulated.
    pub simulated: Duration,
    /// How often every kind of event occurred that did.
    pub events: BTreeMap<&'static str, u64>,
    /// The situations that watched runs were in, if any was watched.
    pub landmarks: Option<Landmarks>,
    /// By scenario: how many runs, and how long they took.
    pub scenarios: BTreeMap<String, (u64, Duration)>,
    /// By kind of failure and scenario: in how many runs.
    pub times: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Seen {
    /// Takes account of a run.
    pub fn take(&mut self, tried: &Tried) {
        self.runs += 1;
        self.simulated += tried.simulated;
        if let Some(coverage) = &tried.coverage {
            self.landmarks.get_or_insert_default().reach_all(coverage.landmarks);
        }
        for (kind, count) in &tried.events {
            *self.events.entry(kind).or_default() += count;
        }
        let (runs, took) = self.scenarios.entry(tried.scenario.name.clone()).or_default();
        *runs += 1;
        *took += tried.took;
        if let Some(failure) = &tried.failure {
            let of_kind = self.times.entry(failure.kind()).or_default();
            *of_kind.entry(tried.scenario.name.clone()).or_default() += 1;
        }
    }

    /// What was run of a scenario.
    pub fn ran(&self, name: &str, file: Option<String>, checks: Vec<String>) -> Ran {
        let (runs, took) = self.scenarios.get(name).copied().unwrap_or_default();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Ran { name: name.into(), file, runs, took_ms, checks }
    }
}

/// Tells how far a campaign has come.
pub struct Watch {
    bar: ProgressBar,
    lines: bool,
    began: Instant,
    told: Instant,
    /// How many runs there are to make, if that is what ends it; otherwise for how long.
    runs: Option<u64>,
    time: Option<Duration>,
}

impl Watch {
    /// Begins to watch.
    pub fn new(common: &Common, runs: Option<u64>, time: Option<Duration>) -> Watch {
        let shown = progress::shown(common);
        let millis = time.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let bar = progress::bar(runs.unwrap_or(millis), shown);
        if let Ok(style) = ProgressStyle::with_template("  {bar:20}  {prefix}\n  {wide_msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let lines = !shown && !common.quiet && !common.no_progress && common.format != Format::Json;
        let now = Instant::now();
        Watch { bar, lines, began: now, told: now, runs, time }
    }

    /// A run has ended.
    pub fn tried(&mut self, seen: &Seen, found: &BTreeMap<String, Found>, output: &mut Output) {
        let took = self.began.elapsed();
        if !self.bar.is_hidden() {
            let at = if self.runs.is_some() {
                seen.runs
            } else {
                u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
            };
            self.bar.set_position(at);
            self.bar.set_prefix(self.counter(seen, found.len(), took));
            self.bar.set_message(rare(seen));
        } else if self.lines && self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            output.note(&format!("  {}\n", self.counter(seen, found.len(), took)));
        }
    }

    /// A kind of failure was seen for the first time.
    pub fn found(&self, kind: &str, tried: &Tried, new: Option<bool>, output: &mut Output) {
        let mark = match new {
            Some(true) => "   new",
            Some(false) => "   known",
            None => "",
        };
        let faults = counted(tried.scenario.faults.len(), "fault");
        self.line(
            &format!(
                " FAIL ×1  {kind:<44} {faults:>9}   {}  seed {:#x}{mark}",
                tried.scenario.name, tried.seed
            ),
            output,
        );
    }

    /// A kind of failure was looked at again.
    pub fn examined(bucket: &Bucket) -> String {
        let how = match &bucket.shrunk {
            Some(cut) => format!("shrunk {} → {}", bucket.faults, cut.faults),
            None if !bucket.parts.is_empty() => "not deterministic".into(),
            None if bucket.confirmed => "confirmed".into(),
            None => "not confirmed".into(),
        };
        let faults = counted(bucket.least_faults(), "fault");
        format!(" FAIL ×{}  {:<44} {faults:>9}   {how}", grouped(bucket.seen()), bucket.kind)
    }

    /// Says something above the bar, or where there is none.
    pub fn line(&self, text: &str, output: &mut Output) {
        if !self.bar.is_hidden() {
            self.bar.println(text);
        } else if self.lines {
            output.note(&format!("{text}\n"));
        }
    }

    /// What is said of kinds that are looked at again, from whichever thread.
    pub fn examining(&self, bucket: &Bucket) {
        if !self.bar.is_hidden() {
            self.bar.println(Watch::examined(bucket));
        } else if self.lines {
            Output::new().note(&format!("{}\n", Watch::examined(bucket)));
        }
    }

    /// How long it has taken.
    pub fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// Takes the bar away.
    pub fn over(&self) {
        self.bar.finish_and_clear();
    }

    fn counter(&self, seen: &Seen, kinds: usize, took: Duration) -> String {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let all = self.runs.map_or(String::new(), |runs| format!("/{}", grouped(runs)));
        let rate = seen.runs.saturating_mul(1_000) / millis;
        let simulated = u64::try_from(seen.simulated.as_millis()).unwrap_or(u64::MAX);
        let eta = self.left(seen.runs, millis).map_or(String::new(), |left| format!("  eta {}", clock(left)));
        let found = if kinds == 0 { String::new() } else { format!("  {}", counted(kinds, "bucket")) };
        format!(
            "{}{all}  {rate} runs/s  {} simulated per s{eta}{found}",
            grouped(seen.runs),
            long(simulated.saturating_mul(1_000) / millis)
        )
    }

    /// For how long it goes on, in milliseconds.
    fn left(&self, runs: u64, millis: u64) -> Option<u64> {
        if let Some(all) = self.runs {
            let left = u128::from(millis) * u128::from(all.saturating_sub(runs)) / u128::from(runs.max(1));
            return u64::try_from(left).ok();
        }
        let all = u64::try_from(self.time?.as_millis()).ok()?;
        Some(all.saturating_sub(millis))
    }
}

/// The rarest events, those that never were first.
fn rare(seen: &Seen) -> String {
    let mut kinds: Vec<(u64, &str)> = EventKind::ALL
        .iter()
        .map(|kind| (seen.events.get(kind.name()).copied().unwrap_or(0), kind.name()))
        .collect();
    kinds.sort_unstable();
    let never = kinds.iter().filter(|(count, _)| *count == 0).count();
    let shown = |(count, name): &(u64, &str)| match count {
        0 => format!("{name} 0 ◀ never"),
        1..10_000 => format!("{name} {}", grouped(*count)),
        _ => format!("{name} {}k", grouped(count / 1_000)),
    };
    // Some of both: where it is blind, and where it has seen least.
    let blind = kinds.iter().take(never.min(2)).map(shown);
    let told: Vec<String> = blind.chain(kinds.iter().skip(never).take(RARE).map(shown)).collect();
    let more = if never > 2 { format!("  and {} more never", never - 2) } else { String::new() };
    format!("rare events  {}{more}", told.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_was_stands_first() {
        let mut seen = Seen::default();
        for kind in EventKind::ALL {
            seen.events.insert(kind.name(), 12_345);
        }
        seen.events.insert(EventKind::ALL[3].name(), 7);
        seen.events.remove(EventKind::ALL[5].name());
        let text = rare(&seen);
        let expected =
            format!("rare events  {} 0 ◀ never  {} 7  ", EventKind::ALL[5].name(), EventKind::ALL[3].name());
        assert!(text.starts_with(&expected) && text.contains(" 12k"), "{text}");
    }

    #[test]
    fn the_rest_is_reckoned_from_what_is_done() {
        let watch = |runs, time| Watch {
            bar: ProgressBar::hidden(),
            lines: false,
            began: Instant::now(),
            told: Instant::now(),
            runs,
            time,
        };
        assert_eq!(watch(Some(400), None).left(100, 1_000), Some(3_000));
        assert_eq!(watch(None, Some(Duration::from_secs(60))).left(100, 1_000), Some(59_000));
        let seen = Seen { runs: 100, simulated: Duration::from_secs(2_000), ..Seen::default() };
        assert_eq!(
            watch(Some(400), None).counter(&seen, 1, Duration::from_secs(2)),
            "100/400  50 runs/s  16 min simulated per s  eta 6.0s  1 bucket"
        );
    }
}
