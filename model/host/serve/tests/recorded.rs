//! Is a cluster on real sockets judged by the checks, and is a loss seen?
//!
//! The model's own clients work here: they tell what they were told, as in a simulation.

mod client;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use client::brisk;
use trial::{
    Scenario,
    director::workload::Staff,
    recording::{self, Judged, Recording},
    scenario,
    world_event::{Phase, Stop, WorldEvent},
};
use trial_model::{
    client::{Command, NewRecord},
    config::{AutoOffsetReset, ConsumerConfig, ProducerConfig},
    event::{Event, RecordTag},
    node::Role,
    protocol::{NamedPartition, topics::NewTopic},
    units::NodeId,
};
use trial_serve::{Act, Cluster, Happened, Watch};

type Tested<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PRODUCER: NodeId = NodeId::client(1);
const CONSUMER: NodeId = NodeId::client(2);

fn lab(brokers: u32) -> Tested<Scenario> {
    let text = format!(
        r#"{{ "version": 1, "name": "lab",
             "topology": {{ "controllers": 1, "brokers": {brokers},
                            "broker_config": {{ "broker.heartbeat.interval.ms": 100, "broker.session.timeout.ms": 1000 }},
                            "controller_config": {{ "broker.session.timeout.ms": 1000 }},
                            "topics": [ {{ "name": "orders", "replication": {brokers} }} ] }},
             "workload": [ {{ "producer": {{ "name": "p1", "topic": "orders", "rate": "1/s" }} }},
                           {{ "consumer": {{ "name": "c1", "topic": "orders" }} }} ],
             "phases": {{ "chaos": "2s", "settle": "2s" }}, "expect": "pass" }}"#
    );
    scenario::load(&text, &[]).map_err(|problems| format!("{problems:?}").into())
}

/// A cluster that is recorded, with clients.
struct Lab {
    cluster: Cluster,
    record: Arc<Recording>,
    acked: Arc<AtomicU64>,
    delivered: Arc<AtomicU64>,
    sent: u64,
}

