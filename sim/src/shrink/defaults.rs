//! Which settings matter?

use super::{ddmin::ddmin, lab::Lab};
use crate::{
    Scenario,
    scenario::{
        file::{Actor, Config, Disk, Network},
        values::Setting,
    },
};

/// Puts configuration keys, network, disks and clocks back to what they are if nobody says anything.
pub fn pass(lab: &mut Lab<'_>, now: &mut Scenario) {
    config(lab, now);
    network(lab, now);
    disk(lab, now);
    let (base, clocks) = (now.clone(), now.topology.clocks.clone());
    ddmin(&clocks, |part| {
        let mut candidate = base.clone();
        candidate.topology.clocks = part.to_vec();
        lab.adopt(now, candidate)
    });
}

/// Every key that is set anywhere, by its place.
fn config(lab: &mut Lab<'_>, now: &mut Scenario) {
    let mut keys: Vec<(usize, String)> = Vec::new();
    let mut all = now.clone();
    for (place, config) in configs(&mut all).into_iter().enumerate() {
        keys.extend(config.keys().map(|key| (place, key.clone())));
    }
    let base = now.clone();
    ddmin(&keys, |part| {
        let mut candidate = base.clone();
        for (place, config) in configs(&mut candidate).into_iter().enumerate() {
            config.retain(|key: &String, _: &mut Setting| part.contains(&(place, key.clone())));
        }
        candidate.topology.node_config.retain(|_, config| !config.is_empty());
        lab.adopt(now, candidate)
    });
}

/// Everywhere configuration keys stand, always in the same order.
fn configs(scenario: &mut Scenario) -> Vec<&mut Config> {
    let topology = &mut scenario.topology;
    let mut all = vec![&mut topology.broker_config, &mut topology.controller_config];
    all.extend(topology.node_config.values_mut());
    all.extend(topology.topics.iter_mut().map(|topic| &mut topic.config));
    all.extend(scenario.workload.iter_mut().filter_map(|actor| match actor {
        Actor::Producer(it) => Some(&mut it.config),
        Actor::Consumer(it) => Some(&mut it.config),
        Actor::Admin(_) => None,
    }));
    all
}

fn network(lab: &mut Lab<'_>, now: &mut Scenario) {
    let plainer: [fn(&mut Network); 6] = [
        |it| *it = Network::default(),
        |it| it.links.clear(),
        |it| it.loss = Network::default().loss,
        |it| it.bandwidth = None,
        |it| it.latency = Network::default().latency,
        |it| {
            let usual = Network::default();
            (it.retransmit, it.give_up, it.connect_timeout) =
                (usual.retransmit, usual.give_up, usual.connect_timeout);
        },
    ];
    for change in plainer {
        let mut candidate = now.clone();
        change(&mut candidate.topology.network);
        lab.adopt(now, candidate);
    }
    let (base, links) = (now.clone(), now.topology.network.links.clone());
    ddmin(&links, |part| {
        let mut candidate = base.clone();
        candidate.topology.network.links = part.to_vec();
        lab.adopt(now, candidate)
    });
}

fn disk(lab: &mut Lab<'_>, now: &mut Scenario) {
    let plainer: [fn(&mut Disk); 5] = [
        |it| *it = Disk::default(),
        |it| it.flush = Disk::default().flush,
        |it| (it.write, it.read) = (Disk::default().write, Disk::default().read),
        |it| it.writeback = None,
        |it| it.capacity = None,
    ];
    for change in plainer {
        let mut candidate = now.clone();
        change(&mut candidate.topology.disk);
        lab.adopt(now, candidate);
    }
}
