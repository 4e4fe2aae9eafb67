//! Who may connect?

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Semaphore;
use trial_model::machine::ConnectionId;

use crate::{
    connection::{self, Server},
    runtime::{JoinSet, TcpListener},
};

/// Accepts connections until it is dropped, and they with it.
pub(crate) async fn accept(listener: TcpListener, server: Arc<Server>) {
    let room = Arc::new(Semaphore::new(server.limits.max_connections));
    let last = AtomicU64::new(0);
    let mut connections = JoinSet::new();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most often too many open files: others may close theirs.
                tracing::warn!(node = %server.node, %error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(node = %server.node, "too many connections");
            continue;
        };
        let id = ConnectionId(last.fetch_add(1, Ordering::Relaxed) + 1);
        let server = Arc::clone(&server);
        connections.spawn(async move {
            connection::serve(stream, id, address, &server).await;
            drop(seat);
        });
    }
}
