//! How fast, how large, and how does it grow? One table: `cargo bench -p trial-tests`.
//!
//! Every row is a process of its own, so that its memory is its own; CPU seconds are the process's, user and
//! system. Compare rows with each other, not with rows of another day: machines differ and are shared.

mod echo;

use std::{process::Command, time::Duration};

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

const ROWS: &[Row] = &[
    Row { name: "reference, direct", run: || cluster("reference", Kind::Direct) },
    Row { name: "reference, direct, no checks", run: || cluster("reference", Kind::Unjudged) },
    #[cfg(madsim)]
    Row { name: "reference, madsim", run: || cluster("reference", Kind::Madsim) },
    Row { name: "idle, direct", run: || cluster("idle", Kind::Direct) },
    #[cfg(madsim)]
    Row { name: "idle, madsim", run: || cluster("idle", Kind::Madsim) },
    Row { name: "30 brokers, 100 partitions, direct", run: || cluster("brokers-30", Kind::Direct) },
    Row { name: "100 brokers, 100 partitions, direct", run: || cluster("brokers-100", Kind::Direct) },
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

fn cluster(name: &str, kind: Kind) -> Measured {
    let path = format!("{}/../scenarios/bench/{name}.scenario.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the repository has its bench scenarios");
    let scenario: Scenario = scenario::load(&text, &[]).expect("and they are good");
    let engine = match kind {
        Kind::Direct | Kind::Unjudged => Engine::Direct,
        #[cfg(madsim)]
        Kind::Madsim => Engine::Madsim(Default::default()),
    };
    let run = trial::simulate(
        &scenario,
        1,
        Options { engine, unjudged: kind == Kind::Unjudged, ..Options::default() },
    );
    assert!(run.kept(), "{name}: {:?}", run.violations);
    Measured { steps: run.steps, simulated: Duration::from_nanos(run.ended.0) }
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
    for (index, row) in ROWS.iter().enumerate() {
        if !args.is_empty() && !args.iter().any(|wanted| row.name.contains(wanted.as_str())) {
            continue;
        }
        print_row(index, row);
    }
}

fn print_row(index: usize, row: &Row) {
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
        return;
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
