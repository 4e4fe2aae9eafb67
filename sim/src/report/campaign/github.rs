//! What does GitHub show beside the code? One annotation for every kind of failure that counts.

use std::fmt::Write as _;

use super::{Bucket, CampaignSummary};
use crate::report::{
    Verdict,
    ci::{message, property},
    words::counted,
};

/// The annotations; `place` is where the buckets lie.
pub fn annotations(summary: &CampaignSummary, place: &str) -> String {
    let mut out = String::new();
    for bucket in summary.counted() {
        let at = bucket
            .file
            .as_ref()
            .map_or(String::new(), |(file, line)| format!("file={},line={line},", property(file)));
        let text = format!("{}; {}. trial replay {place}/{}", bucket.headline, shown(bucket), bucket.repro);
        let _ = writeln!(out, "::error {at}title={}::{}", property(bucket.check()), message(&text));
    }
    for it in summary.regressed() {
        let level = if it.verdict == Verdict::Fail { "error" } else { "warning" };
        let text = it.because.clone().unwrap_or_else(|| "it fails again".into());
        let text = format!("{} fails again: {text}. trial run {}", it.name, it.file);
        let _ = writeln!(
            out,
            "::{level} file={},line=1,title=regression::{}",
            property(&it.file),
            message(&text)
        );
    }
    let missing = summary.missing();
    // A shard by itself misses all others.
    if summary.shards.len() > 1 && !missing.is_empty() {
        let nths: Vec<String> = missing.iter().map(u64::to_string).collect();
        let _ =
            writeln!(out, "::warning title=shards::missing of {} shards: {}", summary.of, nths.join(", "));
    }
    out
}

/// How small it is, and how sure.
pub(super) fn shown(bucket: &Bucket) -> String {
    let faults = counted(bucket.least_faults(), "fault");
    match &bucket.shrunk {
        Some(cut) => format!("{faults}, {}/{} seeds", cut.strength.0, cut.strength.1),
        None => faults,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Regression, tests::one},
        *,
    };

    #[test]
    fn an_annotation_points_at_the_promise() {
        let mut it = one(1);
        it.regressions.push(Regression {
            name: "old".into(),
            file: "scenarios/regressions/old.scenario.json".into(),
            verdict: Verdict::Fail,
            because: None,
        });
        it.buckets[0].headline = "50% is\ngone".into();
        assert_eq!(
            annotations(&it, "target/trial/fuzz/latest"),
            "::error file=scenarios/leader-crash.scenario.json,line=49,title=acked_records_are_readable::\
             50%25 is%0Agone; 2 faults, 50/50 seeds. trial replay \
             target/trial/fuzz/latest/buckets/acked_records_are_readable-3f7a/repro.json\n\
             ::error file=scenarios/regressions/old.scenario.json,line=1,title=regression::\
             old fails again: it fails again. trial run scenarios/regressions/old.scenario.json\n"
        );
        it.buckets[0].new = Some(false);
        it.regressions.clear();
        assert_eq!(annotations(&it, ""), "", "what was known is not told again");
    }
}
