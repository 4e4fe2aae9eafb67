//! `trial merge`: the shards of a campaign as one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Common, Exit, Format, Output, campaign_reports, findings::whole};
use crate::report::campaign::{Bucket, CampaignSummary, Unreadable, human, join};

/// Join the shards of a campaign into one summary.
#[derive(Args)]
pub struct Merge {
    /// The directories that `trial fuzz --shard` left.
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Where to write summary.json, summary.md, junit.xml and the buckets; only told if left out.
    #[arg(short, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn main(it: &Merge, common: &Common, output: &mut Output) -> Exit {
    match merge(it, common, output) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn merge(it: &Merge, common: &Common, output: &mut Output) -> Result<Exit, Exit> {
    let mut parts = Vec::new();
    for dir in &it.dirs {
        let summary = CampaignSummary::read(dir).map_err(|why| match why {
            Unreadable::Damaged(why) => output.fail(Exit::Usage, &why),
            Unreadable::OtherFormat(why) => output.fail(Exit::OtherFormat, &why),
        })?;
        parts.push((dir.display().to_string(), summary));
    }
    let (mut whole, from) = join(&parts).map_err(|why| output.fail(Exit::Usage, &why.0))?;
    let missing = whole.missing();
    if !missing.is_empty() && whole.exit == 0 {
        // What nobody has looked at is not known to be green.
        whole.exit = Exit::Inconclusive.code();
    }
    let place = match &it.output {
        Some(place) => {
            for (bucket, nth) in whole.buckets.iter().zip(&from) {
                gather(&it.dirs, *nth, bucket, place).map_err(|why| output.fail(Exit::Usage, &why))?;
            }
            campaign_reports::leave(place, &whole).map_err(|why| output.fail(Exit::Usage, &why))?;
            place.display().to_string()
        }
        None => {
            // Each bucket lies where the part lies that it is from.
            for (bucket, nth) in whole.buckets.iter_mut().zip(&from) {
                bucket.repro = it.dirs[*nth].join(&bucket.repro).display().to_string();
            }
            ".".into()
        }
    };
    match common.format {
        Format::Human => output.say(&human::told(&whole, &place)),
        Format::Json | Format::Jsonl => {
            let text = whole.text().map_err(|why| output.fail(Exit::Internal, &why))?;
            output.say(&text);
        }
    }
    campaign_reports::all(common, &whole, &place, output)?;
    if !missing.is_empty() {
        let nths: Vec<String> = missing.iter().map(u64::to_string).collect();
        output.note(&format!("shard {} of {} is not there\n", nths.join(", "), whole.of));
    }
    Ok(Exit::of_code(whole.exit))
}

/// Copies the bucket of the part that shows it best, with the seeds of all parts.
fn gather(dirs: &[PathBuf], nth: usize, bucket: &Bucket, place: &Path) -> Result<(), String> {
    let below = bucket.place();
    let source = dirs[nth].join(below);
    let failed = |error: std::io::Error| format!("{} cannot be copied: {error}", source.display());
    let target = place.join(below);
    fs::create_dir_all(&target).map_err(failed)?;
    for entry in fs::read_dir(&source).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().is_file() && entry.file_name() != "seeds.txt" {
            fs::copy(entry.path(), target.join(entry.file_name())).map_err(failed)?;
        }
    }
    let seeds = dirs.iter().filter_map(|dir| fs::read_to_string(dir.join(below).join("seeds.txt")).ok());
    let all: String = seeds.collect();
    let mut lines: Vec<&str> = all.lines().collect();
    lines.sort_by_key(|line| line.split(' ').next().and_then(|index| index.parse::<u64>().ok()));
    whole(&target.join("seeds.txt"), &lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}
