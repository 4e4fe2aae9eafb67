//! Does a cluster on real sockets and files serve, survive, and come back?

mod client;

use std::time::Duration;

use client::{Client, Tested, batch, brisk};
use trial_model::{
    protocol::produce::Acks,
    rng::Rng,
    units::{NodeId, Offset},
};
use trial_serve::{Cluster, Layout, Watch};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_survives_a_dead_leader_and_a_restart() -> Tested {
    let data = tempfile::tempdir()?;
    let layout = brisk(3, 3);
    let mut cluster = Cluster::start(layout.clone(), data.path(), Watch::default())?;
    cluster.ready().await?;
    let mut client = Client::new(&cluster.bootstrap());
    client.create_topic("orders", 1, 3).await?;
    assert_eq!(client.produce("orders", Acks::All, batch(&["a", "b"])).await?, Offset(0));
    assert_eq!(client.produce("orders", Acks::Leader, batch(&["c"])).await?, Offset(2));
    assert_eq!(client.produce("orders", Acks::All, batch(&["d"])).await?, Offset(3));
    assert_eq!(client.read_all("orders").await?, ["a", "b", "c", "d"]);

    let leader = client.leader_of("orders", 3).await?;
    assert!(cluster.kill(leader).await);
    assert_eq!(client.produce("orders", Acks::All, batch(&["e"])).await?, Offset(4));
    let second = client.leader("orders").await?;
    assert_ne!(second, leader);
    cluster.restart(leader)?;
    assert_eq!(client.read_all("orders").await?, ["a", "b", "c", "d", "e"]);
    assert!(cluster.shut_down().await, "everybody stops in order");

    let cluster = Cluster::start(layout, data.path(), Watch::default())?;
    let mut client = Client::new(&cluster.bootstrap());
    assert_eq!(client.read_all("orders").await?, ["a", "b", "c", "d", "e"]);
    assert!(cluster.shut_down().await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_frame_closes_its_connection_and_no_other() -> Tested {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let data = tempfile::tempdir()?;
    let cluster = Cluster::start(Layout::of(1, 1), data.path(), Watch::default())?;
    let mut client = Client::new(&cluster.bootstrap());
    client.create_topic("orders", 1, 1).await?;
    let hostile: [&[u8]; 6] = [
        // Larger than may be, and smaller than nothing.
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        // Too short for a header.
        &[0, 0, 0, 2, 0, 3],
        // An API of controllers.
        &[0, 0, 0, 10, 0, 52, 0, 2, 0, 0, 0, 1, 0xff, 0xff],
        // An array of two thousand million topics.
        &[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],
        // HTTP.
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in hostile {
        let mut stream = tokio::net::TcpStream::connect(cluster.bootstrap()).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await?;
        // Closed with something of ours unread, it may be reset.
        assert!(read.is_err() || answer.is_empty(), "{bytes:?} is answered {answer:?}");
    }
    assert_eq!(client.produce("orders", Acks::All, batch(&["a"])).await?, Offset(0));
    assert!(cluster.shut_down().await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_bytes_are_answered_or_close_their_connection() -> Tested {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let data = tempfile::tempdir()?;
    let cluster = Cluster::start(Layout::of(1, 1), data.path(), Watch::default())?;
    let mut client = Client::new(&cluster.bootstrap());
    client.create_topic("orders", 1, 1).await?;
    let mut rng = Rng::named(1, "hostile");
    for _ in 0..300 {
        // A header that is right so far, and anything behind it.
        let key = u16::try_from(rng.next_u64() % 80)?;
        let version = u16::try_from(rng.next_u64() % 14)?;
        let mut frame = [key.to_be_bytes(), version.to_be_bytes()].concat();
        frame.extend([0, 0, 0, 1, 0xff, 0xff]);
        frame.extend(
            (0..rng.next_u64() % 100).map(|_| (rng.next_u64() % 256) as u8 & (rng.next_u64() % 256) as u8),
        );
        let mut stream = tokio::net::TcpStream::connect(cluster.bootstrap()).await?;
        stream.write_all(&u32::try_from(frame.len())?.to_be_bytes()).await?;
        stream.write_all(&frame).await?;
        // No more will come: whatever is not answered is closed, but for a fetch that waits.
        stream.shutdown().await?;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_millis(50), stream.read_to_end(&mut answer)).await;
    }
    assert_eq!(client.produce("orders", Acks::All, batch(&["a"])).await?, Offset(0));
    assert!(cluster.shut_down().await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_closed() -> Tested {
    use tokio::io::AsyncReadExt;
    let data = tempfile::tempdir()?;
    let mut layout = Layout::of(1, 1);
    // The controller is asked by four connections.
    layout.limits.max_connections = 8;
    let cluster = Cluster::start(layout, data.path(), Watch::default())?;
    let connect = || tokio::net::TcpStream::connect(cluster.bootstrap());
    let mut connected = Vec::new();
    for _ in 0..8 {
        connected.push(connect().await?);
    }
    let mut ninth = connect().await?;
    let closed = tokio::time::timeout(Duration::from_secs(5), ninth.read(&mut [0])).await?;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    connected.pop();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut tenth = connect().await?;
    let open = tokio::time::timeout(Duration::from_millis(300), tenth.read(&mut [0])).await;
    assert!(open.is_err(), "it is neither closed nor told anything: {open:?}");
    assert!(cluster.shut_down().await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_do_not_share_ports_or_directories() -> Tested {
    let data = tempfile::tempdir()?;
    let cluster = Cluster::start(Layout::of(1, 1), data.path(), Watch::default())?;
    let port = cluster.bootstrap().rsplit(':').next().ok_or("a port")?.parse()?;
    let taken = Cluster::start(Layout { port, ..Layout::of(1, 1) }, data.path(), Watch::default());
    let taken = taken.err().ok_or("the port is taken")?.to_string();
    assert!(taken.ends_with("is taken: something else listens there"), "{taken}");
    let used = Cluster::start(Layout::of(1, 1), data.path(), Watch::default());
    let used = used.err().ok_or("the directory is in use")?.to_string();
    assert!(used.ends_with("is in use by another process"), "{used}");
    assert_eq!(cluster.running().collect::<Vec<_>>(), [NodeId::broker(1), NodeId::controller(1)]);
    assert!(cluster.shut_down().await);
    Ok(())
}
