//! What if something is late at one partition, and then somebody fails?
//!
//! Most historical bugs of replication need two or three things in one order at one partition, and nothing else:
//! news, a copy or an answer that is late, and then a leader that is lost, comes back, or loses its power just
//! after it has been restarted. Many faults all over the cluster hide that order more often than they bring it
//! about. So a story has one partition, one or two things that are late (*ground*), one to three failures that
//! follow on each other (*blows*), and otherwise calm. Everything stands in the scenario file.

use serde_json::{Value, json};
use trial_model::group::OFFSETS_TOPIC;

use super::{
    dice::Dice,
    draw::{Taste, cluster, with},
    members,
};
use crate::scenario::{
    Scenario,
    file::{Action, Fault},
};

/// How long until the next blow, or how long after what it follows on, in milliseconds.
const GAPS: [u64; 8] = [1, 20, 100, 200, 400, 700, 1_200, 2_500];

/// What late messages are worth telling a story of: who sends them to whom, and whether they are responses.
/// `leader` and `follower` are those of the story's partition, `one` is one broker.
const LATE: [(&str, &str, &str, bool); 18] = [
    ("FETCH", "follower", "leader", false),
    ("FETCH", "leader", "follower", true),
    ("FETCH", "leader", "all:brokers", true),
    ("FETCH", "leader", "one", true),
    ("FETCH", "all:controllers", "one", true),
    ("FETCH", "all:controllers", "follower", true),
    ("FETCH", "all:controllers", "leader", true),
    ("FETCH", "all:controllers", "all:controllers", true),
    ("FETCH", "leader", "all:clients", true),
    ("PRODUCE", "all:clients", "leader", false),
    ("PRODUCE", "all:clients", "one", false),
    ("PRODUCE", "leader", "all:clients", true),
    ("PRODUCE", "all:brokers", "all:clients", true),
    ("OFFSET_FOR_LEADER_EPOCH", "all:brokers", "one", true),
    ("ALTER_PARTITION", "leader", "all:controllers", false),
    ("ALTER_PARTITION", "all:controllers", "leader", true),
    ("BROKER_HEARTBEAT", "one", "all:controllers", false),
    ("METADATA", "all:brokers", "all:clients", true),
];

/// The scenario of a seed, which is also the seed that it is run with.
pub fn draw(seed: u64, taste: Taste) -> Scenario {
    let (scenario, site) = cluster(seed, Taste { brisk: true, ..taste });
    let dice = &mut Dice::new(seed, "story");
    let Some(place) = site.place(dice) else { return scenario };
    let members = site.members().to_vec();
    // Half of the stories with groups are about the broker that looks after them.
    let place = if members.is_empty() || dice.one_in(2) { place } else { format!("{OFFSETS_TOPIC}-0") };
    let teller = Teller { place, one: site.one_broker(dice), members, modern: site.are_modern() };
    let ends = site.chaos().saturating_sub(1_000).max(3_500);
    let mut at = dice.between(2_500, ends - 1_000);
    let mut faults: Vec<Fault> = Vec::new();
    let grounds = dice.one(&[0, 1, 1, 1, 2]);
    for nth in 1..=grounds {
        faults.push(teller.ground(format!("g{nth}"), at, dice));
        at += dice.one(&[0, 0, 100, 500, 1_000]);
    }
    let blows = dice.between(if grounds == 0 { 2 } else { 1 }, if taste.unlimited { 5 } else { 3 });
    for nth in 1..=blows {
        let last = faults.last().map(|fault| fault.id.clone());
        let when = teller.when(last.as_deref(), at, dice);
        // Whom a cut hits is everybody on its sides.
        let one = faults.last().is_some_and(|fault| !matches!(fault.act, Action::Cut(_)));
        let same = last.filter(|last| one && last.starts_with('b') && dice.one_in(2));
        faults.push(teller.blow(format!("b{nth}"), when, same.as_deref(), dice));
        at = (at + dice.one(&GAPS)).min(ends);
    }
    with(scenario, faults)
}

/// Whom a story is about.
struct Teller {
    /// The partition.
    place: String,
    /// A broker that has the same part all the time, whoever leads.
    one: String,
    /// The members of groups, if there are any.
    members: Vec<String>,
    /// Whether these speak KIP-848's protocol.
    modern: bool,
}

impl Teller {
    fn who(&self, role: &str) -> String {
        match role {
            "leader" | "follower" => format!("{role}:{}", self.place),
            "one" => self.one.clone(),
            other => other.into(),
        }
    }

    /// Something that is late or does not come at all, from a time in milliseconds on.
    fn ground(&self, id: String, at: u64, dice: &mut Dice) -> Fault {
        let act = match dice.below(8) {
            0 => {
                json!({ "cut": { "sides": [[self.who("leader")], [self.who(dice.one(&["follower", "one"]))]] } })
            }
            1 => json!({ "cut": { "sides": [[self.who("one")], ["all:controllers"]] } }),
            kind => {
                let of_groups = !self.members.is_empty() && dice.one_in(2);
                let (api, from, to, response) = dice.one(if of_groups { &members::LATE[..] } else { &LATE });
                let api = if self.modern { members::modern(api) } else { api };
                let (from, to) = (self.who(from), self.who(to));
                if kind == 2 {
                    json!({ "drop": { "from": from, "to": to, "api": api, "response": response } })
                } else {
                    let by = dice.one(&["50ms", "200ms", "500ms", "1s", "2s"]);
                    json!({ "delay": { "from": from, "to": to, "api": api, "response": response, "by": by } })
                }
            }
        };
        let lasts = dice.one(&["300ms", "700ms", "1500ms", "3s", "5s"]);
        read(json!({ "id": id, "when": { "at": format!("{at}ms") }, "do": act, "for": lasts }))
    }

