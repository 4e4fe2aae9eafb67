//! What does a topic's configuration become? KIP-226, KIP-339.
//!
//! Each resource by itself, all of its settings or none. Brokers are set by what they are started with: to change
//! that is refused with `InvalidRequest`, as Kafka refuses what cannot be changed while a broker runs.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::{String, ToString},
    vec::Vec,
};

use super::{
    decide::View,
    record::{ConfigRecord, PartitionChangeRecord, Record},
    topics::check_config,
};
use crate::{
    config::{Kind, TopicConfig},
    protocol::{
        ErrorCode, TopicName,
        configs::{
            AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, Operation, Resource,
        },
    },
    units::{NodeSet, TopicId, TopicPartition},
};

type Settings = BTreeMap<String, String>;

/// Gives topics these settings and no others.
pub(super) fn alter(view: View<'_>, request: &AlterConfigsRequest) -> (Vec<Record>, AlterConfigsResponse) {
    each(view, &request.resources, request.validate_only, |_, settings| {
        let after: Settings = settings.iter().cloned().collect();
        // Of a key that is given twice nobody knows which value was meant.
        if after.len() == settings.len() { Ok(after) } else { Err(ErrorCode::InvalidRequest) }
    })
}

/// Changes single settings of topics.
pub(super) fn alter_incrementally(
    view: View<'_>,
    request: &IncrementalAlterConfigsRequest,
) -> (Vec<Record>, AlterConfigsResponse) {
    each(view, &request.resources, request.validate_only, |before, operations| {
        let keys: BTreeSet<&String> = operations.iter().map(|(key, _)| key).collect();
        if keys.len() != operations.len() {
            return Err(ErrorCode::InvalidRequest);
        }
        let mut after = before.clone();
        for (key, operation) in operations {
            match operation {
                Operation::Set(value) => {
                    after.insert(key.clone(), value.clone());
                }
                Operation::Delete => {
                    after.remove(key);
                }
                Operation::Append(words) => {
                    let mut list = list_of(before, key)?;
                    for word in split(words) {
                        if !list.contains(&word) {
                            list.push(word);
                        }
                    }
                    after.insert(key.clone(), list.join(","));
                }
                Operation::Subtract(words) => {
                    let gone = split(words);
                    let list: Vec<String> =
                        list_of(before, key)?.into_iter().filter(|word| !gone.contains(word)).collect();
                    after.insert(key.clone(), list.join(","));
                }
            }
        }
        Ok(after)
    })
}

fn each<T>(
    view: View<'_>,
    resources: &[(Resource, T)],
    validate_only: bool,
    wanted: impl Fn(&Settings, &T) -> Result<Settings, ErrorCode>,
) -> (Vec<Record>, AlterConfigsResponse) {
    let mut records = Vec::new();
    let mut answers = Vec::with_capacity(resources.len());
    for (resource, change) in resources {
        let once = resources.iter().filter(|(other, _)| other == resource).count() == 1;
        let result = match resource {
            Resource::Topic(name) if once => topic(view, name, |before| wanted(before, change)),
            _ => Err(ErrorCode::InvalidRequest),
        };
        answers.push((resource.clone(), result.map(|made| records.extend(made))));
    }
    if validate_only {
        records.clear();
    }
    (records, AlterConfigsResponse { resources: answers })
}

fn topic(
    view: View<'_>,
    name: &TopicName,
    wanted: impl FnOnce(&Settings) -> Result<Settings, ErrorCode>,
) -> Result<Vec<Record>, ErrorCode> {
    let id = view.image.topic_id(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let before = &view.image.topic(id).ok_or(ErrorCode::UnknownTopicOrPartition)?.config;
    let after = wanted(before)?;
    check_config(&after)?;
    let mut records = Vec::new();
    let mut state = |key: &String, value: Option<&String>| {
        records.push(Record::Config(ConfigRecord { topic: id, key: key.clone(), value: value.cloned() }));
    };
    for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(*value)) {
        state(key, Some(value));
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        state(key, None);
    }
    records.extend(nobody_need_be_eligible(view, id, &after));
    Ok(records)
}

/// Where as many are in sync as `min.insync.replicas` asks for from now on, nobody need be eligible beside them
/// (KIP-966).
fn nobody_need_be_eligible(view: View<'_>, id: TopicId, after: &Settings) -> Vec<Record> {
    let min_isr = view.rules_with(Some(after)).min_isr;
    let partitions = view.image.topic(id).map_or(&[][..], |topic| topic.partitions.as_slice());
    let enough = (0u32..)
        .zip(partitions)
        .filter(|(_, state)| !state.elr.is_empty() && state.isr.len() >= min_isr.min(state.replicas.len()));
    enough
        .map(|(number, _)| {
            Record::PartitionChange(PartitionChangeRecord {
                elr: Some(NodeSet::new()),
                ..PartitionChangeRecord::nothing(TopicPartition::new(id, number))
            })
        })
        .collect()
}

/// The words of a list as it is set, or as it is by default. Refuses what is no list with `InvalidConfig`.
fn list_of(settings: &Settings, key: &str) -> Result<Vec<String>, ErrorCode> {
    let known = TopicConfig::KEYS.iter().find(|known| known.name == key);
    if known.is_none_or(|known| known.kind != Kind::List) {
        return Err(ErrorCode::InvalidConfig);
    }
    Ok(match settings.get(key) {
        Some(value) => split(value),
        None => split(&TopicConfig::default().get(key).unwrap_or_default()),
    })
}

