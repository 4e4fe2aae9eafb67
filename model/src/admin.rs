//! How does an operator change the cluster?
//!
//! Kafka's `KafkaAdminClient`: every call is tried again, at another broker if need be, until it is answered
//! with something final or `default.api.timeout.ms` is over. Any broker hands changes on to the active
//! controller; only DeleteRecords goes to the partition's leader.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec,
};
use core::time::Duration;

use crate::{
    client::{
        Command, NamedPartition, backoff::Backoff, cluster_view::ClusterView, in_flight::InFlight,
        is_invalid_metadata,
    },
    event::Event,
    machine::{Channel, Effects, Halt, Input, Machine},
    node::Setup,
    protocol::{
        ErrorCode, LeaderHint, PartitionRef, Request, Response,
        topics::{
            CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
            DescribeTopicPartitionsRequest, ElectLeadersRequest, ElectionKind,
        },
    },
    rng::Rng,
    time::{Deadlines, Instant, Now, earliest},
    units::{NodeId, Offset},
};

// Kafka's defaults, which nobody has asked to change.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const API_TIMEOUT: Duration = Duration::from_secs(60);
const METADATA_MAX_AGE: Duration = Duration::from_secs(300);
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(1_000);

/// What a call asks for, and of whom.
#[derive(Clone, Debug)]
enum Wish {
    /// Any broker.
    Anybody(Request),
    /// The partition's leader: what is before the offset, or below the high watermark, goes.
    DeleteRecords(NamedPartition, Option<Offset>),
}

/// A call that is not answered for good.
#[derive(Clone, Debug)]
struct Call {
    what: String,
    wish: Wish,
    gives_up_at: Instant,
    failures: u32,
    last_error: Option<ErrorCode>,
}

/// What a request in flight was for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Metadata,
    Call(u64),
}

/// One operator's process.
#[derive(Clone, Debug)]
pub struct Admin {
    view: ClusterView,
    net: InFlight<Asked>,
    backoff: Backoff,
    /// In the order they were made, which is that in which they give up.
    calls: BTreeMap<u64, Call>,
    made: u64,
    /// When calls are tried, or tried again.
    due: Deadlines<u64>,
    /// Calls that wait for a leader to be known.
    leaderless: BTreeSet<u64>,
}

impl Admin {
    /// A process that has not started yet.
    pub fn new(setup: Setup) -> Admin {
        let stream = |name: &str| Rng::named(setup.seed, &format!("{}/{name}", setup.id));
        let retry = |name: &str| Backoff::new(RETRY_BACKOFF, BACKOFF_MAX, stream(name));
        let reconnect = Backoff::new(RECONNECT_BACKOFF, BACKOFF_MAX, stream("reconnect"));
        Admin {
            view: ClusterView::new(
                setup.bootstrap.clone(),
                METADATA_MAX_AGE,
                retry("metadata"),
                setup.museum,
            ),
            net: InFlight::new(Channel::MAIN, REQUEST_TIMEOUT, reconnect, stream("server")),
            backoff: retry("retry"),
            calls: BTreeMap::new(),
            made: 0,
            due: Deadlines::new(),
            leaderless: BTreeSet::new(),
        }
    }

    fn told(&mut self, now: Now, command: Command, effects: &mut Effects) {
        if command == Command::Shutdown {
            effects.note(Event::Halted { why: Halt::Shutdown });
            effects.halt = Some(Halt::Shutdown);
            return;
        }
        let Some((what, wish)) = wish_of(command) else { return };
        if let Wish::DeleteRecords(partition, _) = &wish {
            self.view.topic(&partition.topic);
        }
        let gives_up_at = now.monotonic + API_TIMEOUT;
        self.calls.insert(self.made, Call { what, wish, gives_up_at, failures: 0, last_error: None });
        self.due.set(now.monotonic, self.made);
        self.made += 1;
    }

