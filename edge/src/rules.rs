//! Rules over masks: `area_percent > 0.5` of a class for 3 frames, with a separate threshold and count for deactivation. A state
//! machine without clock and pins: frames in, changes out. Allocates nothing after construction.

use std::fmt;
use std::str::FromStr;

use crate::postprocess::{Regions, Shares};

/// What is measured of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Share of the pixels in percent.
    AreaPercent,
    /// Number of regions.
    Regions,
    /// Pixels of the largest region, at the model's size.
    LargestArea,
}

impl Measure {
    /// All measures.
    pub const ALL: [Measure; 3] = [Measure::AreaPercent, Measure::Regions, Measure::LargestArea];

    /// As the configuration spells it.
    pub fn name(self) -> &'static str {
        match self {
            Measure::AreaPercent => "area_percent",
            Measure::Regions => "regions",
            Measure::LargestArea => "largest_area",
        }
    }

    /// The largest value in a mask of so many pixels; the smallest one is 0.
    pub fn max(self, pixels: u64) -> f64 {
        match self {
            Measure::AreaPercent => 100.0,
            Measure::Regions | Measure::LargestArea => pixels as f64,
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
    /// All comparisons; `>=` before its prefix `>`.
    const ALL: [Comparison; 4] = [Comparison::AtLeast, Comparison::AtMost, Comparison::Above, Comparison::Below];

    /// As the configuration spells it.
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
        }
    }

    /// Whether large values satisfy it.
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
    /// The threshold.
    pub threshold: f64,
}

impl Condition {
    /// Whether it holds for every value from 0 to `max`, or for none; `None` if that depends on the value.
    pub fn is_constant(&self, max: f64) -> Option<bool> {
        // Conditions are monotonic.
        match [0.0, max].map(|value| self.comparison.holds(value, self.threshold)) {
            [true, true] => Some(true),
            [false, false] => Some(false),
            _ => None,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.measure.name(), self.comparison.sign(), self.threshold)
    }
}

/// Text that is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct ConditionError {
    /// What was expected.
    pub expected: &'static str,
    /// What was found.
    pub found: String,
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let error = |expected, found: &str| ConditionError { expected, found: found.to_owned() };
        // A sign such as `=>` is one wrong sign, not a measure that ends in `=`.
        let at = text.find(['<', '>', '=']).ok_or_else(|| {
            error("a measure, then >, >=, < or <=, and a number, such as \"area_percent > 0.5\"", text)
        })?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let measure = Measure::ALL
            .into_iter()
            .find(|measure| measure.name() == name)
            .ok_or_else(|| error("area_percent, regions or largest_area", name))?;
        // Exists, since the text was split at its first character.
        let comparison = Comparison::ALL.into_iter().find(|comparison| rest.starts_with(comparison.sign()));
        let comparison = comparison.ok_or_else(|| error(">, >=, < or <=", rest))?;
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
    /// The class it applies to.
    pub class: u8,
    /// What activates it.
    pub condition: Condition,
    /// Consecutive frames that must satisfy the condition.
    pub for_frames: u32,
    /// Threshold for deactivation: an active rule stays active while the comparison holds with this threshold.
    pub release: f64,
    /// Consecutive frames that must fail it.
    pub release_frames: u32,
}

/// A rule that became active or inactive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Index of the rule.
    pub rule: usize,
    /// Its new state.
    pub active: bool,
    /// The measured value.
    pub value: f64,
}

/// State of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RuleState {
    /// Whether it is active.
    pub active: bool,
    /// The last measured value.
    pub value: f64,
    /// Consecutive frames in favour of the other state.
    frames: u32,
}

/// All rules and their states.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Rule>,
    states: Vec<RuleState>,
    changes: Vec<Change>,
}

impl Rules {
    /// All rules inactive.
    pub fn new(rules: Vec<Rule>) -> Self {
        let states = vec![RuleState::default(); rules.len()];
        let changes = Vec::with_capacity(rules.len());
        Rules { rules, states, changes }
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Evaluates a frame; returns the changes in the order of the rules.
    pub fn step(&mut self, shares: &Shares, regions: &Regions) -> &[Change] {
        self.changes.clear();
        for (index, (rule, state)) in self.rules.iter().zip(&mut self.states).enumerate() {
            let Condition { measure, comparison, threshold } = rule.condition;
            let value = measure.of(rule.class, shares, regions);
            state.value = value;
            let (differs, frames_needed) = if state.active {
                (!comparison.holds(value, rule.release), rule.release_frames)
            } else {
                (comparison.holds(value, threshold), rule.for_frames)
            };
            state.frames = if differs { state.frames.saturating_add(1) } else { 0 };
            if differs && state.frames >= frames_needed {
                state.active = !state.active;
                state.frames = 0;
                self.changes.push(Change { rule: index, active: state.active, value });
            }
        }
        &self.changes
    }

    /// Replaces the rules. Each keeps its state if the one before it at its place has its name and its class; returns which others
    /// became inactive.
    pub fn replace(&mut self, rules: Vec<Rule>) -> &[Change] {
        let before = std::mem::replace(self, Rules::new(rules));
        for (index, (old, state)) in before.rules.iter().zip(before.states).enumerate() {
            match self.rules.get(index) {
                Some(new) if new.name == old.name && new.class == old.class => self.states[index] = state,
                _ if state.active => self.changes.push(Change { rule: index, active: false, value: state.value }),
                _ => {}
            }
        }
        // Later frames allocate nothing.
        self.changes.reserve(self.rules.len().saturating_sub(self.changes.len()));
        &self.changes
    }

    /// Deactivates all rules, as when frames stop arriving; returns the changes.
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

    /// State of each rule.
    pub fn states(&self) -> &[RuleState] {
        &self.states
    }
}

#[cfg(test)]
mod tests;
