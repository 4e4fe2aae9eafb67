//! What stands on the screen before and after a run?

use super::{
    Summary, Verdict, failure,
    words::{counted, grouped, seconds, shortened, sparkline},
};
use crate::scenario::{Scenario, values::Seed};

/// The first line, written before the run: nothing random is hidden.
pub fn head(scenario: &Scenario, seed: Seed) -> String {
    let topology = &scenario.topology;
    let servers = [(topology.controllers, "controller"), (topology.brokers, "broker")];
    let mut nodes: Vec<String> = servers.iter().map(|(n, what)| counted(*n as usize, what)).collect();
    nodes.push(counted(scenario.clients().len(), "client"));
    let mut line = format!("{}   seed {seed}   {}", scenario.name, nodes.join(", "));
    if !scenario.plant.is_empty() {
        let bugs: Vec<String> = scenario.plant.iter().map(ToString::to_string).collect();
        line.push_str(&format!("   planted {}", bugs.join(", ")));
    }
    line
}

/// The lines of the phases.
pub fn phases(summary: &Summary) -> String {
    let chaos = summary.settle_began.unwrap_or(summary.ended);
    let whole_seconds = usize::try_from(chaos.div_ceil(1_000_000_000)).unwrap_or(usize::MAX);
    let curve = sparkline(&summary.acked[..summary.acked.len().min(whole_seconds)], 30);
    let mut line = format!("  chaos  {:>6} s", seconds(chaos, 1));
    if !curve.is_empty() {
        line.push_str(&format!("   acked/s {curve}"));
    }
    line.push_str(&format!("   {}", counted(summary.faults.len(), "fault")));
    if let Some((at, what)) = summary.elections.last() {
        let before = match summary.elections.len() {
            1 => String::new(),
            many => format!("{many} elections, last "),
        };
        line.push_str(&format!("   {before}{what} at {} s", seconds(*at, 2)));
    }
    let mut out = shortened(&line, 120) + "\n";
    if let Some(began) = summary.settle_began {
        let (until, how) = match summary.settled {
            Some(at) => (at, "everything is at rest"),
            None => (summary.ended, "still not at rest"),
        };
        out.push_str(&format!("  settle {:>6} s   {how}\n", seconds(until.saturating_sub(began), 1)));
    }
    out
}

/// The lines after the run: the verdict, and the failure report if it is not a pass.
pub fn verdict(summary: &Summary, scenario: &Scenario, place: Option<&str>, again: &str) -> String {
    let mut out = String::new();
    match summary.verdict {
        Verdict::Fail if !summary.violations.is_empty() => {
            out.push_str(&failure::report(summary, scenario, place, again));
        }
        _ => out.push_str(&line(summary)),
    }
    out.push_str(&format!(
        "       {} events   trace {}",
        grouped(summary.event_count()),
        summary.short_digest()
    ));
    if let Some(place) = place {
        out.push_str(&format!("   {place}"));
    }
    out.push('\n');
    out
}

fn line(summary: &Summary) -> String {
    let (kept, all) = summary.kept();
    let properties = if all == 1 { "property" } else { "properties" };
    let acked: u64 = summary.acked.iter().sum();
    let speed = match summary.took_ms {
        0 => String::new(),
        took => format!(" ({}×)", grouped(summary.ended / 1_000_000 / took)),
    };
    let mut out = format!(
        "{}   {kept} of {all} {properties}   {} acknowledged, {} read   {} s simulated in {} s{speed}\n",
        summary.verdict.name(),
        grouped(acked),
        grouped(summary.delivered),
        seconds(summary.ended, 1),
        seconds(summary.took_ms.saturating_mul(1_000_000), 2),
    );
    if let Some(because) = &summary.because {
        out.push_str(&format!("       {because}\n"));
    }
    if summary.verdict == Verdict::Pass
        && let Some(violation) = summary.violations.first()
    {
        let title = format!("{} is violated, as expected: {}", violation.check, violation.headline);
        out.push_str(&format!("       {}\n", shortened(&title, 93)));
    }
    out
}