    /// Makes an attempt at a call.
    fn attempt(&mut self, now: Now, which: u64, effects: &mut Effects) {
        let Some(call) = self.calls.get(&which) else { return };
        let (to, request) = match &call.wish {
            Wish::Anybody(request) => match self.view.any_server(now.monotonic, &mut self.net) {
                Ok(server) => (server, request.clone()),
                Err(rested) => return self.due.set(rested, which),
            },
            Wish::DeleteRecords(named, before) => {
                let topic = self.view.topic(&named.topic);
                let leader = self.view.leadership(topic, named.partition).leader;
                let (Some(leader), Some(known)) = (leader, self.view.partition(topic, named.partition))
                else {
                    self.leaderless.insert(which);
                    return;
                };
                if let Some(rested) = self.net.rests_until(now.monotonic, leader) {
                    return self.due.set(rested, which);
                }
                let partitions = vec![(PartitionRef::from(known), *before)];
                (
                    leader,
                    Request::DeleteRecords(DeleteRecordsRequest { partitions, timeout: REQUEST_TIMEOUT }),
                )
            }
        };
        self.net.send(now.monotonic, to, request, Asked::Call(which), effects);
    }

    fn response(&mut self, now: Now, asked: Asked, response: Response, effects: &mut Effects) {
        match (asked, response) {
            (Asked::Metadata, Response::Metadata(response)) => {
                self.view.learn(now.monotonic, &response, effects);
                for which in core::mem::take(&mut self.leaderless) {
                    self.due.set(now.monotonic, which);
                }
            }
            (Asked::Metadata, _) => self.view.ask_failed(now.monotonic),
            (Asked::Call(which), response) => {
                let (result, hint) = outcome(response);
                self.answered(now, which, result, hint, effects);
            }
        }
    }

    fn answered(
        &mut self,
        now: Now,
        which: u64,
        result: Result<(), ErrorCode>,
        hint: Option<LeaderHint>,
        effects: &mut Effects,
    ) {
        let Some(call) = self.calls.get_mut(&which) else { return };
        let Some(error) = result.err().filter(|error| call.wish.is_worth_another_try(*error)) else {
            return self.done(which, result.err(), effects);
        };
        let rest = self.backoff.rest(call.failures);
        call.failures = call.failures.saturating_add(1);
        call.last_error = Some(error);
        let mut again_at = now.monotonic + rest;
        if let (Wish::DeleteRecords(named, _), Some(hint)) = (&call.wish, hint) {
            let topic = self.view.topic(&named.topic);
            if self.view.learn_hint(topic, named.partition, hint, effects) {
                again_at = now.monotonic;
            }
        }
        if is_invalid_metadata(error) {
            self.view.want_update();
        }
        self.due.set(again_at, which);
    }

    fn done(&mut self, which: u64, error: Option<ErrorCode>, effects: &mut Effects) {
        self.due.cancel(&which);
        self.leaderless.remove(&which);
        if let Some(call) = self.calls.remove(&which) {
            effects.note(Event::AdminDone { what: call.what, error });
        }
    }

    fn lost(&mut self, now: Now, asked: Asked, effects: &mut Effects) {
        match asked {
            Asked::Metadata => self.view.ask_failed(now.monotonic),
            Asked::Call(which) => {
                self.answered(now, which, Err(ErrorCode::NetworkException), None, effects);
            }
        }
    }

    fn disconnected(&mut self, now: Now, peer: NodeId, effects: &mut Effects) {
        for (_, asked) in self.net.broken(now.monotonic, peer) {
            self.lost(now, asked, effects);
        }
    }

