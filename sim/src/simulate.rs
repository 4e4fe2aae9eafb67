//! How does a scenario become a run?

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use cpu_time::ThreadTime;
use trial_model::{
    config::{Assignor, BrokerConfig, ConsumerConfig, ControllerConfig, ProducerConfig, Text},
    group::OFFSETS_TOPIC,
    node::{Role, Setup},
    protocol::produce::Acks,
    rng::Rng,
    time::Instant,
    units::{NodeId, NodeSet},
};

use crate::{
    check::{ClientInfo, ClientKind, Judge, JudgeSetup, MemberInfo, Patience, TopicRules, Violation},
    clock::NodeClock,
    digest::Digest,
    director::{
        Director, nemesis,
        plan::Plan,
        workload::{Staff, Workload},
    },
    disk::{Disk, DiskConfig},
    engine,
    latency::Latency,
    names::{RunNames, SharedNames},
    network::{LinkConfig, Network, NetworkConfig},
    panics,
    run::{Engine, Goal, Options, Run},
    scenario::{
        Scenario,
        file::{self, Action, Actor, Client, Config, Expect, Start, apply},
        values::{CheckName, Selector, Spread},
    },
    trace::Recorder,
    world::{Outcome, Resident, Tally, World},
};

/// Runs a scenario under a seed, to its end.
///
/// The same scenario, seed and options that matter (`museum`, `until`, `stop_at_first`, `without`) give the same run on
/// every engine and machine. A panic in a node is a violation of `no_panics`, and the run ends with it.
pub fn simulate(scenario: &Scenario, seed: u64, mut options: Options) -> Run {
    // A fresh thread: madsim and the panic hook keep state in the thread's own.
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let began = ThreadTime::try_now().ok();
            let run = simulate_here(scenario, seed, &mut options);
            Run { cpu: began.and_then(|began| began.try_elapsed().ok()).unwrap_or_default(), ..run }
        });
        run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn simulate_here(scenario: &Scenario, seed: u64, options: &mut Options) -> Run {
    let scenario = &nemesis::written_out(scenario, seed);
    let names = SharedNames::default();
    let world = Arc::new(Mutex::new(build(scenario, seed, options, &names)));
    let engine = options.engine;
    let panic = panics::catch(|| match engine {
        Engine::Direct => engine::direct::run(&mut world.lock().expect("nobody else has it")),
        #[cfg(madsim)]
        Engine::Madsim(scheduling) => engine::madsim::run(world.clone(), scheduling),
    });
    let world = match Arc::try_unwrap(world) {
        Ok(world) => world.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner),
        // A panic in a task may leave other tasks behind that hold the world: take it from under them.
        Err(shared) => {
            let mut guard = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::replace(&mut *guard, build(scenario, seed, &mut Options::default(), &names))
        }
    };
    let outcome = world.finish(panic.is_none());
    report(scenario, seed, outcome, panic.filter(|_| !options.without.contains("no_panics")), &names, options)
}

fn build(scenario: &Scenario, seed: u64, options: &mut Options, names: &SharedNames) -> World {
    let cast = Cast::of(scenario);
    for (node, name) in cast.called() {
        names.get().call(node, &name);
    }
    let nodes: Vec<NodeId> = cast.nodes();
    let chaos_ends = Instant::ZERO + scenario.phases.chaos.0;
    let ends = (chaos_ends, chaos_ends + scenario.phases.settle.0);
    let museum = scenario.plant.iter().fold(options.museum, |museum, bug| museum.with(bug.0));
    let voters: NodeSet = (1..=scenario.topology.controllers).map(NodeId::controller).collect();
    let brokers: NodeSet = (1..=scenario.topology.brokers).map(NodeId::broker).collect();
    let setup = |id: NodeId| Setup { id, seed, museum, voters: voters.clone(), bootstrap: brokers.clone() };
    let disk = disk_config(&scenario.topology.disk);
    let residents = nodes.iter().map(|id| Resident {
        id: *id,
        role: cast.role(scenario, *id),
        clock: clock_of(scenario, *id),
        disk: Disk::new(seed, *id, disk),
        setup: setup(*id),
    });
    let network = network_of(scenario, seed, &nodes);
    let plan = Plan::new(scenario.faults.clone(), seed, chaos_ends);
    let workload = Workload::new(scenario, &cast.clients, cast.staff, seed);
    let director =
        Director::new(plan, workload, cast.staff, &nodes, ends, options.until, options.stop_at_first);
    let except = options.without.iter().map(|check| (*check).to_string()).collect();
    let judge = (!options.unjudged)
        .then(|| Judge::new(judge_setup(scenario, &cast, except), Box::new(names.clone())));
    let mut recorder = Recorder::new();
    options.readers.drain(..).for_each(|reader| recorder.add(reader));
    let mut world = World::new(
        residents.collect(),
        network,
        director,
        judge,
        names.clone(),
        recorder,
        Tally::new(cast.staff.auditor),
        options.progress.take(),
    );
    if let Some((at, seed)) = options.reseed {
        world.reseed_at(at, seed);
    }
    options.scribe.take().into_iter().for_each(|scribe| world.write_down(scribe));
    world
}

