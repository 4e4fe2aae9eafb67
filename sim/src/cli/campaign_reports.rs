//! Where do the reports of a campaign go? Into its directory, to where somebody wants them, and to GitHub.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

use super::{Common, Exit, Format, Output, ReportKind, findings::whole};
use crate::report::campaign::{CampaignSummary, github, junit, markdown};

/// Writes `summary.json`, `summary.md` and `junit.xml` into the campaign's directory.
pub fn leave(place: &Path, summary: &CampaignSummary) -> Result<(), String> {
    whole(&place.join("summary.json"), &summary.text()?)?;
    whole(&place.join("summary.md"), &markdown::page(summary))?;
    whole(&place.join("junit.xml"), &junit::xml(summary)?)
}

/// Writes the reports that were asked for, and GitHub's where this is GitHub. `place` is where the buckets lie.
pub fn all(common: &Common, summary: &CampaignSummary, place: &str, output: &mut Output) -> Result<(), Exit> {
    for report in &common.reports {
        let text = match report.kind {
            ReportKind::Junit => junit::xml(summary),
            ReportKind::Github => Ok(github::annotations(summary, place)),
            ReportKind::Markdown => Ok(markdown::page(summary)),
            ReportKind::Json => summary.text(),
        };
        let text = text.map_err(|why| output.fail(Exit::Internal, &why))?;
        if report.path == "-" {
            output.say(&text);
        } else {
            whole(Path::new(&report.path), &text).map_err(|why| output.fail(Exit::Usage, &why))?;
        }
    }
    if super::on_github(common) {
        on_github(common, summary, place, output)?;
    }
    Ok(())
}

fn on_github(
    common: &Common,
    summary: &CampaignSummary,
    place: &str,
    output: &mut Output,
) -> Result<(), Exit> {
    if !common.reports.iter().any(|report| report.kind == ReportKind::Github) {
        let text = github::annotations(summary, place);
        // GitHub reads both streams; a document for machines is not broken by it.
        if common.format == Format::Human { output.say(&text) } else { output.note(&text) }
    }
    let Some(page) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    // Steps before this one may have written there.
    let append = || -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&page)?;
        file.write_all(markdown::page(summary).as_bytes())
    };
    let failed = |error: io::Error| format!("{} cannot be written: {error}", Path::new(&page).display());
    append().map_err(|error| output.fail(Exit::Usage, &failed(error)))
}
