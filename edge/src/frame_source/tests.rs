use super::*;

#[test]
fn words_of_the_command_line_name_sources() {
    let name = |word: &str| format!("{:?}", parse_word(word).unwrap());
    for (word, expected) in [
        ("/dev/video0", "CameraSpec { device: \"/dev/video0\""),
        ("v4l2:/dev/v4l/by-id/x:y", "CameraSpec { device: \"/dev/v4l/by-id/x:y\""),
        ("-", "StreamSpec { form: Y4m(Said { range: None, matrix: None }), clip: ClipSpec { path: \"-\""),
        ("clip.Y4M", "StreamSpec { form: Y4m(Said { range: None, matrix: None }), clip: ClipSpec { path: \"clip.Y4M\""),
        (
            "y4m:/tmp/pipe",
            "StreamSpec { form: Y4m(Said { range: None, matrix: None }), clip: ClipSpec { path: \"/tmp/pipe\"",
        ),
        ("clip.MJPEG", "StreamSpec { form: Mjpeg, clip: ClipSpec { path: \"clip.MJPEG\""),
        ("folder/", "FilesSpec { clip: ClipSpec { path: \"folder/\""),
        ("C:/folder", "FilesSpec { clip: ClipSpec { path: \"C:/folder\""),
        ("files:a.y4m", "FilesSpec { clip: ClipSpec { path: \"a.y4m\""),
        ("rec.uerec", "RecordingSpec { clip: ClipSpec { path: \"rec.uerec\""),
        ("process:cat x.y4m", "ProcessSpec { command: [\"cat\", \"x.y4m\"]"),
    ] {
        assert!(name(word).starts_with(expected), "{word}: {}", name(word));
    }
    assert_eq!(parse_word("-").unwrap().name(), "standard input");
    assert!(parse_word("").unwrap_err().ends_with("found nothing"));
    assert!(parse_word("v4l2:").unwrap_err().ends_with("found nothing"));
    assert!(parse_word("process: ").unwrap_err().ends_with("found nothing"));
}

#[test]
fn every_kind_has_its_own_name_and_policy() {
    let names = KINDS.map(|kind| kind.name);
    assert_eq!(names, ["v4l2", "process", "y4m", "mjpeg", "recording", "files"]);
    let policy = |word: &str| parse_word(word).unwrap().policy();
    let stored = Policy { live: false, reopen: Reopen::Never };
    assert_eq!(policy("/dev/video0"), Policy { live: true, reopen: Reopen::AfterErrorOrEnd });
    assert_eq!(policy("process:x"), Policy { live: true, reopen: Reopen::AfterError });
    assert_eq!(["a.y4m", "a.mjpg", "a.uerec", "a.png"].map(policy), [stored; 4]);
}
