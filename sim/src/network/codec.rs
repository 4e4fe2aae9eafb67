//! What if every message goes through Kafka's frames and back?
//!
//! `"wire": true` in a scenario. Each end of a connection spells and reads as nodes on real sockets do: the request is
//! spelled when it is sent and read when it arrives, the answer likewise, and nodes are given what was read. Each
//! connection speaks a version of each API that is drawn for it. How long a message takes is still what the model says
//! of its size, so a run is the same with and without, unless the codec loses something. That is a mistake of ours, and
//! ends the run like any other assertion.

mod unsaid;
mod versions;

use std::fmt::Debug;

use bytes::Bytes;
use trial_model::{
    machine::ConnectionId,
    protocol::{ApiKey, Request, Response, produce::Acks},
    rng::Rng,
    units::{CorrelationId, NodeId, NodeRole},
};
use trial_wire::{
    Asked, Book, Call, Endpoint, FetchSession, Listener, Names, SIZE_BYTES, read_request, read_response,
    supported, write_request, write_response,
};

use super::queue::Message;

/// What all connections of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Codec {
    seed: u64,
    book: Book,
}

/// A message on its way, as bytes and as what it was.
#[derive(Clone, Debug)]
pub(super) struct Framed {
    /// What was sent.
    pub(super) sent: Message,
    /// Its frame with the size before it, or why there is none: that is told where it arrives, which comes about in the
    /// same order on every engine.
    frame: Result<Bytes, String>,
}

/// What one end of a connection keeps for the other messages of it.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    session: FetchSession,
    /// The number of the last request that was spelled.
    last: i32,
    /// Requests whose answer is still to be spelled or read.
    unanswered: Vec<(CorrelationId, Call)>,
    /// What was drawn for each API.
    drawn: Vec<(ApiKey, u64)>,
}

/// Who says something, and to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) connection: ConnectionId,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
}

impl Codec {
    pub(super) fn new(seed: u64, nodes: &[NodeId]) -> Codec {
        // Nobody connects there, but frames tell it.
        let endpoint = |node: &NodeId| (*node, Endpoint { host: node.to_string(), port: 9092 });
        Codec {
            seed,
            book: Book {
                cluster: "trial".into(),
                endpoints: nodes.iter().map(endpoint).collect(),
                names: Names::default(),
            },
        }
    }
}

impl End {
    /// The frame of a request.
    pub(super) fn ask(
        &mut self,
        codec: &Codec,
        way: Way,
        correlation: CorrelationId,
        request: Request,
    ) -> Message {
        let said = unsaid::sayable_request(&request);
        let frame = self.spell(codec, way, correlation, said.as_ref().unwrap_or(&request));
        Message::Framed(Box::new(Framed { sent: Message::Request(request), frame }))
    }

    fn spell(
        &mut self,
        codec: &Codec,
        way: Way,
        correlation: CorrelationId,
        request: &Request,
    ) -> Result<Bytes, String> {
        let drawn = self.drawn(codec, way, request.api());
        let version = versions::of(request, listener_of(way.to, request.api()), drawn)?;
        self.last = self.last.wrapping_add(1);
        let spelled =
            write_request(way.from, self.last, request, Some(version), &mut self.session, &codec.book);
        let (frame, call) = spelled.map_err(|refused| format!("in version {version}: {refused}"))?;
        if !is_silent(request) {
            self.unanswered.push((correlation, call));
        }
        Ok(frame)
    }

    /// What is drawn for an API of this connection, once.
    fn drawn(&mut self, codec: &Codec, way: Way, api: ApiKey) -> u64 {
        if let Some((_, drawn)) = self.drawn.iter().find(|(of, _)| *of == api) {
            return *drawn;
        }
        let name = format!("wire/{}→{}/{:x}/{}", way.from, way.to, way.connection.0, api.name());
        let drawn = Rng::named(codec.seed, &name).next_u64();
        self.drawn.push((api, drawn));
        drawn
    }

    /// The frame of the answer to a request that was heard here.
    pub(super) fn answer(
        &mut self,
        codec: &Codec,
        correlation: CorrelationId,
        response: Response,
    ) -> Message {
        let said = unsaid::sayable_response(&response);
        let said = said.as_ref().unwrap_or(&response);
        let frame = match self.take(correlation) {
            Some(call) => write_response(&call, said, &codec.book).map_err(|refused| refused.to_string()),
            None => Err("it answers nothing that was asked".into()),
        };
        Message::Framed(Box::new(Framed { sent: Message::Response(response), frame }))
    }

