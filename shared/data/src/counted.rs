//! Numbers of things, for messages.

/// A number and a noun, such as `1 image` or `2 images`.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
