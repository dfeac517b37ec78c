//! Reading one table of the configuration. Every section is read this way, `[source]` included: each key that is asked for is
//! known, every other key is an error, and all errors are collected, each with its line.

mod errors;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use unet_data::any_of;

pub(crate) use errors::Errors;
pub use errors::{ConfigError, ConfigErrors};

/// A value and its line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lined<T> {
    pub(crate) value: T,
    pub(crate) line: usize,
}

/// A table, the keys asked for so far, and where its errors go.
#[derive(Debug)]
pub(crate) struct Section<'a, 't> {
    name: String,
    // `None` for a table that is absent and has only defaults.
    table: Option<&'a DeTable<'t>>,
    // Byte offset of the table; missing keys are reported there.
    start: usize,
    known: Vec<&'static str>,
    errors: &'a Errors<'t>,
}

impl<'a, 't> Section<'a, 't> {
    pub(crate) fn new(name: String, table: Option<&'a DeTable<'t>>, start: usize, errors: &'a Errors<'t>) -> Self {
        Section { name, table, start, known: Vec::new(), errors }
    }

    pub(crate) fn errors(&self) -> &'a Errors<'t> {
        self.errors
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn line(&self) -> usize {
        self.errors.line(self.start)
    }

    pub(crate) fn rename(&mut self, name: String) {
        self.name = name;
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.table?.iter().find(|(found, _)| found.get_ref() == key).map(|(_, value)| value)
    }

    fn refuse_value(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        self.add(key, value, &format!("expected {expected}"));
    }

    fn add(&self, key: &str, value: &Spanned<DeValue<'_>>, problem: &str) {
        let shown = self.errors.excerpt(value.span());
        self.errors.add(value.span().start, &self.name, &format!("{key} = {shown}: {problem}"));
    }

    /// Reports the value of a key that is present.
    pub(crate) fn refuse(&self, key: &str, expected: &str) {
        self.refuse_with(key, &format!("expected {expected}"));
    }

    /// Reports the value of a key that is present, with a whole message.
    pub(crate) fn refuse_with(&self, key: &str, problem: &str) {
        if let Some(value) = self.find(key) {
            self.add(key, value, problem);
        }
    }

    /// Reports a key that is missing.
    pub(crate) fn require(&self, key: &str, expected: &str) {
        if !self.has(key) {
            self.errors.add(self.start, &self.name, &format!("{key} is missing: expected {expected}"));
        }
    }

    /// The line of a key that is present.
    pub(crate) fn key_line(&self, key: &str) -> Option<usize> {
        self.find(key).map(|value| self.errors.line(value.span().start))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<Lined<String>> {
        let value = self.value(key)?;
        let line = self.errors.line(value.span().start);
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(Lined { value: text.clone().into_owned(), line }),
            _ => {
                self.refuse_value(key, value, "a non-empty string in quotes");
                None
            }
        }
    }

    pub(crate) fn path(&mut self, key: &'static str) -> Option<Lined<PathBuf>> {
        self.text(key).map(|Lined { value, line }| Lined { value: value.into(), line })
    }

    /// A list of strings; `example` shows one.
    pub(crate) fn texts(&mut self, key: &'static str, example: &str) -> Option<Vec<Lined<String>>> {
        let value = self.value(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.refuse_value(key, value, &format!("a list of strings, such as {example}"));
            return None;
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str() {
                Some(text) => texts.push(Lined { value: text.to_owned(), line: self.errors.line(item.span().start) }),
                None => self.refuse_value(key, item, "a string in quotes"),
            }
        }
        (texts.len() == items.len()).then_some(texts)
    }

    pub(crate) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>, expected: &str) -> Option<u64> {
        let value = self.value(key)?;
        let number = value.get_ref().as_integer();
        let number = number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse_number(key, value, expected);
        }
        number
    }

    /// Reports a value that is not one of the expected numbers.
    fn refuse_number(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        match value.get_ref() {
            DeValue::String(text) if text.parse::<f64>().is_ok() => {
                self.add(key, value, &format!("expected {expected}, without quotes: {key} = {text}"));
            }
            DeValue::String(_) => self.add(key, value, &format!("expected {expected}: a number without quotes")),
            _ => self.refuse_value(key, value, expected),
        }
    }

    pub(crate) fn number(&mut self, key: &'static str, range: RangeInclusive<f64>, expected: &str) -> Option<f64> {
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
            self.refuse_number(key, value, expected);
        }
        number
    }

    pub(crate) fn seconds(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Option<Duration> {
        let expected = format!("{} to {} seconds", range.start(), range.end());
        self.number(key, range, &expected).map(Duration::from_secs_f64)
    }

    /// A number of bytes, with or without a unit.
    pub(crate) fn bytes(&mut self, key: &'static str) -> Option<u64> {
        const EXPECTED: &str = "a number of bytes above 0, such as 65536 or \"64 MB\" (kB, MB, GB; KiB, MiB, GiB)";
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

    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.refuse_value(key, value, "true or false");
        }
        boolean
    }

    pub(crate) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let value = self.value(key)?;
        let text = value.get_ref().as_str();
        let found = choices.iter().find(|(name, _)| Some(*name) == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let names = choices.iter().map(|(name, _)| *name);
            let hint = text.and_then(|text| nearest(text, names.clone()));
            let hint = hint.map_or_else(String::new, |name| format!("; did you mean {name:?}?"));
            self.refuse_value(key, value, &format!("{}{hint}", any_of(names)));
        }
        found
    }

    /// The choice that a wrong value probably means: the one that [`Section::choice`] suggests.
    pub(crate) fn suggested<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let name = nearest(self.find(key)?.get_ref().as_str()?, choices.iter().map(|(name, _)| *name))?;
        choices.iter().find(|(known, _)| *known == name).map(|(_, choice)| *choice)
    }

    /// A table within this one.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'a, 't>> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(self.inner(key, table, value.span().start)),
            None => {
                self.refuse_value(key, value, "a table of keys");
                None
            }
        }
    }

    /// As [`Section::section`]; a table that is absent or malformed has only defaults.
    pub(crate) fn section_or_empty(&mut self, key: &'static str) -> Section<'a, 't> {
        let (start, errors) = (self.start, self.errors);
        self.section(key).unwrap_or_else(|| Section::new(key.to_owned(), None, start, errors))
    }

    /// A table within this one, or a string in its place.
    pub(crate) fn section_or_text(&mut self, key: &'static str) -> Option<Result<Section<'a, 't>, Lined<String>>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Ok(self.inner(key, table, value.span().start))),
            DeValue::String(text) => {
                Some(Err(Lined { value: text.clone().into_owned(), line: self.errors.line(value.span().start) }))
            }
            _ => {
                self.refuse_value(key, value, "a string in quotes or a table of keys");
                None
            }
        }
    }

    /// The tables of a list of tables.
    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Section<'a, 't>> {
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
        let separator = if self.name.is_empty() { "" } else { "." };
        Section::new(format!("{}{separator}{key}", self.name), Some(table), start, self.errors)
    }

    /// The keys that `read` asks for, whether or not they are present. What it finds wrong is not reported.
    pub(crate) fn keys_of<T>(read: impl FnOnce(&mut Section<'_, '_>) -> T) -> Vec<&'static str> {
        let errors = Errors::new("", "");
        let mut section = Section::new(String::new(), None, 0, &errors);
        read(&mut section);
        section.known
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(self) {
        self.finish_with(|_| None);
    }

    /// As [`Section::finish`]; of a key that is valid elsewhere, `elsewhere` says where instead of a guess at what was meant.
    pub(crate) fn finish_with(self, elsewhere: impl Fn(&str) -> Option<String>) {
        for (key, _) in self.table.into_iter().flat_map(DeTable::iter) {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let problem = elsewhere(name).unwrap_or_else(|| {
                let hint = match nearest(name, self.known.iter().copied()) {
                    Some(known) => format!("did you mean {known}?"),
                    None => format!("known keys are {}", self.known.join(", ")),
                };
                format!("unknown key {name:?}; {hint}")
            });
            self.errors.add(key.span().start, &self.name, &problem);
        }
    }
}

