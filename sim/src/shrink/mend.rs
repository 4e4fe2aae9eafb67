//! What else must change when something is gone that others name?

use crate::scenario::{
    Scenario,
    file::{Action, Actor, AdminAction, ConsumerAction, Fault},
    values::{PartitionName, Selector},
};

/// Takes out every fault that waits for, heals or follows a fault that is not there.
pub fn drop_dangling(scenario: &mut Scenario) {
    loop {
        let ids: Vec<String> = scenario.faults.iter().map(|fault| fault.id.clone()).collect();
        scenario.faults.retain_mut(|fault| refers_to(fault).iter().all(|id| ids.contains(id)));
        if scenario.faults.len() == ids.len() {
            return;
        }
    }
}

fn refers_to(fault: &mut Fault) -> Vec<String> {
    let mut ids: Vec<String> = fault.when.step.iter().cloned().collect();
    ids.extend(fault.when.event.as_ref().and_then(|event| event.after.clone()));
    if let Action::Heal(heal) = &fault.act {
        ids.extend(heal.fault.clone());
    }
    for selector in selectors(fault) {
        if let Selector::Victim(id) = selector {
            ids.push(id.clone());
        }
    }
    ids
}

/// Calls nodes something else wherever they are named. What names a node for which there is no new name goes
/// away: a fault as a whole, or, in a cut, the node on its side.
pub fn rename_nodes(scenario: &mut Scenario, name: impl Fn(&Selector) -> Option<Selector>) {
    scenario.faults.retain_mut(|fault| {
        if let Action::Cut(cut) = &mut fault.act {
            cut.sides.iter_mut().for_each(|side| side.retain(|selector| name(selector).is_some()));
            if cut.sides.iter().any(Vec::is_empty) {
                return false;
            }
        }
        selectors(fault).into_iter().all(|selector| rename(selector, &name))
    });
    let topology = &mut scenario.topology;
    topology.network.links.retain_mut(|link| rename(&mut link.from, &name) && rename(&mut link.to, &name));
    topology.clocks.retain_mut(|clock| rename(&mut clock.node, &name));
    let configs = std::mem::take(&mut topology.node_config);
    topology.node_config = configs
        .into_iter()
        .filter_map(|(node, config)| Some((name(&node.parse().ok()?)?.to_string(), config)))
        .collect();
    drop_dangling(scenario);
}

fn rename(selector: &mut Selector, name: &impl Fn(&Selector) -> Option<Selector>) -> bool {
    let Some(new) = name(selector) else { return false };
    *selector = new;
    true
}

/// Takes out everything that names a partition that does not `stand`.
pub fn drop_partitions(scenario: &mut Scenario, stands: impl Fn(&PartitionName) -> bool) {
    scenario.faults.retain_mut(|fault| {
        let named = fault.when.event.as_ref().and_then(|event| event.partition.clone());
        let rotten = match &fault.act {
            Action::BitRot(rot) => rot.partition.clone(),
            _ => None,
        };
        named.iter().chain(&rotten).all(&stands)
            && selectors(fault).iter().all(|it| it.partition().is_none_or(&stands))
    });
    for actor in &mut scenario.workload {
        match actor {
            Actor::Producer(it) => {
                if let Some(partition) = it.partition
                    && !stands(&PartitionName { topic: it.topic.clone(), partition })
                {
                    it.partition = None;
                }
            }
            Actor::Consumer(it) => {
                if let Some(partitions) = &mut it.partitions {
                    partitions.retain(&stands);
                }
                it.steps.retain(|step| partitions_of(&step.act).iter().all(&stands));
            }
            Actor::Admin(it) => {
                it.steps.retain(|step| admin_partitions(&step.act).iter().all(&stands));
                it.ops.retain(|act| admin_partitions(act).iter().all(&stands));
            }
        }
    }
    drop_dangling(scenario);
}

