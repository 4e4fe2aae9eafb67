//! How much of what does a node have at a moment?

use std::collections::BTreeMap;

use prometheus::{IntGaugeVec, Opts, Registry};
use trial_model::{broker::Broker, controller::Controller, node::Node, quorum::Quorum, units::NodeId};

use super::put;

/// What a node has, as gauges tell it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    gauges: Vec<(&'static str, i64)>,
    logs: Vec<(String, u32, [i64; 4])>,
}

/// What is told of every log.
const OF_LOGS: [&str; 4] = [
    "kafka_log_log_size",
    "kafka_log_log_logstartoffset",
    "kafka_log_log_logendoffset",
    "kafka_log_log_numlogsegments",
];

const HELP: [(&str, &str); 20] = [
    ("kafka_log_log_size", "Bytes of a log."),
    ("kafka_log_log_logstartoffset", "Where a log begins."),
    ("kafka_log_log_logendoffset", "Where a log ends."),
    ("kafka_log_log_numlogsegments", "Segments of a log."),
    ("kafka_server_replicamanager_partitioncount", "Replicas of a broker."),
    ("kafka_server_replicamanager_leadercount", "Partitions that a broker leads."),
    (
        "kafka_server_replicamanager_underreplicatedpartitions",
        "Of these, those with fewer in sync than replicas.",
    ),
    (
        "kafka_server_replicamanager_underminisrpartitioncount",
        "Of these, those with fewer in sync than min.insync.replicas.",
    ),
    ("kafka_server_replicamanager_atminisrpartitioncount", "Of these, those with just as many."),
    ("kafka_controller_kafkacontroller_activecontrollercount", "1 for the active controller."),
    ("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster."),
    ("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions of the cluster."),
    ("kafka_controller_kafkacontroller_offlinepartitionscount", "Of these, those without a leader."),
    (
        "kafka_controller_kafkacontroller_preferredreplicaimbalancecount",
        "Of these, those with another leader than the preferred.",
    ),
    ("kafka_controller_kafkacontroller_activebrokercount", "Brokers that may lead."),
    ("kafka_controller_kafkacontroller_fencedbrokercount", "Brokers that may not."),
    ("kafka_server_raft_metrics_current_epoch", "The quorum's epoch."),
    ("kafka_server_raft_metrics_current_leader", "Who leads the quorum, by number; -1 for nobody."),
    ("kafka_server_raft_metrics_high_watermark", "Up to where the metadata is committed."),
    ("kafka_server_raft_metrics_log_end_offset", "Where the metadata's log ends."),
];

impl Sample {
    /// What a node has now; a client has nothing.
    pub(super) fn of(node: &Node) -> Sample {
        let mut sample = Sample::default();
        match node {
            Node::Broker(broker) => sample.broker(broker),
            Node::Controller(controller) => sample.controller(controller),
            _ => {}
        }
        sample
    }

    fn broker(&mut self, broker: &Broker) {
        let image = broker.image();
        let (mut all, mut led, mut under, mut under_min, mut at_min) = (0, 0, 0, 0, 0);
        for replica in broker.replicas() {
            all += 1;
            if let Some(isr) = replica.isr().map(|isr| isr.committed().len()) {
                let wanted = image.partition(replica.id()).map_or(0, |state| state.replicas.len());
                let least = (replica.min_isr as usize).min(wanted);
                led += 1;
                under += i64::from(isr < wanted);
                under_min += i64::from(isr < least);
                at_min += i64::from(isr == least);
            }
            let log = &replica.log;
            let segments = log.segments().count();
            let topic =
                image.topic(replica.id().topic).map(|topic| topic.name.to_string()).unwrap_or_default();
            let told =
                [signed(log.size()), signed(log.start().0), signed(log.end().0), signed(segments as u64)];
            self.logs.push((topic, replica.id().partition, told));
        }
        self.gauges.extend([
            ("kafka_server_replicamanager_partitioncount", all),
            ("kafka_server_replicamanager_leadercount", led),
            ("kafka_server_replicamanager_underreplicatedpartitions", under),
            ("kafka_server_replicamanager_underminisrpartitioncount", under_min),
            ("kafka_server_replicamanager_atminisrpartitioncount", at_min),
        ]);
    }

    fn controller(&mut self, controller: &Controller) {
        let (image, _) = controller.image();
        let partitions = || image.topics().flat_map(|(_, topic)| &topic.partitions);
        let count = |many: usize| signed(many as u64);
        let active = image.brokers().filter(|(_, broker)| !broker.fenced).count();
        self.gauges.extend([
            ("kafka_controller_kafkacontroller_activecontrollercount", i64::from(controller.is_active())),
            ("kafka_controller_kafkacontroller_globaltopiccount", count(image.topics().len())),
            ("kafka_controller_kafkacontroller_globalpartitioncount", count(partitions().count())),
            (
                "kafka_controller_kafkacontroller_offlinepartitionscount",
                count(partitions().filter(|it| it.leader.is_none()).count()),
            ),
            (
                "kafka_controller_kafkacontroller_preferredreplicaimbalancecount",
                count(partitions().filter(|it| it.leader != it.preferred()).count()),
            ),
            ("kafka_controller_kafkacontroller_activebrokercount", count(active)),
            ("kafka_controller_kafkacontroller_fencedbrokercount", count(image.brokers().len() - active)),
        ]);
        self.quorum(controller.quorum());
    }

    fn quorum(&mut self, quorum: &Quorum) {
        let leader = quorum.leader().map_or(-1, |leader| i64::from(leader.nth()));
        self.gauges.extend([
            ("kafka_server_raft_metrics_current_epoch", i64::from(quorum.epoch().0)),
            ("kafka_server_raft_metrics_current_leader", leader),
            ("kafka_server_raft_metrics_high_watermark", signed(quorum.high_watermark().0)),
            ("kafka_server_raft_metrics_log_end_offset", signed(quorum.log_end().0)),
        ]);
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn help(name: &str) -> &'static str {
    HELP.iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help)
}

/// The gauges of all nodes, for one look.
pub(super) fn gauges(samples: &BTreeMap<NodeId, Sample>) -> Registry {
    let registry = Registry::new();
    let mut made: BTreeMap<&'static str, IntGaugeVec> = BTreeMap::new();
    for (node, sample) in samples {
        let node = node.to_string();
        for (name, value) in &sample.gauges {
            let gauge = made
                .entry(name)
                .or_insert_with(|| put(&registry, IntGaugeVec::new(Opts::new(*name, help(name)), &["node"])));
            gauge.with_label_values(&[&node]).set(*value);
        }
        for (topic, partition, told) in &sample.logs {
            let partition = partition.to_string();
            for (name, value) in OF_LOGS.iter().zip(told) {
                let gauge = made.entry(name).or_insert_with(|| {
                    let labels = &["node", "topic", "partition"];
                    put(&registry, IntGaugeVec::new(Opts::new(*name, help(name)), labels))
                });
                gauge.with_label_values(&[&node, topic, &partition]).set(*value);
            }
        }
    }
    registry
}
