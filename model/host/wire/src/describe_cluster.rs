//! DescribeCluster, key 60: what Metadata tells of the cluster, without its topics. KIP-700, KIP-919.

use kacrab_protocol::generated::{
    describe_cluster_request::DescribeClusterRequestData,
    describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponseData},
};
use trial_model::protocol::metadata::{MetadataRequest, MetadataResponse};

use crate::{
    book::Book,
    call::{Call, Echo},
    convert::*,
    frame::spells,
    metadata::stand_in,
};

spells!(
    describe_cluster_request::DescribeClusterRequestData,
    describe_cluster_response::DescribeClusterResponseData,
);

const BROKERS: i8 = 1;
/// `MISMATCHED_ENDPOINT_TYPE`: controllers are not described by brokers.
const MISMATCHED: i16 = 114;

pub(crate) fn read(data: DescribeClusterRequestData, call: &mut Call) -> MetadataRequest {
    call.echo = Echo::EndpointType(data.endpoint_type);
    MetadataRequest { topics: Some(Vec::new()), allow_auto_topic_creation: false }
}

pub(crate) fn answer(response: &MetadataResponse, call: &Call, book: &Book) -> DescribeClusterResponseData {
    if let Echo::EndpointType(kind) = call.echo
        && kind != BROKERS
    {
        return DescribeClusterResponseData { error_code: MISMATCHED, ..Default::default() };
    }
    let brokers = response.brokers.iter().map(|node| {
        let (host, port) = book.endpoint(node);
        DescribeClusterBroker {
            broker_id: node.0 as i32,
            host: string(host),
            port: port.into(),
            ..Default::default()
        }
    });
    DescribeClusterResponseData {
        cluster_id: string(&book.cluster),
        controller_id: stand_in(response),
        brokers: brokers.collect(),
        ..Default::default()
    }
}
