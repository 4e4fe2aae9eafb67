//! How fast, how large, and how does it grow? One table: `cargo bench -p trial-tests`.
//!
//! Every row is a process of its own, so that its memory is its own; CPU seconds are the process's, user and
//! system. Compare rows with each other, not with rows of another day: machines differ and are shared.

mod echo;

use std::{collections::BTreeMap, process::Command, time::Duration};

use trial::{Engine, Options, Scenario, scenario};

/// A row of the table: its name, and what it runs.
struct Row {
    name: &'static str,
    run: fn() -> Measured,
}

/// What a row did.
struct Measured {
    /// Steps of nodes, or round trips of an echo.
    steps: u64,
    /// Simulated time.
    simulated: Duration,
}

const SMALL_GROUP: &str = "a group of 5, 50 partitions, direct";
const LARGE_GROUP: &str = "a group of 200, 2,000 partitions, direct";
/// A step in the large group takes at most so many times what one in the small group takes.
const GROUPS_RATIO: f64 = 3.0;
/// How often each large group is run, so that a hundredth of a second more or less does not matter.
const LARGE_RUNS: u64 = 5;
/// So many CPU seconds a run of the large group takes at most: all of it, and everything is shared out three times.
const LARGE_CPU_S: f64 = 5.0;

const ROWS: &[Row] = &[
    Row { name: "reference, direct", run: || cluster("reference", Kind::Direct, 1) },
    Row { name: "reference, direct, no checks", run: || cluster("reference", Kind::Unjudged, 1) },
    #[cfg(madsim)]
    Row { name: "reference, madsim", run: || cluster("reference", Kind::Madsim, 1) },
    Row { name: "idle, direct", run: || cluster("idle", Kind::Direct, 1) },
    #[cfg(madsim)]
    Row { name: "idle, madsim", run: || cluster("idle", Kind::Madsim, 1) },
    Row { name: "30 brokers, 100 partitions, direct", run: || cluster("brokers-30", Kind::Direct, 1) },
    Row { name: "100 brokers, 100 partitions, direct", run: || cluster("brokers-100", Kind::Direct, 1) },
    Row { name: SMALL_GROUP, run: || cluster("group-5", Kind::Direct, 50) },
    Row { name: LARGE_GROUP, run: || cluster("group-200", Kind::Direct, LARGE_RUNS) },
    #[cfg(madsim)]
    Row { name: "ceiling: echo on bare madsim", run: || echo::on_madsim(400_000) },
    Row { name: "ceiling: echo on turmoil", run: || echo::on_turmoil(100_000) },
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Direct,
    Unjudged,
    #[cfg(madsim)]
    Madsim,
}

/// Runs a scenario once with each of the first `times` seeds.
fn cluster(name: &str, kind: Kind, times: u64) -> Measured {
    let path = format!("{}/../scenarios/bench/{name}.scenario.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the repository has its bench scenarios");
    let scenario: Scenario = scenario::load(&text, &[]).expect("and they are good");
    let engine = match kind {
        Kind::Direct | Kind::Unjudged => Engine::Direct,
        #[cfg(madsim)]
        Kind::Madsim => Engine::Madsim(Default::default()),
    };
    let mut all = Measured { steps: 0, simulated: Duration::ZERO };
    for seed in 1..=times {
        let options = Options { engine, unjudged: kind == Kind::Unjudged, ..Options::default() };
        let run = trial::simulate(&scenario, seed, options);
        assert!(run.kept(), "{name}, seed {seed}: {:?}", run.violations);
        all.steps += run.steps;
        all.simulated += Duration::from_nanos(run.ended.0);
    }
    all
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, row] = args.as_slice()
        && flag == "--row"
    {
        let row = row.parse::<usize>().ok().and_then(|row| ROWS.get(row)).expect("a row of the table");
        let measured = (row.run)();
        println!("{} {} {} {}", measured.steps, measured.simulated.as_nanos(), cpu_ticks(), peak_kib());
        return;
    }
    println!(
        "{:<38} {:>10} {:>9} {:>13} {:>15} {:>9}",
        "", "steps", "CPU s", "steps/CPU s", "simulated s/CPU s", "peak MiB"
    );
    let mut costs: BTreeMap<&str, Cost> = BTreeMap::new();
    for (index, row) in ROWS.iter().enumerate() {
        if !args.is_empty() && !args.iter().any(|wanted| row.name.contains(wanted.as_str())) {
            continue;
        }
        costs.extend(print_row(index, row).map(|cost| (row.name, cost)));
    }
    if let Some(large) = costs.get(LARGE_GROUP) {
        let cpu = large.cpu_s / LARGE_RUNS as f64;
        println!("a run of the group of 200, three rebalances, takes {cpu:.2} CPU s: at most {LARGE_CPU_S}");
    }
    if let (Some(small), Some(large)) = (costs.get(SMALL_GROUP), costs.get(LARGE_GROUP)) {
        let ratio = large.a_step() / small.a_step();
        println!(
            "a step in the group of 200 takes {ratio:.2} times one in the group of 5: at most {GROUPS_RATIO}"
        );
    }
}

/// What a row took.
struct Cost {
    cpu_s: f64,
    steps: u64,
}

impl Cost {
    /// How many CPU seconds a step takes.
    fn a_step(&self) -> f64 {
        self.cpu_s / self.steps as f64
    }
}

/// Prints a row; says what it took.
fn print_row(index: usize, row: &Row) -> Option<Cost> {
    let me = std::env::current_exe().expect("a running program has a path");
    let output = Command::new(me).args(["--row", &index.to_string()]).output().expect("the row starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [steps, nanos, ticks, peak] = numbers[..] else {
        println!(
            "{:<38} failed: {}",
            row.name,
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("")
        );
        return None;
    };
    let cpu = ticks as f64 / 100.0;
    println!(
        "{:<38} {:>10} {:>9.2} {:>13.0} {:>15.0} {:>11.1}",
        row.name,
        steps,
        cpu,
        steps as f64 / cpu,
        nanos as f64 / 1e9 / cpu,
        peak as f64 / 1024.0
    );
    Some(Cost { cpu_s: cpu, steps })
}

/// User and system time of this process, in hundredths of a second (Linux: `USER_HZ` is 100 everywhere).
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // Behind the name stand the state and then numbers: utime is the twelfth of these fields, stime the next.
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    ticks(11) + ticks(12)
}

/// The most memory this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
