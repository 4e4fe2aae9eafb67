//! Which kinds of failure were known before, so that only new ones count?

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

use crate::{
    cli::input,
    report::campaign::{CampaignSummary, Unreadable},
};

/// Where kinds are kept that somebody knows of and has not mended yet: one a line.
pub const FILE: &str = "regressions/known-buckets.txt";
/// Where repros are kept.
pub const FOLDERS: [&str; 2] = ["regressions", "scenarios/regressions"];

/// The kinds known at a place: the summary of a campaign, its directory or a list of kinds; a checkout with
/// its `regressions/`; or a revision of the repository that stands here.
pub fn known(place: &str) -> Result<BTreeSet<String>, Unreadable> {
    let path = Path::new(place);
    if path.is_file() {
        return of_file(path);
    }
    if path.is_dir() {
        let summary = path.join("summary.json");
        return if summary.is_file() {
            of_file(&summary)
        } else {
            of_checkout(path).map_err(Unreadable::Damaged)
        };
    }
    of_revision(place).map_err(Unreadable::Damaged)
}

fn of_file(path: &Path) -> Result<BTreeSet<String>, Unreadable> {
    if path.extension().is_some_and(|ending| ending == "json") {
        let summary = CampaignSummary::read(path)?;
        return Ok(summary.buckets.into_iter().map(|bucket| bucket.kind).collect());
    }
    let failed =
        |error: std::io::Error| Unreadable::Damaged(format!("{} cannot be read: {error}", path.display()));
    listed(&std::fs::read_to_string(path).map_err(failed)?, &path.display().to_string())
        .map_err(Unreadable::Damaged)
}

/// The kinds of a list: one a line, `#` begins a comment.
fn listed(text: &str, shown: &str) -> Result<BTreeSet<String>, String> {
    let mut kinds = BTreeSet::new();
    for (nth, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "_/".contains(c);
        if !line.chars().all(plain) {
            return Err(format!("{shown}:{}: `{line}` is no kind of failure: write CHECK/3f7a", nth + 1));
        }
        kinds.insert(line.into());
    }
    Ok(kinds)
}

fn of_checkout(dir: &Path) -> Result<BTreeSet<String>, String> {
    let mut kinds = BTreeSet::new();
    let list = dir.join(FILE);
    if list.is_file() {
        let text = std::fs::read_to_string(&list)
            .map_err(|error| format!("{} cannot be read: {error}", list.display()))?;
        kinds.extend(listed(&text, &list.display().to_string())?);
    }
    let folders = FOLDERS.iter().map(|folder| dir.join(folder)).filter(|folder| folder.is_dir());
    for folder in folders {
        // One without repros knows of none.
        for file in input::scenarios(&[folder]).unwrap_or_default() {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
            kinds.extend(of_repro(&text));
        }
    }
    Ok(kinds)
}

/// The kind that a repro says it is of.
fn of_repro(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value["origin"]["bucket"].as_str().map(str::to_string)
}

fn of_revision(revision: &str) -> Result<BTreeSet<String>, String> {
    let commit = format!("{revision}^{{commit}}");
    let told = git(&["rev-parse", "--quiet", "--verify", "--end-of-options", &commit])?;
    if !told.status.success() {
        return Err(format!("there is no file, directory or git revision `{revision}`"));
    }
    let commit = String::from_utf8_lossy(&told.stdout).trim().to_string();
    let told = git(&["ls-tree", "-r", "--name-only", &commit, "--", FOLDERS[0], FOLDERS[1]])?;
    let mut kinds = BTreeSet::new();
    for name in String::from_utf8_lossy(&told.stdout).lines() {
        let shown = format!("{commit}:./{name}");
        let text = git(&["show", &shown])?;
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        if name == FILE {
            kinds.extend(listed(&text, &format!("{revision}:{name}"))?);
        } else {
            kinds.extend(of_repro(&text));
        }
    }
    Ok(kinds)
}

/// What to compare with where nobody says: the branch that is to be merged into.
pub fn merge_base() -> Option<String> {
    let asked = std::env::var("GITHUB_BASE_REF").ok().filter(|name| !name.is_empty());
    let upstream = asked.map_or("origin/HEAD".into(), |name| format!("origin/{name}"));
    let told = git(&["merge-base", "HEAD", &upstream]).ok()?;
    told.status.success().then(|| String::from_utf8_lossy(&told.stdout).trim().to_string())
}

/// The commit that stands here.
pub fn head() -> Option<String> {
    let told = git(&["rev-parse", "--verify", "HEAD"]).ok()?;
    let asked = std::env::var("GITHUB_SHA").ok().filter(|commit| !commit.is_empty());
    asked.or_else(|| told.status.success().then(|| String::from_utf8_lossy(&told.stdout).trim().to_string()))
}

fn git(args: &[&str]) -> Result<Output, String> {
    Command::new("git").args(args).output().map_err(|error| format!("git cannot be asked: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_kind_a_line() {
        let kinds = listed("# known\nno_panics/0a1b  # ticket 7\n\nrun_timeout\n", "it").expect("is a list");
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["no_panics/0a1b", "run_timeout"]);
        assert_eq!(
            listed("\nno panics\n", "it"),
            Err("it:2: `no panics` is no kind of failure: write CHECK/3f7a".into())
        );
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let why = known("no/such/place").expect_err("is refused");
        assert_eq!(
            why,
            Unreadable::Damaged("there is no file, directory or git revision `no/such/place`".into())
        );
    }
}
