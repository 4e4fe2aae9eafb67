//! What may stand in a scenario's strings: lengths of time, rates, sizes, chances, seeds and names?
//!
//! Every value is written with its unit and read exactly; nothing here is a float once it is read.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
pub use trial_model::units::Ratio;
use trial_model::{
    event::EventKind,
    museum::Bug,
    protocol::ApiKey,
    units::{NodeId, NodeRole},
};

/// A value written as a string: `FromStr` reads it, `Display` writes it.
macro_rules! in_a_string {
    ($name:ident, $pattern:literal, $about:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($about)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$name, E> {
                        Err(E::custom(bare_number::<$name>(&number.to_string())))
                    }
                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
                        Err(E::custom(bare_number::<$name>(&number.to_string())))
                    }
                    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<$name, E> {
                        Err(E::custom(bare_number::<$name>(&number.to_string())))
                    }
                }
                d.deserialize_any(Text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $about })
            }
        }
    };
}

/// Why a bare number does not do where a string is wanted: it lacks its unit, or its quotes.
fn bare_number<T: FromStr<Err = String>>(number: &str) -> String {
    match number.parse::<T>() {
        Err(why) => why,
        Ok(_) => format!("this is written in quotes: \"{number}\""),
    }
}

/// Reads `12.5` as 12,500,000 billionths; refuses signs, exponents and more than nine decimals.
fn decimal(text: &str) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(rest) || rest.len() > 9 || text.ends_with('.') {
        return None;
    }
    let fraction: u64 = format!("{rest:0<9}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// Splits `12.5ms` into its number and its unit.
fn number_and_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

/// A length of time, on the grid of one microsecond: `500us`, `20ms`, `1.5s`, `2m`, `1h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// So many milliseconds.
    pub const fn millis(millis: u64) -> Span {
        Span(Duration::from_millis(millis))
    }

    /// So many microseconds.
    pub const fn micros(micros: u64) -> Span {
        Span(Duration::from_micros(micros))
    }

    /// In nanoseconds, as the simulation counts.
    pub fn nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Span, String> {
        let (number, unit) = number_and_unit(text);
        let Some(billionths) = decimal(number) else {
            return Err(format!(
                "`{text}` is not a length of time: write a number and its unit, such as \"20ms\""
            ));
        };
        let micros_per_unit: u128 = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "" => {
                return Err(format!("`{text}` has no unit: write \"{text}ms\" or \"{text}s\""));
            }
            "ns" => {
                return Err(format!(
                    "`{text}` is too fine: time passes in whole microseconds, such as \"1us\""
                ));
            }
            _ => return Err(format!("`{unit}` is not a unit of time: us, ms, s, m and h are")),
        };
        let total = u128::from(billionths) * micros_per_unit;
        if !total.is_multiple_of(1_000_000_000) {
            return Err(format!("`{text}` is too fine: time passes in whole microseconds"));
        }
        match u64::try_from(total / 1_000_000_000) {
            Ok(micros) if micros <= 10 * 365 * 86_400 * 1_000_000 => Ok(Span::micros(micros)),
            _ => Err(format!("`{text}` is too long: ten years are enough for everybody")),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)] {
            if micros.is_multiple_of(size) {
                return write!(f, "{}{unit}", micros / size);
            }
        }
        // Not a whole number of anything larger: as seconds if it is long, else as it is.
        match micros {
            1_000_000.. => write!(
                f,
                "{}s",
                format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).trim_end_matches('0')
            ),
            1_000.. => {
                write!(f, "{}ms", format!("{}.{:03}", micros / 1_000, micros % 1_000).trim_end_matches('0'))
            }
            _ => write!(f, "{micros}us"),
        }
    }
}

in_a_string!(
    Span,
    r"^[0-9]+(\.[0-9]+)?(us|ms|s|m|h)$",
    "a length of time with its unit: \"500us\", \"20ms\", \"1.5s\", \"2m\""
);

/// How far a clock is put forward, or back: `30s`, `-30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shift {
    /// Whether it is put back.
    pub back: bool,
    /// How far.
    pub by: Span,
}

impl Shift {
    /// In nanoseconds, negative if back.
    pub fn nanos(self) -> i64 {
        let nanos = i64::try_from(self.by.nanos()).unwrap_or(i64::MAX);
        if self.back { -nanos } else { nanos }
    }
}

