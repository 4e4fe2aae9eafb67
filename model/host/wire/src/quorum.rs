//! Vote 52, BeginQuorumEpoch 53, EndQuorumEpoch 54, DescribeQuorum 55: of the one partition of the one log
//! that controllers keep.

use kacrab_protocol::{
    KafkaString,
    generated::{
        begin_quorum_epoch_request as begin, begin_quorum_epoch_response as begun,
        describe_quorum_request as describe, describe_quorum_response as described,
        end_quorum_epoch_request as end, end_quorum_epoch_response as ended, vote_request as vote,
        vote_response as voted,
    },
};
use trial_model::{
    protocol::{
        fetch::EpochEnd,
        quorum::{
            BeginQuorumEpochRequest, BeginQuorumEpochResponse, DescribeQuorumRequest, DescribeQuorumResponse,
            EndQuorumEpochRequest, EndQuorumEpochResponse, VoteRequest, VoteResponse,
        },
    },
    units::LeaderEpoch,
};

use crate::{
    book::Book,
    convert::*,
    frame::{Refused, spells},
};

spells!(
    vote_request::VoteRequestData,
    vote_response::VoteResponseData,
    begin_quorum_epoch_request::BeginQuorumEpochRequestData,
    begin_quorum_epoch_response::BeginQuorumEpochResponseData,
    end_quorum_epoch_request::EndQuorumEpochRequestData,
    end_quorum_epoch_response::EndQuorumEpochResponseData,
    describe_quorum_request::DescribeQuorumRequestData,
    describe_quorum_response::DescribeQuorumResponseData,
);

/// The log's topic.
pub(crate) const TOPIC: KafkaString = KafkaString::from_static("__cluster_metadata");

/// The one partition that a message is about.
macro_rules! only {
    ($data:expr) => {
        $data.topics.into_iter().flat_map(|topic| topic.partitions).next().ok_or(Refused::Malformed)
    };
}

/// A message's topics: the one, with its one partition.
macro_rules! topics {
    ($module:ident, $partition:expr) => {
        vec![$module::TopicData { topic_name: TOPIC, partitions: vec![$partition], ..Default::default() }]
    };
}

fn some_epoch(number: i32) -> Result<LeaderEpoch, Refused> {
    epoch(number).ok_or(Refused::Malformed)
}

pub(crate) fn read_vote(data: vote::VoteRequestData) -> Result<VoteRequest, Refused> {
    let asked = only!(data)?;
    Ok(VoteRequest {
        epoch: some_epoch(asked.replica_epoch)?,
        candidate: some_node(asked.replica_id)?,
        last: EpochEnd {
            epoch: epoch(asked.last_offset_epoch).unwrap_or_default(),
            end: offset(asked.last_offset),
        },
        pre_vote: asked.pre_vote,
    })
}

pub(crate) fn spell_vote(request: &VoteRequest, version: i16, book: &Book) -> vote::VoteRequestData {
    let partition = vote::PartitionData {
        replica_epoch: request.epoch.0 as i32,
        replica_id: request.candidate.0 as i32,
        last_offset_epoch: request.last.epoch.0 as i32,
        last_offset: request.last.end.0 as i64,
        pre_vote: request.pre_vote && version >= 2,
        ..Default::default()
    };
    vote::VoteRequestData {
        cluster_id: Some(string(&book.cluster)),
        topics: topics!(vote, partition),
        ..Default::default()
    }
}

pub(crate) fn answer_vote(response: &VoteResponse) -> voted::VoteResponseData {
    let partition = voted::PartitionData {
        error_code: code(response.error),
        leader_id: number(response.leader),
        leader_epoch: response.epoch.0 as i32,
        vote_granted: response.granted,
        ..Default::default()
    };
    voted::VoteResponseData { topics: topics!(voted, partition), ..Default::default() }
}

pub(crate) fn read_vote_answer(data: voted::VoteResponseData) -> Result<VoteResponse, Refused> {
    let top = error(data.error_code);
    let told = only!(data)?;
    Ok(VoteResponse {
        error: top.or(error(told.error_code)),
        epoch: some_epoch(told.leader_epoch)?,
        leader: node(told.leader_id),
        granted: told.vote_granted,
    })
}

pub(crate) fn read_begin(
    data: begin::BeginQuorumEpochRequestData,
) -> Result<BeginQuorumEpochRequest, Refused> {
    let asked = only!(data)?;
    Ok(BeginQuorumEpochRequest {
        epoch: some_epoch(asked.leader_epoch)?,
        leader: some_node(asked.leader_id)?,
    })
}

pub(crate) fn spell_begin(
    request: &BeginQuorumEpochRequest,
    book: &Book,
) -> begin::BeginQuorumEpochRequestData {
    let partition = begin::PartitionData {
        leader_id: request.leader.0 as i32,
        leader_epoch: request.epoch.0 as i32,
        ..Default::default()
    };
    begin::BeginQuorumEpochRequestData {
        cluster_id: Some(string(&book.cluster)),
        topics: topics!(begin, partition),
        ..Default::default()
    }
}

pub(crate) fn answer_begin(response: &BeginQuorumEpochResponse) -> begun::BeginQuorumEpochResponseData {
    let partition = begun::PartitionData {
        error_code: code(response.error),
        leader_id: number(response.leader),
        leader_epoch: response.epoch.0 as i32,
        ..Default::default()
    };
    begun::BeginQuorumEpochResponseData { topics: topics!(begun, partition), ..Default::default() }
}