fn partitions_of(action: &ConsumerAction) -> Vec<PartitionName> {
    match action {
        ConsumerAction::Seek(it) => vec![it.partition.clone()],
        ConsumerAction::SeekToTime(it) => it.partitions.clone().unwrap_or_default(),
        ConsumerAction::Assign(it) => it.partitions.clone(),
        ConsumerAction::SeekToBeginning(it)
        | ConsumerAction::SeekToEnd(it)
        | ConsumerAction::Pause(it)
        | ConsumerAction::Resume(it)
        | ConsumerAction::EndOffset(it) => it.partitions.clone().unwrap_or_default(),
        ConsumerAction::Commit(_)
        | ConsumerAction::Stall(_)
        | ConsumerAction::Unsubscribe(_)
        | ConsumerAction::Subscribe(_) => Vec::new(),
    }
}

fn admin_partitions(action: &AdminAction) -> Vec<PartitionName> {
    match action {
        AdminAction::DeleteRecords(it) => vec![it.partition.clone()],
        AdminAction::ElectLeaders(it) => it.partitions.clone().unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Takes out a topic with everything that names it.
pub fn drop_topic(scenario: &mut Scenario, topic: &str) {
    scenario.topology.topics.retain(|it| it.name != topic);
    scenario.workload.retain_mut(|actor| match actor {
        Actor::Producer(it) => it.topic != topic,
        Actor::Consumer(it) => {
            let read_others = it.topics.len() > 1;
            it.topics.retain(|name| name != topic);
            let reads = read_others || !it.topics.is_empty() || it.pattern.is_some() || it.topic.is_some();
            it.topic.as_deref() != Some(topic) && (reads || it.group.is_none())
        }
        Actor::Admin(it) => {
            it.steps.retain(|step| topic_of(&step.act) != Some(topic));
            it.ops.retain(|act| topic_of(act) != Some(topic));
            true
        }
    });
    scenario.properties.retain(|it| it.topic.as_deref() != Some(topic));
    drop_partitions(scenario, |partition| partition.topic != topic);
}

fn topic_of(action: &AdminAction) -> Option<&str> {
    match action {
        AdminAction::DeleteTopic(it) | AdminAction::DescribeTopic(it) => Some(&it.topic),
        AdminAction::CreatePartitions(it) => Some(&it.topic),
        AdminAction::CreateTopic(it) => Some(&it.name),
        _ => None,
    }
}

/// Everywhere a fault names a node.
pub fn selectors(fault: &mut Fault) -> Vec<&mut Selector> {
    let mut all: Vec<&mut Selector> =
        fault.when.event.iter_mut().filter_map(|event| event.node.as_mut()).collect();
    match &mut fault.act {
        Action::Crash(it) => all.push(&mut it.node),
        Action::LoseDisk(it)
        | Action::Restart(it)
        | Action::Shutdown(it)
        | Action::Pause(it)
        | Action::FullDisk(it)
        | Action::LyingFlush(it) => all.push(&mut it.node),
        Action::SlowNode(it) | Action::SlowDisk(it) => all.push(&mut it.node),
        Action::Cut(it) => all.extend(it.sides.iter_mut().flatten()),
        Action::Heal(_) => {}
        Action::Drop(it) => all.extend([&mut it.from, &mut it.to]),
        Action::Delay(it) => all.extend([&mut it.from, &mut it.to]),
        Action::SlowLink(it) => all.extend([&mut it.from, &mut it.to]),
        Action::LossyLink(it) => all.extend([&mut it.from, &mut it.to]),
        Action::LimitLink(it) => all.extend([&mut it.from, &mut it.to]),
        Action::Reset(it) => all.extend([&mut it.from, &mut it.to]),
        Action::DiskError(it) => all.push(&mut it.node),
        Action::BitRot(it) => all.push(&mut it.node),
        Action::ClockJump(it) | Action::ClockOffset(it) => all.push(&mut it.node),
        Action::ClockDrift(it) => all.push(&mut it.node),
    }
    all
}