    /// What every step ends with: whatever is due by time.
    fn go_on(&mut self, now: Now, effects: &mut Effects) {
        while let Some((_, lost)) = self.net.time_out(now.monotonic, effects) {
            for (_, asked) in lost {
                self.lost(now, asked, effects);
            }
        }
        while let Some((which, call)) = self.calls.first_key_value() {
            if call.gives_up_at > now.monotonic {
                break;
            }
            let error = call.last_error.unwrap_or(ErrorCode::RequestTimedOut);
            self.done(*which, Some(error), effects);
        }
        while let Some(which) = self.due.pop_due(now.monotonic) {
            self.attempt(now, which, effects);
        }
        if !self.leaderless.is_empty() {
            self.view.want_update();
        }
        self.view.ask(now.monotonic, &mut self.net, Asked::Metadata, effects);
    }
}

impl Wish {
    /// Whether an error may pass. Kafka's admin client takes what a broker says of the thing itself for final.
    fn is_worth_another_try(&self, error: ErrorCode) -> bool {
        match self {
            Wish::DeleteRecords(..) => error.is_retriable(),
            Wish::Anybody(_) => {
                error.is_retriable()
                    && !matches!(
                        error,
                        ErrorCode::UnknownTopicOrPartition
                            | ErrorCode::UnknownTopicId
                            | ErrorCode::ElectionNotNeeded
                            | ErrorCode::PreferredLeaderNotAvailable
                            | ErrorCode::EligibleLeadersNotAvailable
                    )
            }
        }
    }
}

/// What a command asks for, in words and as a request.
fn wish_of(command: Command) -> Option<(String, Wish)> {
    let timeout = REQUEST_TIMEOUT;
    let (what, request) = match command {
        Command::CreateTopic(topic) => (
            format!("create topic {}", topic.name),
            Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], timeout }),
        ),
        Command::DeleteTopic(name) => (
            format!("delete topic {name}"),
            Request::DeleteTopics(DeleteTopicsRequest { topics: vec![name], timeout }),
        ),
        Command::CreatePartitions(name, count) => (
            format!("give topic {name} {count} partitions"),
            Request::CreatePartitions(CreatePartitionsRequest { topics: vec![(name, count)], timeout }),
        ),
        Command::ElectLeaders(kind, partitions) => {
            let which = if kind == ElectionKind::Preferred { "preferred" } else { "unclean" };
            let what = match partitions.len() {
                0 => format!("elect {which} leaders"),
                count => format!("elect {which} leaders of {count} partitions"),
            };
            let partitions = (!partitions.is_empty()).then_some(partitions);
            (what, Request::ElectLeaders(ElectLeadersRequest { kind, partitions, timeout }))
        }
        Command::DescribeTopic(name) => (
            format!("describe topic {name}"),
            Request::DescribeTopicPartitions(DescribeTopicPartitionsRequest { topics: Some(vec![name]) }),
        ),
        Command::DeleteRecords(named, before) => {
            let what = match before {
                Some(before) => {
                    format!("delete records of {}-{} before {before}", named.topic, named.partition)
                }
                None => format!("delete records of {}-{}", named.topic, named.partition),
            };
            return Some((what, Wish::DeleteRecords(named, before)));
        }
        _ => return None,
    };
    Some((what, Wish::Anybody(request)))
}

/// What an answer says of the one thing that was asked for.
fn outcome(response: Response) -> (Result<(), ErrorCode>, Option<LeaderHint>) {
    let unsaid = ErrorCode::UnknownServerError;
    let result = match response {
        Response::CreateTopics(r) => r.topics.into_iter().next().map_or(Err(unsaid), |t| t.1.map(|_| ())),
        Response::DeleteTopics(r) => r.topics.into_iter().next().map_or(Err(unsaid), |t| t.1),
        Response::CreatePartitions(r) => r.topics.into_iter().next().map_or(Err(unsaid), |t| t.1),
        Response::ElectLeaders(r) => match r.error {
            Some(error) => Err(error),
            None => r.partitions.into_iter().find_map(|(_, result)| result.err()).map_or(Ok(()), Err),
        },
        Response::DescribeTopicPartitions(r) => match r.topics.first() {
            Some(topic) => topic.metadata.error.map_or(Ok(()), Err),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        },
        Response::DeleteRecords(r) => {
            return match r.partitions.into_iter().next() {
                Some((_, result, hint)) => (result.map(|_| ()), hint),
                None => (Err(unsaid), None),
            };
        }
        _ => Err(unsaid),
    };
    (result, None)
}

