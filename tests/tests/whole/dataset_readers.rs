//! The same data in each dataset format and as plain folders trains to equal weights.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use tiff::encoder::{TiffEncoder, colortype};
use unet_data::Dataset;
use unet_data::run_lengths::RunLengths;
use unet_host::steps::open_run::OpenRun;
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

    /// Replaces 0 and 1 in a mask by two colours.
    fn colour(&self, name: &str, colours: [[u8; 3]; 2]) {
        let ids = image::open(self.path(name)).unwrap().to_luma8();
        let colour = |x, y| Rgb(colours[usize::from(ids.get_pixel(x, y).0[0])]);
        RgbImage::from_fn(SIDE, SIDE, colour).save(self.path(name)).unwrap();
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
    folder.mask(k, &format!("SegmentationObject/{}.png", name(k)), [0, 7], 0..SIDE);
    let of_split = (0..SCENES).filter(|&other| split(other) == split(k));
    let list: String = of_split.map(|k| name(k) + "\n").collect();
    folder.text(&format!("ImageSets/Segmentation/{}.txt", split(k)), &list);
}

fn cvat(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("JPEGImages/{}.png", name(k)));
    let path = format!("SegmentationClass/{}.png", name(k));
    folder.mask(k, &path, [0, 1], 0..SIDE);
    folder.colour(&path, [[0, 0, 0], [255, 0, 60]]);
    folder.text("labelmap.txt", "# label:color_rgb:parts:actions\nfloor:0,0,0::\npart:255,0,60::\n");
}

fn colour_table(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}.png", name(k)));
    let path = format!("labels/{}_L.png", name(k));
    folder.mask(k, &path, [0, 1], 0..SIDE);
    folder.colour(&path, [[0, 128, 64], [192, 0, 128]]);
    folder.text("label_colors.txt", "0 128 64\tfloor\n192 0 128\tpart\n");
}

/// The part is a cell on the left and one on the right, and a picture of the result lies beside them.
fn cellpose(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("{}.png", name(k)));
    let path = format!("{}_cp_masks.png", name(k));
    folder.mask(k, &path, [0, 1], 0..SIDE);
    let part = image::open(folder.path(&path)).unwrap().to_luma8();
    let cell = |x, y| Luma([u16::from(part.get_pixel(x, y).0[0]) * if x > 9 { 300 } else { 1 }]);
    ImageBuffer::from_fn(SIDE, SIDE, cell).save(folder.path(&path)).unwrap();
    folder.image(k, &format!("{}_cp_output.png", name(k)));
    folder.text(&format!("{}_seg.npy", name(k)), "");
}

fn labelme_masks(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("{}.png", name(k)));
    let [left, top, right, bottom] = part(k);
    let mut png = Cursor::new(Vec::new());
    GrayImage::from_pixel(right - left, bottom - top, Luma([1])).write_to(&mut png, ImageFormat::Png).unwrap();
    let json = serde_json::json!({"imagePath": format!("..\\photos\\{}.png", name(k)),
        "shapes": [{"label": "part", "shape_type": "mask", "points": [[left, top], [right - 1, bottom - 1]],
            "mask": STANDARD.encode(png.into_inner())}]});
    folder.text(&format!("{}.json", name(k)), &json.to_string());
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

fn ultralytics_masks(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}/{}.png", split(k), name(k)));
    folder.mask(k, &format!("masks/{}/{}.png", split(k), name(k)), [0, 1], 0..SIDE);
    folder.text("data.yaml", "path: .\ntrain: images/train\nval: images/val\nmasks_dir: masks\nnames: [floor, part]\n");
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

/// The columns from `from` on are a crowd, in run lengths of either form.
fn coco_runs(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("{}/{}.png", split(k), name(k)));
    let runs = |columns: std::ops::Range<u32>| {
        let [left, top, right, bottom] = part(k);
        let inside = |x: u32, y: u32| {
            (columns.start + left..columns.end.min(right - left) + left).contains(&x) && (top..bottom).contains(&y)
        };
        let mask: Vec<u8> = (0..SIDE * SIDE).map(|at| inside(at % SIDE, at / SIDE).into()).collect();
        RunLengths::of(&mask, SIDE as usize, SIDE as usize, 1)
    };
    let annotations = serde_json::json!([
        {"id": 1, "image_id": k, "category_id": 3, "iscrowd": 0,
            "segmentation": {"size": [SIDE, SIDE], "counts": runs(0..SIDE).counts()}},
        {"id": 2, "image_id": k, "category_id": 3, "iscrowd": 1,
            "segmentation": {"size": [SIDE, SIDE], "counts": runs(CROWD..SIDE).to_text()}},
    ]);
    let path = folder.path(&format!("annotations/instances_{}.json", split(k)));
    let mut json: serde_json::Value = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).unwrap(),
        Err(_) => serde_json::json!({"images": [], "annotations": [], "categories": [{"id": 3, "name": "part"}]}),
    };
    let image = serde_json::json!({"id": k, "file_name": format!("{}.png", name(k)), "width": SIDE, "height": SIDE});
    json["images"].as_array_mut().unwrap().push(image);
    json["annotations"].as_array_mut().unwrap().extend(annotations.as_array().unwrap().iter().cloned());
    fs::write(path, json.to_string()).unwrap();
}

