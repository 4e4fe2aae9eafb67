//! What does a campaign leave behind? A directory with a bucket for every kind of failure.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::rundir;
use crate::{
    fuzz::{Best, Campaign, Tried},
    report::{Build, campaign::below},
    scenario::{
        Scenario,
        file::Origin,
        values::{BugName, Seed},
    },
    shrink::written,
};

/// The directory of one campaign.
pub struct Findings {
    dir: PathBuf,
    build: Build,
}

impl Findings {
    /// Makes the directory below `out`; `fuzz/latest` points to it from now on. Refuses one that cannot be
    /// written.
    pub fn begin(out: &Path, campaign: &Campaign) -> Result<Findings, String> {
        let fuzz = out.join("fuzz");
        let failed = |error: io::Error| format!("{} cannot be written: {error}", fuzz.display());
        fs::create_dir_all(&fuzz).map_err(failed)?;
        let (base, shard) = (campaign.base, campaign.shard);
        let part = if shard.of == 1 { String::new() } else { format!("-{}of{}", shard.nth, shard.of) };
        for nth in 1..10_000 {
            let again = if nth == 1 { String::new() } else { format!("-{nth}") };
            let dir = fuzz.join(format!("{base:x}{part}{again}"));
            match fs::create_dir(&dir) {
                Ok(()) => {
                    rundir::point_to(&fuzz.join("latest"), &dir);
                    return Ok(Findings { dir, build: Build::this() });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(format!("{} is full of campaigns with base {base:#x}", fuzz.display()))
    }

    /// Where everything lies.
    pub fn place(&self) -> &Path {
        &self.dir
    }

    /// Where the bucket of a kind lies.
    pub fn bucket(&self, kind: &str) -> PathBuf {
        self.dir.join(below(kind))
    }

    /// Notes a run of a kind in the bucket's `seeds.txt`: its index, its seed, its scenario.
    pub fn note(&self, kind: &str, tried: &Tried) -> Result<(), String> {
        let file = self.bucket(kind).join("seeds.txt");
        let line = format!("{} {:#x} {}\n", tried.index, tried.seed, tried.scenario.name);
        let append = || -> io::Result<()> {
            fs::create_dir_all(self.bucket(kind))?;
            OpenOptions::new().create(true).append(true).open(&file)?.write_all(line.as_bytes())
        };
        append().map_err(|error| format!("{} cannot be written: {error}", file.display()))
    }

    /// Writes a file of a bucket, whole or not at all.
    pub fn keep(&self, kind: &str, name: &str, text: &str) -> Result<(), String> {
        whole(&self.bucket(kind).join(name), text)
    }

    /// A run as a file of its own.
    pub fn repro(&self, campaign: &Campaign, best: &Best, kind: &str) -> Scenario {
        let mut scenario = Scenario::clone(&best.scenario);
        scenario.seed = Some(Seed(best.seed));
        scenario.schema = None;
        for bug in campaign.museum.bugs().map(BugName) {
            if !scenario.plant.contains(&bug) {
                scenario.plant.push(bug);
            }
        }
        let Build { trial, binary } = self.build.clone();
        scenario.origin = Some(Origin {
            found_by: Some(format!("trial fuzz --base {}", Seed(campaign.base))),
            seed: Some(Seed(best.seed)),
            index: Some(best.index),
            build: BTreeMap::from([("trial".into(), trial), ("binary".into(), binary)]),
            trace_hash: (!best.digest.is_empty()).then(|| best.digest.clone()),
            bucket: Some(kind.into()),
        });
        scenario
    }
}

/// A scenario as a repro is written.
pub fn text(scenario: &Scenario) -> String {
    written(scenario)
}

/// Writes a file whole or not at all, with the directories above it.
pub fn whole(file: &Path, text: &str) -> Result<(), String> {
    let draft = file.with_extension(format!("{}.part", std::process::id()));
    let write = || -> io::Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut out = fs::File::create(&draft)?;
        out.write_all(text.as_bytes())?;
        // Some file systems say only now that there is no room.
        out.sync_all()?;
        fs::rename(&draft, file)
    };
    write().map_err(|error| {
        // The error that is told is the first one.
        let _ = fs::remove_file(&draft);
        format!("{} cannot be written: {error}", file.display())
    })
}
