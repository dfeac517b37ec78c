//! Messages for arguments that the parser refuses, where its own do not say what to do.

use std::error::Error as _;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use unet_engine::error::expected_number;

/// What is wrong with the words of a command line, without the program's name, and what to do; `None` where the parser's message
/// says it.
pub fn explained(error: &clap::Error, words: &[String]) -> Option<String> {
    match error.kind() {
        ErrorKind::ArgumentConflict => resumed_with(&arguments(error)),
        ErrorKind::ValueValidation => {
            let Some(ContextValue::String(found)) = error.get(ContextKind::InvalidValue) else { return None };
            let expected = expected_number(&error.source()?.to_string(), found)?;
            let argument = arguments(error).into_iter().next()?;
            let flag = argument.split(' ').next()?;
            Some(format!("{flag}: {expected}, found {found}"))
        }
        ErrorKind::UnknownArgument => unknown(&arguments(error), words, error.get(ContextKind::SuggestedArg).is_some()),
        ErrorKind::MissingRequiredArgument => {
            let (verb, data) = (words.first()?, value_of("--data", words)?);
            let is_new = verb == "train" && !words.iter().any(|word| word.starts_with("--resume"));
            is_new.then(|| format!("--data goes with --resume RUN; for a new run: unet-host train {data}"))
        }
        _ => None,
    }
}

/// The value of a flag in the words of a command line.
fn value_of<'a>(flag: &str, words: &'a [String]) -> Option<&'a str> {
    let place = words.iter().position(|word| word.starts_with(flag))?;
    let value = words[place].strip_prefix(flag)?.strip_prefix('=');
    value.or_else(|| words.get(place + 1).map(String::as_str))
}

/// The message for a flag that a verb does not have, unless the parser knows a similar one.
fn unknown(arguments: &[String], words: &[String], is_similar: bool) -> Option<String> {
    let (flag, verb) = (arguments.first()?, words.first().filter(|word| !word.starts_with('-'))?);
    Some(match (flag.as_str(), verb.as_str()) {
        ("--data", "check") => {
            let data = value_of("--data", words).unwrap_or("DATA");
            format!("--data: a dataset is given without a flag: unet-host check {data}")
        }
        ("--data", "export" | "quantize" | "package") => {
            let data = value_of("--data", words).unwrap_or("DATA");
            format!(
                "--data: {verb} reads the dataset that the run names; save its new path there: unet-host train --resume RUN --data \
                 {data}"
            )
        }
        _ if let Some(meant) = meant(flag, verb) => format!("unexpected argument {flag}; did you mean {meant}?"),
        _ if is_similar || !flag.starts_with('-') => return None,
        _ => format!("unexpected argument {flag}; `unet-host {verb} --help` lists the arguments"),
    })
}

/// Flags of other training programs, and what they are called here.
const OTHER_NAMES: [(&str, &str); 17] = [
    ("--lr", "--learning-rate"),
    ("--wd", "--weight-decay"),
    ("--batch-size", "--batch"),
    ("--bs", "--batch"),
    ("--num-epochs", "--epochs"),
    ("--imgsz", "--size"),
    ("--img-size", "--size"),
    ("--image-size", "--size"),
    ("--device", "--backend"),
    ("--gpu", "--backend"),
    ("--cuda", "--backend"),
    ("--accelerator", "--backend"),
    // Where a verb writes one result, and where it makes runs.
    ("--out", "--output"),
    ("--out", "--runs"),
    ("--output", "--runs"),
    ("--output-dir", "--runs"),
    ("--project", "--runs"),
];