/// Everybody who takes part.
pub(crate) struct Cast {
    pub(crate) clients: Vec<Client>,
    pub(crate) staff: Staff,
    pub(crate) servers: Vec<NodeId>,
}

impl Cast {
    pub(crate) fn of(scenario: &Scenario) -> Cast {
        let clients = scenario.clients();
        let staff = Staff::HIRED;
        let brokers = (1..=scenario.topology.brokers).map(NodeId::broker);
        let servers = brokers.chain((1..=scenario.topology.controllers).map(NodeId::controller)).collect();
        Cast { clients, staff, servers }
    }

    /// Every node, in order.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        let clients = self.clients.iter().map(|client| client.id);
        let staff = [self.staff.setup, self.staff.auditor, self.staff.prober];
        self.servers.iter().copied().chain(clients).chain(staff).collect()
    }

    pub(crate) fn called(&self) -> Vec<(NodeId, String)> {
        let clients = self.clients.iter().map(|client| (client.id, client.name.clone()));
        let Staff { setup, auditor, prober } = self.staff;
        let staff = [(setup, "setup".into()), (auditor, "auditor".into()), (prober, "prober".into())];
        clients.chain(staff).collect()
    }

    pub(crate) fn role(&self, scenario: &Scenario, node: NodeId) -> Role {
        let topology = &scenario.topology;
        match node.role() {
            trial_model::units::NodeRole::Broker => Role::Broker(broker_config(topology, node)),
            trial_model::units::NodeRole::Controller => Role::Controller(controller_config(topology, node)),
            trial_model::units::NodeRole::Client => self.client_role(scenario, node),
        }
    }

    fn member(&self, scenario: &Scenario, node: NodeId) -> Option<MemberInfo> {
        let client = self.clients.iter().find(|client| client.id == node)?;
        match &scenario.workload[client.actor] {
            Actor::Consumer(it) => member_info(it),
            _ => None,
        }
    }

    fn client_role(&self, scenario: &Scenario, node: NodeId) -> Role {
        if node == self.staff.setup {
            return Role::Admin;
        }
        if node == self.staff.prober {
            // One topic that goes while it asks for it must not keep it from all others.
            return Role::Producer(ProducerConfig {
                max_block_ms: Duration::from_secs(5),
                ..Default::default()
            });
        }
        if node == self.staff.auditor {
            // It has little time for logs of many small segments, one of which each fetch returns.
            let config = consumer_config(Start::Earliest, &Config::new());
            return Role::Consumer(ConsumerConfig {
                fetch_max_wait_ms: Duration::from_millis(100),
                ..config
            });
        }
        let client = self.clients.iter().find(|client| client.id == node).expect("a node of the cast");
        match &scenario.workload[client.actor] {
            Actor::Producer(it) => Role::Producer(producer_config(it)),
            Actor::Consumer(it) => Role::Consumer(member_config(it, &client.name)),
            Actor::Admin(_) => Role::Admin,
        }
    }
}

/// What is expected of a consumer as a member of its group, if it is one.
fn member_info(it: &file::Consumer) -> Option<MemberInfo> {
    let group = it.group.as_deref()?.into();
    let commits_before = it.commits == Some(file::CommitPolicy::Before);
    let asks = it.steps.iter().any(|step| matches!(step.act, file::ConsumerAction::Commit(_)));
    let commits = it.commits != Some(file::CommitPolicy::Never) || asks;
    let topics = it.topic.iter().chain(&it.topics).cloned().collect();
    let known = member_config(it, &it.name).partition_assignment_strategy.0;
    let eager = known.iter().any(|how| *how != Assignor::CooperativeSticky);
    Some(MemberInfo { group, commits_before, commits, eager, topics })
}

