//! Do the checks see in a recording what they see in the run itself?

use std::path::{Path, PathBuf};

use trial::{
    Options, Scenario,
    check::look_inside,
    recording::{Entry, Trace, judge, simulated},
    scenario, simulate,
};
use trial_model::{event::EventKind, units::NodeId};
use trial_tests::root;

/// A directory of its own, gone when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("trial-recording-{}-{name}", std::process::id()));
        // Left behind by a process of the same number.
        let _ = std::fs::remove_dir_all(&path);
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn load(path: &Path) -> Scenario {
    let text = std::fs::read_to_string(path).expect("it can be read");
    scenario::load(&text, &[]).expect("it is a scenario")
}

fn record(scenario: &Scenario, dir: &Path) -> Vec<(String, String)> {
    let seed = scenario.seed.map_or(1, |seed| seed.0);
    let readers = vec![simulated(dir, scenario).expect("it can be written")];
    let run = simulate(scenario, seed, Options { readers, ..Options::default() });
    run.violations.into_iter().map(|it| (it.check.to_owned(), it.headline)).collect()
}

fn without_numbers(found: &[(String, String)]) -> Vec<(&str, String)> {
    let text = |headline: &str| headline.chars().filter(|c| !c.is_ascii_digit()).collect();
    found.iter().map(|(check, headline)| (check.as_str(), text(headline))).collect()
}

/// Every check that judges by what nodes state has a witness that breaks it: it says of the recording what it said
/// of the run.
#[test]
fn a_recording_is_judged_as_the_run_was() {
    let blind = look_inside();
    let mut seen = 0;
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("scenarios/gate"))
        .expect("they are there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.to_string_lossy().ends_with(".scenario.json"))
        .collect();
    files.sort();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace(".scenario.json", "");
        if blind.contains(&name.as_str()) || name == "no_panics" {
            continue;
        }
        let scenario = load(&path);
        let dir = Directory::new(&name);
        let mut of_run = record(&scenario, &dir.0);
        of_run.retain(|(check, _)| !blind.contains(&check.as_str()));
        let (_, judged) = judge(&dir.0, &mut []).unwrap_or_else(|why| panic!("{name}: {why:?}"));
        let of_record: Vec<(String, String)> =
            judged.violations.iter().map(|it| (it.check.to_owned(), it.headline.clone())).collect();
        // A run is looked at at instants, too, at which nobody stated anything: how far something lags may differ.
        assert_eq!(without_numbers(&of_record), without_numbers(&of_run), "{name}");
        assert!(of_record.iter().any(|(check, _)| *check == name), "{name} is not seen: {of_record:?}");
        seen += 1;
    }
    assert!(seen >= 50, "{seen} checks were seen to fail");
}

#[test]
fn a_recording_is_read_back_and_a_damaged_one_refused() {
    let path = root().join("scenarios/replication/leader-crash-mid-produce.scenario.json");
    let dir = Directory::new("read");
    let scenario = load(&path);
    assert_eq!(record(&scenario, &dir.0), []);
    let (_, judged) = judge(&dir.0, &mut []).expect("it can be read");
    assert!(judged.violations.is_empty() && judged.rested && judged.clients, "{judged:?}");
    let elected = Trace::open(&dir.0).expect("it is one").map(|entry| entry.expect("a line")).any(|entry| {
        matches!(entry, Entry::Stated(_, node, event)
            if event.kind() == EventKind::LeaderElected && node == NodeId::controller(1))
    });
    assert!(elected, "controllers tell of leaders");
    assert!(simulated(&dir.0, &scenario).is_err(), "the directory is not empty");

    let trace = dir.0.join("trace.jsonl.zst");
    let whole = std::fs::read(&trace).expect("it is there");
    std::fs::write(&trace, &whole[..whole.len() / 2]).expect("it can be written");
    let (_, torn) = judge(&dir.0, &mut []).expect("what is there can be read");
    assert!(torn.torn && !torn.rested && torn.events < judged.events);
    std::fs::write(&trace, b"nothing").expect("it can be written");
    assert!(judge(&dir.0, &mut []).is_err());
}
