//! What does a run leave behind? A directory that can be zipped and mailed, whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::{
    report::{
        Summary,
        summary::{Build, FORMAT, TraceFile},
    },
    scenario::{Scenario, values::Seed},
    trace::{self, JsonLines},
};

/// A run's directory while it is written: under another name, and gone if it is never finished.
pub struct Draft {
    out: PathBuf,
    dir: PathBuf,
    id: String,
    kept: bool,
}

impl Draft {
    /// Begins the directory of a run below `out`.
    pub fn begin(out: &Path, scenario: &Scenario, seed: Seed) -> Result<Draft, String> {
        let runs = out.join("runs");
        let name = scenario.name.replace('/', "-");
        let id = format!(
            "{}-{name}-{:08x}",
            timestamp(),
            seed.0 >> if seed.0 > u64::from(u32::MAX) { 32 } else { 0 }
        );
        let dir = runs.join(format!(".{id}.{}", std::process::id()));
        fs::create_dir_all(&dir).map_err(|error| format!("{} cannot be written: {error}", runs.display()))?;
        Ok(Draft { out: out.into(), dir, id, kept: false })
    }

    /// Begins the trace: a reader to run with, and what to ask for afterwards.
    pub fn trace(
        &self,
        scenario: &Scenario,
        seed: Seed,
    ) -> Result<(Box<dyn crate::trace::Reader>, Trace), String> {
        let path = self.dir.join("trace.jsonl.zst");
        let failed = |error: io::Error| format!("{} cannot be written: {error}", path.display());
        let outcome: Trace = Trace::default();
        let told = outcome.clone();
        let mut encoder =
            zstd::Encoder::new(BufWriter::new(File::create(&path).map_err(failed)?), 3).map_err(failed)?;
        writeln!(encoder, "{}", header(scenario, seed)).map_err(failed)?;
        let encoder = encoder.on_finish(move |finished| {
            let flushed = finished.and_then(|mut file: BufWriter<File>| file.flush());
            *told.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(flushed);
        });
        Ok((Box::new(JsonLines::new(encoder)), outcome))
    }

    /// Writes everything else and gives the directory its name; `latest` points to it from now on.
    pub fn finish(
        mut self,
        scenario: &Scenario,
        summary: &mut Summary,
        report: impl FnOnce(&Summary, &str) -> String,
        trace: Option<Trace>,
    ) -> Result<PathBuf, String> {
        let trace_path = self.dir.join("trace.jsonl.zst");
        if let Some(trace) = trace {
            trace.check().map_err(|error| format!("{} cannot be written: {error}", trace_path.display()))?;
            summary.trace = Some(measure(&trace_path)?);
        }
        let place = self.out.join("runs").join(&self.id);
        let place =
            (1..1_000)
                .map(|nth| {
                    if nth == 1 { place.clone() } else { place.with_file_name(format!("{}-{nth}", self.id)) }
                })
                .find(|place| !place.exists())
                .ok_or_else(|| format!("{} is there a thousand times", place.display()))?;
        let mut exact = scenario.clone();
        exact.seed = Some(summary.seed);
        exact.schema = None;
        self.write("scenario.json", &pretty(&exact)?)?;
        self.write("result.json", &pretty(summary)?)?;
        self.write("report.txt", &report(summary, &place.display().to_string()))?;
        fs::rename(&self.dir, &place)
            .map_err(|error| format!("{} cannot be written: {error}", place.display()))?;
        self.kept = true;
        point_to(&self.out.join("latest"), &place);
        Ok(place)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Half of a run is of no use to anybody; if it cannot be removed, its name still says so.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Whether the trace could be written to its end.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Option<io::Result<()>>>>);

impl Trace {
    fn check(&self) -> io::Result<()> {
        let outcome = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        outcome.unwrap_or_else(|| Err(io::Error::other("it was never finished")))
    }
}

fn header(scenario: &Scenario, seed: Seed) -> serde_json::Value {
    let mut header = trace::header(scenario, "nanoseconds");
    header["seed"] = json!(seed);
    header
}

fn measure(path: &Path) -> Result<TraceFile, String> {
    let failed = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(TraceFile { bytes, hash: hasher.finalize().to_hex().to_string() });
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

fn pretty(value: &impl serde::Serialize) -> Result<String, String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// Points a link to a directory, in one step; where there are no links, there is no `latest`.
pub fn point_to(link: &Path, place: &Path) {
    #[cfg(unix)]
    {
        let above = link.parent().unwrap_or(Path::new(""));
        let Ok(relative) = place.strip_prefix(above) else { return };
        let fresh = link.with_file_name(format!(".latest.{}", std::process::id()));
        // The run stands where it stands, linked or not.
        if std::os::unix::fs::symlink(relative, &fresh).is_ok() && fs::rename(&fresh, link).is_err() {
            let _ = fs::remove_file(&fresh);
        }
    }
    #[cfg(not(unix))]
    {
        let _ = (link, place);
    }
}

/// `20261120-101502`, in UTC.
fn timestamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (since / 86_400, since % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", second / 3_600, second / 60 % 60, second % 60)
}

/// The date so many days after 1970-01-01: years are counted from a first of March, so that the leap day is
/// their last.
pub fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// A run that was left behind.
pub struct Left {
    /// Where it lies.
    pub dir: PathBuf,
    /// What came of it.
    pub summary: Summary,
}

/// Why a run directory cannot be used.
pub enum Unreadable {
    /// It is damaged, or none.
    Damaged(String),
    /// It was written by a trial of another format.
    OtherFormat(String),
}

/// Reads what a run left behind. Refuses one that is damaged, or of another format.
pub fn read(dir: &Path) -> Result<Left, Unreadable> {
    let path = dir.join("result.json");
    if !path.exists() && crate::recording::is_one(dir) {
        let dir = dir.display();
        let why =
            format!("{dir} was recorded in real time and cannot be run again: `trial check {dir}` judges it");
        return Err(Unreadable::Damaged(why));
    }
    let damaged = |why: String| Unreadable::Damaged(format!("{} is damaged: {why}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| {
        Unreadable::Damaged(format!(
            "{} is not a run: {} cannot be read: {error}",
            dir.display(),
            path.display()
        ))
    })?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            let why = format!("{} is of format {format}; this trial reads format {FORMAT}", path.display());
            return Err(Unreadable::OtherFormat(why));
        }
        None => return Err(damaged("it does not say its format".into())),
    }
    let summary: Summary = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    if let Some(expected) = &summary.trace {
        let trace = dir.join("trace.jsonl.zst");
        let found = measure(&trace).map_err(Unreadable::Damaged)?;
        if found != *expected {
            let why = format!(
                "{} is damaged: it has {} bytes and another hash than when it was written ({} bytes)",
                trace.display(),
                found.bytes,
                expected.bytes
            );
            return Err(Unreadable::Damaged(why));
        }
    }
    Ok(Left { dir: dir.into(), summary })
}

impl Left {
    /// Whether the run was made by this program.
    pub fn same_build(&self) -> bool {
        self.summary.build == Build::this()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_date() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!(date(20_777), (2026, 11, 20));
    }
}
