//! How is a client tested without a cluster? Its questions are taken and answered by hand, and its clock moves
//! from deadline to deadline.

use alloc::{vec, vec::Vec};

use crate::{
    client::Command,
    event::{Event, EventKind},
    machine::{Channel, Disconnect, Effects, Input, Machine, Outgoing},
    museum::Museum,
    node::Setup,
    protocol::{
        ApiKey, ErrorCode, Request, Response, TopicRef,
        metadata::{MetadataResponse, PartitionMetadata, TopicMetadata},
    },
    time::{Instant, Now, Timestamp},
    units::{CorrelationId, LeaderEpoch, NodeId, NodeSet, TopicId, TopicPartition},
};

/// The id of the topic `orders` in every script.
pub const ORDERS: TopicId = TopicId(7);

/// The partition of `orders`.
pub const fn orders(partition: u32) -> TopicPartition {
    TopicPartition::new(ORDERS, partition)
}

/// What a client is told at birth in every script: broker 1 is its only bootstrap server.
pub fn setup(museum: Museum) -> Setup {
    Setup {
        id: NodeId::client(1),
        seed: 1,
        museum,
        voters: NodeSet::new(),
        bootstrap: [NodeId::broker(1)].into_iter().collect(),
    }
}

/// A question the client has asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whom.
    pub to: NodeId,
    /// Under which number.
    pub correlation: CorrelationId,
    /// On which connection.
    pub channel: Channel,
    /// What.
    pub request: Request,
}

/// A client on its own.
pub struct Script<M> {
    /// The client.
    pub client: M,
    /// What its clock says, in nanoseconds.
    pub now: u64,
    /// What it has asked and was not answered.
    pub questions: Vec<Question>,
    /// Whose connections it has closed.
    pub closed: Vec<NodeId>,
    /// What it has told.
    pub events: Vec<Event>,
    /// Whether its process has ended.
    pub halted: bool,
}

impl<M: Machine> Script<M> {
    /// Starts a client.
    pub fn start(client: M) -> Script<M> {
        let mut script = Script {
            client,
            now: 1_000_000,
            questions: Vec::new(),
            closed: Vec::new(),
            events: Vec::new(),
            halted: false,
        };
        script.step(Input::Start);
        script
    }

    /// Lets one thing happen to it.
    pub fn step(&mut self, input: Input) {
        let mut effects = Effects::new();
        let now = Now {
            monotonic: Instant(self.now),
            wall: Timestamp(1_000_000 + (self.now / 1_000_000).cast_signed()),
        };
        self.client.step(now, input, &mut effects);
        for mail in effects.mail {
            match mail {
                Outgoing::Request { to, correlation, request, channel } => {
                    assert!(matches!(channel, Channel::MAIN | Channel::GROUP));
                    self.questions.push(Question { to, correlation, channel, request });
                }
                Outgoing::Disconnect { peer, channel } => {
                    self.questions.retain(|question| (question.to, question.channel) != (peer, channel));
                    self.closed.push(peer);
                }
                other => panic!("a client sends no {other:?}"),
            }
        }
        self.events.extend(effects.events);
        self.halted |= effects.halt.is_some();
    }

    /// Tells it to do something.
    pub fn tell(&mut self, command: Command) {
        self.step(Input::Told(command.into()));
    }

    /// Lets so many milliseconds pass.
    pub fn pass(&mut self, millis: u64) {
        let until = self.now + millis * 1_000_000;
        let mut steps = 0;
        while let Some(due) = self.client.deadline().filter(|due| due.0 <= until) {
            self.now = self.now.max(due.micros_up() * 1_000);
            self.step(Input::Deadline);
            steps += 1;
            assert!(steps < 10_000, "it wants to be woken for ever");
        }
        self.now = until;
    }

    /// Takes the oldest unanswered question of a kind.
    pub fn question(&mut self, api: ApiKey) -> Question {
        let at = self.questions.iter().position(|question| question.request.api() == api);
        let at = at.unwrap_or_else(|| panic!("no {} among {:?}", api.name(), self.questions));
        self.questions.remove(at)
    }

    /// How many questions of a kind are unanswered.
    pub fn unanswered(&self, api: ApiKey) -> usize {
        self.questions.iter().filter(|question| question.request.api() == api).count()
    }

    /// Answers a question; a broker answers in order.
    pub fn answer(&mut self, question: &Question, response: Response) {
        let same = |other: &Question| (other.to, other.channel) == (question.to, question.channel);
        let older = |other: &&Question| same(other) && other.correlation < question.correlation;
        assert!(!self.questions.iter().any(|other| older(&other)), "it was asked something before that");
        self.step(Input::Response {
            from: question.to,
            channel: question.channel,
            correlation: question.correlation,
            response,
        });
    }

    /// Breaks its connection to a broker; what was asked there is not answered.
    pub fn disconnect(&mut self, broker: u32) {
        self.disconnect_on(broker, Channel::MAIN);
    }

    /// Breaks one of its connections to a broker; what was asked there is not answered.
    pub fn disconnect_on(&mut self, broker: u32, channel: Channel) {
        let peer = NodeId::broker(broker);
        self.questions.retain(|question| (question.to, question.channel) != (peer, channel));
        self.step(Input::Disconnected { peer, channel, why: Disconnect::Reset });
    }

    /// Answers its question for metadata: who leads the partitions of `orders`, in which epochs.
    pub fn metadata(&mut self, leaders: &[(u32, u32)]) {
        let question = self.question(ApiKey::Metadata);
        self.answer(&question, metadata(leaders));
    }

    /// Answers its question for metadata: there is no such topic.
    pub fn no_such_topic(&mut self) {
        let question = self.question(ApiKey::Metadata);
        let mut response = metadata(&[]);
        if let Response::Metadata(response) = &mut response {
            response.topics[0].error = Some(ErrorCode::UnknownTopicOrPartition);
            response.topics[0].id = None;
        }
        self.answer(&question, response);
    }

    /// Takes what it has told of a kind since it was last asked.
    pub fn told_of(&mut self, kind: EventKind) -> Vec<Event> {
        let (taken, left) =
            core::mem::take(&mut self.events).into_iter().partition(|event| event.kind() == kind);
        self.events = left;
        taken
    }
}

/// What a broker says of `orders`: who leads its partitions, in which epochs.
pub fn metadata(leaders: &[(u32, u32)]) -> Response {
    let partitions = (0..).zip(leaders).map(|(partition, (leader, epoch))| PartitionMetadata {
        partition,
        error: (*leader == 0).then_some(ErrorCode::LeaderNotAvailable),
        leader: (*leader != 0).then_some(NodeId::broker(*leader)),
        leader_epoch: LeaderEpoch(*epoch),
        replicas: vec![],
        isr: NodeSet::new(),
        offline: NodeSet::new(),
    });
    Response::Metadata(MetadataResponse {
        brokers: [1, 2, 3].map(NodeId::broker).into_iter().collect(),
        controller: None,
        topics: vec![TopicMetadata {
            topic: TopicRef::Name("orders".into()),
            error: None,
            name: Some("orders".into()),
            id: Some(ORDERS),
            partitions: partitions.collect(),
        }],
    })
}
