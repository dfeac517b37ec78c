//! Values of masks that are probably not meant: of one mask only, or the one that is left.

use super::*;

#[test]
fn values_of_one_mask_only_are_named_with_their_file() {
    let with = |count: u32, list: bool| {
        let root = folder();
        for seed in 0..count {
            picture(seed, 64, 48).save(path(&root, &format!("images/{seed}.png"))).unwrap();
            let mut mask = halves(1, 64, 48);
            if seed == 3 {
                (0..48).for_each(|y| (40..50).for_each(|x| mask.put_pixel(x, y, Luma([2 + (y / 24) as u8]))));
            }
            mask.save(path(&root, &format!("masks/{seed}.png"))).unwrap();
        }
        if list {
            let class = |id| format!("[[class]]\nname = 'c{id}'\nvalue = {id}\n");
            fs::write(path(&root, "dataset.toml"), (0..4).map(class).collect::<String>()).unwrap();
        }
        let findings = report(&root).findings;
        findings.into_iter().filter(|finding| finding.kind == Kind::Classes).collect::<Vec<_>>()
    };
    let found = with(9, false);
    assert_eq!(
        (found.len(), found[0].severity, &found[0].files[..]),
        (1, Severity::Warning, &["masks/3.png".to_owned()][..])
    );
    let expected = "the values 2, 3 occur in one mask only, of 9: leave it out if it belongs to another dataset; if not, list the \
                    classes in dataset.toml";
    assert_eq!(found[0].message, expected);
    assert_eq!(with(9, true), []);
    assert_eq!(with(7, false), []);
}

#[test]
fn a_class_that_is_left_alone_by_the_command_line_is_not_blamed_on_the_folder() {
    let root = valid();
    let ignore = vec![LabelValue::Gray(0), LabelValue::Gray(2)];
    let options =
        CheckOptions { labels: LabelOptions { ignore, ..LabelOptions::default() }, ..CheckOptions::default() };
    let findings = check(root.path(), &options, &mut |_, _| {}).unwrap().report.findings;
    let error = findings.iter().find(|finding| finding.severity == Severity::Error).unwrap();
    assert_eq!(error.message, "--ignore 0,2 leaves only the value 1: expected at least two classes");
}

#[test]
fn colours_that_are_listed_need_no_note() {
    let with = |list: &str| {
        let root = folder();
        for seed in 0..4 {
            picture(seed, 64, 48).save(path(&root, &format!("images/{seed}.png"))).unwrap();
            let mask = RgbImage::from_fn(64, 48, |x, _| Rgb(if x < 20 { [200, 10, 10] } else { [10, 10, 200] }));
            mask.save(path(&root, &format!("masks/{seed}.png"))).unwrap();
        }
        fs::write(path(&root, "dataset.toml"), list).unwrap();
        found(&root).into_iter().any(|(kind, ..)| kind == Kind::ColourMask)
    };
    assert!(with(""));
    assert!(!with("[[class]]\nname = 'b'\nvalue = '#0a0ac8'\n[[class]]\nname = 'r'\nvalue = '#c80a0a'\n"));
}

#[test]
fn split_folders_without_pairs_are_named() {
    let split = |train: &[&str], val: &[&str]| {
        let root = folder();
        for (split, parts) in [("train", train), ("val", val)] {
            for seed in 0..4 {
                for part in parts {
                    let file = path(&root, &format!("{split}/{part}/{seed}.png"));
                    let seed = if split == "val" { seed + 9 } else { seed };
                    if *part == "masks" { halves(1, 64, 48).save(file) } else { picture(seed, 64, 48).save(file) }
                        .unwrap();
                }
            }
        }
        report(&root)
    };
    let both = ["images", "masks"];
    let report = split(&both, &["masks"]);
    let found = report.findings.iter().find(|finding| finding.kind == Kind::NoValidation).unwrap();
    assert_eq!(found.severity, Severity::Warning);
    let expected = "val/masks has 4 image files, but no image there has a mask: 1 of 4 training pairs are used instead";
    assert_eq!(found.message, expected);
    let report = split(&["images"], &both);
    let found = report.findings.iter().find(|finding| finding.severity == Severity::Error).unwrap();
    assert_eq!(found.kind, Kind::NoTraining);
    assert!(
        found.message.contains("put images into train/images and their masks into train/masks"),
        "{}",
        found.message
    );
    assert!(!report.text(false).contains("not accepted"), "{}", report.text(false));
}

#[test]
fn an_image_in_the_place_of_a_mask_is_said_to_be_one() {
    let root = valid();
    fs::copy(path(&root, "images/2.png"), path(&root, "masks/2.png")).unwrap();
    let findings = report(&root).findings;
    let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert_eq!(
        (errors.len(), errors[0].kind, &errors[0].files[..]),
        (1, Kind::ImageAsMask, &["masks/2.png".to_owned()][..])
    );
    let expected = "masks/2.png is not a mask, it is the same file as images/2.png; put the mask in its place";
    assert_eq!(errors[0].message, expected);
    assert!(!findings.iter().any(|finding| finding.message.contains("--snap")), "{findings:?}");
}

#[test]
fn damaged_annotations_of_a_folder_without_a_layout_are_named() {
    let root = folder();
    for seed in 0..3 {
        picture(seed, 64, 48).save(path(&root, &format!("all/{seed}.png"))).unwrap();
    }
    let message = |name: &str, content: &str| {
        fs::write(path(&root, name), content).unwrap();
        let message = report(&root).findings.remove(0).message;
        fs::remove_file(path(&root, name)).unwrap();
        message
    };
    let json = message("instances_train.json", "{ bad");
    assert!(
        json.contains("instances_train.json is not valid JSON (line 1, column 3); if it is cut off, copy it"),
        "{json}"
    );
    let yaml = message("data.yaml", "train: [\n");
    assert!(yaml.contains("data.yaml has no value for names"), "{yaml}");
    let sound = message("notes.json", "{}");
    assert!(!sound.contains("notes.json"), "{sound}");
}

#[test]
fn a_file_has_no_layout() {
    let root = folder();
    fs::write(path(&root, "README.md"), "# A dataset\n").unwrap();
    let report = check(&path(&root, "README.md"), &CheckOptions::default(), &mut |_, _| {}).unwrap().report;
    let text = report.text(false);
    assert!(text.contains("not a folder: README.md is a file, expected the folder of a dataset's images"), "{text}");
    assert!(!text.contains("layout"), "{text}");
}
