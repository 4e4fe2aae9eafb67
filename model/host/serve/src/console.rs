//! What does somebody want who types to a running cluster?

use std::{
    io::{BufRead, IsTerminal},
    net::IpAddr,
    time::Duration,
};

use trial_model::units::{NodeId, NodeRole};

use crate::{
    act::Act,
    command::Hand,
    faults::{Ends, LinkFault, LinkFaultKind},
};

/// What can be typed.
pub const HELP: &str = "\
  crash NODE...          ends a process at once: what the system has of its files stays
  restart NODE...        starts one that has ended
  shutdown NODE...       asks one to end in order
  pause NODE...          lets one stand still, resume NODE... lets it go on
  cut A [B]              nothing gets from A to B or back; without B, to anybody. cut A > B: one way
  delay A B 200ms        everything between A and B comes later. delay A > B 200ms: one way
  reset A B              resets the connections between A and B
  heal                   ends cuts and delays; whoever stands still goes on
  status                 who runs, who leads what
  1, 2, 3, ...           crashes broker-1, or restarts it
  quit                   shuts everybody down in order
  A and B are nodes, with commas between; brokers, controllers, nodes; clients, or their addresses
";

/// What is wanted of a running cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To be done one after the other.
    Do(Vec<Act>),
    /// The same, and only what cannot be done is told.
    Quietly(Vec<Act>),
    /// A broker is to crash if it runs, and to start if not.
    Toggle(NodeId),
    /// To be told how it stands.
    Status,
    /// To be told what can be typed.
    Help,
    /// To be told something.
    Say(String),
    /// An orderly end.
    Quit,
}

/// Reads what is typed from now on, as long as the process lives. Not if that is a terminal that belongs to
/// another process: whoever runs in the background must not be stopped for want of a word.
pub fn listen(hand: &Hand, nodes: Vec<NodeId>) {
    let stdin = std::io::stdin();
    if stdin.is_terminal() && rustix::termios::tcgetpgrp(&stdin).ok() != Some(rustix::process::getpgrp()) {
        return;
    }
    let hand = hand.clone();
    // The thread waits for a word that may never come; the process does not wait for the thread.
    std::thread::spawn(move || {
        for (line, number) in stdin.lock().lines().map_while(Result::ok).zip(0u64..) {
            match understand(&line, &nodes, number) {
                Ok(Some(order)) => hand.order(order),
                Ok(None) => {}
                Err(why) => hand.order(Order::Say(why)),
            }
        }
    });
}

const WORDS: [&str; 12] = [
    "crash", "restart", "shutdown", "pause", "resume", "cut", "delay", "reset", "heal", "status", "help",
    "quit",
];

/// The order that a line is; `None` if there is nothing in it. `number` is another for every line.
///
/// Refuses what is none, with the nearest word that would be right.
pub fn understand(line: &str, nodes: &[NodeId], number: u64) -> Result<Option<Order>, String> {
    let spaced = line.replace("->", " > ").replace('>', " > ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let Some((word, rest)) = words.split_first() else { return Ok(None) };
    let each = |act: fn(NodeId) -> Act| -> Result<Option<Order>, String> {
        let named = rest.iter().flat_map(|word| word.split(',')).filter(|word| !word.is_empty());
        let named = named.map(|name| node(name, nodes)).collect::<Result<Vec<_>, _>>()?;
        match named.is_empty() {
            true => Err(format!(
                "{word} whom? Such as `{word} {}`",
                nodes.first().map_or(String::new(), |it| it.to_string())
            )),
            false => Ok(Some(Order::Do(named.into_iter().map(act).collect()))),
        }
    };
    let alone = |order: Order| match rest {
        [] => Ok(Some(order)),
        [more, ..] => Err(format!("{word} stands alone: what is `{more}`?")),
    };
    match *word {
        "crash" => each(Act::Crash),
        "restart" => each(Act::Restart),
        "shutdown" => each(Act::ShutDown),
        "pause" => each(Act::Pause),
        "resume" => each(Act::Resume),
        "cut" => between(rest, nodes, number, LinkFaultKind::Cut),
        "delay" => {
            let (last, between_whom) = rest
                .split_last()
                .ok_or("delay whom, and by how much? Such as `delay broker-1 broker-2 200ms`")?;
            between(between_whom, nodes, number, LinkFaultKind::Slow(duration(last)?))
        }
        "reset" => {
            let (one, other, _) = sides(rest, nodes, "reset")?;
            Ok(Some(Order::Do(vec![Act::Reset(one, other)])))
        }
        "heal" => alone(Order::Do(vec![Act::Heal])),
        "status" => alone(Order::Status),
        "help" | "?" => alone(Order::Help),
        "quit" | "q" | "exit" => alone(Order::Quit),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            alone(Order::Toggle(node(&format!("broker-{digits}"), nodes)?))
        }
        other => Err(no_such("command", other, WORDS.iter().map(|word| (*word).to_owned()))),
    }
}

