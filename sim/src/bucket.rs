//! Which failures are of one kind?

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{
    check::{CATALOGUE, Violation},
    names::RunNames,
    run::Run,
};

/// A kind of failure: which promise was broken, and how that was put once names, numbers, times and values
/// are taken out.
///
/// The same failure on another partition, node or client, in another epoch or at another offset is of the
/// same kind. Written `acked_records_are_readable/3f7a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    check: &'static str,
    shape: u16,
}

impl Signature {
    /// The kind of a run's first violation; `None` if it has none.
    pub fn of(run: &Run) -> Option<Signature> {
        run.violations.first().map(|violation| Signature::of_violation(violation, &run.names))
    }

    /// The kind of one violation of a run whose nodes and topics have these names.
    pub fn of_violation(violation: &Violation, names: &RunNames) -> Signature {
        let hash = blake3::hash(shape(violation, names).as_bytes());
        let shape = u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
        Signature { check: violation.check, shape }
    }

    /// The name of the check that was violated.
    pub const fn check(self) -> &'static str {
        self.check
    }

    /// As a file or a directory may be called: `acked_records_are_readable-3f7a`.
    pub fn file_name(self) -> String {
        format!("{}-{:04x}", self.check, self.shape)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:04x}", self.check, self.shape)
    }
}

