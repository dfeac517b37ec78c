//! Rules over what a mask shows: `area_percent > 0.5` of a class for 3 frames, with another threshold and count for the way
//! back. A state machine without clock and pins: frames go in, changes come out. Allocates nothing after construction.

use std::fmt;
use std::str::FromStr;

use crate::postprocess::{Regions, Shares};

/// What of a class is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Its share of the pixels, in percent.
    AreaPercent,
    /// How many regions it has.
    Regions,
    /// Pixels of its largest region, at the model's size.
    LargestArea,
}

impl Measure {
    /// All of them.
    pub const ALL: [Measure; 3] = [Measure::AreaPercent, Measure::Regions, Measure::LargestArea];

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Measure::AreaPercent => "area_percent",
            Measure::Regions => "regions",
            Measure::LargestArea => "largest_area",
        }
    }

    fn of(self, class: u8, shares: &Shares, regions: &Regions) -> f64 {
        match self {
            Measure::AreaPercent => shares.percent(class),
            Measure::Regions => regions.of_class(class).count.into(),
            Measure::LargestArea => regions.of_class(class).largest_area.into(),
        }
    }
}

/// How a value is compared with a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

impl Comparison {
    /// All of them; a sign that another begins with comes after it.
    const ALL: [Comparison; 4] = [Comparison::AtLeast, Comparison::AtMost, Comparison::Above, Comparison::Below];

    /// As the configuration writes it.
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
        }
    }

    /// Whether large values meet it.
    pub fn is_upward(self) -> bool {
        matches!(self, Comparison::Above | Comparison::AtLeast)
    }

    fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Comparison::Above => value > threshold,
            Comparison::AtLeast => value >= threshold,
            Comparison::Below => value < threshold,
            Comparison::AtMost => value <= threshold,
        }
    }
}

/// A measure, a comparison and a threshold: `area_percent > 0.5`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// What is measured.
    pub measure: Measure,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub threshold: f64,
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.measure.name(), self.comparison.sign(), self.threshold)
    }
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct ConditionError {
    /// What could stand there.
    pub expected: &'static str,
    /// What stands there.
    pub found: String,
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let error = |expected, found: &str| ConditionError { expected, found: found.to_owned() };
        let at = text
            .find(['<', '>'])
            .ok_or_else(|| error("a measure, one of > >= < <=, and a number, such as \"area_percent > 0.5\"", text))?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let measure = Measure::ALL
            .into_iter()
            .find(|measure| measure.name() == name)
            .ok_or_else(|| error("area_percent, regions or largest_area", name))?;
        // There is one, since the text was cut at its first character.
        let comparison = Comparison::ALL.into_iter().find(|comparison| rest.starts_with(comparison.sign()));
        let comparison = comparison.ok_or_else(|| error("one of > >= < <=", rest))?;
        let number = rest[comparison.sign().len()..].trim();
        let threshold = number.parse().ok().filter(|threshold: &f64| threshold.is_finite());
        let threshold = threshold.ok_or_else(|| error("a number after the comparison", number))?;
        Ok(Condition { measure, comparison, threshold })
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name, for people and outputs.
    pub name: String,
    /// The class that it looks at.
    pub class: u8,
    /// What makes it active.
    pub condition: Condition,
    /// How many frames in a row have to meet the condition.
    pub for_frames: u32,
    /// The threshold for the way back: an active rule stays active as long as the comparison holds with this one.
    pub release: f64,
    /// How many frames in a row must not meet it any more.
    pub release_frames: u32,
}

/// A rule that became active, or is no longer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The rule, by its place.
    pub rule: usize,
    /// What it is now.
    pub active: bool,
    /// The value that decided.
    pub value: f64,
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RuleState {
    /// Whether it is active.
    pub active: bool,
    /// What was measured last.
    pub value: f64,
    /// Frames in a row that speak for the other state.
    frames: u32,
}

/// All rules with their states.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    states: Vec<RuleState>,
    changes: Vec<Change>,
}

impl Rules {
    /// All of them inactive.
    pub fn new(rules: Vec<Rule>) -> Self {
        let states = vec![RuleState::default(); rules.len()];
        let changes = Vec::with_capacity(rules.len());
        Rules { rules, states, changes }
    }

    /// Takes a frame in, and gives what changed, in the order of the rules.
    pub fn step(&mut self, shares: &Shares, regions: &Regions) -> &[Change] {
        self.changes.clear();
        for (index, (rule, state)) in self.rules.iter().zip(&mut self.states).enumerate() {
            let Condition { measure, comparison, threshold } = rule.condition;
            let value = measure.of(rule.class, shares, regions);
            state.value = value;
            let (against, frames_needed) = if state.active {
                (!comparison.holds(value, rule.release), rule.release_frames)
            } else {
                (comparison.holds(value, threshold), rule.for_frames)
            };
            state.frames = if against { state.frames.saturating_add(1) } else { 0 };
            if against && state.frames >= frames_needed {
                state.active = !state.active;
                state.frames = 0;
                self.changes.push(Change { rule: index, active: state.active, value });
            }
        }
        &self.changes
    }

    /// Makes all rules inactive, as when frames stop coming, and gives those that were not.
    pub fn reset(&mut self) -> &[Change] {
        self.changes.clear();
        for (index, state) in self.states.iter_mut().enumerate() {
            if state.active {
                self.changes.push(Change { rule: index, active: false, value: state.value });
            }
            *state = RuleState::default();
        }
        &self.changes
    }

    /// The rules, in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Where each stands.
    pub fn states(&self) -> &[RuleState] {
        &self.states
    }
}

#[cfg(test)]
mod tests;