/// What a broker of a scenario is set to.
pub(crate) fn broker_config(topology: &file::Topology, node: NodeId) -> BrokerConfig {
    let mut config = BrokerConfig::default();
    let own = topology.node_config.get(&node.to_string());
    apply(&topology.broker_config, own, |key, value| config.set(key, value).is_ok());
    config
}

/// What a controller of a scenario is set to.
pub(crate) fn controller_config(topology: &file::Topology, node: NodeId) -> ControllerConfig {
    let mut config = ControllerConfig::default();
    let own = topology.node_config.get(&node.to_string());
    apply(&topology.controller_config, own, |key, value| config.set(key, value).is_ok());
    config
}

fn producer_config(it: &file::Producer) -> ProducerConfig {
    let mut config = ProducerConfig::default();
    apply(&it.config, None, |key, value| config.set(key, value).is_ok());
    apply(&Config::from([("acks".into(), setting(it.acks.name()))]), None, |k, v| config.set(k, v).is_ok());
    if let Some(max) = it.max_in_flight {
        config.max_in_flight_requests_per_connection = max;
    }
    // Kafka's default: idempotent, unless another setting contradicts it.
    let possible = it.acks == file::Acks::All && config.max_in_flight_requests_per_connection <= 5;
    config.enable_idempotence = it.idempotent.unwrap_or(config.enable_idempotence && possible);
    config
}

fn setting(text: &str) -> crate::scenario::values::Setting {
    crate::scenario::values::Setting(text.into())
}

fn consumer_config(from: Start, own: &Config) -> ConsumerConfig {
    let mut config = ConsumerConfig::default();
    config.auto_offset_reset = match from {
        Start::Latest => trial_model::config::AutoOffsetReset::Latest,
        _ => trial_model::config::AutoOffsetReset::Earliest,
    };
    apply(own, None, |key, value| config.set(key, value).is_ok());
    config
}

/// What a consumer of a scenario is set to, whose process is called `name`.
fn member_config(it: &file::Consumer, name: &str) -> ConsumerConfig {
    let mut config = consumer_config(it.from, &it.config);
    if let Some(group) = &it.group {
        config.group_id = Text(group.as_str().into());
        config.client_id = Text(name.into());
        config.enable_auto_commit = it.commits.is_none_or(|policy| policy == file::CommitPolicy::Auto);
        if let Some(instance) = &it.instance {
            // The second of several processes is the second instance.
            let nth = name.strip_prefix(it.name.as_str()).unwrap_or_default();
            config.group_instance_id = Text(format!("{instance}{nth}").into());
        }
    }
    config
}

fn latency(spread: Spread) -> Latency {
    Latency::new(spread.min.0, spread.mean.0, spread.max.0)
}

fn disk_config(disk: &file::Disk) -> DiskConfig {
    DiskConfig {
        write: latency(disk.write),
        flush: latency(disk.flush),
        read: latency(disk.read),
        capacity: disk.capacity.map(|size| size.0),
        write_back: disk.writeback.map(|span| span.0),
        ..DiskConfig::default()
    }
}

fn network_of(scenario: &Scenario, seed: u64, nodes: &[NodeId]) -> Network {
    let it = &scenario.topology.network;
    let config = NetworkConfig {
        latency: latency(it.latency),
        loss: it.loss.0,
        bandwidth: it.bandwidth.map(|bandwidth| bandwidth.0),
        connect_timeout: it.connect_timeout.0,
        retransmit_after: it.retransmit.0,
        give_up_after: it.give_up.0,
    };
    let mut network = Network::new(seed, config);
    if scenario.wire == Some(true) {
        network.speak_kafka(nodes);
    }
    for link in &it.links {
        let [from, to] = [&link.from, &link.to].map(|selector| -> NodeSet {
            nodes.iter().copied().filter(|node| is_named_by(scenario, *node, selector)).collect()
        });
        let unlike = LinkConfig {
            latency: link.latency.map(latency),
            loss: link.loss.map(|loss| loss.0),
            bandwidth: link.bandwidth.map(|bandwidth| bandwidth.0),
        };
        network.set_links(&from, &to, unlike);
        if !link.one_way {
            network.set_links(&to, &from, unlike);
        }
    }
    network
}

fn clock_of(scenario: &Scenario, node: NodeId) -> NodeClock {
    let mut clock = NodeClock::new(0, 0);
    for it in &scenario.topology.clocks {
        if is_named_by(scenario, node, &it.node) {
            clock = NodeClock::new(it.offset.map_or(0, |offset| offset.nanos() / 1_000_000), it.drift_ppm);
        }
    }
    clock
}

