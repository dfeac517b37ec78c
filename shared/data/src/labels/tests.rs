use super::*;
use crate::loaded_pair::load_pair;
use image::{Luma, Rgb, RgbImage};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use unet_shared::mask::IGNORE_INDEX;
use unet_shared::samples::SampleReading;

use LabelValue::Gray;

/// Pixels of an area of 3 x 3.
const AREA: usize = 9;

/// The classes of labels with an area for each of their values.
fn classes(labels: &[&[u8]], file: Option<&str>) -> Result<LabelMap, LabelsError> {
    let folder = tempfile::tempdir().unwrap();
    let file = file.map(|text| DatasetFile::parse(text, Path::new("dataset.toml")).unwrap());
    let samples: Vec<Sample> = labels
        .iter()
        .enumerate()
        .map(|(i, label)| {
            let areas = label.iter().flat_map(|&value| [value; AREA]).collect();
            Sample::gray(folder.path(), &i.to_string(), 3, areas)
        })
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
    assert_eq!(ignored(&[&[0, 1, 255]]), [Gray(255)]);
    assert_eq!(ignored(&[&[0, 255]]), []);
    assert_eq!(ignored(&[&[0, 128, 255]]), []);
    assert_eq!(ignored(&[&[0, 1, 254]]), []);
    // Labels that are void everywhere.
    assert_eq!(ignored(&[&[0, 1, 2], &[255, 255], &[0, 2]]), [Gray(255)]);
    // Ids with a gap.
    let gap = classes(&[&[0, 2, 255]], None).unwrap_err();
    assert!(matches!(&gap, LabelsError::Void { .. }), "{gap}");
    assert!(gap.to_string().contains("ignore = 255"), "{gap}");
    assert_eq!(classes(&[&[0, 2, 255]], Some("ignore = 255")).unwrap().ignore, [Gray(255)]);
    assert_eq!(classes(&[&[0, 1, 255]], Some("ignore = []")).unwrap().classes.len(), 3);
}