    /// What a frame says.
    ///
    /// Panics if that is not what was sent, but for what Kafka's frames have no room for.
    pub(super) fn hear(
        &mut self,
        codec: &Codec,
        way: Way,
        correlation: CorrelationId,
        framed: Framed,
    ) -> Message {
        let Framed { sent, frame } = framed;
        let what = Told { way, sent: &sent };
        let frame = frame.unwrap_or_else(|why| panic!("{what} cannot be spelled: {why}"));
        let frame = what.unsized_frame(frame);
        match &sent {
            Message::Request(whole) => {
                let heard = self.hear_request(codec, correlation, frame, whole.api(), &what);
                match unsaid::sayable_request(whole) {
                    None => Message::Request(what.unchanged(whole, heard)),
                    Some(said) => {
                        what.unchanged(&said, heard);
                        sent
                    }
                }
            }
            Message::Response(whole) => {
                let mut call = self.take(correlation).unwrap_or_else(|| panic!("{what} answers nothing"));
                let heard = read_response(&mut call, frame, &mut self.session);
                let heard = heard.unwrap_or_else(|refused| panic!("{what} cannot be read: {refused}"));
                match unsaid::sayable_response(whole) {
                    None => Message::Response(what.unchanged(whole, heard)),
                    Some(said) => {
                        what.unchanged(&said, heard);
                        sent
                    }
                }
            }
            Message::Framed(_) => panic!("a frame is not framed again"),
        }
    }

    fn hear_request(
        &mut self,
        codec: &Codec,
        correlation: CorrelationId,
        frame: Bytes,
        api: ApiKey,
        what: &Told<'_>,
    ) -> Request {
        let Way { from, to, .. } = what.way;
        match read_request(frame, listener_of(to, api), &mut self.session, &codec.book) {
            Ok(Asked::Node { call, from: said, request }) => {
                // Members of groups go by the names of their applications.
                let known = from.role() == NodeRole::Client || said == Some(from);
                assert!(known, "{what} seems to come from {said:?}");
                if !is_silent(&request) {
                    self.unanswered.push((correlation, *call));
                }
                request
            }
            Ok(Asked::Answer(_)) => panic!("{what} is answered before its node has heard of it"),
            Err(refused) => panic!("{what} cannot be read: {refused}"),
        }
    }

    fn take(&mut self, correlation: CorrelationId) -> Option<Call> {
        let at = self.unanswered.iter().position(|(of, _)| *of == correlation)?;
        Some(self.unanswered.remove(at).1)
    }
}

/// Where a node listens for what is asked. A node that takes itself or another for what it is not (bugs can be planted by
/// which it does) is heard all the same, as it is without frames; Kafka would close the connection.
fn listener_of(node: NodeId, api: ApiKey) -> Listener {
    let (own, other) = match node.role() {
        NodeRole::Controller => (Listener::Controller, Listener::Broker),
        NodeRole::Broker | NodeRole::Client => (Listener::Broker, Listener::Controller),
    };
    let speaks = |listener| supported(listener).iter().any(|spoken| spoken.key == api.code());
    if speaks(own) { own } else { other }
}

/// Whether nobody answers a request.
fn is_silent(request: &Request) -> bool {
    matches!(request, Request::Produce(request) if request.acks == Acks::None)
}

/// A message, as it is called in what is said of it.
struct Told<'a> {
    way: Way,
    sent: &'a Message,
}

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (api, which) = match self.sent {
            Message::Request(request) => (request.api().name(), "request"),
            Message::Response(response) => (response.api().name(), "response"),
            Message::Framed(_) => ("", "frame"),
        };
        write!(f, "the wire: the {api} {which} of {} to {}", self.way.from, self.way.to)
    }
}

impl Told<'_> {
    /// The frame without the size that stands before it, which must be its own.
    fn unsized_frame(&self, mut frame: Bytes) -> Bytes {
        let size = frame.split_to(SIZE_BYTES.min(frame.len()));
        let said = size.first_chunk().map(|size| u32::from_be_bytes(*size) as usize);
        assert!(said == Some(frame.len()), "{self} says {said:?} for its {} bytes", frame.len());
        frame
    }

    /// What was heard, which is what was said.
    fn unchanged<T: PartialEq + Debug>(&self, said: &T, heard: T) -> T {
        if heard != *said {
            let (sent, heard) = where_they_part(&format!("{said:?}"), &format!("{heard:?}"));
            panic!("{self} arrives as another: sent {sent}, heard {heard}");
        }
        heard
    }
}

/// Where two texts begin to differ, and a little around it.
fn where_they_part(one: &str, other: &str) -> (String, String) {
    const BEFORE: usize = 60;
    const AFTER: usize = 80;
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let cut = |text: &str| {
        let cut: String = text.chars().skip(same.saturating_sub(BEFORE)).take(BEFORE + AFTER).collect();
        format!("…{cut}…")
    };
    (cut(one), cut(other))
}

