//! What does a regular expression say? The syntax of RE2, as RE2/J reads it for Kafka.
//!
//! Not known of it: the scripts of `\p` but for a few, none of which a name of a topic is written in but Latin. What is
//! only about which part of a text fits (which alternative is liked best, what a group has caught) makes no
//! difference to whole names, and is read and forgotten. And `[:` begins the name of a class even where none ends.

use alloc::{boxed::Box, vec, vec::Vec};
use core::{iter::Peekable, str::Chars};

/// How deep groups may stand in each other, and how often something may be repeated.
const MAX_DEPTH: u32 = 200;
const MAX_REPEAT: u32 = 1_000;
/// How many bytes it may take: a group's log spells it as a string.
const MAX_LENGTH: usize = i16::MAX as usize;

/// Letters by ranges, both ends among them; or all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    ranges: Vec<(char, char)>,
    negated: bool,
}

/// What is true of a place between letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing stands before it.
    Start,
    /// Nothing stands behind it.
    End,
    /// A word begins or ends there.
    WordBoundary,
    /// No word does.
    InWord,
}

/// A regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    One(Class),
    At(Place),
    All(Vec<Node>),
    Any(Vec<Node>),
    /// As often as the first number at least, and as the second at most.
    Many(Box<Node>, u32, Option<u32>),
}

impl Class {
    pub(super) fn has(&self, letter: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != self.negated
    }

    fn of(ranges: &[(char, char)], negated: bool) -> Class {
        Class { ranges: ranges.to_vec(), negated }
    }

    /// Takes in what another has. One that says what it has not is turned round first.
    fn add(&mut self, other: &Class) {
        if !other.negated {
            return self.ranges.extend(&other.ranges);
        }
        let mut ranges = other.ranges.clone();
        ranges.sort_unstable();
        let mut next = Some('\0');
        for (from, to) in ranges {
            if let Some((start, end)) = next.zip(before(from)).filter(|(start, end)| start <= end) {
                self.ranges.push((start, end));
            }
            next = next.zip(after(to)).map(|(next, after)| next.max(after));
        }
        if let Some(start) = next {
            self.ranges.push((start, char::MAX));
        }
    }

    /// The same without regard to upper and lower case, of ASCII.
    fn folded(mut self) -> Class {
        let mut others = Vec::new();
        for (from, to) in &self.ranges {
            for letter in ('A'..='Z').chain('a'..='z').filter(|it| (*from..=*to).contains(it)) {
                let other = if letter.is_ascii_lowercase() {
                    letter.to_ascii_uppercase()
                } else {
                    letter.to_ascii_lowercase()
                };
                others.push((other, other));
            }
        }
        self.ranges.append(&mut others);
        self
    }
}

fn before(letter: char) -> Option<char> {
    ('\0'..letter).next_back()
}

fn after(letter: char) -> Option<char> {
    (letter..=char::MAX).nth(1)
}

/// Reads a regular expression; `None` if it is none, or none that RE2 takes.
pub(super) fn parse(text: &str) -> Option<Node> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let mut reader = Reader { rest: text.chars().peekable(), depth: 0, folds: false };
    let node = reader.alternatives()?;
    // What is left is a bracket that nothing has opened.
    reader.rest.next().is_none().then_some(())?;
    (repeats(&node) <= MAX_REPEAT).then_some(node)
}

