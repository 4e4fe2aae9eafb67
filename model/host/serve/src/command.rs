//! A node or a cluster as a command: runs until it is told to stop, and does meanwhile what it is told.

use std::{fmt, future::Future, io, path::Path, pin::pin};

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use trial_model::units::NodeId;

use crate::{
    Cluster, Ended, Layout, StartError, Watch,
    act::Act,
    console::{HELP, Order},
    status,
};

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

/// By which a running cluster is told what to do, from any thread.
#[derive(Clone, Debug)]
pub struct Hand(UnboundedSender<Order>);

impl Hand {
    /// A hand, and what it orders.
    pub fn new() -> (Hand, Orders) {
        let (tell, told) = unbounded_channel();
        (Hand(tell), Orders(told))
    }

    /// Orders something, and does not wait for it. A cluster that has ended does nothing more.
    pub fn order(&self, order: Order) {
        let _ = self.0.send(order);
    }
}

/// What is ordered.
#[derive(Debug)]
pub struct Orders(UnboundedReceiver<Order>);

impl Orders {
    async fn next(&mut self) -> Order {
        match self.0.recv().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }
}

/// What a command does besides running nodes.
pub struct Means<'a> {
    /// Who is told what happens.
    pub watch: Watch,
    /// What is to be done meanwhile.
    pub orders: Orders,
    /// Where to say what was done: whole lines.
    pub say: &'a dyn Fn(&str),
    /// What to do when all that was to be done is done, before anybody is shut down.
    pub ending: &'a dyn Fn(),
}

/// Runs a whole cluster until SIGTERM, Ctrl-C, `until` or an order; then shuts it down in order. `ready` is
/// called with the `bootstrap.servers` once everybody serves and the layout's topics are there.
pub fn cluster(
    layout: Layout,
    data: &Path,
    means: Means<'_>,
    until: impl Future<Output = ()>,
    ready: impl FnOnce(&str),
) -> Result<(), CommandError> {
    let runtime = Runtime::new().map_err(CommandError::System)?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let Means { watch, orders, say, ending } = means;
        let mut cluster = Cluster::start(layout, data, watch)?;
        let begun = tokio::select! {
            begun = cluster.ready() => Some(begun),
            () = signals.told() => None,
        };
        let fallen = match begun {
            None => None,
            Some(begun) => {
                begun?;
                ready(&cluster.bootstrap());
                serve(&mut cluster, orders, say, &mut signals, until).await
            }
        };
        ending();
        let orderly = cluster.shut_down().await;
        match fallen {
            Some((node, how)) => Err(CommandError::Ended(node, how)),
            None if orderly => Ok(()),
            None => Err(CommandError::Disorderly),
        }
    })
}

/// Runs one node until SIGTERM, Ctrl-C or an order; then shuts it down in order. `ready` is called once it
/// listens. A crash that is ordered is that of the whole process.
pub fn node(
    layout: &Layout,
    id: NodeId,
    data: &Path,
    means: Means<'_>,
    ready: impl FnOnce(),
) -> Result<(), CommandError> {
    let runtime = Runtime::new().map_err(CommandError::System)?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let Means { watch, orders, say, ending } = means;
        let mut cluster = Cluster::start_one(layout.clone(), id, data, watch)?;
        ready();
        let fallen = serve(&mut cluster, orders, say, &mut signals, std::future::pending()).await;
        ending();
        if let Some((node, how)) = fallen {
            return Err(CommandError::Ended(node, how));
        }
        tokio::select! {
            orderly = cluster.shut_down_patiently() => {
                if orderly { Ok(()) } else { Err(CommandError::Disorderly) }
            }
            // Told twice: at once.
            () = signals.told() => Err(CommandError::Disorderly),
        }
    })
}

/// Waits for so long, within a cluster's runtime: for its `until`.
pub async fn sleep(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

/// Does what it is told until it is told to stop; or until a node ends that was not told to, and says which.
async fn serve(
    cluster: &mut Cluster,
    mut orders: Orders,
    say: &dyn Fn(&str),
    signals: &mut Signals,
    until: impl Future<Output = ()>,
) -> Option<(NodeId, Ended)> {
    let mut until = pin!(until);
    loop {
        let order = tokio::select! {
            () = signals.told() => return None,
            () = &mut until => return None,
            (id, how) = cluster.somebody_ends() => {
                if !cluster.ended_as_told(id, how) {
                    return Some((id, how));
                }
                if cluster.here().count() == 1 {
                    return None;
                }
                Order::Say(format!("{id} has shut down"))
            }
            order = orders.next() => order,
        };
        match order {
            Order::Do(acts) => {
                for act in acts {
                    carry_out(cluster, act, false, say).await;
                }
            }
            Order::Quietly(acts) => {
                for act in acts {
                    carry_out(cluster, act, true, say).await;
                }
            }
            Order::Toggle(id) => {
                let act =
                    if cluster.running().any(|it| it == id) { Act::Crash(id) } else { Act::Restart(id) };
                carry_out(cluster, act, false, say).await;
            }
            Order::Status => say(&status::of(cluster).await),
            Order::Help => say(HELP),
            Order::Say(text) => say(&format!("{}  {text}\n", clock())),
            Order::Quit => return None,
        }
    }
}

async fn carry_out(cluster: &mut Cluster, act: Act, quietly: bool, say: &dyn Fn(&str)) {
    if let (Act::Crash(id), true) = (&act, cluster.is_one())
        && cluster.here().any(|here| here == *id)
    {
        // As abrupt as can be: nobody has time for a word.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    match cluster.act(act).await {
        Ok(done) if done.is_empty() || quietly => {}
        Ok(done) => say(&format!("{}  {done}\n", clock())),
        Err(why) => say(&format!("{}  not done: {why}\n", clock())),
    }
}

/// `10:15:09`, in UTC.
fn clock() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let second = now.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals, CommandError> {
        let listen = |kind| signal(kind).map_err(CommandError::System);
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