impl Lab {
    async fn begin(data: &Path, dir: &Path, brokers: u32) -> Tested<Lab> {
        let scenario = lab(brokers)?;
        let record = Arc::new(Recording::begin(dir, &scenario)?);
        let mut layout = brisk(brokers, 1);
        layout.topics = vec![NewTopic {
            name: "orders".into(),
            partitions: 1,
            replication_factor: u16::try_from(brokers)?,
            assignment: Vec::new(),
            config: Vec::new(),
        }];
        let reads = || {
            Role::Consumer(ConsumerConfig {
                auto_offset_reset: AutoOffsetReset::Earliest,
                ..Default::default()
            })
        };
        let Staff { auditor, prober, .. } = Staff::HIRED;
        layout.clients.extend([(PRODUCER, Role::Producer(ProducerConfig::default())), (CONSUMER, reads())]);
        layout.clients.extend([(prober, Role::Producer(ProducerConfig::default())), (auditor, reads())]);
        let (acked, delivered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (of_acks, of_reads) = (Arc::clone(&acked), Arc::clone(&delivered));
        let (given, stepped, lives) = (Arc::clone(&record), Arc::clone(&record), Arc::clone(&record));
        let watch = Watch::new(move |node, event| match event {
            Event::RecordAcked { .. } => drop(of_acks.fetch_add(1, Ordering::SeqCst)),
            Event::Delivered { .. } if node == CONSUMER => drop(of_reads.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        });
        let watch = watch
            .steps(
                move |node, input| given.given(node, input),
                move |node, events| stepped.stepped(node, events),
            )
            .lives(move |node, what| lives.world(told(node, what)));
        record.world(WorldEvent::PhaseBegan(Phase::Chaos));
        let cluster = Cluster::start(layout, data, watch)?;
        cluster.ready().await?;
        let mut lab = Lab { cluster, record, acked, delivered, sent: 0 };
        lab.start(PRODUCER).await?;
        lab.reader(CONSUMER).await?;
        Ok(lab)
    }

    async fn start(&mut self, node: NodeId) -> Tested {
        self.cluster.act(Act::Restart(node)).await?;
        Ok(())
    }

    async fn reader(&mut self, node: NodeId) -> Tested {
        self.start(node).await?;
        let all = vec![NamedPartition { topic: "orders".into(), partition: 0 }];
        self.cluster.act(Act::Tell(node, Box::new(Command::Assign(all)))).await?;
        Ok(())
    }

    /// Sends so many records, and waits until all are acknowledged and read.
    async fn send(&mut self, by: NodeId, name: &str, many: u64) -> Tested {
        for _ in 0..many {
            let record = NewRecord {
                tag: RecordTag(self.sent),
                topic: "orders".into(),
                partition: Some(0),
                key: None,
                value: Some(format!("{name}/{:06}", self.sent).into()),
                headers: Vec::new(),
                timestamp: None,
            };
            self.sent += 1;
            self.cluster.act(Act::Tell(by, Box::new(Command::Send(record)))).await?;
        }
        let (sent, began) = (self.sent, Instant::now());
        while self.acked.load(Ordering::SeqCst) < sent || self.delivered.load(Ordering::SeqCst) < sent {
            if began.elapsed() > Duration::from_secs(60) {
                let (acked, read) =
                    (self.acked.load(Ordering::SeqCst), self.delivered.load(Ordering::SeqCst));
                return Err(format!("of {sent} records {acked} are acknowledged and {read} read").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Leaves the cluster in peace, has everything written to and read, and ends.
    async fn end(mut self, dir: &Path) -> Tested<Judged> {
        self.record.world(WorldEvent::PhaseBegan(Phase::Settle));
        self.send(PRODUCER, "p1", 1).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.record.world(WorldEvent::PhaseBegan(Phase::Audit));
        let Staff { auditor, prober, .. } = Staff::HIRED;
        self.start(prober).await?;
        self.reader(auditor).await?;
        self.send(prober, "prober", 1).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.record.end()?;
        self.cluster.shut_down().await;
        let (_, judged) = recording::judge(dir, &mut []).map_err(|why| format!("{why:?}"))?;
        Ok(judged)
    }
}

fn told(node: NodeId, what: Happened) -> WorldEvent {
    match what {
        Happened::Started => WorldEvent::NodeStarted { node },
        Happened::Paused => WorldEvent::Paused { node },
        Happened::Resumed => WorldEvent::Resumed { node },
        _ => WorldEvent::NodeStopped { node, how: Stop::Crash, lost_disk: false },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_and_its_clients_are_recorded_and_keep_every_promise() -> Tested {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut lab = Lab::begin(data.path(), dir.path(), 3).await?;
    lab.send(PRODUCER, "p1", 50).await?;
    for broker in [1, 2] {
        lab.cluster.act(Act::Crash(NodeId::broker(broker))).await?;
        lab.send(PRODUCER, "p1", 20).await?;
        lab.cluster.act(Act::Restart(NodeId::broker(broker))).await?;
        lab.send(PRODUCER, "p1", 20).await?;
    }
    let judged = lab.end(dir.path()).await?;
    assert!(judged.violations.is_empty(), "{:#?}", judged.violations);
    assert!(judged.rested && judged.clients && !judged.torn && judged.checks >= 60, "{judged:?}");
    assert!(Recording::begin(dir.path(), &lab_of_three()?).is_err(), "the directory is taken");
    Ok(())
}

fn lab_of_three() -> Tested<Scenario> {
    lab(3)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_seen() -> Tested {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let mut lab = Lab::begin(data.path(), dir.path(), 1).await?;
    lab.send(PRODUCER, "p1", 50).await?;
    lab.cluster.act(Act::Crash(NodeId::broker(1))).await?;
    // Somebody cuts off half of the log behind the dead broker's back.
    let log = segment(&data.path().join("broker-1"))?;
    let file = std::fs::OpenOptions::new().write(true).open(&log)?;
    file.set_len(file.metadata()?.len() / 2)?;
    lab.start(NodeId::broker(1)).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    lab.record.end()?;
    lab.cluster.shut_down().await;
    let (_, judged) = recording::judge(dir.path(), &mut []).map_err(|why| format!("{why:?}"))?;
    let seen: Vec<&str> = judged.violations.iter().map(|it| it.check).collect();
    assert!(seen.contains(&"recovery_keeps_flushed"), "{:#?}", judged.violations);
    Ok(())
}

/// The only segment of the only log of a topic that has something in it.
fn segment(home: &Path) -> Tested<PathBuf> {
    for entry in std::fs::read_dir(home)? {
        let path = entry?.path().join("00000000000000000000.log");
        let of_topic = path.to_string_lossy().contains("topic#");
        if of_topic && path.metadata().is_ok_and(|about| about.len() > 0) {
            return Ok(path);
        }
    }
    Err("there is no log".into())
}
