//! What goes on on a connection that we have opened to another node?

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use trial_model::{
    machine::{Channel, Disconnect},
    protocol::{Request, Response},
    units::{CorrelationId, NodeId},
};
use trial_wire::{Book, Call, FetchSession, read_response, write_request};

use crate::{
    frames::{self, Broken, Frames},
    runtime::{TcpStream, split},
};

/// Kafka's `socket.connection.setup.timeout.ms`.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// The largest answer that is believed: Kafka has no limit, and would take what 31 bits can say.
const LARGEST: usize = 512 << 20;

/// Which connection: a later one to the same peer has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) peer: NodeId,
    pub(crate) channel: Channel,
    pub(crate) generation: u64,
}

/// What comes by such a connection.
#[derive(Debug)]
pub(crate) enum FromServer {
    Response { way: Way, correlation: CorrelationId, response: Response },
    Disconnected { way: Way, why: Disconnect },
}

/// Sends what comes from `outgoing`, and tells what comes back, until either side has enough of it. When
/// `outgoing` is closed nobody wants to hear of it any more.
pub(crate) async fn talk<T>(
    own: NodeId,
    way: Way,
    book: Arc<Book>,
    outgoing: UnboundedReceiver<(CorrelationId, Request)>,
    heard: UnboundedSender<T>,
) where
    T: From<FromServer>,
{
    if let Err(why) = converse(own, way, &book, outgoing, &heard).await {
        let _ = heard.send(FromServer::Disconnected { way, why }.into());
    }
}

async fn converse<T: From<FromServer>>(
    own: NodeId,
    way: Way,
    book: &Book,
    mut outgoing: UnboundedReceiver<(CorrelationId, Request)>,
    heard: &UnboundedSender<T>,
) -> Result<(), Disconnect> {
    let endpoint = book.endpoints.get(&way.peer).ok_or(Disconnect::Refused)?;
    let connect = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    let mut stream = match tokio::time::timeout(CONNECT, connect).await {
        Ok(connected) => connected.map_err(|error| in_words(&error))?,
        Err(_) => return Err(Disconnect::TimedOut),
    };
    stream.set_nodelay(true).map_err(|error| in_words(&error))?;
    let (mut reader, mut writer) = split(&mut stream);
    let mut frames = Frames::new(LARGEST);
    let mut session = FetchSession::default();
    let mut unanswered: VecDeque<(Call, CorrelationId)> = VecDeque::new();
    let mut number: i32 = 0;
    loop {
        tokio::select! {
            biased;
            frame = frames.next(&mut reader) => {
                let frame = frame.map_err(|broken| match broken {
                    Broken::Ended | Broken::Size(_) => Disconnect::Closed,
                    Broken::Io(error) => in_words(&error),
                })?;
                let (mut call, correlation) = unanswered.pop_front().ok_or(Disconnect::Closed)?;
                let response = read_response(&mut call, frame, &mut session).map_err(|refused| {
                    tracing::warn!(node = %own, peer = %way.peer, api = call.key(), %refused, "an answer");
                    Disconnect::Closed
                })?;
                if let Response::Metadata(told) = &response {
                    book.names.learn(told);
                }
                let response = FromServer::Response { way, correlation, response };
                if heard.send(response.into()).is_err() {
                    return Ok(());
                }
            }
            next = outgoing.recv() => {
                let Some((correlation, request)) = next else { return Ok(()) };
                number = number.wrapping_add(1);
                let written = write_request(own, number, &request, None, &mut session, book);
                let (frame, call) = written.map_err(|refused| {
                    tracing::error!(node = %own, peer = %way.peer, %refused, "a request that cannot be spelled");
                    Disconnect::Closed
                })?;
                unanswered.push_back((call, correlation));
                frames::send(&mut writer, &frame).await.map_err(|error| in_words(&error))?;
            }
        }
    }
}

fn in_words(error: &io::Error) -> Disconnect {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Disconnect::Refused,
        io::ErrorKind::TimedOut => Disconnect::TimedOut,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Disconnect::Reset,
        _ => Disconnect::Closed,
    }
}
