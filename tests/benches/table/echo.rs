//! The ceilings: how fast is a message there and back, with nothing of ours in between?

use std::time::Duration;

use super::Measured;

/// Round trips between two nodes over madsim's own network, on its runtime.
#[cfg(madsim)]
pub fn on_madsim(round_trips: u64) -> Measured {
    use std::sync::Arc;

    use madsim::net::Endpoint;

    let runtime = madsim::runtime::Runtime::with_seed_and_config(1, madsim::Config::default());
    let simulated = runtime.block_on(async move {
        let handle = madsim::runtime::Handle::current();
        let server = handle.create_node().ip("10.0.0.1".parse().expect("an address")).build();
        let client = handle.create_node().ip("10.0.0.2".parse().expect("an address")).build();
        let ready = Arc::new(tokio::sync::Barrier::new(2));
        let listening = ready.clone();
        server.spawn(async move {
            let endpoint = Endpoint::bind("10.0.0.1:1").await.expect("it binds");
            listening.wait().await;
            let mut buffer = [0; 64];
            loop {
                let (len, from) = endpoint.recv_from(1, &mut buffer).await.expect("it receives");
                endpoint.send_to(from, 2, &buffer[..len]).await.expect("it answers");
            }
        });
        let asking = client.spawn(async move {
            let endpoint = Endpoint::bind("10.0.0.2:1").await.expect("it binds");
            ready.wait().await;
            let began = madsim::time::Instant::now();
            let mut buffer = [0; 64];
            for _ in 0..round_trips {
                endpoint.send_to("10.0.0.1:1", 1, b"ping").await.expect("it sends");
                endpoint.recv_from(2, &mut buffer).await.expect("it is answered");
            }
            began.elapsed()
        });
        asking.await.expect("the client ends")
    });
    Measured { steps: round_trips, simulated }
}

/// Round trips between two hosts over turmoil's TCP.
pub fn on_turmoil(round_trips: u64) -> Measured {
    use real_tokio::io::{AsyncReadExt, AsyncWriteExt};
    use turmoil::net::{TcpListener, TcpStream};

    let mut sim = turmoil::Builder::new().simulation_duration(Duration::from_secs(1 << 30)).build();
    sim.host("server", || async {
        let listener = TcpListener::bind("0.0.0.0:1").await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            let mut buffer = [0; 4];
            while stream.read_exact(&mut buffer).await.is_ok() {
                stream.write_all(&buffer).await?;
            }
        }
    });
    sim.client("client", async move {
        let mut stream = TcpStream::connect("server:1").await?;
        let mut buffer = [0; 4];
        for _ in 0..round_trips {
            stream.write_all(b"ping").await?;
            stream.read_exact(&mut buffer).await?;
        }
        Ok(())
    });
    sim.run().expect("the client ends");
    Measured { steps: round_trips, simulated: sim.elapsed() }
}
