//! Whether the values of labels are instance ids instead of classes.

use std::collections::BTreeMap;

use unet_shared::label::LabelValue;

use crate::label_facts::LabelFacts;

/// The least number of values, besides the background, of labels whose values are numbers.
const NUMBERS_MIN: usize = 12;
/// So many values that are one region each are numbers even if every label has as many.
const NUMBERS_MANY: usize = 32;

/// Number of objects in the label that has most, and its index, if the values are numbers: in most labels almost every value is
/// one region, and either the values count from 1 to a different number in each label, or hardly any value occurs twice.
pub fn numbered(files: &[LabelFacts]) -> Option<(usize, usize)> {
    let others = |file: &LabelFacts| {
        let background = file.values.iter().filter(|(value, _)| is_background(*value)).count();
        file.values.len() + file.more - background
    };
    let with_values = files.iter().filter(|file| others(file) > 0).count();
    let separate = |file: &&LabelFacts| {
        let count = others(file);
        file.values.iter().any(|(value, _)| is_background(*value))
            && file.objects.is_some_and(|objects| objects * 10 >= count * 9)
    };
    let numbered: Vec<&LabelFacts> = files.iter().filter(separate).collect();
    let most = numbered
        .iter()
        .map(|file| (others(file), file.index))
        .max_by_key(|&(count, index)| (count, std::cmp::Reverse(index)))?;
    if numbered.len() * 2 < with_values || most.0 < NUMBERS_MIN {
        return None;
    }
    let counts_up = |file: &&&LabelFacts| {
        let count = others(file);
        matches!(file.values.last(), Some((LabelValue::Gray(last), _)) if usize::from(*last) == count || file.more > 0)
    };
    let counting = numbered.iter().filter(counts_up).count() * 10 >= numbered.len() * 8;
    let varies = numbered.iter().any(|file| others(file) != others(numbered[0]));
    let mut labels: BTreeMap<LabelValue, usize> = BTreeMap::new();
    for (value, _) in numbered.iter().flat_map(|file| &file.values).filter(|(value, _)| !is_background(*value)) {
        *labels.entry(*value).or_default() += 1;
    }
    let unique = labels.values().filter(|&&count| count == 1).count();
    let unrelated = numbered.len() >= 3 && unique * 10 >= labels.len() * 8;
    (counting && (varies || most.0 >= NUMBERS_MANY) || unrelated).then_some(most)
}

fn is_background(value: LabelValue) -> bool {
    matches!(value, LabelValue::Gray(0) | LabelValue::Rgb([0, 0, 0]))
}