impl FromStr for Shift {
    type Err = String;
    fn from_str(text: &str) -> Result<Shift, String> {
        let (back, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        Ok(Shift { back, by: rest.parse()? })
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.back { "-" } else { "" }, self.by)
    }
}

in_a_string!(
    Shift,
    r"^[-+]?[0-9]+(\.[0-9]+)?(us|ms|s|m|h)$",
    "how far to put a clock, back with a minus: \"30s\", \"-30s\""
);

/// How often: `400/s`, `0.5/s`, `30/m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    billionths: u64,
    per: Span,
}

impl Rate {
    /// How long from one to the next, rounded down to a microsecond and never less than one.
    pub fn interval(self) -> Duration {
        let nanos = u128::from(self.per.nanos()) * 1_000_000_000 / u128::from(self.billionths.max(1));
        Duration::from_micros(u64::try_from((nanos / 1_000).max(1)).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || format!("`{text}` is not a rate: write how many and per what, such as \"400/s\"");
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let billionths = decimal(count).ok_or_else(wrong)?;
        let per = match per {
            "s" => Span::millis(1_000),
            "m" => Span::millis(60_000),
            "h" => Span::millis(3_600_000),
            _ => return Err(format!("`{text}` is not a rate: a rate is per s, m or h")),
        };
        if billionths == 0 {
            return Err("a rate of nothing: leave the actor out instead".into());
        }
        if billionths / 1_000_000_000 > 1_000_000 {
            return Err(format!("`{text}` is too often: at most once a microsecond, \"1000000/s\""));
        }
        Ok(Rate { billionths, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(f, self.billionths)?;
        f.write_str(match self.per.0.as_secs() {
            1 => "/s",
            60 => "/m",
            _ => "/h",
        })
    }
}

in_a_string!(Rate, r"^[0-9]+(\.[0-9]+)?/(s|m|h)$", "how often: \"400/s\"");

fn write_decimal(f: &mut fmt::Formatter<'_>, billionths: u64) -> fmt::Result {
    let (whole, rest) = (billionths / 1_000_000_000, billionths % 1_000_000_000);
    match rest {
        0 => write!(f, "{whole}"),
        _ => write!(f, "{whole}.{}", format!("{rest:09}").trim_end_matches('0')),
    }
}

/// How many bytes: `512B`, `1KiB`, `64MiB`, `10MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Size, String> {
        let (number, unit) = number_and_unit(text);
        let Some(billionths) = decimal(number) else {
            return Err(format!("`{text}` is not a size: write a number and its unit, such as \"1KiB\""));
        };
        let bytes: u128 = match unit {
            "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "" => return Err(format!("`{text}` has no unit: write \"{text}B\" or \"{text}KiB\"")),
            _ => return Err(format!("`{unit}` is not a unit of size: B, KiB, MiB, GiB, kB, MB and GB are")),
        };
        let total = u128::from(billionths) * bytes;
        if !total.is_multiple_of(1_000_000_000) {
            return Err(format!("`{text}` is not a whole number of bytes"));
        }
        u64::try_from(total / 1_000_000_000).map(Size).map_err(|_| format!("`{text}` is too large"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, size) in [
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
            ("GB", 1_000_000_000),
            ("MB", 1_000_000),
            ("kB", 1_000),
        ] {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}B", self.0)
    }
}

in_a_string!(
    Size,
    r"^[0-9]+(\.[0-9]+)?(B|kB|KB|MB|GB|KiB|MiB|GiB)$",
    "how many bytes: \"512B\", \"1KiB\", \"10MB\""
);

/// How many bytes a second: `10MB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(pub u64);

impl FromStr for Bandwidth {
    type Err = String;
    fn from_str(text: &str) -> Result<Bandwidth, String> {
        let size = text.strip_suffix("/s").ok_or_else(|| {
            format!("`{text}` is not a bandwidth: write bytes per second, such as \"10MB/s\"")
        })?;
        match size.parse::<Size>()? {
            Size(0) => Err("nothing would ever get through: use `cut`".into()),
            Size(bytes) => Ok(Bandwidth(bytes)),
        }
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Size(self.0))
    }
}

in_a_string!(Bandwidth, r"^[0-9]+(\.[0-9]+)?(B|kB|KB|MB|GB|KiB|MiB|GiB)/s$", "bytes per second: \"10MB/s\"");

