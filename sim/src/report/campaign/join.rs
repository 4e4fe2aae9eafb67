//! How do the summaries of shards become one?

use std::collections::{BTreeMap, BTreeSet};

use super::{Bucket, CampaignSummary, Ran};

/// Why summaries are not of one campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlike(pub String);

/// Joins the summaries of shards, each with the place it was read from.
///
/// Refuses shards of different campaigns, and a shard that is there twice. One that is missing is not refused:
/// `CampaignSummary::missing` names it. Of each kind of failure the run that shows it best is kept; which of
/// the parts that was comes with it.
pub fn join(parts: &[(String, CampaignSummary)]) -> Result<(CampaignSummary, Vec<usize>), Unlike> {
    let Some((first_place, first)) = parts.first() else {
        return Err(Unlike("there is nothing to join".into()));
    };
    for (place, part) in parts {
        alike((first_place, first), (place, part))?;
    }
    let mut places: BTreeMap<u64, &str> = BTreeMap::new();
    for (place, part) in parts {
        for nth in &part.shards {
            if let Some(other) = places.insert(*nth, place) {
                return Err(Unlike(format!("shard {nth}/{} is there twice: {other} and {place}", part.of)));
            }
        }
    }
    let mut whole = first.clone();
    whole.shards = places.into_keys().collect();
    (whole.runs, whole.simulated_ms, whole.took_ms) = (0, 0, 0);
    (whole.interrupted, whole.exit) = (false, 0);
    whole.events.clear();
    whole.regressions.clear();
    whole.scenarios.clear();
    let mut unreached: Option<BTreeSet<String>> = None;
    let mut buckets: BTreeMap<String, (Bucket, usize)> = BTreeMap::new();
    for (nth, (_, part)) in parts.iter().enumerate() {
        whole.runs += part.runs;
        whole.simulated_ms += part.simulated_ms;
        whole.took_ms = whole.took_ms.max(part.took_ms);
        whole.interrupted |= part.interrupted;
        whole.exit = worse(whole.exit, part.exit);
        whole.regressions.extend(part.regressions.iter().cloned());
        for (kind, count) in &part.events {
            *whole.events.entry(kind.clone()).or_default() += count;
        }
        part.scenarios.iter().for_each(|ran| add(&mut whole.scenarios, ran));
        let here: BTreeSet<String> = part.unreached.iter().cloned().collect();
        unreached = Some(unreached.map_or(here.clone(), |all| &all & &here));
        for bucket in &part.buckets {
            keep(&mut buckets, bucket, nth);
        }
    }
    whole.unreached = unreached.unwrap_or_default().into_iter().collect();
    whole.regressions.sort_by(|one, other| one.file.cmp(&other.file));
    let from: BTreeMap<String, usize> = buckets.iter().map(|(kind, (_, nth))| (kind.clone(), *nth)).collect();
    whole.buckets = buckets.into_values().map(|(bucket, _)| bucket).collect();
    whole.rank();
    let from = whole.buckets.iter().map(|bucket| from[&bucket.kind]).collect();
    Ok((whole, from))
}

/// Whether two shards are of one campaign.
fn alike(
    (first, one): (&str, &CampaignSummary),
    (place, other): (&str, &CampaignSummary),
) -> Result<(), Unlike> {
    let scenarios = |it: &CampaignSummary| {
        it.what.scenarios.iter().map(|(name, hash)| format!("{name} ({hash})")).collect::<Vec<_>>()
    };
    let bugs = |it: &CampaignSummary| it.what.planted.iter().map(ToString::to_string).collect::<Vec<_>>();
    let limit = |it: &CampaignSummary| {
        let runs = it.what.runs.map(|runs| format!("{runs} runs"));
        runs.or(it.what.time_ms.map(|time| format!("{time} ms"))).unwrap_or_default()
    };
    let told = [
        ("base", one.what.base.to_string(), other.what.base.to_string()),
        ("number of shards", one.of.to_string(), other.of.to_string()),
        ("scenarios", scenarios(one).join(", "), scenarios(other).join(", ")),
        ("strategy", one.what.strategy.clone(), other.what.strategy.clone()),
        ("planted bugs", bugs(one).join(", "), bugs(other).join(", ")),
        ("limit", limit(one), limit(other)),
        ("build", one.build.binary.clone(), other.build.binary.clone()),
    ];
    for (what, one, other) in told {
        if one != other {
            let why =
                format!("{place} is of another campaign than {first}: its {what} is `{other}`, not `{one}`");
            return Err(Unlike(why));
        }
    }
    if one.what != other.what {
        return Err(Unlike(format!("{place} is of another campaign than {first}")));
    }
    Ok(())
}

