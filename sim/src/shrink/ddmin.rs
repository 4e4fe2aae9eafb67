//! Which of these are needed?

/// A part of `all` for which `holds`, from which nothing single can be taken away; in the order of `all`.
///
/// Delta debugging (Zeller and Hildebrandt): halves first, then ever smaller pieces, each alone and all but
/// each. `all` itself is taken to hold and is not asked about.
pub fn ddmin<T: Clone>(all: &[T], mut holds: impl FnMut(&[T]) -> bool) -> Vec<T> {
    if all.is_empty() || holds(&[]) {
        return Vec::new();
    }
    let mut needed = all.to_vec();
    let mut pieces = 2;
    while needed.len() > 1 {
        let size = needed.len().div_ceil(pieces);
        match smaller(&needed, size, &mut holds) {
            Some((part, alone)) => {
                needed = part;
                pieces = if alone { 2 } else { (pieces - 1).max(2) };
            }
            None if size == 1 => break,
            None => pieces = (pieces * 2).min(needed.len()),
        }
    }
    needed
}

/// A piece that holds alone, or what is left without a piece; says whether it is a piece alone.
fn smaller<T: Clone>(
    needed: &[T],
    size: usize,
    holds: &mut impl FnMut(&[T]) -> bool,
) -> Option<(Vec<T>, bool)> {
    if let Some(piece) = needed.chunks(size).find(|piece| holds(piece)) {
        return Some((piece.to_vec(), true));
    }
    // In halves, what is left without the one is the other.
    if needed.len() <= size * 2 && needed.len() > 2 {
        return None;
    }
    (0..needed.len()).step_by(size).find_map(|from| {
        let until = (from + size).min(needed.len());
        let rest: Vec<T> = [&needed[..from], &needed[until..]].concat();
        holds(&rest).then_some((rest, false))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(all: u32, holds: impl Fn(&[u32]) -> bool) -> (Vec<u32>, u32) {
        let all: Vec<u32> = (1..=all).collect();
        let mut asked = 0;
        let found = ddmin(&all, |part| {
            asked += 1;
            holds(part)
        });
        (found, asked)
    }

    #[test]
    fn what_is_needed_stays_in_its_order() {
        let (found, asked) = asked(64, |part| [3, 41].iter().all(|it| part.contains(it)));
        assert_eq!(found, [3, 41]);
        assert!(asked < 80, "{asked}");
        let (found, asked) = self::asked(64, |part| part.contains(&41));
        assert_eq!(found, [41]);
        assert!(asked < 20, "{asked}");
    }

    #[test]
    fn nothing_is_left_if_nothing_is_needed() {
        assert_eq!(asked(41, |_| true), (Vec::new(), 1));
        assert_eq!(ddmin(&[0; 0], |_| false), [0; 0]);
    }

    #[test]
    fn everything_is_left_if_everything_is_needed() {
        for all in 1..=9 {
            let (found, _) = asked(all, |part| part.len() == all as usize);
            assert_eq!(found.len(), all as usize);
        }
    }

    #[test]
    fn nothing_single_can_be_taken_away_from_what_is_left() {
        // Whatever is needed: two of three, pairs, a number that depends on which.
        let rules: [fn(&[u32]) -> bool; 3] = [
            |part| [2, 7, 11].iter().filter(|it| part.contains(it)).count() >= 2,
            |part| part.chunk_by(|a, b| a + 1 == *b).any(|run| run.len() >= 3),
            |part| part.iter().sum::<u32>() >= 40,
        ];
        for rule in rules {
            let (found, _) = asked(13, rule);
            assert!(rule(&found), "{found:?}");
            for without in 0..found.len() {
                let mut less = found.clone();
                less.remove(without);
                assert!(!rule(&less), "{less:?} of {found:?}");
            }
        }
    }
}
