//! `[[rule]]`, and resolving class names against a package.

use super::pin::{self, Boards, OutputConfig};
use super::{Config, RegionsConfig};
use crate::postprocess::RegionsSpec;
use crate::rules::{Condition, Measure, Rule};
use crate::section::{ConfigError, ConfigErrors, Errors, Lined, Section, nearest};

const RULES_MAX: usize = 256;

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleConfig {
    /// Unique name.
    pub name: String,
    /// Name of the class.
    pub class: String,
    /// Line of the class name.
    pub class_line: usize,
    /// What activates it.
    pub condition: Condition,
    /// Line of the condition.
    pub condition_line: usize,
    /// Consecutive frames that must meet the condition.
    pub for_frames: u32,
    /// Threshold for deactivation.
    pub release: f64,
    /// Line of the threshold.
    pub release_line: usize,
    /// Consecutive frames that must fail the release threshold.
    pub release_frames: u32,
    /// Pin driven by the rule.
    pub output: Option<OutputConfig>,
}

/// Rules and regions with class ids in place of names.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The rules, in the order of the configuration.
    pub rules: Vec<Rule>,
    /// Which regions are reported.
    pub regions: RegionsSpec,
}

pub(super) fn read(sections: Vec<Section<'_, '_>>, boards: &Boards) -> Vec<RuleConfig> {
    let mut rules: Vec<RuleConfig> = Vec::new();
    for (index, mut section) in sections.into_iter().enumerate() {
        if index == RULES_MAX {
            let problem = format!("expected at most {RULES_MAX} rules");
            section.errors().add_at_line(section.line(), "rule", &problem);
            break;
        }
        let name = section.text("name");
        // A rule without a name is reported by its number.
        section.rename(
            name.as_ref().map_or_else(|| format!("rule {}", index + 1), |name| format!("rule {:?}", name.value)),
        );
        if name.as_ref().is_some_and(|name| rules.iter().any(|rule| rule.name == name.value)) {
            section.refuse("name", "a name that no other rule has");
        }
        section.require("name", "a unique name");
        section.require("class", "the name of a class of the package");
        section.require("condition", "a condition such as \"area_percent > 0.5\"");
        let class = section.text("class");
        let condition = section.text("condition").and_then(|text| match text.value.parse::<Condition>() {
            Ok(condition) => Some(Lined { value: condition, line: text.line }),
            Err(error) => {
                section.refuse_with("condition", &error.to_string());
                None
            }
        });
        let frames = 1..=u64::from(u32::MAX);
        let for_frames = section.integer("for", frames.clone(), "1 or more frames").unwrap_or(1) as u32;
        let release_frames = section.integer("release_for", frames, "1 or more frames");
        let release_frames = release_frames.map_or(for_frames, |frames| frames as u32);
        let release = section.number("release", f64::MIN..=f64::MAX, "a number");
        if let (Some(condition), Some(release)) = (&condition, release) {
            check_release(&section, condition.value, release);
        }
        let output = pin::output(&mut section, "output", boards);
        let release_line = section.key_line("release");
        section.finish();
        if let (Some(name), Some(Lined { value: class, line: class_line }), Some(condition)) = (name, class, condition)
        {
            let Lined { value: condition, line: condition_line } = condition;
            let release_line = release_line.unwrap_or(condition_line);
            let release = release.unwrap_or(condition.threshold);
            let name = name.value;
            rules.push(RuleConfig {
                name,
                class,
                class_line,
                condition,
                condition_line,
                for_frames,
                release,
                release_line,
                release_frames,
                output,
            });
        }
    }
    rules
}

/// The release threshold must not be beyond the threshold of the condition.
fn check_release(section: &Section<'_, '_>, condition: Condition, release: f64) {
    let threshold = condition.threshold;
    if condition.comparison.is_upward() && release > threshold {
        section.refuse("release", &format!("at most {threshold}, the threshold of the condition"));
    } else if !condition.comparison.is_upward() && release < threshold {
        section.refuse("release", &format!("at least {threshold}, the threshold of the condition"));
    }
}

impl Config {
    /// Conditions that never or always hold for masks of so many pixels, and thresholds of `release` that always hold, each with its
    /// line. The rules are valid, but probably not what is meant.
    pub fn constant_conditions(&self, pixels: u64) -> Vec<ConfigError> {
        self.rules.iter().filter_map(|rule| self.constant_condition(rule, pixels)).collect()
    }

    fn constant_condition(&self, rule: &RuleConfig, pixels: u64) -> Option<ConfigError> {
        let RuleConfig { name, class, condition, release, .. } = rule;
        let measure = condition.measure;
        let counts_regions = measure != Measure::AreaPercent;
        let (max, values) = if counts_regions && self.regions.without.iter().any(|(without, _)| without == class) {
            (0.0, format!("[regions] is without {class:?}, so {} is 0", measure.name()))
        } else {
            let max = measure.max(pixels);
            (max, format!("{} is 0 to {max}", measure.name()))
        };
        let note = |line, problem| Some(ConfigError { line, problem: format!("rule {name:?}: {problem}: {values}") });
        match condition.is_constant(max) {
            Some(true) => note(rule.condition_line, format!("condition = \"{condition}\" always holds")),
            Some(false) => note(rule.condition_line, format!("condition = \"{condition}\" can never hold")),
            None if (Condition { threshold: *release, ..*condition }).is_constant(max) == Some(true) => {
                note(rule.release_line, format!("release = {release} always holds, the rule stays active once it is"))
            }
            None => None,
        }
    }

    /// Replaces class names by ids. `classes` are the package's class names, ordered by id.
    ///
    /// # Errors
    ///
    /// Every name that is not a class of the package, with its line.
    pub fn resolve(&self, classes: &[&str]) -> Result<Resolved, ConfigErrors> {
        let errors = Errors::new(&self.file, "");
        let id = |name: &str, line: usize, place: &str| -> Option<u8> {
            let found = classes.iter().position(|class| *class == name).and_then(|id| u8::try_from(id).ok());
            if found.is_none() {
                let hint = nearest(name, classes.iter().copied());
                let hint = hint.map_or_else(String::new, |class| format!("; did you mean {class:?}?"));
                let problem = format!("expected a class of the package ({}), found {name:?}{hint}", classes.join(", "));
                errors.add_at_line(line, place, &problem);
            }
            found
        };
        let rules = self.rules.iter().filter_map(|rule| {
            let class = id(&rule.class, rule.class_line, &format!("rule {:?}: class", rule.name))?;
            Some(Rule {
                name: rule.name.clone(),
                class,
                condition: rule.condition,
                for_frames: rule.for_frames,
                release: rule.release,
                release_frames: rule.release_frames,
            })
        });
        let rules = rules.collect();
        let RegionsConfig { connectivity, regions_max, area_min, .. } = self.regions;
        let without = self.regions.without.iter();
        let without = without.filter_map(|(name, line)| id(name, *line, "regions: without")).collect();
        if errors.is_empty() {
            Ok(Resolved { rules, regions: RegionsSpec { connectivity, regions_max, area_min, without } })
        } else {
            Err(errors.finish())
        }
    }
}
