//! The split of pairs for a cross-validation: into folds of about equal size, each of which is for validation once.
//!
//! Like the split by ratio, it depends on the seed and the names alone, and keeps stacks whole.

use std::collections::HashSet;

use super::counted::counted;
use super::dataset::OpenOptions;
use super::sample::{Sample, Split};
use super::split_by_ratio::{Units, units};
use unet_shared::fold::Fold;

/// The pairs of both splits, sorted by name. If they share a name, each name gets its split's in front, as a folder.
pub(crate) fn together(mut train: Vec<Sample>, mut val: Vec<Sample>) -> Vec<Sample> {
    let names: HashSet<&str> = train.iter().map(|sample| sample.name.as_str()).collect();
    if val.iter().any(|sample| names.contains(sample.name.as_str())) {
        for (split, samples) in [(Split::Train, &mut train), (Split::Val, &mut val)] {
            samples.iter_mut().for_each(|sample| sample.name = format!("{}/{}", split.name(), sample.name));
        }
    }
    train.extend(val);
    train.sort_by(|a, b| a.name.cmp(&b.name));
    train
}

/// Divides samples, sorted by name, into those of all other folds to train on, and those of `fold` for validation, with a note.
///
/// # Errors
/// The number of images and stacks, if there are fewer than folds. A single stack is cut into as many parts as there are folds.
pub(crate) fn split(
    samples: Vec<Sample>,
    fold: Fold,
    options: &OpenOptions,
) -> Result<(Vec<Sample>, Vec<Sample>, String), usize> {
    let (count, all) = (fold.count() as usize, samples.len());
    let Units { mut units, stacks } = units(samples, options);
    let only_stack = stacks == 1 && units.len() == 1;
    if only_stack {
        units = cut(units.remove(0), count);
    }
    if units.len() < count {
        return Err(units.len());
    }
    let sizes: Vec<usize> = units.iter().map(Vec::len).collect();
    let folds = if only_stack { (0..count).collect() } else { assign(&sizes, count) };
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (unit, number) in units.into_iter().zip(folds) {
        if number + 1 == fold.index() as usize { val.extend(unit) } else { train.extend(unit) }
    }
    train.sort_by(|a, b| a.name.cmp(&b.name));
    val.sort_by(|a, b| a.name.cmp(&b.name));
    let mut note = format!("fold {fold}: {} of {} are used for validation", val.len(), counted(all, "pair"));
    if only_stack {
        note += "; there is only one stack, whose slices are cut into folds in their order: adjacent slices are alike, so expect a \
                 lower score on another stack";
    } else if stacks > 0 {
        note += "; the slices of a stack stay together";
    }
    Ok((train, val, note))
}

/// The slices of a single stack in their order, in parts whose sizes differ by at most one; fewer if there are not enough slices.
fn cut(mut slices: Vec<Sample>, parts: usize) -> Vec<Vec<Sample>> {
    slices.sort_by_key(|sample| sample.page);
    let (count, parts) = (slices.len(), parts.min(slices.len()));
    (0..parts).rev().map(|part| slices.split_off(part * count / parts)).collect::<Vec<_>>().into_iter().rev().collect()
}

/// The fold of each unit, from 0: the largest first, each to the fold that has fewest samples so far.
fn assign(sizes: &[usize], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    // Stable: units of one size stay in their order.
    order.sort_by_key(|&unit| std::cmp::Reverse(sizes[unit]));
    let (mut filled, mut folds) = (vec![0; count], vec![0; sizes.len()]);
    for unit in order {
        let smallest = (0..count).min_by_key(|&fold| filled[fold]).unwrap_or(0);
        filled[smallest] += sizes[unit];
        folds[unit] = smallest;
    }
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image(name: &str) -> Sample {
        Sample { name: name.into(), image: name.into(), page: None, label: None }
    }

    fn names(samples: &[Sample]) -> Vec<&str> {
        samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    /// The validation samples of each fold.
    fn folds(samples: &[Sample], count: u32, options: &OpenOptions) -> Vec<Vec<Sample>> {
        let fold = |index| split(samples.to_vec(), Fold::new(index, count).unwrap(), options).unwrap();
        (1..=count).map(|index| fold(index).1).collect()
    }

    #[test]
    fn seeded_folds_are_pinned() {
        // Pinned: a change would move images between the folds of everybody's runs.
        let samples: Vec<Sample> = (0..7).map(|number| image(&number.to_string())).collect();
        let found = folds(&samples, 3, &OpenOptions { seed: 7, ..OpenOptions::default() });
        assert_eq!(found.iter().map(|fold| names(fold).join(" ")).collect::<Vec<_>>(), PINNED);
    }

    const PINNED: [&str; 3] = ["0 2 3", "1 6", "4 5"];

    proptest! {
        #[test]
        fn each_sample_is_validated_once(
            names in prop::collection::btree_set("[a-z0-9]{1,6}", 4..40),
            count in 2u32..5,
            seed: u64,
        ) {
            let samples: Vec<Sample> = names.iter().map(|name| image(name)).collect();
            let options = OpenOptions { seed, ..OpenOptions::default() };
            let mut seen = vec![];
            for index in 1..=count {
                let (train, val, _) = split(samples.clone(), Fold::new(index, count).unwrap(), &options).unwrap();
                prop_assert_eq!(train.len() + val.len(), samples.len());
                prop_assert!(val.len() == samples.len() / count as usize || val.len() == samples.len().div_ceil(count as usize));
                prop_assert!(train.iter().all(|sample| !val.contains(sample)));
                seen.extend(val);
            }
            seen.sort_by(|a, b| a.name.cmp(&b.name));
            prop_assert_eq!(seen, samples);
        }
    }

    #[test]
    fn stacks_stay_whole_and_the_largest_is_placed_first() {
        let samples = Sample::slices(&[("a", 9), ("b", 3), ("c", 3), ("d", 3)]);
        for seed in 0..8 {
            let options = OpenOptions { seed, ..OpenOptions::default() };
            let mut found: Vec<usize> = folds(&samples, 2, &options).iter().map(Vec::len).collect();
            found.sort_unstable();
            assert_eq!(found, [9, 9]);
            let (_, _, note) = split(samples.clone(), Fold::new(1, 2).unwrap(), &options).unwrap();
            assert_eq!(note, "fold 1/2: 9 of 18 pairs are used for validation; the slices of a stack stay together");
        }
        assert_eq!(split(samples, Fold::new(1, 5).unwrap(), &OpenOptions::default()).unwrap_err(), 4);
    }

    #[test]
    fn a_single_stack_is_cut_in_its_order() {
        let samples = Sample::slices(&[("a", 7)]);
        let found = folds(&samples, 3, &OpenOptions::default());
        let pages: Vec<Vec<usize>> =
            found.iter().map(|fold| fold.iter().filter_map(|sample| sample.page).collect()).collect();
        assert_eq!(pages, [vec![0, 1], vec![2, 3], vec![4, 5, 6]]);
        assert_eq!(split(samples, Fold::new(1, 8).unwrap(), &OpenOptions::default()).unwrap_err(), 7);
    }

    #[test]
    fn names_that_both_splits_have_are_told_apart() {
        let all = together(vec![image("a"), image("c")], vec![image("b")]);
        assert_eq!(names(&all), ["a", "b", "c"]);
        let all = together(vec![image("a"), image("b")], vec![image("a")]);
        assert_eq!(names(&all), ["train/a", "train/b", "val/a"]);
        assert_eq!(all[2].image.to_str(), Some("a"));
    }
}
