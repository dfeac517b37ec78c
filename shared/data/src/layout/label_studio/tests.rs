use image::{GrayImage, Luma};

use super::brush::tests::brush;
use crate::layout::encoded_mask::tests::encode;
use crate::layout::testing::{Folder, assert_equal_to_plain, gray, labels_of};

/// A mask of 4x4 pixels whose columns from `from` to `to` are inside, with the soft edge of a stroke.
fn columns(from: u32, to: u32) -> GrayImage {
    GrayImage::from_fn(4, 4, |x, y| {
        let inside = if y == 0 { 130 } else { 255 };
        Luma([if (from..to).contains(&x) { inside } else { 0 }])
    })
}

fn rle(from: u32, to: u32) -> String {
    format!("{:?}", brush(columns(from, to).as_raw(), 255))
}

fn region(kind: &str, labels: &str, value: &str) -> String {
    format!(
        r#"{{"id": "r", "type": "{kind}", "from_name": "tag", "to_name": "image", "original_width": 4, "original_height": 4,
            "image_rotation": 0, "value": {{{value}, "{kind}": [{labels}]}}}}"#
    )
}

fn stroke(label: &str, from: u32, to: u32) -> String {
    region("brushlabels", &format!("{label:?}"), &format!(r#""format": "rle", "rle": {}"#, rle(from, to)))
}

fn annotation(id: u32, extra: &str, regions: &[String]) -> String {
    format!(r#"{{"id": {id}, "completed_by": {{"email": "a@b.c"}}{extra}, "result": [{}]}}"#, regions.join(","))
}

fn task(id: u32, image: &str, annotations: &[String]) -> String {
    let annotations = annotations.join(",");
    format!(
        r#"{{"id": {id}, "annotations": [{annotations}], "file_upload": "x", "drafts": [], "predictions": [],
            "data": {{"image": "{image}", "shop": "no image"}}, "meta": {{}}}}"#
    )
}

fn export(tasks: &[String]) -> String {
    format!("[{}]", tasks.join(","))
}

/// Class 2 on the left, class 1 right of it, background at the right border.
fn plain(names: &[&str]) -> Folder {
    let plain = Folder::new();
    for name in names {
        plain.image(&format!("images/{name}.png"));
        let mask = GrayImage::from_fn(4, 4, |x, _| Luma([[2, 1, 1, 0][x as usize]]));
        mask.save(plain.path(&format!("masks/{name}.png"))).unwrap();
    }
    plain
}

/// Images `a` and `b` with masks in a folder of their own.
fn with_masks() -> Folder {
    let folder = Folder::new();
    for (name, task, annotation) in [("a", 12, 34), ("b", 13, 35)] {
        folder.image(&format!("images/{name}.png"));
        for (ending, from, to) in [("tag-Straße-frei-0", 0, 3), ("tag-Straße-frei-1", 2, 3), ("tag-Zaun-0", 0, 1)] {
            let mask = format!("export/task-{task}-annotation-{annotation}-by-a@b.c-{ending}.png");
            columns(from, to).save(folder.path(&mask)).unwrap();
        }
    }
    folder
}

fn strokes() -> [String; 3] {
    [stroke("Straße-frei", 0, 3), stroke("Straße-frei", 2, 3), stroke("Zaun", 0, 1)]
}

#[test]
fn masks_are_found_by_the_tasks_of_the_json() {
    let of = |regions: &[String]| {
        export(&[
            task(12, "/data/upload/2/4425adf9-a.png", &[annotation(34, "", regions)]),
            task(13, "/data/local-files/?d=photos%5Cb.png", &[annotation(35, "", regions)]),
        ])
    };
    // With its regions, and with their results cut out.
    for regions in [&strokes()[..], &[]] {
        let folder = with_masks();
        folder.text("project-3-at-2025-01-10-10-05-5b8d7102.json", &of(regions));
        let dataset = folder.open();
        assert_eq!((dataset.layout.name(), dataset.problems.len()), ("label_studio_masks", 0));
        assert_equal_to_plain(&dataset, &plain(&["a", "b"]).open());
        assert_eq!(labels_of(&dataset).names(), ["background", "Straße-frei", "Zaun"]);
        assert!(dataset.notes[0].starts_with("every nonzero value of a brush mask is inside"), "{:?}", dataset.notes);
        assert!(dataset.notes[1].starts_with("1 image is found without the 8 characters"), "{:?}", dataset.notes);
        assert_eq!((dataset.notes.len(), dataset.unused.len()), (2, 0), "{:?}", dataset.unused);
    }
}

#[test]
fn masks_that_do_not_fit_the_json_are_refused() {
    let refused = |folder: &Folder, expected: &str| {
        let message = folder.try_open().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    let folder = with_masks();
    refused(&folder, "expected the \"JSON\" export of the project in the same folder");
    let of = |folder: &Folder, regions: &[String]| {
        let b = task(13, "b.png", &[annotation(35, "", &strokes())]);
        folder.text("export.json", &export(&[task(12, "a.png", &[annotation(34, "", regions)]), b]));
    };
    of(&folder, &[&strokes()[..], &[stroke("Zaun", 1, 2)]].concat());
    refused(&folder, "export.json, task 12: expected the mask ...-tag-Zaun-1.png, found none");
    of(&folder, &strokes()[..2]);
    refused(&folder, "the JSON has no region for export/task-12-annotation-34-by-a@b.c-tag-Zaun-0.png");
    let polygon = region("polygonlabels", "\"Zaun\"", r#""points": [[0, 0], [50, 0], [50, 50]]"#);
    of(&folder, &[&strokes()[..], &[polygon]].concat());
    refused(&folder, "has no mask among the PNG files; move them away");
    folder.text("export.json", &export(&[task(12, "a.png", &[annotation(34, "", &strokes())])]));
    refused(&folder, "expected task 13 in the JSON export, found none");
    folder.text("other.json", &export(&[task(12, "a.png", &[])]));
    refused(&folder, "task 12 is in both export.json and other.json");
    let folder = Folder::new();
    folder.image("a.png");
    folder.text("task-12-annotation-34-by-1-tag-Zaun-0.npy", "");
    refused(&folder, "as a NumPy array: expected its export \"Brush labels to PNG\" or \"JSON\"");
}

#[test]
fn the_json_alone_is_drawn() {
    let shapes = [
        // The right border stays background.
        region("polygonlabels", "\"car\"", r#""closed": true, "points": [[0, 0], [75, 0], [75, 100], [0, 100]]"#),
        region("keypointlabels", "\"car\"", r#""x": 1, "y": 1, "width": 0.3"#),
        region("rectanglelabels", "\"road\"", r#""x": 0, "y": 0, "width": 25, "height": 50, "rotation": 0"#),
        region("labels", "\"road\"", &format!(r#""format": "rle", "rle": {}"#, rle(0, 1))),
        format!(
            r#"{{"id": "r", "type": "brush", "from_name": "b", "value": {{"format": "rle", "rle": {}}}}}"#,
            rle(0, 4)
        ),
        r#"{"type": "choices", "from_name": "weather", "value": {"choices": ["rain"]}}"#.to_owned(),
    ];
    let bitmask = encode(&columns(0, 1));
    let bits = [
        region("brushlabels", "\"car\"", &format!(r#""format": "rle", "rle": {}"#, rle(0, 3))),
        region("bitmasklabels", "\"road\"", &format!(r#""imageDataURL": "data:image/png;base64,{bitmask}""#)),
    ];
    let skipped = annotation(3, r#", "was_cancelled": true"#, &[]);
    let folder = Folder::new();
    ["a", "b"].iter().for_each(|name| folder.image(&format!("images/{name}.png")));
    folder.text(
        "export.JSON",
        &export(&[
            task(1, "s3://bucket/deep/a.png?token=1", &[skipped.clone(), annotation(4, "", &shapes)]),
            task(2, "b.png", &[annotation(5, r#", "ground_truth": true"#, &bits), annotation(6, "", &shapes)]),
            task(3, "c.png", &[annotation(7, "", &shapes)]),
            task(4, "d.png", &[skipped]),
        ]),
    );
    let dataset = folder.open();
    assert_eq!(dataset.layout.name(), "label_studio");
    assert_equal_to_plain(&dataset, &plain(&["a", "b"]).open());
    assert_eq!(labels_of(&dataset).names(), ["background", "car", "road"]);
    for expected in [
        "1 of 4 tasks have no finished annotation and are left out",
        "where a task has several annotations, the ground truth, or the only one not skipped, is read (2 of 4 tasks)",
        "1 region has no area (points, lines) and is not drawn",
        "the images of 1 of 4 tasks are missing (first: c.png of task 3)",
    ] {
        assert!(dataset.notes.iter().any(|note| note == expected), "{:?}", dataset.notes);
    }
    // JSON-MIN, and target storage with a file for each annotation.
    let flat = |id: u32, image: &str| {
        let region = |label: &str, from, to| {
            let rle = rle(from, to);
            format!(
                r#"{{"format": "rle", "rle": {rle}, "brushlabels": ["{label}"], "original_width": 4, "original_height": 4}}"#
            )
        };
        let (car, road) = (region("car", 0, 3), region("road", 0, 1));
        format!(
            r#"{{"id": {id}, "image": "/data/upload/1/{image}", "tag": [{car}, {road}], "annotator": 1, "annotation_id": {id},
                "created_at": "2025", "lead_time": 1.5}}"#
        )
    };
    folder.text("export.JSON", &export(&[flat(1, "0123abcd-a.png"), flat(2, "b.png")]));
    assert_equal_to_plain(&folder.open(), &plain(&["a", "b"]).open());
    std::fs::remove_file(folder.path("export.JSON")).unwrap();
    for (id, name) in [(1, "a"), (2, "b")] {
        let whole = annotation(id, &format!(r#", "task": {{"id": {id}, "data": {{"image": "{name}.png"}}}}"#), &bits);
        folder.text(&format!("storage/{id}.json"), &whole);
    }
    assert_equal_to_plain(&folder.open(), &plain(&["a", "b"]).open());
}

#[test]
fn images_without_regions_are_background() {
    let folder = Folder::new();
    let plain = Folder::new();
    for (name, mask) in [("a", gray(0, &[])), ("b", gray(1, &[]))] {
        folder.image(&format!("{name}.png"));
        plain.image(&format!("images/{name}.png"));
        mask.save(plain.path(&format!("masks/{name}.png"))).unwrap();
    }
    let tasks =
        [task(1, "a.png", &[annotation(1, "", &[])]), task(2, "b.png", &[annotation(2, "", &[stroke("car", 0, 4)])])];
    folder.text("export.json", &export(&tasks));
    let dataset = folder.open();
    assert_equal_to_plain(&dataset, &plain.open());
    assert!(dataset.notes.iter().any(|note| note.starts_with("1 of 2 tasks have an annotation without regions")));
}

#[test]
fn what_cannot_be_drawn_is_named() {
    let refused = |annotations: &[String], expected: &str| {
        let folder = Folder::new();
        folder.image("a.png");
        folder.text("export.json", &export(&[task(1, "a.png", annotations)]));
        let message = folder.try_open().unwrap_err().to_string();
        assert!(message.contains("export.json, task 1: ") && message.contains(expected), "{message}");
    };
    let one = |region: String, expected: &str| refused(&[annotation(1, "", &[region])], expected);
    let twice = [annotation(1, "", &[]), annotation(2, "", &[])];
    refused(&twice, "expected one annotation, found 1, 2; mark one as ground truth, or delete the others");
    one(region("brushlabels", "\"a\", \"b\"", "\"rle\": []"), "expected one label for a region, found a, b");
    one(region("brushlabels", "\"a\"", "\"rle\": [1, 2]"), "region r: expected the run lengths of a brush mask");
    let turned = r#""x": 0, "y": 0, "width": 25, "height": 50, "rotation": 30"#;
    one(region("rectanglelabels", "\"a\"", turned), "region r: expected a shape that is not rotated, found 30 degrees");
    one(region("ellipselabels", "\"a\"", r#""x": 1, "y": 1, "radiusX": 3"#), "region r: expected radiusY, found none");
    let whole = stroke("a", 0, 1);
    one(whole.replace("\"original_width\": 4", "\"original_width\": 0"), "expected sides of 1 to");
    one(whole.replace("\"image_rotation\": 0", "\"image_rotation\": 90"), "not rotated, found 90 degrees");
    let folder = Folder::new();
    folder.image("a.png");
    folder.text("export.json", &export(&[task(1, "x.png", &[annotation(1, "", &[whole])])]));
    let message = folder.try_open().unwrap_err().to_string();
    assert!(message.contains("images of 1 task of Label Studio are missing (first: x.png of task 1)"), "{message}");
}