fn split(words: &str) -> Vec<String> {
    words.split(',').map(|word| word.trim().to_string()).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{
        controller::{
            decide::Question,
            fixture::{Cluster, broker, set},
        },
        protocol::{Request, Response},
    };

    fn orders() -> Resource {
        Resource::Topic("orders".into())
    }

    fn answered(cluster: &mut Cluster, request: Request) -> Result<(), ErrorCode> {
        match cluster.ask(Question::Request(request)) {
            Some(Response::AlterConfigs(response) | Response::IncrementalAlterConfigs(response)) => {
                response.resources[0].1
            }
            other => panic!("{other:?}"),
        }
    }

    fn change(cluster: &mut Cluster, key: &str, operation: Operation) -> Result<(), ErrorCode> {
        let resources = vec![(orders(), vec![(key.into(), operation)])];
        let request = IncrementalAlterConfigsRequest { resources, validate_only: false };
        answered(cluster, Request::IncrementalAlterConfigs(request))
    }

    fn replace(cluster: &mut Cluster, settings: &[(&str, &str)]) -> Result<(), ErrorCode> {
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let request = AlterConfigsRequest { resources: vec![(orders(), settings)], validate_only: false };
        answered(cluster, Request::AlterConfigs(request))
    }

    fn settings(cluster: &Cluster) -> Vec<(&str, &str)> {
        let id = cluster.image.topic_id(&"orders".into()).expect("it exists");
        let config = &cluster.image.topic(id).expect("it exists").config;
        config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    #[test]
    fn single_settings_change_and_the_others_stay() {
        let mut cluster = Cluster::of(1);
        cluster.topic("orders", &[1], &[("retention.ms", "7")]);
        let to = |value: &str| Operation::Set(value.into());
        assert_eq!(change(&mut cluster, "segment.bytes", to("4096")), Ok(()));
        assert_eq!(settings(&cluster), [("retention.ms", "7"), ("segment.bytes", "4096")]);
        // To what it is already: nothing to write down.
        assert_eq!(change(&mut cluster, "segment.bytes", to("4096")), Ok(()));
        assert!(cluster.records.is_empty());
        assert_eq!(change(&mut cluster, "retention.ms", Operation::Delete), Ok(()));
        assert_eq!(settings(&cluster), [("segment.bytes", "4096")]);
    }

    #[test]
    fn a_list_grows_and_shrinks_by_words_from_what_it_is_by_default() {
        let mut cluster = Cluster::of(1);
        cluster.topic("orders", &[1], &[]);
        assert_eq!(
            change(&mut cluster, "cleanup.policy", Operation::Append("compact,delete".into())),
            Ok(())
        );
        assert_eq!(settings(&cluster), [("cleanup.policy", "delete,compact")]);
        assert_eq!(change(&mut cluster, "cleanup.policy", Operation::Subtract("delete".into())), Ok(()));
        assert_eq!(settings(&cluster), [("cleanup.policy", "compact")]);
        let number = change(&mut cluster, "retention.ms", Operation::Append("7".into()));
        assert_eq!(number, Err(ErrorCode::InvalidConfig));
    }

    #[test]
    fn who_gives_all_settings_takes_the_others_away() {
        let mut cluster = Cluster::of(1);
        cluster.topic("orders", &[1], &[("retention.ms", "7"), ("segment.bytes", "4096")]);
        assert_eq!(replace(&mut cluster, &[("retention.ms", "8")]), Ok(()));
        assert_eq!(settings(&cluster), [("retention.ms", "8")]);
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        let mut cluster = Cluster::of(1);
        cluster.topic("orders", &[1], &[("retention.ms", "7")]);
        for (key, value) in
            [("retention.ms", "soon"), ("retention.millis", "8"), ("min.insync.replicas", "0")]
        {
            let refused = change(&mut cluster, key, Operation::Set(value.into()));
            assert_eq!(refused, Err(ErrorCode::InvalidConfig), "{key}");
        }
        // No word is left.
        let none = change(&mut cluster, "cleanup.policy", Operation::Subtract("delete".into()));
        assert_eq!(none, Err(ErrorCode::InvalidConfig));
        let twice = replace(&mut cluster, &[("retention.ms", "8"), ("retention.ms", "9")]);
        assert_eq!(twice, Err(ErrorCode::InvalidRequest));
        for resource in [Resource::Broker(broker(1)), Resource::AllBrokers] {
            let resources = vec![(resource, Vec::new())];
            let request = AlterConfigsRequest { resources, validate_only: false };
            assert_eq!(
                answered(&mut cluster, Request::AlterConfigs(request)),
                Err(ErrorCode::InvalidRequest)
            );
        }
        let resources = vec![(Resource::Topic("nowhere".into()), Vec::new())];
        let request = AlterConfigsRequest { resources, validate_only: false };
        let nowhere = answered(&mut cluster, Request::AlterConfigs(request));
        assert_eq!(nowhere, Err(ErrorCode::UnknownTopicOrPartition));
        let dry = vec![(orders(), vec![("retention.ms".into(), "8".into())])];
        let request = AlterConfigsRequest { resources: dry, validate_only: true };
        assert_eq!(answered(&mut cluster, Request::AlterConfigs(request)), Ok(()));
        assert_eq!(settings(&cluster), [("retention.ms", "7")]);
    }

    #[test]
    fn where_fewer_need_be_in_sync_nobody_need_be_eligible() {
        let mut cluster = Cluster::of(3);
        let partition = cluster.topic("orders", &[1, 2, 3], &[("min.insync.replicas", "2")]);
        cluster.expire(2);
        cluster.expire(3);
        assert_eq!((&cluster.state(partition).isr, &cluster.state(partition).elr), (&set(&[1]), &set(&[3])));
        assert_eq!(change(&mut cluster, "min.insync.replicas", Operation::Set("1".into())), Ok(()));
        assert!(cluster.state(partition).elr.is_empty());
    }
}