/// A 64-bit seed, in a string since JSON numbers lose digits above 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl FromStr for Seed {
    type Err = String;
    fn from_str(text: &str) -> Result<Seed, String> {
        match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        }
        .map(Seed)
        .ok_or_else(|| format!("`{text}` is not a seed: write \"0x9c1f2ab4\" or a decimal number below 2^64"))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

in_a_string!(Seed, "^(0x[0-9a-fA-F]{1,16}|[0-9]+)$", "a 64-bit seed: \"0x9c1f2ab4\"");

/// A chance from 0 to 1, kept as the exact fraction that was written: `0.001`, `"1/50"`, `"3%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chance(pub Ratio);

impl Chance {
    /// It never happens.
    pub const NEVER: Chance = Chance(Ratio::NEVER);
    /// It always happens.
    pub const ALWAYS: Chance = Chance(Ratio::ALWAYS);

    /// So many in a hundred, in lowest terms, as it is when it is read back: what is drawn with it depends on
    /// the terms.
    pub fn percent(percent: u64) -> Chance {
        let common = gcd(percent, 100);
        Chance(Ratio(percent / common, 100 / common))
    }
}

impl FromStr for Chance {
    type Err = String;
    fn from_str(text: &str) -> Result<Chance, String> {
        let wrong = || format!("`{text}` is not a chance: write a number from 0 to 1, \"1/50\" or \"3%\"");
        let (above, below) = if let Some((above, below)) = text.split_once('/') {
            (above.parse().map_err(|_| wrong())?, below.parse().map_err(|_| wrong())?)
        } else if let Some(percent) = text.strip_suffix('%') {
            (decimal(percent).ok_or_else(wrong)?, 100_000_000_000)
        } else {
            (decimal(text).ok_or_else(wrong)?, 1_000_000_000)
        };
        if below == 0 || above > below {
            return Err(wrong());
        }
        let common = gcd(above, below);
        Ok(Chance(Ratio(above / common, below / common)))
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// As a decimal where it has one, else as a fraction.
impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ratio(above, below) = self.0;
        if below != 0 && 1_000_000_000 % below == 0 {
            write_decimal(f, above * (1_000_000_000 / below))
        } else {
            write!(f, "{above}/{below}")
        }
    }
}

impl<'de> Deserialize<'de> for Chance {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Chance;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a chance from 0 to 1")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Chance, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Chance, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Chance, E> {
                self.visit_str(&number.to_string())
            }
            // The shortest decimal that reads as this number is what was written, up to 15 digits.
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Chance, E> {
                self.visit_str(&number.to_string())
            }
        }
        d.deserialize_any(Text)
    }
}

impl Serialize for Chance {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        match text.parse::<f64>() {
            Ok(number) => s.serialize_f64(number),
            Err(_) => s.serialize_str(&text),
        }
    }
}

impl JsonSchema for Chance {
    fn schema_name() -> Cow<'static, str> {
        "Chance".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a chance from 0 to 1: 0.001, \"1/50\", \"3%\"",
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 1 },
                { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?%?$|^[0-9]+/[0-9]+$" }
            ]
        })
    }
}

/// How long something takes, drawn afresh each time: `"2ms"` for always the same, or its least, mean and
/// greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spread {
    /// Never less than this.
    pub min: Span,
    /// On average this, as far as the bounds let it.
    pub mean: Span,
    /// Never more than this.
    pub max: Span,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SpreadFields {
    /// Never less than this; a tenth of the mean if left out.
    min: Option<Span>,
    /// On average this.
    mean: Span,
    /// Never more than this; ten times the mean if left out.
    max: Option<Span>,
}

