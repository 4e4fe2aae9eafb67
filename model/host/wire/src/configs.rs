//! DescribeConfigs 32, AlterConfigs 33, IncrementalAlterConfigs 44.
//!
//! Settings of anything but topics and brokers (groups, loggers, client metrics) are refused here, as what the node's own
//! request cannot say is.

use kacrab_protocol::{
    KafkaString,
    generated::{
        alter_configs_request::{self as replacing, AlterConfigsRequestData},
        alter_configs_response::{self as replaced, AlterConfigsResponseData},
        describe_configs_request::{DescribeConfigsRequestData, DescribeConfigsResource},
        describe_configs_response::{
            DescribeConfigsResourceResult, DescribeConfigsResponseData, DescribeConfigsResult,
            DescribeConfigsSynonym,
        },
        incremental_alter_configs_request::{self as changing, IncrementalAlterConfigsRequestData},
        incremental_alter_configs_response::{self as changed, IncrementalAlterConfigsResponseData},
    },
};
use trial_model::{
    config::{BrokerConfig, Key, Kind, TopicConfig},
    protocol::{
        ErrorCode, TopicName,
        configs::{
            AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
            IncrementalAlterConfigsRequest, Operation, Resource, Said, Setting, Source,
        },
    },
};

use crate::{
    call::{Call, Echo, RefusedResource},
    convert::*,
    frame::{Refused, spells},
};

spells!(
    describe_configs_request::DescribeConfigsRequestData,
    describe_configs_response::DescribeConfigsResponseData,
    alter_configs_request::AlterConfigsRequestData,
    alter_configs_response::AlterConfigsResponseData,
    incremental_alter_configs_request::IncrementalAlterConfigsRequestData,
    incremental_alter_configs_response::IncrementalAlterConfigsResponseData,
);

/// Kafka's `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Kafka's `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Why = &'static str;

fn resource(kind: i8, name: &KafkaString) -> Result<Resource, Why> {
    match kind {
        TOPIC => Ok(Resource::Topic(TopicName(text(name)))),
        BROKER if name.as_str().is_empty() => Ok(Resource::AllBrokers),
        BROKER => {
            let number = name.as_str().parse().ok().and_then(node);
            number.map(Resource::Broker).ok_or("a broker's name is its number")
        }
        _ => Err("only topics and brokers have settings here"),
    }
}

fn spell_resource(resource: &Resource) -> (i8, KafkaString) {
    match resource {
        Resource::Topic(name) => (TOPIC, string(name.as_str())),
        Resource::Broker(id) => (BROKER, string(&id.0.to_string())),
        Resource::AllBrokers => (BROKER, KafkaString::default()),
    }
}

/// What is asked of resources that there can be; of the others the answer says why not.
struct Sorted<T> {
    asked: Vec<(Resource, T)>,
    refused: Vec<RefusedResource>,
}

fn sort<T>(each: impl Iterator<Item = (i8, KafkaString, Result<T, Why>)>) -> Sorted<T> {
    let mut sorted = Sorted { asked: Vec::new(), refused: Vec::new() };
    for (kind, name, what) in each {
        match resource(kind, &name).and_then(|resource| Ok((resource, what?))) {
            Ok(asked) => sorted.asked.push(asked),
            Err(why) => sorted.refused.push(RefusedResource { kind, name, why }),
        }
    }
    sorted
}

fn refused(call: &Call) -> &[RefusedResource] {
    match &call.echo {
        Echo::Configs { refused, .. } => refused,
        _ => &[],
    }
}

/// What people read beside an error's number.
fn message<T>(result: &Result<T, ErrorCode>) -> Option<KafkaString> {
    result.as_ref().err().map(|error| KafkaString::from_static(error.name()))
}

pub(crate) fn read_describe(data: DescribeConfigsRequestData, call: &mut Call) -> DescribeConfigsRequest {
    let (synonyms, documentation) = (data.include_synonyms, data.include_documentation);
    let keys = |keys: Vec<KafkaString>| keys.iter().map(|key| key.as_str().to_owned()).collect();
    let sorted = sort(
        (data.resources.into_iter())
            .map(|it| (it.resource_type, it.resource_name, Ok(it.configuration_keys.map(keys)))),
    );
    call.echo = Echo::Configs { synonyms, documentation, refused: sorted.refused };
    DescribeConfigsRequest { resources: sorted.asked }
}

pub(crate) fn spell_describe(request: &DescribeConfigsRequest) -> DescribeConfigsRequestData {
    let resources = request.resources.iter().map(|(resource, keys)| {
        let (resource_type, resource_name) = spell_resource(resource);
        let keys = keys.as_ref().map(|keys| keys.iter().map(|key| string(key)).collect());
        DescribeConfigsResource {
            resource_type,
            resource_name,
            configuration_keys: keys,
            ..Default::default()
        }
    });
    DescribeConfigsRequestData {
        resources: resources.collect(),
        include_synonyms: true,
        ..Default::default()
    }
}

