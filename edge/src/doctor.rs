//! What stands between a board and its work: looks at all that a configuration names, and at the machine itself, and says of each
//! thing how it is, what was found, and what to do. Changes nothing: no pin is taken, no camera set, no file written.

mod disk;
mod health;
mod package;
mod pins;
mod source;

use std::ffi::OsString;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::board::{BoardError, ChipInfo};
use crate::config::{Config, ConfigErrors};
use unet_engine::machine::Roots;

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Nothing here tells.
    Unknown,
    /// The work goes on, but not as well as it could, or not for long.
    Warning,
    /// The work cannot be done.
    Problem,
}

impl Verdict {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Unknown => "unknown",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        }
    }
}

/// What is said of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// Which thing.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do; never missing at a warning or a problem.
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

/// What is looked at and cannot be asked of [`Roots`].
#[derive(Debug)]
pub struct Surroundings {
    /// What the kernel says of the GPIO chips.
    pub chips: Result<Vec<ChipInfo>, BoardError>,
    /// Where programs are looked for, as the variable `PATH` has it.
    pub programs: OsString,
    /// The time since 1970, by the system's clock.
    pub now: Duration,
}

/// Looks at all of it. Without a configuration only at what every board has.
pub fn examine(
    roots: &Roots,
    surroundings: &Surroundings,
    config: Option<&Result<Config, ConfigErrors>>,
) -> Vec<Finding> {
    let mut findings = vec![health::board(roots)];
    if let Some(config) = config {
        findings.extend(configuration(config));
    }
    let config = config.and_then(|config| config.as_ref().ok());
    findings.extend(package::examine(config));
    findings.extend(source::examine(roots, &surroundings.programs, config.map(|config| config.source.requirement())));
    findings.extend(pins::examine(roots, &surroundings.chips, &config.map(pins::of_config).unwrap_or_default()));
    findings.extend(disk::examine(&config.map(|config| disk::of_outputs(&config.outputs)).unwrap_or_default()));
    findings.push(health::memory(roots));
    findings.push(health::temperature(roots));
    findings.push(health::throttling(roots));
    findings.extend(health::processor(roots));
    findings.push(health::clock(surroundings.now));
    findings
}

fn configuration(config: &Result<Config, ConfigErrors>) -> Vec<Finding> {
    const SUBJECT: &str = "configuration";
    match config {
        Ok(config) => {
            let (rules, pins) = (config.rules.len(), pins::of_config(config).len());
            vec![Finding::ok(SUBJECT, format!("every line is understood; rules {rules}, pins {pins}"))]
        }
        Err(errors) => {
            let problem = |error: &crate::config::ConfigError| {
                let (place, advice) = match error.line {
                    0 => (errors.file.clone(), "put its path right"),
                    line => (format!("{}:{line}", errors.file), "put it right; unet-edge.example.toml shows every key"),
                };
                Finding::problem(SUBJECT, format!("{place}: {}", error.problem), advice)
            };
            errors.errors.iter().map(problem).collect()
        }
    }
}

/// Findings as lines, what to do below each, and their number at the end.
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
    let [warnings, problems] = [Verdict::Warning, Verdict::Problem].map(|verdict| count(findings, verdict));
    let _ = writeln!(text, "problems {problems}, warnings {warnings}");
    text
}

/// How many findings have this verdict.
pub fn count(findings: &[Finding], verdict: Verdict) -> usize {
    findings.iter().filter(|finding| finding.verdict == verdict).count()
}

#[cfg(test)]
pub(crate) mod tests;
