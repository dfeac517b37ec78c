//! The same data in each dataset format and as plain folders trains to equal weights.

use std::fs;
use std::path::{Path, PathBuf};

use image::{GrayImage, Luma, Rgb, RgbImage};
use unet_data::Dataset;
use unet_host::steps::train::{TrainOptions, finish, start};
use unet_host::training::memory::MemoryOptions;

use crate::tiny_run::Silent;

const SIDE: u32 = 32;
const SCENES: u32 = 6;
const NAMES: [&str; 2] = ["floor", "part"];

/// A folder that is filled file by file.
struct Folder<'a>(&'a Path);

impl Folder<'_> {
    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn text(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn image(&self, k: u32, name: &str) {
        let [left, top, right, bottom] = part(k);
        let pixel = |x, y| {
            let noise = ((x * 37 + y * 101 + k * 53) % 64) as u8;
            if (left..right).contains(&x) && (top..bottom).contains(&y) {
                Rgb([200, noise, 90])
            } else {
                Rgb([noise, 80, noise])
            }
        };
        RgbImage::from_fn(SIDE, SIDE, pixel).save(self.path(name)).unwrap();
    }

    /// A mask that is `inside` where the part is, from column `from` of it on.
    fn mask(&self, k: u32, name: &str, [outside, inside]: [u8; 2], columns: std::ops::Range<u32>) {
        let [left, top, right, bottom] = part(k);
        let columns = left + columns.start..right.min(left + columns.end);
        let pixel = |x, y| Luma([if columns.contains(&x) && (top..bottom).contains(&y) { inside } else { outside }]);
        GrayImage::from_fn(SIDE, SIDE, pixel).save(self.path(name)).unwrap();
    }
}

/// Left, top, right and bottom of the part in a scene.
fn part(k: u32) -> [u32; 4] {
    [2 + k, 3 + 2 * k, 20 + k, 14 + 2 * k]
}

fn name(k: u32) -> String {
    format!("{k}_0000")
}

fn split(k: u32) -> &'static str {
    if k < 4 { "train" } else { "val" }
}

/// Trains two epochs, and returns the weights' file.
fn weights(data: &Path, runs: &Path, options: &TrainOptions) -> Vec<u8> {
    let mut options = TrainOptions { runs: runs.to_owned(), ..options.clone() };
    (options.config.model.base, options.config.model.depth, options.config.training.epochs) = (2, 2, 2);
    let memory = MemoryOptions::default();
    let run = start(data, &options, memory).unwrap_or_else(|error| panic!("{error}"));
    finish(&run, memory, &mut Silent).unwrap();
    fs::read(run.dir.last_weights()).unwrap()
}

fn corners(k: u32) -> [[u32; 2]; 4] {
    let [left, top, right, bottom] = part(k);
    [[left, top], [right, top], [right, bottom], [left, bottom]]
}

fn nnunet(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("imagesTr/{}.png", name(k)));
    folder.mask(k, &format!("labelsTr/{k}.png"), [0, 1], 0..SIDE);
    folder.text("dataset.json", r#"{"labels": {"floor": 0, "part": 1}, "file_ending": ".png"}"#);
}

fn voc(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("JPEGImages/{}.png", name(k)));
    folder.mask(k, &format!("SegmentationClass/{}.png", name(k)), [0, 1], 0..SIDE);
    folder.text("labelmap.txt", "floor:0,0,0::\npart:255,0,0::\n");
}

fn colour_table(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}.png", name(k)));
    let path = format!("labels/{}_L.png", name(k));
    folder.mask(k, &path, [0, 1], 0..SIDE);
    let ids = image::open(folder.path(&path)).unwrap().to_luma8();
    let colour = |x, y| if ids.get_pixel(x, y).0 == [1] { Rgb([192, 0, 128]) } else { Rgb([0, 128, 64]) };
    RgbImage::from_fn(SIDE, SIDE, colour).save(folder.path(&path)).unwrap();
    folder.text("label_colors.txt", "0 128 64\tfloor\n192 0 128\tpart\n");
}

fn mask_sets(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}.png", name(k)));
    folder.mask(k, &format!("masks/{}_1.png", name(k)), [0, 255], 0..9);
    folder.mask(k, &format!("masks/{}_2.png", name(k)), [0, 255], 7..SIDE);
}

fn labelme(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("{}.png", name(k)));
    let json = serde_json::json!({"imagePath": format!("{}.png", name(k)), "imageWidth": SIDE, "imageHeight": SIDE,
        "shapes": [{"label": "part", "shape_type": "polygon", "points": corners(k)}]});
    folder.text(&format!("{}.json", name(k)), &json.to_string());
}