/// How often the innermost of what is repeated within each other may come at most.
fn repeats(node: &Node) -> u32 {
    match node {
        Node::Empty | Node::One(_) | Node::At(_) => 1,
        Node::All(parts) | Node::Any(parts) => parts.iter().map(repeats).max().unwrap_or(1),
        Node::Many(inner, least, most) => {
            let times = most.unwrap_or(*least).max(1);
            repeats(inner).saturating_mul(times)
        }
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    depth: u32,
    /// Whether upper and lower case are one here: `(?i)`.
    folds: bool,
}

impl Reader<'_> {
    fn takes(&mut self, letter: char) -> bool {
        self.rest.next_if_eq(&letter).is_some()
    }

    /// Takes `text` if it stands here.
    fn takes_all(&mut self, text: &str) -> bool {
        let mut ahead = self.rest.clone();
        let there = text.chars().all(|letter| ahead.next() == Some(letter));
        if there {
            self.rest = ahead;
        }
        there
    }

    /// Up to the end of a group, or of all.
    fn alternatives(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let folded = self.folds;
        let mut sides = vec![self.sequence()?];
        while self.takes('|') {
            sides.push(self.sequence()?);
        }
        // Flags that are set in a group end with it.
        self.folds = folded;
        self.depth -= 1;
        Some(if sides.len() == 1 { sides.pop()? } else { Node::Any(sides) })
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut parts: Vec<Node> = Vec::new();
        // Whether what stands last may be repeated, and whether it is already.
        let (mut repeatable, mut repeated) = (false, false);
        while let Some(letter) = self.rest.peek().copied() {
            if matches!(letter, '|' | ')') {
                break;
            }
            if let Some((least, most)) = self.repetition()? {
                if !repeatable || repeated {
                    return None;
                }
                let inner = parts.pop()?;
                parts.push(Node::Many(Box::new(inner), least, most));
                repeated = true;
                continue;
            }
            (repeatable, repeated) = (true, false);
            if self.takes_all("\\Q") {
                // What follows applies to the last letter of it.
                let quoted = self.quoted();
                repeatable = !quoted.is_empty() || !parts.is_empty();
                parts.extend(quoted);
                continue;
            }
            match self.atom()? {
                Some(node) => parts.push(node),
                // Flags, which are nothing that could be repeated.
                None => repeatable = false,
            }
        }
        Some(match parts.len() {
            0 => Node::Empty,
            1 => parts.pop()?,
            _ => Node::All(parts),
        })
    }

    /// How often what stands before may come, if that is said here. `None` if it makes no sense.
    fn repetition(&mut self) -> Option<Option<(u32, Option<u32>)>> {
        let said = match self.rest.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let mut ahead = self.rest.clone();
                let Some((least, most)) = counts(&mut ahead) else { return Some(None) };
                let too_many =
                    least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least);
                if too_many {
                    return None;
                }
                self.rest = ahead;
                self.takes('?');
                return Some(Some((least, most)));
            }
            _ => return Some(None),
        };
        self.rest.next();
        self.takes('?');
        Some(Some(said))
    }

    /// Up to `\E`, or to the end.
    fn quoted(&mut self) -> Vec<Node> {
        let mut letters = Vec::new();
        while !self.takes_all("\\E") {
            let Some(letter) = self.rest.next() else { break };
            letters.push(self.letter(letter));
        }
        letters
    }

    fn letter(&self, letter: char) -> Node {
        self.one(Class::of(&[(letter, letter)], false))
    }

    fn one(&self, class: Class) -> Node {
        Node::One(if self.folds { class.folded() } else { class })
    }

    /// One letter, class, place or group; nothing for flags. `None` if it makes no sense.
    fn atom(&mut self) -> Option<Option<Node>> {
        Some(Some(match self.rest.next()? {
            '.' => Node::One(Class::of(&[('\n', '\n')], true)),
            '^' => Node::At(Place::Start),
            '$' => Node::At(Place::End),
            '[' => {
                let class = self.class()?;
                Node::One(class)
            }
            '(' => return self.group(),
            '\\' => self.escaped()?,
            letter => self.letter(letter),
        }))
    }

    fn group(&mut self) -> Option<Option<Node>> {
        let outside = self.folds;
        if self.takes('?') {
            if self.takes_all("P<") || self.takes('<') {
                self.name()?;
            } else if !self.flags()? {
                return Some(None);
            }
        }
        let node = self.alternatives()?;
        self.folds = outside;
        self.takes(')').then_some(Some(node))
    }

    /// The name of a group, and what ends it.
    fn name(&mut self) -> Option<()> {
        let mut length = 0;
        while self.rest.next_if(|it| it.is_ascii_alphanumeric() || *it == '_').is_some() {
            length += 1;
        }
        (length > 0 && self.takes('>')).then_some(())
    }

    /// Flags, and what ends them. Says whether a group follows.
    fn flags(&mut self) -> Option<bool> {
        let (mut on, mut said) = (true, false);
        loop {
            match self.rest.next()? {
                'i' => self.folds = on,
                // About several lines, and about which part of a text fits.
                'm' | 's' | 'U' => {}
                '-' if on => {
                    (on, said) = (false, false);
                    continue;
                }
                ':' if on || said => return Some(true),
                ')' if on || said => return Some(false),
                _ => return None,
            }
            said = true;
        }
    }

    /// What stands behind a backslash, outside of a class.
    fn escaped(&mut self) -> Option<Node> {
        let place = match self.rest.peek()? {
            'A' => Some(Place::Start),
            'z' => Some(Place::End),
            'b' => Some(Place::WordBoundary),
            'B' => Some(Place::InWord),
            _ => None,
        };
        if let Some(place) = place {
            self.rest.next();
            return Some(Node::At(place));
        }
        Some(match self.kind()? {
            Some(class) => self.one(class),
            None => {
                let letter = self.escape()?;
                self.letter(letter)
            }
        })
    }

    /// A kind of letters, if one stands behind the backslash.
    fn kind(&mut self) -> Option<Option<Class>> {
        const DIGIT: &[(char, char)] = &[('0', '9')];
        const SPACE: &[(char, char)] = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
        let Some(letter) =
            self.rest.next_if(|it| matches!(it, 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P'))
        else {
            return Some(None);
        };
        let ranges = match letter.to_ascii_lowercase() {
            'd' => DIGIT,
            's' => SPACE,
            'w' => WORD,
            _ => {
                let mut class = self.property()?;
                class.negated ^= letter == 'P';
                return Some(Some(class));
            }
        };
        Some(Some(Class::of(ranges, letter.is_ascii_uppercase())))
    }

    /// What stands behind `\p`.
    fn property(&mut self) -> Option<Class> {
        let mut name = alloc::string::String::new();
        if self.takes('{') {
            loop {
                match self.rest.next()? {
                    '}' => break,
                    letter => name.push(letter),
                }
            }
        } else {
            name.push(self.rest.next()?);
        }
        let negated = name.starts_with('^');
        let ranges = of_ascii(name.strip_prefix('^').unwrap_or(&name))?;
        Some(Class::of(ranges, negated))
    }

    /// A letter by an escape.
    fn escape(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        Some(match letter {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => self.hexadecimal()?,
            // Alone it would stand for what a group has caught, which RE2 does not know.
            '1'..='7' if !self.rest.peek().is_some_and(|it| ('0'..='7').contains(it)) => return None,
            '0'..='7' => {
                let mut code = letter.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = self.rest.next_if(|it| ('0'..='7').contains(it)) else { break };
                    code = code * 8 + digit.to_digit(8)?;
                }
                char::from_u32(code)?
            }
            letter if letter.is_ascii_alphanumeric() || !letter.is_ascii() => return None,
            letter => letter,
        })
    }

    fn hexadecimal(&mut self) -> Option<char> {
        let mut code = 0u32;
        if self.takes('{') {
            let mut count = 0;
            while !self.takes('}') {
                code = code.checked_mul(16)?.checked_add(self.rest.next()?.to_digit(16)?)?;
                count += 1;
            }
            return char::from_u32(code).filter(|_| count > 0);
        }
        for _ in 0..2 {
            code = code * 16 + self.rest.next()?.to_digit(16)?;
        }
        char::from_u32(code)
    }

    /// What stands between square brackets.
    fn class(&mut self) -> Option<Class> {
        let mut class = Class { negated: self.takes('^'), ..Class::default() };
        let mut first = true;
        while first || !self.takes(']') {
            first = false;
            if self.takes_all("[:") {
                class.add(&self.named_class()?);
                continue;
            }
            if self.rest.peek() == Some(&'\\') {
                let mut ahead = self.rest.clone();
                ahead.next();
                core::mem::swap(&mut ahead, &mut self.rest);
                match self.kind()? {
                    Some(kind) => {
                        class.add(&kind);
                        continue;
                    }
                    None => self.rest = ahead,
                }
            }
            let from = self.class_letter()?;
            let mut ahead = self.rest.clone();
            let is_range = ahead.next() == Some('-') && !matches!(ahead.peek(), Some(']') | None);
            let to = match is_range {
                true => {
                    self.rest.next();
                    self.class_letter()?
                }
                false => from,
            };
            class.ranges.push((from <= to).then_some((from, to))?);
        }
        Some(if self.folds { class.folded() } else { class })
    }

    fn class_letter(&mut self) -> Option<char> {
        match self.rest.next()? {
            '\\' => self.escape(),
            letter => Some(letter),
        }
    }

    /// What stands between `[:` and `:]`.
    fn named_class(&mut self) -> Option<Class> {
        let negated = self.takes('^');
        let mut name = alloc::string::String::new();
        while !self.takes_all(":]") {
            name.push(self.rest.next_if(char::is_ascii_lowercase)?);
        }
        let ranges: &[(char, char)] = match &*name {
            "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
            "alpha" => &[('A', 'Z'), ('a', 'z')],
            "ascii" => &[('\0', '\x7f')],
            "blank" => &[('\t', '\t'), (' ', ' ')],
            "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
            "digit" => &[('0', '9')],
            "graph" => &[('!', '~')],
            "lower" => &[('a', 'z')],
            "print" => &[(' ', '~')],
            "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
            "space" => &[('\t', '\r'), (' ', ' ')],
            "upper" => &[('A', 'Z')],
            "word" => WORD,
            "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
            _ => return None,
        };
        Some(Class::of(ranges, negated))
    }
}

