//! "Did you mean": the known name nearest to a wrong one.
//!
//! Invariant: a suggestion is close enough that a reader sees why it was made.

/// The known name nearest to `wrong`, if one is near: at most a third of its letters differ, case aside.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let limit = (wrong.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= limit && *distance < name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `` `a`, `b`, `c` `` for messages.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let known = ["within", "when", "every", "edge", "any"];
        assert_eq!(nearest("witin", known), Some("within"));
        assert_eq!(nearest("Within", known), Some("within"));
        assert_eq!(nearest("evrey", known), Some("every"));
        assert_eq!(nearest("replicas", known), None);
        assert_eq!(nearest("x", known), None);
    }
}
