//! What HTML and SVG share: escaped text.

/// Text as HTML and XML show it, in an element as well as in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            // XML allows no control character but these three, and neither of the two noncharacters.
            '\n' | '\t' | '\r' => out.push(character),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_by_hand() {
        assert_eq!(escape("a<b> & \"c\" 'd'\u{0}\n"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;\u{fffd}\n");
        assert_eq!(escape("\u{1b}\u{ffff}\u{4e2d}"), "\u{fffd}\u{fffd}\u{4e2d}");
    }
}
