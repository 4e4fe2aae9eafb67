//! What does the model say that Kafka's frames have no place for?
//!
//! This is all of it. It is handed on beside the frame, so that a run is the same with and without.

use trial_model::protocol::{PartitionRef, Request, Response, TopicRef, metadata::MetadataResponse};

/// A request as a frame can say it; `None` if it can as it is.
///
/// The model's clients keep to the id of a topic wherever they have it. Kafka's do so when they send and fetch (KIP-516),
/// and name it otherwise.
pub(super) fn sayable_request(request: &Request) -> Option<Request> {
    Some(match request {
        Request::ListOffsets(r) => {
            let mut said = r.clone();
            said.partitions.iter_mut().for_each(|asked| name(&mut asked.partition));
            Request::ListOffsets(said)
        }
        Request::OffsetForLeaderEpoch(r) => {
            let mut said = r.clone();
            said.partitions.iter_mut().for_each(|asked| name(&mut asked.partition));
            Request::OffsetForLeaderEpoch(said)
        }
        Request::DeleteRecords(r) => {
            let mut said = r.clone();
            said.partitions.iter_mut().for_each(|(partition, _)| name(partition));
            Request::DeleteRecords(said)
        }
        _ => return None,
    })
}

/// An answer as a frame can say it; `None` if it can as it is.
pub(super) fn sayable_response(response: &Response) -> Option<Response> {
    Some(match response {
        // Clients are told of a broker that stands in for the controller, which they cannot reach (KIP-590).
        Response::Metadata(r) => Response::Metadata(MetadataResponse { controller: None, ..r.clone() }),
        // Only answers to Produce and Fetch tell who leads (KIP-951).
        Response::ListOffsets(r) => {
            let mut said = r.clone();
            for told in &mut said.partitions {
                told.leader = None;
                name(&mut told.partition);
            }
            Response::ListOffsets(said)
        }
        Response::DeleteRecords(r) => {
            let mut said = r.clone();
            for (partition, _, leader) in &mut said.partitions {
                *leader = None;
                name(partition);
            }
            Response::DeleteRecords(said)
        }
        Response::OffsetForLeaderEpoch(r) => {
            let mut said = r.clone();
            said.partitions.iter_mut().for_each(|told| name(&mut told.partition));
            Response::OffsetForLeaderEpoch(said)
        }
        _ => return None,
    })
}

/// Names a topic of which only the id is known.
fn name(partition: &mut PartitionRef) {
    if let TopicRef::Id(id) = partition.topic {
        partition.topic = TopicRef::Name(format!("topic-{}", id.0).as_str().into());
    }
}