impl Spread {
    /// Always the same.
    pub const fn fixed(span: Span) -> Spread {
        Spread { min: span, mean: span, max: span }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.mean)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Spread;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as \"2ms\", or { \"min\", \"mean\", \"max\" }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Spread, E> {
                text.parse().map(Spread::fixed).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Spread, E> {
                Err(E::custom(bare_number::<Span>(&number.to_string())))
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Spread, E> {
                Err(E::custom(bare_number::<Span>(&number.to_string())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Spread, A::Error> {
                let SpreadFields { min, mean, max } =
                    SpreadFields::deserialize(MapAccessDeserializer::new(map))?;
                let min = min.unwrap_or(Span::micros(mean.nanos() / 10_000));
                let max = max.unwrap_or(Span(mean.0 * 10));
                if min > mean || mean > max {
                    return Err(A::Error::custom(format!(
                        "a mean of {mean} does not lie from {min} to {max}"
                    )));
                }
                Ok(Spread { min, mean, max })
            }
        }
        d.deserialize_any(Either)
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.min == self.max {
            return self.mean.serialize(s);
        }
        SpreadFields { min: Some(self.min), mean: self.mean, max: Some(self.max) }.serialize(s)
    }
}

impl JsonSchema for Spread {
    fn schema_name() -> Cow<'static, str> {
        "Spread".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, three) = (generator.subschema_for::<Span>(), generator.subschema_for::<SpreadFields>());
        json_schema!({
            "description": "how long something takes: always the same, or drawn from min to max with this mean",
            "anyOf": [one, three]
        })
    }
}

/// A partition by its topic's name: `orders-0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionName {
    /// The topic.
    pub topic: String,
    /// Which of its partitions.
    pub partition: u32,
}

impl FromStr for PartitionName {
    type Err = String;
    fn from_str(text: &str) -> Result<PartitionName, String> {
        let wrong =
            || format!("`{text}` is not a partition: write its topic and its number, such as \"orders-0\"");
        let (topic, number) = text.rsplit_once('-').ok_or_else(wrong)?;
        let partition = number.parse().map_err(|_| wrong())?;
        if topic.is_empty() || number.starts_with('+') {
            return Err(wrong());
        }
        Ok(PartitionName { topic: topic.into(), partition })
    }
}

impl fmt::Display for PartitionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

in_a_string!(PartitionName, "^[a-zA-Z0-9._-]+-[0-9]+$", "a partition: \"orders-0\"");

/// Which kind of node a selector draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Brokers.
    Brokers,
    /// Controllers.
    Controllers,
    /// Clients.
    Clients,
    /// Brokers and controllers.
    Servers,
    /// Everybody.
    Nodes,
}

impl Group {
    /// Every group with its name for one of it and for all of it.
    const NAMES: [(Group, &str, &str); 5] = [
        (Group::Brokers, "broker", "brokers"),
        (Group::Controllers, "controller", "controllers"),
        (Group::Clients, "client", "clients"),
        (Group::Servers, "server", "servers"),
        (Group::Nodes, "node", "nodes"),
    ];

    /// Whether a node belongs to it.
    pub fn has(self, node: NodeId) -> bool {
        match self {
            Group::Nodes => true,
            Group::Brokers => node.role() == NodeRole::Broker,
            Group::Controllers => node.role() == NodeRole::Controller,
            Group::Clients => node.role() == NodeRole::Client,
            Group::Servers => node.role() != NodeRole::Client,
        }
    }
}

/// A node, or a role that is resolved when a fault fires: in order of name, with a seeded draw where several
/// fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// `broker-2`
    Broker(u32),
    /// `controller-1`
    Controller(u32),
    /// `p1`: a client by its name.
    Client(String),
    /// `leader:orders-0`: the leader of a partition, as the controllers have committed.
    Leader(PartitionName),
    /// `follower:orders-0`: one of the replicas that do not lead.
    Follower(PartitionName),
    /// `followers:orders-0`: all of them.
    Followers(PartitionName),
    /// `isr:orders-0`: every member of the ISR.
    Isr(PartitionName),
    /// `controller:active`: the active controller.
    ActiveController,
    /// `controller:standby`: one that is not.
    StandbyController,
    /// `coordinator:billing`: the broker that looks after a consumer group, once there is one.
    Coordinator(String),
    /// `any:broker`: one of a kind that is not named elsewhere in the same fault.
    Any(Group),
    /// `all:brokers`: all of a kind.
    All(Group),
    /// `victim:kill-leader`: whom another fault hit last.
    Victim(String),
    /// `rest`: everybody whom the other sides of a cut do not name.
    Rest,
}

