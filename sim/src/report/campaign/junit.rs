//! What does a JUnit reader want? One suite a scenario, one case a promise: not one a seed, which helps nobody.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Bucket, CampaignSummary, RUN_CRASH, RUN_MEMORY, RUN_TIMEOUT, Ran, Regression};
use crate::report::Verdict;

/// The report.
pub fn xml(summary: &CampaignSummary) -> Result<String, String> {
    let mut report = Report::new("trial fuzz");
    report.set_time(Duration::from_millis(summary.took_ms));
    for ran in &summary.scenarios {
        report.add_test_suite(suite(summary, ran));
    }
    if !summary.regressions.is_empty() {
        let mut suite = TestSuite::new("regressions");
        suite.add_test_cases(summary.regressions.iter().map(regression));
        report.add_test_suite(suite);
    }
    report.to_string().map_err(|error| error.to_string())
}

fn suite(summary: &CampaignSummary, ran: &Ran) -> TestSuite {
    let here: Vec<&Bucket> =
        summary.buckets.iter().filter(|bucket| bucket.times.contains_key(&ran.name)).collect();
    let mut suite = TestSuite::new(&ran.name);
    suite.set_time(Duration::from_millis(ran.took_ms));
    suite.add_property(("base", summary.what.base.to_string().as_str()));
    suite.add_property(("seeds", ran.runs.to_string().as_str()));
    suite.add_property(("shard", summary.shard().as_str()));
    for bucket in &here {
        suite.add_property(("bucket", bucket.kind.as_str()));
    }
    let own = [RUN_TIMEOUT, RUN_MEMORY, RUN_CRASH];
    for check in ran.checks.iter().map(String::as_str).chain(own) {
        let broken: Vec<&Bucket> = here.iter().copied().filter(|bucket| bucket.check() == check).collect();
        let mut case = TestCase::new(check, status(&broken));
        case.set_classname(&ran.name);
        suite.add_test_case(case);
    }
    suite
}

fn status(broken: &[&Bucket]) -> TestCaseStatus {
    let counting: Vec<&Bucket> = broken.iter().copied().filter(|bucket| bucket.counts()).collect();
    if let Some(first) = counting.first() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(&first.kind);
        status.set_message(&first.headline);
        let reports: Vec<&str> = counting.iter().map(|bucket| bucket.report.as_str()).collect();
        status.set_description(reports.join("\n"));
        return status;
    }
    match broken.first() {
        Some(known) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("known before: {}", known.kind));
            status
        }
        None => TestCaseStatus::success(),
    }
}

fn regression(it: &Regression) -> TestCase {
    let because = it.because.as_deref().unwrap_or("it fails again");
    let status = match it.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(because);
            status.set_description(format!("again: trial run {}", it.file));
            status
        }
        Verdict::Inconclusive => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(because);
            status
        }
    };
    let mut case = TestCase::new(&it.name, status);
    case.set_classname("regressions");
    case
}

#[cfg(test)]
mod tests {
    use super::{super::tests::one, *};

    #[test]
    fn a_case_is_a_promise_and_a_failure_its_report() {
        let mut it = one(2);
        it.buckets[0].report = "gone \u{1b}[31m<b> & more\n".into();
        it.regressions.push(Regression {
            name: "old".into(),
            file: "old.repro.json".into(),
            verdict: Verdict::Inconclusive,
            because: Some("x occurred 0 of 1 times".into()),
        });
        let text = xml(&it).expect("is XML");
        for expected in [
            r#"<testsuites name="trial fuzz" tests="6" skipped="1" failures="1" errors="0" time="615.000">"#,
            r#"<testsuite name="leader-crash" tests="5" skipped="0" errors="0" failures="1" time="20.000">"#,
            r#"<property name="base" value="0x4be1f07c"/>"#,
            r#"<property name="seeds" value="500"/>"#,
            r#"<property name="shard" value="2/4"/>"#,
            r#"<property name="bucket" value="acked_records_are_readable/3f7a"/>"#,
            r#"message="an acknowledged record is gone" type="acked_records_are_readable/3f7a">"#,
            "&amp; more",
            r#"<testcase name="no_panics" classname="leader-crash"/>"#,
            r#"<testcase name="run_memory" classname="leader-crash"/>"#,
            r#"<skipped message="x occurred 0 of 1 times"/>"#,
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
        it.buckets[0].new = Some(false);
        let text = xml(&it).expect("is XML");
        assert!(
            text.contains(r#"<skipped message="known before: acked_records_are_readable/3f7a"/>"#),
            "{text}"
        );
    }
}