fn source_number(source: Source) -> i8 {
    match source {
        Source::Topic => 1,
        Source::Broker => 4,
        Source::Default => 5,
    }
}

fn source(number: i8) -> Result<Source, Refused> {
    match number {
        1 => Ok(Source::Topic),
        4 => Ok(Source::Broker),
        5 => Ok(Source::Default),
        _ => Err(Refused::Malformed),
    }
}

fn kind_number(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::String => 2,
        Kind::Int => 3,
        Kind::Short => 4,
        Kind::Long => 5,
        Kind::Double => 6,
        Kind::List => 7,
    }
}

pub(crate) fn answer_describe(
    response: &DescribeConfigsResponse,
    call: &Call,
) -> DescribeConfigsResponseData {
    let (with_synonyms, documentation) = match &call.echo {
        Echo::Configs { synonyms, documentation, .. } => (*synonyms, *documentation),
        _ => (false, false),
    };
    let synonym = |said: &Said| DescribeConfigsSynonym {
        name: KafkaString::from_static(said.key),
        value: Some(string(&said.value)),
        source: source_number(said.by),
        ..Default::default()
    };
    let setting = |setting: &Setting| {
        let first = setting.said.first();
        DescribeConfigsResourceResult {
            name: KafkaString::from_static(setting.key),
            value: first.map(|said| string(&said.value)),
            read_only: setting.read_only,
            config_source: first.map_or(0, |said| source_number(said.by)),
            synonyms: setting.said.iter().filter(|_| with_synonyms).map(synonym).collect(),
            config_type: kind_number(setting.kind),
            documentation: documentation.then(|| KafkaString::from_static(setting.about)),
            ..Default::default()
        }
    };
    let told = response.resources.iter().map(|(resource, result)| {
        let (resource_type, resource_name) = spell_resource(resource);
        DescribeConfigsResult {
            error_code: error_of(result),
            error_message: message(result),
            resource_type,
            resource_name,
            configs: result.iter().flatten().map(setting).collect(),
            ..Default::default()
        }
    });
    let refused = refused(call).iter().map(|it| DescribeConfigsResult {
        error_code: ErrorCode::InvalidRequest.code(),
        error_message: Some(KafkaString::from_static(it.why)),
        resource_type: it.kind,
        resource_name: it.name.clone(),
        ..Default::default()
    });
    DescribeConfigsResponseData { results: told.chain(refused).collect(), ..Default::default() }
}

/// A key by its name; a node tells of no others.
fn known(name: &KafkaString) -> Result<&'static Key, Refused> {
    let keys = TopicConfig::KEYS.iter().chain(BrokerConfig::KEYS);
    keys.into_iter().find(|key| key.name == name.as_str()).ok_or(Refused::Malformed)
}

pub(crate) fn read_describe_answer(
    data: DescribeConfigsResponseData,
) -> Result<DescribeConfigsResponse, Refused> {
    let said = |told: &DescribeConfigsSynonym| {
        let value = told.value.as_ref().map_or("", KafkaString::as_str).to_owned();
        Ok(Said { key: known(&told.name)?.name, value, by: source(told.source)? })
    };
    let setting = |told: &DescribeConfigsResourceResult| {
        let key = known(&told.name)?;
        Ok(Setting {
            key: key.name,
            kind: key.kind,
            about: key.about,
            read_only: told.read_only,
            said: told.synonyms.iter().map(said).collect::<Result<_, Refused>>()?,
        })
    };
    let resources = data.results.iter().map(|told| {
        let settings = told.configs.iter().map(setting).collect::<Result<_, Refused>>()?;
        let of = resource(told.resource_type, &told.resource_name).map_err(|_| Refused::Malformed)?;
        Ok((of, result(told.error_code, settings)))
    });
    Ok(DescribeConfigsResponse { resources: resources.collect::<Result<_, Refused>>()? })
}

pub(crate) fn read_alter(data: AlterConfigsRequestData, call: &mut Call) -> AlterConfigsRequest {
    let setting = |config: &replacing::AlterableConfig| {
        let value = config.value.as_ref().ok_or("a setting without a value")?;
        Ok((config.name.as_str().to_owned(), value.as_str().to_owned()))
    };
    let sorted = sort(data.resources.into_iter().map(|it| {
        let settings = it.configs.iter().map(setting).collect();
        (it.resource_type, it.resource_name, settings)
    }));
    call.echo = Echo::Configs { synonyms: false, documentation: false, refused: sorted.refused };
    AlterConfigsRequest { resources: sorted.asked, validate_only: data.validate_only }
}

pub(crate) fn spell_alter(request: &AlterConfigsRequest) -> AlterConfigsRequestData {
    let config = |(key, value): &(String, String)| replacing::AlterableConfig {
        name: string(key),
        value: Some(string(value)),
        ..Default::default()
    };
    let resources = request.resources.iter().map(|(of, settings)| {
        let (resource_type, resource_name) = spell_resource(of);
        let configs = settings.iter().map(config).collect();
        replacing::AlterConfigsResource { resource_type, resource_name, configs, ..Default::default() }
    });
    AlterConfigsRequestData {
        resources: resources.collect(),
        validate_only: request.validate_only,
        ..Default::default()
    }
}

