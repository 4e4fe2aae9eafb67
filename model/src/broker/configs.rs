//! What are topics, and this broker, set to? As it has heard, which may be old.

use alloc::{string::String, vec::Vec};

use super::Broker;
use crate::{
    config::{BrokerConfig, Key, TopicConfig},
    machine::{Caller, Effects},
    protocol::{
        ErrorCode, Response, TopicName,
        configs::{DescribeConfigsRequest, DescribeConfigsResponse, Resource, Said, Setting, Source},
    },
};

impl Broker {
    /// Tells what things are set to: `UnknownTopicOrPartition` of a topic that is not known here, `InvalidRequest` of
    /// another broker, which is to be asked itself.
    pub(super) fn describe_configs(
        &mut self,
        caller: Caller,
        request: DescribeConfigsRequest,
        effects: &mut Effects,
    ) {
        let each = request.resources.into_iter().map(|(resource, keys)| {
            let result = self.settings(&resource).map(|mut settings| {
                settings.retain(|setting| {
                    keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key == setting.key))
                });
                settings
            });
            (resource, result)
        });
        let response = DescribeConfigsResponse { resources: each.collect() };
        self.answer(caller, Response::DescribeConfigs(response), effects);
    }

    fn settings(&self, resource: &Resource) -> Result<Vec<Setting>, ErrorCode> {
        match resource {
            Resource::Topic(name) => self.topic_settings(name),
            Resource::Broker(id) if *id == self.setup.id => Ok(BrokerConfig::KEYS
                .iter()
                .map(|key| setting(key, true, self.broker_says(key.name)))
                .collect()),
            Resource::Broker(_) => Err(ErrorCode::InvalidRequest),
            // Nothing can be said of all of them but by what each is started with.
            Resource::AllBrokers => Ok(Vec::new()),
        }
    }

    fn topic_settings(&self, name: &TopicName) -> Result<Vec<Setting>, ErrorCode> {
        let image = &self.metadata.image;
        let topic = image.topic_id(name).and_then(|id| image.topic(id));
        let topic = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let each = TopicConfig::KEYS.iter().map(|key| {
            let own = topic.config.get(key.name).map(|value| said(key.name, value.clone(), Source::Topic));
            let mut all: Vec<Said> = own.into_iter().collect();
            all.extend(
                TopicConfig::broker_key(key.name).map(|key| self.broker_says(key)).unwrap_or_default(),
            );
            setting(key, false, all)
        });
        Ok(each.collect())
    }

    /// What this broker was started with, if that is not what Kafka has by default; and that.
    fn broker_says(&self, key: &'static str) -> Vec<Said> {
        let default = BrokerConfig::default().get(key);
        let own = self.config.get(key).filter(|own| Some(own) != default.as_ref());
        let own = own.map(|value| said(key, value, Source::Broker));
        own.into_iter().chain(default.map(|value| said(key, value, Source::Default))).collect()
    }
}

fn said(key: &'static str, value: String, by: Source) -> Said {
    Said { key, value, by }
}

fn setting(key: &Key, read_only: bool, said: Vec<Said>) -> Setting {
    Setting { key: key.name, kind: key.kind, about: key.about, read_only, said }
}
