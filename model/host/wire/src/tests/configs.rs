//! Settings on the wire: one of each, and what is refused before a node hears of it.

use trial_model::{
    config::{BrokerConfig, TopicConfig},
    protocol::configs::*,
};

use super::*;

fn orders() -> Resource {
    Resource::Topic("orders".into())
}

pub(super) fn requests() -> Vec<Request> {
    let text = |text: &str| text.to_string();
    vec![
        Request::DescribeConfigs(DescribeConfigsRequest {
            resources: vec![
                (orders(), Some(vec![text("retention.ms")])),
                (Resource::Broker(B1), None),
                (Resource::AllBrokers, None),
            ],
        }),
        Request::AlterConfigs(AlterConfigsRequest {
            resources: vec![
                (
                    orders(),
                    vec![(text("retention.ms"), text("7")), (text("cleanup.policy"), text("compact"))],
                ),
                (Resource::Broker(B1), Vec::new()),
            ],
            validate_only: true,
        }),
        Request::IncrementalAlterConfigs(IncrementalAlterConfigsRequest {
            resources: vec![(
                orders(),
                vec![
                    (text("retention.ms"), Operation::Set(text("7"))),
                    (text("segment.ms"), Operation::Delete),
                    (text("cleanup.policy"), Operation::Append(text("compact"))),
                    (text("cleanup.policy"), Operation::Subtract(text("delete"))),
                ],
            )],
            validate_only: true,
        }),
    ]
}

pub(super) fn responses() -> Vec<Response> {
    let said = |key, value: &str, by| Said { key, value: value.into(), by };
    let find = |keys: &'static [trial_model::config::Key], name: &str| {
        *keys.iter().find(|key| key.name == name).expect("there is such a key")
    };
    let setting = |key: trial_model::config::Key, read_only, said| Setting {
        key: key.name,
        kind: key.kind,
        about: key.about,
        read_only,
        said,
    };
    let retention = vec![
        said("retention.ms", "7", Source::Topic),
        said("log.retention.ms", "8", Source::Broker),
        said("log.retention.ms", "604800000", Source::Default),
    ];
    let answer = AlterConfigsResponse {
        resources: vec![(orders(), Ok(())), (Resource::AllBrokers, Err(ErrorCode::InvalidRequest))],
    };
    let backoff = vec![said("log.cleaner.backoff.ms", "15000", Source::Default)];
    vec![
        Response::DescribeConfigs(DescribeConfigsResponse {
            resources: vec![
                (orders(), Ok(vec![setting(find(TopicConfig::KEYS, "retention.ms"), false, retention)])),
                (
                    Resource::Broker(B1),
                    Ok(vec![setting(find(BrokerConfig::KEYS, "log.cleaner.backoff.ms"), true, backoff)]),
                ),
                (Resource::Topic("nowhere".into()), Err(ErrorCode::UnknownTopicOrPartition)),
            ],
        }),
        Response::AlterConfigs(answer.clone()),
        Response::IncrementalAlterConfigs(answer),
    ]
}

#[test]
fn settings_of_what_has_none_are_refused_and_the_others_go_on() {
    use kacrab_protocol::generated::{
        describe_configs_request::{DescribeConfigsRequestData, DescribeConfigsResource},
        describe_configs_response::DescribeConfigsResponseData,
    };
    let of = |resource_type, name: &str| DescribeConfigsResource {
        resource_type,
        resource_name: crate::convert::string(name),
        ..Default::default()
    };
    let data = DescribeConfigsRequestData {
        resources: vec![of(2, "orders"), of(4, "one"), of(32, "group")],
        ..Default::default()
    };
    let mut call = Call::new(versions::DESCRIBE_CONFIGS, 4, 1);
    let request = crate::configs::read_describe(data, &mut call);
    assert_eq!(request.resources, [(orders(), None)]);
    let response = DescribeConfigsResponse { resources: vec![(orders(), Ok(Vec::new()))] };
    let answer: DescribeConfigsResponseData = crate::configs::answer_describe(&response, &call);
    let told = answer.results.iter().map(|it| (it.resource_type, it.resource_name.as_str(), it.error_code));
    assert_eq!(told.collect::<Vec<_>>(), [(2, "orders", 0), (4, "one", 42), (32, "group", 42)]);
}
