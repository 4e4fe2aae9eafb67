//! How does the page of the museum look, `MUSEUM.md`?

use std::fmt::Write as _;

use trial_model::museum::Bug;

use super::{
    Story, is_mutant,
    results::{Results, Row, best},
    stories,
};

/// What stands above the table.
const HEAD: &str = "\
# The museum

Bugs that Kafka, its clients or its relatives once had, planted where they had them: one branch each, off unless asked
for, and compiled out of builds without the feature `museum`. A bug that is planted shows what Trial finds; the same seed
passes without it.

```console
$ cargo trial museum show SLUG                       # its story
$ cargo trial run FILE --plant SLUG                  # a scenario with it; scenarios/museum/ has one for many
$ cargo trial fuzz --plant SLUG --stop-after 1       # look for it with nothing but its name
$ cargo trial museum bench --save museum/results.json   # how soon each is found: where the figures come from
$ cargo trial museum page > MUSEUM.md                # this page
```

";

/// What stands above the figures.
const LEGEND: &str = "\
*Found* says from how many bases of seeds a bug was found; *CPU s* and *runs* are the medians of the strategy that finds
it soonest; *faults* is what is left of the schedule once it is shrunk, and in brackets with how many of fifty other seeds
that fails. A dash was not measured or not found. A star has a scenario, `scenarios/museum/SLUG.scenario.json`, that passes
as it is and fails with the bug.

";

/// What stands above the mutants.
const MUTANTS: &str = "
## Mutants

Nobody ever had these. Each is for a check that no historical bug breaks first.

| mutant | what it breaks | caught by |
|---|---|---|
";

/// The page, with the figures of `results`.
pub fn page(results: &Results) -> String {
    let mut page = HEAD.to_owned();
    let stories = stories();
    let found = |story: &&Story| row(results, story).is_some_and(|row| row.median_cpu_s.is_some());
    let staged = stories.iter().filter(|story| story.scenario.is_some()).count();
    // Writing to a string does not fail.
    let _ = write!(page, "{} bugs, {staged} with a scenario of their own", stories.len());
    if !results.is_empty() {
        let found = stories.iter().filter(found).count();
        let _ = write!(page, "; {found} found by drawn clusters in the median of the bases");
    }
    page += ".\n\n";
    page += LEGEND;
    page += "| bug | ticket | area | what it breaks | caught by | found | CPU s | runs | faults |\n";
    page += "|---|---|---|---|---|--:|--:|--:|--:|\n";
    for story in &stories {
        page += &line(story, row(results, story));
    }
    page += MUTANTS;
    for bug in Bug::ALL.iter().filter(|bug| is_mutant(**bug)) {
        let _ = writeln!(page, "| `{}` | {} | `{}` |", bug.slug(), bug.breaks(), bug.caught_by());
    }
    page
}

fn row<'a>(results: &'a Results, story: &Story) -> Option<&'a Row> {
    results.get(story.bug.0.slug()).and_then(best).map(|(_, row)| row)
}

fn line(story: &Story, row: Option<&Row>) -> String {
    let bug = story.bug.0;
    let star = if story.scenario.is_some() { " *" } else { "" };
    let told = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let found = row.map(|row| format!("{}/{}", row.found_of.0, row.found_of.1));
    let seconds = row.and_then(|row| row.median_cpu_s).map(|seconds| format!("{seconds:.1}"));
    let runs = row.and_then(|row| row.median_runs).map(|runs| runs.to_string());
    let faults = row.and_then(|row| {
        let strength = row.strength.map_or(String::new(), |strength| format!(" ({strength})"));
        row.faults.map(|faults| format!("{faults}{strength}"))
    });
    format!(
        "| `{}`{star} | {} | {} | {} | `{}` | {} | {} | {} | {} |\n",
        bug.slug(),
        bug.ticket(),
        story.area,
        bug.breaks(),
        bug.caught_by(),
        told(found),
        told(seconds),
        told(runs),
        told(faults)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_bug_has_a_line_and_what_was_measured_stands_in_it() {
        let row = Row {
            found_of: (5, 5),
            median_cpu_s: Some(1.25),
            median_runs: Some(12),
            faults: Some(2),
            strength: Some(49),
        };
        let results =
            Results::from([("truncate-to-local-hw".to_owned(), BTreeMap::from([("swarm".to_owned(), row)]))]);
        let page = page(&results);
        assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), Bug::ALL.len());
        let line = page.lines().find(|line| line.starts_with("| `truncate-to-local-hw`")).expect("its line");
        assert!(line.ends_with("| 5/5 | 1.2 | 12 | 2 (49) |"), "{line}");
        assert!(page.contains("; 1 found by drawn clusters"), "{page}");
    }
}
