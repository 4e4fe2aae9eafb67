//! `trial serve`, `trial node`: a scenario's cluster on real sockets and files.
//!
//! A build that simulates on madsim has neither, and says what to type instead.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Exit, Output, seed::SeedArg};
use crate::scenario::values::Span;

/// Run a scenario's cluster for real: on sockets and files, for real Kafka clients.
///
/// Nothing here repeats: time and the network are real. The scenario's faults happen at their times and at
/// what they wait for, as far as they can be done to real processes and links; what cannot is told at the
/// start. Commands on standard input do likewise by hand: type help. Ends in order on SIGTERM, ctrl-c or quit.
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
    /// Faults drawn from the seed: none, light, default, heavy, or a JSON file.
    #[arg(long, value_name = "NAME|FILE", requires = "file")]
    nemesis: Option<String>,
    /// From which faults, and what the scenario's clients do, are drawn; the file's own, or 1.
    #[arg(long, requires = "file")]
    seed: Option<SeedArg>,
    /// The scenario's own clients take part: they work as in a simulation, and the run ends with its phases.
    #[arg(long, requires = "file")]
    workload: bool,
    /// Write down there what happens, for `trial check DIR` to judge and show.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
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
    /// Where Prometheus may ask for metrics, at /metrics: PORT of this machine alone, or HOST:PORT.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<String>,
}

#[cfg(madsim)]
pub fn main(it: &Serve, common: &Common, output: &mut Output) -> Exit {
    let (Serve { file, place, duration, nemesis, seed, workload, record }, Common { verbose, .. }) =
        (it, common);
    let (Placed { listen, data, metrics }, seed) = (place, seed.map(|seed| seed.0));
    tracing::debug!(
        ?file,
        listen,
        ?data,
        metrics,
        ?duration,
        ?nemesis,
        ?seed,
        workload,
        ?record,
        verbose,
        "not served"
    );
    output.fail(Exit::Usage, "this build simulates: it has no real sockets. Type `cargo serve` instead")
}

#[cfg(madsim)]
pub fn one(it: &OneNode, common: &Common, output: &mut Output) -> Exit {
    let (OneNode { node, file, place }, Common { verbose, .. }) = (it, common);
    let Placed { listen, data, metrics } = place;
    tracing::debug!(node, ?file, listen, ?data, metrics, verbose, "not served");
    output.fail(Exit::Usage, "this build simulates: it has no real sockets. Type `cargo node` instead")
}

#[cfg(not(madsim))]
pub use real::{main, one};

#[cfg(not(madsim))]
mod real {
    use std::{cell::OnceCell, fs, path::Path, sync::Arc, time::SystemTime};

    use trial_model::units::NodeId;
    use trial_serve::{
        Layout, SERVED, Watch,
        command::{self, Hand, Means},
        console, metrics_address,
    };

