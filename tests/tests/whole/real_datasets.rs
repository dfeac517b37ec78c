//! Real datasets: their published classes, a foreign format, and what `check` finds in files that break loaders.

use unet_data::{Dataset, Sample, collect_labels, load_pair};
use unet_host::check::{CheckOptions, Kind, check};
use unet_shared::samples::SampleReading;
use unet_test_support::real_data::{beside_datasets, dataset};

#[test]
#[cfg_attr(not(seg_data), ignore = "set SEG_DATA to the directory of the datasets")]
fn real_datasets_have_their_published_classes() {
    for (name, pairs, expected) in [
        ("camvid", [367, 101], 12),
        ("isbi2012_membrane", [20, 5], 2),
        ("sandstone", [292, 50], 4),
        ("sandstone_slices", [6, 1], 4),
        ("neuseg_clean", [677, 225], 4),
    ] {
        let dataset = Dataset::open(&dataset(name), &Default::default()).unwrap();
        assert_eq!([dataset.train.len(), dataset.val.len()], pairs, "{name}");
        let samples: Vec<Sample> = dataset.samples().cloned().collect();
        let map = collect_labels(&samples, None).unwrap();
        assert_eq!(map.classes.len(), expected, "{name}: {}", map.assumption);
        let pair = load_pair(&dataset.val[0], &map.table().unwrap(), &SampleReading::PLAIN).unwrap();
        assert_eq!(pair.mask.len(), pair.image.width * pair.image.height);
    }
}

#[test]
#[cfg_attr(not(seg_data), ignore = "set SEG_DATA to the directory of the datasets")]
fn a_raw_dataset_of_nnunet_is_read() {
    let dataset = Dataset::open(&beside_datasets("cases/datasets/nnunet"), &Default::default()).unwrap();
    assert_eq!(dataset.layout.name(), "nnunet");
    assert_eq!([dataset.train.len(), dataset.val.len(), dataset.test.len()], [6, 2, 0]);
    assert_eq!(dataset.problems, []);
    let samples: Vec<Sample> = dataset.samples().cloned().collect();
    let map = collect_labels(&samples, dataset.file.as_ref()).unwrap();
    assert_eq!((map.names(), map.ignore.len()), (["background", "a", "b"].map(str::to_owned).to_vec(), 0));
    for sample in &samples {
        let pair = load_pair(sample, &map.table().unwrap(), &SampleReading::PLAIN).unwrap();
        assert_eq!(pair.mask.len(), pair.image.width * pair.image.height, "{}", sample.name);
    }
}

#[test]
#[cfg_attr(not(seg_data), ignore = "set SEG_DATA to the directory of the datasets")]
fn check_names_the_fault_of_each_folder_of_nasties() {
    let root = dataset("nasties");
    for (name, expected) in [
        ("antialiased_mask_same_folder", vec![Kind::AntiAliasedMask]),
        ("rgb_colour_mask_tiff", vec![Kind::ColourMask]),
        ("rgb_colour_mask_suffix", vec![Kind::Layout, Kind::UnpairedMask, Kind::ColourMask]),
        ("onebit_inverted_mask", vec![Kind::Layout, Kind::UnpairedMask, Kind::OneBitMask]),
        ("exif_orientation3", vec![Kind::ExifRotation]),
        ("rgba_image_instance_masks", vec![Kind::AlphaChannel]),
        ("mask_size_differs", vec![Kind::SizeMismatch, Kind::ZeroAnd255Mask]),
        ("gray16_png", vec![Kind::Layout, Kind::SixteenBit, Kind::PredictionFile]),
        ("matlab_mask", vec![Kind::Layout, Kind::Unreadable]),
        ("leak_pair", vec![Kind::Layout, Kind::SimilarImageInTwoSplits]),
        ("camvid_list_absolute_paths.txt", vec![Kind::Layout, Kind::ListFile]),
        ("cwfid_split_with_overlap.yaml", vec![Kind::Layout, Kind::SplitOverlap]),
    ] {
        let report = check(&root.join(name), &CheckOptions::default(), &mut |_, _| {}).unwrap().report;
        for kind in expected {
            assert!(report.findings.iter().any(|finding| finding.kind == kind), "{name}: {}", report.text(false));
        }
    }
}
