//! The model's nodes on real sockets and files, for clients that speak Kafka's protocol.
//!
//! The same values that are simulated run here through the same loop, [`trial_host::run`]; only the world is
//! another. A whole cluster in one process, for a test:
//!
//! ```
//! # let directory = tempfile::tempdir()?;
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! let layout = trial_serve::Layout::of(1, 1);
//! let cluster = trial_serve::Cluster::start(layout, directory.path(), trial_serve::Watch::default())?;
//! cluster.ready().await?;
//! println!("bootstrap.servers={}", cluster.bootstrap());
//! # cluster.shut_down().await;
//! # Ok::<(), trial_serve::StartError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod limits;
mod layout;
mod watch;
mod faults;
mod metrics;
mod life;
mod clock;
mod home;
mod paths;
mod disk;
mod runtime;
mod frames;
mod acceptor;
mod connection;
mod peer;
mod gate;
mod world;
mod node;
mod setup;
mod cluster;
mod act;
mod status;
pub mod console;
pub mod command;

pub use act::Act;
pub use cluster::Cluster;
pub use faults::{Ends, Half, LinkFault, LinkFaultKind};
pub use home::StartError;
pub use layout::{Layout, SERVED};
pub use limits::Limits;
pub use metrics::address as metrics_address;
pub use node::RunningNode;
pub use watch::{Ended, Happened, Watch};
