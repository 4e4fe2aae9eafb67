//! What is counted of nodes, under which of Kafka's names?
//!
//! The names are those that Prometheus' JMX exporter makes of Kafka's MBeans with Kafka's usual rules:
//! `kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec` is
//! `kafka_server_brokertopicmetrics_messagesin_total`. Every one has the label `node`, since a process may
//! hold several. Latencies are histograms, where the exporter makes quantiles of them.

mod http;
mod meter;
mod names;
mod sample;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};
use trial_model::units::NodeId;

pub(crate) use http::serve;
pub(crate) use meter::{Asking, Meter, Traffic};
use sample::Sample;

/// In milliseconds, as Kafka counts.
const BUCKETS: [f64; 15] =
    [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 4_096.0, 30_000.0];

/// What is counted of the nodes of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    total_time: HistogramVec,
    messages_in: IntCounterVec,
    bytes_in: IntCounterVec,
    bytes_out: IntCounterVec,
    replication_bytes_in: IntCounterVec,
    replication_bytes_out: IntCounterVec,
    produce_requests: IntCounterVec,
    fetch_requests: IntCounterVec,
    failed_produce: IntCounterVec,
    failed_fetch: IntCounterVec,
    isr_shrinks: IntCounterVec,
    isr_expands: IntCounterVec,
    failed_isr_updates: IntCounterVec,
    elections: IntCounterVec,
    unclean_elections: IntCounterVec,
    socket_in: IntCounterVec,
    socket_out: IntCounterVec,
    connections_created: IntCounterVec,
    connections_closed: IntCounterVec,
    connections: IntGaugeVec,
    samples: Mutex<BTreeMap<NodeId, Sample>>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let registry = Registry::new();
        let counter =
            |name, help, labels: &[&str]| put(&registry, IntCounterVec::new(Opts::new(name, help), labels));
        let node = &["node"][..];
        let topic = &["node", "topic"][..];
        let time = HistogramOpts::new(
            "kafka_network_requestmetrics_totaltimems",
            "Milliseconds from a request's last byte to its answer's.",
        );
        let time = time.buckets(BUCKETS.to_vec());
        let connections =
            Opts::new("kafka_server_socket_server_metrics_connection_count", "Connections that are open.");
        Metrics {
            requests: counter(
                "kafka_network_requestmetrics_requests_total",
                "Requests.",
                &["node", "request", "version"],
            ),
            total_time: put(&registry, HistogramVec::new(time, &["node", "request"])),
            messages_in: counter(
                "kafka_server_brokertopicmetrics_messagesin_total",
                "Records that leaders appended.",
                topic,
            ),
            bytes_in: counter(
                "kafka_server_brokertopicmetrics_bytesin_total",
                "Bytes of batches that clients sent.",
                topic,
            ),
            bytes_out: counter(
                "kafka_server_brokertopicmetrics_bytesout_total",
                "Bytes of batches that clients were given.",
                topic,
            ),
            replication_bytes_in: counter(
                "kafka_server_brokertopicmetrics_replicationbytesin_total",
                "Bytes of batches that followers were given by their leaders.",
                node,
            ),
            replication_bytes_out: counter(
                "kafka_server_brokertopicmetrics_replicationbytesout_total",
                "Bytes of batches that leaders gave to followers.",
                node,
            ),
            produce_requests: counter(
                "kafka_server_brokertopicmetrics_totalproducerequests_total",
                "Produce requests, each counted once a partition.",
                topic,
            ),
            fetch_requests: counter(
                "kafka_server_brokertopicmetrics_totalfetchrequests_total",
                "Fetch requests of clients, each counted once a partition.",
                topic,
            ),
            failed_produce: counter(
                "kafka_server_brokertopicmetrics_failedproducerequests_total",
                "Partitions of Produce requests that were answered with an error.",
                topic,
            ),
            failed_fetch: counter(
                "kafka_server_brokertopicmetrics_failedfetchrequests_total",
                "Partitions of Fetch requests that were answered with an error.",
                topic,
            ),
            isr_shrinks: counter(
                "kafka_server_replicamanager_isrshrinks_total",
                "ISRs that leaders have had shrunk.",
                node,
            ),
            isr_expands: counter(
                "kafka_server_replicamanager_isrexpands_total",
                "ISRs that leaders have had grown.",
                node,
            ),
            failed_isr_updates: counter(
                "kafka_server_replicamanager_failedisrupdates_total",
                "Proposals of leaders for another ISR that came to nothing.",
                node,
            ),
            elections: counter(
                "kafka_controller_controllerstats_leaderelectionrateandtimems_count",
                "Partitions that the active controller has given another leader.",
                node,
            ),
            unclean_elections: counter(
                "kafka_controller_controllerstats_uncleanleaderelections_total",
                "Of these, to one that was not known to have everything.",
                node,
            ),
            socket_in: counter(
                "kafka_server_socket_server_metrics_incoming_byte_total",
                "Bytes of requests.",
                node,
            ),
            socket_out: counter(
                "kafka_server_socket_server_metrics_outgoing_byte_total",
                "Bytes of answers.",
                node,
            ),
            connections_created: counter(
                "kafka_server_socket_server_metrics_connection_creation_total",
                "Connections that were opened.",
                node,
            ),
            connections_closed: counter(
                "kafka_server_socket_server_metrics_connection_close_total",
                "Connections that were closed.",
                node,
            ),
            connections: put(&registry, IntGaugeVec::new(connections, node)),
            samples: Mutex::default(),
            registry,
        }
    }
}

/// Registers what was just made. Every name stands here once, and is a name by Prometheus' rules.
fn put<T: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<T>) -> T {
    let made = made.expect("a metric with a right name");
    registry.register(Box::new(made.clone())).expect("a metric with a name of its own");
    made
}

impl Metrics {
    fn samples(&self) -> MutexGuard<'_, BTreeMap<NodeId, Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a node has now.
    fn sampled(&self, node: NodeId, sample: Sample) {
        self.samples().insert(node, sample);
    }

    /// A node has ended: what it had is told no more. What it has done stays counted.
    pub(crate) fn gone(&self, node: NodeId) {
        self.samples().remove(&node);
    }

    /// Everything, in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut families = self.registry.gather();
        families.extend(sample::gauges(&self.samples()).gather());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

/// Where metrics are asked for, by its address; a port alone is one of this machine.
///
/// Refuses what is neither `PORT` nor `HOST:PORT`.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs;
    let text = text.strip_prefix(':').unwrap_or(text);
    let (host, port) = text.rsplit_once(':').unwrap_or(("127.0.0.1", text));
    let port: u16 = port.parse().map_err(|_| format!("`{text}`: expected PORT or HOST:PORT"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = (host, port).to_socket_addrs().map_err(|error| format!("`{host}`: {error}"))?.next();
    found.ok_or_else(|| format!("`{host}` has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine() {
        assert_eq!(address("9404"), Ok(([127, 0, 0, 1], 9404).into()));
        assert_eq!(address(":9404"), address("9404"));
        assert_eq!(address("0.0.0.0:1"), Ok(([0, 0, 0, 0], 1).into()));
        assert_eq!(address("[::1]:1").map(|address| address.is_ipv6()), Ok(true));
        assert!(address("here").is_err() && address("localhost:").is_err() && address("70000").is_err());
    }
}
