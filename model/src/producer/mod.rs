//! How do records get into the log, once each and in order?
//!
//! Kafka's producer as one machine: records are gathered into batches (`accumulator`), sent to the leaders and
//! sent again until a broker has them or `delivery.timeout.ms` is over (`sender`), numbered so that brokers
//! recognise repetitions (`idempotence`).

pub mod partitioner;
pub mod accumulator;
pub mod idempotence;
mod sender;
mod outcome;

use alloc::{collections::VecDeque, format, vec::Vec};

use smallvec::SmallVec;

use accumulator::{Accumulator, BatchId, size_bound};
use idempotence::Identity;
use partitioner::TopicChoice;
use sender::Sent;

use crate::{
    client::{
        Command, NewRecord,
        backoff::Backoff,
        cluster_view::{ClusterView, TopicIndex},
        in_flight::InFlight,
    },
    config::ProducerConfig,
    event::{Event, Payload},
    log::batch::HEADER_SIZE,
    machine::{Channel, Effects, Halt, Input, Machine},
    museum::{Bug, Museum},
    node::Setup,
    protocol::{
        ErrorCode, Request, Response,
        metadata::MetadataResponse,
        produce::Acks,
        producer_ids::{InitProducerIdRequest, InitProducerIdResponse},
    },
    rng::Rng,
    time::{Instant, Now, earliest},
    units::NodeId,
};

/// What a request in flight was for.
#[derive(Clone, Debug)]
enum Asked {
    Metadata,
    ProducerId,
    Produce(SmallVec<[Sent; 1]>),
}

/// Who we are, for an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Me {
    /// An id is asked for at this time.
    Wanted { at: Instant, failures: u32 },
    /// It has been asked for.
    Asking { failures: u32 },
    /// It is known.
    Known(Identity),
}

/// One producer process.
#[derive(Clone, Debug)]
pub struct Producer {
    config: ProducerConfig,
    museum: Museum,
    acks: Acks,
    idempotent: bool,
    view: ClusterView,
    net: InFlight<Asked>,
    accumulator: Accumulator,
    choices: Vec<TopicChoice>,
    me: Me,
    backoff: Backoff,
    rng: Rng,
    /// Records that are not in a batch: there is no memory for the first, or its topic is not known, and so its
    /// `send` has not returned. The application sends the others after that, in order.
    blocked: VecDeque<NewRecord>,
    /// When the first of them was sent.
    blocked_since: Instant,
    /// Whether the first of them waits for memory.
    starved: bool,
    /// Batches up to this one do not wait for company.
    flushed: Option<BatchId>,
    closing: bool,
    /// When a broker that queues want to send to has rested.
    rested: Option<Instant>,
}

impl Producer {
    /// A process that has not started yet.
    ///
    /// As in Kafka where `enable.idempotence` is not set explicitly, settings that rule it out turn it off:
    /// `acks` other than all, no `retries`, more than five requests in flight.
    pub fn new(setup: Setup, config: ProducerConfig) -> Producer {
        let stream = |name: &str| Rng::named(setup.seed, &format!("{}/{name}", setup.id));
        let retry =
            |name: &str| Backoff::new(config.retry_backoff_ms, config.retry_backoff_max_ms, stream(name));
        let reconnect =
            Backoff::new(config.reconnect_backoff_ms, config.reconnect_backoff_max_ms, stream("reconnect"));
        let acks = Acks::from(config.acks);
        Producer {
            acks,
            idempotent: config.enable_idempotence
                && acks.all()
                && config.retries > 0
                && config.max_in_flight_requests_per_connection <= 5,
            museum: setup.museum,
            view: ClusterView::new(
                setup.bootstrap.clone(),
                config.metadata_max_age_ms,
                retry("metadata"),
                setup.museum,
            ),
            net: InFlight::new(Channel::MAIN, config.request_timeout_ms, reconnect, stream("server")),
            accumulator: Accumulator::default(),
            choices: Vec::new(),
            me: Me::Wanted { at: Instant::ZERO, failures: 0 },
            backoff: retry("retry"),
            rng: stream("partitioner"),
            blocked: VecDeque::new(),
            blocked_since: Instant::ZERO,
            starved: false,
            flushed: None,
            closing: false,
            rested: None,
            config,
        }
    }

    fn told(&mut self, now: Now, command: Command, effects: &mut Effects) {
        match command {
            Command::Send(record) => {
                if self.closing {
                    fail(&record, ErrorCode::InvalidRequest, effects);
                } else if !self.blocked.is_empty() {
                    self.blocked.push_back(record);
                } else if let Some(record) = self.take(now, record, effects) {
                    self.blocked_since = now.monotonic;
                    self.blocked.push_back(record);
                }
            }
            Command::Flush => {
                self.flushed = self.accumulator.newest();
                self.place_all(now.monotonic);
            }
            Command::Shutdown => {
                self.closing = true;
                self.place_all(now.monotonic);
            }
            _ => {}
        }
    }

