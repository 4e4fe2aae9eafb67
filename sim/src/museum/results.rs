//! What has `trial museum bench --save` measured?

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

/// How one strategy found one bug, as far as the page shows it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Row {
    /// From how many bases of seeds it was found, of how many.
    pub found_of: (u64, u64),
    /// How many seconds of a processor it took, in the median of the bases; none if most did not find it.
    pub median_cpu_s: Option<f64>,
    /// How many runs, likewise.
    pub median_runs: Option<u64>,
    /// How many faults are left once what was found is shrunk.
    #[serde(default)]
    pub faults: Option<usize>,
    /// With how many of fifty other seeds that fails.
    #[serde(default)]
    pub strength: Option<usize>,
    /// How many seconds of a processor each base had.
    #[serde(default)]
    pub budget_s: f64,
    /// Why there are more faults than one wishes for, or why it fails with few other seeds.
    #[serde(default)]
    pub note: Option<String>,
}

/// Every bug by its slug, every strategy by its name.
pub type Results = BTreeMap<String, BTreeMap<String, Row>>;

/// The results in a file; none if there is no such file.
///
/// Refuses a file that holds something else, with a sentence.
pub fn read(path: &Path) -> Result<Results, String> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Results::new()),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn parse(text: &str) -> Result<Results, String> {
    serde_json::from_str(text).map_err(|error| format!("it holds no results of a bench: {error}"))
}

/// The strategy that found a bug soonest, and how; one that found it from more than half of its bases goes
/// before one that did not.
pub fn best(rows: &BTreeMap<String, Row>) -> Option<(&str, &Row)> {
    let rank = |row: &Row| row.median_cpu_s.unwrap_or(f64::INFINITY);
    rows.iter()
        .min_by(|(_, a), (_, b)| rank(a).total_cmp(&rank(b)).then(b.found_of.0.cmp(&a.found_of.0)))
        .map(|(name, row)| (&name[..], row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(found: u64, median_cpu_s: Option<f64>) -> Row {
        Row { found_of: (found, 5), median_cpu_s, ..Row::default() }
    }

    #[test]
    fn the_soonest_is_the_best() {
        let rows = BTreeMap::from([
            ("guided".into(), row(2, None)),
            ("pct".into(), row(5, Some(3.5))),
            ("swarm".into(), row(5, Some(9.0))),
            ("uniform".into(), row(0, None)),
        ]);
        assert_eq!(best(&rows).map(|(name, _)| name), Some("pct"));
        let none = BTreeMap::from([("guided".into(), row(2, None)), ("uniform".into(), row(0, None))]);
        assert_eq!(
            best(&none).map(|(name, _)| name),
            Some("guided"),
            "found from some bases is better than never"
        );
        assert_eq!(best(&BTreeMap::new()), None);
    }

    #[test]
    fn what_is_no_result_is_refused_and_no_file_is_no_result() {
        assert_eq!(read(Path::new("no/such/results.json")), Ok(Results::new()));
        assert!(parse("[]").is_err_and(|why| why.contains("no results of a bench")));
        let text = r#"{"a": {"swarm": {"found_of": [5, 5], "budget_s": 120.0, "median_cpu_s": 1.5,
            "median_runs": 9, "faults": 2, "others": 0}}}"#;
        let results = parse(text).expect("what a bench saves is read, more than the page shows, too");
        assert_eq!(results["a"]["swarm"].faults, Some(2));
    }
}
