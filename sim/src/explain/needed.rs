//! What does it take to fail, and what does not matter?
//!
//! Found by running variants under the same seed: without a fault, with it earlier or later, shorter or longer.
//! A window is looked for from the fault's own value outwards, and taken to have no holes.

use std::time::{Duration, Instant as RealTime};

use crate::{
    Options, Scenario,
    director::nemesis,
    nth_seed,
    report::words::{counted, seconds, shortened},
    run::FaultRecord,
    scenario::{self, file::Fault, values::Span},
    simulate,
};

/// How much may be tried.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many runs at most; then the answer is the same on every machine.
    pub runs: u64,
    /// For how long; `None` is as long as it takes.
    pub time: Option<Duration>,
}

/// One thing that must be as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What: `pause broker-3 for 503ms or more`.
    pub what: String,
    /// How much room it has, or what is beyond.
    pub room: String,
}

/// What it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// What must be as it is.
    pub needs: Vec<Need>,
    /// How many faults can be left out, all together.
    pub spare: usize,
    /// Under how many other seeds it fails with nothing but what it needs, and of how many.
    pub seeds: (usize, usize),
    /// How many runs that took.
    pub runs: u64,
    /// Whether a limit came first.
    pub stopped: bool,
}

/// With how many other seeds it is tried.
const SEEDS: u64 = 50;
/// How far a fault is moved at most.
const FAR: Duration = Duration::from_secs(4);
/// How exactly the ends of a window are looked for.
const EXACT: Duration = Duration::from_millis(1);

/// Tries variants of one scenario that fails.
pub(super) struct Lab {
    check: &'static str,
    seed: u64,
    limits: Limits,
    began: RealTime,
    runs: u64,
    stopped: bool,
}

impl Lab {
    pub(super) fn new(check: &'static str, seed: u64, limits: Limits) -> Lab {
        Lab { check, seed, limits, began: RealTime::now(), runs: 0, stopped: false }
    }

    fn spent(&mut self) -> bool {
        let late = self.limits.time.is_some_and(|time| self.began.elapsed() >= time);
        self.stopped |= late || self.runs >= self.limits.runs;
        self.stopped
    }

    /// Whether a variant breaks the same promise. What cannot be loaded, or is beyond the limits, does not.
    fn fails(&mut self, variant: &Scenario, seed: u64) -> bool {
        let loads = serde_json::to_string(variant).is_ok_and(|text| scenario::load(&text, &[]).is_ok());
        if !loads || self.spent() {
            return false;
        }
        self.runs += 1;
        breaks(variant, seed, self.check)
    }

    fn still(&mut self, variant: &Scenario) -> bool {
        self.fails(variant, self.seed)
    }
}

/// Whether a run breaks a promise.
pub(super) fn breaks(scenario: &Scenario, seed: u64, check: &str) -> bool {
    let options = Options { engine: crate::Engine::Direct, stop_at_first: true, ..Options::default() };
    let run = simulate(scenario, seed, options);
    run.violations.iter().any(|violation| violation.check == check)
}

/// What the failure of `check` takes.
pub fn needed(
    scenario: &Scenario,
    seed: u64,
    check: &'static str,
    done: &[FaultRecord],
    limits: Limits,
) -> Needed {
    let mut lab = Lab::new(check, seed, limits);
    let mut bare = nemesis::written_out(scenario, seed);
    let all = bare.faults.len();
    leave_out(&mut lab, &mut bare);
    let mut needs = Vec::new();
    for at in 0..bare.faults.len() {
        needs.extend(room(&mut lab, &bare, at, done));
    }
    let others: Vec<u64> = (1..=SEEDS).map(|nth| nth_seed(seed, nth)).collect();
    let mut tried = 0;
    let mut failed = 0;
    for other in others {
        if lab.spent() {
            break;
        }
        tried += 1;
        failed += usize::from(lab.fails(&bare, other));
    }
    let spare = all - bare.faults.len();
    Needed { needs, spare, seeds: (failed, tried), runs: lab.runs, stopped: lab.stopped }
}

/// Leaves out every fault without which it fails all the same: first all at once, then one after the other.
fn leave_out(lab: &mut Lab, bare: &mut Scenario) {
    let none = Scenario { faults: Vec::new(), ..bare.clone() };
    if !bare.faults.is_empty() && lab.still(&none) {
        *bare = none;
        return;
    }
    let mut stretch = bare.faults.len() / 2;
    while stretch > 0 {
        let mut at = 0;
        while at < bare.faults.len() {
            let mut fewer = bare.clone();
            fewer.faults.drain(at..(at + stretch).min(fewer.faults.len()));
            if lab.still(&fewer) {
                *bare = fewer;
            } else {
                at += stretch;
            }
        }
        stretch /= 2;
    }
}

