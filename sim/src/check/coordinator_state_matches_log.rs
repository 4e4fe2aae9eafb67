//! Is what a coordinator takes for committed what its log says? (`WB-CoordReplay`)

use trial_model::{
    broker::Broker,
    event::{Event, EventKind},
    group::{Coordinator, image::Groups, record::{GroupRecord, StoredOffset}},
    node::Node,
    replicated::Replicated,
};

use super::{Check, CheckInfo, Found, Hears, Inside, Name, safety};

pub(super) const INFO: CheckInfo = safety(
    "coordinator_state_matches_log",
    "WB-CoordReplay",
    "What a coordinator takes for committed is what reading its log from the start comes to.",
);

struct CoordinatorStateMatchesLog;

pub(super) fn check() -> Box<dyn Check> {
    Box::new(CoordinatorStateMatchesLog)
}

impl Check for CoordinatorStateMatchesLog {
    fn hears(&self) -> Hears {
        Hears { inspects: &[EventKind::CoordinatorLoaded, EventKind::GroupStateChanged], ..Hears::default() }
    }

    fn inspect(&mut self, inside: Inside<'_>, found: &mut Found) {
        let Inside { node, state, events, .. } = inside;
        let Node::Broker(broker) = state else { return };
        let told = |coordinator: &&Coordinator| {
            let partition = coordinator.partition();
            events.iter().any(|event| match event {
                Event::CoordinatorLoaded { partition: of, .. } => *of == partition,
                Event::GroupStateChanged { partition: of, .. } => *of == partition,
                _ => false,
            })
        };
        for coordinator in broker.coordinators().filter(|it| it.is_active()).filter(told) {
            let Some(read) = read_anew(broker, coordinator) else { continue };
            if read != *coordinator.committed() {
                let partition = coordinator.partition();
                let (applied, epoch) = (coordinator.applied(), coordinator.epoch());
                let other = difference(&read, coordinator.committed());
                found.report(INFO.name, Some(partition), |n| {
                    (
                        format!("{} has other groups than its log of {}", Name(n, node), Name(n, partition)),
                        vec![("wrong", other), ("applied", format!("up to @{applied}, in epoch {epoch}"))],
                    )
                });
            }
        }
    }
}

/// The first thing that a coordinator has otherwise than its log.
fn difference(log: &Groups, has: &Groups) -> String {
    let mut names = log.names();
    names.extend(has.names());
    names.sort();
    names.dedup();
    for group in &names {
        let mut partitions: Vec<_> = log.offsets(group).chain(has.offsets(group)).map(|(it, _)| it).collect();
        partitions.sort();
        partitions.dedup();
        let at = |it: Option<&StoredOffset>| {
            it.map_or("nothing".into(), |it| match it.expires {
                Some(expires) => format!("@{}, which expires at {}", it.committed.offset, expires.0),
                None => format!("@{}", it.committed.offset),
            })
        };
        let other = partitions.into_iter().find(|it| log.offset(group, it) != has.offset(group, it));
        if let Some(it) = other {
            let (log, has) = (at(log.offset(group, it)), at(has.offset(group, it)));
            return format!("{group} in {}-{}: it has {has}, and the log {log}", it.topic, it.partition);
        }
        let generation = |groups: &Groups| {
            groups.classic(group).map_or("no members".into(), |it| format!("generation {}", it.generation))
        };
        if log.classic(group) != has.classic(group) {
            return format!("{group}: it has {}, and the log {}", generation(has), generation(log));
        }
    }
    "nothing that has a name".into()
}

/// What a coordinator's log says as far as it has applied it; nothing if memory does not reach back to its start.
fn read_anew(broker: &Broker, coordinator: &Coordinator) -> Option<Groups> {
    let log = &broker.replica(coordinator.partition())?.log;
    let mut groups = Groups::default();
    let mut cached = log.cached().peekable();
    let begins = cached.peek().map_or(log.end(), |first| first.base_offset());
    if begins > log.start() || log.size() > 1 << 20 {
        return None;
    }
    for record in cached.flat_map(|batch| batch.decode_records().map_while(Result::ok)) {
        if record.offset >= coordinator.applied() {
            break;
        }
        let said = record.key.as_deref().and_then(|key| GroupRecord::decode(key, record.value.as_ref()));
        if let Some(said) = said {
            groups.apply(record.offset, &said);
        }
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use trial_model::{
        config::BrokerConfig,
        log::codec::BatchBuilder,
        protocol::{NamedPartition, offsets::CommittedOffset},
        time::Timestamp,
        units::{LeaderEpoch, Offset},
    };

    use super::*;

    fn record(offset: u64) -> GroupRecord {
        let committed = CommittedOffset { offset: Offset(offset), epoch: None, metadata: "".into() };
        GroupRecord::Offset {
            group: "billing".into(),
            partition: NamedPartition { topic: "orders".into(), partition: 0 },
            value: Some(StoredOffset { committed, at: Timestamp(1), expires: None }),
        }
    }

    /// What a coordinator knows that has read these.
    fn knows(records: &[GroupRecord]) -> Groups {
        let rng = trial_model::rng::Rng::named(1, "group");
        let mut coordinator = Coordinator::new(
            Default::default(),
            LeaderEpoch(1),
            Offset::ZERO,
            &BrokerConfig::default(),
            rng,
            trial_model::museum::Museum::CLOSED,
        );
        for (at, record) in (0..).map(Offset).zip(records) {
            let mut batch = BatchBuilder::new();
            batch.push(Timestamp(1), Some(&record.key()), record.value().as_deref(), &[]);
            let mut batch = batch.build();
            batch.assign(at, LeaderEpoch(1));
            coordinator.load(&batch);
        }
        coordinator.committed().clone()
    }

    #[test]
    fn what_is_read_from_a_log_is_what_its_records_say() {
        let mut said = Groups::default();
        for (at, record) in (0..).map(Offset).zip([record(3), record(5)]) {
            said.apply(at, &record);
        }
        assert_eq!(knows(&[record(3), record(5)]), said);
        assert_ne!(knows(&[record(3)]), said);
    }
}
