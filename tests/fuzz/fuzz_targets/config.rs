//! Arbitrary text as a configuration: parsing gives a configuration, or mistakes of one line each that name a line of
//! the text, and never panics. What is parsed can be resolved against any classes.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use unet_edge::config::{self, ConfigErrors};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else { return Corpus::Reject };
    match config::parse::<serde_json::Value>("fuzz.toml", text) {
        Ok(config) => {
            let resolved = config.resolve(&["background", "crack", "grain"]);
            if let Err(errors) = resolved {
                check(&errors, text);
            }
        }
        Err(errors) => check(&errors, text),
    }
    Corpus::Keep
});

fn check(errors: &ConfigErrors, text: &str) {
    assert!(!errors.errors.is_empty());
    // A mistake at the end of a text is in the line after its last line feed.
    let lines = 1 + text.bytes().filter(|&byte| byte == b'\n').count();
    for error in &errors.errors {
        assert!((1..=lines).contains(&error.line), "line {} of {lines}: {}", error.line, error.problem);
        assert!(!error.problem.contains('\n'), "{}", error.problem);
    }
    assert!(errors.errors.is_sorted_by_key(|error| error.line));
}
