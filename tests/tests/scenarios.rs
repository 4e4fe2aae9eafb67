//! Every scenario file: run on both engines, judged, and compared with its golden trace.
//!
//! A golden trace stands under `snapshots/` with the path of its scenario. `cargo insta review` shows what
//! changed; a difference that surprises is a bug or a lesson.

use libtest_mimic::{Arguments, Failed, Trial};
use trial::Engine;
use trial_tests::{load, root, run_with_golden, scenario_files, seed_of, verdict};

fn main() {
    let args = Arguments::from_args();
    let files = ["replication", "elections", "producers", "consumers", "groups", "disks", "regressions"];
    let trials =
        files.iter().filter(|folder| root().join("scenarios").join(folder).is_dir()).flat_map(|folder| {
            scenario_files(folder).into_iter().map(|path| {
                let name = path
                    .strip_prefix(root().join("scenarios"))
                    .expect("below scenarios")
                    .to_string_lossy()
                    .into_owned();
                let name = name.replace(".scenario.json", "").replace(".repro.json", "");
                Trial::test(name.clone(), move || check(&path, &name))
            })
        });
    libtest_mimic::run(&args, trials.collect()).exit();
}

fn check(path: &std::path::Path, name: &str) -> Result<(), Failed> {
    let scenario = load(path);
    let seed = seed_of(&scenario);
    let (run, golden) = run_with_golden(&scenario, seed, Engine::Direct);
    verdict(&scenario, &run)?;
    let (other, other_golden) = run_with_golden(&scenario, seed, Engine::default());
    if run.digest != other.digest || golden != other_golden {
        return Err(format!("the engines differ: {} and {}", run.digest, other.digest).into());
    }
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("snapshots").join(folder));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(scenario.about.clone().unwrap_or_default());
    let text = format!("digest {}\n{golden}", run.digest);
    let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(file, text));
    }));
    compared.map_err(|_| Failed::from("the golden trace differs: cargo insta review"))
}
