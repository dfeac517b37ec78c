use super::*;
use crate::loaded_pair::load_pair;
use image::{Rgb, RgbImage};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use unet_shared::mask::IGNORE_INDEX;

use LabelValue::Gray;

fn classes(labels: &[&[u8]], file: Option<&str>) -> Result<LabelMap, LabelsError> {
    let folder = tempfile::tempdir().unwrap();
    let file = file.map(|text| DatasetFile::parse(text, Path::new("dataset.toml")).unwrap());
    let samples: Vec<Sample> = labels
        .iter()
        .enumerate()
        .map(|(i, label)| Sample::gray(folder.path(), &i.to_string(), 1, label.to_vec()))
        .collect();
    collect_labels(&samples, file.as_ref())
}

fn values(map: &LabelMap) -> Vec<Vec<LabelValue>> {
    map.classes.iter().map(|class| class.values.clone()).collect()
}

#[test]
fn values_of_all_labels_get_ids_in_sorted_order() {
    let map = classes(&[&[226, 29], &[150, 29, 76]], None).unwrap();
    assert_eq!(values(&map), [[Gray(29)], [Gray(76)], [Gray(150)], [Gray(226)]]);
    assert_eq!(map.names(), ["29", "76", "150", "226"]);
    assert!(map.ignore.is_empty());
}

#[test]
fn void_is_ignored_only_beside_ids() {
    let ignored = |labels: &[&[u8]]| classes(labels, None).unwrap().ignore;
    assert_eq!(ignored(&[&[0, 1, 2, 255]]), [Gray(255)]);
    assert_eq!(ignored(&[&[0, 255]]), []);
    assert_eq!(ignored(&[&[0, 2, 255]]), []);
    assert_eq!(ignored(&[&[0, 1, 254]]), []);
    assert_eq!(classes(&[&[0, 1, 255]], Some("ignore = []")).unwrap().classes.len(), 3);
}

#[test]
fn dataset_file_names_orders_and_ignores() {
    let map = classes(
        &[&[3, 4, 11, 0]],
        Some("ignore = 11\n[[class]]\nname='b'\nvalues=[4,3]\ncolor='#010203'\n[[class]]\nname='a'\nvalue=0"),
    )
    .unwrap();
    assert_eq!(values(&map), [vec![Gray(4), Gray(3)], vec![Gray(0)]]);
    assert_eq!((map.names(), map.classes[0].color), (vec!["b".to_string(), "a".to_string()], [1, 2, 3]));
    let table = map.table().unwrap();
    assert_eq!([3, 0, 11].map(|value| table.id_of(Gray(value))), [Some(0), Some(1), Some(IGNORE_INDEX)]);
    let named = classes(&[&[9, 5]], Some("[[class]]\nname='low'\n[[class]]\nname='high'")).unwrap();
    assert_eq!(values(&named), [[Gray(5)], [Gray(9)]]);
}

#[test]
fn values_that_the_dataset_file_does_not_list_are_refused() {
    let unlisted = classes(&[&[1], &[7, 1, 7]], Some("[[class]]\nname='a'\nvalue=1")).unwrap_err();
    assert!(matches!(&unlisted, LabelsError::Unlisted { value: Gray(7), labels: 1, pixels: 2, .. }), "{unlisted}");
    assert!(unlisted.to_string().contains("1.png"), "{unlisted}");
    let some = classes(&[&[1]], Some("[[class]]\nname='a'\nvalue=1\n[[class]]\nname='b'"));
    assert!(matches!(some, Err(LabelsError::SomeValues { .. })));
    let count = classes(&[&[1, 2]], Some("[[class]]\nname='a'"));
    assert!(matches!(count, Err(LabelsError::NameCount { named: 1, found: 2, .. })));
    let twice = classes(&[&[1]], Some("[[class]]\nname='a'\nvalue=1\n[[class]]\nname='b'\nvalue=1"));
    assert!(matches!(twice, Err(LabelsError::Table(_))));
    assert!(matches!(classes(&[&[1]], Some("ignore = 1")), Err(LabelsError::NoClass)));
    assert!(matches!(classes(&[], None), Err(LabelsError::NoClass)));
}