#[cfg(test)]
mod tests {
    use trial_model::{
        protocol::{
            ErrorCode,
            producer_ids::{InitProducerIdRequest, InitProducerIdResponse},
        },
        units::{ProducerEpoch, ProducerId},
    };

    use super::*;
    use crate::panics;

    const CLIENT: NodeId = NodeId::client(7);
    const BROKER: NodeId = NodeId::broker(1);

    fn asking() -> Request {
        Request::InitProducerId(InitProducerIdRequest { current: Some((ProducerId(12), ProducerEpoch(3))) })
    }

    fn refusing() -> Response {
        Response::InitProducerId(InitProducerIdResponse { result: Err(ErrorCode::NotController) })
    }

    /// Both ends of a connection.
    struct Line {
        codec: Codec,
        ours: End,
        theirs: End,
        there: Way,
        back: Way,
    }

    impl Line {
        fn new(connection: u64) -> Line {
            let connection = ConnectionId(connection);
            Line {
                codec: Codec::new(7, &[BROKER, CLIENT]),
                ours: End::default(),
                theirs: End::default(),
                there: Way { connection, from: CLIENT, to: BROKER },
                back: Way { connection, from: BROKER, to: CLIENT },
            }
        }

        fn ask(&mut self, correlation: u32, spoil: impl FnOnce(&mut Framed)) -> Message {
            let correlation = CorrelationId(correlation);
            let mut asked = self.ours.ask(&self.codec, self.there, correlation, asking());
            let Message::Framed(framed) = &mut asked else { panic!("it goes as bytes") };
            spoil(framed);
            self.theirs.hear(&self.codec, self.there, correlation, Framed::clone(framed))
        }
    }

    #[test]
    fn requests_and_answers_come_through() {
        for connection in 0..20 {
            let mut line = Line::new(connection);
            for correlation in 0..3 {
                let Message::Request(heard) = line.ask(correlation, |_| ()) else { panic!("a request") };
                assert_eq!(heard, asking());
            }
            for correlation in [0, 1, 2].map(CorrelationId) {
                let answer = line.theirs.answer(&line.codec, correlation, refusing());
                let Message::Framed(framed) = answer else { panic!("it goes as bytes") };
                let Message::Response(heard) = line.ours.hear(&line.codec, line.back, correlation, *framed)
                else {
                    panic!("a response")
                };
                assert_eq!(heard, refusing());
            }
            assert!(line.ours.unanswered.is_empty() && line.theirs.unanswered.is_empty());
        }
    }

    fn said(spoil: impl FnOnce(&mut Framed)) -> String {
        panics::catch(|| drop(Line::new(1).ask(0, spoil))).map_or(String::new(), |panic| panic.message)
    }

    #[test]
    fn what_arrives_as_another_is_told() {
        let lost = said(|framed| {
            framed.sent = Message::Request(Request::InitProducerId(InitProducerIdRequest { current: None }));
        });
        assert!(
            lost.starts_with(
                "the wire: the INIT_PRODUCER_ID request of client-7 to broker-1 arrives as another: sent "
            ),
            "{lost}"
        );
        assert!(lost.contains("current: None") && lost.contains("ProducerId(12)"), "{lost}");
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let cut = said(|framed| {
            let frame = framed.frame.clone().expect("it can be spelled");
            framed.frame = Ok(frame.slice(..frame.len() - 1));
        });
        assert!(cut.contains(" says Some("), "{cut}");
        let garbled = said(|framed| {
            framed.frame = Ok(Bytes::from_static(&[0, 0, 0, 9, 0, 22, 0, 4, 0, 0, 0, 1, 0]));
        });
        assert!(garbled.contains("cannot be read: "), "{garbled}");
        let unspelled = said(|framed| framed.frame = Err("no room".into()));
        assert!(unspelled.ends_with("cannot be spelled: no room"), "{unspelled}");
    }

    #[test]
    fn an_answer_to_nothing_is_told() {
        let mut line = Line::new(1);
        let answer = line.theirs.answer(&line.codec, CorrelationId(9), refusing());
        let Message::Framed(framed) = answer else { panic!("it goes as bytes") };
        let told = panics::catch(|| {
            drop(line.ours.hear(&line.codec, line.back, CorrelationId(9), *framed));
        });
        let told = told.map_or(String::new(), |panic| panic.message);
        assert!(told.ends_with("cannot be spelled: it answers nothing that was asked"), "{told}");
    }
}