fn no_such(what: &str, word: &str, known: impl Iterator<Item = String>) -> String {
    let near = known.map(|right| (strsim::damerau_levenshtein(&right, word), right)).min();
    match near.filter(|(far, right)| *far <= 1 + right.len() / 3) {
        Some((_, right)) => format!("there is no {what} `{word}`: did you mean `{right}`?"),
        None => format!("there is no {what} `{word}`: type `help`"),
    }
}

fn node(name: &str, nodes: &[NodeId]) -> Result<NodeId, String> {
    let found = nodes.iter().copied().find(|node| node.to_string() == name);
    found.ok_or_else(|| no_such("node", name, nodes.iter().map(NodeId::to_string)))
}

fn add(ends: &mut Ends, nodes: Vec<NodeId>) {
    for node in nodes {
        ends.nodes.insert(node);
    }
}

fn ends(text: &str, nodes: &[NodeId]) -> Result<Ends, String> {
    let mut ends = Ends::default();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let of = |role| nodes.iter().copied().filter(move |node| node.role() == role).collect();
        match word {
            "clients" => ends.clients = true,
            "brokers" => add(&mut ends, of(NodeRole::Broker)),
            "controllers" => add(&mut ends, of(NodeRole::Controller)),
            "nodes" => add(&mut ends, nodes.to_vec()),
            _ => match word.parse::<IpAddr>() {
                Ok(address) => ends.addresses.push(address),
                Err(_) => {
                    let kinds = ["clients", "brokers", "controllers", "nodes"].map(str::to_owned);
                    let known = nodes.iter().map(NodeId::to_string).chain(kinds);
                    let found = nodes.iter().copied().find(|node| node.to_string() == word);
                    ends.nodes.insert(found.ok_or_else(|| no_such("node", word, known))?);
                }
            },
        }
    }
    Ok(ends)
}

/// Both sides, and whether only what the first sends to the second is meant. Who stands alone is meant with
/// everybody else.
fn sides(words: &[&str], nodes: &[NodeId], what: &str) -> Result<(Ends, Ends, bool), String> {
    let (one, other, one_way) = match words {
        [one] => (*one, None, false),
        [one, other] if *other != ">" && *one != ">" => (*one, Some(*other), false),
        [one, ">", other] if *one != ">" && *other != ">" => (*one, Some(*other), true),
        _ => {
            return Err(format!(
                "{what} whom? Such as `{what} broker-1 broker-2`, or `{what} broker-1 > broker-2`"
            ));
        }
    };
    let one = ends(one, nodes)?;
    let other = match other {
        Some(other) => ends(other, nodes)?,
        None => Ends {
            nodes: nodes.iter().copied().filter(|node| !one.nodes.contains(*node)).collect(),
            addresses: Vec::new(),
            clients: !one.clients,
        },
    };
    Ok((one, other, one_way))
}

