//! Whether the labels of a dataset are stored in one encoding. Each label is looked at by itself; where two cannot be read in
//! the same way, one of each is named, since whichever way is chosen, a class would be made of the other's pixels.

use std::collections::{BTreeMap, BTreeSet};

use unet_shared::label::LabelValue;

use crate::dataset_file::class_list;
use crate::histogram::as_colour;
use crate::label_facts::{Form, LabelFacts};

/// Two labels that cannot be read in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Index of one, and what it contains.
    pub one: (usize, String),
    /// Index of the other, and what it contains.
    pub other: (usize, String),
    /// What the user can do.
    pub remedy: String,
}

const BY_COLOURS: &str = "palette = \"colors\" in dataset.toml reads palettes by their colours";
/// How many pairs the message names; the class list has all.
const PAIRS_SHOWN: usize = 4;
const ONE_ENCODING: &str = "save all masks in one encoding";

/// An index and its colour in two labels that differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaletteDifference {
    /// The index.
    pub index: u8,
    /// The label with the first colour, and the colour.
    pub one: (usize, [u8; 3]),
    /// The label with the other colour, and the colour.
    pub other: (usize, [u8; 3]),
}

/// Grays up to this are too dark to be the colours of classes that a person tells apart.
const DARK: u8 = 31;

/// Whether a label of three channels has only dark grays: class ids, written into each channel.
fn has_ids_in_channels(file: &LabelFacts) -> bool {
    let is_dark = |value: LabelValue| matches!(value, LabelValue::Rgb([r, g, b]) if r == g && g == b && r <= DARK);
    let is_black = |value: LabelValue| value == LabelValue::Rgb([0; 3]);
    let mut values = file.values.iter().map(|(value, _)| as_colour(*value));
    file.form == Form::Colours && values.clone().all(is_dark) && !values.all(is_black)
}

/// Indices, colours and single numbers are three encodings; numbers may be the indices of other labels, or grays of colours.
pub fn forms(files: &[LabelFacts]) -> Option<Disagreement> {
    let coloured = |file: &&LabelFacts| {
        file.values.iter().any(|(value, _)| matches!(value, LabelValue::Rgb([r, g, b]) if r != g || g != b))
    };
    let colour = files.iter().find(|file| file.form == Form::Colours && coloured(file))?;
    let text = |file: &LabelFacts| (file.index, format!("the colours {}", shown(file)));
    if let Some(file) = files.iter().find(|file| file.form == Form::Indices && !file.has_plain_palette()) {
        let indices = (file.index, format!("a palette and the indices {}", shown(file)));
        return Some(Disagreement { one: text(colour), other: indices, remedy: BY_COLOURS.to_owned() });
    }
    if let Some(file) = files.iter().find(|file| has_ids_in_channels(file)) {
        let other = (file.index, format!("the dark grays {}", shown(file)));
        return Some(Disagreement { one: text(colour), other, remedy: ONE_ENCODING.to_owned() });
    }
    let mut known: BTreeSet<LabelValue> = BTreeSet::new();
    let in_colour = files.iter().filter(|file| file.form == Form::Colours);
    known.extend(in_colour.flat_map(|file| file.values.iter().map(|(value, _)| as_colour(*value))));
    let foreign = |file: &&LabelFacts| {
        file.form != Form::Colours && file.values.iter().any(|(value, _)| !known.contains(&as_colour(*value)))
    };
    let file = files.iter().find(foreign)?;
    let other = (file.index, format!("the gray values {}", shown(file)));
    let remedy =
        format!("{ONE_ENCODING}, or list the classes in dataset.toml, each with its colour and its gray value");
    Some(Disagreement { one: text(colour), other, remedy })
}

/// A colour that has one index in one label and another in another: the indices were given file by file.
pub fn palettes(files: &[LabelFacts]) -> Option<Disagreement> {
    let mut indices: BTreeMap<[u8; 3], (usize, Vec<u8>)> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.has_plain_palette()) {
        let mut here: BTreeMap<[u8; 3], Vec<u8>> = BTreeMap::new();
        for &(index, colour) in &file.palette {
            here.entry(colour).or_default().push(index);
        }
        for (colour, found) in here {
            let (first, known) = indices.entry(colour).or_insert_with(|| (file.index, found.clone()));
            if !known.iter().any(|index| found.contains(index)) {
                let text = |index: u8| format!("the colour {} at index {index}", LabelValue::Rgb(colour));
                let remedy = "palette = \"colors\" in dataset.toml reads palettes by their colours, palette = \"indices\" by their indices";
                return Some(Disagreement {
                    one: (*first, text(known[0])),
                    other: (file.index, text(found[0])),
                    remedy: remedy.to_owned(),
                });
            }
        }
    }
    None
}

/// An index whose colour is not the same in all palettes.
pub fn palette_difference(files: &[LabelFacts]) -> Option<PaletteDifference> {
    let mut colours: BTreeMap<u8, (usize, [u8; 3])> = BTreeMap::new();
    for file in files {
        for &(index, colour) in &file.palette {
            let one = *colours.entry(index).or_insert((file.index, colour));
            if one.1 != colour {
                return Some(PaletteDifference { index, one, other: (file.index, colour) });
            }
        }
    }
    None
}

/// Ids, grays of 8 bits such as 255, and values of 16 bits such as 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Ids,
    Grays,
    Deep,
}

impl Tier {
    fn of(value: u16) -> Self {
        match value {
            0..32 => Self::Ids,
            32..256 => Self::Grays,
            _ => Self::Deep,
        }
    }
}

/// The least distance of grays that are spread over the range, instead of counting up.
const SPREAD: u16 = 16;

