//! A configuration as a flat list of settings, to compare runs and to show where they differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::RunConfig;

/// Each key of the configuration's file, such as `training.loss`, with its value as text. Optional keys that the file does not
/// name are absent.
pub fn settings(config: &RunConfig) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // Through text, so that numbers are those of the file; JSON's have all 64 bits, while a TOML value has 63.
    let text = serde_json::to_string(config).unwrap_or_default();
    flatten("", &serde_json::from_str(&text).unwrap_or_default(), &mut found);
    found
}

fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, found);
            }
        }
        Value::Null => {}
        value => {
            found.insert(path.to_owned(), text(value));
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// The value of a key that a configuration does not name.
pub const NOT_SET: &str = "not set";

/// The keys whose values differ, each with the values of both; a key that one does not name is [`NOT_SET`].
pub fn differences(one: &RunConfig, other: &RunConfig) -> Vec<(String, String, String)> {
    let (one, other) = (settings(one), settings(other));
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let value = |of: &BTreeMap<String, String>, key| of.get(key).map_or_else(|| NOT_SET.to_owned(), Clone::clone);
    keys.into_iter()
        .map(|key| (key.clone(), value(&one, key), value(&other, key)))
        .filter(|(_, one, other)| one != other)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_by_hand() {
        let one = RunConfig { seed: 3, ..RunConfig::default() };
        let mut other = RunConfig { fold: Some("1/5".parse().unwrap()), ..one.clone() };
        assert_eq!(differences(&one, &one), []);
        let largest = RunConfig { seed: u64::MAX, ..one.clone() };
        assert_eq!(differences(&one, &largest), [("seed".to_owned(), "3".to_owned(), u64::MAX.to_string())]);
        other.training.epochs = 7;
        other.training.class_weights = vec![0.5, 1.5];
        other.training.augmentation.flips.vertical = true;
        let expected = [
            ("fold", "not set", "1/5"),
            ("training.class_weights", "", "0.5,1.5"),
            ("training.epochs", "40", "7"),
            ("training.flips.vertical", "false", "true"),
        ];
        let expected: Vec<_> = expected.map(|(key, a, b)| (key.to_owned(), a.to_owned(), b.to_owned())).into();
        assert_eq!(differences(&one, &other), expected);
    }
}
