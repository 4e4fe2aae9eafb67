//! How much does one server take?

/// What one server takes before it refuses or waits, under Kafka's names and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `socket.request.max.bytes`: a larger frame closes its connection.
    pub socket_request_max_bytes: usize,
    /// `queued.max.requests`: when so many wait for a node, nobody's next is read.
    pub queued_max_requests: usize,
    /// `max.connections`: one more is closed at once.
    pub max_connections: usize,
    /// `connections.max.idle.ms`: a connection that says nothing for so long is closed.
    pub connections_max_idle: std::time::Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            socket_request_max_bytes: 100 << 20,
            queued_max_requests: 500,
            max_connections: 10_000,
            connections_max_idle: std::time::Duration::from_secs(600),
        }
    }
}