/// Whether a selector that does not depend on the run means `node`.
fn is_named_by(scenario: &Scenario, node: NodeId, selector: &Selector) -> bool {
    match selector {
        Selector::Broker(nth) => node == NodeId::broker(*nth),
        Selector::Controller(nth) => node == NodeId::controller(*nth),
        Selector::All(group) => group.has(node),
        Selector::Client(name) => {
            scenario.clients().iter().any(|client| client.id == node && client.name == *name)
        }
        _ => false,
    }
}

/// What the judge of a scenario's runs is told, for whoever judges a record of one.
pub(crate) fn setup_of(scenario: &Scenario) -> JudgeSetup {
    judge_setup(scenario, &Cast::of(scenario), BTreeSet::new())
}

fn judge_setup(scenario: &Scenario, cast: &Cast, except: BTreeSet<String>) -> JudgeSetup {
    let topology = &scenario.topology;
    let client = |node: NodeId, name: &str| {
        let (kind, idempotent, acks, max_in_flight) = match cast.client_role(scenario, node) {
            Role::Producer(config) => (
                ClientKind::Producer,
                config.enable_idempotence,
                config.acks.into(),
                config.max_in_flight_requests_per_connection,
            ),
            Role::Consumer(_) => (ClientKind::Consumer, false, Acks::All, 1),
            _ => (ClientKind::Admin, false, Acks::All, 1),
        };
        let auditor = node == cast.staff.auditor || node == cast.staff.prober;
        let member = cast.member(scenario, node);
        ClientInfo { node, name: name.into(), kind, idempotent, acks, max_in_flight, auditor, member }
    };
    let controllers: Vec<NodeId> = (1..=topology.controllers).map(NodeId::controller).collect();
    let (mut broker, mut controller) = (BrokerConfig::default(), ControllerConfig::default());
    apply(&topology.broker_config, None, |key, value| broker.set(key, value).is_ok());
    apply(&topology.controller_config, None, |key, value| controller.set(key, value).is_ok());
    let defaults = TopicRules {
        min_insync: broker.min_insync_replicas.max(1) as usize,
        unclean: controller.unclean_leader_election_enable,
        unclean_on_request: false,
    };
    let all_topics = topology.topics.iter().chain(scenario.created_topics());
    let topics = all_topics.map(|topic| (topic.name.clone(), topic_rules(topic, &defaults, scenario)));
    // The brokers make the groups' topic themselves, as compaction wants it and as they are set.
    let ours =
        TopicRules { unclean_on_request: asks_for_unclean(scenario, OFFSETS_TOPIC), ..defaults.clone() };
    let topics = std::iter::once((OFFSETS_TOPIC.into(), ours)).chain(topics).collect();
    let named: BTreeSet<String> = scenario
        .properties
        .iter()
        .filter(|p| p.check != CheckName::SOMETIMES)
        .map(|p| p.check.0.into())
        .collect();
    JudgeSetup {
        controllers,
        brokers: (1..=topology.brokers).map(NodeId::broker).collect(),
        clients: cast.called().iter().map(|(node, name)| client(*node, name)).collect(),
        topics,
        topic_defaults: defaults,
        elr: controller.eligible_leader_replicas_enable,
        only: (!named.is_empty()).then_some(named),
        demanded: match scenario.expect {
            Expect::Violates(check) => Some(check.0.into()),
            Expect::Pass => None,
        },
        except,
        patience: patience(scenario, &broker, &controller),
        keep: 0,
    }
}

/// Whether an operator asks for unclean elections in a topic.
fn asks_for_unclean(scenario: &Scenario, topic: &str) -> bool {
    scenario.admin_actions().any(|action| match action {
        file::AdminAction::ElectLeaders(it) if it.kind == file::Election::Unclean => {
            it.partitions.as_ref().is_none_or(|named| named.iter().any(|partition| partition.topic == topic))
        }
        _ => false,
    })
}

fn topic_rules(topic: &file::Topic, defaults: &TopicRules, scenario: &Scenario) -> TopicRules {
    let mut config = trial_model::config::TopicConfig::of_broker(&BrokerConfig::default());
    config.min_insync_replicas = u32::try_from(defaults.min_insync).unwrap_or(u32::MAX);
    config.unclean_leader_election_enable = defaults.unclean;
    apply(&topic.config, None, |key, value| config.set(key, value).is_ok());
    TopicRules {
        min_insync: config.min_insync_replicas as usize,
        unclean: config.unclean_leader_election_enable,
        unclean_on_request: asks_for_unclean(scenario, &topic.name),
    }
}