#[test]
fn an_ignored_value_that_does_not_occur_is_told() {
    let file = |ignore: &[u16]| DatasetFile {
        also_ignore: ignore.iter().copied().map(Gray).collect(),
        ..DatasetFile::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::gray(folder.path(), "a", 3, [[0; AREA], [1; AREA], [2; AREA]].concat());
    let map = collect_labels(std::slice::from_ref(&sample), Some(&file(&[999, 2]))).unwrap();
    assert_eq!(map.ignore, [Gray(999), Gray(2)]);
    let expected = "gray values 0, 1 as classes 0-1; 2 ignored, because --ignore says so; 999 ignored, because --ignore says \
                    so, though no mask has it";
    assert_eq!(map.assumption, expected);
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
    assert!(unlisted.to_string().starts_with("the value 7 occurs in 18 pixels, first in "), "{unlisted}");
    assert!(unlisted.to_string().contains("1.png") && unlisted.to_string().contains("--ignore \"7\""), "{unlisted}");
    let several = classes(&[&[1], &[7, 1, 9]], Some("[[class]]\nname='a'\nvalue=1\n[[class]]\nname='b'\nvalue=8"));
    let several = several.unwrap_err().to_string();
    for expected in ["the values 7, 9 occur in ", "neither as a class nor as ignored (it lists 8, which no mask has)"] {
        assert!(several.contains(expected), "{several}");
    }
    assert!(several.contains("--ignore \"7,9\" ignores them"), "{several}");
    let mixed = classes(&[&[1], &[7, 1]], Some("[[class]]\nname='a'\nvalue=1\n[[class]]\nname='b'\nvalue='#ff0000'"));
    let mixed = mixed.unwrap_err().to_string();
    assert!(mixed.contains("dataset.toml mixes colours and gray values, but all masks are gray"), "{mixed}");
    let some = classes(&[&[1]], Some("[[class]]\nname='a'\nvalue=1\n[[class]]\nname='b'"));
    assert!(matches!(some, Err(LabelsError::SomeValues { .. })));
    let count = classes(&[&[1, 2]], Some("[[class]]\nname='a'"));
    assert!(matches!(count, Err(LabelsError::NameCount { named: 1, found: 2, .. })));
    // Values listed twice are told before values that are not listed.
    let two = "[[class]]\nname='a'\nvalue=1\n[[class]]\nname='b'\nvalue=1";
    let expected =
        "dataset.toml: label value 1 is in class \"a\" and in class \"b\"; expected one class for each value";
    assert_eq!(classes(&[&[1, 7]], Some(two)).unwrap_err().to_string(), expected);
    let one = "[[class]]\nname='a'\nvalues=[1, 2, 1]";
    let expected = "dataset.toml: class \"a\" has label value 1 twice";
    assert_eq!(classes(&[&[1, 7]], Some(one)).unwrap_err().to_string(), expected);
    let ignored = "ignore=[3, 1]\n[[class]]\nname='a'\nvalue=1";
    let expected =
        "label value 1 is in class \"a\" of dataset.toml, but dataset.toml ignores it; expected one of the two";
    assert_eq!(classes(&[&[1]], Some(ignored)).unwrap_err().to_string(), expected);
    assert!(matches!(classes(&[&[1]], Some("ignore = 1")), Err(LabelsError::NoClass)));
    assert!(matches!(classes(&[], None), Err(LabelsError::NoClass)));
}

#[test]
fn encodings_that_differ_between_labels_are_refused_and_named() {
    let refused = |labels: &[&[u8]], one: &str, other: &str| {
        let error = classes(labels, None).unwrap_err();
        assert!(matches!(&error, LabelsError::Disagree { .. }), "{labels:?}: {error}");
        let message = error.to_string();
        assert!(message.contains(one) && message.contains(other) && message.contains("dataset.toml"), "{message}");
        // What the message says can be copied.
        let (text, list) = message.split_once(":\n").unwrap();
        assert!(classes(labels, Some(list)).is_ok(), "{message}");
        if text.contains("ignore = 255") {
            assert!(classes(labels, Some("ignore = 255")).is_ok(), "{message}");
        }
    };
    refused(&[&[0, 255], &[0, 1]], "1.png has the values 0, 1", "0.png has the values 0, 255");
    refused(&[&[0, 255], &[0, 255], &[0, 1], &[0, 255]], "2.png has the values 0, 1", "0.png has the values 0, 255");
    // 1 and 255 in one label: 255 may be void there, but not where it is all that there is.
    refused(&[&[0, 1, 255], &[0, 255]], "1.png has the values 0, 255", "0.png has the values 0, 1, 255");
    refused(&[&[0, 1], &[255, 255]], "0.png", "1.png has the values 255");
    refused(&[&[0, 1, 2], &[0, 85, 170]], "0.png", "1.png");
    refused(&[&[0, 255], &[0, 254]], "254", "255");
    // Which of the two ids 255 is, or whether any, cannot be said.
    for (labels, void) in [(&[&[0u8, 1, 2][..], &[0, 255]], true), (&[&[0, 1], &[0, 85, 170]], false)] {
        let message = classes(labels, None).unwrap_err().to_string();
        assert!(
            message.contains("0.png has the values 0, 1") && message.contains("1.png has the values 0, "),
            "{message}"
        );
        let remedy = "save all masks in one encoding, or say in dataset.toml what the values mean";
        let void = if void { ": ignore = 255 if 255 is void" } else { "" };
        assert!(message.ends_with(&format!("{remedy}{void}")), "{message}");
    }
    assert!(classes(&[&[0, 1, 2], &[0, 255]], Some("ignore = 255")).is_ok());
    // The list of the classes says otherwise, as does that each value is a class.
    let listed = "[[class]]\nname='a'\nvalue=0\n[[class]]\nname='b'\nvalues=[1, 255]";
    let map = classes(&[&[0, 255], &[0, 1]], Some(listed)).unwrap();
    assert_eq!(values(&map), [vec![Gray(0)], vec![Gray(1), Gray(255)]]);
    assert_eq!(classes(&[&[0, 255], &[0, 1]], Some("labels = 'classes'")).unwrap().classes.len(), 3);
    // Labels of one class each are no disagreement.
    assert_eq!(classes(&[&[0, 1], &[0, 2], &[0, 5], &[0, 7]], None).unwrap().classes.len(), 5);
    assert_eq!(classes(&[&[29, 76], &[76, 226], &[150, 226]], None).unwrap().classes.len(), 4);
}

#[test]
fn the_assumption_says_why() {
    let assumption = |labels: &[&[u8]], file| classes(labels, file).unwrap().assumption;
    assert_eq!(assumption(&[&[0, 255]], None), "gray values 0, 255 as classes 0-1");
    let void = assumption(&[&[0, 1, 2, 255]], None);
    assert!(
        void.starts_with("gray values 0-2 as classes 0-2; 255 ignored, because it occurs beside the ids 0-2"),
        "{void}"
    );
    let said = "gray values 0-2 as classes 0-2; 255 ignored, because dataset.toml says so";
    assert_eq!(assumption(&[&[0, 1, 2, 255]], Some("ignore = 255")), said);
    let listed = "[[class]]\nname='a'\nvalue=0\n[[class]]\nname='b'\nvalue=1";
    assert_eq!(assumption(&[&[0, 1]], Some(listed)), "gray values as dataset.toml lists them");
}

#[test]
fn numbers_of_objects_are_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    // Columns of 1 to 20 and of 1 to 15, apart.
    let columns = |count: u8| (1..=count).flat_map(|id| [id, id, 0]).collect::<Vec<u8>>().repeat(4);
    let samples =
        [Sample::gray(folder.path(), "a", 60, columns(20)), Sample::gray(folder.path(), "b", 45, columns(15))];
    let collect = |text: &str| {
        let file = DatasetFile::parse(text, Path::new("dataset.toml")).unwrap();
        collect_labels(&samples, Some(&file))
    };
    let error = collect("").unwrap_err();
    assert!(matches!(&error, LabelsError::Objects { objects: 20, .. }), "{error}");
    assert_eq!(collect("labels = 'classes'").unwrap().classes.len(), 21);
    let map = collect("labels = 'instances'").unwrap();
    assert_eq!(map.names(), ["background", "object"]);
    let table = map.table().unwrap();
    assert_eq!([0, 1, 9, 20].map(|value| table.id_of_any(Gray(value))), [Some(0), Some(1), Some(1), Some(1)]);
    let mask = load_pair(&samples[0], &table, &SampleReading::PLAIN).unwrap().mask;
    assert_eq!(mask[..7], [1, 1, 0, 1, 1, 0, 1]);
    let named = collect("labels = 'instances'\n[[class]]\nname='dish'\n[[class]]\nname='cell'").unwrap();
    assert_eq!(named.names(), ["dish", "cell"]);
    let listed = collect("labels = 'instances'\n[[class]]\nname='dish'\nvalue=0");
    assert!(matches!(listed, Err(LabelsError::ObjectClasses)));
    // As many thin classes in each label are classes.
    let same = [Sample::gray(folder.path(), "c", 60, columns(20)), Sample::gray(folder.path(), "d", 60, columns(20))];
    assert_eq!(collect_labels(&same, None).unwrap().classes.len(), 21);
}

