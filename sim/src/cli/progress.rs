//! How far has it come? Bars on standard error, where somebody watches.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Common;

/// Whether bars are drawn at all.
pub fn shown(common: &Common) -> bool {
    let plain =
        common.no_progress || common.quiet || common.verbose > 0 || common.format != super::Format::Human;
    !plain && std::io::stderr().is_terminal()
}

/// A bar over `total` things; hidden unless `shown`.
pub fn bar(total: u64, shown: bool) -> ProgressBar {
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    if let Ok(style) = ProgressStyle::with_template("  {msg:<10} {bar:30} {pos}/{len}  {elapsed}") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

/// How far a run has come, in milliseconds of its own time; drawn from a thread of its own, since nothing
/// real may happen inside a simulation.
pub struct Watch {
    at: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    drawer: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches a run that ends after `total_ms` at the latest.
    pub fn start(total_ms: u64, chaos_ms: u64, shown: bool) -> Watch {
        let (at, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let drawer = shown.then(|| {
            let (at, over) = (at.clone(), over.clone());
            thread::spawn(move || {
                let bar = bar(total_ms, true);
                if let Ok(style) = ProgressStyle::with_template("  {msg:<7} {bar:30} {prefix}") {
                    bar.set_style(style.progress_chars("━╸─"));
                }
                while !over.load(Ordering::Relaxed) {
                    let now = at.load(Ordering::Relaxed);
                    bar.set_message(if now < chaos_ms { "chaos" } else { "settle" });
                    bar.set_prefix(format!("{}.{} s", now / 1_000, now / 100 % 10));
                    bar.set_position(now);
                    thread::park_timeout(Duration::from_millis(80));
                }
                bar.finish_and_clear();
            })
        });
        Watch { at, over, drawer }
    }

    /// Where to tell how far it has come.
    pub fn clock(&self) -> Arc<AtomicU64> {
        self.at.clone()
    }

    /// Takes the bar away.
    pub fn stop(mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(drawer) = self.drawer.take() {
            drawer.thread().unpark();
            // A bar that could not be drawn is no reason to fail.
            let _ = drawer.join();
        }
    }
}
