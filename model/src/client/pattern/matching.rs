//! Does a name fit a regular expression?
//!
//! All ways through it are gone at once, one letter of the name after the other (Thompson's): no name takes longer than
//! one step for each part of the expression and each letter.

use alloc::{vec, vec::Vec};

use super::syntax::{Class, Node, Place, WORD};

/// How many steps a program may have: with those of more, one name could take too long.
const MAX_STEPS: usize = 1 << 14;

/// One step on the way through an expression.
#[derive(Clone, Debug)]
enum Step {
    /// A letter of these, and then the next step.
    One(Class),
    /// The next step, if the place is one of these.
    At(Place),
    /// Either.
    Fork(usize, usize),
    /// Not the next step but this.
    Jump(usize),
    /// The end.
    Done,
}

/// A regular expression as a way to go.
#[derive(Clone, Debug)]
pub(super) struct Program(Vec<Step>);

impl Program {
    /// The way through `node`; none if it is too long.
    pub(super) fn of(node: &Node) -> Option<Program> {
        let mut program = Program(Vec::new());
        program.add(node)?;
        program.0.push(Step::Done);
        Some(program)
    }

    fn push(&mut self, step: Step) -> Option<usize> {
        self.0.push(step);
        (self.0.len() < MAX_STEPS).then(|| self.0.len() - 1)
    }

    fn add(&mut self, node: &Node) -> Option<()> {
        match node {
            Node::Empty => {}
            Node::One(class) => {
                self.push(Step::One(class.clone()))?;
            }
            Node::At(place) => {
                self.push(Step::At(*place))?;
            }
            Node::All(parts) => parts.iter().try_for_each(|part| self.add(part))?,
            Node::Any(sides) => self.add_sides(sides)?,
            Node::Many(inner, least, most) => self.add_many(inner, *least, *most)?,
        }
        Some(())
    }

    fn add_sides(&mut self, sides: &[Node]) -> Option<()> {
        let mut ends = Vec::with_capacity(sides.len());
        for (nth, side) in sides.iter().enumerate() {
            let fork = match nth + 1 < sides.len() {
                true => Some(self.push(Step::Done)?),
                false => None,
            };
            self.add(side)?;
            if let Some(fork) = fork {
                ends.push(self.push(Step::Done)?);
                self.0[fork] = Step::Fork(fork + 1, self.0.len());
            }
        }
        for end in ends {
            self.0[end] = Step::Jump(self.0.len());
        }
        Some(())
    }

    fn add_many(&mut self, inner: &Node, least: u32, most: Option<u32>) -> Option<()> {
        for _ in 0..least {
            self.add(inner)?;
        }
        let Some(most) = most else {
            let fork = self.push(Step::Done)?;
            self.add(inner)?;
            self.push(Step::Jump(fork))?;
            self.0[fork] = Step::Fork(fork + 1, self.0.len());
            return Some(());
        };
        let mut forks = Vec::new();
        for _ in least..most {
            forks.push(self.push(Step::Done)?);
            self.add(inner)?;
        }
        for fork in forks {
            self.0[fork] = Step::Fork(fork + 1, self.0.len());
        }
        Some(())
    }

    /// Whether all of `name` fits.
    pub(super) fn fits(&self, name: &str) -> bool {
        let mut here = Places::new(self.0.len());
        let mut letters = name.chars().peekable();
        self.reach(0, (None, letters.peek().copied()), &mut here);
        while let Some(letter) = letters.next() {
            let mut next = Places::new(self.0.len());
            let around = (Some(letter), letters.peek().copied());
            for at in &here.list {
                if let Step::One(class) = &self.0[*at]
                    && class.has(letter)
                {
                    self.reach(at + 1, around, &mut next);
                }
            }
            here = next;
        }
        here.list.iter().any(|at| matches!(self.0[*at], Step::Done))
    }

    /// Goes on from a step to wherever no letter is needed for. `around` are the letters before and behind.
    fn reach(&self, from: usize, around: (Option<char>, Option<char>), places: &mut Places) {
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if core::mem::replace(&mut places.seen[at], true) {
                continue;
            }
            match &self.0[at] {
                Step::One(_) | Step::Done => places.list.push(at),
                Step::At(place) if is_at(*place, around) => open.push(at + 1),
                Step::At(_) => {}
                Step::Fork(one, other) => open.extend([*other, *one]),
                Step::Jump(to) => open.push(*to),
            }
        }
    }
}

/// Where one may have come.
struct Places {
    list: Vec<usize>,
    seen: Vec<bool>,
}

impl Places {
    fn new(steps: usize) -> Places {
        Places { list: Vec::new(), seen: vec![false; steps] }
    }
}

fn is_at(place: Place, (before, behind): (Option<char>, Option<char>)) -> bool {
    let is_word = |letter: Option<char>| {
        letter.is_some_and(|letter| WORD.iter().any(|(from, to)| (*from..=*to).contains(&letter)))
    };
    match place {
        Place::Start => before.is_none(),
        Place::End => behind.is_none(),
        Place::WordBoundary => is_word(before) != is_word(behind),
        Place::InWord => is_word(before) == is_word(behind),
    }
}