fn chosen(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("scans/{}.png", name(k)));
    folder.mask(k, &format!("drawn/{}_second.png", name(k)), [0, 1], 0..SIDE);
    folder.mask(k, &format!("drawn/{}_first.png", name(k)), [1, 0], 0..SIDE);
    folder.text("dataset.toml", "images = 'scans'\nmasks = 'drawn'\nsuffix = '_second'");
}

fn mmseg(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("img_dir/{}/{}.png", split(k), name(k)));
    folder.mask(k, &format!("ann_dir/{}/{}.png", split(k), name(k)), [0, 1], 0..SIDE);
}

fn ultralytics(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}/{}.png", split(k), name(k)));
    // Shares of 32 are exact.
    let points: String =
        corners(k).iter().flatten().map(|&at| format!(" {}", f64::from(at) / f64::from(SIDE))).collect();
    folder.text(&format!("labels/{}/{}.txt", split(k), name(k)), &format!("0{points}\n"));
    folder.text("data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: part\n");
}

fn coco(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("{}/{}.png", split(k), name(k)));
    let of_split = |other: &u32| split(*other) == split(k);
    let all: Vec<u32> = (0..SCENES).filter(of_split).collect();
    let images: Vec<_> = all
        .iter()
        .map(|&k| serde_json::json!({"id": k, "file_name": format!("{}.png", name(k)), "width": SIDE, "height": SIDE}))
        .collect();
    let annotations: Vec<_> = all
        .iter()
        .map(|&k| {
            let polygon: Vec<u32> = corners(k).into_iter().flatten().collect();
            serde_json::json!({"id": k, "image_id": k, "category_id": 3, "iscrowd": 0, "segmentation": [polygon]})
        })
        .collect();
    let json =
        serde_json::json!({"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "part"}]});
    folder.text(&format!("annotations/instances_{}.json", split(k)), &json.to_string());
}

fn cityscapes(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("leftImg8bit/{}/ulm/{k}_leftImg8bit.png", split(k)));
    // Road, and cars among it.
    folder.mask(k, &format!("gtFine/{}/ulm/{k}_gtFine_labelIds.png", split(k)), [7, 26], 0..SIDE);
}

/// The files that a scene has in a format.
type Write = fn(&Folder<'_>, u32);

#[test]
fn each_format_trains_to_the_weights_of_plain_folders() {
    let unsplit: Write = |folder, k| {
        folder.image(k, &format!("images/{}.png", name(k)));
        folder.mask(k, &format!("masks/{}.png", name(k)), [0, 1], 0..SIDE);
    };
    let by_split: Write = |folder, k| {
        folder.image(k, &format!("{}/images/{}.png", split(k), name(k)));
        folder.mask(k, &format!("{}/masks/{}.png", split(k), name(k)), [0, 1], 0..SIDE);
    };
    let of_cities: Write = |folder, k| {
        folder.image(k, &format!("{}/images/{k}.png", split(k)));
        folder.mask(k, &format!("{}/masks/{k}.png", split(k)), [0, 13], 0..SIDE);
    };
    let two: Vec<String> = NAMES.map(str::to_owned).to_vec();
    let nineteen: Vec<String> = (0..19).map(|id| format!("c{id}")).collect();
    let unsplit_formats: Vec<(&str, Write)> = vec![
        ("nnunet", nnunet),
        ("voc", voc),
        ("colour_table", colour_table),
        ("mask_sets", mask_sets),
        ("labelme", labelme),
        ("chosen", chosen),
    ];
    let split_formats: Vec<(&str, Write)> = vec![("splits", mmseg), ("ultralytics", ultralytics), ("coco", coco)];
    let cities: Vec<(&str, Write)> = vec![("cityscapes", cityscapes)];
    for (plain, classes, formats) in
        [(unsplit, &two, unsplit_formats), (by_split, &two, split_formats), (of_cities, &nineteen, cities)]
    {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, write: Write| {
            let path = root.path().join(name);
            (0..SCENES).for_each(|k| write(&Folder(&path), k));
            path
        };
        let data = write("plain", plain);
        let listed = classes.iter().enumerate().map(|(id, name)| format!("[[class]]\nname = '{name}'\nvalue = {id}\n"));
        Folder(&data).text("dataset.toml", &listed.collect::<String>());
        let runs = root.path().join("runs");
        let options = TrainOptions::default();
        let expected = weights(&data, &runs, &options);
        for (layout, format) in formats {
            let data = write(layout, format);
            let dataset = Dataset::open(&data, &Default::default()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((dataset.layout.name(), dataset.problems.len()), (layout, 0));
            assert!(weights(&data, &runs, &options) == expected, "{layout}: other weights than from plain folders");
        }
    }
}
