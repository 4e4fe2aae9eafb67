//! What goes on on a connection that a peer has opened to us?
//!
//! One request at a time, as Kafka mutes a channel: the next is read when the one before is answered, so
//! answers come in order, and a node that is slow makes its peers wait.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, unbounded_channel};
use trial_model::{
    machine::ConnectionId,
    protocol::{Request, Response, produce::Acks},
    units::{CorrelationId, NodeId},
};
use trial_wire::{Asked, Book, Call, FetchSession, Listener, read_request, write_response};

use crate::{
    frames::{self, Frames},
    life::Life,
    limits::Limits,
    metrics::{Asking, Traffic},
    runtime::{TcpStream, split},
};

/// What connections have in common.
pub(crate) struct Server {
    pub(crate) node: NodeId,
    pub(crate) listener: Listener,
    pub(crate) book: Arc<Book>,
    pub(crate) limits: Limits,
    pub(crate) life: Arc<Life>,
    pub(crate) traffic: Option<Traffic>,
    /// Bounded: when the node is behind, its peers wait.
    pub(crate) requests: Sender<FromPeer>,
}

impl Server {
    fn answered(&self, asking: Option<&Asking>, bytes: usize) {
        if let (Some(traffic), Some(asking)) = (&self.traffic, asking) {
            traffic.answered(asking, bytes);
        }
    }
}

/// What a connection tells its node.
#[derive(Debug)]
pub(crate) enum FromPeer {
    /// It is there, and answers go here.
    Opened { connection: ConnectionId, address: SocketAddr, answers: UnboundedSender<ToPeer> },
    /// A request has come by it.
    Request { connection: ConnectionId, from: NodeId, correlation: CorrelationId, request: Request },
    /// It is gone.
    Closed { connection: ConnectionId },
}

/// What a node tells a connection.
#[derive(Debug)]
pub(crate) enum ToPeer {
    /// The answer to a request.
    Answer { correlation: CorrelationId, response: Response },
    /// It is to be closed.
    Close,
}

/// The request that is being answered.
struct Waiting {
    call: Box<Call>,
    correlation: CorrelationId,
    asking: Option<Asking>,
}

/// Serves a connection until either side has enough of it.
pub(crate) async fn serve(stream: TcpStream, id: ConnectionId, address: SocketAddr, server: &Server) {
    let (answers, told) = unbounded_channel();
    let _open = server.traffic.as_ref().map(Traffic::opened);
    if server.requests.send(FromPeer::Opened { connection: id, address, answers }).await.is_err() {
        return;
    }
    if let Err(why) = converse(stream, id, server, told).await {
        tracing::debug!(node = %server.node, connection = id.0, why, "closing a connection");
    }
    let _ = server.requests.send(FromPeer::Closed { connection: id }).await;
}

async fn converse(
    mut stream: TcpStream,
    id: ConnectionId,
    server: &Server,
    mut told: UnboundedReceiver<ToPeer>,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = split(&mut stream);
    let mut frames = Frames::new(server.limits.socket_request_max_bytes);
    let mut session = FetchSession::default();
    let mut waiting: Option<Waiting> = None;
    let mut last = CorrelationId(0);
    // A client has a number of its own as long as it is connected.
    let stranger = NodeId::client(u32::try_from(id.0 % 1_000_000_000).unwrap_or(0));
    loop {
        let idle = tokio::time::sleep(server.limits.connections_max_idle);
        let frame: Bytes = tokio::select! {
            biased;
            told = told.recv() => match told {
                None => return Err("the node has ended".into()),
                Some(ToPeer::Close) => return Err("the node wants it closed".into()),
                Some(ToPeer::Answer { correlation, response }) => {
                    // Nobody else is answered: there is one request at a time.
                    if let Some(asked) = waiting.take_if(|asked| asked.correlation == correlation) {
                        let frame = write_response(&asked.call, &response, &server.book);
                        let frame = frame.map_err(|error| error.to_string())?;
                        frames::send(&mut writer, &frame).await.map_err(|error| error.to_string())?;
                        server.answered(asked.asking.as_ref(), frame.len());
                    }
                    continue;
                }
            },
            frame = frames.next(&mut reader), if waiting.is_none() => {
                frame.map_err(|broken| broken.to_string())?
            }
            () = idle, if waiting.is_none() => return Err("it has been idle for too long".into()),
        };
        // Who stands still answers nothing, not even what needs no node.
        server.life.awake().await;
        let asking = server.traffic.as_ref().map(|traffic| traffic.asked(&frame));
        match read_request(frame, server.listener, &mut session, &server.book) {
            Ok(Asked::Answer(frame)) => {
                frames::send(&mut writer, &frame).await.map_err(|error| error.to_string())?;
                server.answered(asking.as_ref(), frame.len());
            }
            Ok(Asked::Node { call, from, request }) => {
                last = last.next();
                let silent = matches!(&request, Request::Produce(request) if request.acks == Acks::None);
                let from = from.unwrap_or(stranger);
                let request = FromPeer::Request { connection: id, from, correlation: last, request };
                server.requests.send(request).await.map_err(|_| "the node has ended".to_owned())?;
                if !silent {
                    waiting = Some(Waiting { call, correlation: last, asking });
                }
            }
            Err(refused) => return Err(refused.to_string()),
        }
    }
}
