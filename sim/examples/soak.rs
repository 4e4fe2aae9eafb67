//! Runs a scenario under many seeds and says which of them break a promise.
//!
//! `cargo run --release -p trial --example soak -- FILE|drawn [SEEDS] [BASE] [both] [wire]`
//!
//! With `drawn` every seed draws a cluster of its own, by each of the fuzzer's strategies that need no memory in turn.
//! With `both`, every seed runs on the other engine, too, and must have the same digest; with `wire`, also with its
//! messages going through Kafka's frames. Ends with 1 if anything was found.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use trial::{
    Engine, Options, Scenario,
    fuzz::{Manner, Taste},
    nth_seed, scenario, simulate,
};

/// How often a check fired, and the first time it did.
struct Finding {
    times: u64,
    seed: u64,
    what: String,
}

/// In which other ways every seed is run.
#[derive(Clone, Copy)]
struct Again {
    engine: bool,
    wire: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = args.first() else {
        eprintln!("usage: soak FILE|drawn [SEEDS] [BASE] [both] [wire]");
        return ExitCode::from(2);
    };
    let number = |at: usize, default: u64| args.get(at).map_or(Some(default), |text| text.parse().ok());
    let (Some(seeds), Some(base)) = (number(1, 100), number(2, 1)) else {
        eprintln!("SEEDS and BASE are whole numbers");
        return ExitCode::from(2);
    };
    let more = args.get(3..).unwrap_or_default();
    let asked = |word: &str| more.iter().any(|it| it == word);
    let again = Again { engine: asked("both"), wire: asked("wire") };
    let scenario = match load(path) {
        Ok(scenario) => scenario,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let began = std::time::Instant::now();
    let found = soak(scenario.as_ref(), seeds, base, again);
    for (check, Finding { times, seed, what }) in &found {
        println!("{times:>6} × {check}, first with seed {seed:#x}: {what}");
    }
    println!(
        "{} of {seeds} seeds, base {base}, in {:.1} s",
        if found.is_empty() { "nothing found in any" } else { "found in some" },
        began.elapsed().as_secs_f64()
    );
    if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The scenario in a file; none if every seed is to draw its own.
fn load(path: &str) -> Result<Option<Scenario>, String> {
    if path == "drawn" {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    scenario::load(&text, &[]).map(Some).map_err(|_| format!("{path} has mistakes: trial check {path}"))
}

/// What the `index`-th seed draws.
fn drawn(index: u64, seed: u64) -> Scenario {
    const MANNERS: [Manner; 4] = [Manner::Swarm, Manner::Pct, Manner::Story, Manner::Uniform];
    let manner = MANNERS[(index % MANNERS.len() as u64) as usize];
    manner.begin(Taste::default()).propose(index, seed).scenario
}

fn soak(scenario: Option<&Scenario>, seeds: u64, base: u64, again: Again) -> BTreeMap<String, Finding> {
    let next = AtomicU64::new(0);
    let found: Mutex<BTreeMap<String, Finding>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= seeds {
                        return;
                    }
                    let seed = nth_seed(base, index);
                    let own = if scenario.is_none() { Some(drawn(index, seed)) } else { None };
                    let Some(scenario) = own.as_ref().or(scenario) else { return };
                    for (check, what) in faults_of(scenario, seed, again) {
                        let mut found = found.lock().expect("no worker panicked");
                        found.entry(check).or_insert(Finding { times: 0, seed, what }).times += 1;
                    }
                }
            });
        }
    });
    found.into_inner().expect("no worker panicked")
}

fn faults_of(scenario: &Scenario, seed: u64, again: Again) -> Vec<(String, String)> {
    let run = simulate(scenario, seed, Options { engine: Engine::Direct, ..Options::default() });
    let told = run.violations.iter().map(|v| {
        let lines: Vec<String> = v.lines.iter().map(|(label, text)| format!("{label}: {text}")).collect();
        (v.check.to_owned(), format!("at {} {}; {}", v.at, v.headline, lines.join("; ")))
    });
    let mut told: Vec<_> = told.collect();
    if again.engine {
        let other = simulate(scenario, seed, Options::default());
        if other.digest != run.digest {
            told.push(("the engines differ".into(), format!("{} and {}", run.digest, other.digest)));
        }
    }
    if again.wire {
        let framed = Scenario { wire: Some(true), ..scenario.clone() };
        let other = simulate(&framed, seed, Options { engine: Engine::Direct, ..Options::default() });
        let lost = other.violations.iter().find(|it| !run.violations.contains(it));
        if other.digest != run.digest || lost.is_some() {
            let why = lost.map_or(String::new(), |it| format!(": {:?}", it.lines));
            told.push(("the wire changes it".into(), format!("{} and {}{why}", run.digest, other.digest)));
        }
    }
    told
}
