//! `trial replay --show`: what does a node look like inside, and what changed between two moments?

use trial_model::{
    time::Instant,
    units::{NodeId, TopicPartition},
};

use crate::{
    Scenario,
    diff::{Key, Moment, State},
    explain::{Record, recorded},
    names::RunNames,
    report::words::{grouped, seconds, shortened},
    trace::is_chatter,
};

/// What to look at: `broker-1`, `broker-1/orders-0`, `controller-2/metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    node: String,
    partition: Option<String>,
}

impl std::str::FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Place, String> {
        let (node, partition) = match text.split_once('/') {
            Some((node, partition)) => (node, Some(partition.to_string())),
            None => (text, None),
        };
        if node.is_empty() || partition.as_ref().is_some_and(String::is_empty) {
            return Err("write NODE or NODE/PARTITION: broker-1, broker-1/orders-0".into());
        }
        Ok(Place { node: node.into(), partition })
    }
}

/// How many events between two moments are listed.
const EVENTS: usize = 30;

/// Runs a scenario again and looks at a place at `at`, or at what changed there since `from`.
///
/// Refuses a node or partition that the run does not have, and an event beyond its end.
pub fn look(
    scenario: &Scenario,
    seed: u64,
    place: &Place,
    from: Option<Moment>,
    at: Option<Moment>,
) -> Result<String, String> {
    let (run, record) = recorded(scenario, seed, None);
    let names = &run.names;
    let (node, partition) = find(scenario, names, place)?;
    let first = run.violations.first().map(|violation| Moment::Time(violation.at));
    let at = at.or(first).unwrap_or(Moment::Time(run.ended));
    for moment in [Some(at), from].into_iter().flatten() {
        if let Moment::Event(number) = moment
            && number >= record.entries.len()
        {
            let last = record.entries.len().saturating_sub(1);
            return Err(format!("there is no event #{number}: the last one is #{last}"));
        }
    }
    let facts = |moment| -> Vec<(Key, String)> {
        let facts = State::at(&record, names, moment).facts();
        let wanted = |key: &Key| key.0 == node && partition.is_none_or(|id| key.1 == Some(id));
        facts.into_iter().filter(|(key, _)| wanted(key)).collect()
    };
    let whom = match &place.partition {
        Some(partition) => format!("{}/{partition}", place.node),
        None => place.node.clone(),
    };
    Ok(match from {
        None => shown(&format!("{whom} {}", when(&record, at)), names, &facts(at)),
        Some(from) => {
            let head = format!("{whom} from {} to {}", when(&record, from), when(&record, at));
            changed(&head, names, &facts(from), &facts(at))
                + &between(&record, names, (node, partition), from, at)
        }
    })
}

fn find(
    scenario: &Scenario,
    names: &RunNames,
    place: &Place,
) -> Result<(NodeId, Option<TopicPartition>), String> {
    let nodes = scenario.nodes();
    let known = nodes.iter().find(|(_, name)| *name == place.node).map(|(node, _)| *node);
    let Some(node) = known.or_else(|| names.node_named(&place.node)) else {
        let all: Vec<&str> = nodes.iter().map(|(_, name)| name.as_str()).collect();
        return Err(format!("no node `{}`: there are {}", place.node, all.join(", ")));
    };
    let partition = match place.partition.as_deref() {
        None => None,
        Some("metadata") => Some(TopicPartition::METADATA),
        Some(name) => Some(names.partition_named(name).ok_or_else(|| {
            let topics: Vec<String> =
                scenario.topology.topics.iter().map(|topic| format!("{}-0", topic.name)).collect();
            format!("no partition `{name}`: there are {} and metadata", topics.join(", "))
        })?),
    };
    Ok((node, partition))
}

fn when(record: &Record, moment: Moment) -> String {
    match moment {
        Moment::Time(at) => format!("at {} s", seconds(at.0, 3)),
        Moment::Event(number) => {
            format!("after event #{number} ({} s)", seconds(record.entries[number].at.0, 3))
        }
    }
}

fn shown(head: &str, names: &RunNames, facts: &[(Key, String)]) -> String {
    let mut out = format!("{head}\n");
    if facts.is_empty() {
        out.push_str("  nothing was told of it yet\n");
    }
    for (key, value) in facts {
        let line = format!("  {:<32}  {value}", shortened(&crate::diff::title(key, names), 32));
        out.push_str(&shortened(&line, 100));
        out.push('\n');
    }
    out
}

fn changed(head: &str, names: &RunNames, before: &[(Key, String)], after: &[(Key, String)]) -> String {
    let value = |facts: &[(Key, String)], key: &Key| {
        facts.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
    };
    let keys: std::collections::BTreeSet<Key> = before.iter().chain(after).map(|(key, _)| *key).collect();
    let mut out = format!("{head}\n");
    let mut same = true;
    for key in keys {
        let (was, is) = (value(before, &key), value(after, &key));
        if was == is {
            continue;
        }
        same = false;
        let told = |value: Option<String>| value.unwrap_or_else(|| "–".into());
        let title = shortened(&crate::diff::title(&key, names), 32);
        out.push_str(&shortened(&format!("  {title:<32}  {} → {}", told(was), told(is)), 100));
        out.push('\n');
    }
    if same {
        out.push_str("  nothing changed\n");
    }
    out
}

/// What the node stated about it in between.
fn between(
    record: &Record,
    names: &RunNames,
    (node, partition): (NodeId, Option<TopicPartition>),
    from: Moment,
    at: Moment,
) -> String {
    let (first, last) = (from.entries(record), at.entries(record));
    let stated = (first..last).filter_map(|number| {
        let (by, event) = record.entries[number].event()?;
        let about = partition.is_none_or(|id| event.partition() == Some(id));
        (by == node && about && (partition.is_some() || !is_chatter(event))).then_some((number, event))
    });
    let stated: Vec<_> = stated.collect();
    let mut out = format!("{} events of it in between\n", grouped(stated.len() as u64));
    let skipped = stated.len().saturating_sub(EVENTS);
    if skipped > 0 {
        out.push_str(&format!("  … {} before these\n", grouped(skipped as u64)));
    }
    for (number, event) in stated.into_iter().skip(skipped) {
        let at: Instant = record.entries[number].at;
        let line = format!(
            "  {:>9}  #{number:<7} {:<14} {}",
            seconds(at.0, 3),
            event.kind().name(),
            event.show(names)
        );
        out.push_str(&shortened(&line, 100));
        out.push('\n');
    }
    out
}
