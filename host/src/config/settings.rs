//! A configuration as a flat list of settings, to compare runs and to show where they differ.

use std::collections::BTreeMap;

use super::RunConfig;

/// Each key of the configuration's file, such as `training.loss`, with its value as text. Optional keys that the file does not
/// name are absent.
pub fn settings(config: &RunConfig) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Ok(table) = toml::Table::try_from(config) {
        flatten("", &table, &mut found);
    }
    found
}

fn flatten(prefix: &str, table: &toml::Table, found: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&path, table, found),
            value => {
                found.insert(path, text(value));
            }
        }
    }
}

fn text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// The keys whose values differ, each with the values of both; a key that one does not name is `not set`.
pub fn differences(one: &RunConfig, other: &RunConfig) -> Vec<(String, String, String)> {
    let (one, other) = (settings(one), settings(other));
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let value = |of: &BTreeMap<String, String>, key| of.get(key).map_or_else(|| "not set".to_owned(), Clone::clone);
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