#[test]
fn more_objects_than_classes_are_asked_about_too() {
    let folder = tempfile::tempdir().unwrap();
    // 300 wells of 3 x 3 pixels, apart, in 16 bits; another label has 290 of them.
    let samples = [300u16, 290].map(|count| {
        let sample = Sample::gray(folder.path(), &count.to_string(), 80, vec![0; 80 * 60]);
        let well = |x: u32, y: u32| {
            let id = (y / 4 * 20 + x / 4 + 1) as u16;
            Luma([if x % 4 < 3 && y % 4 < 3 && id <= count { id } else { 0 }])
        };
        let label = image::ImageBuffer::<Luma<u16>, _>::from_fn(80, 60, well);
        label.save(sample.label.as_ref().unwrap().path()).unwrap();
        sample
    });
    let collect = |text: &str| {
        let file = DatasetFile::parse(text, Path::new("dataset.toml")).unwrap();
        collect_labels(&samples, Some(&file))
    };
    let error = collect("").unwrap_err();
    assert!(matches!(&error, LabelsError::Objects { objects: 300, .. }), "{error}");
    let table = collect("labels = 'instances'").unwrap().table().unwrap();
    let mask = load_pair(&samples[0], &table, &SampleReading::PLAIN).unwrap().mask;
    assert_eq!((&mask[..5], mask.iter().filter(|&&id| id == 1).count()), (&[1, 1, 1, 0, 1][..], 2700));
}

/// Rows of 60 dark pixels, nine rising values, and 60 bright pixels.
fn ramp() -> Vec<u8> {
    [vec![0; 60], (1..10).map(|step| step * 25).collect(), vec![255; 60]].concat().repeat(20)
}

