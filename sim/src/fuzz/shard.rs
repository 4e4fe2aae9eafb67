//! Which part of a campaign does this machine run?

use std::{fmt, str::FromStr};

/// One of several parts: every run belongs to exactly one of them, whatever their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, counted from one.
    pub nth: u64,
    /// Of how many.
    pub of: u64,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Shard = Shard { nth: 1, of: 1 };

    /// Whether the run at `index` belongs to it.
    pub const fn has(self, index: u64) -> bool {
        index % self.of == self.nth - 1
    }

    /// The indices of this part, in order.
    pub fn index(self, nth: u64) -> u64 {
        nth.saturating_mul(self.of).saturating_add(self.nth - 1)
    }

    /// The part that the machine's own scheduler says this is: GitLab CI's, CircleCI's and Buildkite's
    /// parallel jobs, a Slurm array, a Kubernetes indexed Job with `TRIAL_SHARDS` beside it.
    ///
    /// `read` reads a variable of the environment. Refuses a scheduler that says only half of it.
    pub fn of_environment(read: impl Fn(&str) -> Option<String>) -> Result<Shard, String> {
        // The number's variable, the first number, the count's variable.
        const SCHEDULERS: [(&str, u64, &str); 6] = [
            ("TRIAL_SHARD", 1, "TRIAL_SHARDS"),
            ("CI_NODE_INDEX", 1, "CI_NODE_TOTAL"),
            ("CIRCLE_NODE_INDEX", 0, "CIRCLE_NODE_TOTAL"),
            ("BUILDKITE_PARALLEL_JOB", 0, "BUILDKITE_PARALLEL_JOB_COUNT"),
            ("SLURM_ARRAY_TASK_ID", 0, "SLURM_ARRAY_TASK_COUNT"),
            ("JOB_COMPLETION_INDEX", 0, "TRIAL_SHARDS"),
        ];
        for (name, first, total) in SCHEDULERS {
            let Some(nth) = read(name) else { continue };
            // A Slurm array may begin anywhere.
            let first = read("SLURM_ARRAY_TASK_MIN")
                .filter(|_| name == "SLURM_ARRAY_TASK_ID")
                .map_or(Ok(first), |min| number(&min, "SLURM_ARRAY_TASK_MIN"))?;
            let of = read(total).ok_or_else(|| format!("{name} is set, and {total} is not"))?;
            let (nth, of) = (number(&nth, name)?, number(&of, total)?);
            let nth = nth.checked_sub(first).ok_or_else(|| format!("{name}={nth} is below {first}"))? + 1;
            return Shard::new(nth, of);
        }
        Err("no scheduler says which part this is: write --shard 1/4, or set TRIAL_SHARD and TRIAL_SHARDS"
            .into())
    }

    fn new(nth: u64, of: u64) -> Result<Shard, String> {
        if nth == 0 || nth > of {
            return Err(format!("there is no part {nth} of {of}: parts are counted from 1"));
        }
        Ok(Shard { nth, of })
    }
}

fn number(text: &str, what: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("{what}={text} is not a number"))
}

impl FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> Result<Shard, String> {
        if text == "auto" {
            return Shard::of_environment(|name| std::env::var(name).ok());
        }
        let parts = text.split_once('/').and_then(|(nth, of)| Some((nth.parse().ok()?, of.parse().ok()?)));
        let (nth, of) = parts.ok_or_else(|| format!("`{text}` is not a part: write 1/4, or auto"))?;
        Shard::new(nth, of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.nth, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_belongs_to_exactly_one_part() {
        for of in 1..7 {
            let parts: Vec<Shard> = (1..=of).map(|nth| Shard { nth, of }).collect();
            for index in 0..50 {
                assert_eq!(parts.iter().filter(|part| part.has(index)).count(), 1);
            }
            let mut all: Vec<u64> =
                parts.iter().flat_map(|part| (0..10).map(|nth| part.index(nth))).collect();
            all.sort_unstable();
            assert_eq!(all, (0..10 * of).collect::<Vec<_>>());
            assert!(parts.iter().all(|part| (0..10).all(|nth| part.has(part.index(nth)))));
        }
    }

    #[test]
    fn a_part_is_written_or_taken_from_the_scheduler() {
        assert_eq!("2/4".parse(), Ok(Shard { nth: 2, of: 4 }));
        for text in ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        let env = |pairs: &'static [(&str, &str)]| {
            Shard::of_environment(move |name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string())
            })
        };
        assert_eq!(env(&[("CI_NODE_INDEX", "3"), ("CI_NODE_TOTAL", "4")]), Ok(Shard { nth: 3, of: 4 }));
        assert_eq!(
            env(&[("CIRCLE_NODE_INDEX", "3"), ("CIRCLE_NODE_TOTAL", "4")]),
            Ok(Shard { nth: 4, of: 4 })
        );
        let slurm =
            &[("SLURM_ARRAY_TASK_ID", "10"), ("SLURM_ARRAY_TASK_MIN", "8"), ("SLURM_ARRAY_TASK_COUNT", "4")];
        assert_eq!(env(slurm), Ok(Shard { nth: 3, of: 4 }));
        assert_eq!(env(&[("JOB_COMPLETION_INDEX", "0"), ("TRIAL_SHARDS", "4")]), Ok(Shard { nth: 1, of: 4 }));
        assert!(env(&[("JOB_COMPLETION_INDEX", "0")]).is_err_and(|why| why.contains("TRIAL_SHARDS")));
        assert!(env(&[("CI_NODE_INDEX", "9"), ("CI_NODE_TOTAL", "4")]).is_err());
        assert!(env(&[]).is_err());
    }
}
