//! Does no node of ours ever panic?

use trial_model::units::NodeId;

use super::{Check, CheckInfo, Found, Hears, Name, safety};

pub(super) const INFO: CheckInfo =
    safety("no_panics", "no_panics", "No node panics: an assertion of ours that fails is a bug of ours.");

struct NoPanics;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(NoPanics)
}

/// The engine caught a panic in a step of `node`.
pub(super) fn report(node: NodeId, message: &str, location: &str, found: &mut Found) {
    found.report(INFO.name, None, |n| {
        let first = message.lines().next().unwrap_or_default();
        (
            format!("{} panicked: {first}", Name(n, node)),
            vec![("message", first.to_string()), ("where", location.to_string())],
        )
    });
}

impl Check for NoPanics {
    fn hears(&self) -> Hears {
        Hears::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, INFO};

    #[test]
    fn a_panic_is_a_violation() {
        let mut bench = Bench::of(INFO.name);
        assert_eq!(bench.fired(), 0);
        let now = bench.now();
        bench.judge.panicked(now, b(1), "a leader is in its own ISR", "isr.rs:12");
        assert_eq!(bench.fired(), 1);
    }
}
