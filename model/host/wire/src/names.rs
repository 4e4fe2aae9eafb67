//! What is a topic called of which only the id is known?
//!
//! The model's clients keep to a topic's id wherever they have it. Kafka's frames name topics by id where records are sent
//! and fetched (KIP-516), and by name where offsets are looked up and records deleted. Who asks there names the topic as
//! Metadata did, and the answer is told of the id again.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use trial_model::{
    protocol::{PartitionRef, Request, Response, TopicName, TopicRef, metadata::MetadataResponse},
    units::TopicId,
};

use crate::{call::Call, frame::Refused};

/// The names of topics, as Metadata has told them. A clone is another hand on the same.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<RwLock<BTreeMap<TopicId, TopicName>>>);

impl Names {
    /// Takes over what an answer tells.
    pub fn learn(&self, told: &MetadataResponse) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for topic in &told.topics {
            if let (Some(id), Some(name)) = (topic.id, &topic.name)
                && known.get(&id) != Some(name)
            {
                known.insert(id, name.clone());
            }
        }
    }

    fn of(&self, id: TopicId) -> Option<TopicName> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

/// The request with topics named, if its frame names them and it has ids; `call` remembers which.
///
/// Refuses a topic whose name was never told.
pub(crate) fn named(request: &Request, names: &Names, call: &mut Call) -> Result<Option<Request>, Refused> {
    use Request::{DeleteRecords, ListOffsets, OffsetForLeaderEpoch};
    if !matches!(request, ListOffsets(_) | OffsetForLeaderEpoch(_) | DeleteRecords(_)) {
        return Ok(None);
    }
    let mut request = request.clone();
    for partition in asked(&mut request) {
        if let TopicRef::Id(id) = partition.topic {
            let name = names.of(id).ok_or(Refused::Unspeakable)?;
            partition.topic = TopicRef::Name(name.clone());
            call.named.push((name, id));
        }
    }
    Ok(Some(request))
}

/// The partitions of a request whose frame names topics, though it may have ids.
fn asked(request: &mut Request) -> Vec<&mut PartitionRef> {
    match request {
        Request::ListOffsets(r) => r.partitions.iter_mut().map(|it| &mut it.partition).collect(),
        Request::OffsetForLeaderEpoch(r) => r.partitions.iter_mut().map(|it| &mut it.partition).collect(),
        Request::DeleteRecords(r) => r.partitions.iter_mut().map(|(partition, _)| partition).collect(),
        _ => Vec::new(),
    }
}

/// Has the answer say ids where the request did.
pub(crate) fn identified(response: &mut Response, call: &Call) {
    let partitions: Vec<&mut PartitionRef> = match response {
        _ if call.named.is_empty() => return,
        Response::ListOffsets(r) => r.partitions.iter_mut().map(|it| &mut it.partition).collect(),
        Response::OffsetForLeaderEpoch(r) => r.partitions.iter_mut().map(|it| &mut it.partition).collect(),
        Response::DeleteRecords(r) => r.partitions.iter_mut().map(|(partition, ..)| partition).collect(),
        _ => return,
    };
    for partition in partitions {
        let TopicRef::Name(name) = &partition.topic else { continue };
        if let Some((_, id)) = call.named.iter().find(|(named, _)| named == name) {
            partition.topic = TopicRef::Id(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_model::{
        protocol::{
            ErrorCode,
            list_offsets::{
                ListOffsetsRequest, ListOffsetsResponse, OffsetSpec, PartitionListOffsets, PartitionOffsets,
            },
            metadata::TopicMetadata,
        },
        units::NodeId,
    };

    use super::*;
    use crate::{
        Asked, Book, FetchSession, Listener, SIZE_BYTES, read_request, read_response, write_request,
        write_response,
    };

    fn partition(topic: TopicRef) -> PartitionRef {
        PartitionRef { topic, partition: 3 }
    }

    fn asking(topic: TopicRef) -> Request {
        let spec = OffsetSpec::Earliest;
        let asked = PartitionListOffsets { partition: partition(topic), current_leader_epoch: None, spec };
        Request::ListOffsets(ListOffsetsRequest { replica: None, partitions: vec![asked] })
    }

    #[test]
    fn a_topic_known_by_its_id_is_named_on_the_wire_and_answered_by_its_id() {
        let (book, me) = (Book::default(), NodeId::client(1));
        let (id, name) = (TopicId(7), TopicName::from("orders"));
        let mut session = FetchSession::default();
        let mut write =
            |book: &Book| write_request(me, 1, &asking(TopicRef::Id(id)), None, &mut session, book);
        assert_eq!(write(&book).map(|_| ()), Err(Refused::Unspeakable), "nobody has told its name");
        let topic = TopicRef::Name(name.clone());
        let told = TopicMetadata {
            topic: topic.clone(),
            error: None,
            name: Some(name),
            id: Some(id),
            partitions: [].into(),
        };
        book.names.learn(&MetadataResponse {
            brokers: Default::default(),
            controller: None,
            topics: vec![told],
        });
        let (frame, mut call) = write(&book).expect("its name is known");
        let mut theirs = FetchSession::default();
        let asked = read_request(frame.slice(SIZE_BYTES..), Listener::Broker, &mut theirs, &book);
        let Ok(Asked::Node { call: answering, request, .. }) = asked else { panic!("{asked:?}") };
        assert_eq!(request, asking(topic.clone()));
        let told = |topic| {
            let result = Err(ErrorCode::NotLeaderOrFollower);
            let partitions = vec![PartitionOffsets { partition: partition(topic), result, leader: None }];
            Response::ListOffsets(ListOffsetsResponse { partitions })
        };
        let frame = write_response(&answering, &told(topic), &book).expect("it can be spelled");
        let heard = read_response(&mut call, frame.slice(SIZE_BYTES..), &mut session);
        assert_eq!(heard, Ok(told(TopicRef::Id(id))));
    }
}