    /// When a blow falls: at its time; so long after what came before; or as the partition gets a leader, an
    /// ISR, a segment, or its node comes back.
    fn when(&self, last: Option<&str>, at: u64, dice: &mut Dice) -> Value {
        let Some(last) = last else { return json!({ "at": format!("{at}ms") }) };
        let gap = format!("{}ms", dice.one(&GAPS));
        match dice.below(4) {
            0 => json!({ "at": format!("{at}ms") }),
            1 => json!({ "step": last, "delay": gap }),
            2 => {
                let kind =
                    dice.one(&["broker.unfenced", "node.start", "broker.fenced", "controller.elected"]);
                json!({ "event": { "kind": kind, "after": last }, "delay": gap })
            }
            _ => {
                let kind = dice.one(&[
                    "leader.start",
                    "leader.start",
                    "follower.start",
                    "isr.propose",
                    "isr.expand",
                    "isr.shrink",
                    "log.roll",
                    "log.truncate",
                ]);
                let event = json!({ "kind": kind, "partition": self.place, "after": last });
                json!({ "event": event, "delay": dice.one(&["1us", "1ms", "3ms", "20ms", "100ms", "300ms"]) })
            }
        }
    }

    /// A failure, perhaps of whom the blow `same` has hit.
    fn blow(&self, id: String, when: Value, same: Option<&str>, dice: &mut Dice) -> Fault {
        let whose = dice.one(&["leader", "leader", "leader", "follower", "one"]);
        if same.is_none() && !self.members.is_empty() && dice.one_in(3) {
            return self.blow_to_a_member(id, &when, dice);
        }
        let node = same.map_or_else(|| self.who(whose), |last| format!("victim:{last}"));
        let short = dice.one(&["50ms", "300ms", "300ms", "1s", "3s"]);
        let long = dice.one(&["500ms", "1500ms", "3s", "6s"]);
        let (act, lasts) = match dice.below(12) {
            0 | 1 => (json!({ "crash": { "node": node } }), short),
            2 | 3 => (json!({ "crash": { "node": node, "lose_unsynced": true } }), short),
            4 => (json!({ "shutdown": { "node": node } }), short),
            5 => (json!({ "pause": { "node": node } }), long),
            6 | 7 => (json!({ "cut": { "sides": [[node], ["all:controllers"]] } }), long),
            8 => (json!({ "cut": { "sides": [[node], ["rest"]] } }), long),
            9 => {
                let others = dice.one(&["all:controllers", "rest", "all:brokers"]);
                (json!({ "cut": { "sides": [["controller:active"], [others]] } }), long)
            }
            10 => (json!({ "crash": { "node": "controller:active" } }), short),
            // Only brokers lose a disk: no quorum protects from voters that forget.
            _ => (
                json!({ "lose_disk": { "node": self.who(dice.one(&["follower", "leader", "one"])) } }),
                short,
            ),
        };
        read(json!({ "id": id, "when": when, "do": act, "for": lasts }))
    }
}

impl Teller {
    /// A member of a group dies, stands still, goes in an orderly way, or hears nobody.
    fn blow_to_a_member(&self, id: String, when: &Value, dice: &mut Dice) -> Fault {
        let nth = dice.below(self.members.len() as u64) as usize;
        let node = &self.members[nth];
        let act = match dice.below(5) {
            0 | 1 => json!({ "crash": { "node": node } }),
            2 => json!({ "shutdown": { "node": node } }),
            3 => json!({ "pause": { "node": node } }),
            _ => json!({ "cut": { "sides": [[node], ["all:brokers"]] } }),
        };
        let lasts = dice.one(&["1ms", "300ms", "1s", "2500ms", "5s"]);
        read(json!({ "id": id, "when": when, "do": act, "for": lasts }))
    }
}

fn read(fault: Value) -> Fault {
    serde_json::from_value(fault).expect("what is drawn is a fault")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fuzz::draw::is_sound, nth_seed};

    #[test]
    fn stories_are_short_and_can_be_loaded_and_most_have_something_late() {
        let drawn: Vec<Scenario> = (0..300).map(|nth| draw(nth_seed(1, nth), Taste::default())).collect();
        assert!(drawn.iter().all(is_sound));
        // Of those in which nobody has a follower some have nothing that could be told.
        assert!(drawn.iter().all(|it| it.faults.len() <= 5));
        assert!(drawn.iter().filter(|it| it.faults.is_empty()).count() < 30);
        let late = |it: &&Scenario| it.faults.iter().any(|fault| matches!(fault.act, Action::Delay(_)));
        assert!(drawn.iter().filter(late).count() > 120);
        assert_eq!(draw(7, Taste::default()), draw(7, Taste::default()));
    }
}
