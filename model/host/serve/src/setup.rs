//! How do the topics come to be that a layout begins with?

use std::{io, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream};
use trial_model::{
    protocol::{
        ErrorCode, Request, Response, TopicName,
        topics::{CreateTopicsRequest, NewTopic},
    },
    units::{NodeId, NodeRole},
};
use trial_wire::{Book, FetchSession, Refused, read_response, write_request};

use crate::frames::{Broken, Frames};

/// How long one broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_millis(50);
/// No answer to this is larger.
const LARGEST: usize = 16 << 20;

/// Creates `topics`, and waits until they are there. One that was there before is left as it is.
///
/// Tries for ever, since brokers may take their time; refuses, by its name and the reason, a topic that
/// cannot be.
pub(crate) async fn create(book: &Book, topics: Vec<NewTopic>) -> Result<(), (TopicName, ErrorCode)> {
    let mut left = topics;
    while !left.is_empty() {
        for (broker, _) in book.endpoints.iter().filter(|(id, _)| id.role() == NodeRole::Broker) {
            let Ok(Ok(told)) = tokio::time::timeout(PATIENCE, ask(book, *broker, &left)).await else {
                continue;
            };
            for (name, result) in told {
                match result {
                    Ok(()) | Err(ErrorCode::TopicAlreadyExists) => left.retain(|topic| topic.name != name),
                    // Not enough brokers have registered yet.
                    Err(ErrorCode::InvalidReplicationFactor | ErrorCode::InvalidReplicaAssignment) => {}
                    Err(error) if error.is_retriable() => {}
                    Err(error) => return Err((name, error)),
                }
            }
            break;
        }
        if !left.is_empty() {
            tokio::time::sleep(REST).await;
        }
    }
    Ok(())
}

enum Failed {
    Broken,
    Refused,
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Failed {
        Failed::Broken
    }
}

impl From<Broken> for Failed {
    fn from(_: Broken) -> Failed {
        Failed::Broken
    }
}

impl From<Refused> for Failed {
    fn from(_: Refused) -> Failed {
        Failed::Refused
    }
}

type Told = Vec<(TopicName, Result<(), ErrorCode>)>;

async fn ask(book: &Book, broker: NodeId, topics: &[NewTopic]) -> Result<Told, Failed> {
    let endpoint = book.endpoints.get(&broker).ok_or(Failed::Broken)?;
    let mut stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    let request = CreateTopicsRequest { topics: topics.to_vec(), timeout: Duration::from_secs(5) };
    let request = Request::CreateTopics(request);
    let mut session = FetchSession::default();
    let (frame, mut call) = write_request(NodeId::client(1), 1, &request, None, &mut session, book)?;
    stream.write_all(&frame).await?;
    let answer = Frames::new(LARGEST).next(&mut stream).await?;
    match read_response(&mut call, answer, &mut session)? {
        Response::CreateTopics(response) => {
            Ok(response.topics.into_iter().map(|(name, result)| (name, result.map(|_| ()))).collect())
        }
        _ => Err(Failed::Refused),
    }
}
