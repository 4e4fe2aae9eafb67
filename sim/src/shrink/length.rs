//! How early can it end?

use std::time::Duration;

use super::{lab::Lab, reading};
use crate::{Scenario, scenario::values::Span};

/// So much longer than needed it stays at first: under other seeds, things happen a little later.
const SLACK: Duration = Duration::from_secs(2);

/// Ends the chaos phase soon after the violation, or after the last fault if it is only found at the end.
///
/// The settle phase stays: it takes no longer than the cluster needs, and where something has to come to rest
/// in time, less time would break the promise by itself.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario, slack: bool) {
    let Some((run, _)) = reading::read(lab, now) else { return };
    let Some(violation) = run.violations.first() else { return };
    let chaos = now.phases.chaos.0;
    let noticed = Duration::from_nanos(violation.at.0);
    let last = run.faults.iter().map(|fault| fault.at.0).max().unwrap_or(0);
    let from = if noticed < chaos { noticed } else { Duration::from_nanos(last) };
    let steps = [0, 100, 200, 500, 1_000, 2_000, 3_000, 5_000, 8_000];
    for step in steps {
        let ends = up(from + Duration::from_millis(step)) + if slack { SLACK } else { Duration::ZERO };
        if ends >= chaos {
            return;
        }
        if lab.adopt(now, ending(now, ends)) {
            return;
        }
    }
}

/// The next tenth of a second.
fn up(time: Duration) -> Duration {
    Duration::from_millis((time.as_millis() as u64 / 100 + 1) * 100)
}

fn ending(scenario: &Scenario, chaos: Duration) -> Scenario {
    let mut candidate = scenario.clone();
    candidate.phases.chaos = Span(chaos);
    candidate
}