/// How much room a needed fault has: how short it may be, how early and how late.
fn room(lab: &mut Lab, bare: &Scenario, at: usize, done: &[FaultRecord]) -> Vec<Need> {
    let fault = bare.faults[at].clone();
    let record = done.iter().find(|record| record.id == fault.id);
    let name = record.map_or(fault.id.as_str(), |record| record.what.as_str());
    // How long it lasts is told anew.
    let name = shortened(name.split(" for ").next().unwrap_or(name), 34);
    let mut needs = Vec::new();
    let try_with = |lab: &mut Lab, change: &dyn Fn(&mut Fault)| {
        let mut variant = bare.clone();
        change(&mut variant.faults[at]);
        lab.still(&variant)
    };
    if let Some(lasts) = fault.lasts.map(|lasts| lasts.0) {
        let least = bisect(Duration::ZERO, lasts, |span| {
            try_with(lab, &|fault: &mut Fault| fault.lasts = Some(Span(span)))
        });
        let longer = try_with(lab, &|fault: &mut Fault| fault.lasts = Some(Span(lasts * 2)));
        let or_more = if longer { " or more" } else { "" };
        let room = if least <= EXACT {
            "however short".to_string()
        } else {
            format!("shorter: it passes; it was {}", millis(lasts))
        };
        let what =
            if least <= EXACT { name.clone() } else { format!("{name} for {}{or_more}", millis(least)) };
        needs.push(Need { what, room });
    }
    // By how much it may come earlier or later: its time, or its delay after what it waits for.
    let start = fault.when.at.map(|at| at.0);
    let delay = fault.when.delay.map_or(Duration::ZERO, |delay| delay.0);
    let base = start.unwrap_or(delay);
    let moved = |lab: &mut Lab, to: Duration| {
        try_with(lab, &|fault: &mut Fault| {
            if start.is_some() {
                fault.when.at = Some(Span(to));
            } else {
                fault.when.delay = (!to.is_zero()).then_some(Span(to));
            }
        })
    };
    let earliest = outwards(base, false, |to| moved(lab, to));
    let latest = outwards(base, true, |to| moved(lab, to));
    if needs.is_empty() || earliest.is_some() || latest.is_some() {
        let shown = |span: Duration| {
            if start.is_some() { format!("{}s", seconds(nanos(span), 3)) } else { millis(span) }
        };
        let after = if start.is_some() { "" } else { " after its trigger" };
        let (what, room) = match (earliest, latest) {
            (Some(from), Some(to)) => (
                format!("{name} between {} and {}{after}", shown(from), shown(to)),
                format!("a {} window", millis(to - from)),
            ),
            (Some(from), None) => {
                (format!("{name} at {} or later{after}", shown(from)), "earlier: it passes".into())
            }
            (None, Some(to)) => {
                (format!("{name} at {} or earlier{after}", shown(to)), "later: it passes".into())
            }
            (None, None) => (name, "at any time".into()),
        };
        needs.push(Need { what, room });
    }
    needs
}

/// The least value between one that passes and one that fails at which it still fails.
fn bisect(mut passes: Duration, mut fails: Duration, mut still: impl FnMut(Duration) -> bool) -> Duration {
    if still(passes.max(Duration::from_micros(1))) {
        return Duration::ZERO;
    }
    while fails.saturating_sub(passes) > EXACT {
        let middle = round(passes + (fails - passes) / 2);
        if middle <= passes || middle >= fails {
            break;
        }
        if still(middle) {
            fails = middle;
        } else {
            passes = middle;
        }
    }
    fails
}

/// How far from `base` it still fails, looked for in growing strides; `None` if as far as one can go.
fn outwards(base: Duration, later: bool, mut still: impl FnMut(Duration) -> bool) -> Option<Duration> {
    let away = |by: Duration| if later { Some(base + by) } else { base.checked_sub(by) };
    let (mut fails, mut stride) = (Duration::ZERO, EXACT);
    let mut passes = loop {
        let to = away(stride)?;
        if stride > FAR {
            return None;
        }
        if !still(to) {
            break stride;
        }
        (fails, stride) = (stride, stride * 4);
    };
    while passes - fails > EXACT {
        let middle = round(fails + (passes - fails) / 2);
        if middle <= fails || middle >= passes {
            break;
        }
        if away(middle).is_some_and(&mut still) {
            fails = middle;
        } else {
            passes = middle;
        }
    }
    away(fails)
}

fn round(span: Duration) -> Duration {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(micros / 1_000 * 1_000)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}

/// The lines that say what it takes.
pub fn show(needed: &Needed) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> =
        needed.needs.iter().map(|need| (need.what.clone(), need.room.clone())).collect();
    if needed.needs.is_empty() {
        lines.push(("no fault at all".into(), String::new()));
    }
    let (failed, tried) = needed.seeds;
    if failed * 2 <= tried && tried > 0 {
        lines.push(("this seed".into(), format!("{failed} of {tried} others fail")));
    }
    lines
}

/// The line that says what does not matter.
pub fn any_value(needed: &Needed) -> (String, String) {
    let (failed, tried) = needed.seeds;
    let mut what = Vec::new();
    // More than half of the others, and the seed is not what it hangs on.
    if failed * 2 > tried {
        what.push("seed".to_string());
    }
    if needed.spare > 0 {
        what.push(format!("the other {}", counted(needed.spare, "fault")));
    }
    let what = if what.is_empty() { "nothing that was tried".into() } else { what.join(", ") };
    let how = match tried {
        0 => String::new(),
        _ if failed * 2 > tried => format!("({failed} of {tried} other seeds fail)"),
        _ => "(left out together: it still fails)".into(),
    };
    (what, if needed.spare == 0 && failed * 2 <= tried { String::new() } else { how })
}
