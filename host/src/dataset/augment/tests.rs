use clap::ValueEnum as _;
use unet_shared::digest::Digest;
use unet_shared::mask::IGNORE_INDEX;

use super::*;

fn listed(augment: &[OperationKind]) -> Augmentation {
    Augmentation { flips: Flips::NONE, augment: augment.to_vec(), class_pixels: vec![] }
}

fn preset(preset: Preset) -> Augmentation {
    AugmentOptions { flips: None, augment: vec![Named::Preset(preset)] }.resolve().unwrap()
}

/// A picture of three channels with classes 0 to 3 and some ignored pixels.
fn picture(width: usize, height: usize) -> Arc<Item> {
    let pixel = |i: usize| (i % width, i / width);
    let planes = (0..3 * width * height).map(|i| {
        let (x, y) = pixel(i % (width * height));
        ((x * 5 + y * 3 + i / (width * height) * 40 + (x * y) % 17 * 4) % 256) as u8
    });
    let mask = (0..width * height).map(pixel).map(|(x, y)| match (x, y) {
        (0..4, 0..4) => IGNORE_INDEX,
        _ => u8::from(x > width / 2) + 2 * u8::from(y > height / 3),
    });
    Arc::new(Item { planes: planes.collect(), mask: mask.collect(), truth: None })
}

#[test]
fn an_operation_listed_twice_is_refused_by_name() {
    assert_eq!(listed(OperationKind::value_variants()).validate(4), Ok(()));
    let error = listed(&[OperationKind::Zoom; 2]).validate(4).unwrap_err();
    assert!(error.contains("zoom twice"), "{error}");
}

#[test]
fn operations_draw_from_streams_of_their_own() {
    let mut streams: Vec<u64> = OperationKind::value_variants().iter().map(|kind| kind.effect().0).collect();
    streams.push(FLIP_STREAM);
    let count = streams.len();
    streams.sort_unstable();
    streams.dedup();
    assert_eq!(streams.len(), count);
}

#[test]
fn a_run_says_what_it_draws() {
    assert_eq!(Augmentation::default().to_string(), "horizontal flips");
    assert_eq!(
        listed(&[OperationKind::QuarterTurns, OperationKind::Zoom]).to_string(),
        "no flips, quarter-turns, zoom"
    );
}

/// Whatever is drawn: image and mask stay together, no class appears that was not there, the cached item stays as it is, and
/// the same arguments give the same item.
#[test]
fn image_and_mask_change_together() {
    // 0 and 200 as gray values can be told apart after interpolation.
    let pixels: Vec<u8> = (0..48 * 32).map(|i| if i % 48 > 20 && i / 48 > 12 { 200 } else { 0 }).collect();
    for kind in OperationKind::value_variants() {
        let (_, effect) = kind.effect();
        let moves = matches!(effect, Effect::Geometry(_)) || *kind == OperationKind::Zoom;
        let augmenter = listed(&[*kind]).augmenter(7, 48);
        let (mut changed, mut same) = (0, 0);
        for sample in 0..64 {
            let cached = test_item(&pixels);
            let mut item = Arc::clone(&cached);
            augmenter.apply(1, sample, &mut item);
            assert_eq!((&cached.planes, &cached.mask), (&pixels, &pixels));
            assert_eq!((item.planes.len(), item.mask.len()), (pixels.len(), pixels.len()));
            if Arc::ptr_eq(&item, &cached) {
                same += 1;
                continue;
            }
            changed += usize::from((&item.planes, &item.mask) != (&pixels, &pixels));
            let counted = || item.planes.iter().zip(&item.mask).filter(|(_, class)| **class != IGNORE_INDEX);
            assert!(counted().all(|(_, class)| [0, 200].contains(class)));
            assert!(counted().count() > pixels.len() / 6, "{kind:?}");
            if moves {
                // A pixel of the image weighs at least a quarter where the mask has its class.
                let apart = counted().filter(|(gray, class)| gray.abs_diff(**class) > 150);
                assert_eq!(apart.count(), 0, "{kind:?}, sample {sample}");
            } else {
                let moved =
                    item.mask.iter().zip(&pixels).filter(|(after, before)| ![IGNORE_INDEX, **before].contains(after));
                assert_eq!(moved.count(), 0, "{kind:?}, sample {sample}");
            }
            let mut again = cached;
            augmenter.apply(1, sample, &mut again);
            assert_eq!((&again.planes, &again.mask), (&item.planes, &item.mask));
        }
        // Of 64 samples; a gray image has no colour.
        let expected = match kind {
            OperationKind::Colour => 0..=0,
            OperationKind::Blur | OperationKind::Noise | OperationKind::Jpeg => 8..=24,
            OperationKind::QuarterTurns => 38..=58,
            OperationKind::Scale | OperationKind::Magnify | OperationKind::Zoom => 56..=64,
            _ => 20..=44,
        };
        assert!(expected.contains(&changed), "{kind:?}: {changed}");
        // One of zoom's windows is so large that it holds all pixels.
        let copied = usize::from(*kind == OperationKind::Zoom);
        assert_eq!(changed + same + copied, 64, "{kind:?}: an item without a change is not copied");
    }
}

