//! Lists of label values, for messages.

use unet_shared::label::LabelValue;

/// A few sorted values for people, each by itself; many as [`ranges`].
pub fn few(values: &[LabelValue]) -> String {
    const FEW: usize = 8;
    if values.len() > FEW {
        return ranges(values);
    }
    values.iter().map(LabelValue::to_string).collect::<Vec<_>>().join(", ")
}

/// Sorted values for people: numbers that follow each other as `0-20`; of many parts, the first.
pub fn ranges(values: &[LabelValue]) -> String {
    const SHOWN: usize = 8;
    let mut parts: Vec<(LabelValue, LabelValue)> = Vec::new();
    for &value in values {
        match (parts.last_mut(), value) {
            (Some((_, LabelValue::Gray(last))), LabelValue::Gray(next)) if *last + 1 == next => *last = next,
            _ => parts.push((value, value)),
        }
    }
    let text = |(first, last): &(LabelValue, LabelValue)| match (first, last) {
        (first, last) if first == last => first.to_string(),
        (LabelValue::Gray(first), LabelValue::Gray(last)) if first + 1 == *last => format!("{first}, {last}"),
        (first, last) => format!("{first}-{last}"),
    };
    let shown: Vec<String> = parts.iter().take(SHOWN).map(text).collect();
    let more = if parts.len() > SHOWN { format!(" and {} more", parts.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_values_are_listed_and_many_are_joined() {
        let values: Vec<LabelValue> = (0..12).map(LabelValue::Gray).collect();
        assert_eq!([few(&values[..3]), few(&values), ranges(&values[..3])], ["0, 1, 2", "0-11", "0-2"]);
    }
}
