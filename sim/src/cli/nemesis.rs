//! Which drawn faults do `light`, `default` and `heavy` mean?

use std::{collections::BTreeMap, fs, path::Path};

use crate::scenario::{
    Scenario,
    file::{Keep, KeepRule, Nemesis, NemesisKind},
    values::{Chance, Ratio, Span, Spread},
};

/// Gives a scenario the nemesis of a name, or of a file. `none` takes it away.
pub fn put(scenario: &mut Scenario, name: &str) -> Result<(), String> {
    let chaos = scenario.phases.chaos;
    let part = |tenths: u32| Span(chaos.0 * tenths / 10);
    let millis =
        |min, mean, max| Spread { min: Span::millis(min), mean: Span::millis(mean), max: Span::millis(max) };
    let preset = |every: u64, at_most: u32, kinds: &[(NemesisKind, u32)]| Nemesis {
        between: [part(1), part(9)],
        every: millis(every / 10, every, every * 10),
        lasts: millis(100, 1_500, 6_000),
        at_most,
        swarm: Some(Chance(Ratio(1, 2))),
        keep: Keep { controllers: KeepRule::Majority, brokers: KeepRule::Majority },
        weights: kinds.iter().copied().collect::<BTreeMap<_, _>>(),
    };
    use NemesisKind as K;
    let light = [(K::Crash, 2), (K::Pause, 2), (K::SlowLink, 2), (K::LossyLink, 1), (K::Reset, 1)];
    let usual = [
        (K::Crash, 3),
        (K::Shutdown, 1),
        (K::Pause, 3),
        (K::Cut, 2),
        (K::OneWayCut, 2),
        (K::SlowLink, 2),
        (K::LossyLink, 2),
        (K::Reset, 2),
        (K::SlowDisk, 1),
        (K::ClockJump, 1),
        (K::ClientPause, 1),
    ];
    scenario.nemesis = match name {
        "none" => None,
        "light" => Some(preset(3_000, 1, &light)),
        "default" => Some(preset(1_500, 2, &usual)),
        "heavy" => Some(preset(500, 4, &usual)),
        file => Some(read(Path::new(file))?),
    };
    Ok(())
}

fn read(path: &Path) -> Result<Nemesis, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        format!("no nemesis `{shown}`: there are none, light, default and heavy, and no file can be read ({error})")
    })?;
    serde_json::from_str(&text).map_err(|error| format!("{shown} is not a nemesis: {error}"))
}
