//! Where do two runs part?

use std::{
    io::{self, BufRead, BufReader, Cursor, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use crate::{
    report::words::{grouped, seconds, shortened},
    trace::{JsonLines, Reader},
};

/// The first event at which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parted {
    /// How many events were the same before.
    pub nth: u64,
    /// What the first run has there; nothing if it is over.
    pub first: Option<String>,
    /// What the second has.
    pub second: Option<String>,
}

/// Reads a run's events along and holds them against those of another.
pub struct Against<R> {
    lines: R,
    partial: Vec<u8>,
    nth: u64,
    parted: Option<Parted>,
    broken: Option<io::Error>,
}

/// What came of a comparison, once the run is over.
pub struct Verdict<R>(Arc<Mutex<Against<R>>>);

struct Shared<R>(Arc<Mutex<Against<R>>>);

/// A reader that holds a run against the recorded `lines`, one event each.
pub fn against<R: BufRead + Send + 'static>(lines: R) -> (Box<dyn Reader>, Verdict<R>) {
    let shared =
        Arc::new(Mutex::new(Against { lines, partial: Vec::new(), nth: 0, parted: None, broken: None }));
    (Box::new(JsonLines::new(Shared(shared.clone()))), Verdict(shared))
}

impl<R: BufRead> Write for Shared<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: BufRead> Against<R> {
    fn take(&mut self, bytes: &[u8]) {
        if self.parted.is_some() || self.broken.is_some() {
            return;
        }
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            match self.next() {
                Ok(Some(recorded)) if recorded == line => self.nth += 1,
                Ok(recorded) => {
                    self.parted = Some(Parted { nth: self.nth, first: recorded, second: Some(line) });
                    return;
                }
                Err(error) => {
                    self.broken = Some(error);
                    return;
                }
            }
        }
    }

    fn next(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        match self.lines.read_line(&mut line)? {
            0 => Ok(None),
            _ => Ok(Some(line.trim_end_matches('\n').to_string())),
        }
    }
}

impl<R: BufRead> Verdict<R> {
    /// Where the runs part, if they do. Refuses a recording that cannot be read to its end.
    pub fn parted(self) -> io::Result<Option<Parted>> {
        let mut it = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = it.broken.take() {
            return Err(error);
        }
        if it.parted.is_some() {
            return Ok(it.parted.take());
        }
        let rest = it.next()?;
        Ok(rest.map(|line| Parted { nth: it.nth, first: Some(line), second: None }))
    }
}

/// A run's events kept in memory, packed.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// A reader that keeps a run.
    pub fn reader(&self) -> io::Result<Box<dyn Reader>> {
        Ok(Box::new(JsonLines::new(zstd::Encoder::new(self.clone(), 1)?.auto_finish())))
    }

    /// What was kept, as lines.
    pub fn lines(&self) -> io::Result<impl BufRead + Send + use<>> {
        let packed = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(BufReader::new(zstd::Decoder::new(Cursor::new(packed))?))
    }
}

impl Parted {
    /// When it happened, in seconds of the run.
    pub fn at(&self) -> String {
        let time =
            [&self.second, &self.first].into_iter().flatten().find_map(|line| field(line, "t")?.as_u64());
        time.map_or_else(|| "the end".into(), |nanos| format!("{} s", seconds(nanos, 3)))
    }

    /// In four lines, as `check-determinism` shows it: where, what either run has, and what it looks like.
    pub fn show(&self, names: (&str, &str)) -> String {
        let width = names.0.len().max(names.1.len());
        let line = |name: &str, what: &Option<String>| {
            let text = what.as_deref().map_or_else(|| "(nothing: the run is over)".into(), event);
            format!("     {name:<width$}  {}\n", shortened(&text, 90))
        };
        format!(
            "     parts at event #{} ({})\n{}{}     likely  {}\n",
            grouped(self.nth),
            self.at(),
            line(names.0, &self.first),
            line(names.1, &self.second),
            self.guess()
        )
    }

    /// What kind of leak it looks like.
    fn guess(&self) -> &'static str {
        let (Some(first), Some(second)) = (&self.first, &self.second) else {
            return "a thread, a timeout or an early end outside the simulation: one run is longer";
        };
        let without_time = |line: &str| -> Option<Value> {
            let mut value: Value = serde_json::from_str(line).ok()?;
            value.as_object_mut()?.remove("t");
            Some(value)
        };
        let sorted = |line: &str| {
            let mut letters: Vec<char> = line.chars().collect();
            letters.sort_unstable();
            letters
        };
        if without_time(first).is_some() && without_time(first) == without_time(second) {
            "a real clock: only the time differs"
        } else if sorted(first) == sorted(second) {
            "iteration over a HashMap or HashSet: same elements, other order"
        } else {
            "randomness from outside the seed, or something left over from an earlier run"
        }
    }
}

fn field(line: &str, key: &str) -> Option<Value> {
    serde_json::from_str::<Value>(line).ok()?.get(key).cloned()
}

/// A line of a trace as a person reads it.
fn event(line: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(line) else { return line.into() };
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("?").to_string();
    let data = value.get("d").map(Value::to_string).unwrap_or_default();
    format!("{}  {}  {data}", text("n"), text("k"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(recorded: &str, now: &str) -> Option<Parted> {
        let lines = Cursor::new(recorded.to_string());
        let shared =
            Arc::new(Mutex::new(Against { lines, partial: Vec::new(), nth: 0, parted: None, broken: None }));
        let mut sink = Shared(shared.clone());
        // In small pieces, as a writer may hand them over.
        for piece in now.as_bytes().chunks(3) {
            sink.write_all(piece).expect("memory");
        }
        Verdict(shared).parted().expect("memory")
    }

    #[test]
    fn runs_part_at_the_first_line_that_differs() {
        assert_eq!(parted("a\nb\n", "a\nb\n"), None);
        let at = |nth, first: Option<&str>, second: Option<&str>| {
            Some(Parted { nth, first: first.map(Into::into), second: second.map(Into::into) })
        };
        assert_eq!(parted("a\nb\nc\n", "a\nx\nc\n"), at(1, Some("b"), Some("x")));
        assert_eq!(parted("a\nb\n", "a\n"), at(1, Some("b"), None));
        assert_eq!(parted("a\n", "a\nb\n"), at(1, None, Some("b")));
    }

    #[test]
    fn a_difference_has_a_likely_cause() {
        let guess = |first: &str, second: &str| {
            Parted { nth: 0, first: Some(first.into()), second: Some(second.into()) }.guess()
        };
        assert!(guess(r#"{"t":1,"k":"x"}"#, r#"{"t":2,"k":"x"}"#).contains("clock"));
        assert!(guess(r#"{"t":1,"d":["a","b"]}"#, r#"{"t":1,"d":["b","a"]}"#).contains("HashMap"));
        assert!(guess(r#"{"t":1,"d":7}"#, r#"{"t":1,"d":9}"#).contains("randomness"));
    }
}
