//! Runs a scenario under many seeds and says which of them break a promise.
//!
//! `cargo run --release -p trial --example soak -- FILE [SEEDS] [BASE] [both]`
use std::collections::BTreeMap;
use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&args[1]).expect("the scenario can be read");
    let scenario = trial::scenario::load(&text, &[]).unwrap_or_else(|p| panic!("{p:?}"));
    let seeds: u64 = args.get(2).map_or(100, |s| s.parse().expect("a number of seeds"));
    let base: u64 = args.get(3).map_or(1, |s| s.parse().expect("a base"));
    let both = args.get(4).is_some_and(|s| s == "both");
    let next = AtomicU64::new(0);
    let found: Mutex<BTreeMap<String, (u64, u64, String)>> = Mutex::default();
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= seeds {
                        break;
                    }
                    let seed = trial::nth_seed(base, index);
                    let run = trial::simulate(
                        &scenario,
                        seed,
                        trial::Options { engine: trial::Engine::Direct, ..Default::default() },
                    );
                    let mut bad: Vec<(String, String)> = run
                        .violations
                        .iter()
                        .map(|v| (v.check.to_string(), format!("{} {} {:?}", v.at, v.headline, v.lines)))
                        .collect();
                    if both {
                        let other = trial::simulate(&scenario, seed, trial::Options::default());
                        if other.digest != run.digest {
                            bad.push(("DIGEST".into(), format!("{} {}", run.digest, other.digest)));
                        }
                    }
                    let mut found = found.lock().unwrap();
                    for (check, what) in bad {
                        let entry = found.entry(check).or_insert((0, seed, what));
                        entry.0 += 1;
                    }
                }
            });
        }
    });
    for (check, (count, seed, what)) in found.into_inner().unwrap() {
        println!("{count:>6} {check} seed {seed:#x}: {}", what.chars().take(600).collect::<String>());
    }
    println!("{seeds} seeds in {:?}", began.elapsed());
}
