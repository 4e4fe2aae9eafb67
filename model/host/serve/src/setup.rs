//! When is a cluster ready, and how do the topics come to be that it begins with?

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream};
use trial_model::{
    protocol::{
        ErrorCode, Request, Response, TopicName,
        metadata::MetadataRequest,
        topics::{CreateTopicsRequest, NewTopic},
    },
    units::{NodeId, NodeRole, NodeSet},
};
use trial_wire::{Book, FetchSession, read_response, write_request};

use crate::frames::Frames;

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
            let request = CreateTopicsRequest { topics: left.clone(), timeout: Duration::from_secs(5) };
            let told = ask(book, *broker, &Request::CreateTopics(request)).await;
            let Some(Response::CreateTopics(told)) = told else { continue };
            for (name, result) in told.topics {
                match result {
                    Ok(_) | Err(ErrorCode::TopicAlreadyExists) => left.retain(|topic| topic.name != name),
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

/// Waits until every broker has heard that every broker may serve.
pub(crate) async fn brokers_are_there(book: &Book) {
    let brokers: NodeSet =
        book.endpoints.keys().copied().filter(|id| id.role() == NodeRole::Broker).collect();
    for broker in brokers.iter() {
        loop {
            let request = Request::Metadata(MetadataRequest {
                topics: Some(Vec::new()),
                allow_auto_topic_creation: false,
            });
            if let Some(Response::Metadata(told)) = ask(book, broker, &request).await
                && told.brokers == brokers
            {
                break;
            }
            tokio::time::sleep(REST).await;
        }
    }
}

/// Every partition there is, who leads it and who is in sync, by the word of the first of `brokers` that answers
/// within a second; nothing if nobody does.
pub(crate) async fn partitions(book: &Book, brokers: &[NodeId]) -> Vec<(String, Option<NodeId>, NodeSet)> {
    let request = Request::Metadata(MetadataRequest { topics: None, allow_auto_topic_creation: false });
    for broker in brokers {
        let answer = tokio::time::timeout(Duration::from_secs(1), ask_patiently(book, *broker, &request));
        if let Ok(Some(Response::Metadata(told))) = answer.await {
            let mut partitions = Vec::new();
            for topic in told.topics {
                let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
                let of_topic = topic.partitions.iter();
                partitions.extend(
                    of_topic.map(|it| (format!("{name}-{}", it.partition), it.leader, it.isr.clone())),
                );
            }
            return partitions;
        }
    }
    Vec::new()
}

/// Asks a broker once. `None` if it does not answer, whyever.
async fn ask(book: &Book, broker: NodeId, request: &Request) -> Option<Response> {
    tokio::time::timeout(PATIENCE, ask_patiently(book, broker, request)).await.ok().flatten()
}

async fn ask_patiently(book: &Book, broker: NodeId, request: &Request) -> Option<Response> {
    let endpoint = book.endpoints.get(&broker)?;
    let mut stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.ok()?;
    let mut session = FetchSession::default();
    let (frame, mut call) = write_request(NodeId::client(1), 1, request, None, &mut session, book).ok()?;
    stream.write_all(&frame).await.ok()?;
    let answer = Frames::new(LARGEST).next(&mut stream).await.ok()?;
    read_response(&mut call, answer, &mut session).ok()
}
