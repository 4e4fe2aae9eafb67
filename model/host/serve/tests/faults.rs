//! Does a cluster on real sockets live through what is done to it by hand?

mod client;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use client::{Client, Tested, batch, brisk};
use trial_model::{
    protocol::produce::Acks,
    units::{NodeId, Offset},
};
use trial_serve::{Act, Cluster, Ends, Layout, LinkFault, LinkFaultKind, Watch};

/// Waits until these are read: until a former leader hears that another leads it answers as it was, and a client that
/// happens to ask it is told no more.
async fn becomes(client: &mut Client, all: &[&str]) -> Tested {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let read = client.read_all("orders").await?;
        if read == all {
            return Ok(());
        }
        assert!(all.starts_with(&read.iter().map(String::as_str).collect::<Vec<_>>()), "{read:?}");
        assert!(Instant::now() < end, "{read:?} for too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn clients() -> Ends {
    Ends { clients: true, ..Ends::default() }
}

async fn link(cluster: &mut Cluster, number: u64, from: Ends, to: Ends, kind: LinkFaultKind) -> Tested {
    cluster.act(Act::Begin(number, LinkFault { from, to, kind })).await?;
    Ok(())
}

/// Three brokers, a client, and who leads the one partition of `orders`, where "a" is.
async fn led(data: &Path) -> Tested<(Cluster, Client, NodeId)> {
    let cluster = Cluster::start(brisk(3, 3), data, Watch::default())?;
    cluster.ready().await?;
    let mut client = Client::new(&cluster.bootstrap());
    client.create_topic("orders", 1, 3).await?;
    let first = client.leader_of("orders", 3).await?;
    client.produce("orders", Acks::All, batch(&["a"])).await?;
    Ok((cluster, client, first))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_is_replaced_and_comes_back() -> Tested {
    let data = tempfile::tempdir()?;
    let (mut cluster, mut client, first) = led(data.path()).await?;

    // Its clients reach it all the same, and it cannot know better.
    let others = || Ends::nodes(brisk(3, 3).nodes().filter(|node| *node != first));
    link(&mut cluster, 1, Ends::nodes([first]), others(), LinkFaultKind::Cut).await?;
    link(&mut cluster, 2, others(), Ends::nodes([first]), LinkFaultKind::Cut).await?;
    let led_by_another = async {
        loop {
            let mut others = Client::new(&without(&cluster, first));
            if others.leader("orders").await? != first {
                return Tested::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), led_by_another).await??;
    let mut others = Client::by_number(&cluster.bootstrap(), &without(&cluster, first));
    assert_eq!(others.produce("orders", Acks::All, batch(&["b"])).await?, Offset(1));

    assert_eq!(cluster.act(Act::Heal).await?, "healed");
    client.leader_of("orders", 3).await?;
    becomes(&mut client, &["a", "b"]).await?;
    assert!(cluster.shut_down().await);
    Ok(())
}

/// The addresses of all brokers but one.
fn without(cluster: &Cluster, node: NodeId) -> String {
    let all = cluster.bootstrap();
    let others = all.split(',').zip(1..).filter(|(_, nth)| NodeId::broker(*nth) != node);
    others.map(|(address, _)| address).collect::<Vec<_>>().join(",")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_is_replaced_and_goes_on() -> Tested {
    let data = tempfile::tempdir()?;
    let (mut cluster, mut client, first) = led(data.path()).await?;
    cluster.act(Act::Pause(first)).await?;
    assert!(cluster.act(Act::Pause(first)).await.is_err(), "it stands still already");
    let nth = usize::try_from(first.nth())? - 1;
    let address = cluster.bootstrap().split(',').nth(nth).ok_or("it has an address")?.to_owned();
    assert!(!answers_versions(&address).await?, "who stands still answers nothing");
    assert_eq!(client.produce("orders", Acks::All, batch(&["b"])).await?, Offset(1));
    assert_ne!(client.leader("orders").await?, first);
    cluster.act(Act::Resume(first)).await?;
    assert!(answers_versions(&address).await?);
    client.leader_of("orders", 3).await?;
    becomes(&mut client, &["a", "b"]).await?;
    assert!(cluster.shut_down().await);
    Ok(())
}

/// Whether ApiVersions, which no node is asked about, is answered within a moment.
async fn answers_versions(address: &str) -> Tested<bool> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]).await?;
    let answer = tokio::time::timeout(Duration::from_millis(500), stream.read_u32()).await;
    Ok(matches!(answer, Ok(Ok(_))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_cut_off_delayed_and_reset() -> Tested {
    let data = tempfile::tempdir()?;
    let mut cluster = Cluster::start(Layout::of(1, 1), data.path(), Watch::default())?;
    cluster.ready().await?;
    let broker = || Ends::nodes([NodeId::broker(1)]);
    let mut client = Client::new(&cluster.bootstrap());
    client.create_topic("orders", 1, 1).await?;
    client.produce("orders", Acks::All, batch(&["a"])).await?;

    let late = Duration::from_millis(300);
    link(&mut cluster, 1, clients(), broker(), LinkFaultKind::Slow(late)).await?;
    let began = Instant::now();
    client.metadata("orders").await?;
    assert!(began.elapsed() >= late, "{:?}", began.elapsed());
    cluster.act(Act::End(1)).await?;

    // What is asked over a cut comes when it is healed, and so does what is answered.
    let here = Ends { addresses: vec![[127, 0, 0, 1].into()], ..Ends::default() };
    for (number, (from, to)) in [(clients(), broker()), (broker(), here)].into_iter().enumerate() {
        link(&mut cluster, 2, from, to, LinkFaultKind::Cut).await?;
        let value = number.to_string();
        let mut asking = Box::pin(client.produce("orders", Acks::All, batch(&[&value])));
        let early = tokio::time::timeout(Duration::from_millis(500), &mut asking).await;
        assert!(early.is_err(), "nothing gets through");
        cluster.act(Act::Heal).await?;
        asking.await?;
    }
    assert_eq!(client.read_all("orders").await?, ["a", "0", "1"]);

    use tokio::io::AsyncReadExt;
    let mut stream = tokio::net::TcpStream::connect(cluster.bootstrap()).await?;
    // Once it is answered it is known.
    client.metadata("orders").await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.act(Act::Reset(broker(), clients())).await?;
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0])).await?;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert!(cluster.shut_down().await);
    Ok(())
}

/// What is typed to a process, and everything that it says.
fn typed(arguments: &[&str], lines: &str) -> Tested<(std::process::ExitStatus, String)> {
    let data = tempfile::tempdir()?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_trial-node"))
        .args(arguments)
        .arg("--data")
        .arg(data.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(child.stdout.take().ok_or("it speaks")?);
    let mut all = String::new();
    // It listens once it has said that it is ready.
    said.read_line(&mut all)?;
    let mut hear = child.stdin.take().ok_or("it hears")?;
    hear.write_all(lines.as_bytes())?;
    hear.flush()?;
    while said.read_line(&mut all)? > 0 {}
    drop(hear);
    Ok((child.wait()?, all))
}

#[test]
fn a_cluster_takes_commands() -> Tested {
    let lines =
        "crsh broker-1\ncrash broker-2\ncrash broker-2\npause controller-1\nstatus\nheal\n2\nstatus\nquit\n";
    let (status, said) = typed(&["--brokers", "2", "--controllers", "1", "--listen", "127.0.0.1:0"], lines)?;
    let wanted = [
        "there is no command `crsh`: did you mean `crash`?",
        "broker-2 crashed",
        "not done: broker-2 does not run",
        "controller-1 stands still",
        "down",
        "no link was faulty",
        "broker-2 started",
    ];
    let mut rest = said.as_str();
    for line in wanted {
        let at = rest.find(line).ok_or_else(|| format!("no `{line}` in {said}"))?;
        rest = &rest[at + line.len()..];
    }
    assert!(!rest.contains("down") && !rest.contains("stands still"), "{rest}");
    assert!(status.success(), "{status}: {said}");
    Ok(())
}

#[test]
fn a_crash_of_a_process_is_one() -> Tested {
    use std::os::unix::process::ExitStatusExt;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let arguments = ["--brokers", "1", "--controllers", "1", "--listen", &address, "--node", "broker-1"];
    let (status, said) = typed(&arguments, "crash controller-1\ncrash broker-1\n")?;
    assert!(said.contains("not done: controller-1 is another process: tell that one"), "{said}");
    assert_eq!(status.signal(), Some(9), "{status}");
    Ok(())
}