    /// Takes a record into a batch. Gives it back if its topic or partition is not known yet or there is no
    /// memory for it.
    fn take(&mut self, now: Now, record: NewRecord, effects: &mut Effects) -> Option<NewRecord> {
        let size = size_bound(&record);
        if size > self.config.max_request_size as usize || size as u64 > self.config.buffer_memory {
            fail(&record, ErrorCode::MessageTooLarge, effects);
            return None;
        }
        let topic = self.view.topic(&record.topic);
        if self.choices.len() <= topic.0 {
            self.choices.resize(topic.0 + 1, TopicChoice::default());
        }
        let partitions = self.view.view(topic).partitions();
        let choice = &mut self.choices[topic.0];
        let chosen = record.partition.or_else(|| {
            choice.choose(self.config.partitioner, record.key.as_deref(), partitions, &mut self.rng)
        });
        let Some((partition, known)) = chosen.and_then(|p| Some((p, self.view.partition(topic, p)?))) else {
            self.view.want_update();
            return Some(record);
        };
        let timestamp = record.timestamp.unwrap_or(now.wall);
        let (batch_size, memory) = (self.config.batch_size, self.config.buffer_memory);
        let taken = self.accumulator.append(
            now.monotonic,
            (topic, partition),
            timestamp,
            &record,
            batch_size,
            memory,
        );
        let Some(taken) = taken else {
            if !self.starved {
                self.starved = true;
                self.place_all(now.monotonic);
            }
            return Some(record);
        };
        if record.partition.is_none() && record.key.is_none() {
            let partitions = self.view.view(topic).partitions();
            let bytes = taken.bytes - if taken.new_batch { HEADER_SIZE } else { 0 };
            self.choices[topic.0].sent(bytes, batch_size, taken.full, partitions, &mut self.rng);
        }
        effects.note(Event::RecordSent {
            tag: record.tag,
            partition: known,
            value: Payload::of(record.value, record.headers.into_iter().next().map(|(_, value)| value)),
            timestamp,
        });
        if taken.new_batch || taken.ready {
            self.place(now.monotonic, taken.queue);
        }
        None
    }

    /// Lets blocked sends go on, in order, as far as they can.
    fn unblock(&mut self, now: Now, effects: &mut Effects) {
        self.starved = false;
        while let Some(record) = self.blocked.pop_front() {
            if let Some(record) = self.take(now, record, effects) {
                self.blocked.push_front(record);
                return;
            }
            self.blocked_since = now.monotonic;
        }
    }

    /// Fails the send that has been blocked for `max.block.ms`, and lets those behind it go on: Kafka has each
    /// `send` wait for so long by itself, and a record for another topic need not wait at all.
    fn expire_blocked(&mut self, now: Now, effects: &mut Effects) {
        while self.blocked_until().is_some_and(|until| until <= now.monotonic)
            && let Some(record) = self.blocked.pop_front()
        {
            let error =
                if self.starved { ErrorCode::RequestTimedOut } else { ErrorCode::UnknownTopicOrPartition };
            fail(&record, error, effects);
            self.blocked_since = now.monotonic;
            self.unblock(now, effects);
        }
    }

    /// When the send that is blocked fails.
    fn blocked_until(&self) -> Option<Instant> {
        (!self.blocked.is_empty()).then(|| self.blocked_since + self.config.max_block_ms)
    }

    fn response(&mut self, now: Now, asked: Asked, response: Response, effects: &mut Effects) {
        match (asked, response) {
            (Asked::Metadata, Response::Metadata(response)) => self.learn(now, &response, effects),
            (Asked::ProducerId, Response::InitProducerId(response)) => self.named(now, response, effects),
            (Asked::Produce(sent), Response::Produce(response)) => {
                self.answered(now, sent, response, effects);
            }
            // An answer to another question: as if there had been none.
            (asked, _) => self.lost(now, asked, ErrorCode::UnknownServerError, effects),
        }
    }

    /// A request will not be answered.
    fn lost(&mut self, now: Now, asked: Asked, error: ErrorCode, effects: &mut Effects) {
        match asked {
            Asked::Metadata => self.view.ask_failed(now.monotonic),
            Asked::ProducerId => self.naming_failed(now.monotonic),
            Asked::Produce(sent) => {
                for sent in sent {
                    self.complete(now, &sent, Err(error), None, effects);
                }
            }
        }
    }

    fn disconnected(&mut self, now: Now, peer: NodeId, effects: &mut Effects) {
        for (_, asked) in self.net.broken(now.monotonic, peer) {
            self.lost(now, asked, ErrorCode::NetworkException, effects);
        }
        self.view.want_update();
    }

