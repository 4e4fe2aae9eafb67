//! What does somebody at a terminal read of a campaign?

use super::{Bucket, CampaignSummary};
use crate::report::words::{clock, counted, grouped, long, shortened};

/// What came of it: a line for every kind of failure, the worst first, and its report. `place` is where the
/// buckets lie.
pub fn told(summary: &CampaignSummary, place: &str) -> String {
    let mut text = head(summary);
    for (nth, bucket) in summary.buckets.iter().enumerate() {
        text += &line(nth, bucket);
    }
    for it in summary.regressed() {
        let because = it.because.as_deref().unwrap_or("a promise is broken");
        text +=
            &format!(" {}  regression {}   {because}   trial run {}\n", it.verdict.name(), it.name, it.file);
    }
    if let Some(worst) = summary.buckets.first() {
        text += &format!("worst first: trial replay {place}/{}\n\n{}", worst.repro, worst.report);
    }
    text
}

/// How much was run, and what was found in it.
fn head(summary: &CampaignSummary) -> String {
    let cost = format!(
        "{} runs   {} simulated in {}",
        grouped(summary.runs),
        long(summary.simulated_ms),
        clock(summary.took_ms)
    );
    let mut text = match summary.counted().count() {
        0 => format!("nothing found in {cost}\n"),
        kinds => {
            let failing = usize::try_from(summary.failing()).unwrap_or(usize::MAX);
            format!("{}, {} of {cost}\n", counted(kinds, "bucket"), counted(failing, "failing run"))
        }
    };
    let missing: Vec<String> = summary.missing().iter().map(u64::to_string).collect();
    if summary.shards.len() > 1 && !missing.is_empty() {
        text += &format!("missing: shard {} of {}\n", missing.join(", "), summary.of);
    }
    let regressions = summary.regressions.len();
    let failed = summary.regressed().count();
    if regressions > 0 {
        text += &format!("regressions: {} of {regressions} passed\n", regressions - failed);
    }
    text
}

fn line(nth: usize, bucket: &Bucket) -> String {
    let faults = match &bucket.shrunk {
        Some(cut) if cut.faults != bucket.faults => format!("{} → {} faults", bucket.faults, cut.faults),
        Some(cut) => counted(cut.faults, "fault"),
        None => counted(bucket.faults, "fault"),
    };
    let mark = match bucket.new {
        Some(true) => "   new",
        Some(false) => "   known",
        None => "",
    };
    let seen = usize::try_from(bucket.seen()).unwrap_or(usize::MAX);
    let mut text = format!(
        " {}  {:<44} {:>9}   {:<24} {:<15} {}/report.txt{mark}\n",
        nth + 1,
        bucket.kind,
        counted(seen, "run"),
        shortened(&bucket.scenario, 24),
        faults,
        bucket.place()
    );
    for (place, digest) in &bucket.parts {
        text += &format!("    not deterministic: {place} {digest}\n");
    }
    if !bucket.confirmed && bucket.parts.is_empty() {
        text += "    not confirmed: it was not seen a second time\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::tests::one, *};

    #[test]
    fn the_worst_stands_first_with_its_report_below() {
        let mut it = one(1);
        it.buckets[0].parts = vec![("here".into(), "aaaa".into()), ("on madsim".into(), "bbbb".into())];
        let text = told(&it, "out");
        assert!(
            text.starts_with("1 bucket, 3 failing runs of 500 runs   6.9 days simulated in 10m15s\n"),
            "{text}"
        );
        for expected in [
            " 1  acked_records_are_readable/3f7a                 3 runs   leader-crash             41 → 2 faults   buckets/",
            "    not deterministic: here aaaa\n    not deterministic: on madsim bbbb\n",
            "worst first: trial replay out/buckets/acked_records_are_readable-3f7a/repro.json\n\nFAIL  acked",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}
