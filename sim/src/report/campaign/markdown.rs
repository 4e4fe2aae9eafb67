//! What stands on a job's page? The buckets in a table, and the report of each, folded.

use std::fmt::Write as _;

use super::CampaignSummary;
use crate::report::words::{clock, counted, grouped, long};

/// The summary as Markdown.
pub fn page(summary: &CampaignSummary) -> String {
    let mut out = format!("{}\n\n", head(summary));
    let missing: Vec<String> = summary.missing().iter().map(u64::to_string).collect();
    if summary.shards.len() > 1 && !missing.is_empty() {
        let _ = writeln!(out, "**Missing: shard {} of {}.**\n", missing.join(", "), summary.of);
    }
    if summary.interrupted {
        out += "It was ended before its time.\n\n";
    }
    table(summary, &mut out);
    for it in summary.regressed() {
        let because = it.because.as_deref().unwrap_or("a promise is broken");
        let _ = writeln!(
            out,
            "Regression: {} {}: {}, `trial run {}`\n",
            it.verdict.name(),
            it.name,
            because,
            it.file
        );
    }
    for bucket in summary.counted() {
        let _ = writeln!(
            out,
            "<details><summary>{}</summary>\n\n```\n{}```\n</details>\n",
            bucket.kind,
            with_newline(&bucket.report)
        );
    }
    out += &foot(summary);
    out
}

fn head(summary: &CampaignSummary) -> String {
    let kinds = summary.counted().count();
    let mark = if summary.exit == 0 { "✅" } else { "❌" };
    let found = if kinds == 0 { "nothing found".into() } else { counted(kinds, "bucket") };
    format!(
        "### {mark} trial fuzz: {found} in {} runs ({} wall, {} simulated)",
        grouped(summary.runs),
        clock(summary.took_ms),
        long(summary.simulated_ms)
    )
}

fn table(summary: &CampaignSummary, out: &mut String) {
    if summary.buckets.is_empty() {
        return;
    }
    *out += "| bucket | runs | scenario | faults | reproduce |\n|---|---|---|---|---|\n";
    for bucket in &summary.buckets {
        let mark = match (bucket.new, bucket.parts.is_empty()) {
            (_, false) => " **not deterministic**",
            (Some(true), _) => " **new**",
            (Some(false), _) => " known",
            (None, _) => "",
        };
        let _ = writeln!(
            out,
            "| {}{mark} | {} | {} | {} | `trial replay {}` |",
            bucket.kind,
            grouped(bucket.seen()),
            bucket.scenario.replace('|', "\\|"),
            bucket.least_faults(),
            bucket.repro
        );
    }
    out.push('\n');
}

fn foot(summary: &CampaignSummary) -> String {
    let mut lines = Vec::new();
    let never: Vec<String> = summary.never().iter().map(|kind| format!("`{kind}`")).collect();
    if !never.is_empty() {
        lines.push(format!("Never reached: {}.", never.join(", ")));
    }
    if !summary.unreached.is_empty() {
        lines.push(format!("Never: {}.", summary.unreached.join("; ")));
    }
    lines.push(format!("Seeds: base {}, shard {}.", summary.what.base, summary.shard()));
    lines.join(" ") + "\n"
}

fn with_newline(text: &str) -> String {
    if text.ends_with('\n') { text.into() } else { format!("{text}\n") }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::one, *};

    #[test]
    fn the_page_is_a_table_and_a_report_for_each() {
        let mut it = one(2);
        it.buckets[0].new = Some(true);
        let page = page(&it);
        let expected = "### ❌ trial fuzz: 1 bucket in 500 runs (10m15s wall, 6.9 days simulated)\n\n\
            | bucket | runs | scenario | faults | reproduce |\n|---|---|---|---|---|\n\
            | acked_records_are_readable/3f7a **new** | 3 | leader-crash | 2 | \
            `trial replay buckets/acked_records_are_readable-3f7a/repro.json` |\n\n\
            <details><summary>acked_records_are_readable/3f7a</summary>\n\n```\n\
            FAIL  acked_records_are_readable\n      an acknowledged record is gone\n```\n</details>\n\n\
            Never reached: ";
        assert!(page.starts_with(expected), "{page}");
        assert!(page.ends_with("Never: no broker is up. Seeds: base 0x4be1f07c, shard 2/4.\n"), "{page}");
    }

    #[test]
    fn a_clean_campaign_says_so_and_a_missing_shard_is_named() {
        let mut it = one(1);
        it.buckets.clear();
        it.exit = 0;
        it.shards = vec![1, 3];
        let page = page(&it);
        assert!(page.starts_with("### ✅ trial fuzz: nothing found in 500 runs "), "{page}");
        assert!(page.contains("**Missing: shard 2, 4 of 4.**"), "{page}");
        assert!(!page.contains('|'), "{page}");
    }
}
