//! The split of pairs into training and validation by a seeded ratio.
//!
//! It depends on the seed and the names alone, so every machine sees the same split. Neighbouring slices of a TIFF stack are
//! almost equal, and a network that has seen one is not tested by the other, so a stack is kept whole.

use std::collections::BTreeMap;

use super::counted::counted;
use super::dataset::OpenOptions;
use super::sample::Sample;
use super::stacks::stack_name;
use unet_shared::digest::Digest;
use unet_shared::manifest::StackSplit;

/// What a split divides: images and stacks.
pub(crate) struct Units {
    /// In an order that the seed determines, unrelated to that of the names.
    pub(crate) units: Vec<Vec<Sample>>,
    /// How many of them are stacks.
    pub(crate) stacks: usize,
}

/// The stacks, unless slices are divided, and all other images.
pub(crate) fn units(samples: Vec<Sample>, options: &OpenOptions) -> Units {
    let mut stacks = 0;
    let mut units: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        let stack = stack_name(&sample).filter(|_| options.stacks == StackSplit::Whole);
        let unit = units.entry(stack.unwrap_or(&sample.name).to_owned()).or_default();
        stacks += usize::from(stack.is_some() && unit.is_empty());
        unit.push(sample);
    }
    // The order of the digests of seed and name is unrelated to that of the names.
    let seed = options.seed.to_le_bytes();
    let mut keyed: Vec<(Digest, String, Vec<Sample>)> = units
        .into_iter()
        .map(|(name, unit)| (Digest::of_parts([seed.as_slice(), name.as_bytes()]), name, unit))
        .collect();
    keyed.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    Units { units: keyed.into_iter().map(|(_, _, unit)| unit).collect(), stacks }
}

/// Divides samples, sorted by name, into training and validation, with a note on stacks.
pub(crate) fn split_by_ratio(
    samples: Vec<Sample>,
    options: &OpenOptions,
) -> (Vec<Sample>, Vec<Sample>, Option<String>) {
    let count = samples.len();
    let wanted = (count as f64 * options.val_ratio).round() as usize;
    let min = usize::from(options.val_ratio > 0.0);
    let wanted = if count < 2 { 0 } else { wanted.clamp(min, count - 1) };
    let Units { mut units, stacks } = units(samples, options);
    if stacks == 1 && units.len() == 1 && wanted > 0 {
        return split_only_stack(units.remove(0), wanted);
    }
    let sizes: Vec<usize> = units.iter().map(Vec::len).collect();
    let chosen = choose(&sizes, wanted);
    let (mut train, mut val, mut val_stacks) = (Vec::new(), Vec::new(), 0);
    for (unit, chosen) in units.into_iter().zip(chosen) {
        if chosen {
            val_stacks += usize::from(unit.iter().any(|sample| stack_name(sample).is_some()));
            val.extend(unit);
        } else {
            train.extend(unit);
        }
    }
    train.sort_by(|a, b| a.name.cmp(&b.name));
    val.sort_by(|a, b| a.name.cmp(&b.name));
    let note = (stacks > 0 && wanted > 0).then(|| {
        format!(
            "the slices of a stack stay together: {val_stacks} of {} and {} of {} are used for validation (--val-ratio, --split-seed)",
            counted(stacks, "stack"),
            val.len(),
            counted(count, "pair")
        )
    });
    (train, val, note)
}

/// Chooses units until their sizes add up to `wanted`: each that brings the sum closer, in order; if none does, the smallest.
/// One unit at least is left to train on.
fn choose(sizes: &[usize], wanted: usize) -> Vec<bool> {
    let (mut sum, mut left) = (0, sizes.len());
    let mut chosen: Vec<bool> = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let closer = left > 1 && (sum + size).abs_diff(wanted) < wanted.abs_diff(sum);
        if closer {
            (sum, left) = (sum + size, left - 1);
        }
        chosen.push(closer);
    }
    if sum == 0
        && wanted > 0
        && left > 1
        && let Some(smallest) = (0..sizes.len()).min_by_key(|&index| sizes[index])
    {
        chosen[smallest] = true;
    }
    chosen
}