/// The first column of a part that is a crowd.
const CROWD: u32 = 8;

fn with_crowds(folder: &Folder<'_>, k: u32) {
    by_split(folder, k);
    let path = folder.path(&format!("{}/masks/{}.png", split(k), name(k)));
    let mut mask = image::open(&path).unwrap().to_luma8();
    let crowd = part(k)[0] + CROWD;
    mask.enumerate_pixels_mut().filter(|(x, _, id)| *x >= crowd && id.0 == [1]).for_each(|(_, _, id)| id.0 = [255]);
    mask.save(path).unwrap();
}

/// Columns of a part that are of the first and of the second of two classes.
const SIDES: [(&str, std::ops::Range<u32>); 2] = [("left", 0..9), ("right", 7..SIDE)];

fn two_sides(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}.png", name(k)));
    let path = format!("masks/{}.png", name(k));
    folder.mask(k, &path, [0, 1], 0..SIDE);
    let mut mask = image::open(folder.path(&path)).unwrap().to_luma8();
    let right = part(k)[0] + SIDES[1].1.start;
    mask.enumerate_pixels_mut().filter(|(x, _, id)| *x >= right && id.0 == [1]).for_each(|(_, _, id)| id.0 = [2]);
    mask.save(folder.path(&path)).unwrap();
}

fn mask_for_each_class(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}.png", name(k)));
    for (side, columns) in SIDES {
        folder.mask(k, &format!("masks/{}_{side}.png", name(k)), [0, 255], columns);
    }
}

fn folder_for_each_class(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}.png", name(k)));
    for (side, columns) in SIDES {
        folder.mask(k, &format!("masks/{side}/{}.png", name(k)), [0, 255], columns);
    }
}

fn label_studio_masks(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}.png", name(k)));
    for (side, columns) in SIDES {
        let mask = format!("export/task-{k}-annotation-{k}-by-1-tag-{side}-0.png");
        folder.mask(k, &mask, [0, 255], columns);
    }
    let task = |k| {
        serde_json::json!({"id": k, "annotations": [{"id": k, "result": []}],
            "data": {"image": format!("/data/upload/1/0123abcd-{}.png", name(k))}})
    };
    folder.text("export.json", &serde_json::Value::from_iter((0..SCENES).map(task)).to_string());
}

fn label_studio(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("images/{}.png", name(k)));
    let task = |k: u32| {
        let [left, top, right, bottom] = part(k);
        let region = |(side, columns): (&str, std::ops::Range<u32>)| {
            // A 32nd of 100 is exact.
            let percent = |pixels: u32| f64::from(pixels) * 100.0 / f64::from(SIDE);
            let (from, to) = (left + columns.start, right.min(left + columns.end));
            serde_json::json!({"original_width": SIDE, "original_height": SIDE, "value": {"rectanglelabels": [side],
                "x": percent(from), "y": percent(top), "width": percent(to - from), "height": percent(bottom - top)}})
        };
        serde_json::json!({"id": k, "annotations": [{"id": k, "result": SIDES.map(region)}],
            "data": {"image": format!("/data/local-files/?d=images%5C{}.png", name(k))}})
    };
    folder.text("export.json", &serde_json::Value::from_iter((0..SCENES).map(task)).to_string());
}

fn cityscapes(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("leftImg8bit/{}/ulm/{k}_leftImg8bit.png", split(k)));
    // Road, and cars among it.
    folder.mask(k, &format!("gtFine/{}/ulm/{k}_gtFine_labelIds.png", split(k)), [7, 26], 0..SIDE);
}

fn by_split(folder: &Folder<'_>, k: u32) {
    folder.image(k, &format!("{}/images/{}.png", split(k), name(k)));
    folder.mask(k, &format!("{}/masks/{}.png", split(k), name(k)), [0, 1], 0..SIDE);
}