impl Selector {
    /// How each selector is written, and what it means: for lists and suggestions.
    pub const FORMS: &'static [(&'static str, &'static str)] = &[
        ("broker-2", "a broker by its number"),
        ("controller-1", "a controller by its number"),
        ("p1", "a client by its name; p1-2 is the second where count is more than one"),
        ("leader:orders-0", "the leader of a partition"),
        ("follower:orders-0", "one replica that does not lead, drawn"),
        ("followers:orders-0", "every replica that does not lead"),
        ("isr:orders-0", "every member of the ISR"),
        ("controller:active", "the active controller"),
        ("controller:standby", "a controller that is not active, drawn"),
        ("coordinator:GROUP", "the broker that looks after a consumer group, once there is one"),
        ("any:broker", "one broker, drawn; also any:controller, any:client, any:server, any:node"),
        ("all:brokers", "all brokers; also all:controllers, all:clients, all:servers, all:nodes"),
        ("victim:ID", "whom the fault ID hit last"),
        ("rest", "everybody whom the other sides of a cut do not name"),
    ];

    /// The partition it speaks of.
    pub fn partition(&self) -> Option<&PartitionName> {
        match self {
            Selector::Leader(p) | Selector::Follower(p) | Selector::Followers(p) | Selector::Isr(p) => {
                Some(p)
            }
            _ => None,
        }
    }

    /// Whether it can stand for several nodes at once.
    pub fn is_plural(&self) -> bool {
        matches!(self, Selector::Followers(_) | Selector::Isr(_) | Selector::All(_) | Selector::Rest)
    }
}

impl FromStr for Selector {
    type Err = String;
    fn from_str(text: &str) -> Result<Selector, String> {
        let numbered = |prefix: &str| text.strip_prefix(prefix).and_then(|n| n.parse::<u32>().ok());
        if let Some((head, tail)) = text.split_once(':') {
            return match head {
                "leader" => Ok(Selector::Leader(tail.parse()?)),
                "follower" => Ok(Selector::Follower(tail.parse()?)),
                "followers" => Ok(Selector::Followers(tail.parse()?)),
                "isr" => Ok(Selector::Isr(tail.parse()?)),
                "coordinator" if !tail.is_empty() => Ok(Selector::Coordinator(tail.into())),
                "victim" if !tail.is_empty() => Ok(Selector::Victim(tail.into())),
                "controller" => match tail {
                    "active" => Ok(Selector::ActiveController),
                    "standby" => Ok(Selector::StandbyController),
                    _ => Err(unknown("selector", text, &["controller:active", "controller:standby"])),
                },
                "any" => match Group::NAMES.iter().find(|(_, one, _)| *one == tail) {
                    Some((group, ..)) => Ok(Selector::Any(*group)),
                    None => {
                        Err(unknown("selector", text, &Group::NAMES.map(|(_, one, _)| format!("any:{one}"))))
                    }
                },
                "all" => match Group::NAMES.iter().find(|(.., all)| *all == tail) {
                    Some((group, ..)) => Ok(Selector::All(*group)),
                    None => {
                        Err(unknown("selector", text, &Group::NAMES.map(|(.., all)| format!("all:{all}"))))
                    }
                },
                _ => {
                    let heads = [
                        "leader",
                        "follower",
                        "followers",
                        "isr",
                        "controller",
                        "coordinator",
                        "any",
                        "all",
                        "victim",
                    ];
                    Err(unknown("selector", text, &heads.map(|head| format!("{head}:{tail}"))))
                }
            };
        }
        if text == "rest" {
            return Ok(Selector::Rest);
        }
        if let Some(nth) = numbered("broker-") {
            return Ok(Selector::Broker(nth));
        }
        if let Some(nth) = numbered("controller-") {
            return Ok(Selector::Controller(nth));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.is_empty() || !text.chars().all(plain) {
            return Err(format!(
                "`{text}` is not a selector: write a node's name, \"leader:orders-0\", \"controller:active\" … (trial list selectors)"
            ));
        }
        Ok(Selector::Client(text.into()))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |group: &Group| {
            Group::NAMES.iter().find(|(g, ..)| g == group).map_or(("", ""), |(_, one, all)| (one, all))
        };
        match self {
            Selector::Broker(nth) => write!(f, "broker-{nth}"),
            Selector::Controller(nth) => write!(f, "controller-{nth}"),
            Selector::Client(name) => f.write_str(name),
            Selector::Leader(p) => write!(f, "leader:{p}"),
            Selector::Follower(p) => write!(f, "follower:{p}"),
            Selector::Followers(p) => write!(f, "followers:{p}"),
            Selector::Isr(p) => write!(f, "isr:{p}"),
            Selector::Coordinator(group) => write!(f, "coordinator:{group}"),
            Selector::ActiveController => f.write_str("controller:active"),
            Selector::StandbyController => f.write_str("controller:standby"),
            Selector::Any(group) => write!(f, "any:{}", names(group).0),
            Selector::All(group) => write!(f, "all:{}", names(group).1),
            Selector::Victim(id) => write!(f, "victim:{id}"),
            Selector::Rest => f.write_str("rest"),
        }
    }
}

in_a_string!(
    Selector,
    r"^[a-zA-Z][a-zA-Z0-9_.:-]*$",
    "a node, or a role resolved when the fault fires: \"broker-2\", \"leader:orders-0\", \"controller:active\""
);

/// Something that happens to a node without its doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WorldKind {
    /// `node.start`: a process starts.
    Start,
    /// `node.crash`: a process dies.
    Crash,
    /// `node.pause`: a process stands still.
    Pause,
    /// `node.resume`: it goes on.
    Resume,
}

