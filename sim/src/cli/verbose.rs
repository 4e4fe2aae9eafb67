//! What does `-v` print? A line for every change of state, the node shown by its column.

use std::io::Write;

use trial_model::{
    time::Instant,
    units::{NodeId, NodeRole},
};

use crate::{
    names::RunNames,
    report::words::seconds,
    trace::{Reader, Step, is_chatter, is_echo, world_line},
    world_event::WorldEvent,
};

/// Prints a run as it happens.
pub struct Verbose {
    controllers: u32,
    brokers: u32,
    everything: bool,
}

impl Verbose {
    /// Of a cluster of so many. `everything`: also what there is a lot of.
    pub fn new(controllers: u32, brokers: u32, everything: bool) -> Verbose {
        Verbose { controllers, brokers, everything }
    }

    /// `c·· ·b·`: the node's own column; its name where there are too many columns, or it is a client.
    fn column(&self, node: NodeId, names: &RunNames) -> String {
        let width = usize::try_from(self.controllers + self.brokers + 1).unwrap_or(usize::MAX);
        if width > 16 {
            return format!("{:<14}", names.node_name(node));
        }
        let place = |many: u32, role: NodeRole, letter: char| -> String {
            (1..=many)
                .map(|nth| if node.role() == role && node.nth() == nth { letter } else { '·' })
                .collect()
        };
        let servers = format!(
            "{} {}",
            place(self.controllers, NodeRole::Controller, 'c'),
            place(self.brokers, NodeRole::Broker, 'b')
        );
        if node.role() == NodeRole::Client { format!("{:<width$}", names.node_name(node)) } else { servers }
    }

    fn line(&self, text: &str) {
        // A reader that has gone away is told of by the program's own output.
        let _ = writeln!(anstream::stdout().lock(), "{}", text.trim_end());
    }
}

impl Reader for Verbose {
    fn step(&mut self, step: Step<'_>, names: &RunNames) {
        for event in step.events {
            if !self.everything && (is_chatter(event) || is_echo(event)) {
                continue;
            }
            let column = self.column(step.node, names);
            let (at, kind) = (seconds(step.at.0, 3), event.kind().name());
            self.line(&format!("{at:>8}  {column}  {kind:<19} {}", event.show(names)));
        }
    }

    fn world(&mut self, at: Instant, event: &WorldEvent, names: &RunNames) {
        self.line(&format!("{:>8}  {}", seconds(at.0, 3), world_line(event, names)));
    }
}