/// The worse of two exit codes.
fn worse(one: u8, other: u8) -> u8 {
    const FROM_THE_WORST: [u8; 7] = [70, 4, 1, 130, 3, 2, 5];
    let place = |code: u8| FROM_THE_WORST.iter().position(|known| *known == code);
    match (place(one), place(other)) {
        (None, _) => other,
        (_, None) => one,
        (Some(here), Some(there)) => FROM_THE_WORST[here.min(there)],
    }
}

fn add(all: &mut Vec<Ran>, ran: &Ran) {
    match all.iter_mut().find(|known| known.name == ran.name && known.file == ran.file) {
        Some(known) => {
            known.runs += ran.runs;
            known.took_ms += ran.took_ms;
        }
        None => all.push(ran.clone()),
    }
}

fn keep(buckets: &mut BTreeMap<String, (Bucket, usize)>, bucket: &Bucket, nth: usize) {
    let Some((known, from)) = buckets.get_mut(&bucket.kind) else {
        buckets.insert(bucket.kind.clone(), (bucket.clone(), nth));
        return;
    };
    let mut times = std::mem::take(&mut known.times);
    for (scenario, count) in &bucket.times {
        *times.entry(scenario.clone()).or_default() += count;
    }
    // A failure that is not deterministic anywhere is not deterministic.
    let better = (bucket.parts.is_empty(), bucket.least_faults(), bucket.index)
        < (known.parts.is_empty(), known.least_faults(), known.index);
    if better {
        (*known, *from) = (bucket.clone(), nth);
    }
    known.times = times;
}

#[cfg(test)]
mod tests {
    use super::{super::tests::one, *};
    use crate::scenario::values::Seed;

    fn parts(nths: &[u64]) -> Vec<(String, CampaignSummary)> {
        nths.iter().map(|nth| (format!("shard-{nth}"), one(*nth))).collect()
    }

    #[test]
    fn shards_become_one() {
        let mut parts = parts(&[3, 1, 2, 4]);
        parts[1].1.buckets[0].shrunk = None;
        parts[2].1.buckets.clear();
        parts[2].1.exit = 0;
        parts[2].1.unreached = vec!["two controllers are active".into(), "no broker is up".into()];
        let (whole, from) = join(&parts).expect("is one campaign");
        assert_eq!((whole.shards.clone(), whole.missing()), (vec![1, 2, 3, 4], Vec::new()));
        assert_eq!((whole.runs, whole.exit, whole.failing()), (2_000, 1, 9));
        assert_eq!(whole.events["leader.elected"], 204_000);
        assert_eq!(whole.unreached, ["no broker is up"]);
        assert_eq!((whole.scenarios.len(), whole.scenarios[0].runs), (1, 2_000));
        // Shard 3 has the smallest schedule and the lower index.
        assert_eq!((whole.buckets.len(), whole.buckets[0].index, from), (1, 7, vec![0]));
    }

    #[test]
    fn what_was_joined_can_be_joined_again() {
        let (two, _) = join(&parts(&[1, 2])).expect("is one campaign");
        assert_eq!(two.missing(), [3, 4]);
        let (all, _) = join(&[("a".into(), two), ("b".into(), join(&parts(&[3, 4])).expect("is one").0)])
            .expect("is one campaign");
        assert_eq!(all, join(&parts(&[1, 2, 3, 4])).expect("is one").0);
    }

    #[test]
    fn what_is_not_one_campaign_is_refused() {
        let why = |change: &dyn Fn(&mut CampaignSummary)| {
            let mut parts = parts(&[1, 2]);
            change(&mut parts[1].1);
            join(&parts).expect_err("is refused").0
        };
        assert_eq!(
            why(&|it| it.what.base = Seed(7)),
            "shard-2 is of another campaign than shard-1: its base is `0x7`, not `0x4be1f07c`"
        );
        assert_eq!(why(&|it| it.shards = vec![1]), "shard 1/4 is there twice: shard-1 and shard-2");
        for change in [
            &(|it: &mut CampaignSummary| it.of = 5) as &dyn Fn(&mut CampaignSummary),
            &|it| it.what.runs = Some(9),
            &|it| it.what.time_ms = Some(9),
            &|it| it.what.scenarios[0].1 = "5678".into(),
            &|it| it.what.strategy = "swarm".into(),
            &|it| it.what.canary = true,
            &|it| it.what.new_since = Some("main".into()),
            &|it| it.build.binary = "00000000".into(),
        ] {
            assert!(why(change).contains("of another campaign than"));
        }
        assert!(join(&[]).is_err());
    }

    #[test]
    fn the_worst_code_counts() {
        assert_eq!(worse(0, 0), 0);
        assert_eq!([worse(0, 130), worse(1, 130), worse(4, 1), worse(3, 0), worse(3, 1)], [130, 1, 4, 3, 1]);
    }
}
