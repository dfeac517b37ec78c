//! Messages for arguments that the parser refuses, where its own do not say what to do.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is wrong and what to do; `None` where the parser's message says it.
pub fn explained(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::ArgumentConflict => resumed_with(&arguments(error)),
        ErrorKind::ValueValidation => {
            let expected = expected(&error.source()?.to_string())?;
            let argument = arguments(error).into_iter().next()?;
            let flag = argument.split(' ').next()?;
            let Some(ContextValue::String(found)) = error.get(ContextKind::InvalidValue) else { return None };
            Some(format!("{flag}: {expected}, found {found}"))
        }
        _ => None,
    }
}

/// The arguments that an error names, such as `--base <BASE>`.
fn arguments(error: &clap::Error) -> Vec<String> {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(argument)) => vec![argument.clone()],
        Some(ContextValue::Strings(arguments)) => arguments.clone(),
        _ => vec![],
    };
    [named(ContextKind::InvalidArg), named(ContextKind::PriorArg)].concat()
}

/// The message for an argument that `--resume` does not go with.
fn resumed_with(arguments: &[String]) -> Option<String> {
    let (resume, others): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with("--resume"));
    let other = others.first().filter(|_| !resume.is_empty())?;
    if !other.starts_with("--") {
        return Some(
            "--resume RUN: the run knows its dataset; leave DATA out, or give the folder that it was moved to: --data DATA"
                .to_owned(),
        );
    }
    let flag = other.split(' ').next()?;
    if ["--seeds", "--folds"].contains(&flag) {
        return Some(format!(
            "{flag} trains new runs, and --resume continues one; an interrupted series is continued by its own command, without \
             --resume"
        ));
    }
    let again = if flag == "--from" { String::new() } else { format!(" {other}") };
    Some(format!(
        "{flag} is fixed by the run that --resume continues; leave it out, or start a new run from its weights: unet-host train \
         DATA --from RUN{again}"
    ))
}

/// What the standard library's parsers and clap's ranges expect, from their words.
fn expected(cause: &str) -> Option<String> {
    Some(match cause {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "expected a whole number of at least 0".to_owned()
        }
        "number too large to fit in target type" => "expected a smaller whole number".to_owned(),
        "invalid float literal" | "cannot parse float from empty string" => "expected a number".to_owned(),
        _ => {
            let (low, high) = cause.split_once(" is not in ")?.1.split_once("..=")?;
            format!("expected {low} to {high}")
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::{Arguments, with_negative_numbers};
    use super::*;

    fn refused(words: &[&str]) -> Option<String> {
        let words = [&["unet-host"], words].concat();
        explained(&with_negative_numbers(Arguments::command()).try_get_matches_from(words).unwrap_err())
    }

    #[test]
    fn what_a_resumed_run_does_not_take_is_explained() {
        for words in [["--resume", "r", "--base", "8"], ["--base", "8", "--resume", "r"]] {
            let expected = "--base is fixed by the run that --resume continues; leave it out, or start a new run from its \
                            weights: unet-host train DATA --from RUN --base <BASE>";
            assert_eq!(refused(&[&["train"], &words[..]].concat()).unwrap(), expected);
        }
        assert!(refused(&["train", "--resume", "r", "data"]).unwrap().contains("--data DATA"));
        let from = refused(&["train", "--resume", "r", "--from", "s"]).unwrap();
        assert!(from.ends_with("unet-host train DATA --from RUN"), "{from}");
        for flag in ["--seeds", "--folds"] {
            let series = refused(&["train", "--resume", "r", flag, "2"]).unwrap();
            assert!(series.starts_with(&format!("{flag} trains new runs")) && !series.contains("--from"), "{series}");
        }
        assert_eq!(refused(&["train", "--unknown"]), None);
    }

    #[test]
    fn a_refused_number_is_named_with_those_allowed() {
        for (words, expected) in [
            (["--seed", "-1"], "--seed: expected a whole number of at least 0, found -1"),
            (["--threads", "0"], "--threads: expected 1 to 1024, found 0"),
            (["--learning-rate", "fast"], "--learning-rate: expected a number, found fast"),
        ] {
            assert_eq!(refused(&["train", "data", words[0], words[1]]).as_deref(), Some(expected));
        }
        // A value with its own parser has its own words.
        assert_eq!(refused(&["train", "data", "--channels", "2"]), None);
    }
}
