//! How are numbers, times and faults written for people?

use crate::scenario::file::{EventPattern, Fault, Trigger};

/// `58204` as `58,204`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 fault`, `3 faults`.
pub fn counted(number: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(number as u64), if number == 1 { "" } else { "s" })
}

/// Nanoseconds as seconds with so many decimals.
pub fn seconds(nanos: u64, decimals: usize) -> String {
    let unit = 10u64.pow(9 - u32::try_from(decimals).unwrap_or(9).min(9));
    let rounded = (nanos + unit / 2) / unit;
    let per_second = 1_000_000_000 / unit;
    match decimals {
        0 => rounded.to_string(),
        _ => format!("{}.{:0decimals$}", rounded / per_second, rounded % per_second),
    }
}

/// Milliseconds as a stopwatch shows them: `0.4s`, `41s`, `10m15s`, `2h05m`.
pub fn clock(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..10 => format!("{seconds}.{}s", millis / 100 % 10),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

/// Milliseconds of simulated time, roughly: `12.3 s`, `16 min`, `5.2 h`, `6.9 days`.
pub fn long(millis: u64) -> String {
    let tenths = |of: u64| format!("{}.{}", millis / of, millis * 10 / of % 10);
    match millis / 1_000 {
        0..120 => format!("{} s", tenths(1_000)),
        120..7_200 => format!("{} min", millis / 60_000),
        7_200..172_800 => format!("{} h", tenths(3_600_000)),
        _ => format!("{} days", tenths(86_400_000)),
    }
}

/// A curve in one line of blocks; neighbours are taken together if there are more values than columns.
pub fn sparkline(values: &[u64], columns: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let together = values.len().div_ceil(columns.max(1)).max(1);
    let means: Vec<u64> =
        values.chunks(together).map(|chunk| chunk.iter().sum::<u64>() / chunk.len() as u64).collect();
    let top = means.iter().copied().max().unwrap_or(0).max(1);
    let block = |value: &u64| BLOCKS[usize::try_from((value * 7).div_ceil(top)).unwrap_or(7).min(7)];
    means.iter().map(block).collect()
}

/// `text` in at most `columns` columns.
pub fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.into();
    }
    let mut out: String = text.chars().take(columns.saturating_sub(1)).collect();
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// `text` in lines of at most `columns` columns, broken at spaces; at most `lines` of them.
pub fn wrapped(text: &str, columns: usize, lines: usize) -> Vec<String> {
    let mut out: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = out.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= columns {
            last.push(' ');
            last.push_str(word);
        } else {
            out.push(word.into());
        }
    }
    if out.len() > lines {
        let rest = out.split_off(lines - 1).join(" ");
        out.push(rest);
    }
    out.iter().map(|line| shortened(line, columns)).collect()
}

/// When a fault begins, as its scenario says: `8ms after isr.expand orders-0`.
pub fn trigger(fault: &Fault) -> String {
    let delay = fault.when.delay.map(|delay| format!("{delay} ")).unwrap_or_default();
    match fault.when.trigger() {
        Some(Trigger::At(_)) => {
            let at = fault.when.at.unwrap_or_default();
            let delay = fault.when.delay.map(|delay| format!(" and {delay}")).unwrap_or_default();
            format!("at {at}{delay}")
        }
        Some(Trigger::Event(event)) => {
            format!("{delay}{} {}", if delay.is_empty() { "at" } else { "after" }, pattern(event))
        }
        Some(Trigger::Step(id)) => format!("{delay}{} {id}", if delay.is_empty() { "with" } else { "after" }),
        None => "never".into(),
    }
}

fn pattern(event: &EventPattern) -> String {
    let mut text = match (event.nth, event.every) {
        (Some(1), _) => format!("first {}", event.kind),
        (Some(nth), _) => format!("{} {}", ordinal(nth), event.kind),
        (None, Some(every)) if every > 1 => format!("every {} {}", ordinal(every), event.kind),
        _ => event.kind.to_string(),
    };
    if let Some(partition) = &event.partition {
        text.push_str(&format!(" {partition}"));
    }
    if let Some(node) = &event.node {
        text.push_str(&format!(" of {node}"));
    }
    if let Some(after) = &event.after {
        text.push_str(&format!(" (after {after})"));
    }
    text
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{}{ending}", grouped(u64::from(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded() {
        assert_eq!(
            (grouped(7), grouped(58_204), grouped(1_000_000)),
            ("7".into(), "58,204".into(), "1,000,000".into())
        );
        assert_eq!(seconds(16_449_000_000, 1), "16.4");
        assert_eq!(seconds(999_999_999, 2), "1.00");
        assert_eq!(ordinal(1_000), "1,000th");
        assert_eq!((ordinal(2), ordinal(12), ordinal(23)), ("2nd".into(), "12th".into(), "23rd".into()));
    }

    #[test]
    fn lengths_of_time_are_for_people() {
        assert_eq!(
            [420, 41_000, 615_000, 7_500_000].map(clock),
            ["0.4s", "41s", "10m15s", "2h05m"].map(String::from)
        );
        assert_eq!(
            [12_345, 960_000, 18_720_000, 600_000_000].map(long),
            ["12.3 s", "16 min", "5.2 h", "6.9 days"].map(String::from)
        );
    }

    #[test]
    fn a_curve_keeps_its_shape() {
        assert_eq!(sparkline(&[0, 5, 10], 10), "▁▅█");
        assert_eq!(sparkline(&[10, 10, 0, 0], 2), "█▁");
        assert_eq!(sparkline(&[], 10), "");
    }

    #[test]
    fn text_is_broken_at_spaces_and_never_too_wide() {
        assert_eq!(wrapped("one two three four", 9, 2), ["one two", "three fo…"]);
        assert!(wrapped(&"x".repeat(300), 88, 2).iter().all(|line| line.chars().count() <= 88));
    }
}
