//! What `model/host/serve/src/runtime.rs` has from tokio, on madsim.

use tokio::{
    io::{ReadHalf, WriteHalf},
    task::JoinHandle,
};

pub(crate) use tokio::net::{TcpListener, TcpStream};

/// The two directions of a connection.
pub(crate) fn split(stream: &mut TcpStream) -> (ReadHalf<&mut TcpStream>, WriteHalf<&mut TcpStream>) {
    tokio::io::split(stream)
}

/// Tasks that end with their set.
pub(crate) struct JoinSet<T>(Vec<JoinHandle<T>>);

impl<T: Send + 'static> JoinSet<T> {
    pub(crate) fn new() -> JoinSet<T> {
        JoinSet(Vec::new())
    }

    pub(crate) fn spawn(&mut self, task: impl Future<Output = T> + Send + 'static) {
        self.0.push(tokio::spawn(task));
    }

    /// Forgets one that has ended, if there is one.
    pub(crate) fn try_join_next(&mut self) -> Option<()> {
        let ended = self.0.iter().position(JoinHandle::is_finished)?;
        self.0.swap_remove(ended);
        Some(())
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
