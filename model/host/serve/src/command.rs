//! A node or a cluster as a command: runs until it is told to stop.

use std::{fmt, future::Future, io, path::Path};

use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use trial_model::units::NodeId;

use crate::{Cluster, Ended, Layout, RunningNode, StartError, Watch};

/// Why a command did not end well.
#[derive(Debug)]
pub enum CommandError {
    /// It could not begin.
    Start(StartError),
    /// The system refused threads or signals.
    System(io::Error),
    /// A node ended by itself, or not in order.
    Ended(NodeId, Ended),
    /// Not everybody stopped in order.
    Disorderly,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Start(error) => error.fmt(f),
            CommandError::System(error) => write!(f, "the system refuses: {error}"),
            CommandError::Ended(node, Ended::DiskFailed) => write!(f, "{node} has stopped: its disk failed"),
            CommandError::Ended(node, Ended::Shutdown) => write!(f, "{node} has stopped"),
            CommandError::Ended(node, Ended::Broken) => {
                write!(f, "{node} has stopped: a bug in trial itself")
            }
            CommandError::Disorderly => f.write_str("not everybody stopped in order"),
        }
    }
}

impl std::error::Error for CommandError {}

impl From<StartError> for CommandError {
    fn from(error: StartError) -> CommandError {
        CommandError::Start(error)
    }
}

/// Runs a whole cluster until SIGTERM, Ctrl-C or `until`; then shuts it down in order. `ready` is called with
/// the `bootstrap.servers` once everybody serves and the layout's topics are there.
pub fn cluster(
    layout: Layout,
    data: &Path,
    watch: Watch,
    until: impl Future<Output = ()>,
    ready: impl FnOnce(&str),
) -> Result<(), CommandError> {
    let runtime = Runtime::new().map_err(CommandError::System)?;
    runtime.block_on(async {
        let mut cluster = Cluster::start(layout, data, watch)?;
        let begun = tokio::select! {
            begun = cluster.ready() => Some(begun),
            told = told_to_stop() => told.map(|()| None).map_err(CommandError::System)?,
        };
        let fallen = match begun {
            None => None,
            Some(begun) => {
                begun?;
                ready(&cluster.bootstrap());
                tokio::select! {
                    told = told_to_stop() => told.map(|()| None).map_err(CommandError::System)?,
                    () = until => None,
                    fallen = cluster.somebody_ends() => Some(fallen),
                }
            }
        };
        let orderly = cluster.shut_down().await;
        match fallen {
            Some((node, how)) => Err(CommandError::Ended(node, how)),
            None if orderly => Ok(()),
            None => Err(CommandError::Disorderly),
        }
    })
}

/// Runs one node until SIGTERM or Ctrl-C; then shuts it down in order. `ready` is called once it listens.
pub fn node(
    layout: &Layout,
    id: NodeId,
    data: &Path,
    watch: Watch,
    ready: impl FnOnce(),
) -> Result<(), CommandError> {
    let runtime = Runtime::new().map_err(CommandError::System)?;
    runtime.block_on(async {
        let mut node = RunningNode::start(layout, id, data, watch)?;
        ready();
        let ended = tokio::select! {
            told = told_to_stop() => {
                told.map_err(CommandError::System)?;
                node.shut_down();
                tokio::select! {
                    ended = node.ended() => ended,
                    // Told twice: at once.
                    _ = told_to_stop() => Ended::Broken,
                }
            }
            ended = node.ended() => return Err(CommandError::Ended(id, ended)),
        };
        if ended == Ended::Shutdown { Ok(()) } else { Err(CommandError::Disorderly) }
    })
}

/// Waits for so long, within a cluster's runtime: for its `until`.
pub async fn sleep(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_stop() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
