use std::time::Duration;

use super::*;
use crate::section::tests::{problems, read_ok};

fn all(section: &mut Section<'_, '_>) -> Option<Vec<Arc<dyn SinkSpec>>> {
    Some(KINDS.iter().filter_map(|read| read(section)).collect())
}

#[test]
fn lines_of_json_are_the_only_output_by_default() {
    let names = |sinks: Vec<Arc<dyn SinkSpec>>| sinks.iter().map(|sink| sink.name()).collect::<Vec<_>>();
    assert_eq!(names(read_ok("", all)), ["JSON lines"]);
    assert_eq!(names(read_ok("json_lines = false", all)), [""; 0]);
    assert_eq!(names(without_configuration(None)), ["JSON lines"]);
    let below = without_configuration(Some(Path::new("out")));
    assert_eq!(below[1].folder(), Some((Path::new("out/masks"), 8 << 30)));
    assert_eq!(names(below), ["JSON lines", "masks", "overlays"]);
}

#[test]
fn each_output_has_its_keys_and_defaults() {
    let text = "[masks]\nfolder = 'm'\nfiles_max = 7\nbytes_max = '1 kB'\nevery = 10\n[overlays]\nfolder = 'o'\n\
                [hard_frames]\nfolder = 'h'\n[recorder]\nfolder = 'r'\n";
    let sinks = read_ok(text, all);
    let expected = [
        "JsonLinesSpec".to_owned(),
        "ImagesSpec { content: Mask, folder: \"m\", bounds: FolderBounds { files_max: 7, bytes_max: 1000 }, every: 10 }"
            .to_owned(),
        format!(
            "ImagesSpec {{ content: Overlay, folder: \"o\", bounds: FolderBounds {{ files_max: 1000, bytes_max: {} }}, \
             every: 1 }}",
            256 << 20
        ),
        format!(
            "HardFramesSpec {{ folder: \"h\", bounds: HardFramesBounds {{ margin_below: 16.0, frames_max: 200, bytes_max: {}, \
             pause: {:?} }} }}",
            256 << 20,
            Duration::from_secs(10)
        ),
        format!(
            "RecorderSpec {{ folder: \"r\", bounds: RecorderBounds {{ bytes_max: {}, frames_max: {} }} }}",
            1 << 30,
            u64::MAX
        ),
    ];
    assert_eq!(sinks.iter().map(|sink| format!("{sink:?}")).collect::<Vec<_>>(), expected);
}

#[test]
fn wrong_keys_are_reported_at_their_lines() {
    assert_eq!(
        problems("[masks]\nfiles_max = 0\n[recorder]\nfolder = 'r'\nbytes_max = '1 TB of data'\nevery = 2\n", all),
        [
            "1: section.masks: folder is missing: expected the path of a folder",
            "2: section.masks: files_max = 0: expected 1 to 1000000 files",
            "5: section.recorder: bytes_max = '1 TB of data': expected a number of bytes above 0, such as 65536 or \"64 MB\" \
             (kB, MB, GB; KiB, MiB, GiB)",
            "6: section.recorder: unknown key \"every\"; known keys are folder, bytes_max, frames_max",
        ]
    );
}

#[test]
fn masks_and_overlays_need_two_folders() {
    // Through `outputs`, which sees all of them.
    let text = "package = 'a'\n[source]\nkind = 'files'\npath = 'a'\n[outputs.masks]\nfolder = 'm'\n\
                [outputs.overlays]\nfolder = 'm/'\n";
    let error = crate::config::parse("a.toml", text).unwrap_err().to_string();
    assert!(error.contains("masks and overlays have the same file names: expected two folders, found m"), "{error}");
    crate::config::parse("a.toml", &text.replace("m/", "o")).unwrap();
}
