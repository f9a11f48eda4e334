//! The nearest known word to a mistyped one.

/// Words longer than this are not compared: the distance table is quadratic.
const WORD_CHARS_MAX: usize = 64;

/// The candidate nearest to `word`, if it is near enough to be a slip of the hand: about one slip per three letters.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > WORD_CHARS_MAX {
        return None;
    }
    let allowance = length.div_ceil(3).max(1);
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count() <= WORD_CHARS_MAX)
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= allowance && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment: insert, delete, replace, and swap of neighbours each cost one.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (row, ca) in a.chars().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        let mut previous_b = None;
        for (column, &cb) in b.iter().enumerate() {
            let cell = |cells: &[usize], at: usize| cells.get(at).copied().unwrap_or(usize::MAX);
            let next = column.saturating_add(1);
            let mut best = cell(&last, column).saturating_add(usize::from(ca != cb));
            best = best.min(cell(&last, next).saturating_add(1)).min(cell(&current, column).saturating_add(1));
            if previous_a == Some(cb) && previous_b == Some(ca) {
                best = best.min(cell(&before_last, column.saturating_sub(1)).saturating_add(1));
            }
            current.push(best);
            previous_b = Some(cb);
        }
        previous_a = Some(ca);
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_swap_insert_delete_and_replace_as_one_slip() {
        assert_eq!(distance("tpc", "tcp"), 1);
        assert_eq!(distance("uint", "unit"), 1);
        assert_eq!(distance("unt", "unit"), 1);
        assert_eq!(distance("units", "unit"), 1);
        assert_eq!(distance("unat", "unit"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn suggests_nothing_for_an_unrelated_word() {
        assert_eq!(nearest("colour", ["tcp", "serial", "baud"]), None);
        assert_eq!(nearest("x", ["a"]), None);
    }

    #[test]
    fn suggests_the_nearest_of_several_and_ignores_case() {
        assert_eq!(nearest("serail", ["seal", "serial"]), Some("serial"));
        assert_eq!(nearest("Serial", ["serial"]), Some("serial"));
    }
}