/// Rows of 60 dark pixels, nine rising values, and 60 bright pixels.
fn ramp() -> Vec<u8> {
    [vec![0; 60], (1..10).map(|step| step * 25).collect(), vec![255; 60]].concat().repeat(20)
}

#[test]
fn values_between_areas_join_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::gray(folder.path(), "soft", 129, ramp());
    let collect = |text: &str| {
        let file = DatasetFile::parse(text, Path::new("dataset.toml")).unwrap();
        collect_labels(std::slice::from_ref(&sample), Some(&file))
    };
    let map = collect("").unwrap();
    assert_eq!((map.classes.len(), map.joined.len()), (2, 9));
    let table = map.table().unwrap();
    assert_eq!([125, 150].map(|value| table.id_of(Gray(value))), [Some(0), Some(1)]);
    assert_eq!(table.value_of(1), Some(Gray(255)));
    assert_eq!(collect("join_between = false").unwrap().classes.len(), 11);
    let listed = "join_between = true\n[[class]]\nname='a'\nvalue=0\n[[class]]\nname='b'\nvalue=255";
    assert_eq!(collect(listed).unwrap().joined.len(), 9);
}

#[test]
fn more_values_than_classes_is_an_error_with_advice() {
    let photo: Vec<u8> = (0..=255u8).flat_map(|value| [value; 4]).collect();
    let error = classes(&[&photo], None).unwrap_err();
    assert!(matches!(error, LabelsError::TooManyValues { found: 256, at_least: false }), "{error}");
}

#[test]
fn colours_and_a_label_that_is_all_black() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples =
        vec![Sample::gray(folder.path(), "a", 2, vec![0; 4]), Sample::gray(folder.path(), "b", 2, vec![0; 4])];
    let mut colour = RgbImage::new(2, 2);
    colour.put_pixel(1, 0, Rgb([255, 0, 0]));
    colour.save(samples[1].label.as_ref().unwrap().path()).unwrap();
    RgbImage::new(2, 2).save(samples[0].label.as_ref().unwrap().path()).unwrap();
    let map = collect_labels(&samples, None).unwrap();
    assert_eq!(values(&map), [[LabelValue::Rgb([0; 3])], [LabelValue::Rgb([255, 0, 0])]]);
    assert_eq!(map.classes[1].color, [255, 0, 0]);
    let table = map.table().unwrap();
    assert_eq!(load_pair(&samples[0], &table).unwrap().mask, [0; 4]);
    assert_eq!(load_pair(&samples[1], &table).unwrap().mask, [0, 1, 0, 0]);
    // If the classes are listed, all labels may happen to be black.
    samples.pop();
    let text = "[[class]]\nname='none'\ncolor='#000000'\n[[class]]\nname='red'\ncolor='#ff0000'";
    let file = DatasetFile::parse(text, Path::new("dataset.toml")).unwrap();
    let table = collect_labels(&samples, Some(&file)).unwrap().table().unwrap();
    assert_eq!(load_pair(&samples[0], &table).unwrap().mask, [0; 4]);
}

proptest! {
    #[test]
    fn map_is_an_exact_inverse(picked in prop::collection::btree_set(any::<u8>(), 1..7), order: Vec<prop::sample::Index>) {
        let picked: Vec<u8> = picked.into_iter().collect();
        let label: Vec<u8> = picked.iter().copied().chain(order.iter().map(|index| *index.get(&picked))).collect();
        let map = classes(&[&label], Some("ignore = []\njoin_between = false")).unwrap();
        let table = map.table().unwrap();
        let ids: BTreeSet<u8> = label.iter().map(|&value| table.id_of(Gray(value.into())).unwrap()).collect();
        prop_assert_eq!(ids, (0..picked.len() as u8).collect());
        for &value in &label {
            let id = table.id_of(Gray(value.into())).unwrap();
            prop_assert_eq!(table.value_of(id), Some(Gray(value.into())));
        }
    }
}
