//! `trial serve`, `trial node`: a scenario's cluster on real sockets and files.
//!
//! A build that simulates on madsim has neither, and says what to type instead.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Exit, Output};
use crate::scenario::values::Span;

/// Run a scenario's cluster for real: on sockets and files, for real Kafka clients.
///
/// Nothing here repeats: time and the network are real. Ends in order on SIGTERM or ctrl-c.
#[derive(Args)]
pub struct Serve {
    /// The scenario whose brokers, controllers, settings and topics it has; three and three and none if left
    /// out.
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Placed,
    /// End by itself after this long.
    #[arg(long, value_name = "T")]
    duration: Option<Span>,
}

/// Run one node of a scenario's cluster for real, so that a cluster is as many processes.
///
/// Every node is given the same file and address: the brokers' ports are that one and those after it, and
/// the controllers' follow. Topics are created by whoever wants them.
#[derive(Args)]
pub struct OneNode {
    /// Which, such as broker-2.
    node: String,
    /// The scenario; three brokers and three controllers if left out.
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Placed,
}

#[derive(Args)]
struct Placed {
    /// The first broker's address; the others' ports follow. Port 0 is any that is free (not for `node`).
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: String,
    /// Where every node has a directory; a new temporary one if left out.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[cfg(madsim)]
pub fn main(it: &Serve, common: &Common, output: &mut Output) -> Exit {
    let (Serve { file, place, duration }, Common { verbose, .. }) = (it, common);
    let Placed { listen, data } = place;
    tracing::debug!(?file, listen, ?data, ?duration, verbose, "not served");
    output.fail(Exit::Usage, "this build simulates: it has no real sockets. Type `cargo serve` instead")
}

#[cfg(madsim)]
pub fn one(it: &OneNode, common: &Common, output: &mut Output) -> Exit {
    let (OneNode { node, file, place }, Common { verbose, .. }) = (it, common);
    let Placed { listen, data } = place;
    tracing::debug!(node, ?file, listen, ?data, verbose, "not served");
    output.fail(Exit::Usage, "this build simulates: it has no real sockets. Type `cargo node` instead")
}

#[cfg(not(madsim))]
pub use real::{main, one};

#[cfg(not(madsim))]
mod real {
    use std::{fs, path::Path, time::SystemTime};

    use trial_model::units::NodeId;
    use trial_serve::{Layout, Watch, command};

    use super::{super::input, Common, Exit, OneNode, Output, PathBuf, Placed, Serve};
    use crate::{director::workload::new_topic, simulate};

    pub fn main(it: &Serve, common: &Common, output: &mut Output) -> Exit {
        match serve(it, common, output) {
            Ok(exit) | Err(exit) => exit,
        }
    }

    pub fn one(it: &OneNode, common: &Common, output: &mut Output) -> Exit {
        match run_one(it, common, output) {
            Ok(exit) | Err(exit) => exit,
        }
    }

    fn serve(it: &Serve, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
        let layout = layout(it.file.as_deref(), &it.place, output)?;
        let data = data(it.place.data.as_ref(), output)?;
        let (brokers, controllers) = (layout.brokers.len(), layout.controllers.len());
        let name = layout.cluster.clone();
        let until = async {
            match it.duration {
                Some(duration) => command::sleep(duration.0).await,
                None => std::future::pending().await,
            }
        };
        let quiet = common.quiet;
        let outcome = command::cluster(layout, &data, watch(common), until, |bootstrap| {
            let first = bootstrap.split(',').next().unwrap_or(bootstrap);
            let ready = format!(
                "real time and real sockets: nothing below repeats\n{name}   {controllers} controllers, \
                 {brokers} brokers   bootstrap.servers={bootstrap}\n  data  {}\n  try   kcat -b {first} -L\n",
                data.display()
            );
            if !quiet {
                output.say(&ready);
            }
        });
        outcome.map_err(|error| output.fail(exit_of(&error), &error.to_string()))?;
        Ok(Exit::Ok)
    }

    fn run_one(it: &OneNode, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
        let layout = layout(it.file.as_deref(), &it.place, output)?;
        let id = layout.nodes().find(|id| id.to_string() == it.node);
        let id: NodeId = id.ok_or_else(|| {
            let all: Vec<String> = layout.nodes().map(|id| id.to_string()).collect();
            output.fail(Exit::Usage, &format!("there is no node `{}`: there are {}", it.node, all.join(", ")))
        })?;
        let data = data(it.place.data.as_ref(), output)?;
        let book = layout.book().map_err(|error| output.fail(Exit::Usage, &error.to_string()))?;
        let quiet = common.quiet;
        let outcome = command::node(&layout, id, &data, watch(common), || {
            if !quiet && let Some(endpoint) = book.endpoints.get(&id) {
                let (host, port) = (&endpoint.host, endpoint.port);
                output.say(&format!("{id} listens at {host}:{port}   data {}\n", data.display()));
            }
        });
        outcome.map_err(|error| output.fail(exit_of(&error), &error.to_string()))?;
        Ok(Exit::Ok)
    }

    fn exit_of(error: &command::CommandError) -> Exit {
        match error {
            command::CommandError::Start(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    fn layout(file: Option<&Path>, place: &Placed, output: &mut Output) -> Result<Layout, Exit> {
        let address = place.listen.rsplit_once(':');
        let address = address.and_then(|(host, port)| Some((host.to_owned(), port.parse::<u16>().ok()?)));
        let (host, port) = address.ok_or_else(|| {
            output.fail(Exit::Usage, &format!("--listen {}: expected HOST:PORT", place.listen))
        })?;
        let Some(file) = file else {
            return Ok(Layout { host, port, ..Layout::of(3, 3) });
        };
        let scenario = input::load(file, &[], output)?.scenario;
        let topology = &scenario.topology;
        let brokers = (1..=topology.brokers).map(NodeId::broker);
        let controllers = (1..=topology.controllers).map(NodeId::controller);
        Ok(Layout {
            cluster: scenario.name.clone(),
            host,
            port,
            brokers: brokers.map(|id| (id, simulate::broker_config(topology, id))).collect(),
            controllers: controllers.map(|id| (id, simulate::controller_config(topology, id))).collect(),
            topics: topology.topics.iter().map(new_topic).collect(),
            ..Layout::of(0, 0)
        })
    }

    fn data(asked: Option<&PathBuf>, output: &mut Output) -> Result<PathBuf, Exit> {
        if let Some(asked) = asked {
            return Ok(asked.clone());
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("trial-{}-{}", std::process::id(), now.as_millis());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)
            .map_err(|error| output.fail(Exit::Usage, &format!("{}: {error}", path.display())))?;
        Ok(path)
    }

    fn watch(common: &Common) -> Watch {
        match common.verbose {
            0 => Watch::default(),
            _ => Watch::new(|node, event| anstream::eprintln!("{node}: {event}")),
        }
    }
}