/// Of a single stack, the last slices are for validation: only the two at the border have a neighbour on the other side.
fn split_only_stack(mut slices: Vec<Sample>, wanted: usize) -> (Vec<Sample>, Vec<Sample>, Option<String>) {
    slices.sort_by_key(|sample| sample.page);
    let count = slices.len();
    let val = slices.split_off(count - wanted);
    let page = |sample: Option<&Sample>| sample.and_then(|sample| sample.page).map_or(0, |page| page + 1);
    let last = match wanted {
        1 => format!("the last one (page {}) is", page(val.first())),
        _ => format!("the last {wanted} (pages {} to {}) are", page(val.first()), page(val.last())),
    };
    let note = format!(
        "there is only one stack: of its {count} slices, {last} used for validation; adjacent slices are alike, so expect a lower \
         score on another stack"
    );
    (slices, val, Some(note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn seeded_split_is_pinned() {
        // Pinned: a change would move images between the splits of everybody's runs.
        let samples =
            (0..10).map(|i| Sample { name: i.to_string(), image: "i".into(), page: None, label: None }).collect();
        let (_, val, _) = split_by_ratio(samples, &OpenOptions { val_ratio: 0.3, seed: 7, ..OpenOptions::default() });
        let names: Vec<&str> = val.iter().map(|sample| sample.name.as_str()).collect();
        assert_eq!(names, PINNED);
    }

    const PINNED: [&str; 3] = ["2", "6", "9"];

    proptest! {
        #[test]
        fn split_is_stable_disjoint_and_whole(
            names in prop::collection::btree_set("[a-z0-9]{1,6}", 0..40),
            seed: u64,
            val_ratio in 0.0..0.99,
            turn in 0usize..40,
        ) {
            let options = OpenOptions { val_ratio, seed, ..OpenOptions::default() };
            let mut samples: Vec<Sample> =
                names.iter().map(|name| Sample { name: name.clone(), image: "i".into(), page: None, label: None }).collect();
            let (train, val, note) = split_by_ratio(samples.clone(), &options);
            prop_assert_eq!(&note, &None);
            let of = |samples: &[Sample]| samples.iter().map(|s| s.name.clone()).collect::<BTreeSet<_>>();
            prop_assert!(of(&train).is_disjoint(&of(&val)));
            prop_assert_eq!(&of(&train) | &of(&val), names);
            prop_assert!(train.is_sorted_by_key(|s| &s.name) && val.is_sorted_by_key(|s| &s.name));
            prop_assert!(samples.is_empty() || !train.is_empty());
            // The order in which the file system lists the names does not matter.
            if !samples.is_empty() {
                let turn = turn % samples.len();
                samples.rotate_left(turn);
            }
            prop_assert_eq!(split_by_ratio(samples, &options), (train, val, note));
        }
    }

    proptest! {
        #[test]
        fn stacks_are_divided_whole_and_some_are_left_to_train_on(
            pages in prop::collection::vec(1usize..20, 2..8),
            images in 0usize..4,
            seed: u64,
            val_ratio in 0.0..0.99,
        ) {
            let stacks: Vec<(String, usize)> = (b'a'..).zip(&pages).map(|(name, &pages)| (char::from(name).into(), pages)).collect();
            let stacks: Vec<(&str, usize)> = stacks.iter().map(|(name, pages)| (name.as_str(), *pages)).collect();
            let mut samples = Sample::slices(&stacks);
            samples.extend((0..images).map(|k| Sample { name: format!("z{k}"), image: format!("z{k}.png").into(), page: None, label: None }));
            let all = samples.len();
            let (train, val, _) = split_by_ratio(samples, &OpenOptions { val_ratio, seed, ..OpenOptions::default() });
            let files = |samples: &[Sample]| samples.iter().map(|s| s.image.clone()).collect::<BTreeSet<_>>();
            prop_assert!(files(&train).is_disjoint(&files(&val)));
            prop_assert_eq!(train.len() + val.len(), all);
            prop_assert!(!train.is_empty() && (val_ratio == 0.0 || !val.is_empty()));
        }
    }

    #[test]
    fn the_last_stack_is_left_to_train_on() {
        for (stacks, val_ratio) in [([("a", 3), ("b", 3)], 0.8), ([("a", 3), ("b", 10)], 0.7)] {
            for seed in 0..8 {
                let options = OpenOptions { val_ratio, seed, ..OpenOptions::default() };
                let (train, val, _) = split_by_ratio(Sample::slices(&stacks), &options);
                assert!(!train.is_empty() && !val.is_empty(), "{stacks:?}, seed {seed}");
            }
        }
    }

    #[test]
    fn stacks_stay_whole() {
        let stacks = [("a", 12), ("b", 12), ("c", 12), ("d", 12), ("e", 12)];
        for seed in 0..20 {
            let options = OpenOptions { seed, ..OpenOptions::default() };
            let (train, val, note) = split_by_ratio(Sample::slices(&stacks), &options);
            let files = |samples: &[Sample]| samples.iter().map(|s| s.image.clone()).collect::<BTreeSet<_>>();
            assert!(files(&train).is_disjoint(&files(&val)));
            assert_eq!((train.len(), val.len()), (48, 12));
            let note = note.unwrap();
            assert!(note.contains("1 of 5 stacks and 12 of 60 pairs are used for validation"), "{note}");
        }
        // A large stack is not taken for a few slices, and one of two is, however large.
        let of = |stacks: &[(&str, usize)]| {
            let (train, val, _) = split_by_ratio(Sample::slices(stacks), &OpenOptions::default());
            (train.len(), val.len())
        };
        assert_eq!(of(&[("a", 100), ("b", 10)]), (100, 10));
        assert_eq!(of(&[("a", 10), ("b", 10)]), (10, 10));
    }

    #[test]
    fn a_single_stack_is_cut_once() {
        let (train, val, note) = split_by_ratio(Sample::slices(&[("a", 12)]), &OpenOptions::default());
        let pages = |samples: &[Sample]| samples.iter().filter_map(|sample| sample.page).collect::<Vec<_>>();
        assert_eq!((pages(&train), pages(&val)), ((0..10).collect(), vec![10, 11]));
        assert!(note.unwrap().contains("of its 12 slices, the last 2 (pages 11 to 12) are used for validation"));
        let none = OpenOptions { val_ratio: 0.0, ..OpenOptions::default() };
        let (train, val, note) = split_by_ratio(Sample::slices(&[("a", 12)]), &none);
        assert_eq!((train.len(), val.len(), note), (12, 0, None));
    }

    #[test]
    fn runs_that_divided_stacks_keep_their_split() {
        // Pinned: the split of runs made before stacks were kept whole.
        let options = OpenOptions { stacks: StackSplit::Slices, ..OpenOptions::default() };
        let (_, val, note) = split_by_ratio(Sample::slices(&[("a", 6), ("b", 4)]), &options);
        let names: Vec<&str> = val.iter().map(|sample| sample.name.as_str()).collect();
        assert_eq!((names, note), (OLD.to_vec(), None));
    }

    const OLD: [&str; 2] = ["a_page0001", "a_page0002"];
}
