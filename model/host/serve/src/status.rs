//! How does a cluster stand, for whoever asks?

use std::fmt::Write as _;

use trial_model::units::{NodeId, NodeRole};

use crate::{Cluster, setup};

/// How many partitions are told of.
const MOST: usize = 40;

/// Who runs and where, what is wrong with links, who leads what by the word of a broker that answers.
pub(crate) async fn of(cluster: &Cluster) -> String {
    let mut out = String::new();
    let shared = &cluster.shared;
    let here: Vec<NodeId> = cluster.here().collect();
    let running: Vec<NodeId> = cluster.running().collect();
    for (id, endpoint) in shared.book.endpoints.iter().filter(|(id, _)| here.contains(id)) {
        let state = match (running.contains(id), cluster.stands_still(*id)) {
            (false, _) => "down",
            (true, true) => "stands still",
            (true, false) => "up",
        };
        let _ = writeln!(out, "  {:<14} {}:{}   {state}", id.to_string(), endpoint.host, endpoint.port);
    }
    for fault in shared.faults.list().iter() {
        let _ = writeln!(out, "  {fault}");
    }
    let awake = running.into_iter().filter(|id| id.role() == NodeRole::Broker && !cluster.stands_still(*id));
    let partitions = setup::partitions(&shared.book, &awake.collect::<Vec<_>>()).await;
    let more = partitions.len().saturating_sub(MOST);
    for (name, leader, isr) in partitions.into_iter().take(MOST) {
        let leader = leader.map_or("nobody".to_owned(), |leader| leader.to_string());
        let isr: Vec<String> = isr.iter().map(|node| node.to_string()).collect();
        let _ = writeln!(out, "  {name:<14} leader {leader}   ISR {}", isr.join(" "));
    }
    if more > 0 {
        let _ = writeln!(out, "  and {more} more");
    }
    out
}