pub(crate) fn answer_alter(response: &AlterConfigsResponse, call: &Call) -> AlterConfigsResponseData {
    let told = response.resources.iter().map(|(of, result)| {
        let (resource_type, resource_name) = spell_resource(of);
        replaced::AlterConfigsResourceResponse {
            error_code: error_of(result),
            error_message: message(result),
            resource_type,
            resource_name,
            ..Default::default()
        }
    });
    let refused = refused(call).iter().map(|it| replaced::AlterConfigsResourceResponse {
        error_code: ErrorCode::InvalidRequest.code(),
        error_message: Some(KafkaString::from_static(it.why)),
        resource_type: it.kind,
        resource_name: it.name.clone(),
        ..Default::default()
    });
    AlterConfigsResponseData { responses: told.chain(refused).collect(), ..Default::default() }
}

fn answered(kind: i8, name: &KafkaString, error: i16) -> Result<(Resource, Result<(), ErrorCode>), Refused> {
    Ok((resource(kind, name).map_err(|_| Refused::Malformed)?, result(error, ())))
}

pub(crate) fn read_alter_answer(data: &AlterConfigsResponseData) -> Result<AlterConfigsResponse, Refused> {
    let each = data.responses.iter();
    let resources = each.map(|told| answered(told.resource_type, &told.resource_name, told.error_code));
    Ok(AlterConfigsResponse { resources: resources.collect::<Result<_, Refused>>()? })
}

pub(crate) fn read_change(
    data: IncrementalAlterConfigsRequestData,
    call: &mut Call,
) -> IncrementalAlterConfigsRequest {
    let operation = |config: &changing::AlterableConfig| {
        let value = config.value.as_ref().map(|value| value.as_str().to_owned());
        let operation = match (config.config_operation, value) {
            (DELETE, _) => Operation::Delete,
            (SET | APPEND | SUBTRACT, None) => return Err("a setting without a value"),
            (SET, Some(value)) => Operation::Set(value),
            (APPEND, Some(value)) => Operation::Append(value),
            (SUBTRACT, Some(value)) => Operation::Subtract(value),
            _ => return Err("no such operation"),
        };
        Ok((config.name.as_str().to_owned(), operation))
    };
    let sorted = sort(data.resources.into_iter().map(|it| {
        let operations = it.configs.iter().map(operation).collect();
        (it.resource_type, it.resource_name, operations)
    }));
    call.echo = Echo::Configs { synonyms: false, documentation: false, refused: sorted.refused };
    IncrementalAlterConfigsRequest { resources: sorted.asked, validate_only: data.validate_only }
}

pub(crate) fn spell_change(request: &IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsRequestData {
    let config = |(key, operation): &(String, Operation)| {
        let (config_operation, value) = match operation {
            Operation::Set(value) => (SET, Some(string(value))),
            Operation::Delete => (DELETE, None),
            Operation::Append(value) => (APPEND, Some(string(value))),
            Operation::Subtract(value) => (SUBTRACT, Some(string(value))),
        };
        changing::AlterableConfig { name: string(key), config_operation, value, ..Default::default() }
    };
    let resources = request.resources.iter().map(|(of, operations)| {
        let (resource_type, resource_name) = spell_resource(of);
        let configs = operations.iter().map(config).collect();
        changing::AlterConfigsResource { resource_type, resource_name, configs, ..Default::default() }
    });
    IncrementalAlterConfigsRequestData {
        resources: resources.collect(),
        validate_only: request.validate_only,
        ..Default::default()
    }
}

pub(crate) fn answer_change(
    response: &AlterConfigsResponse,
    call: &Call,
) -> IncrementalAlterConfigsResponseData {
    let told = response.resources.iter().map(|(of, result)| {
        let (resource_type, resource_name) = spell_resource(of);
        changed::AlterConfigsResourceResponse {
            error_code: error_of(result),
            error_message: message(result),
            resource_type,
            resource_name,
            ..Default::default()
        }
    });
    let refused = refused(call).iter().map(|it| changed::AlterConfigsResourceResponse {
        error_code: ErrorCode::InvalidRequest.code(),
        error_message: Some(KafkaString::from_static(it.why)),
        resource_type: it.kind,
        resource_name: it.name.clone(),
        ..Default::default()
    });
    IncrementalAlterConfigsResponseData { responses: told.chain(refused).collect(), ..Default::default() }
}

pub(crate) fn read_change_answer(
    data: &IncrementalAlterConfigsResponseData,
) -> Result<AlterConfigsResponse, Refused> {
    let each = data.responses.iter();
    let resources = each.map(|told| answered(told.resource_type, &told.resource_name, told.error_code));
    Ok(AlterConfigsResponse { resources: resources.collect::<Result<_, Refused>>()? })
}
