//! What is said when a promise is broken?

use std::fmt;

use trial_model::{
    event::Names,
    time::Instant,
    units::{NodeId, TopicPartition},
};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise, by its check's name.
    pub check: &'static str,
    /// When it was noticed.
    pub at: Instant,
    /// Of which partition it is about, if it is about one.
    pub partition: Option<TopicPartition>,
    /// What happened, in a line that may stand as an issue's title.
    pub headline: String,
    /// Up to four lines that are particular to the check: a label and what it says.
    pub lines: Vec<(&'static str, String)>,
}

/// Where checks put what they find: the first few of each, and how many there were.
pub struct Found {
    names: Box<dyn Names>,
    keep: usize,
    at: Instant,
    violations: Vec<Violation>,
    counts: Vec<(&'static str, u64)>,
    aside: Option<NodeId>,
    asides: Vec<(NodeId, usize, Violation)>,
}

impl Found {
    pub(super) fn new(names: Box<dyn Names>, keep: usize) -> Found {
        Found {
            names,
            keep: if keep == 0 { 4 } else { keep },
            at: Instant::ZERO,
            violations: Vec::new(),
            counts: Vec::new(),
            aside: None,
            asides: Vec::new(),
        }
    }

    pub(super) fn now(&mut self, at: Instant) {
        self.at = at;
        self.aside = None;
    }

    /// What follows was seen at a node's step, before the canonical order of this instant is known.
    pub(super) fn aside(&mut self, at: Instant, node: NodeId) {
        self.at = at;
        self.aside = Some(node);
    }

    /// The instant is over: what was seen at steps goes in by node.
    pub(super) fn settle_aside(&mut self) {
        if self.asides.is_empty() {
            return;
        }
        let mut asides = std::mem::take(&mut self.asides);
        asides.sort_by_key(|(node, nth, _)| (*node, *nth));
        for (_, _, violation) in asides {
            if self.count(violation.check) {
                self.violations.push(violation);
            }
        }
    }

    /// Counts one more of a check; says whether it is to be kept.
    fn count(&mut self, check: &'static str) -> bool {
        let count = match self.counts.iter_mut().find(|(name, _)| *name == check) {
            Some((_, count)) => count,
            None => {
                self.counts.push((check, 0));
                &mut self.counts.last_mut().expect("just pushed").1
            }
        };
        *count += 1;
        *count <= self.keep as u64
    }

    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(super) fn counts(&self) -> &[(&'static str, u64)] {
        &self.counts
    }

    /// Reports a violation; after the first few of a check, only counts it.
    ///
    /// `tell` is called only if the violation is kept.
    pub fn report(
        &mut self,
        check: &'static str,
        partition: Option<TopicPartition>,
        tell: impl FnOnce(&dyn Names) -> (String, Vec<(&'static str, String)>),
    ) {
        if let Some(node) = self.aside {
            if self.asides.len() < 1_024 {
                let (headline, lines) = tell(self.names.as_ref());
                let violation = Violation { check, at: self.at, partition, headline, lines };
                self.asides.push((node, self.asides.len(), violation));
            }
        } else if self.count(check) {
            let (headline, lines) = tell(self.names.as_ref());
            self.violations.push(Violation { check, at: self.at, partition, headline, lines });
        }
    }
}

/// A node or a partition by its name.
pub struct Name<'a, T>(pub &'a dyn Names, pub T);

impl fmt::Display for Name<'_, TopicPartition> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.partition(self.1, f)
    }
}

impl fmt::Display for Name<'_, NodeId> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.node(self.1, f)
    }
}

impl fmt::Display for Name<'_, Option<NodeId>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(node) => self.0.node(node, f),
            None => f.write_str("nobody"),
        }
    }
}
