//! Training, validation and the board compute the same bytes from the same files: the loader of the host and the
//! evaluation of the edge call the same preprocessing.

use std::sync::Arc;

use unet_data::{Dataset, OpenOptions, Split, collect_labels, decode_image};
use unet_host::dataset::loader::{Item, LoadError, Loader, LoaderOptions};
use unet_host::dataset::synthetic::{SyntheticConfig, generate};
use unet_host::run_dir::json;
use unet_shared::digest::Digest;
use unet_shared::preprocess::{Channels, Filter, Fit, Preprocess, Preprocessor};
use unet_shared::samples::SampleReading;

fn specs() -> Vec<Preprocess> {
    let mut specs = vec![];
    for fit in [Fit::Stretch, Fit::Letterbox, Fit::Pad] {
        for filter in [Filter::Nearest, Filter::Bilinear, Filter::Area] {
            for channels in [Channels::Gray, Channels::Rgb] {
                let (width, height) = if fit == Fit::Pad { (64, 80) } else { (40, 24) };
                specs.push(Preprocess { width, height, channels, fit, filter, ..Preprocess::CLASSIC });
            }
        }
    }
    specs
}

#[test]
fn the_loader_reads_what_the_board_reads_in_any_order_and_any_memory() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), &SyntheticConfig { seed: 9, train: 6, val: 2, width: 64, height: 64 }).unwrap();
    let dataset = Dataset::open(folder.path(), &OpenOptions::default()).unwrap();
    let samples = dataset.split(Split::Train).to_vec();
    let table = collect_labels(&samples, dataset.file.as_ref()).unwrap().table().unwrap();
    for spec in specs() {
        let mut board = Preprocessor::new(spec).unwrap();
        let expected: Vec<Digest> = samples
            .iter()
            .map(|sample| {
                let mut planes = vec![0; spec.input_len()];
                board.run(&decode_image(&sample.image, &SampleReading::PLAIN).unwrap().view(), &mut planes).unwrap();
                Digest::of(&planes)
            })
            .collect();
        // A cache for no samples, for some, and for all; two passes, so that the second may read from the cache.
        for cache_bytes in [0, 8_000, u64::MAX / 2] {
            let options = LoaderOptions { cache_bytes, workers: 3, with_truth: true };
            let loader = Loader::new(samples.clone(), table.clone(), spec, options).unwrap();
            for order in [[0, 1, 2, 3, 4, 5], [5, 3, 1, 0, 2, 4]] {
                let mut seen = vec![];
                loader
                    .for_each::<LoadError>(&order, |sample, item: Arc<Item>| {
                        assert_eq!(Digest::of(&item.planes), expected[sample], "{}", json(&spec));
                        assert_eq!(item.truth.as_ref().unwrap().pixels(), 64 * 64);
                        seen.push(sample);
                        Ok(())
                    })
                    .unwrap();
                assert_eq!(seen, order);
            }
        }
    }
}

#[test]
fn a_broken_sample_stops_the_loader_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    generate(folder.path(), &SyntheticConfig { seed: 9, train: 4, val: 1, width: 64, height: 64 }).unwrap();
    let dataset = Dataset::open(folder.path(), &OpenOptions::default()).unwrap();
    let samples = dataset.split(Split::Train).to_vec();
    let table = collect_labels(&samples, dataset.file.as_ref()).unwrap().table().unwrap();
    std::fs::write(&samples[2].image, b"no image").unwrap();
    let options = LoaderOptions { cache_bytes: 0, workers: 2, with_truth: false };
    let spec = Preprocess { width: 16, height: 16, ..Preprocess::CLASSIC };
    let loader = Loader::new(samples.clone(), table, spec, options).unwrap();
    let mut seen = vec![];
    let error = loader
        .for_each::<LoadError>(&[0, 1, 2, 3], |sample, _| {
            seen.push(sample);
            Ok(())
        })
        .unwrap_err();
    assert_eq!(seen, [0, 1]);
    assert!(error.to_string().contains(&samples[2].name), "{error}");
}