#[test]
fn values_between_areas_have_the_nearest_class_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::gray(folder.path(), "soft", 129, ramp());
    let collect = |text: &str| {
        let file = DatasetFile::parse(text, Path::new("dataset.toml")).unwrap();
        collect_labels(std::slice::from_ref(&sample), Some(&file))
    };
    let error = collect("").unwrap_err();
    assert!(matches!(error, LabelsError::Odd { labels: 1, all: 1, worst_values: 9, .. }), "{error}");
    assert!(error.to_string().contains("6.977 % of its pixels"), "{error}");
    for text in ["snap = true", "join_between = true"] {
        let map = collect(text).unwrap();
        let table = map.table().unwrap();
        assert_eq!([125, 150].map(|value| table.id_of_any(Gray(value))), [Some(0), Some(1)], "{text}");
        assert_eq!((map.classes.len(), table.value_of(1)), (2, Some(Gray(255))));
        assert!(map.assumption.ends_with("have the class of the nearest, because dataset.toml says so"));
        let mask = load_pair(&sample, &table, &SampleReading::PLAIN).unwrap().mask;
        assert_eq!((mask[64], mask[65], mask.len()), (0, 1, 129 * 20));
    }
    for text in ["snap = false", "labels = 'classes'"] {
        assert_eq!(collect(text).unwrap().classes.len(), 11);
    }
    let listed = "snap = true\n[[class]]\nname='a'\nvalue=0\n[[class]]\nname='b'\nvalue=255";
    assert_eq!(collect(listed).unwrap().classes.len(), 2);
    let thin: Vec<u8> = (0..40).flat_map(|_| (0..120u8).map(|x| if x % 10 == 3 { x / 10 + 1 } else { 0 })).collect();
    let thin = [Sample::gray(folder.path(), "t", 120, thin.clone()), Sample::gray(folder.path(), "u", 120, thin)];
    assert_eq!(collect_labels(&thin, None).unwrap().classes.len(), 13);
}

#[test]
fn colours_between_the_colours_of_areas_are_told_and_have_the_nearest_class_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::gray(folder.path(), "scaled", 129, ramp());
    // From blue to red.
    let pixels = ramp().iter().flat_map(|&level| [level, 0, 255 - level]).collect();
    RgbImage::from_raw(129, 20, pixels).unwrap().save(sample.label.as_ref().unwrap().path()).unwrap();
    let collect = |text: &str| {
        let file = DatasetFile::parse(text, Path::new("dataset.toml")).unwrap();
        collect_labels(std::slice::from_ref(&sample), Some(&file))
    };
    let error = collect("").unwrap_err();
    assert!(matches!(error, LabelsError::Odd { labels: 1, worst_values: 9, .. }), "{error}");
    assert!(error.to_string().contains("scaled.png") && error.to_string().contains("--snap"), "{error}");
    let map = collect("snap = true").unwrap();
    assert_eq!(values(&map), [[LabelValue::Rgb([0, 0, 255])], [LabelValue::Rgb([255, 0, 0])]]);
    let mask = load_pair(&sample, &map.table().unwrap(), &SampleReading::PLAIN).unwrap().mask;
    assert_eq!((mask[64], mask[65]), (0, 1));
}

#[test]
fn steps_of_a_scaled_mask_are_odd_though_they_are_few() {
    let folder = tempfile::tempdir().unwrap();
    // Three steps between two areas.
    let row: Vec<u8> = [vec![0; 20], vec![64, 128, 191], vec![255; 20]].concat();
    let collect = |sample: Sample| collect_labels(&[sample], None);
    let error = collect(Sample::gray(folder.path(), "a", 43, row.repeat(20))).unwrap_err();
    assert!(matches!(error, LabelsError::Odd { worst_values: 3, .. }), "{error}");
    // One value between two areas is an outline.
    let row: Vec<u8> = [vec![0; 20], vec![128], vec![255; 20]].concat();
    assert_eq!(collect(Sample::gray(folder.path(), "b", 41, row.repeat(20))).unwrap().classes.len(), 3);
    // A few pixels next to the value of an area are damage.
    let mut label = [vec![0; 20], vec![255; 20]].concat().repeat(20);
    label[0] = 1;
    let error = collect(Sample::gray(folder.path(), "c", 40, label)).unwrap_err();
    assert!(matches!(error, LabelsError::Odd { worst_values: 1, .. }), "{error}");
}

/// Saves a label of `width` with a palette.
fn save_palette(path: &Path, width: u32, indices: &[u8], palette: &[u8]) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, indices.len() as u32 / width);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.write_header().unwrap().write_image_data(indices).unwrap();
}

