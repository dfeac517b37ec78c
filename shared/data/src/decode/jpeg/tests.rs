use super::*;
use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};

/// A scene of soft shapes, edges and some texture, as a photograph has.
fn scene(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x.wrapping_mul(0x9e37) ^ y.wrapping_mul(0x85eb) ^ seed).wrapping_mul(0x2c1b_3c6d) >> 28;
        let wave = |a: u32, b: u32| ((f64::from(x * a + y * b + seed) / 37.0).sin() * 80.0 + 120.0) as u32;
        let edge = if (x + seed) % 61 < 30 { 20 } else { 0 };
        Rgb([wave(3, 1), wave(1, 2), wave(2, 5)].map(|level| (level + noise + edge) as u8))
    })
}

fn encode(image: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(image).unwrap();
    bytes
}

/// 56x40 pixels, chroma halved both ways, ten scans; written by libjpeg.
const PROGRESSIVE: &[u8] = include_bytes!("progressive.jpg");

/// 56x40 pixels, chroma halved across, a restart marker every two groups of blocks; written by libjpeg.
const RESTARTS: &[u8] = include_bytes!("restarts.jpg");

fn start_of_data(bytes: &[u8]) -> usize {
    let header = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    header + 2 + usize::from(bytes[header + 3])
}

#[test]
fn whole_files_pass() {
    for (width, height) in [(1, 1), (8, 8), (17, 33), (200, 120)] {
        for quality in [1, 50, 90, 100] {
            assert_eq!(verify_jpeg(&encode(&scene(width, height, 3), quality)), Ok(Whole::default()));
        }
        let mut gray = Vec::new();
        let image = GrayImage::from_fn(width, height, |x, y| Luma([((x * 31) ^ (y * 17)) as u8]));
        JpegEncoder::new_with_quality(&mut gray, 95).encode_image(&image).unwrap();
        assert_eq!(verify_jpeg(&gray), Ok(Whole::default()));
    }
    for bytes in [PROGRESSIVE, RESTARTS] {
        assert_eq!(verify_jpeg(bytes), Ok(Whole::default()));
        // What follows the end marker, and fill bytes before a marker, belong to no image.
        let end = bytes.len() - 2;
        assert_eq!(verify_jpeg(&[bytes, &[1, 2, 3]].concat()), Ok(Whole::default()));
        assert_eq!(verify_jpeg(&[&bytes[..end], &[0xff; 3], &bytes[end..]].concat()), Ok(Whole::default()));
        assert_eq!(verify_jpeg(&[&bytes[..end], &[1, 2], &bytes[end..]].concat()), Ok(Whole { leftovers: 1 }));
    }
}

#[test]
fn files_cut_anywhere_are_refused_even_if_they_end_in_an_end_marker() {
    for bytes in [PROGRESSIVE, RESTARTS, &encode(&scene(40, 24, 1), 80)] {
        for length in 2..bytes.len() {
            assert!(verify_jpeg(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
        // The last byte of data may hold nothing but padding.
        for length in 2..bytes.len() - 4 {
            let ended = [&bytes[..length], &[0xff, 0xd9]].concat();
            assert!(verify_jpeg(&ended).is_err(), "{length} of {}", bytes.len());
        }
    }
}

#[test]
fn restart_markers_stand_in_order() {
    let markers: Vec<usize> = (0..RESTARTS.len() - 1)
        .filter(|&at| RESTARTS[at] == 0xff && (0xd0..=0xd7).contains(&RESTARTS[at + 1]))
        .collect();
    assert!(markers.len() > 5);
    let mut swapped = RESTARTS.to_vec();
    swapped[markers[1] + 1] = 0xd7;
    assert!(matches!(verify_jpeg(&swapped), Err(Damage::Restart { .. })));
    let missing = [&RESTARTS[..markers[1]], &RESTARTS[markers[1] + 2..]].concat();
    assert!(verify_jpeg(&missing).is_err());
    let interval_lost = [&RESTARTS[..markers[1]], &RESTARTS[markers[2]..]].concat();
    assert!(matches!(verify_jpeg(&interval_lost), Err(Damage::Restart { .. })));
}

#[test]
fn data_without_huffman_tables_is_read_by_the_standard_ones() {
    let bytes = encode(&scene(40, 24, 1), 80);
    let (mut without, mut at) = (bytes[..2].to_vec(), 2);
    while bytes[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        if bytes[at + 1] != 0xc4 {
            without.extend(&bytes[at..end]);
        }
        at = end;
    }
    assert!(without.len() + bytes.len() - at < bytes.len());
    without.extend(&bytes[at..]);
    assert_eq!(verify_jpeg(&without), Ok(Whole::default()));
}

/// The first of eight seeds, with which 479 to 531 of a thousand changes are noticed each.
const SEED: u32 = 0x2545_f491;

/// One byte of the scan is changed, a thousand times from each of eight seeds: the pixels stay equal, or the file is refused
/// or reported, except where the change turns valid values into others. JPEG has no checksum that would show these.
#[test]
fn of_a_thousand_changed_bytes_what_cannot_be_is_noticed() {
    let files =
        [encode(&scene(160, 120, 7), 60), encode(&scene(160, 120, 9), 90), PROGRESSIVE.to_vec(), RESTARTS.to_vec()];
    let decode = |bytes: &[u8]| image::load_from_memory_with_format(bytes, ImageFormat::Jpeg);
    let mut noticed = 0;
    for seed in (0..8).map(|step: u32| SEED.wrapping_add(step.wrapping_mul(0x9e37_79b9))) {
        let mut state = seed;
        let mut below = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % bound
        };
        let [mut equal, mut refused, mut told, mut unknown, mut slight] = [0; 5];
        for trial in 0..1000 {
            let whole = &files[trial % files.len()];
            let start = start_of_data(whole);
            let mut changed = whole.clone();
            changed[start + below(whole.len() - 2 - start)] ^= 1 + below(255) as u8;
            match (verify_jpeg(&changed), decode(&changed)) {
                (Err(_), _) | (_, Err(_)) => refused += 1,
                (Ok(found), Ok(pixels)) => {
                    let expected = decode(whole).unwrap();
                    let difference =
                        pixels.as_bytes().iter().zip(expected.as_bytes()).map(|(a, b)| usize::from(a.abs_diff(*b)));
                    match difference.sum::<usize>() {
                        0 => equal += 1,
                        _ if found.leftovers > 0 => told += 1,
                        sum => {
                            unknown += 1;
                            slight += usize::from(sum < pixels.as_bytes().len());
                        }
                    }
                }
            }
        }
        println!(
            "seed {seed:#x}: {equal} equal, {refused} refused, {told} told, {unknown} unknown, of which {slight} change a level on average by less than 1"
        );
        assert_eq!(equal + refused + told + unknown, 1000);
        let least = if seed == SEED { 500 } else { 475 };
        assert!(refused + told >= least, "seed {seed:#x}: {refused} refused, {told} told");
        noticed += refused + told;
        assert!(unknown - slight <= 250, "seed {seed:#x}: {unknown} unknown, {slight} slight");
    }
    assert!(noticed >= 4000, "{noticed} of 8000");
}