/// What words are made of.
pub(super) const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// `{2}`, `{2,}` or `{2,3}`; anything else in such brackets stands for itself.
fn counts(from: &mut Peekable<Chars<'_>>) -> Option<(u32, Option<u32>)> {
    from.next_if_eq(&'{')?;
    let least = number(from)?;
    if from.next_if_eq(&'}').is_some() {
        return Some((least, Some(least)));
    }
    from.next_if_eq(&',')?;
    if from.next_if_eq(&'}').is_some() {
        return Some((least, None));
    }
    let most = number(from)?;
    from.next_if_eq(&'}')?;
    Some((least, Some(most)))
}

fn number(from: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut number = from.next_if(char::is_ascii_digit)?.to_digit(10)?;
    while let Some(digit) = from.next_if(char::is_ascii_digit) {
        // As many digits as there may be: what is too much stays too much.
        number = number.saturating_mul(10).saturating_add(digit.to_digit(10)?);
    }
    Some(number)
}

/// Which letters of ASCII have a property of Unicode: a category, or one of a few scripts.
fn of_ascii(property: &str) -> Option<&'static [(char, char)]> {
    Some(match property {
        "Any" => &[('\0', char::MAX)],
        "L" | "Latin" => &[('A', 'Z'), ('a', 'z')],
        "Lu" => &[('A', 'Z')],
        "Ll" => &[('a', 'z')],
        "N" | "Nd" => &[('0', '9')],
        "P" => &[
            ('!', '#'),
            ('%', '*'),
            (',', '/'),
            (':', ';'),
            ('?', '@'),
            ('[', ']'),
            ('_', '_'),
            ('{', '{'),
            ('}', '}'),
        ],
        "Pc" => &[('_', '_')],
        "Pd" => &[('-', '-')],
        "Pe" => &[(')', ')'), (']', ']'), ('}', '}')],
        "Ps" => &[('(', '('), ('[', '['), ('{', '{')],
        "Po" => &[
            ('!', '#'),
            ('%', '\''),
            ('*', '*'),
            (',', ','),
            ('.', '/'),
            (':', ';'),
            ('?', '@'),
            ('\\', '\\'),
        ],
        "S" => &[('$', '$'), ('+', '+'), ('<', '>'), ('^', '^'), ('`', '`'), ('|', '|'), ('~', '~')],
        "Sc" => &[('$', '$')],
        "Sk" => &[('^', '^'), ('`', '`')],
        "Sm" => &[('+', '+'), ('<', '>'), ('|', '|'), ('~', '~')],
        "Z" | "Zs" => &[(' ', ' ')],
        "C" | "Cc" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "Common" => &[('\0', '@'), ('[', '`'), ('{', '\x7f')],
        "Lm" | "Lo" | "Lt" | "M" | "Mc" | "Me" | "Mn" | "Nl" | "No" | "Pf" | "Pi" | "So" | "Zl" | "Zp"
        | "Cf" | "Co" | "Cs" | "Arabic" | "Cyrillic" | "Greek" | "Han" | "Hebrew" | "Hiragana"
        | "Katakana" => &[],
        _ => return None,
    })
}
