//! How does one node begin to run, and how does it end?

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
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
    disk::{Died, FileDisk},
    faults::{Ends, Faults},
    gate::Gate,
    home::{Home, StartError},
    layout::{Layout, bind, listener_of},
    life::Life,
    metrics::{Meter, Metrics, Traffic},
    watch::{Ended, Happened, Watch},
    world::{Around, Happening, TcpWorld},
};

/// What a node shares with those of its process.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) book: Arc<Book>,
    /// Where every node has a directory.
    pub(crate) data: PathBuf,
    pub(crate) watch: Watch,
    pub(crate) faults: Arc<Faults>,
    pub(crate) metrics: Option<Arc<Metrics>>,
    /// Whether it is alone in its process.
    pub(crate) alone: bool,
}

/// A node that runs.
#[derive(Debug)]
pub struct RunningNode {
    id: NodeId,
    tell: UnboundedSender<Happening>,
    accepting: JoinHandle<()>,
    running: JoinHandle<Node>,
    why: Arc<OnceLock<Halt>>,
    life: Arc<Life>,
    died: Died,
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
        let faults = Arc::default();
        let shared = Shared { book, data: data.to_owned(), watch, faults, metrics: None, alone: true };
        RunningNode::with(layout, id, Some(listener), shared)
    }

    /// Runs the node with a listener that stands already; a client has none.
    pub(crate) fn with(
        layout: &Layout,
        id: NodeId,
        listener: Option<TcpListener>,
        shared: Shared,
    ) -> Result<RunningNode, StartError> {
        let role = role(layout, id).ok_or_else(|| StartError::NoSuchNode(id.to_string()))?;
        let Shared { book, data, watch, faults, metrics, alone } = shared;
        let home = Home::enter(data.join(id.to_string()), &layout.cluster, id)?;
        let listener = listener.map(tokio::net::TcpListener::from_std).transpose();
        let listener = listener.map_err(|source| StartError::bind(&layout.host, layout.port, source))?;
        let (tell, happenings) = unbounded_channel();
        let (requests, arriving) = channel(layout.limits.queued_max_requests.max(1));
        let replies = tell.clone();
        let path = home.path.clone();
        let died = Died::default();
        let disk = FileDisk::new(home, Arc::clone(&died), move |reply| {
            // A node that has ended does not care.
            let _ = replies.send(Happening::Disk(reply));
        })
        .map_err(|source| StartError::Io { path, source })?;
        let why = Arc::new(OnceLock::new());
        let life = Arc::new(Life::default());
        watch.happened(id, Happened::Started);
        let around = Around {
            gate: Gate::new(id, faults),
            alone,
            life: Arc::clone(&life),
            meter: metrics.clone().map(|metrics| Meter::new(id, metrics)),
            watch,
        };
        let world = TcpWorld::new(
            id,
            Arc::clone(&book),
            disk,
            happenings,
            tell.clone(),
            arriving,
            around,
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
        let listening = listener_of(id);
        let traffic = metrics.map(|metrics| Traffic::new(id, metrics));
        let life_too = Arc::clone(&life);
        let server =
            Server { node: id, listener: listening, book, limits, life: life_too, traffic, requests };
        let server = Arc::new(server);
        let accepting = tokio::spawn(async move {
            match listener {
                Some(listener) => accept(listener, server).await,
                // What nobody can ask holds the other end of its requests all the same.
                None => std::future::pending().await,
            }
        });
        let _ = tell.send(Happening::Start);
        let running = tokio::spawn(trial_host::run(Node::new(setup, role), world));
        Ok(RunningNode { id, tell, accepting, running, why, life, died })
    }

    /// Which node it is.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Asks it to shut down in an orderly way: a broker first has its leaderships moved away.
    pub fn shut_down(&self) {
        self.tell(Command::Shutdown);
    }

    /// Tells it something: a client's application speaks so.
    pub fn tell(&self, command: Command) {
        let _ = self.tell.send(Happening::Told(command));
    }

    /// Ends its life at once, as far as that can be done to a part of a process: nothing more is sent or
    /// answered, its memory is lost, and with it what it had not yet handed to the operating system. What
    /// that has stays, flushed or not, as when a process is killed.
    pub fn kill(&self) {
        self.died.store(true, Ordering::Release);
        self.accepting.abort();
        self.running.abort();
    }

    /// Lets it stand still, or go on.
    pub(crate) fn pause(&self, paused: bool) {
        self.life.pause(paused);
    }

    /// Whether it stands still.
    pub fn is_paused(&self) -> bool {
        self.life.is_paused()
    }

    /// Every step of it takes so long from now on.
    pub(crate) fn slow(&self, by: Duration) {
        self.life.slow(by);
    }

    /// Resets its connections with these.
    pub(crate) fn reset(&self, with: Ends) {
        let _ = self.tell.send(Happening::Reset(with));
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

    /// Waits until nobody listens at its port any more, when it has ended.
    pub(crate) async fn silent(&mut self) {
        let _ = (&mut self.accepting).await;
    }
}

fn role(layout: &Layout, id: NodeId) -> Option<Role> {
    let broker = layout.brokers.get(&id).map(|config| Role::Broker(config.clone()));
    let controller = || layout.controllers.get(&id).map(|config| Role::Controller(config.clone()));
    broker.or_else(controller).or_else(|| layout.clients.get(&id).cloned())
}

/// Nobody is left behind.
impl Drop for RunningNode {
    fn drop(&mut self) {
        self.kill();
    }
}
