//! Is what a cluster does counted, under Kafka's names?

mod client;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use client::{Client, Tested, batch, brisk};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trial_model::{protocol::produce::Acks, units::NodeId};
use trial_serve::{Act, Cluster, Watch};

async fn get(address: SocketAddr, path: &str) -> Tested<(String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("a head and a body")?;
    Ok((head.to_owned(), body.to_owned()))
}

/// Every sample by its name and labels.
async fn scrape(address: SocketAddr) -> Tested<BTreeMap<String, f64>> {
    let (head, body) = get(address, "/metrics").await?;
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain; version=0.0.4"), "{head}");
    let mut samples = BTreeMap::new();
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').ok_or("a name and a value")?;
        assert!(samples.insert(name.to_owned(), value.parse()?).is_none(), "{name} is told twice");
    }
    Ok(samples)
}

/// The sum over all nodes of a metric, whatever other labels it has.
fn sum(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    let named = |key: &&String| key.split('{').next() == Some(name);
    samples.keys().filter(named).filter_map(|key| samples.get(key)).sum()
}

async fn until(address: SocketAddr, what: &str, holds: impl Fn(&BTreeMap<String, f64>) -> bool) -> Tested {
    for _ in 0..200 {
        if holds(&scrape(address).await?) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("{what}: {:#?}", scrape(address).await?).into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cluster_does_is_counted_under_kafkas_names() -> Tested {
    let data = tempfile::tempdir()?;
    let mut layout = brisk(3, 1);
    layout.metrics = Some(([127, 0, 0, 1], 0).into());
    let mut cluster = Cluster::start(layout, data.path(), Watch::default())?;
    cluster.ready().await?;
    let address = cluster.metrics().ok_or("metrics are told")?;
    let mut client = Client::new(&cluster.bootstrap());
    client.create_topic("orders", 1, 3).await?;
    let leader = client.leader_of("orders", 3).await?;
    client.produce("orders", Acks::All, batch(&["a", "b"])).await?;
    client.produce("orders", Acks::All, batch(&["c"])).await?;
    assert_eq!(client.read_all("orders").await?, ["a", "b", "c"]);

    let log_end = format!("kafka_log_log_logendoffset{{node=\"{leader}\",partition=\"0\",topic=\"orders\"}}");
    until(address, "the log's end", |now| now.get(&log_end) == Some(&3.0)).await?;
    let now = scrape(address).await?;
    let of = |name: &str, labels: &str| now.get(&format!("{name}{{{labels}}}")).copied().unwrap_or(f64::NAN);
    let topic = format!("node=\"{leader}\",topic=\"orders\"");
    assert_eq!(of("kafka_server_brokertopicmetrics_messagesin_total", &topic), 3.0);
    assert_eq!(of("kafka_server_brokertopicmetrics_totalproducerequests_total", &topic), 2.0);
    let bytes = of("kafka_server_brokertopicmetrics_bytesin_total", &topic);
    assert!(bytes > 130.0, "two batches: {bytes}");
    assert_eq!(
        of("kafka_server_brokertopicmetrics_bytesout_total", &topic),
        bytes,
        "all of it was read once"
    );
    let replicated = sum(&now, "kafka_server_brokertopicmetrics_replicationbytesout_total");
    assert!(replicated >= 2.0 * bytes, "by two followers: {replicated}");
    let produce = format!("node=\"{leader}\",request=\"Produce\"");
    assert_eq!(of("kafka_network_requestmetrics_totaltimems_count", &produce), 2.0);
    assert_eq!(of("kafka_network_requestmetrics_requests_total", &format!("{produce},version=\"11\"")), 2.0);
    assert!(
        of("kafka_log_log_size", &format!("node=\"{leader}\",partition=\"0\",topic=\"orders\"")) >= bytes
    );
    assert!(of("kafka_server_socket_server_metrics_connection_count", &format!("node=\"{leader}\"")) >= 3.0);

    // Gauges are as old as a second.
    let sums = |name: &'static str, value: f64| move |now: &BTreeMap<String, f64>| sum(now, name) == value;
    until(address, "active", sums("kafka_controller_kafkacontroller_activecontrollercount", 1.0)).await?;
    until(address, "whole", sums("kafka_server_replicamanager_underreplicatedpartitions", 0.0)).await?;

    // A follower dies, and comes back.
    let follower = (1..=3).map(NodeId::broker).find(|node| *node != leader).ok_or("there are three")?;
    cluster.act(Act::Crash(follower)).await?;
    until(address, "under", sums("kafka_server_replicamanager_underreplicatedpartitions", 1.0)).await?;
    until(address, "shrunk", sums("kafka_server_replicamanager_isrshrinks_total", 1.0)).await?;
    until(address, "fenced", sums("kafka_controller_kafkacontroller_fencedbrokercount", 1.0)).await?;
    let partitions = scrape(address).await?;
    let gone = format!("kafka_server_replicamanager_partitioncount{{node=\"{follower}\"}}");
    assert!(!partitions.contains_key(&gone), "who is dead has nothing");
    cluster.act(Act::Restart(follower)).await?;
    until(address, "expanded", sums("kafka_server_replicamanager_isrexpands_total", 1.0)).await?;
    cluster.act(Act::Crash(leader)).await?;
    let elected = "kafka_controller_controllerstats_leaderelectionrateandtimems_count";
    until(address, "elected", |now| sum(now, elected) >= 1.0).await?;

    assert!(get(address, "/").await?.0.starts_with("HTTP/1.1 404"));
    let mut hostile = TcpStream::connect(address).await?;
    let _ = hostile.write_all(&[b'x'; 20_000]).await;
    assert!(get(address, "/metrics").await.is_ok());
    assert!(cluster.shut_down().await);
    Ok(())
}