impl WorldKind {
    /// All of them.
    pub const ALL: [WorldKind; 4] = [WorldKind::Start, WorldKind::Crash, WorldKind::Pause, WorldKind::Resume];

    /// The name: `node.crash`.
    pub const fn name(self) -> &'static str {
        match self {
            WorldKind::Start => "node.start",
            WorldKind::Crash => "node.crash",
            WorldKind::Pause => "node.pause",
            WorldKind::Resume => "node.resume",
        }
    }

    /// What it tells, in a sentence.
    pub const fn about(self) -> &'static str {
        match self {
            WorldKind::Start => "A process starts, for the first time or again.",
            WorldKind::Crash => "A process dies of a fault.",
            WorldKind::Pause => "A process stands still.",
            WorldKind::Resume => "A process that stood still goes on.",
        }
    }
}

/// The kind of an event that a trigger or a goal waits for: one of the model's, or of the world's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnyKind {
    /// A fact that a node states.
    Node(EventKind),
    /// Something that happens to a node.
    World(WorldKind),
}

impl AnyKind {
    /// The name: `hw.advance`.
    pub const fn name(self) -> &'static str {
        match self {
            AnyKind::Node(kind) => kind.name(),
            AnyKind::World(kind) => kind.name(),
        }
    }

    /// All of them, the model's first.
    pub fn all() -> impl Iterator<Item = AnyKind> {
        let model = EventKind::ALL.iter().copied().map(AnyKind::Node);
        model.chain(WorldKind::ALL.into_iter().map(AnyKind::World))
    }
}

