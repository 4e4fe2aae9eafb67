//! How does `RUST_LOG` see a simulated cluster? Each event of a node as an event of `tracing`, with the
//! simulated time.
//!
//! Targets are `trial::broker`, `trial::controller`, `trial::client` and `trial::world`: what there is a lot
//! of is at `trace`, everything else at `debug`, what the world does at `info`.

use std::{fmt as text, io::IsTerminal};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, fmt,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};
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
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    if wanted.is_empty() {
        return;
    }
    // madsim tells of its own tasks, which is of use only to whoever asks for it by name.
    let quiet = if wanted.contains("madsim") { wanted } else { format!("{wanted},madsim=off") };
    // The real time says nothing about a simulated event.
    let subscriber = fmt()
        .with_env_filter(EnvFilter::new(quiet))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .event_format(Simulated)
        .finish();
    // Somebody else listens already: then they decide.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Whether anybody listens.
pub fn wanted() -> bool {
    tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF
}

/// One line an event: the simulated time first, then who, then what. Not the spans around it, which are the
/// engine's and not the cluster's.
struct Simulated;

impl<S, N> FormatEvent<S, N> for Simulated
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> text::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let about = event.metadata();
        let Said { at, node, kind, message, others } = said;
        write!(to, "{at:>11} {:>5} {:<17} ", about.level().to_string(), about.target())?;
        if !node.is_empty() {
            write!(to, "{node:<14} {kind:<19} ")?;
        }
        writeln!(to, "{message}{others}")
    }
}

/// The fields of an event.
#[derive(Default)]
struct Said {
    at: String,
    node: String,
    kind: String,
    message: String,
    others: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn text::Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "at" => self.at = value,
            "node" => self.node = value,
            "kind" => self.kind = value,
            "message" => self.message = value,
            other => self.others.push_str(&format!(" {other}={value}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
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