#[test]
fn the_index_of_a_palette_is_the_class() {
    let folder = tempfile::tempdir().unwrap();
    let samples = ["a", "b"].map(|name| Sample::gray(folder.path(), name, 2, vec![0; 4]));
    let save = |sample: usize, indices: &[u8], palette: &[u8]| {
        save_palette(samples[sample].label.as_ref().unwrap().path(), 2, indices, palette);
    };
    let collect = |text: &str| collect_labels(&samples, Some(&DatasetFile::parse(text, Path::new("d")).unwrap()));
    // Two indices of one colour, and one without a colour.
    let palette = [0, 0, 0, 128, 0, 0, 128, 0, 0];
    save(0, &[0, 1, 2, 3], &palette);
    save(1, &[0, 1, 0, 1], &palette);
    let map = collect("").unwrap();
    assert_eq!(values(&map), [[Gray(0)], [Gray(1)], [Gray(2)], [Gray(3)]]);
    assert_eq!((map.classes[1].color, map.classes[2].color), ([128, 0, 0], [128, 0, 0]));
    assert!(map.assumption.starts_with("palette indices 0-3 as classes 0-3"), "{}", map.assumption);
    assert_eq!(load_pair(&samples[0], &map.table().unwrap(), &SampleReading::PLAIN).unwrap().mask, [0, 1, 2, 3]);
    // As it was before the reading was stored with a run: colours, of which two indices share one.
    let old = collect("palette = 'colors'").unwrap();
    assert_eq!(old.classes.len(), 2);
    let table = LabelMap { reading: Reading::default(), ..old }.table().unwrap();
    assert_eq!(load_pair(&samples[0], &table, &SampleReading::PLAIN).unwrap().mask, [0, 1, 1, 0]);
    // Classes that are listed by colours.
    let listed = "[[class]]\nname='bg'\ncolor='#000000'\n[[class]]\nname='red'\ncolor='#800000'";
    let table = collect(listed).unwrap().table().unwrap();
    assert_eq!(load_pair(&samples[0], &table, &SampleReading::PLAIN).unwrap().mask, [0, 1, 1, 0]);
    // Grays of the same values.
    image::GrayImage::from_raw(2, 2, vec![0, 2, 2, 1])
        .unwrap()
        .save(samples[1].label.as_ref().unwrap().path())
        .unwrap();
    assert!(collect("").unwrap().assumption.starts_with("gray values and palette indices 0-3"));
    // Palettes that were made file by file.
    save(0, &[0, 1, 2, 0], &[0, 0, 0, 128, 0, 0, 0, 128, 0]);
    save(1, &[0, 1, 2, 0], &[0, 0, 0, 0, 128, 0, 128, 0, 0]);
    let error = collect("").unwrap_err().to_string();
    assert!(error.contains("at index 1") && error.contains("at index 2") && error.contains("palette = "), "{error}");
    assert_eq!(collect("palette = 'colors'").unwrap().classes.len(), 3);
    // Indices in one label, colours in another.
    RgbImage::from_fn(2, 2, |x, _| Rgb([x as u8 * 128, 0, 0])).save(samples[1].label.as_ref().unwrap().path()).unwrap();
    let error = collect("").unwrap_err();
    assert!(matches!(&error, LabelsError::Disagree { .. }), "{error}");
    assert_eq!(collect("palette = 'colors'").unwrap().classes.len(), 3);
    // Gray ids in one, colours in another.
    image::GrayImage::from_raw(2, 2, vec![0, 2, 2, 1])
        .unwrap()
        .save(samples[0].label.as_ref().unwrap().path())
        .unwrap();
    let error = collect("").unwrap_err().to_string();
    assert!(error.contains("a.png has the gray values 0, 1, 2"), "{error}");
}

#[test]
fn values_that_are_listed_nowhere_have_no_class_by_default() {
    // A coloured pixel is not near to any gray.
    let map = classes(&[&[0, 255]], Some("snap = true")).unwrap();
    assert_eq!(map.table().unwrap().id_of_any(LabelValue::Rgb([200, 0, 0])), None);
    assert_eq!(map.table().unwrap().id_of_any(Gray(200)), Some(1));
}