impl FromStr for Signature {
    type Err = String;
    fn from_str(text: &str) -> Result<Signature, String> {
        let wrong = || format!("`{text}` is no kind of failure: write CHECK/3f7a");
        let (check, shape) = text.split_once('/').ok_or_else(wrong)?;
        let check = CATALOGUE.iter().find(|info| info.name == check);
        let check = check.ok_or_else(|| format!("`{text}` names no check: see `trial list properties`"))?;
        let hex = shape.len() == 4 && shape.bytes().all(|byte| byte.is_ascii_hexdigit());
        let shape = u16::from_str_radix(shape, 16).ok().filter(|_| hex).ok_or_else(wrong)?;
        Ok(Signature { check: check.name, shape })
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Signature, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// The words of the headline, and which lines stand below it.
///
/// What the lines say is left out: they tell of the circumstances (who happened to lead, whether anybody told
/// of the loss), which differ from run to run of one bug. Where the code panicked is no circumstance.
fn shape(violation: &Violation, names: &RunNames) -> String {
    let names = names.all();
    let mut shape = words(&violation.headline, &names).join(" ");
    // A line for every replica, or a note that more follows from it: how many there are says nothing.
    let labels: BTreeSet<&str> =
        violation.lines.iter().map(|(label, _)| *label).filter(|label| *label != "after it").collect();
    for label in labels {
        shape.push('\n');
        shape.push_str(label);
    }
    if let Some((_, place)) = violation.lines.iter().find(|(label, _)| *label == "where") {
        // Without line and column: they move with every edit.
        shape.push('\n');
        shape.push_str(place.split(':').next().unwrap_or_default());
    }
    shape
}

/// The words of a text, each once, without names and whatever has a digit.
fn words<'a>(text: &'a str, names: &BTreeSet<&str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let outer = |c: char| !(c.is_alphanumeric() || "_-./".contains(c));
    let tokens = text.split(outer).map(|token| token.trim_matches(|c| "-./".contains(c)));
    let unnamed = tokens.filter(|token| !named(token, names));
    let words = unnamed.flat_map(|token| token.split(['-', '.', '/']));
    let plain = words.filter(|word| !word.is_empty() && !word.contains(|c: char| c.is_numeric()));
    plain.filter(|word| seen.insert(*word)).collect()
}

/// Whether this is a node, a topic, a partition or a value of a client: `broker-2`, `orders-0`, `p1/001226`.
fn named(token: &str, names: &BTreeSet<&str>) -> bool {
    let numbered = |(name, rest): (&str, &str)| {
        names.contains(name) && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/')
    };
    names.contains(token)
        || token.rsplit_once('-').is_some_and(numbered)
        || token.split_once('/').is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use trial_model::{
        event::Event,
        protocol::TopicName,
        time::Instant,
        units::{NodeId, Offset, TopicId},
    };

    use super::*;

    fn names(client: &str, topic: &str) -> RunNames {
        let mut names = RunNames::default();
        names.call(NodeId::client(1), client);
        let name = TopicName::from(topic);
        names.learn(&Event::TopicCreated { topic: TopicId(7), name, at: Offset(1), active: true });
        names
    }

    fn violation(headline: &str, lines: &[(&'static str, &str)]) -> Violation {
        let lines = lines.iter().map(|(label, text)| (*label, (*text).to_string())).collect();
        let check = "replicas_agree";
        Violation { check, at: Instant::ZERO, partition: None, headline: headline.into(), lines }
    }

    fn kind(headline: &str, lines: &[(&'static str, &str)]) -> Signature {
        Signature::of_violation(&violation(headline, lines), &names("writer", "orders"))
    }

    #[test]
    fn names_and_numbers_do_not_make_another_kind() {
        let one = kind("broker-1 leads orders-0 without @12..15 of the committed ones", &[]);
        let another = kind("broker-3 leads orders-2 without @7..8 of the committed ones", &[]);
        assert_eq!(one, another);
        let elsewhere = violation("broker-2 leads clicks-1 without @1..2 of the committed ones", &[]);
        assert_eq!(one, Signature::of_violation(&elsewhere, &names("p", "clicks")));
    }

    #[test]
    fn values_and_clients_do_not_make_another_kind() {
        let one = kind("writer/000017 is in orders-0 twice", &[]);
        assert_eq!(one, kind("writer/000202 is in orders-1 twice", &[]));
        assert_eq!(kind("writer has not come back", &[]), kind("has not come back", &[]));
    }

    #[test]
    fn how_many_things_are_listed_does_not_make_another_kind() {
        let one = kind("brokers are behind: broker-1 at 3", &[("late", "a"), ("since", "1s")]);
        let two = kind(
            "brokers are behind: broker-1 at 3, broker-2 at 4",
            &[("late", "b"), ("late", "c"), ("since", "2s")],
        );
        assert_eq!(one, two);
    }

    #[test]
    fn what_follows_from_it_does_not_make_another_kind() {
        assert_eq!(kind("it stands", &[]), kind("it stands", &[("after it", "isr_is_full")]));
    }

    #[test]
    fn other_words_make_another_kind() {
        let one =
            kind("the epoch cache of orders-0 on broker-1 is wrong: epoch 3 starts at 4, not at 5", &[]);
        let other = kind(
            "the epoch cache of orders-0 on broker-1 is wrong: epoch 3 starts at 4, and it does not know",
            &[],
        );
        assert_ne!(one, other);
        assert_ne!(kind("it stands", &[]), kind("it stands", &[("since", "")]));
    }

    #[test]
    fn a_panic_elsewhere_is_of_another_kind_but_not_one_line_further_down() {
        let panic = |place| kind("a node panicked: no leader", &[("panic", ""), ("where", place)]);
        assert_eq!(panic("model/src/broker/isr.rs:12:3"), panic("model/src/broker/isr.rs:13:9"));
        assert_ne!(panic("model/src/broker/isr.rs:12:3"), panic("model/src/broker/fetch.rs:12:3"));
    }

    #[test]
    fn a_kind_is_written_and_read() {
        let kind = kind("broker-1 leads", &[]);
        let text = serde_json::to_string(&kind).expect("is text");
        assert_eq!(serde_json::from_str::<Signature>(&text).expect("is one"), kind);
        assert!(kind.to_string().starts_with("replicas_agree/") && kind.to_string().len() == 19, "{kind}");
        for text in ["", "replicas_agree", "replicas_agree/3f7", "no_such/3f7a", "replicas_agree/+f7a"] {
            assert!(text.parse::<Signature>().is_err(), "{text}");
        }
    }
}
