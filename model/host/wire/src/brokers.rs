//! BrokerRegistration 62, BrokerHeartbeat 63.

use kacrab_protocol::{
    KafkaString, KafkaUuid,
    generated::{
        broker_heartbeat_request::BrokerHeartbeatRequestData,
        broker_heartbeat_response::BrokerHeartbeatResponseData,
        broker_registration_request::{BrokerRegistrationRequestData, Listener},
        broker_registration_response::BrokerRegistrationResponseData,
    },
};
use trial_model::{
    protocol::{
        broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerStanding},
        broker_registration::{BrokerRegistrationRequest, BrokerRegistrationResponse},
    },
    units::{BrokerEpoch, Incarnation},
};

use crate::{
    book::Book,
    call::Call,
    convert::*,
    frame::{Refused, spells},
};

spells!(
    broker_registration_request::BrokerRegistrationRequestData,
    broker_registration_response::BrokerRegistrationResponseData,
    broker_heartbeat_request::BrokerHeartbeatRequestData,
    broker_heartbeat_response::BrokerHeartbeatResponseData,
);

/// `INCONSISTENT_CLUSTER_ID`.
const OTHER_CLUSTER: i16 = 104;

/// A registration, or the refusal of one that means another cluster.
pub(crate) enum Read {
    Registration(BrokerRegistrationRequest),
    OtherCluster(BrokerRegistrationResponseData),
}

pub(crate) fn read(data: BrokerRegistrationRequestData, book: &Book) -> Result<Read, Refused> {
    if data.cluster_id.as_str() != book.cluster {
        let data = BrokerRegistrationResponseData { error_code: OTHER_CLUSTER, ..Default::default() };
        return Ok(Read::OtherCluster(data));
    }
    Ok(Read::Registration(BrokerRegistrationRequest {
        broker: some_node(data.broker_id)?,
        incarnation: Incarnation(data.incarnation_id.least_significant_bits()),
        previous_broker_epoch: broker_epoch(data.previous_broker_epoch),
    }))
}

pub(crate) fn spell(
    request: &BrokerRegistrationRequest,
    call: &Call,
    book: &Book,
) -> BrokerRegistrationRequestData {
    let (host, port) = book.endpoint(request.broker);
    let listener = Listener {
        name: KafkaString::from_static("PLAINTEXT"),
        host: string(host),
        port,
        ..Default::default()
    };
    let previous = request.previous_broker_epoch.filter(|_| call.version >= 3);
    BrokerRegistrationRequestData {
        broker_id: request.broker.0 as i32,
        cluster_id: string(&book.cluster),
        incarnation_id: KafkaUuid::from_parts(0, request.incarnation.0),
        listeners: vec![listener],
        previous_broker_epoch: broker_epoch_number(previous),
        ..Default::default()
    }
}

pub(crate) fn answer(response: &BrokerRegistrationResponse) -> BrokerRegistrationResponseData {
    BrokerRegistrationResponseData {
        error_code: error_of(&response.result),
        broker_epoch: broker_epoch_number(response.result.ok()),
        ..Default::default()
    }
}

pub(crate) fn read_answer(
    data: BrokerRegistrationResponseData,
) -> Result<BrokerRegistrationResponse, Refused> {
    let epoch = BrokerEpoch(data.broker_epoch as u64);
    Ok(BrokerRegistrationResponse { result: result(data.error_code, epoch) })
}

pub(crate) fn read_heartbeat(data: BrokerHeartbeatRequestData) -> Result<BrokerHeartbeatRequest, Refused> {
    Ok(BrokerHeartbeatRequest {
        broker: some_node(data.broker_id)?,
        broker_epoch: broker_epoch(data.broker_epoch).ok_or(Refused::Malformed)?,
        metadata_end: some_offset(data.current_metadata_offset.saturating_add(1)).unwrap_or_default(),
        want_fence: data.want_fence,
        want_shutdown: data.want_shut_down,
    })
}

pub(crate) fn spell_heartbeat(request: &BrokerHeartbeatRequest) -> BrokerHeartbeatRequestData {
    BrokerHeartbeatRequestData {
        broker_id: request.broker.0 as i32,
        broker_epoch: request.broker_epoch.0 as i64,
        // Kafka tells the last offset, not the end.
        current_metadata_offset: offset_number(request.metadata_end.before()),
        want_fence: request.want_fence,
        want_shut_down: request.want_shutdown,
        ..Default::default()
    }
}

pub(crate) fn answer_heartbeat(response: &BrokerHeartbeatResponse) -> BrokerHeartbeatResponseData {
    let standing = response.result.ok();
    BrokerHeartbeatResponseData {
        error_code: error_of(&response.result),
        is_caught_up: standing.is_some_and(|standing| standing.caught_up),
        is_fenced: standing.is_none_or(|standing| standing.fenced),
        should_shut_down: standing.is_some_and(|standing| standing.may_shut_down),
        ..Default::default()
    }
}

pub(crate) fn read_heartbeat_answer(
    data: BrokerHeartbeatResponseData,
) -> Result<BrokerHeartbeatResponse, Refused> {
    let standing = BrokerStanding {
        caught_up: data.is_caught_up,
        fenced: data.is_fenced,
        may_shut_down: data.should_shut_down,
    };
    Ok(BrokerHeartbeatResponse { result: result(data.error_code, standing) })
}
