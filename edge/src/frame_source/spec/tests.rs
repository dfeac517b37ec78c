use super::*;

fn read(text: &str) -> Result<SourceSpec, String> {
    toml::from_str(text).map_err(|error| error.message().trim_end().to_owned())
}

#[test]
fn each_kind_is_read_from_its_table() {
    let camera = read("kind='v4l2'\ndevice='/dev/video0'\nwidth=640\nheight=480\nrate=30\nformat='mjpeg'").unwrap();
    let side = |side| Side::try_from(side).ok();
    let expected = CameraSpec {
        device: "/dev/video0".into(),
        width: side(640),
        height: side(480),
        rate: Rate::try_from(30.0).ok(),
        format: Some(CameraFormat::Mjpeg),
    };
    assert_eq!(camera, SourceSpec::V4l2(expected));
    let files = read("kind='files'\npath='images'\nloop=true\nrate=2.5").unwrap();
    let rate = Rate::try_from(2.5).ok();
    assert_eq!(files, SourceSpec::Files(ClipSpec { path: "images".into(), repeat: true, rate }));
    let stream = read("kind='y4m'\npath='-'").unwrap();
    assert_eq!(stream, SourceSpec::Y4m(ClipSpec { path: "-".into(), repeat: false, rate: None }));
    assert_eq!(stream.name(), "standard input");
    let recording = read("kind='recording'\npath='a.uerec'").unwrap();
    assert_eq!(recording, SourceSpec::parse("a.uerec").unwrap());
}

#[test]
fn a_process_says_what_it_writes() {
    let SourceSpec::Process(spec) = read("kind='process'\ncommand=['ffmpeg', '-i', 'x']").unwrap() else { panic!() };
    assert_eq!((spec.command.len(), spec.output), (3, ProcessOutput::Y4m));
    let raw = read("kind='process'\ncommand=['x']\nformat='yuyv'\nwidth=4\nheight=2").unwrap();
    let SourceSpec::Process(ProcessSpec { output, .. }) = raw else { panic!() };
    assert_eq!(output, ProcessOutput::Raw { format: PixelFormat::Yuyv, width: Side(4), height: Side(2), stride: 8 });
}

#[test]
fn presets_are_commands() {
    let SourceSpec::Process(spec) =
        read("kind='process'\npreset='rpicam-vid'\nwidth=640\nheight=480\nrate=15").unwrap()
    else {
        panic!()
    };
    assert_eq!(
        spec.command.join(" "),
        "rpicam-vid --nopreview --timeout 0 --verbose 0 --codec yuv420 --flush --camera 0 --width 640 --height 480 \
         --framerate 15 --output -"
    );
    let ProcessOutput::Raw { format, stride, .. } = spec.output else { panic!() };
    assert_eq!((format, stride), (PixelFormat::I420, 640));
    let SourceSpec::Process(spec) = SourceSpec::parse("process:gstreamer-jetson").unwrap() else { panic!() };
    assert_eq!(
        spec.command.join(" "),
        "gst-launch-1.0 --quiet nvarguscamerasrc sensor-id=0 ! \
         video/x-raw(memory:NVMM),width=1280,height=720,framerate=30000/1000 ! nvvidconv ! \
         video/x-raw,format=NV12,width=1280,height=720 ! fdsink fd=1 sync=false"
    );
    let error = read("kind='process'\npreset='rpicam-vid'\nwidth=648\nheight=480").unwrap_err();
    let expected = "preset rpicam-vid: expected a width that is a multiple of 128 and an even height, found 648x480";
    assert_eq!(error, expected);
}

#[test]
fn mistakes_are_told() {
    for (text, expected) in [
        ("kind='webcam'", "unknown variant `webcam`, expected one of `v4l2`, `process`, `y4m`, `files`, `recording`"),
        ("path='x'", "missing field `kind`"),
        ("kind='files'\npath='x'\nloops=true", "unknown field `loops`, expected one of `path`, `loop`, `rate`"),
        ("kind='v4l2'", "missing field `device`"),
        ("kind='files'\npath='x'\nrate=0", "rate: expected 0.000001 to 1000 frames a second, found 0"),
        ("kind='files'\npath='x'\nrate=nan", "rate: expected 0.000001 to 1000 frames a second, found NaN"),
        ("kind='v4l2'\ndevice='x'\nwidth=65535", "width and height: expected 1 to 16384 pixels, found 65535"),
        ("kind='process'", "expected either command or preset"),
        ("kind='process'\ncommand=[]", "command: expected a program and its arguments, found nothing"),
        ("kind='process'\ncommand=['x']\nformat='nv12'", "width and height are missing: nv12 has to have them"),
        ("kind='process'\ncommand=['x']\nrate=3", "rate and camera: the command has to say them, expected neither"),
        (
            "kind='process'\npreset='rpicam-vid'\nformat='y4m'",
            "format and stride: a preset has its own, expected neither",
        ),
        (
            "kind='process'\ncommand=['x']\nwidth=3",
            "width, height and stride: y4m says them itself, expected none of them",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn one_word_is_enough() {
    let name = |word: &str| match SourceSpec::parse(word).unwrap() {
        SourceSpec::V4l2(spec) => format!("camera {}", spec.device.display()),
        SourceSpec::Y4m(spec) => format!("y4m {}", spec.path.display()),
        SourceSpec::Files(spec) => format!("files {}", spec.path.display()),
        SourceSpec::Recording(spec) => format!("recording {}", spec.path.display()),
        SourceSpec::Process(spec) => format!("process {}", spec.command.join("|")),
    };
    for (word, expected) in [
        ("/dev/video0", "camera /dev/video0"),
        ("v4l2:/dev/v4l/by-id/x:y", "camera /dev/v4l/by-id/x:y"),
        ("-", "y4m -"),
        ("clip.Y4M", "y4m clip.Y4M"),
        ("y4m:/tmp/pipe", "y4m /tmp/pipe"),
        ("folder/", "files folder/"),
        ("C:/folder", "files C:/folder"),
        ("files:a.y4m", "files a.y4m"),
        ("rec.uerec", "recording rec.uerec"),
        ("process:cat x.y4m", "process cat|x.y4m"),
    ] {
        assert_eq!(name(word), expected);
    }
    assert!(SourceSpec::parse("").is_err() && SourceSpec::parse("v4l2:").is_err());
    assert!(SourceSpec::parse("process: ").unwrap_err().contains("found nothing"));
}