fn patience(scenario: &Scenario, broker: &BrokerConfig, controller: &ControllerConfig) -> Patience {
    let defaults = Patience::default();
    let delivery = scenario.workload.iter().filter_map(|actor| match actor {
        Actor::Producer(it) => Some(producer_config(it).delivery_timeout_ms),
        _ => None,
    });
    // Who has heard of a newer epoch writes that down before it steps down: a file written, flushed and renamed,
    // perhaps behind another, on a disk that may be slow.
    let slow = scenario.faults.iter().filter_map(|fault| match &fault.act {
        Action::SlowDisk(it) => Some(it.by.max.0),
        _ => None,
    });
    let writes_down = slow.max().unwrap_or_default() * 8;
    // Who is slow at everything may have as much to read as was sent to it meanwhile: who followed it before does so
    // still, as far as it has read.
    let behind = scenario.faults.iter().filter(|fault| matches!(fault.act, Action::SlowNode(_)));
    let behind = behind.map(|fault| fault.lasts.map_or(scenario.phases.chaos.0, |lasts| lasts.0)).max();
    Patience {
        check_quorum: controller.controller_quorum_fetch_timeout_ms * 3
            + Duration::from_secs(3)
            + writes_down
            + behind.unwrap_or_default(),
        delivery: delivery.max().map_or(defaults.delivery, |longest| longest + Duration::from_secs(30)),
        producer_expiration: broker.producer_id_expiration_ms,
        ..defaults
    }
}

fn report(
    scenario: &Scenario,
    seed: u64,
    outcome: Outcome,
    panic: Option<panics::Panic>,
    names: &SharedNames,
    options: &Options,
) -> Run {
    let Outcome { digest, chains, steps, ended, judge, tally, faults, settled } = outcome;
    let events = tally.events();
    let goals = scenario.properties.iter().filter(|p| p.check == CheckName::SOMETIMES).filter_map(|p| {
        let event = p.event?.name();
        let seen = events.get(event).copied().unwrap_or(0);
        Some(Goal { event: event.into(), at_least: u64::from(p.at_least.unwrap_or(1)), seen })
    });
    let goals: Vec<Goal> = goals.collect();
    let mut violations: Vec<Violation> =
        judge.as_ref().map_or(Vec::new(), |judge| judge.violations().to_vec());
    if let Some(panic) = panic {
        violations.insert(0, panic.into_violation(ended));
    }
    let name = |node: NodeId| names.get().node_name(node);
    Run {
        digest,
        chains: chains.into_iter().map(|(node, chain)| (name(node), chain)).collect(),
        seed,
        steps,
        goals,
        violations,
        checks: if judge.is_none() { 0 } else { looked_at(scenario, &options.without).len() },
        faults,
        acked: tally.acked().to_vec(),
        delivered: tally.delivered(),
        elections: tally.elections().to_vec(),
        settle_began: tally.settle_began(),
        settled,
        ended,
        cpu: Duration::ZERO,
        names: RunNames::clone(&names.get()),
        events,
    }
}

/// The checks that look at a run of a scenario: those it names, or all of them, but for some. A panic is told
/// whether or not the scenario asks.
pub fn looked_at(scenario: &Scenario, without: &BTreeSet<&'static str>) -> Vec<&'static str> {
    let named = scenario.properties.iter().map(|property| property.check);
    let mut names: Vec<&str> = named.filter(|check| *check != CheckName::SOMETIMES).map(|it| it.0).collect();
    names.dedup();
    if names.is_empty() {
        names = crate::check::CATALOGUE.iter().map(|check| check.name).collect();
    } else if !names.contains(&"no_panics") {
        names.push("no_panics");
    }
    names.retain(|name| !without.contains(name));
    names
}

/// The seed of the `index`-th run of a series that begins with `base`.
pub fn nth_seed(base: u64, index: u64) -> u64 {
    Rng::named(base, &format!("seed/{index}")).next_u64()
}

/// The digest of a run, and nothing else.
pub fn digest_of(scenario: &Scenario, seed: u64, engine: Engine) -> Digest {
    simulate(scenario, seed, Options { engine, ..Options::default() }).digest
}