/// A name from a list that is not ours to write down twice.
macro_rules! in_a_list {
    ($name:ident, $what:literal, $all:expr, $spell:expr) => {
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<$name, String> {
                let spell = $spell;
                $all.find(|it| spell(it) == text)
                    .ok_or_else(|| unknown($what, text, &$all.map(|it| spell(&it)).collect::<Vec<_>>()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let spell = $spell;
                f.write_str(spell(self).as_ref())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let spell = $spell;
                json_schema!({ "type": "string", "enum": $all.map(|it| spell(&it)).collect::<Vec<_>>() })
            }
        }
    };
}

/// "unknown event `x`, expected one of `a`, `b`": the loader makes a suggestion of it.
fn unknown(what: &str, text: &str, names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    format!("unknown {what} `{text}`, expected one of {}", names.join(", "))
}

in_a_list!(AnyKind, "event", AnyKind::all(), |kind: &AnyKind| kind.name());

/// A kind of request by Kafka's name: `FETCH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Api(pub ApiKey);

in_a_list!(Api, "request", ApiKey::ALL.iter().copied().map(Api), |api: &Api| api.0.name());

/// A historical bug by its name: `truncate-to-local-hw`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BugName(pub Bug);

in_a_list!(BugName, "bug", Bug::ALL.iter().copied().map(BugName), |bug: &BugName| bug.0.slug());

/// A check by its readable name: `acked_records_are_readable`; or `sometimes`, a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckName(pub &'static str);

impl CheckName {
    /// The goal that an event must occur.
    pub const SOMETIMES: CheckName = CheckName("sometimes");
}

in_a_list!(
    CheckName,
    "check",
    crate::check::CATALOGUE.iter().map(|check| CheckName(check.name)).chain([CheckName::SOMETIMES]),
    |check: &CheckName| check.0
);

/// What a configuration key is set to, as a properties file would write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Setting(pub String);

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Setting;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number, true or false")
            }
            fn visit_str<E>(self, text: &str) -> Result<Setting, E> {
                Ok(Setting(text.into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Setting, E> {
                Ok(Setting(number.to_string()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Setting, E> {
                Ok(Setting(number.to_string()))
            }
            /// Only as it is written: what it means, the key's own type says, without floats.
            fn visit_f64<E>(self, number: f64) -> Result<Setting, E> {
                Ok(Setting(format!("{number:?}")))
            }
            fn visit_bool<E>(self, yes: bool) -> Result<Setting, E> {
                Ok(Setting(yes.to_string()))
            }
        }
        d.deserialize_any(Text)
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match (self.0.parse::<bool>(), self.0.parse::<i64>()) {
            (Ok(yes), _) => s.serialize_bool(yes),
            (_, Ok(number)) if number.to_string() == self.0 => s.serialize_i64(number),
            _ => match self.0.parse::<f64>() {
                Ok(number) if format!("{number:?}") == self.0 && number.is_finite() => {
                    s.serialize_f64(number)
                }
                _ => s.serialize_str(&self.0),
            },
        }
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> Cow<'static, str> {
        "Setting".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "description": "the value of one of Kafka's configuration keys" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_its_unit_and_reads_back() {
        for (text, micros) in
            [("500us", 500), ("20ms", 20_000), ("1.5s", 1_500_000), ("2m", 120_000_000), ("0.25ms", 250)]
        {
            let span: Span = text.parse().expect(text);
            assert_eq!(span, Span::micros(micros));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for text in ["20", "ms", "20 ms", "-1s", "1e3s", "1.s", "5ns", "0.5us", "20min", "9999999999h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_setting_is_kept_as_it_was_written() {
        for json in ["\"all\"", "3", "-1", "0.5", "0.01", "1.0", "true"] {
            let setting: Setting = serde_json::from_str(json).expect(json);
            assert_eq!(serde_json::to_string(&setting).expect("writes"), json);
        }
        let ratio: Setting = serde_json::from_str("0.25").expect("a number");
        let mut config = trial_model::config::TopicConfig::default();
        config.set("min.cleanable.dirty.ratio", &ratio.0).expect("it is a ratio");
        assert_eq!(config.min_cleanable_dirty_ratio, Ratio(25, 100));
    }

    #[test]
    fn a_chance_is_the_fraction_that_was_written() {
        for (json, ratio) in [
            ("0.001", Ratio(1, 1_000)),
            ("0.1", Ratio(1, 10)),
            ("1", Ratio(1, 1)),
            ("0.0", Ratio(0, 1)),
            ("\"1/3\"", Ratio(1, 3)),
            ("\"3%\"", Ratio(3, 100)),
        ] {
            let chance: Chance = serde_json::from_str(json).expect(json);
            assert_eq!(chance.0, ratio, "{json}");
            let again: Chance =
                serde_json::from_str(&serde_json::to_string(&chance).expect("writes")).expect("reads");
            assert_eq!(again, chance);
        }
        for json in ["1.5", "-0.1", "\"1/0\"", "\"x\"", "true"] {
            assert!(serde_json::from_str::<Chance>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_selector_reads_back() {
        for (form, _) in Selector::FORMS {
            let selector: Selector = form.parse().expect(form);
            assert_eq!(selector.to_string(), *form);
        }
        for text in [
            "",
            "leader:",
            "leader:orders",
            "any:brokers",
            "all:broker",
            "a b",
            "leadr:orders-0",
            "controller:idle",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_an_interval() {
        let rate: Rate = "400/s".parse().expect("reads");
        assert_eq!(rate.interval(), Duration::from_micros(2_500));
        assert_eq!("0.5/s".parse::<Rate>().expect("reads").interval(), Duration::from_secs(2));
        assert_eq!("30/m".parse::<Rate>().expect("reads").to_string(), "30/m");
        assert!("0/s".parse::<Rate>().is_err() && "400".parse::<Rate>().is_err());
    }

    #[test]
    fn a_size_reads_back() {
        assert_eq!("1KiB".parse(), Ok(Size(1024)));
        assert_eq!(Size(1 << 20).to_string(), "1MiB");
        assert_eq!("10MB/s".parse(), Ok(Bandwidth(10_000_000)));
        assert!("10MB".parse::<Bandwidth>().is_err() && "0B/s".parse::<Bandwidth>().is_err());
    }
}
