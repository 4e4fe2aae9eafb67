//! Does the adapter that serves on real sockets keep what was acknowledged, under a hundred schedules?
//!
//! The sources of `model/host/serve` (acceptor, connections, frames, the world of a node) are compiled here once more,
//! with madsim's tokio for the real one: the same text on simulated TCP, every frame spelled and read by the codec, while
//! nodes are killed and begin again. Disks are those of the simulation. Only in builds with `--cfg madsim`.

#![cfg(madsim)]

#[path = "../../model/host/serve/src/acceptor.rs"]
mod acceptor;
#[path = "../../model/host/serve/src/clock.rs"]
mod clock;
#[path = "../../model/host/serve/src/connection.rs"]
mod connection;
#[path = "adapter/disk.rs"]
mod disk;
#[allow(dead_code, unused_imports, reason = "nobody counts here, and links are sound")]
#[path = "../../model/host/serve/src/faults.rs"]
mod faults;
#[path = "../../model/host/serve/src/frames.rs"]
mod frames;
#[allow(dead_code, unused_imports, reason = "nobody counts here, and links are sound")]
#[path = "../../model/host/serve/src/gate.rs"]
mod gate;
#[path = "adapter/lab.rs"]
mod lab;
#[allow(dead_code, unused_imports, reason = "nobody counts here, and links are sound")]
#[path = "../../model/host/serve/src/life.rs"]
mod life;
#[path = "../../model/host/serve/src/limits.rs"]
mod limits;
#[allow(dead_code, unused_imports, reason = "nobody counts here, and links are sound")]
#[path = "../../model/host/serve/src/metrics/mod.rs"]
mod metrics;
#[path = "../../model/host/serve/src/peer.rs"]
mod peer;
#[path = "adapter/runtime.rs"]
mod runtime;
#[allow(dead_code, unused_imports, reason = "nobody counts here, and links are sound")]
#[path = "../../model/host/serve/src/watch.rs"]
mod watch;
#[allow(dead_code, reason = "nobody resets connections here")]
#[path = "../../model/host/serve/src/world.rs"]
mod world;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use lab::{RECORDS, Told};
use trial::nth_seed;

/// How many schedules are tried.
const SEEDS: u64 = 120;

/// A run on a thread of its own: madsim and hash maps keep state in the thread's.
fn run(seed: u64) -> Result<Told, String> {
    let run = thread::Builder::new().name(format!("seed {seed:#x}")).spawn(move || lab::run(seed));
    run.expect("there is a thread").join().map_err(|_| format!("seed {seed:#x}: it panicked"))
}

fn look(seed: u64) -> Result<Told, String> {
    let told = run(seed)?;
    let wrong = told.wrong();
    if let Some(wrong) = wrong {
        return Err(format!("seed {seed:#x}: {wrong}"));
    }
    let again = run(seed)?;
    if again != told {
        return Err(format!("seed {seed:#x}: another run the second time, {} and {}", told.hash, again.hash));
    }
    Ok(told)
}

/// Every record is acknowledged although nodes are killed, every one of them is read back exactly once, at the offset that
/// was told, and the same seed gives the same run.
#[test]
fn what_is_acknowledged_is_kept_while_nodes_are_killed() {
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<Told, String>> = thread::scope(|scope| {
        let work = || {
            let mut results = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= SEEDS {
                    return results;
                }
                results.push(look(nth_seed(5, index)));
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it tells of panics")).collect()
    });
    let wrong: Vec<&String> = results.iter().filter_map(|it| it.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{} of {SEEDS} seeds: {wrong:#?}", wrong.len());
    let runs: Vec<&Told> = results.iter().flatten().collect();
    assert_eq!(runs.len() as u64, SEEDS);
    let sum = |of: fn(&Told) -> u64| runs.iter().map(|told| of(told)).sum::<u64>();
    let (kills, elections) = (sum(|told| told.kills), sum(|told| told.elections));
    let hashes: std::collections::BTreeSet<u64> = runs.iter().map(|told| told.hash).collect();
    assert_eq!(hashes.len() as u64, SEEDS, "every seed has a run of its own");
    assert!(
        kills >= SEEDS * 3 && elections >= SEEDS,
        "{kills} kills, {elections} elections in {RECORDS}-record runs"
    );
}