#[test]
fn every_size_is_augmented() {
    let augmentation = listed(OperationKind::value_variants());
    for (width, height) in [(1, 1), (2, 2), (1, 8), (8, 1), (3, 50), (50, 3), (64, 48)] {
        let augmenter = augmentation.augmenter(3, width);
        let mut changed = 0;
        for sample in 0..20 {
            let before = picture(width, height);
            let mut item = Arc::clone(&before);
            augmenter.apply(2, sample, &mut item);
            assert_eq!((item.planes.len(), item.mask.len()), (3 * width * height, width * height));
            assert!(item.mask.iter().all(|class| *class < 4 || *class == IGNORE_INDEX));
            changed += usize::from(item.planes != before.planes);
        }
        assert!(changed > 15, "{width}x{height}: {changed}");
    }
}

/// A position in the result shows the same position of the image in all channels and in the mask, with all geometric operations
/// together.
#[test]
fn channels_and_mask_move_together() {
    let kinds = OperationKind::value_variants().iter().copied();
    let kinds: Vec<OperationKind> = kinds.filter(|kind| matches!(kind.effect().1, Effect::Geometry(_))).collect();
    let augmentation = Augmentation { flips: Flips::BOTH, ..listed(&kinds) };
    for (width, height) in [(6, 9), (3, 50), (50, 3), (64, 48)] {
        let augmenter = augmentation.augmenter(3, width);
        // Whatever is interpolated between 0 and 200 keeps more of the nearest pixel's value than of any other.
        let mask: Vec<u8> = picture(width, height).mask.iter().map(|class| if *class == 3 { 200 } else { 0 }).collect();
        let mut seen = [0; 2];
        for sample in 0..40 {
            let mut item = Arc::new(Item { planes: mask.repeat(3), mask: mask.clone(), truth: None });
            augmenter.apply(1, sample, &mut item);
            let planes: Vec<&[u8]> = item.planes.chunks_exact(width * height).collect();
            assert!(planes[0] == planes[1] && planes[0] == planes[2], "{width}x{height}, sample {sample}");
            for (gray, class) in planes[0].iter().zip(&item.mask).filter(|(_, class)| **class != IGNORE_INDEX) {
                assert!(gray.abs_diff(*class) <= 150, "{width}x{height}, sample {sample}: {gray} where {class} is");
                seen[usize::from(*class == 200)] += 1;
            }
        }
        assert!(seen.iter().all(|&pixels| pixels > width * height), "{width}x{height}: {seen:?}");
    }
}

/// Ignored pixels are white and all others black, so that they are recognised in the result.
#[test]
fn ignored_pixels_stay_ignored() {
    for kind in OperationKind::value_variants() {
        let moves = matches!(kind.effect().1, Effect::Geometry(_)) || *kind == OperationKind::Zoom;
        let augmenter = listed(&[*kind]).augmenter(3, 32);
        let ignored: Vec<bool> = (0..32 * 32).map(|i| i % 32 > 12 && i / 32 > 9).collect();
        let pixels = |yes: u8, no: u8| ignored.iter().map(|&is| if is { yes } else { no }).collect::<Vec<u8>>();
        let mut kept = 0;
        for sample in 0..40 {
            let mut item = Arc::new(Item { planes: pixels(255, 0), mask: pixels(IGNORE_INDEX, 1), truth: None });
            augmenter.apply(1, sample, &mut item);
            let now = item.mask.iter().zip(&item.planes).zip(&ignored);
            for (index, ((class, gray), was)) in now.enumerate() {
                let is = if moves { *gray > 191 } else { *was };
                assert!(
                    *class == IGNORE_INDEX || *class == 1 && !is,
                    "{kind:?}, sample {sample}, pixel {index}: {class}"
                );
                kept += usize::from(*class == 1);
            }
        }
        // 619 of 1024 pixels are not ignored at first.
        assert!(kept > 40 * 300, "{kind:?}: {kept}");
    }
}

