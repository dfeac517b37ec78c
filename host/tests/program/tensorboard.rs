//! The event file of a run, as TensorBoard reads it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::resume::{results, train_twice};
use crate::{expect, synthetic, text};

/// The bytes at a varint, and the number.
fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The fields of a protobuf message: number, and its bytes or its number.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8], u64)> {
    let mut found = vec![];
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, &[][..], varint(&mut bytes)));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        found.push((key >> 3, &bytes[..length], 0));
        bytes = &bytes[length..];
    }
    found
}

/// Step and value of each point, by tag.
type Scalars = BTreeMap<String, Vec<(u64, f32)>>;

/// The scalars of a run's event file by tag, as (step, value); and the tags of its images.
fn read(run: &Path) -> (Scalars, Vec<String>) {
    let file = std::fs::read(run.join("tensorboard/events.out.tfevents.unet-host")).unwrap();
    let (mut rest, mut scalars, mut images) = (&file[..], Scalars::new(), vec![]);
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let event = fields(&rest[12..12 + length]);
        rest = &rest[16 + length..];
        let step = event.iter().find(|field| field.0 == 2).map_or(0, |field| field.2);
        for (_, summary, _) in event.iter().filter(|field| field.0 == 5) {
            for (_, value, _) in fields(summary) {
                let value = fields(value);
                let of = |number| value.iter().find(|field| field.0 == number).map(|field| field.1);
                let tag = String::from_utf8(of(1).unwrap().to_vec()).unwrap();
                match of(2) {
                    Some(bytes) => {
                        let number = f32::from_le_bytes(bytes.try_into().unwrap());
                        scalars.entry(tag).or_default().push((step, number));
                    }
                    None => images.push(tag),
                }
            }
        }
    }
    (scalars, images)
}

/// Step and value of a column of results.csv that is not empty.
fn column(run: &Path, name: &str) -> Vec<(u64, f32)> {
    let rows = results(run);
    let place = rows[0].iter().position(|column| column == name).unwrap();
    let values = rows[1..].iter().filter(|row| !row[place].is_empty());
    values.map(|row| (row[0].parse().unwrap(), row[place].parse::<f64>().unwrap() as f32)).collect()
}

#[test]
fn a_killed_and_a_longer_run_have_each_point_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 40, 6);
    let [whole, killed] = train_twice(&data, &folder.path().join("runs"), &[]);
    for run in [&whole, &killed] {
        let (scalars, images) = read(run);
        for (tag, name) in [
            ("loss/train", "train_loss"),
            ("loss/validation", "val_loss"),
            ("iou/mean", "mean_iou"),
            ("iou/disc", "iou_disc"),
            ("learning_rate", "learning_rate"),
        ] {
            assert_eq!(scalars[tag], column(run, name), "{tag}");
        }
        assert_eq!(images, ["panels/01", "panels/02", "panels/03", "panels/04", "panels/05", "panels/06"]);
    }
    let before = read(&killed).0;
    expect(0, &["train", "--resume", text(&killed), "--epochs", "5"]);
    let (after, images) = read(&killed);
    assert_eq!((after["iou/mean"].len(), images.len()), (5, 6));
    assert_eq!(after["iou/mean"][..4], before["iou/mean"][..]);
}

#[test]
#[cfg_attr(not(seg_tensorboard), ignore = "set SEG_TENSORBOARD to a python that has the package tensorboard")]
fn tensorboard_reads_a_run() {
    let python = std::env::var("SEG_TENSORBOARD").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 8, 3);
    let (runs, run) = (folder.path().join("runs"), folder.path().join("runs/data"));
    expect(0, &["train", text(&data), "--runs", text(&runs), "--base", "4", "--depth", "2", "--epochs", "3"]);
    let script = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = EventAccumulator(sys.argv[1])
found.Reload()
tags = found.Tags()
scalars = {tag: [[e.step, e.value] for e in found.Scalars(tag)] for tag in tags['scalars']}
images = {tag: [[e.step, e.width, e.height, len(e.encoded_image_string)] for e in found.Images(tag)] for tag in tags['images']}
print(json.dumps({'scalars': scalars, 'images': images}))
";
    let output = std::process::Command::new(&python)
        .args(["-c", script, text(&run.join("tensorboard"))])
        .output()
        .unwrap_or_else(|error| panic!("{python}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = crate::parse(&String::from_utf8_lossy(&output.stdout));
    let scalars = |tag: &str| -> Vec<(u64, f32)> {
        let points = found["scalars"][tag].as_array().unwrap_or_else(|| panic!("no {tag}: {found}"));
        points.iter().map(|point| (point[0].as_u64().unwrap(), point[1].as_f64().unwrap() as f32)).collect()
    };
    for (tag, name) in [("loss/train", "train_loss"), ("iou/mean", "mean_iou"), ("learning_rate", "learning_rate")] {
        assert_eq!(scalars(tag), column(&run, name), "{tag}");
    }
    for number in 1..=3 {
        let png = run.join(format!("panels/{number:02}.png"));
        let (width, height) = image::image_dimensions(&png).unwrap();
        let bytes = std::fs::metadata(&png).unwrap().len();
        let expected = serde_json::json!([[3, width, height, bytes]]);
        assert_eq!(found["images"][format!("panels/{number:02}")], expected);
    }
}
