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
*Found* says from how many bases of seeds a bug was found, given nothing but its name, and, if it is of consumer groups, that
every cluster has some (`--groups`); *CPU s* and *runs* are the medians of the strategy that finds it soonest, *by*; *uniform*
is what drawing every kind of fault alike takes, or more than what it was given. *Faults* is what is left of the schedule once
it is shrunk, and in brackets with how many of fifty other seeds that fails; if those are fewer than forty, or the faults more
than four, the list below says why. A dash was not measured or not found. A star has a scenario,
`scenarios/museum/SLUG.scenario.json`, that passes as it is and fails with the bug.

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
    let found = |story: &&Story| row(results, story).is_some_and(|(_, row)| row.median_cpu_s.is_some());
    let staged = stories.iter().filter(|story| story.scenario.is_some()).count();
    // Writing to a string does not fail.
    let _ = write!(page, "{} bugs, {staged} with a scenario of their own", stories.len());
    if !results.is_empty() {
        let found = stories.iter().filter(found).count();
        let _ = write!(page, "; {found} found by drawn clusters in the median of the bases");
    }
    page += ".\n\n";
    page += LEGEND;
    page += "| bug | ticket | area | what it breaks | caught by | found | CPU s | runs | by | uniform | faults |\n";
    page += "|---|---|---|---|---|--:|--:|--:|---|--:|--:|\n";
    for story in &stories {
        page += &line(story, results);
    }
    page += &notes(&stories, results);
    page += MUTANTS;
    for bug in Bug::ALL.iter().filter(|bug| is_mutant(**bug)) {
        let _ = writeln!(page, "| `{}` | {} | `{}` |", bug.slug(), bug.breaks(), bug.caught_by());
    }
    page
}

/// The strategy that found a bug soonest, and how.
fn row<'a>(results: &'a Results, story: &Story) -> Option<(&'a str, &'a Row)> {
    results.get(story.bug.0.slug()).and_then(best)
}

fn line(story: &Story, results: &Results) -> String {
    let bug = story.bug.0;
    let best = row(results, story);
    let (by, row) = (best.map(|(by, _)| by), best.map(|(_, row)| row));
    let star = if story.scenario.is_some() { " *" } else { "" };
    let told = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let found = row.map(|row| format!("{}/{}", row.found_of.0, row.found_of.1));
    let median = row.and_then(|row| row.median_cpu_s);
    let runs = row.and_then(|row| row.median_runs).map(|runs| runs.to_string());
    let by = by.filter(|_| median.is_some()).map(str::to_owned);
    let uniform = results.get(bug.slug()).and_then(|rows| rows.get("uniform"));
    let uniform = uniform.map(|row| match row.median_cpu_s {
        Some(seconds) => format!("{seconds:.1}"),
        None => format!("> {}", row.budget_s),
    });
    let faults = row.and_then(|row| {
        let strength = row.strength.map_or(String::new(), |strength| format!(" ({strength})"));
        row.faults.map(|faults| format!("{faults}{strength}"))
    });
    let cells = [found, median.map(|seconds| format!("{seconds:.1}")), runs, by, uniform, faults].map(told);
    format!(
        "| `{}`{star} | {} | {} | {} | `{}` | {} |\n",
        bug.slug(),
        bug.ticket(),
        story.area,
        bug.breaks(),
        bug.caught_by(),
        cells.join(" | ")
    )
}

/// Why what was found of some bugs is less than one wishes for; nothing if there is nothing to say.
fn notes(stories: &[Story], results: &Results) -> String {
    let noted = stories.iter().filter_map(|story| {
        let note = row(results, story)?.1.note.as_ref()?;
        Some(format!("- `{}`: {note}\n", story.bug.0.slug()))
    });
    let noted: String = noted.collect();
    if noted.is_empty() { noted } else { format!("\n{noted}") }
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
            strength: Some(39),
            budget_s: 120.0,
            note: Some("it is late".into()),
        };
        let never = Row { found_of: (0, 3), budget_s: 30.0, ..Row::default() };
        let rows = BTreeMap::from([("swarm".to_owned(), row), ("uniform".to_owned(), never)]);
        let results = Results::from([("truncate-to-local-hw".to_owned(), rows)]);
        let page = page(&results);
        assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), Bug::ALL.len());
        let line = page.lines().find(|line| line.starts_with("| `truncate-to-local-hw`")).expect("its line");
        assert!(line.ends_with("| 5/5 | 1.2 | 12 | swarm | > 30 | 2 (39) |"), "{line}");
        assert!(page.contains("\n- `truncate-to-local-hw`: it is late\n"), "{page}");
        assert!(page.contains("; 1 found by drawn clusters"), "{page}");
    }
}
