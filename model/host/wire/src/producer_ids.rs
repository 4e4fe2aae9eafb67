//! InitProducerId 22, AllocateProducerIds 67.

use kacrab_protocol::generated::{
    allocate_producer_ids_request::AllocateProducerIdsRequestData,
    allocate_producer_ids_response::AllocateProducerIdsResponseData,
    init_producer_id_request::InitProducerIdRequestData,
    init_producer_id_response::InitProducerIdResponseData,
};
use trial_model::{
    protocol::{
        ErrorCode,
        producer_ids::{
            AllocateProducerIdsRequest, AllocateProducerIdsResponse, InitProducerIdRequest,
            InitProducerIdResponse, ProducerIdBlock,
        },
    },
    units::{BrokerEpoch, ProducerEpoch, ProducerId},
};

use crate::{
    call::Call,
    convert::*,
    frame::{Refused, spells},
};

spells!(
    init_producer_id_request::InitProducerIdRequestData,
    init_producer_id_response::InitProducerIdResponseData,
    allocate_producer_ids_request::AllocateProducerIdsRequestData,
    allocate_producer_ids_response::AllocateProducerIdsResponseData,
);

/// A request for an identity, or the refusal of one that nobody here can give.
pub(crate) enum Read {
    Init(InitProducerIdRequest),
    NoTransactions(InitProducerIdResponseData),
}

pub(crate) fn read(data: InitProducerIdRequestData) -> Read {
    if data.transactional_id.is_some() {
        // Nobody coordinates transactions yet: not for a client to try again.
        let error_code = ErrorCode::UnsupportedVersion.code();
        return Read::NoTransactions(InitProducerIdResponseData {
            error_code,
            producer_epoch: -1,
            ..Default::default()
        });
    }
    let id = u64::try_from(data.producer_id).ok();
    let epoch = u16::try_from(data.producer_epoch).ok();
    let current = id.zip(epoch).map(|(id, epoch)| (ProducerId(id), ProducerEpoch(epoch)));
    Read::Init(InitProducerIdRequest { current })
}

pub(crate) fn spell(request: &InitProducerIdRequest, call: &Call) -> InitProducerIdRequestData {
    let current = request.current.filter(|_| call.version >= 3);
    let (producer_id, producer_epoch) = current.map_or((-1, -1), |(id, epoch)| (id.0 as i64, epoch.0 as i16));
    InitProducerIdRequestData {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        producer_id,
        producer_epoch,
        ..Default::default()
    }
}

pub(crate) fn answer(response: &InitProducerIdResponse) -> InitProducerIdResponseData {
    let (producer_id, producer_epoch) = match response.result {
        Ok((id, epoch)) => (id.0 as i64, epoch.0 as i16),
        Err(_) => (-1, -1),
    };
    InitProducerIdResponseData {
        error_code: error_of(&response.result),
        producer_id,
        producer_epoch,
        ..Default::default()
    }
}

pub(crate) fn read_answer(data: InitProducerIdResponseData) -> Result<InitProducerIdResponse, Refused> {
    let id = ProducerId(data.producer_id as u64);
    let epoch = ProducerEpoch(data.producer_epoch as u16);
    Ok(InitProducerIdResponse { result: result(data.error_code, (id, epoch)) })
}

pub(crate) fn read_allocate(
    data: AllocateProducerIdsRequestData,
) -> Result<AllocateProducerIdsRequest, Refused> {
    Ok(AllocateProducerIdsRequest {
        broker: some_node(data.broker_id)?,
        broker_epoch: broker_epoch(data.broker_epoch).ok_or(Refused::Malformed)?,
    })
}

pub(crate) fn spell_allocate(request: &AllocateProducerIdsRequest) -> AllocateProducerIdsRequestData {
    let BrokerEpoch(epoch) = request.broker_epoch;
    AllocateProducerIdsRequestData {
        broker_id: request.broker.0 as i32,
        broker_epoch: epoch as i64,
        ..Default::default()
    }
}

pub(crate) fn answer_allocate(response: &AllocateProducerIdsResponse) -> AllocateProducerIdsResponseData {
    let block = response.result.ok();
    AllocateProducerIdsResponseData {
        error_code: error_of(&response.result),
        producer_id_start: block.map_or(0, |block| block.first.0 as i64),
        producer_id_len: block.map_or(0, |block| bytes_number(block.len)),
        ..Default::default()
    }
}

pub(crate) fn read_allocate_answer(
    data: AllocateProducerIdsResponseData,
) -> Result<AllocateProducerIdsResponse, Refused> {
    let block = ProducerIdBlock {
        first: ProducerId(data.producer_id_start as u64),
        len: bytes(data.producer_id_len),
    };
    Ok(AllocateProducerIdsResponse { result: result(data.error_code, block) })
}
