//! How does `RUST_LOG` see a simulated cluster? Each event of a node as an event of `tracing`, with the
//! simulated time.
//!
//! Targets are `trial::broker`, `trial::controller`, `trial::client` and `trial::world`: what there is a lot
//! of is at `trace`, everything else at `debug`, what the world does at `info`.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};
use trial_model::{
    time::Instant,
    units::{NodeId, NodeRole},
};

use crate::{
    names::RunNames,
    trace::{Reader, Step, is_chatter, world_line},
    world_event::WorldEvent,
};

/// Listens to what `RUST_LOG` asks for; to nothing if it is not set.
pub fn start() {
    if std::env::var_os("RUST_LOG").is_none_or(|wanted| wanted.is_empty()) {
        return;
    }
    // The real time says nothing about a simulated event.
    let subscriber = fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .without_time()
        .finish();
    // Somebody else listens already: then they decide.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Whether anybody listens.
pub fn wanted() -> bool {
    tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF
}

/// Hands a run to `tracing`.
pub struct Log;

impl Reader for Log {
    fn step(&mut self, step: Step<'_>, names: &RunNames) {
        for event in step.events {
            let (at, node, kind) = (step.at, names.node_name(step.node), event.kind().name());
            let said = event.show(names);
            macro_rules! tell {
                ($target:literal) => {
                    if is_chatter(event) {
                        tracing::trace!(target: $target, %at, %node, kind, "{said}");
                    } else {
                        tracing::debug!(target: $target, %at, %node, kind, "{said}");
                    }
                };
            }
            match NodeId::role(step.node) {
                NodeRole::Broker => tell!("trial::broker"),
                NodeRole::Controller => tell!("trial::controller"),
                NodeRole::Client => tell!("trial::client"),
            }
        }
    }

    fn world(&mut self, at: Instant, event: &WorldEvent, names: &RunNames) {
        tracing::info!(target: "trial::world", %at, "{}", world_line(event, names));
    }
}
