//! Is everything acknowledged read back exactly once, in order, however often nodes are killed?
//!
//! Six processes, a client with acks=all and idempotence, and kill -9 of one or two of them at random, round
//! after round. `TRIAL_ROUNDS` says how many (10), `TRIAL_SEED` repeats which were killed.

mod client;

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use client::{Client, Tested, stamped};
use trial_model::{
    log::batch::ProducerStamp,
    protocol::{Request, Response, produce::Acks, producer_ids::InitProducerIdRequest},
    rng::Rng,
    units::{RecordCount, Sequence},
};

const NODES: [&str; 6] = ["broker-1", "broker-2", "broker-3", "controller-1", "controller-2", "controller-3"];

struct Processes<'a> {
    port: u16,
    data: &'a Path,
    running: Vec<Option<Child>>,
}

impl Processes<'_> {
    fn start(&mut self, nth: usize) -> Tested {
        let child = Command::new(env!("CARGO_BIN_EXE_trial-node"))
            .args(["--node", NODES[nth], "--listen", &format!("127.0.0.1:{}", self.port), "--data"])
            .arg(self.data)
            .args(["--set", "broker.session.timeout.ms=1000", "--set", "broker.heartbeat.interval.ms=100"])
            .args(["--set", "min.insync.replicas=2", "--set", "log.segment.bytes=4096"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        self.running[nth] = Some(child);
        Ok(())
    }

    /// Kill -9, and what is left of the process is gone.
    fn kill(&mut self, nth: usize) -> Tested {
        if let Some(mut child) = self.running[nth].take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Processes<'_> {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port from which on there are six that are free, below those that the system gives to clients.
fn free_ports(rng: &mut Rng) -> Tested<u16> {
    for _ in 0..100 {
        let port = 15_000 + u16::try_from(rng.next_u64() % 15_000)?;
        let all: Vec<_> = (0..6).map_while(|nth| TcpListener::bind(("127.0.0.1", port + nth)).ok()).collect();
        if all.len() == 6 {
            return Ok(port);
        }
    }
    Err("no free ports".into())
}

fn number(variable: &str, otherwise: u64) -> Tested<u64> {
    match std::env::var(variable) {
        Ok(text) => Ok(text.parse()?),
        Err(_) => Ok(otherwise),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_read_back_exactly_once() -> Tested {
    let rounds = number("TRIAL_ROUNDS", 10)?;
    let seed = number("TRIAL_SEED", u64::from(std::process::id()))?;
    println!("TRIAL_SEED={seed} TRIAL_ROUNDS={rounds}");
    let mut rng = Rng::named(seed, "kill-nine");
    let data = tempfile::tempdir()?;
    let port = free_ports(&mut rng)?;
    let running = NODES.iter().map(|_| None).collect();
    let mut processes = Processes { port, data: data.path(), running };
    for nth in 0..NODES.len() {
        processes.start(nth)?;
    }
    let bootstrap = format!("127.0.0.1:{port},127.0.0.1:{},127.0.0.1:{}", port + 1, port + 2);
    let mut client = Client::new(&bootstrap);
    client.create_topic("orders", 1, 3).await?;
    client.leader_of("orders", 3).await?;
    let init = Request::InitProducerId(InitProducerIdRequest { current: None });
    let Response::InitProducerId(identity) = client.ask_anybody(&init).await? else {
        return Err("another answer".into());
    };
    let (id, epoch) = identity.result.map_err(|error| error.name())?;

    let mut base_sequence = Sequence(0);
    let mut sent: Vec<String> = Vec::new();
    for round in 0..rounds {
        let first = usize::try_from(rng.next_u64() % 6)?;
        let second = usize::try_from(rng.next_u64() % 6)?;
        for batch in 0..20u64 {
            match batch {
                4 => processes.kill(first)?,
                8 if rng.next_u64().is_multiple_of(2) => processes.kill(second)?,
                12 => {
                    tokio::time::sleep(Duration::from_millis(rng.next_u64() % 1_500)).await;
                    for nth in 0..NODES.len() {
                        if processes.running[nth].is_none() {
                            processes.start(nth)?;
                        }
                    }
                }
                _ => {}
            }
            // Two brokers killed are too few for acks=all, two controllers for electing a leader: the client
            // would wait for what only we can bring back.
            if (8..12).contains(&batch) && processes.running.iter().filter(|it| it.is_none()).count() > 1 {
                continue;
            }
            let values: Vec<String> = (0..3).map(|n| format!("{round}/{batch}/{n}")).collect();
            let texts: Vec<&str> = values.iter().map(String::as_str).collect();
            let stamp = ProducerStamp { id, epoch, base_sequence };
            let at = client.produce("orders", Acks::All, stamped(&texts, Some(stamp))).await?;
            assert_eq!(at.0, sent.len() as u64, "round {round}: the offset that was acknowledged");
            base_sequence = base_sequence.plus(RecordCount(3));
            sent.extend(values);
        }
    }
    let read = client.read_all("orders").await?;
    println!("{} records acknowledged, {} read back", sent.len(), read.len());
    assert!(read == sent, "sent {} and read {}", sent.len(), read.len());
    Ok(())
}