pub(crate) fn read_begin_answer(
    data: begun::BeginQuorumEpochResponseData,
) -> Result<BeginQuorumEpochResponse, Refused> {
    let top = error(data.error_code);
    let told = only!(data)?;
    Ok(BeginQuorumEpochResponse {
        error: top.or(error(told.error_code)),
        epoch: some_epoch(told.leader_epoch)?,
        leader: node(told.leader_id),
    })
}

pub(crate) fn read_end(data: end::EndQuorumEpochRequestData) -> Result<EndQuorumEpochRequest, Refused> {
    let asked = only!(data)?;
    let candidates = asked.preferred_candidates.iter().map(|candidate| candidate.candidate_id);
    let successors = asked.preferred_successors.iter().copied().chain(candidates);
    Ok(EndQuorumEpochRequest {
        epoch: some_epoch(asked.leader_epoch)?,
        leader: some_node(asked.leader_id)?,
        preferred_successors: successors.filter_map(node).collect(),
    })
}

pub(crate) fn spell_end(
    request: &EndQuorumEpochRequest,
    version: i16,
    book: &Book,
) -> end::EndQuorumEpochRequestData {
    let mut partition = end::PartitionData {
        leader_id: request.leader.0 as i32,
        leader_epoch: request.epoch.0 as i32,
        ..Default::default()
    };
    let successors = request.preferred_successors.iter().map(|node| node.0 as i32);
    if version >= 1 {
        let candidate = |candidate_id| end::ReplicaInfo { candidate_id, ..Default::default() };
        partition.preferred_candidates = successors.map(candidate).collect();
    } else {
        partition.preferred_successors = successors.collect();
    }
    end::EndQuorumEpochRequestData {
        cluster_id: Some(string(&book.cluster)),
        topics: topics!(end, partition),
        ..Default::default()
    }
}

pub(crate) fn answer_end(response: &EndQuorumEpochResponse) -> ended::EndQuorumEpochResponseData {
    let partition = ended::PartitionData {
        error_code: code(response.error),
        leader_id: number(response.leader),
        leader_epoch: response.epoch.0 as i32,
        ..Default::default()
    };
    ended::EndQuorumEpochResponseData { topics: topics!(ended, partition), ..Default::default() }
}

pub(crate) fn read_end_answer(
    data: ended::EndQuorumEpochResponseData,
) -> Result<EndQuorumEpochResponse, Refused> {
    let top = error(data.error_code);
    let told = only!(data)?;
    Ok(EndQuorumEpochResponse {
        error: top.or(error(told.error_code)),
        epoch: some_epoch(told.leader_epoch)?,
        leader: node(told.leader_id),
    })
}

pub(crate) fn spell_describe(_: &DescribeQuorumRequest) -> describe::DescribeQuorumRequestData {
    let topics = topics!(describe, describe::PartitionData::default());
    describe::DescribeQuorumRequestData { topics, ..Default::default() }
}

pub(crate) fn answer_describe(
    response: &DescribeQuorumResponse,
    version: i16,
    book: &Book,
) -> described::DescribeQuorumResponseData {
    let voter = |(node, end): &(trial_model::units::NodeId, trial_model::units::Offset)| {
        let log_end_offset = end.0 as i64;
        described::ReplicaState { replica_id: node.0 as i32, log_end_offset, ..Default::default() }
    };
    let observer = |node: trial_model::units::NodeId| described::ReplicaState {
        replica_id: node.0 as i32,
        // Where its log ends is not kept.
        log_end_offset: -1,
        ..Default::default()
    };
    let partition = described::PartitionData {
        error_code: code(response.error),
        leader_id: number(response.leader),
        leader_epoch: response.epoch.0 as i32,
        high_watermark: response.high_watermark.0 as i64,
        current_voters: response.voters.iter().map(voter).collect(),
        observers: response.observers.iter().map(observer).collect(),
        ..Default::default()
    };
    let listening = response.voters.iter().filter(|_| version >= 2).map(|(node, _)| {
        let (host, port) = book.endpoint(*node);
        let name = KafkaString::from_static("CONTROLLER");
        let listener = described::Listener { name, host: string(host), port, ..Default::default() };
        described::Node { node_id: node.0 as i32, listeners: vec![listener], ..Default::default() }
    });
    described::DescribeQuorumResponseData {
        nodes: listening.collect(),
        topics: topics!(described, partition),
        ..Default::default()
    }
}

pub(crate) fn read_describe_answer(
    data: described::DescribeQuorumResponseData,
) -> Result<DescribeQuorumResponse, Refused> {
    let top = error(data.error_code);
    let told = only!(data)?;
    let voters = told.current_voters.iter();
    let voters =
        voters.filter_map(|voter| Some((node(voter.replica_id)?, some_offset(voter.log_end_offset)?)));
    Ok(DescribeQuorumResponse {
        error: top.or(error(told.error_code)),
        epoch: epoch(told.leader_epoch).unwrap_or_default(),
        leader: node(told.leader_id),
        high_watermark: offset(told.high_watermark.max(0)),
        voters: voters.collect(),
        observers: told.observers.iter().filter_map(|observer| node(observer.replica_id)).collect(),
    })
}
