//! `--tiles` in each verb that has it, by images that only tiles of the model's own size segment right: noise, pixel by pixel.

use unet_shared::digest::Digest;
use unet_shared::record::EvaluationRecord;

use super::*;

const WIDTH: u32 = 40;
const HEIGHT: u32 = 26;

fn noise(x: u32, y: u32) -> u8 {
    ((x * 7919 + y * 104_729) % 251) as u8
}

/// The class of each pixel.
fn classes() -> Vec<u8> {
    let pixels = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| noise(x, y)));
    pixels.map(|pixel| u8::from(pixel > tiny_package::THRESHOLD)).collect()
}

fn save(path: &Path, value: impl Fn(u32, u32) -> u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::from_fn(WIDTH, HEIGHT, |x, y| image::Luma([value(x, y)])).save(path).unwrap();
}

/// A dataset of one pair of noise for each split, and the folder of its validation image.
fn dataset(fixture: &Fixture) -> PathBuf {
    for split in ["train", "val"] {
        save(&fixture.path(&format!("data/{split}/images/a.png")), noise);
        let label = |x, y| if noise(x, y) > tiny_package::THRESHOLD { 226 } else { 29 };
        save(&fixture.path(&format!("data/{split}/masks/a.png")), label);
    }
    fixture.path("data")
}

fn record(fixture: &Fixture, tiles: &[&str]) -> (EvaluationRecord, Output) {
    let (data, file) = (dataset(fixture), fixture.path("record.json"));
    let arguments = [&["evaluate", "@", "@", "--output", "@"], tiles].concat();
    let output = unet_edge(&arguments, &[&fixture.package(), &data, &file]);
    check_exit(&output, 0);
    (EvaluationRecord::from_json(&std::fs::read(&file).unwrap()).unwrap(), output)
}

#[test]
fn evaluate_counts_each_pixel_once_and_records_the_tiles() {
    let fixture = Fixture::new();
    let (cut, output) = record(&fixture, &["--tiles", "16,4"]);
    assert_eq!(cut.tiles, Some("16x16,4".parse().unwrap()));
    assert_eq!((cut.confusion.mean_iou(), cut.confusion.counts().iter().sum::<u64>()), (Some(1.0), 40 * 26));
    assert!(stdout(&output).contains("tiles of 16x16 pixels, overlap 4\n"), "{}", stdout(&output));
    let note = "tiles: images larger than 16x16 pixels are cut, overlap 4; the receptive field is 0 pixels each way, so no seam shows";
    assert!(stderr(&output).contains(note), "{}", stderr(&output));
    // The digests of the tiles' digests: 3 columns, 2 rows.
    let (columns, rows) = ([0, 12, 24], [0, 10]);
    let tiles = rows.into_iter().flat_map(|top| columns.map(|left| (left, top)));
    let planes = |(left, top): (u32, u32)| -> Vec<u8> {
        (0..16).flat_map(|y| (0..16).map(move |x| noise(left + x, top + y))).collect()
    };
    let digests: Vec<u8> = tiles.clone().flat_map(|tile| Digest::of(&planes(tile)).0).collect();
    assert_eq!(cut.frames[0].input, Digest::of(&digests));
    let digests: Vec<u8> = tiles.flat_map(|tile| Digest::of(&tiny_package::logits_of(&planes(tile))).0).collect();
    assert_eq!(cut.frames[0].logits, Digest::of(&digests));
    assert_eq!(cut.frames[0].prediction, Digest::of(&classes()));

    let (whole, _) = record(&fixture, &[]);
    assert_eq!(whole.tiles, None);
    assert!(whole.confusion.mean_iou() < Some(0.9));
    let (large, output) = record(&fixture, &["--tiles", "64"]);
    assert_eq!(large.frames[0].logits, whole.frames[0].logits);
    assert!(stdout(&output).contains("1 of 1 images are not larger and were scored whole"), "{}", stdout(&output));
}

#[test]
fn run_writes_the_masks_of_the_tiles() {
    let fixture = Fixture::new();
    dataset(&fixture);
    let (images, output) = (fixture.path("data/val/images"), fixture.path("output"));
    let result = unet_edge(
        &["run", "@", "--source", "@", "--output", "@", "--tiles", "16"],
        &[&fixture.package(), &images, &output],
    );
    check_exit(&result, 0);
    let mask = image::open(output.join("masks/a.png")).unwrap().into_luma8();
    let expected: Vec<u8> = classes().iter().map(|&class| if class == 1 { 226 } else { 29 }).collect();
    assert!(mask.into_raw() == expected);
}

#[test]
fn a_pipeline_cuts_frames_as_its_configuration_or_its_package_says() {
    let fixture = Fixture::new();
    dataset(&fixture);
    let (images, masks) = (fixture.path("data/val/images"), fixture.path("masks"));
    let run = |tiles: &str, package: &Path| -> serde_json::Value {
        let config = fixture.path("unet-edge.toml");
        let text = format!(
            "package = {package:?}\n[engine]\n{tiles}\n[source]\nkind = 'files'\npath = {images:?}\n[outputs.masks]\n\
             folder = {masks:?}\n[outputs.hard_frames]\nfolder = {:?}\nmargin_below = 256.0\n[board]\nname = 'generic'\n",
            fixture.path("hard")
        );
        std::fs::write(&config, text).unwrap();
        let output = unet_edge(&["run", "--config", "@"], &[&config]);
        check_exit(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let expected = Digest::of(&classes()).to_string();
    let cut = run("tiles = '16,8'", &fixture.package());
    assert_eq!(cut["mask_sha256"], expected);
    let share = classes().iter().filter(|&&class| class == 1).count() as f64 * 100.0 / f64::from(WIDTH * HEIGHT);
    assert!((cut["shares"]["bright"].as_f64().unwrap() - share).abs() < 1e-3);
    let stored = std::fs::read_dir(&masks).unwrap().next().unwrap().unwrap().path();
    let label = |&class: &u8| if class == 1 { 226 } else { 29 };
    assert!(image::open(stored).unwrap().into_luma8().into_raw() == classes().iter().map(label).collect::<Vec<u8>>());
    assert_ne!(run("", &fixture.package())["mask_sha256"], expected);
    // A package of a model that was trained on tiles.
    let trained = fixture.path("trained.unet");
    let (mut manifest, members) = tiny_package::parts();
    manifest.tiles = Some("16,2".parse().unwrap());
    unet_engine::package::write(&trained, manifest, members).unwrap();
    assert_eq!(run("", &trained)["mask_sha256"], expected);
    assert_ne!(run("tiles = 'none'", &trained)["mask_sha256"], expected);
    let text = stdout(&unet_edge(&["inspect", "@"], &[&trained]));
    assert!(text.contains("16x16 pixels, overlap 2, as in training") && text.contains("0 pixels each way"), "{text}");
}

#[test]
fn tiles_that_cannot_be_are_refused() {
    let fixture = Fixture::new();
    let data = dataset(&fixture);
    for (tiles, reason) in [
        ("15", "an even number from 16 to 16384, found 15"),
        ("32,32", "an even number below their side of 32, found 32"),
        ("large", "such as 512, 512,128 or 640x480,64"),
    ] {
        let output = unet_edge(&["evaluate", "@", "@", "--tiles", tiles], &[&fixture.package(), &data]);
        check_exit(&output, 2);
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
}
