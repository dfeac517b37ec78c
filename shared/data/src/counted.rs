//! Numbers and lists of things, for messages.

use std::fmt::Display;

/// A number and a noun, such as `1 image`, `2 images` or `2 classes`.
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if noun.ends_with('s') { "es" } else { "s" };
    format!("{count} {noun}{}", one_or_many(count, "", ending))
}

/// The verb of a sentence about so many things, such as `is` or `are`.
pub fn one_or_many<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// A list of alternatives, such as `a`, `a or b` or `a, b or c`.
pub fn any_of<T: Display>(choices: impl IntoIterator<Item = T>) -> String {
    let mut choices: Vec<String> = choices.into_iter().map(|choice| choice.to_string()).collect();
    match (choices.pop(), choices.is_empty()) {
        (None, _) => String::new(),
        (Some(only), true) => only,
        (Some(last), false) => format!("{} or {last}", choices.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_and_verbs_agree_with_their_number() {
        let told = |count| format!("{} {}", counted(count, "image"), one_or_many(count, "is", "are"));
        assert_eq!([told(0), told(1), told(2)], ["0 images are", "1 image is", "2 images are"]);
        assert_eq!([counted(1, "class"), counted(2, "class")], ["1 class", "2 classes"]);
    }

    #[test]
    fn choices_are_listed_as_in_a_sentence() {
        assert_eq!(any_of([""; 0]), "");
        assert_eq!(any_of(["a"]), "a");
        assert_eq!(any_of(["a", "b"]), "a or b");
        assert_eq!(any_of([1, 2, 4]), "1, 2 or 4");
    }
}
