//! A table of the configuration while it is read: each key that is asked for is known, all others are mistakes.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::errors::Errors;

/// A value and the line where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lined<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) struct Section<'a, 't> {
    name: String,
    table: &'a DeTable<'t>,
    // Where the table begins; for keys that are missing.
    start: usize,
    known: Vec<&'static str>,
    errors: &'a Errors<'t>,
}

impl<'a, 't> Section<'a, 't> {
    pub(super) fn new(name: String, table: &'a DeTable<'t>, start: usize, errors: &'a Errors<'t>) -> Self {
        Section { name, table, start, known: Vec::new(), errors }
    }

    pub(super) fn errors(&self) -> &'a Errors<'t> {
        self.errors
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn line(&self) -> usize {
        self.errors.line(self.start)
    }

    pub(super) fn rename(&mut self, name: String) {
        self.name = name;
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.iter().find(|(found, _)| found.get_ref() == key).map(|(_, value)| value)
    }

    fn refuse_value(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let shown = self.errors.excerpt(value.span());
        self.errors.add(value.span().start, &self.name, &format!("{key} = {shown}: expected {expected}"));
    }

    /// A mistake in the value of a key that is there.
    pub(super) fn refuse(&self, key: &str, expected: &str) {
        if let Some((_, value)) = self.table.iter().find(|(found, _)| found.get_ref() == key) {
            self.refuse_value(key, value, expected);
        }
    }

    /// A key that is missing; one that is there has had its mistake told.
    pub(super) fn want(&self, key: &str, expected: &str) {
        if !self.table.iter().any(|(found, _)| found.get_ref() == key) {
            self.errors.add(self.start, &self.name, &format!("{key} is missing: expected {expected}"));
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(found, _)| found.get_ref() == key)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<Lined<String>> {
        let value = self.value(key)?;
        let line = self.errors.line(value.span().start);
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(Lined { value: text.clone().into_owned(), line }),
            _ => {
                self.refuse_value(key, value, "a text that is not empty, in quotes");
                None
            }
        }
    }

    pub(super) fn path(&mut self, key: &'static str) -> Option<Lined<PathBuf>> {
        self.text(key).map(|Lined { value, line }| Lined { value: value.into(), line })
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Vec<Lined<String>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.refuse_value(key, value, "a list of texts, such as [\"background\"]");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Lined { value: text.to_owned(), line: self.errors.line(item.span().start) }),
                None => self.refuse_value(key, item, "a text in quotes"),
            }
        }
        texts
    }

    pub(super) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>, expected: &str) -> Option<u64> {
        let value = self.value(key)?;
        let number = value.get_ref().as_integer();
        let number = number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse_value(key, value, expected);
        }
        number
    }

    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<f64>, expected: &str) -> Option<f64> {
        let value = self.value(key)?;
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
            }
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse_value(key, value, expected);
        }
        number
    }

    pub(super) fn seconds(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<Duration> {
        let expected = format!("{} to {} seconds", range.start(), range.end());
        self.number(key, range, &expected).map(Duration::from_secs_f64)
    }

    /// A number of bytes, plain or with a unit.
    pub(super) fn bytes(&mut self, key: &'static str) -> Option<u64> {
        const EXPECTED: &str =
            "a number of bytes that is not 0, such as 65536 or \"64 MB\" (kB, MB, GB; KiB, MiB, GiB)";
        let value = self.value(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(text) => parse_bytes(text),
            _ => None,
        };
        let number = number.filter(|&number| number > 0);
        if number.is_none() {
            self.refuse_value(key, value, EXPECTED);
        }
        number
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.refuse_value(key, value, "true or false");
        }
        boolean
    }

    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        let found = choices.iter().find(|(name, _)| Some(*name) == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let hint = text.and_then(|text| nearest(text, names.iter().copied()));
            let hint = hint.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
            self.refuse_value(key, value, &format!("one of {}{hint}", names.join(", ")));
        }
        found
    }

    /// A table within this one.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a, 't>> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.inner(key, table, value.span().start)),
            None => {
                self.refuse_value(key, value, "a table of keys");
                None
            }
        }
    }

    /// A table within this one, or a text that stands for its key `short`.
    pub(super) fn section_or_text(&mut self, key: &'static str) -> Option<Result<Section<'a, 't>, Lined<String>>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Ok(self.inner(key, table, value.span().start))),
            DeValue::String(text) => {
                Some(Err(Lined { value: text.clone().into_owned(), line: self.errors.line(value.span().start) }))
            }
            _ => {
                self.refuse_value(key, value, "a text in quotes, or a table of keys");
                None
            }
        }
    }

    /// The tables of a list of tables.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a, 't>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.refuse_value(key, value, &format!("a list of tables, each under [[{key}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => sections.push(self.inner(key, table, item.span().start)),
                None => self.refuse_value(key, item, "a table of keys"),
            }
        }
        sections
    }

    fn inner(&self, key: &str, table: &'a DeTable<'t>, start: usize) -> Section<'a, 't> {
        let full_stop = if self.name.is_empty() { "" } else { "." };
        Section::new(format!("{}{full_stop}{key}", self.name), table, start, self.errors)
    }

    /// A value that serde reads, with its first mistake.
    pub(super) fn deserialize<S: DeserializeOwned>(&mut self, key: &'static str) -> Option<S> {
        let Some(value) = self.value(key) else {
            self.want(key, "a table of keys");
            return None;
        };
        match S::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(read) => Some(read),
            Err(error) => {
                let start = error.span().map_or(value.span().start, |span| span.start);
                let message = error.message().trim_end();
                let hint = serde_hint(message);
                self.errors.add(start, key, &format!("{message}{hint}"));
                None
            }
        }
    }

    /// All keys that were not asked for are mistakes.
    pub(super) fn finish(self) {
        for (key, _) in self.table.iter() {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let hint = match nearest(name, self.known.iter().copied()) {
                    Some(known) => format!("did you mean {known}?"),
                    None => format!("known are {}", self.known.join(", ")),
                };
                self.errors.add(key.span().start, &self.name, &format!("unknown key {name:?}; {hint}"));
            }
        }
    }
}

/// The known name that serde's message of an unknown one lists and that is nearest to it.
fn serde_hint(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let (true, Some(found)) = (message.starts_with("unknown "), names.next()) else { return String::new() };
    nearest(found, names).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The name that takes the fewest changes of letters, where these are few.
pub(super) fn nearest<'n>(found: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // A name that is much longer than any known one is near to none.
    if found.len() > 64 {
        return None;
    }
    let allowed = 1 + found.chars().count() / 3;
    let distances = names.map(|name| (distance(found, name), name));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How many letters have to be put in, taken out or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, &wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != wanted);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(row[at + 1] + 1);
        }
    }
    row[other.len()]
}

fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("", 1),
        ("kB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit.trim()).map(|(_, factor)| *factor)?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}