/// The files that a scene has in a format.
type Write = fn(&Folder<'_>, u32);

#[test]
fn each_format_trains_to_the_weights_of_plain_folders() {
    let unsplit: Write = |folder, k| {
        folder.image(k, &format!("images/{}.png", name(k)));
        folder.mask(k, &format!("masks/{}.png", name(k)), [0, 1], 0..SIDE);
    };
    let of_cities: Write = |folder, k| {
        folder.image(k, &format!("{}/images/{k}.png", split(k)));
        folder.mask(k, &format!("{}/masks/{k}.png", split(k)), [0, 13], 0..SIDE);
    };
    let two: Vec<String> = NAMES.map(str::to_owned).to_vec();
    let nineteen: Vec<String> = (0..19).map(|id| format!("c{id}")).collect();
    let unsplit_formats: Vec<(&str, Write)> = vec![
        ("nnunet", nnunet),
        ("voc", cvat),
        ("cellpose", cellpose),
        ("labelme", labelme_masks),
        ("colour_table", colour_table),
        ("mask_sets", mask_sets),
        ("labelme", labelme),
        ("chosen", chosen),
    ];
    let split_formats: Vec<(&str, Write)> = vec![
        ("splits", mmseg),
        ("voc", voc),
        ("ultralytics", ultralytics),
        ("ultralytics", ultralytics_masks),
        ("coco", coco),
    ];
    let crowds: Vec<(&str, Write)> = vec![("coco", coco_runs)];
    let three: Vec<String> = ["floor", "left", "right"].map(str::to_owned).to_vec();
    let sides: Vec<(&str, Write)> = vec![
        ("mask_sets", mask_for_each_class),
        ("mask_sets", folder_for_each_class),
        ("label_studio_masks", label_studio_masks),
        ("label_studio", label_studio),
    ];
    let cities: Vec<(&str, Write)> = vec![("cityscapes", cityscapes)];
    for (plain, classes, formats) in [
        (unsplit, &two, unsplit_formats),
        (by_split as Write, &two, split_formats),
        (with_crowds as Write, &two, crowds),
        (two_sides as Write, &three, sides),
        (of_cities, &nineteen, cities),
    ] {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, write: Write| {
            let path = root.path().join(name);
            (0..SCENES).for_each(|k| write(&Folder(&path), k));
            path
        };
        let data = write("plain", plain);
        let listed = classes.iter().enumerate().map(|(id, name)| format!("[[class]]\nname = '{name}'\nvalue = {id}\n"));
        Folder(&data).text("dataset.toml", &("ignore = 255\n".to_owned() + &listed.collect::<String>()));
        let runs = root.path().join("runs");
        let options = TrainOptions::default();
        let expected = weights(&data, &runs, &options);
        for (at, (layout, format)) in formats.into_iter().enumerate() {
            let data = write(&format!("{layout}{at}"), format);
            let dataset = Dataset::open(&data, &Default::default()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((dataset.layout.name(), dataset.problems.len()), (layout, 0));
            assert!(weights(&data, &runs, &options) == expected, "{layout}: other weights than from plain folders");
        }
    }
}

/// A TIFF file with a page for each image.
fn write_stack(folder: &Folder<'_>, name: &str, pages: &[PathBuf]) {
    let mut encoder = TiffEncoder::new(fs::File::create(folder.path(name)).unwrap()).unwrap();
    for page in pages {
        match image::open(page).unwrap() {
            image::DynamicImage::ImageLuma8(page) => {
                encoder.write_image::<colortype::Gray8>(page.width(), page.height(), &page).unwrap();
            }
            page => {
                let page = page.to_rgb8();
                encoder.write_image::<colortype::RGB8>(page.width(), page.height(), &page).unwrap();
            }
        }
    }
}

#[test]
fn stacks_train_to_the_weights_of_their_slices() {
    let root = tempfile::tempdir().unwrap();
    let (slices, stacks) = (root.path().join("slices"), root.path().join("stacks"));
    let (plain, folder) = (Folder(&slices), Folder(&stacks));
    for (stack, part, scenes) in [("a", "train", 0..4), ("b", "val", 4..SCENES)] {
        let mut pages: [Vec<PathBuf>; 2] = Default::default();
        for (page, k) in scenes.enumerate() {
            let names = ["images", "masks"].map(|kind| format!("{part}/{kind}/{stack}_page{:04}.png", page + 1));
            plain.image(k, &names[0]);
            plain.mask(k, &names[1], [0, 1], 0..SIDE);
            names.iter().zip(&mut pages).for_each(|(name, pages)| pages.push(plain.path(name)));
        }
        write_stack(&folder, &format!("{part}/images/{stack}.tif"), &pages[0]);
        write_stack(&folder, &format!("{part}/masks/{stack}.TIFF"), &pages[1]);
    }
    let (runs, options) = (root.path().join("runs"), TrainOptions::default());
    assert!(weights(&stacks, &runs, &options) == weights(&slices, &runs, &options), "other weights than of the slices");
    // In a split by ratio all slices of a stack are on one side, and config.toml records it.
    let whole = root.path().join("whole");
    for (kind, stack, part) in
        [("images", "a", "train"), ("masks", "a", "train"), ("images", "b", "val"), ("masks", "b", "val")]
    {
        let from = fs::read_dir(stacks.join(part).join(kind)).unwrap().next().unwrap().unwrap().path();
        fs::copy(from, Folder(&whole).path(&format!("{kind}/{stack}.tif"))).unwrap();
    }
    let run = start(&whole, &TrainOptions { runs: runs.clone(), ..options }, MemoryOptions::default()).unwrap();
    let split =
        |names: &[String]| names.iter().map(|name| name[..1].to_owned()).collect::<std::collections::BTreeSet<_>>();
    assert!(split(&run.snapshot.train).is_disjoint(&split(&run.snapshot.val)));
    // A run of an earlier version, which split single slices, keeps its split.
    let config = run.dir.root().join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("stacks = \"whole\"\n", "")).unwrap();
    let old = OpenRun::open(run.dir.root()).unwrap();
    let names: Vec<String> = old.data(None).unwrap().val.into_iter().map(|sample| sample.name).collect();
    assert_ne!(names, run.snapshot.val);
    assert!(text.contains("stacks = \"whole\"\n"));
}
