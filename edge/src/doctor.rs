//! Checks everything that a configuration names, and the machine itself; reports the state of each, what was found, and what to
//! do. Changes nothing: requests no pin, configures no camera, writes no file.

mod disk;
mod health;
mod package;
mod pins;
mod source;
mod watchdog;

use std::ffi::OsString;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use unet_shared::image::SIDE_MAX;

use crate::board::{BoardError, ChipInfo};
use crate::config::{Config, ConfigErrors};
use unet_data::counted;
use unet_engine::machine::Roots;

/// State of a checked subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It cannot be determined here.
    Unknown,
    /// The program runs, but not as well as it could, or not for long.
    Warning,
    /// The program cannot run.
    Problem,
}

impl Verdict {
    /// As the report spells it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Unknown => "unknown",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        }
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The state.
    pub verdict: Verdict,
    /// What was checked.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do; always present for warnings and problems.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Ok, subject: subject.into(), found: found.into(), advice: None }
    }

    fn unknown(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Unknown, ..Finding::ok(subject, found) }
    }

    fn warning(subject: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Warning, advice: Some(advice.into()), ..Finding::ok(subject, found) }
    }

    fn problem(subject: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Problem, advice: Some(advice.into()), ..Finding::ok(subject, found) }
    }
}

/// Inputs of the checks that are not below [`Roots`].
#[derive(Debug)]
pub struct Environment {
    /// The GPIO chips.
    pub chips: Result<Vec<ChipInfo>, BoardError>,
    /// Where programs are searched, in the format of `PATH`.
    pub programs: OsString,
    /// Time since 1970.
    pub now: Duration,
    /// How often the service manager expects a heartbeat, if it does.
    pub watchdog: Option<Duration>,
}

/// Runs all checks. Without a configuration, only those that apply to every board.
pub fn examine(
    roots: &Roots,
    environment: &Environment,
    config: Option<&Result<Config, ConfigErrors>>,
) -> Vec<Finding> {
    let mut findings = vec![health::board(roots)];
    if let Some(config) = config {
        findings.extend(configuration(config));
    }
    let config = config.and_then(|config| config.as_ref().ok());
    findings.extend(package::examine(config));
    findings.extend(source::examine(roots, &environment.programs, config.map(|config| config.source.requirement())));
    findings.extend(config.map(|config| watchdog::examine(environment.watchdog, config)));
    findings.extend(pins::examine(roots, &environment.chips, &config.map(pins::of_config).unwrap_or_default()));
    findings.extend(disk::examine(&config.map(|config| disk::of_outputs(&config.outputs)).unwrap_or_default()));
    findings.push(health::memory(roots));
    findings.push(health::temperature(roots));
    findings.push(health::throttling(roots));
    findings.extend(health::processor(roots));
    findings.push(health::clock(environment.now));
    findings
}

fn configuration(config: &Result<Config, ConfigErrors>) -> Vec<Finding> {
    const SUBJECT: &str = "configuration";
    match config {
        Ok(config) => {
            let (rules, pins) = (config.rules.len(), pins::of_config(config).len());
            let ok = Finding::ok(SUBJECT, format!("can be read; rules {rules}, pins {pins}"));
            let note = |crate::config::ConfigError { line, problem }| {
                let advice = "fix the threshold, or remove the rule";
                Finding::warning(SUBJECT, format!("line {line}: {problem}"), advice)
            };
            let constant = config.constant_conditions((SIDE_MAX as u64).pow(2)).into_iter().map(note);
            std::iter::once(ok).chain(constant).collect()
        }
        Err(errors) => {
            let problem = |error: &crate::config::ConfigError| {
                let (place, advice) = match error.line {
                    0 => (errors.file.clone(), "fix the path"),
                    line => {
                        (format!("{}:{line}", errors.file), "fix this line; unet-edge.example.toml shows every key")
                    }
                };
                Finding::problem(SUBJECT, format!("{place}: {}", error.problem), advice)
            };
            errors.errors.iter().map(problem).collect()
        }
    }
}

/// The findings as text, with advice below each.
pub fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { verdict, subject, found, advice } in findings {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<8} {subject:<width$}  {found}", verdict.name());
        if let Some(advice) = advice {
            let _ = writeln!(text, "{:<8} {:<width$}  -> {advice}", "", "");
        }
    }
    text
}

/// How many problems and warnings there are, in words.
pub fn summary(findings: &[Finding]) -> String {
    let [problems, warnings] = [(Verdict::Problem, "problem"), (Verdict::Warning, "warning")]
        .map(|(verdict, noun)| counted(count(findings, verdict), noun));
    format!("{problems}, {warnings}")
}

/// How many findings have this verdict.
pub fn count(findings: &[Finding], verdict: Verdict) -> usize {
    findings.iter().filter(|finding| finding.verdict == verdict).count()
}

#[cfg(test)]
pub(crate) mod tests;
