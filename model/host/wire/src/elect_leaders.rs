//! ElectLeaders, key 43 (KIP-183, KIP-460).

use kacrab_protocol::generated::{
    elect_leaders_request::{ElectLeadersRequestData, TopicPartitions},
    elect_leaders_response::{ElectLeadersResponseData, PartitionResult, ReplicaElectionResult},
};
use trial_model::protocol::{
    ErrorCode, TopicName,
    topics::{ElectLeadersRequest, ElectLeadersResponse, ElectionKind},
};

use crate::{
    call::{Call, Echo},
    convert::*,
    frame::spells,
};

spells!(elect_leaders_request::ElectLeadersRequestData, elect_leaders_response::ElectLeadersResponseData);

/// Since this version a request says which kind of election, and an answer why nothing was looked at (KIP-460).
const KINDS: i16 = 1;
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// What a request asks for.
pub(crate) enum Read {
    Elect(ElectLeadersRequest),
    /// There is no such kind of election: the answer says so.
    UnknownKind(ElectLeadersResponseData),
}

pub(crate) fn read(data: ElectLeadersRequestData, call: &mut Call) -> Read {
    let partitions = data.topic_partitions.map(|topics| {
        let mut all = Vec::new();
        for topic in topics {
            let name = TopicName(text(&topic.topic));
            all.extend(topic.partitions.into_iter().map(|index| named(&name, index)));
        }
        all
    });
    call.echo = Echo::Elected(partitions.clone().unwrap_or_default());
    let kind = match data.election_type {
        PREFERRED => ElectionKind::Preferred,
        UNCLEAN => ElectionKind::Unclean,
        _ => {
            let error = Some(ErrorCode::InvalidRequest);
            return Read::UnknownKind(answer(&ElectLeadersResponse { error, partitions: Vec::new() }, call));
        }
    };
    Read::Elect(ElectLeadersRequest { kind, partitions, timeout: millis(data.timeout_ms) })
}

/// Version 0 knows preferred leaders only; an unclean election cannot be spelled in it.
pub(crate) fn spell(request: &ElectLeadersRequest) -> ElectLeadersRequestData {
    let topics = request.partitions.as_ref().map(|partitions| {
        let all = by_topic(partitions.iter().map(|it| (&it.topic, it.partition as i32)));
        let topic = |(name, partitions): (&TopicName, Vec<i32>)| TopicPartitions {
            topic: string(name.as_str()),
            partitions,
            ..Default::default()
        };
        all.into_iter().map(topic).collect()
    });
    ElectLeadersRequestData {
        election_type: match request.kind {
            ElectionKind::Preferred => PREFERRED,
            ElectionKind::Unclean => UNCLEAN,
        },
        topic_partitions: topics,
        timeout_ms: millis_number(request.timeout),
        ..Default::default()
    }
}

/// What was refused as a whole is refused for each partition that was named, too: version 0 says it only there, and
/// Kafka says both.
pub(crate) fn answer(response: &ElectLeadersResponse, call: &Call) -> ElectLeadersResponseData {
    let refused = match (&response.error, &call.echo) {
        (Some(error), Echo::Elected(named)) => named.iter().map(|it| (it, Err(*error))).collect(),
        _ => Vec::new(),
    };
    let each = response.partitions.iter().map(|(partition, result)| (partition, *result)).chain(refused);
    let results = each.map(|(partition, result)| {
        let data = PartitionResult {
            partition_id: partition.partition as i32,
            error_code: error_of(&result),
            ..Default::default()
        };
        (&partition.topic, data)
    });
    let topic = |(name, partition_result): (&TopicName, Vec<PartitionResult>)| ReplicaElectionResult {
        topic: string(name.as_str()),
        partition_result,
        ..Default::default()
    };
    ElectLeadersResponseData {
        error_code: if call.version >= KINDS { code(response.error) } else { 0 },
        replica_election_results: by_topic(results).into_iter().map(topic).collect(),
        ..Default::default()
    }
}

pub(crate) fn read_answer(data: ElectLeadersResponseData) -> ElectLeadersResponse {
    let error = error(data.error_code);
    let mut partitions = Vec::new();
    // With an error for all, what is said of each is that.
    for topic in data.replica_election_results.iter().filter(|_| error.is_none()) {
        let name = TopicName(text(&topic.topic));
        let told = topic.partition_result.iter();
        partitions.extend(told.map(|it| (named(&name, it.partition_id), result(it.error_code, ()))));
    }
    ElectLeadersResponse { error, partitions }
}
