//! Which times were only drawn?

use std::time::Duration;

use super::lab::Lab;
use crate::{
    Scenario,
    scenario::{file::Fault, values::Span},
};

/// Rounds when faults begin and how long they last, as far as the failure does not mind.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario) {
    let times: [fn(&mut Fault) -> &mut Option<Span>; 3] =
        [|it| &mut it.when.at, |it| &mut it.when.delay, |it| &mut it.lasts];
    for at in 0..now.faults.len() {
        for time in times {
            let Some(own) = *time(&mut now.faults[at].clone()) else { continue };
            for rounder in rounder(own) {
                let mut candidate = now.clone();
                *time(&mut candidate.faults[at]) = Some(rounder).filter(|it| !it.0.is_zero());
                // At the very beginning is a time, too.
                if candidate.faults[at].when.trigger().is_none() {
                    candidate.faults[at].when.at = Some(rounder);
                }
                if lab.adopt(now, candidate) {
                    break;
                }
            }
        }
    }
}

/// The nearest times to the second, half, tenth and so on down to the millisecond, coarsest first; none that
/// is no rounder than `own`.
fn rounder(own: Span) -> Vec<Span> {
    let micros = own.0.as_micros() as u64;
    let mut times = Vec::new();
    for grid in [1_000_000, 500_000, 100_000, 50_000, 10_000, 5_000, 1_000] {
        if micros.is_multiple_of(grid) {
            break;
        }
        let nearest = (micros + grid / 2) / grid * grid;
        for time in [nearest, micros / grid * grid, micros.div_ceil(grid) * grid] {
            let span = Span(Duration::from_micros(time));
            // Not to nothing from afar.
            if !times.contains(&span) && (time > 0 || micros < 1_000) {
                times.push(span);
            }
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_rounder_step_by_step() {
        let shown = |own: Span| rounder(own).iter().map(Span::to_string).collect::<Vec<_>>();
        assert_eq!(shown(Span::millis(3_068))[..4], ["3s", "4s", "3500ms", "3100ms"][..]);
        assert_eq!(shown(Span::millis(3_068)).last().map(String::as_str), Some("3065ms"));
        assert_eq!(shown(Span::millis(2_000)), [""; 0]);
        assert!(shown(Span::micros(8_123)).contains(&"8ms".to_string()));
        assert!(!shown(Span::millis(30)).contains(&"0s".to_string()));
    }
}