/// How a mask of class ids is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// Ids as gray values; two classes also as single bits.
    Ids,
    /// Gray values spread over 0 to 255: 0 and 255 for two classes.
    Spread,
    /// Indices of a palette.
    Palette,
    /// Colours.
    Colour,
    /// Ids as three equal channels.
    EqualChannels,
    /// Ids in 16 bits.
    DeepIds,
    /// Values spread over 16 bits.
    DeepSpread,
    /// Ids in a TIFF file.
    Tiff,
}

impl Encoding {
    const ALL: [Self; 8] = [
        Self::Ids,
        Self::Spread,
        Self::Palette,
        Self::Colour,
        Self::EqualChannels,
        Self::DeepIds,
        Self::DeepSpread,
        Self::Tiff,
    ];

    /// Writes `mask`, whose ids are below `classes`.
    fn save(self, path: &Path, width: u32, mask: &[u8], classes: u8) {
        let height = mask.len() as u32 / width;
        let spread = |id: u8| (u32::from(id) * 255 / u32::from(classes - 1)) as u8;
        let colour = |id: u8| class_color(id + 1);
        let gray = |value: &dyn Fn(u8) -> u8| {
            image::GrayImage::from_raw(width, height, mask.iter().map(|&id| value(id)).collect()).unwrap()
        };
        let rgb = |value: &dyn Fn(u8) -> [u8; 3]| {
            RgbImage::from_raw(width, height, mask.iter().flat_map(|&id| value(id)).collect()).unwrap()
        };
        let deep = |value: &dyn Fn(u8) -> u16| {
            let pixels = mask.iter().map(|&id| value(id)).collect::<Vec<u16>>();
            image::ImageBuffer::<image::Luma<u16>, _>::from_raw(width, height, pixels).unwrap()
        };
        match self {
            Self::Ids => gray(&|id| id).save(path),
            Self::Spread => gray(&spread).save(path),
            Self::Palette => {
                save_palette(path, width, mask, &(0..classes).flat_map(colour).collect::<Vec<u8>>());
                Ok(())
            }
            Self::Colour => rgb(&colour).save(path),
            Self::EqualChannels => rgb(&|id| [id; 3]).save(path),
            Self::DeepIds => deep(&u16::from).save(path),
            Self::DeepSpread => deep(&|id| u16::from(spread(id)) * 257).save(path),
            // The content decides, not the extension.
            Self::Tiff => gray(&|id| id).save_with_format(path, image::ImageFormat::Tiff),
        }
        .unwrap();
    }
}

/// Rectangles of class ids on background: number, width and height of each.
type Areas = Vec<(u8, u32, u32)>;

const WIDTH: u32 = 40;
const HEIGHT: u32 = 30;

fn draw(areas: &Areas, classes: u8) -> Vec<u8> {
    let mut mask = vec![0u8; (WIDTH * HEIGHT) as usize];
    for (nth, &(id, w, h)) in areas.iter().enumerate() {
        let (x0, y0) = (nth as u32 * 11 % (WIDTH - w), nth as u32 * 7 % (HEIGHT - h));
        for y in y0..y0 + h {
            for x in x0..x0 + w {
                mask[(y * WIDTH + x) as usize] = id % classes;
            }
        }
    }
    mask
}