/// Two labels whose values other than 0 are of different sizes, where no label has both: 0 and 1 in one, and 0 and 255 in the
/// other. `is_class` is true for the values that count.
pub fn scales(files: &[LabelFacts], is_class: impl Fn(LabelValue) -> bool) -> Option<Disagreement> {
    let grays = |file: &LabelFacts| -> Vec<u16> {
        let gray = |(value, _): &(LabelValue, _)| match *value {
            LabelValue::Gray(gray) if gray > 0 && is_class(*value) => Some(gray),
            _ => None,
        };
        file.values.iter().filter_map(gray).collect()
    };
    let grays: Vec<(&LabelFacts, Vec<u16>)> = files.iter().map(|file| (file, grays(file))).collect();
    let all: BTreeSet<u16> = grays.iter().flat_map(|(_, grays)| grays.iter().copied()).collect();
    for (low, high) in [(Tier::Ids, Tier::Grays), (Tier::Ids, Tier::Deep), (Tier::Grays, Tier::Deep)] {
        let has = |grays: &[u16], tier| grays.iter().any(|&gray| Tier::of(gray) == tier);
        if grays.iter().any(|(_, grays)| has(grays, low) && has(grays, high)) {
            continue;
        }
        let tier: Vec<u16> = all.iter().copied().filter(|&gray| Tier::of(gray) == high).collect();
        let spread = tier.windows(2).all(|pair| pair[1] - pair[0] >= SPREAD);
        let low_file = grays.iter().find(|(_, grays)| has(grays, low));
        let mut high_files = grays.iter().filter(|(_, grays)| has(grays, high));
        let high_file = high_files.clone().next();
        // Labels that are void everywhere, beside several classes.
        let ids = all.iter().filter(|&&gray| Tier::of(gray) == low).count();
        let void = low == Tier::Ids && tier == [255] && ids >= 2 && high_files.all(|(file, _)| file.values.len() == 1);
        if let (Some((one, _)), Some((other, _)), true, false) = (low_file, high_file, spread, void) {
            // Of tiers with as many values, the values in order are the same classes; of others it cannot be said which are.
            let lower = all.iter().copied().filter(|&gray| Tier::of(gray) == low);
            let pairs = lower.zip(tier.iter().copied()).filter(|_| ids == tier.len());
            let same: Vec<_> = pairs.map(|(a, b)| (LabelValue::Gray(a), LabelValue::Gray(b))).collect();
            return Some(values_of(one, other, &classes(files, &is_class), &same));
        }
    }
    near_codes(files, is_class)
}

/// The values that count, in order.
fn classes(files: &[LabelFacts], is_class: impl Fn(LabelValue) -> bool) -> BTreeSet<LabelValue> {
    files.iter().flat_map(|file| &file.values).map(|(value, _)| *value).filter(|value| is_class(*value)).collect()
}

/// Two labels with the values that they have. If there are pairs in `same`, the remedy lists the `classes` for `dataset.toml`,
/// each pair as one class.
pub fn values_of(
    one: &LabelFacts,
    other: &LabelFacts,
    classes: &BTreeSet<LabelValue>,
    same: &[(LabelValue, LabelValue)],
) -> Disagreement {
    let text = |file: &LabelFacts| (file.index, format!("the values {}", shown(file)));
    let ask = format!("{ONE_ENCODING}, or say in dataset.toml what the values mean");
    if same.is_empty() {
        let ignore = if other.contains(LabelValue::Gray(255)) { ": ignore = 255 if 255 is void" } else { "" };
        return Disagreement { one: text(one), other: text(other), remedy: ask + ignore };
    }
    let pairs: Vec<String> = same.iter().take(PAIRS_SHOWN).map(|(a, b)| format!("{a} and {b}")).collect();
    let may_be_void = same.iter().any(|(_, value)| *value == LabelValue::Gray(255));
    let ignore = if may_be_void { "ignore = 255 if 255 is void, or, " } else { "" };
    let each = if pairs.len() > 1 { " each" } else { "" };
    let remedy = format!("{ask}: {ignore}if {} are one class{each}:\n{}", pairs.join(", "), class_list(classes, same));
    Disagreement { one: text(one), other: text(other), remedy }
}

/// Two colours, or two grays of few that are spread over the range, that are almost equal and never in one label.
fn near_codes(files: &[LabelFacts], is_class: impl Fn(LabelValue) -> bool) -> Option<Disagreement> {
    let mut first: BTreeMap<LabelValue, &LabelFacts> = BTreeMap::new();
    for file in files {
        for (value, _) in file.values.iter().filter(|(value, _)| is_class(*value)) {
            first.entry(*value).or_insert(file);
        }
    }
    let codes: Vec<LabelValue> = first
        .keys()
        .copied()
        .filter(|value| !matches!(value, LabelValue::Gray(0) | LabelValue::Rgb([0, 0, 0])))
        .collect();
    let few = codes.len() <= 8 && codes.iter().all(|code| !matches!(code, LabelValue::Gray(0..32)));
    if codes.len() > usize::from(u8::MAX) {
        return None;
    }
    for (at, &a) in codes.iter().enumerate() {
        for &b in &codes[at + 1..] {
            let near = matches!(a, LabelValue::Rgb(_)) || few;
            if near && a.distance(b) <= 16 && !files.iter().any(|file| file.contains(a) && file.contains(b)) {
                return Some(values_of(first[&a], first[&b], &first.keys().copied().collect(), &[(a, b)]));
            }
        }
    }
    None
}

/// The first values of a label.
fn shown(file: &LabelFacts) -> String {
    let values: Vec<String> = file.values.iter().take(6).map(|(value, _)| value.to_string()).collect();
    let more = file.values.len().saturating_sub(6) + file.more;
    if more > 0 { format!("{} and {more} more", values.join(", ")) } else { values.join(", ") }
}
