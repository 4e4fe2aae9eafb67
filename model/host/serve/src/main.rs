//! The command `trial-node`: one node, or a small cluster, without the simulator around it. `trial serve` and
//! `trial node` are this with a scenario.

use std::{path::PathBuf, process::ExitCode};

use trial_model::units::NodeId;
use trial_serve::{
    Layout, Watch,
    command::{self, Hand, Means},
    console, metrics_address,
};

const USAGE: &str = "\
usage: trial-node [--brokers N] [--controllers N] [--listen HOST:PORT] [--data DIR] [--node NAME] [--set KEY=VALUE]
                  [--metrics ADDRESS]

  --brokers N         how many brokers the cluster has (3)
  --controllers N     how many controllers (3)
  --listen HOST:PORT  the first broker's address (127.0.0.1:9092); the others' ports follow
  --data DIR          where every node has a directory
  --node NAME         run only this one, such as broker-2; otherwise all in one process
  --set KEY=VALUE     a setting of the brokers and controllers that have it
  --metrics ADDRESS   where Prometheus may ask, at /metrics: PORT of this machine alone, or HOST:PORT

While it runs it takes commands from its standard input, such as crash broker-1: type help.";

struct Arguments {
    layout: Layout,
    data: PathBuf,
    only: Option<NodeId>,
}

fn number(value: &str) -> Result<u32, String> {
    value.parse().ok().filter(|n| (1..=1000).contains(n)).ok_or(format!("`{value}` is not 1 to 1000"))
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut brokers, mut controllers, mut data, mut only, mut metrics) = (3, 3, None, None, None);
    let (mut host, mut port) = ("127.0.0.1".to_owned(), 9092);
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--brokers" => brokers = number(&value)?,
            "--controllers" => controllers = number(&value)?,
            "--data" => data = Some(PathBuf::from(value)),
            "--node" => only = Some(value),
            "--metrics" => metrics = Some(metrics_address(&value)?),
            "--listen" => {
                let (left, right) = value.rsplit_once(':').ok_or("--listen needs HOST:PORT")?;
                host = left.to_owned();
                port = right.parse().map_err(|_| format!("`{right}` is not a port"))?;
            }
            "--set" => {
                let (key, value) = value.split_once('=').ok_or("--set needs KEY=VALUE")?;
                settings.push((key.to_owned(), value.to_owned()));
            }
            _ => return Err(format!("no such option: {word}")),
        }
    }
    let mut layout = Layout { host, port, metrics, ..Layout::of(brokers, controllers) };
    for (key, value) in settings {
        let mut known = Err(format!("no such setting: {key}"));
        for outcome in layout
            .brokers
            .values_mut()
            .map(|config| config.set(&key, &value))
            .chain(layout.controllers.values_mut().map(|config| config.set(&key, &value)))
            .collect::<Vec<_>>()
        {
            match outcome {
                Ok(()) => known = known.or(Ok(())),
                Err(trial_model::config::ConfigError::UnknownKey) => {}
                Err(error) => return Err(format!("{key}: {error}")),
            }
        }
        known?;
    }
    let only = only
        .map(|name| {
            let found = layout.nodes().find(|node| node.to_string() == name);
            found.ok_or_else(|| format!("there is no node `{name}`"))
        })
        .transpose()?;
    Ok(Arguments { layout, data: data.ok_or("--data is needed")?, only })
}

fn main() -> ExitCode {
    let Arguments { layout, data, only } = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let told = std::env::var_os("TRIAL_EVENTS").is_some();
    let watch = if told { Watch::new(|node, event| eprintln!("{node}: {event}")) } else { Watch::default() };
    let (hand, orders) = Hand::new();
    let means = Means { watch, orders, say: &|text| print!("{text}"), ending: &|| () };
    let nodes: Vec<NodeId> = layout.nodes().collect();
    let outcome = match only {
        Some(id) => command::node(&layout, id, &data, means, || {
            println!("{id} listens");
            console::listen(&hand, nodes);
        }),
        None => command::cluster(layout, &data, means, std::future::pending(), |bootstrap| {
            println!("bootstrap.servers={bootstrap}");
            console::listen(&hand, nodes);
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trial-node: {error}");
            ExitCode::FAILURE
        }
    }
}