/// What `train` sees of the masks, written in these encodings; an error if the set is refused.
fn seen(folder: &Path, masks: &[Vec<u8>], encodings: &[Encoding], classes: u8) -> Result<Vec<Vec<u8>>, LabelsError> {
    let mut samples = Vec::new();
    for (at, (mask, encoding)) in masks.iter().zip(encodings).enumerate() {
        let sample = Sample::gray(folder, &at.to_string(), WIDTH, vec![0; mask.len()]);
        encoding.save(sample.label.as_ref().unwrap().path(), WIDTH, mask, classes);
        samples.push(sample);
    }
    let map = collect_labels(&samples, None)?;
    let table = map.table().expect("the classes of a map have distinct values");
    let drawn: BTreeSet<u8> = masks.iter().flatten().copied().collect();
    assert_eq!(map.classes.len(), drawn.len(), "{encodings:?}: {}", map.assumption);
    Ok(samples.iter().map(|sample| load_pair(sample, &table, &SampleReading::PLAIN).unwrap().mask).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the encodings, the classes are those that were drawn, or the set is refused.
    #[test]
    fn classes_are_those_drawn_or_the_set_is_refused(
        classes in 2u8..6,
        drawn in prop::collection::vec((prop::collection::vec((any::<u8>(), 1u32..20, 1u32..15), 0..8), 0usize..8), 1..7),
        one_encoding: bool,
        all_in_first: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        // In several encodings the first mask has every class and all have two: nothing tells a black mask from one that is
        // all of another colour, or an id from a value that is spread, where no file has more.
        let all_in_first = all_in_first || !one_encoding;
        let (mut masks, mut encodings) = (Vec::new(), Vec::new());
        for (at, (areas, encoding)) in drawn.iter().enumerate() {
            let mut areas = areas.clone();
            if !one_encoding {
                areas.extend([(0, 6, 6), (1, 6, 6)]);
            }
            if at == 0 && all_in_first {
                areas.extend((0..classes).map(|id| (id, 6, 6)));
            }
            masks.push(draw(&areas, classes));
            encodings.push(Encoding::ALL[if one_encoding { drawn[0].1 } else { *encoding }]);
        }
        // Areas may hide others.
        let whole = (0..classes).all(|id| masks[0].contains(&id));
        prop_assume!(one_encoding || (whole && masks.iter().all(|mask| mask.iter().any(|id| *id != mask[0]))));
        match seen(folder.path(), &masks, &encodings, classes) {
            Ok(all) => {
                // One id for each class that was drawn, in every file.
                let mut ids = std::collections::BTreeMap::new();
                for (mask, seen) in masks.iter().zip(&all) {
                    for (&class, &id) in mask.iter().zip(seen) {
                        prop_assert_eq!(*ids.entry(class).or_insert(id), id, "{:?}: class {}", encodings, class);
                    }
                }
                let different: BTreeSet<u8> = ids.values().copied().collect();
                prop_assert_eq!(different.len(), ids.len(), "{:?}: {:?}", encodings, ids);
                prop_assert!(!different.contains(&IGNORE_INDEX), "{:?}: {:?}", encodings, ids);
                // Classes keep their order, except among colours, which are sorted.
                if encodings.iter().all(|encoding| *encoding != Encoding::Colour) {
                    prop_assert!(ids.values().is_sorted(), "{:?}: {:?}", encodings, ids);
                }
            }
            // In one encoding there is no reason to refuse, once a mask shows all of it.
            Err(error) => prop_assert!(
                !(whole && encodings.iter().all(|e| *e == encodings[0])),
                "{:?}: {error}",
                encodings
            ),
        }
    }
}

#[test]
fn more_than_one_reading_of_a_ramp() {
    let folder = tempfile::tempdir().unwrap();
    let sample = Sample::gray(folder.path(), "soft", 129, ramp());
    let error = collect_labels(&[sample], None).unwrap_err();
    assert!(error.to_string().contains("soft.png"), "{error}");
}

#[test]
fn more_values_than_classes_is_an_error_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let photo: Vec<u8> =
        (0..100u32).flat_map(|y| (0..100u32).map(move |x| (x * x / 7 + y * y / 5 + x * y) as u8)).collect();
    let error = collect_labels(&[Sample::gray(folder.path(), "photo", 100, photo)], None).unwrap_err();
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
    assert_eq!(load_pair(&samples[0], &table, &SampleReading::PLAIN).unwrap().mask, [0; 4]);
    assert_eq!(load_pair(&samples[1], &table, &SampleReading::PLAIN).unwrap().mask, [0, 1, 0, 0]);
    // Class ids written into three channels are no colours; a gray that can be seen may be one.
    for (gray, is_refused) in [(1, true), (64, false)] {
        let mut ids = RgbImage::new(2, 2);
        ids.put_pixel(0, 1, Rgb([gray; 3]));
        ids.save(samples[0].label.as_ref().unwrap().path()).unwrap();
        let found = collect_labels(&samples, None);
        assert_eq!(matches!(&found, Err(LabelsError::Disagree { .. })), is_refused, "{gray}: {found:?}");
    }
    RgbImage::new(2, 2).save(samples[0].label.as_ref().unwrap().path()).unwrap();
    // If the classes are listed, all labels may happen to be black.
    samples.pop();
    let text = "[[class]]\nname='none'\ncolor='#000000'\n[[class]]\nname='red'\ncolor='#ff0000'";
    let file = DatasetFile::parse(text, Path::new("dataset.toml")).unwrap();
    let table = collect_labels(&samples, Some(&file)).unwrap().table().unwrap();
    assert_eq!(load_pair(&samples[0], &table, &SampleReading::PLAIN).unwrap().mask, [0; 4]);
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
