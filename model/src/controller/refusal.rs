//! How is a request refused as a whole?

use crate::protocol::{
    ErrorCode, Request, Response,
    alter_partition::AlterPartitionResponse,
    broker_heartbeat::BrokerHeartbeatResponse,
    broker_registration::BrokerRegistrationResponse,
    configs::AlterConfigsResponse,
    producer_ids::AllocateProducerIdsResponse,
    topics::{CreatePartitionsResponse, CreateTopicsResponse, DeleteTopicsResponse, ElectLeadersResponse},
};

/// The response that refuses `request`; `None` if it is not one that controllers answer.
pub(super) fn of_request(request: &Request, error: ErrorCode) -> Option<Response> {
    Some(match request {
        Request::BrokerRegistration(_) => {
            Response::BrokerRegistration(BrokerRegistrationResponse { result: Err(error) })
        }
        Request::BrokerHeartbeat(_) => {
            Response::BrokerHeartbeat(BrokerHeartbeatResponse { result: Err(error) })
        }
        Request::AlterPartition(_) => {
            Response::AlterPartition(AlterPartitionResponse { error: Some(error), partitions: [].into() })
        }
        Request::AllocateProducerIds(_) => {
            Response::AllocateProducerIds(AllocateProducerIdsResponse { result: Err(error) })
        }
        Request::CreateTopics(request) => Response::CreateTopics(CreateTopicsResponse {
            topics: request.topics.iter().map(|topic| (topic.name.clone(), Err(error))).collect(),
        }),
        Request::DeleteTopics(request) => Response::DeleteTopics(DeleteTopicsResponse {
            topics: request.topics.iter().map(|name| (name.clone(), Err(error))).collect(),
        }),
        Request::CreatePartitions(request) => Response::CreatePartitions(CreatePartitionsResponse {
            topics: request.topics.iter().map(|(name, _)| (name.clone(), Err(error))).collect(),
        }),
        Request::ElectLeaders(_) => {
            Response::ElectLeaders(ElectLeadersResponse { error: Some(error), partitions: [].into() })
        }
        Request::AlterConfigs(request) => Response::AlterConfigs(AlterConfigsResponse {
            resources: request.resources.iter().map(|(of, _)| (of.clone(), Err(error))).collect(),
        }),
        Request::IncrementalAlterConfigs(request) => {
            Response::IncrementalAlterConfigs(AlterConfigsResponse {
                resources: request.resources.iter().map(|(of, _)| (of.clone(), Err(error))).collect(),
            })
        }
        _ => return None,
    })
}

/// The refusal in place of an answer that was ready, for whoever still waits for it.
pub(super) fn in_place_of(response: Response, error: ErrorCode) -> Response {
    match response {
        Response::BrokerRegistration(_) => {
            Response::BrokerRegistration(BrokerRegistrationResponse { result: Err(error) })
        }
        Response::BrokerHeartbeat(_) => {
            Response::BrokerHeartbeat(BrokerHeartbeatResponse { result: Err(error) })
        }
        Response::AlterPartition(_) => {
            Response::AlterPartition(AlterPartitionResponse { error: Some(error), partitions: [].into() })
        }
        Response::AllocateProducerIds(_) => {
            Response::AllocateProducerIds(AllocateProducerIdsResponse { result: Err(error) })
        }
        Response::CreateTopics(response) => Response::CreateTopics(CreateTopicsResponse {
            topics: response.topics.into_iter().map(|(name, _)| (name, Err(error))).collect(),
        }),
        Response::DeleteTopics(response) => Response::DeleteTopics(DeleteTopicsResponse {
            topics: response.topics.into_iter().map(|(name, _)| (name, Err(error))).collect(),
        }),
        Response::CreatePartitions(response) => Response::CreatePartitions(CreatePartitionsResponse {
            topics: response.topics.into_iter().map(|(name, _)| (name, Err(error))).collect(),
        }),
        Response::ElectLeaders(_) => {
            Response::ElectLeaders(ElectLeadersResponse { error: Some(error), partitions: [].into() })
        }
        Response::AlterConfigs(response) => Response::AlterConfigs(AlterConfigsResponse {
            resources: response.resources.into_iter().map(|(of, _)| (of, Err(error))).collect(),
        }),
        Response::IncrementalAlterConfigs(response) => {
            Response::IncrementalAlterConfigs(AlterConfigsResponse {
                resources: response.resources.into_iter().map(|(of, _)| (of, Err(error))).collect(),
            })
        }
        other => other,
    }
}