    fn learn(&mut self, now: Now, response: &MetadataResponse, effects: &mut Effects) {
        let changed = self.view.learn(now.monotonic, response, effects);
        for (topic, partition) in &changed {
            self.leader_changed(now.monotonic, *topic, *partition);
        }
        if !self.blocked.is_empty() {
            self.unblock(now, effects);
        }
    }

    fn leader_changed(&mut self, now: Instant, topic: TopicIndex, partition: u32) {
        let Some(queue) = self.accumulator.queue_of(topic, partition) else { return };
        let vanished = self.view.partition(topic, partition).is_none();
        if vanished && self.museum.has(Bug::SequenceStateDroppedWithTopic) {
            // librdkafka before 1.9.0: the numbers were kept with the topic, which a restarted broker may
            // not know for a while. The next batch then looks like the first one.
            self.accumulator.queue_mut(queue).sequences.forget();
        }
        self.place(now, queue);
    }

    /// Asks for an identity, if one is needed and it is time.
    fn ask_name(&mut self, now: Instant, effects: &mut Effects) {
        let Me::Wanted { at, failures } = self.me else { return };
        if !self.idempotent || at > now {
            return;
        }
        match self.view.any_server(now, &mut self.net) {
            Ok(server) => {
                let request = Request::InitProducerId(InitProducerIdRequest { current: None });
                self.net.send(now, server, request, Asked::ProducerId, effects);
                self.me = Me::Asking { failures };
            }
            Err(at) => self.me = Me::Wanted { at, failures },
        }
    }

    fn naming_failed(&mut self, now: Instant) {
        if let Me::Asking { failures } = self.me {
            self.me = Me::Wanted { at: now + self.backoff.rest(failures), failures: failures + 1 };
        }
    }

    fn named(&mut self, now: Now, response: InitProducerIdResponse, effects: &mut Effects) {
        match response.result {
            Ok((id, epoch)) => {
                self.become_known(Identity { id, epoch }, effects);
                for queue in self.accumulator.queues() {
                    self.restart_numbers(queue, effects);
                }
                self.place_all(now.monotonic);
            }
            Err(_) => self.naming_failed(now.monotonic),
        }
    }

    fn become_known(&mut self, identity: Identity, effects: &mut Effects) {
        self.me = Me::Known(identity);
        effects.note(Event::ProducerEpochRaised { id: identity.id, epoch: identity.epoch });
    }

    /// What every step ends with: whatever is due by time, and whatever can be sent now.
    fn go_on(&mut self, now: Now, effects: &mut Effects) {
        while let Some((_, lost)) = self.net.time_out(now.monotonic, effects) {
            for (_, asked) in lost {
                self.lost(now, asked, ErrorCode::RequestTimedOut, effects);
            }
            self.view.want_update();
        }
        self.expire_batches(now, effects);
        self.expire_blocked(now, effects);
        while let Some(queue) = self.accumulator.pop_due(now.monotonic) {
            self.place(now.monotonic, queue);
        }
        self.ask_name(now.monotonic, effects);
        self.send(now, effects);
        if self.accumulator.has_leaderless() || (!self.blocked.is_empty() && !self.starved) {
            self.view.want_update();
        }
        self.view.ask(now.monotonic, &mut self.net, Asked::Metadata, effects);
        if self.closing && self.accumulator.is_empty() && self.blocked.is_empty() {
            effects.note(Event::Halted { why: Halt::Shutdown });
            effects.halt = Some(Halt::Shutdown);
        }
    }
}

/// Fails a record that never was in a batch.
fn fail(record: &NewRecord, error: ErrorCode, effects: &mut Effects) {
    effects.note(Event::RecordFailed { tag: record.tag, partition: None, error, maybe_written: false });
}

impl Machine for Producer {
    fn step(&mut self, now: Now, input: Input, effects: &mut Effects) {
        match input {
            Input::Told(command) => self.told(now, *command, effects),
            Input::Response { from, channel: Channel::MAIN, correlation, response } => {
                if let Some(asked) = self.net.answered(from, correlation) {
                    self.response(now, asked, response, effects);
                }
            }
            Input::Disconnected { peer, channel: Channel::MAIN, .. } => {
                self.disconnected(now, peer, effects);
            }
            _ => {}
        }
        self.go_on(now, effects);
    }

    fn deadline(&self) -> Option<Instant> {
        let delivery =
            self.accumulator.oldest().map(|oldest| oldest.created + self.config.delivery_timeout_ms);
        let blocked = self.blocked_until();
        let name = match self.me {
            Me::Wanted { at, .. } if self.idempotent => Some(at),
            _ => None,
        };
        [self.view.deadline(), self.net.deadline(), self.accumulator.next_due(), delivery, blocked, name]
            .into_iter()
            .fold(self.rested, earliest)
    }
}

#[cfg(test)]
mod tests;