/// The flag of a verb that has another name in other programs.
fn meant(flag: &str, verb: &str) -> Option<&'static str> {
    let command = super::Arguments::command();
    let verb = command.find_subcommand(verb)?;
    let has = |meant: &str| verb.get_arguments().any(|argument| argument.get_long() == meant.strip_prefix("--"));
    OTHER_NAMES.iter().filter(|(other, _)| *other == flag).map(|(_, meant)| *meant).find(|meant| has(meant))
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
    if ["--base", "--depth", "--stem"].contains(&flag) {
        return Some(format!(
            "{flag} is fixed by the run that --resume continues; leave it out, or train a new run: unet-host train DATA {other} \
             (other shapes, so --from RUN would take hardly any weights)"
        ));
    }
    let again = if flag == "--from" { String::new() } else { format!(" {other}") };
    Some(format!(
        "{flag} is fixed by the run that --resume continues; leave it out, or start a new run from its weights: unet-host train \
         DATA --from RUN{again}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{Arguments, with_negative_numbers};
    use super::*;

    fn refused(words: &[&str]) -> Option<String> {
        let given: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let words = [&["unet-host"], words].concat();
        explained(&with_negative_numbers(Arguments::command()).try_get_matches_from(words).unwrap_err(), &given)
    }

    #[test]
    fn what_a_resumed_run_does_not_take_is_explained() {
        for words in [["--resume", "r", "--base", "8"], ["--base", "8", "--resume", "r"]] {
            let expected = "--base is fixed by the run that --resume continues; leave it out, or train a new run: unet-host \
                            train DATA --base <BASE> (other shapes, so --from RUN would take hardly any weights)";
            assert_eq!(refused(&[&["train"], &words[..]].concat()).unwrap(), expected);
        }
        let batch = refused(&["train", "--resume", "r", "--batch", "2"]).unwrap();
        assert!(
            batch.ends_with("a new run from its weights: unet-host train DATA --from RUN --batch <BATCH>"),
            "{batch}"
        );
        assert!(refused(&["train", "--resume", "r", "data"]).unwrap().contains("--data DATA"));
        let from = refused(&["train", "--resume", "r", "--from", "s"]).unwrap();
        assert!(from.ends_with("unet-host train DATA --from RUN"), "{from}");
        for flag in ["--seeds", "--folds"] {
            let series = refused(&["train", "--resume", "r", flag, "2"]).unwrap();
            assert!(series.starts_with(&format!("{flag} trains new runs")) && !series.contains("--from"), "{series}");
        }
        let unknown = "unexpected argument --unknown; `unet-host train --help` lists the arguments";
        assert_eq!(refused(&["train", "--unknown"]).as_deref(), Some(unknown));
        // The parser knows a similar one.
        assert_eq!(refused(&["train", "data", "--bse", "8"]), None);
        for (flag, meant) in [("--lr", "--learning-rate"), ("--device", "--backend"), ("--img-size", "--size")] {
            let expected = format!("unexpected argument {flag}; did you mean {meant}?");
            assert_eq!(refused(&["train", "data", flag, "1"]), Some(expected));
        }
        // Which this verb does not have.
        let unknown = "unexpected argument --device; `unet-host compare --help` lists the arguments";
        assert_eq!(refused(&["compare", "a", "b", "--device", "cuda"]).as_deref(), Some(unknown));
    }

    #[test]
    fn a_refused_number_is_named_with_those_allowed() {
        for (words, expected) in [
            (["--seed", "-1"], "--seed: expected a whole number of at least 0, found -1"),
            (["--base", "four"], "--base: expected a whole number, found four"),
            (["--threads", "0"], "--threads: expected 1 to 1024, found 0"),
            (["--learning-rate", "fast"], "--learning-rate: expected a number, found fast"),
        ] {
            assert_eq!(refused(&["train", "data", words[0], words[1]]).as_deref(), Some(expected));
        }
        // A value with its own parser has its own words.
        assert_eq!(refused(&["train", "data", "--channels", "2"]), None);
    }

    #[test]
    fn a_dataset_in_the_wrong_place_is_put_right() {
        for (words, expected) in [
            (&["train", "--data", "g"][..], "--data goes with --resume RUN; for a new run: unet-host train g"),
            (&["train", "--data=g"], "--data goes with --resume RUN; for a new run: unet-host train g"),
            (&["check", "--data", "g"], "--data: a dataset is given without a flag: unet-host check g"),
        ] {
            assert_eq!(refused(words).as_deref(), Some(expected), "{words:?}");
        }
        for verb in ["export", "quantize", "package"] {
            let message = refused(&[verb, "run", "--data", "g"]).unwrap();
            assert!(message.ends_with("unet-host train --resume RUN --data g"), "{message}");
        }
    }
}