#[test]
fn an_operation_does_not_change_the_draws_of_others() {
    use OperationKind::{Brightness, Cutout, Elastic, Noise, Rotate, Shift};
    let masks = |kinds: &[OperationKind]| -> Vec<Vec<u8>> {
        let augmenter = listed(kinds).augmenter(5, 40);
        let mask = |sample| {
            let mut item = picture(40, 30);
            augmenter.apply(1, sample, &mut item);
            item.mask.clone()
        };
        (0..20).map(mask).collect()
    };
    // Of these only the geometric ones and the hole change the mask, and the hole is cut last.
    assert_eq!(masks(&[Rotate, Brightness, Noise]), masks(&[Rotate]));
    assert_eq!(masks(&[Brightness, Noise, Cutout]), masks(&[Cutout]));
    let (whole, holes) = (masks(&[Rotate, Shift, Elastic]), masks(&[Rotate, Shift, Elastic, Cutout]));
    let alone = masks(&[Cutout]);
    let before = picture(40, 30);
    for ((whole, with), alone) in whole.iter().zip(&holes).zip(&alone) {
        for (index, class) in with.iter().enumerate() {
            let is_hole = alone[index] != before.mask[index];
            assert!(*class == if is_hole { IGNORE_INDEX } else { whole[index] } || before.mask[index] == IGNORE_INDEX);
        }
    }
    assert_ne!(whole, holes);
}

#[test]
fn the_order_of_the_list_does_not_matter() {
    let (mut forwards, mut backwards) = (preset(Preset::Photo), preset(Preset::Photo));
    forwards.class_pixels = vec![5, 4, 3, 2];
    backwards.class_pixels = forwards.class_pixels.clone();
    backwards.augment.reverse();
    for sample in 0..10 {
        let [mut a, mut b] = [picture(40, 30), picture(40, 30)];
        forwards.augmenter(1, 40).apply(3, sample, &mut a);
        backwards.augmenter(1, 40).apply(3, sample, &mut b);
        assert_eq!((&a.planes, &a.mask), (&b.planes, &b.mask));
    }
}

/// Machines, compilers and versions agree: otherwise a run could not be resumed elsewhere. A change of these digests changes
/// what every run with such operations sees.
#[test]
fn presets_have_golden_digests() {
    let digest = |mut augmentation: Augmentation, channels: usize| {
        augmentation.class_pixels = vec![900, 50, 7, 400];
        let augmenter = augmentation.augmenter(11, 96);
        let mut bytes = vec![];
        for sample in 0..24 {
            let mut item = picture(96, 64);
            Arc::make_mut(&mut item).planes.truncate(channels * 96 * 64);
            augmenter.apply(1 + sample % 2, sample, &mut item);
            bytes.extend_from_slice(&item.planes);
            bytes.extend_from_slice(&item.mask);
        }
        Digest::of(&bytes).to_string()
    };
    let found = [
        digest(preset(Preset::Photo), 3),
        digest(preset(Preset::Microscopy), 1),
        digest(listed(OperationKind::value_variants()), 3),
        digest(listed(&[OperationKind::Zoom]), 1),
    ];
    assert_eq!(found, GOLDEN);
}

/// Both presets, all operations, and zoom, whose digest is that of the first version.
const GOLDEN: [&str; 4] = [
    "70d49dcbc41dde6154d8d4d88540d46284362f92e8b9d0eb311fa4b8e6eb6773",
    "b9c72ed297b9af4d85d95872bd53f4e1977aa1562d4adde5f3ba83cbcd4b18e6",
    "2a334473d8f4f15ae82342a807bab2e725988dec2eaac6804d57de379d1d57f7",
    "df693088d940c4d350a7d2ed46f0456c52f5279e5479e8590a9239bc37437b3a",
];