/// The name with the smallest edit distance, ignoring case, if that is small.
pub(crate) fn nearest<'n>(found: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Longer than every known name.
    if found.len() > 64 {
        return None;
    }
    let allowed = 1 + found.chars().count() / 3;
    let found = found.to_lowercase();
    let distances = names.map(|name| (distance(&found, &name.to_lowercase()), name));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The Levenshtein distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, &expected) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != expected);
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn read<T>(text: &str, read: fn(&mut Section<'_, '_>) -> Option<T>) -> Result<T, Vec<String>> {
        let errors = Errors::new("file", text);
        let (table, malformed) = DeTable::parse_recoverable(text);
        assert!(malformed.is_empty(), "{malformed:?}");
        let mut section = Section::new("section".to_owned(), Some(table.get_ref()), 0, &errors);
        let value = read(&mut section);
        section.finish();
        let errors = errors.finish().errors;
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => Err(errors.into_iter().map(|ConfigError { line, problem }| format!("{line}: {problem}")).collect()),
        }
    }

    /// What a section without errors is read into.
    pub(crate) fn read_ok<T>(text: &str, reader: fn(&mut Section<'_, '_>) -> Option<T>) -> T {
        read(text, reader).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    /// The errors of a section, each with its line.
    pub(crate) fn problems<T>(text: &str, reader: fn(&mut Section<'_, '_>) -> Option<T>) -> Vec<String> {
        read(text, reader).err().unwrap_or_default()
    }

    #[test]
    fn bytes_may_have_a_unit() {
        let bytes = |value: &str| read(&format!("key = {value}"), |section| section.bytes("key")).ok();
        assert_eq!(bytes("65_536"), Some(65_536));
        assert_eq!(bytes("0x10"), Some(16));
        assert_eq!(bytes("\"3 kB\""), Some(3000));
        assert_eq!(bytes("\"2MiB\""), Some(2 << 20));
        for refused in ["0", "-1", "\"MB\"", "\"1 TB\"", "\"99999999999 GiB\"", "1.5", "\"\""] {
            assert_eq!(bytes(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_number_in_quotes_is_put_right() {
        let told = |value: &str| {
            let text = format!("width = {value}");
            problems(&text, |section| section.integer("width", 1..=900, "1 to 900 pixels")).join("\n")
        };
        let expected = "1: section: width = \"640\": expected 1 to 900 pixels, without quotes: width = 640";
        assert_eq!(told("\"640\""), expected);
        assert!(
            told("\"30/1\"").ends_with("expected 1 to 900 pixels: a number without quotes"),
            "{}",
            told("\"30/1\"")
        );
        assert!(told("901").ends_with("width = 901: expected 1 to 900 pixels"), "{}", told("901"));
        let rate = problems("rate = \"3e1\"", |section| section.number("rate", 0.0..=90.0, "0 to 90"));
        assert!(rate[0].ends_with("expected 0 to 90, without quotes: rate = 3e1"), "{rate:?}");
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        let near = |found: &str| nearest(found, ["mjpeg", "yuyv", "grey"].into_iter());
        assert_eq!([near("MJPG"), near("gray"), near("h264")], [Some("mjpeg"), Some("grey"), None]);
    }
}
