//! What can be done to a cluster while it runs, and what came of it in words?

use std::time::Duration;

use trial_model::{client::Command, units::NodeId};

use crate::{
    cluster::Cluster,
    faults::{Ends, LinkFault},
    watch::Happened,
};

/// Something that is done to a running cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A process dies, and its memory with it. What the operating system has of its files stays.
    Crash(NodeId),
    /// A process that does not run starts.
    Restart(NodeId),
    /// A process is asked to shut down in an orderly way.
    ShutDown(NodeId),
    /// A process stands still.
    Pause(NodeId),
    /// It goes on.
    Resume(NodeId),
    /// Every step of a process takes so long; zero is as fast as it can.
    Slow(NodeId, Duration),
    /// A fault of links begins, under a number of the caller's.
    Begin(u64, LinkFault),
    /// It ends.
    End(u64),
    /// All faults of links end, and whoever stands still goes on.
    Heal,
    /// Connections between these and those are reset.
    Reset(Ends, Ends),
    /// A client is told something.
    Tell(NodeId, Box<Command>),
}

impl Cluster {
    /// Does it, and says what was done. Refuses what cannot be done, in words.
    pub async fn act(&mut self, act: Act) -> Result<String, String> {
        match act {
            Act::Crash(id) => {
                self.known(id)?;
                match self.kill(id).await {
                    true => Ok(format!("{id} crashed")),
                    false => Err(format!("{id} does not run")),
                }
            }
            Act::Restart(id) => {
                self.known(id)?;
                if self.node(id).is_some() {
                    return Err(format!("{id} runs"));
                }
                self.restart(id).map_err(|error| format!("{id} cannot start: {error}"))?;
                Ok(format!("{id} started"))
            }
            Act::ShutDown(id) => {
                self.alive(id)?.shut_down();
                self.leaving.insert(id);
                Ok(format!("{id} is told to shut down"))
            }
            Act::Pause(id) => {
                self.pause(id, true)?;
                Ok(format!("{id} stands still"))
            }
            Act::Resume(id) => {
                self.pause(id, false)?;
                Ok(format!("{id} goes on"))
            }
            Act::Slow(id, by) => {
                self.alive(id)?.slow(by);
                Ok(match by {
                    Duration::ZERO => format!("{id} is as fast as it can"),
                    by => format!("every step of {id} takes {by:?}"),
                })
            }
            Act::Begin(number, fault) => {
                let said = fault.to_string();
                self.shared.faults.begin(number, fault);
                Ok(said)
            }
            Act::End(number) => {
                self.shared.faults.end(number);
                Ok(String::new())
            }
            Act::Heal => {
                let still: Vec<NodeId> = self.running().filter(|id| self.stands_still(*id)).collect();
                for id in still {
                    self.pause(id, false)?;
                }
                match self.shared.faults.end_all() {
                    0 => Ok("no link was faulty".into()),
                    _ => Ok("healed".into()),
                }
            }
            Act::Reset(one, other) => {
                for (ends, with) in [(&one, &other), (&other, &one)] {
                    for node in ends.nodes.iter().filter_map(|id| self.node(id)) {
                        node.reset(with.clone());
                    }
                }
                Ok(format!("reset {one} {other}"))
            }
            Act::Tell(id, command) => {
                self.alive(id)?.tell(*command);
                Ok(String::new())
            }
        }
    }

    fn pause(&mut self, id: NodeId, paused: bool) -> Result<(), String> {
        let node = self.alive(id)?;
        if node.is_paused() == paused {
            return Err(format!("{id} {} already", if paused { "stands still" } else { "goes on" }));
        }
        node.pause(paused);
        let happened = if paused { Happened::Paused } else { Happened::Resumed };
        self.shared.watch.happened(id, happened);
        Ok(())
    }

    fn known(&self, id: NodeId) -> Result<(), String> {
        match self.here().any(|here| here == id) {
            true => Ok(()),
            false if self.shared.book.endpoints.contains_key(&id) => {
                Err(format!("{id} is another process: tell that one"))
            }
            false => Err(format!("there is no node {id}")),
        }
    }

    fn alive(&self, id: NodeId) -> Result<&crate::RunningNode, String> {
        self.known(id)?;
        self.node(id).ok_or_else(|| format!("{id} does not run"))
    }
}
