//! What of the runtime is another one in a simulation?
//!
//! Sockets, and tasks that end with whoever has begun them. Whatever else the adapter does, it does in the same words on
//! tokio and, in `tests/tests/adapter/`, on madsim.

pub(crate) use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The two directions of a connection.
pub(crate) fn split(
    stream: &mut TcpStream,
) -> (tokio::net::tcp::ReadHalf<'_>, tokio::net::tcp::WriteHalf<'_>) {
    stream.split()
}