fn between(
    words: &[&str],
    nodes: &[NodeId],
    number: u64,
    kind: LinkFaultKind,
) -> Result<Option<Order>, String> {
    let what = if kind == LinkFaultKind::Cut { "cut" } else { "delay" };
    let (one, other, one_way) = sides(words, nodes, what)?;
    // Far from the numbers that a scenario's faults have.
    let number = (1 << 48) + 2 * number;
    let mut acts = vec![Act::Begin(number, LinkFault { from: one.clone(), to: other.clone(), kind })];
    if !one_way {
        acts.push(Act::Begin(number + 1, LinkFault { from: other, to: one, kind }));
    }
    Ok(Some(Order::Do(acts)))
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: Option<u64> = number.parse().ok().filter(|number| *number <= 1_000_000_000);
    match (number, unit) {
        (Some(number), "ms") => Ok(Duration::from_millis(number)),
        (Some(number), "s") => Ok(Duration::from_secs(number)),
        (Some(number), "m") => Ok(Duration::from_secs(number * 60)),
        _ => Err(format!("`{text}` is no length of time: write 200ms, 2s or 1m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [NodeId; 3] = [NodeId::broker(1), NodeId::broker(2), NodeId::controller(1)];

    fn typed(line: &str) -> Result<Option<Order>, String> {
        understand(line, &NODES, 0)
    }

    fn links(line: &str) -> Vec<String> {
        let Ok(Some(Order::Do(acts))) = typed(line) else { return Vec::new() };
        let said = acts.into_iter().map(|act| match act {
            Act::Begin(_, fault) => fault.to_string(),
            act => format!("{act:?}"),
        });
        said.collect()
    }

    #[test]
    fn what_is_typed_is_understood() {
        let both = vec![Act::Crash(NodeId::broker(1)), Act::Crash(NodeId::controller(1))];
        assert_eq!(typed("crash broker-1, controller-1"), Ok(Some(Order::Do(both))));
        assert_eq!(typed("2"), Ok(Some(Order::Toggle(NodeId::broker(2)))));
        assert_eq!(typed(" heal "), Ok(Some(Order::Do(vec![Act::Heal]))));
        assert_eq!([typed(""), typed("  ")], [Ok(None), Ok(None)]);
        assert_eq!(links("cut broker-1 broker-2"), ["cut broker-1 > broker-2", "cut broker-2 > broker-1"]);
        assert_eq!(links("cut broker-1->brokers,10.0.0.7"), ["cut broker-1 > broker-1,broker-2,10.0.0.7"]);
        assert_eq!(
            links("cut controller-1"),
            ["cut controller-1 > broker-1,broker-2,clients", "cut broker-1,broker-2,clients > controller-1"]
        );
        assert_eq!(links("delay clients > broker-1 200ms"), ["delay clients > broker-1 200ms"]);
    }

    #[test]
    fn what_is_not_is_answered_with_the_nearest_right_word() {
        let cases = [
            ("crahs broker-1", "there is no command `crahs`: did you mean `crash`?"),
            ("crash borker-2", "there is no node `borker-2`: did you mean `broker-2`?"),
            ("crash broker-9", "there is no node `broker-9`: did you mean `broker-1`?"),
            ("cut broker-1 cleints", "there is no node `cleints`: did you mean `clients`?"),
            ("frobnicate", "there is no command `frobnicate`: type `help`"),
            ("crash", "crash whom? Such as `crash broker-1`"),
            ("heal all", "heal stands alone: what is `all`?"),
            ("7", "there is no node `broker-7`: did you mean `broker-1`?"),
            ("delay broker-1 broker-2 soon", "`soon` is no length of time: write 200ms, 2s or 1m"),
            ("cut", "cut whom? Such as `cut broker-1 broker-2`, or `cut broker-1 > broker-2`"),
            ("cut > > >", "cut whom? Such as `cut broker-1 broker-2`, or `cut broker-1 > broker-2`"),
        ];
        for (line, why) in cases {
            assert_eq!(typed(line), Err(why.to_owned()), "{line}");
        }
    }
}
