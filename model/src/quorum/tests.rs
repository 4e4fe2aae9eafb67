//! Do members keep what Raft promises, whatever the network, the disks and the power do?

mod cluster;
mod disk;

use std::{eprintln, string::String, vec::Vec};

use self::cluster::Cluster;
use crate::{
    museum::Museum,
    units::{NodeId, Ratio},
};

/// One run: twenty seconds of trouble while a client writes, then calm, then everybody is asked.
fn trouble(seed: u64, museum: Museum) -> Result<Cluster, String> {
    let voters = if seed.is_multiple_of(3) { 5 } else { 3 };
    let mut cluster = Cluster::new(seed, voters, 1 + (seed % 2) as u32, museum);
    let mut calm_at = 0;
    for _ in 0..400 {
        cluster.run(50);
        cluster.send_one();
        calm_at += 1;
        if cluster.rng.chance(Ratio(1, 6)) {
            misfortune(&mut cluster);
        }
    }
    cluster.heal();
    for _ in 0..200 {
        cluster.run(50);
        if cluster.is_settled() && calm_at > 0 {
            break;
        }
    }
    cluster.send_one();
    cluster.run(3_000);
    cluster.judge_end();
    match cluster.broken.clone() {
        Some(broken) => Err(std::format!("{broken}\n{}", cluster.trace(60))),
        None => Ok(cluster),
    }
}

/// Something goes wrong, or is mended.
fn misfortune(cluster: &mut Cluster) {
    let ids: Vec<NodeId> = cluster.members.keys().copied().collect();
    let one = *cluster.rng.pick(&ids).expect("there are members");
    let other = *cluster.rng.pick(&ids).expect("there are members");
    match 4 + cluster.rng.below(8) {
        0 | 1 => cluster.kill(one, false),
        2 => cluster.kill(one, true),
        3 => ids.iter().for_each(|id| cluster.kill(*id, true)),
        4 | 5 => {
            cluster.cut.insert((one, other));
        }
        6 => {
            for id in ids {
                cluster.cut.insert((one, id));
                cluster.cut.insert((id, one));
            }
        }
        7 => cluster.loss = Ratio(cluster.rng.below(30), 100),
        8 => cluster.disk_micros = cluster.rng.between(100, 60_000),
        9 => cluster.cut.clear(),
        _ => ids.iter().for_each(|id| cluster.restart(*id)),
    }
}

#[test]
fn promises_hold_in_every_trouble() {
    let (mut acked, mut epochs) = (0, 0);
    for seed in 0..200 {
        match trouble(seed, Museum::CLOSED) {
            Ok(cluster) => {
                acked += cluster.acked.len();
                epochs += cluster.members[&NodeId::controller(1)].quorum.epoch().0;
            }
            Err(why) => panic!("{why}"),
        }
    }
    eprintln!("{acked} records acknowledged, {epochs} epochs");
    assert!(acked > 20_000, "the trouble must leave something to promise: {acked}");
    assert!(epochs > 500, "the trouble must make leaders change: {epochs}");
}