impl Machine for Admin {
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
        let gives_up = self.calls.first_key_value().map(|(_, call)| call.gives_up_at);
        [self.view.deadline(), self.net.deadline(), self.due.next()].into_iter().fold(gives_up, earliest)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{
        client::scripted::{ORDERS, Script, orders, setup},
        event::EventKind,
        museum::Museum,
        protocol::{
            ApiKey,
            topics::{CreateTopicsResponse, DeleteRecordsResponse, DeleteTopicsResponse, NewTopic},
        },
        units::LeaderEpoch,
    };

    fn started() -> Script<Admin> {
        Script::start(Admin::new(setup(Museum::CLOSED)))
    }

    fn create() -> Command {
        Command::CreateTopic(NewTopic {
            name: "orders".into(),
            partitions: 1,
            replication_factor: 1,
            assignment: vec![],
            config: vec![],
        })
    }

    fn created(script: &mut Script<Admin>, result: Result<(), ErrorCode>) {
        let question = script.question(ApiKey::CreateTopics);
        let topics = vec![("orders".into(), result.map(|()| ORDERS))];
        script.answer(&question, Response::CreateTopics(CreateTopicsResponse { topics }));
    }

    fn done(script: &mut Script<Admin>) -> vec::Vec<Event> {
        script.told_of(EventKind::AdminDone)
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_is_final_is_told() {
        let mut script = started();
        script.tell(create());
        created(&mut script, Err(ErrorCode::NotController));
        assert_eq!(done(&mut script), []);
        script.pass(120);
        script.disconnect(1);
        script.pass(400);
        script.metadata(&[]);
        created(&mut script, Ok(()));
        assert_eq!(done(&mut script), [Event::AdminDone { what: "create topic orders".into(), error: None }]);

        script.tell(Command::DeleteTopic("orders".into()));
        let question = script.question(ApiKey::DeleteTopics);
        let topics = vec![("orders".into(), Err(ErrorCode::UnknownTopicOrPartition))];
        script.answer(&question, Response::DeleteTopics(DeleteTopicsResponse { topics }));
        let error = Some(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(done(&mut script), [Event::AdminDone { what: "delete topic orders".into(), error }]);
    }

    #[test]
    fn records_are_deleted_by_the_leader_wherever_it_goes() {
        let mut script = started();
        let named = NamedPartition { topic: "orders".into(), partition: 0 };
        script.tell(Command::DeleteRecords(named, Some(Offset(5))));
        script.metadata(&[(2, 1)]);
        let hint = LeaderHint { leader: Some(NodeId::broker(3)), epoch: LeaderEpoch(2) };
        for (broker, result, hint) in
            [(2, Err(ErrorCode::NotLeaderOrFollower), Some(hint)), (3, Ok(Offset(5)), None)]
        {
            let question = script.question(ApiKey::DeleteRecords);
            assert_eq!(question.to, NodeId::broker(broker));
            let partitions = vec![(PartitionRef::from(orders(0)), result, hint)];
            script.answer(&question, Response::DeleteRecords(DeleteRecordsResponse { partitions }));
        }
        let what = "delete records of orders-0 before 5".into();
        assert_eq!(done(&mut script), [Event::AdminDone { what, error: None }]);
    }

    #[test]
    fn a_call_that_nobody_answers_is_given_up_after_a_minute() {
        let mut script = started();
        script.tell(create());
        script.pass(59_999);
        assert_eq!(done(&mut script), []);
        script.pass(1);
        let error = Some(ErrorCode::NetworkException);
        assert_eq!(done(&mut script), [Event::AdminDone { what: "create topic orders".into(), error }]);
        assert!(script.closed.contains(&NodeId::broker(1)), "every attempt has thirty seconds");
    }
}