    use super::{
        super::{input, nemesis},
        Common, Exit, OneNode, Output, PathBuf, Placed, Serve,
    };
    use crate::{
        director::{nemesis::written_out, workload::new_topic},
        real::{Course, possible, told},
        recording::Recording,
        scenario::{
            self, Scenario,
            file::Fault,
            values::{Seed, Setting},
        },
        simulate,
    };

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
        let scenario = served(scenario_of(it, output)?);
        let possible = possible::of(&scenario, it.workload);
        let mut layout = layout(&scenario, &it.place, output)?;
        let data = data(it.place.data.as_ref(), output)?;
        let (hand, orders) = Hand::new();
        let record = recording(it, &scenario, &possible.faults, output)?;
        let (course, teller) =
            Course::begin(&scenario, possible.faults, it.workload, hand.clone(), record.clone());
        layout.clients = course.clients.iter().map(|(id, _, role)| (*id, role.clone())).collect();
        let (verbose, quiet) = (common.verbose > 0, common.quiet);
        let lives = teller.clone();
        let watch = Watch::new(move |node, event| {
            teller.event(node, event);
            if verbose {
                anstream::eprintln!("{node}: {event}");
            }
        });
        let lived = record.clone();
        let mut watch = watch.lives(move |node, what| {
            lived.iter().for_each(|record| record.world(told(node, what)));
            lives.happened(node, what);
        });
        if let Some(record) = &record {
            let (given, stepped) = (Arc::clone(record), Arc::clone(record));
            watch = watch.steps(
                move |node, input| given.given(node, input),
                move |node, events| stepped.stepped(node, events),
            );
        }
        let until = async {
            match it.duration {
                Some(duration) => command::sleep(duration.0).await,
                None => std::future::pending().await,
            }
        };
        let nodes: Vec<NodeId> = layout.nodes().collect();
        let head = head(&scenario, &data, &possible.not_done);
        let ended = OnceCell::new();
        let ending = || {
            if let Some(record) = &record {
                let _ = ended.set(record.end());
            }
        };
        let means = Means { watch, orders, say: &|text| say(quiet, text), ending: &ending };
        let outcome = command::cluster(layout, &data, means, until, |bootstrap| {
            say(quiet, &head(bootstrap));
            course.ready();
            console::listen(&hand, nodes);
        });
        course.end();
        outcome.map_err(|error| output.fail(exit_of(&error), &error.to_string()))?;
        match (&it.record, ended.into_inner()) {
            (Some(dir), Some(Ok(lines))) => {
                let dir = dir.display();
                say(quiet, &format!("{lines} lines recorded in {dir}   trial check {dir} judges them\n"));
            }
            (_, Some(Err(why))) => return Err(output.fail(Exit::Failed, &why)),
            _ => {}
        }
        Ok(Exit::Ok)
    }

    /// Begins to record, if that is wanted: what the cluster is, with those who take part.
    fn recording(
        it: &Serve,
        scenario: &Scenario,
        faults: &[Fault],
        output: &mut Output,
    ) -> Result<Option<Arc<Recording>>, Exit> {
        let Some(dir) = &it.record else { return Ok(None) };
        let mut scenario = Scenario { faults: faults.to_vec(), plant: Vec::new(), ..scenario.clone() };
        if !it.workload {
            scenario.workload.clear();
        }
        let record = Recording::begin(dir, &scenario);
        record.map(|record| Some(Arc::new(record))).map_err(|why| output.fail(Exit::Usage, &why))
    }

    fn run_one(it: &OneNode, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
        let scenario = match &it.file {
            Some(file) => input::load(file, &[], output)?.scenario,
            None => three_and_three(),
        };
        let layout = layout(&served(scenario), &it.place, output)?;
        let id = layout.nodes().find(|id| id.to_string() == it.node);
        let id: NodeId = id.ok_or_else(|| {
            let all: Vec<String> = layout.nodes().map(|id| id.to_string()).collect();
            output.fail(Exit::Usage, &format!("there is no node `{}`: there are {}", it.node, all.join(", ")))
        })?;
        let data = data(it.place.data.as_ref(), output)?;
        let book = layout.book().map_err(|error| output.fail(Exit::Usage, &error.to_string()))?;
        let (verbose, quiet) = (common.verbose > 0, common.quiet);
        let watch = match verbose {
            true => Watch::new(|node, event| anstream::eprintln!("{node}: {event}")),
            false => Watch::default(),
        };
        let (hand, orders) = Hand::new();
        let nodes: Vec<NodeId> = layout.nodes().collect();
        let means = Means { watch, orders, say: &|text| say(quiet, text), ending: &|| () };
        let outcome = command::node(&layout, id, &data, means, || {
            if let Some(endpoint) = book.endpoints.get(&id) {
                let (host, port) = (&endpoint.host, endpoint.port);
                say(quiet, &format!("{id} listens at {host}:{port}   data {}\n", data.display()));
            }
            console::listen(&hand, nodes);
        });
        outcome.map_err(|error| output.fail(exit_of(&error), &error.to_string()))?;
        Ok(Exit::Ok)
    }

    /// What stands on the screen once the cluster serves: what it is, how to reach it, what is not done.
    fn head<'a>(
        scenario: &'a Scenario,
        data: &'a Path,
        not_done: &'a [String],
    ) -> impl Fn(&str) -> String + 'a {
        move |bootstrap| {
            let first = bootstrap.split(',').next().unwrap_or(bootstrap);
            let (brokers, controllers) = (scenario.topology.brokers, scenario.topology.controllers);
            let mut text = format!(
                "real time and real sockets: nothing below repeats\n{}   {controllers} controllers, {brokers} \
                 brokers   bootstrap.servers={bootstrap}\n  data  {}\n  try   kcat -b {first} -L   or type help\n",
                scenario.name,
                data.display()
            );
            for line in not_done {
                text.push_str(&format!("  not done   {line}\n"));
            }
            text
        }
    }

    fn say(quiet: bool, text: &str) {
        if !quiet {
            // Whoever has stopped listening does not end a cluster.
            let mut out = anstream::stdout().lock();
            let _ = std::io::Write::write_all(&mut out, text.as_bytes());
            let _ = std::io::Write::flush(&mut out);
        }
    }

    fn exit_of(error: &command::CommandError) -> Exit {
        match error {
            command::CommandError::Start(_) => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    /// The scenario, with what a nemesis draws written out.
    fn scenario_of(it: &Serve, output: &mut Output) -> Result<Scenario, Exit> {
        let Some(file) = &it.file else { return Ok(three_and_three()) };
        let mut scenario = input::load(file, &[], output)?.scenario;
        if let Some(name) = &it.nemesis {
            nemesis::put(&mut scenario, name).map_err(|why| output.fail(Exit::Usage, &why))?;
        }
        let seed = it.seed.map(|seed| seed.0).or(scenario.seed).unwrap_or(Seed(1));
        scenario.seed = Some(seed);
        Ok(written_out(&scenario, seed.0))
    }

    /// What is served if nobody says.
    fn three_and_three() -> Scenario {
        let text = r#"{ "version": 1, "name": "trial", "topology": { "controllers": 3, "brokers": 3 },
                        "phases": { "chaos": "1s", "settle": "1s" }, "expect": "pass" }"#;
        scenario::load(text, &[]).expect("it is a scenario")
    }

    fn layout(scenario: &Scenario, place: &Placed, output: &mut Output) -> Result<Layout, Exit> {
        let address = place.listen.rsplit_once(':');
        let address = address.and_then(|(host, port)| Some((host.to_owned(), port.parse::<u16>().ok()?)));
        let (host, port) = address.ok_or_else(|| {
            output.fail(Exit::Usage, &format!("--listen {}: expected HOST:PORT", place.listen))
        })?;
        let metrics = place.metrics.as_deref().map(metrics_address).transpose();
        let metrics = metrics.map_err(|why| output.fail(Exit::Usage, &format!("--metrics {why}")))?;
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
            metrics,
            ..Layout::of(0, 0)
        })
    }

    /// The scenario as it is served: with a first election that whoever starts a cluster need not wait for, unless it
    /// says for how long.
    fn served(mut scenario: Scenario) -> Scenario {
        let (key, value) = SERVED;
        scenario.topology.controller_config.entry(key.into()).or_insert_with(|| Setting(value.into()));
        scenario
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
}
