//! How does one node begin to run, and how does it end?

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::TcpListener,
    path::Path,
    sync::{Arc, OnceLock},
};

use tokio::{
    sync::mpsc::{UnboundedSender, channel, unbounded_channel},
    task::JoinHandle,
};
use trial_model::{
    client::Command,
    machine::Halt,
    museum::Museum,
    node::{Node, Role, Setup},
    units::NodeId,
};
use trial_wire::Book;

use crate::{
    acceptor::accept,
    connection::Server,
    disk::FileDisk,
    home::{Home, StartError},
    layout::{Layout, bind, listener_of},
    world::{Happening, TcpWorld, Watch},
};

/// How a node's process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was told to, with everything in order.
    Shutdown,
    /// Its disk failed.
    DiskFailed,
    /// It was killed, or it broke one of its own promises: the log tells which.
    Broken,
}

/// A node that runs.
#[derive(Debug)]
pub struct RunningNode {
    id: NodeId,
    tell: UnboundedSender<Happening>,
    accepting: JoinHandle<()>,
    running: JoinHandle<Node>,
    why: Arc<OnceLock<Halt>>,
}

impl RunningNode {
    /// Runs the node `id` of a cluster by itself, its files in `data`: everybody's ports are those that the
    /// layout says.
    ///
    /// Refuses a port that is taken and a directory that is somebody else's.
    pub fn start(layout: &Layout, id: NodeId, data: &Path, watch: Watch) -> Result<RunningNode, StartError> {
        let book = Arc::new(layout.book()?);
        let endpoint = book.endpoints.get(&id).ok_or_else(|| StartError::NoSuchNode(id.to_string()))?;
        let listener = bind(&endpoint.host, endpoint.port)?;
        RunningNode::with(layout, id, listener, book, data, watch)
    }

    /// Runs the node with a listener that stands already.
    pub(crate) fn with(
        layout: &Layout,
        id: NodeId,
        listener: TcpListener,
        book: Arc<Book>,
        data: &Path,
        watch: Watch,
    ) -> Result<RunningNode, StartError> {
        let role = match (layout.brokers.get(&id), layout.controllers.get(&id)) {
            (Some(config), _) => Role::Broker(config.clone()),
            (None, Some(config)) => Role::Controller(config.clone()),
            (None, None) => return Err(StartError::NoSuchNode(id.to_string())),
        };
        let home = Home::enter(data.join(id.to_string()), &layout.cluster, id)?;
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|source| StartError::bind(&layout.host, layout.port, source))?;
        let (tell, happenings) = unbounded_channel();
        let (requests, arriving) = channel(layout.limits.queued_max_requests.max(1));
        let replies = tell.clone();
        let path = home.path.clone();
        let disk = FileDisk::new(home, move |reply| {
            // A node that has ended does not care.
            let _ = replies.send(Happening::Disk(reply));
        })
        .map_err(|source| StartError::Io { path, source })?;
        let why = Arc::new(OnceLock::new());
        let world = TcpWorld::new(
            id,
            Arc::clone(&book),
            disk,
            happenings,
            tell.clone(),
            arriving,
            watch,
            Arc::clone(&why),
        );
        let setup = Setup {
            id,
            // Another at every birth.
            seed: RandomState::new().build_hasher().finish(),
            museum: Museum::CLOSED,
            voters: layout.voters(),
            bootstrap: layout.brokers.keys().copied().collect(),
        };
        let limits = layout.limits;
        let server = Arc::new(Server { node: id, listener: listener_of(id), book, limits, requests });
        let accepting = tokio::spawn(accept(listener, server));
        let _ = tell.send(Happening::Start);
        let running = tokio::spawn(trial_host::run(Node::new(setup, role), world));
        Ok(RunningNode { id, tell, accepting, running, why })
    }

    /// Which node it is.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Asks it to shut down in an orderly way: a broker first has its leaderships moved away.
    pub fn shut_down(&self) {
        let _ = self.tell.send(Happening::Told(Command::Shutdown));
    }

    /// Ends its life at once, as far as that can be done to a part of a process: nothing more is answered,
    /// and its memory is lost. What it has asked of its disk is carried out.
    pub fn kill(&self) {
        self.accepting.abort();
        self.running.abort();
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.running.is_finished()
    }

    /// Waits until it has ended, and its disk with it.
    pub async fn ended(&mut self) -> Ended {
        let outcome = (&mut self.running).await;
        self.accepting.abort();
        match (outcome, self.why.get()) {
            (Ok(_), Some(Halt::Shutdown)) => Ended::Shutdown,
            (Ok(_), Some(Halt::DiskFailed)) => Ended::DiskFailed,
            _ => Ended::Broken,
        }
    }
}

/// Nobody is left behind.
impl Drop for RunningNode {
    fn drop(&mut self) {
        self.kill();
    }
}
