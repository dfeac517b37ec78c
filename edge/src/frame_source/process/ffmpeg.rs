//! Network streams and video files, decoded by ffmpeg: the command of the preset, and what to configure in place of a URL.

use super::super::spec::{Policy, Rate, Reopen, Side};

/// Extensions of files that ffmpeg can read and nothing here can.
const VIDEO_EXTENSIONS: [&str; 10] = ["avi", "mp4", "m4v", "mkv", "mov", "webm", "h264", "264", "h265", "ts"];

/// Whether a word is a URL, such as `rtsp://camera/stream`.
pub(in super::super) fn is_url(word: &str) -> bool {
    word.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// Whether only ffmpeg can read what a word names: a URL or a video file.
pub(in super::super) fn is_input(word: &str) -> bool {
    let extension = std::path::Path::new(word).extension().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    is_url(word) || VIDEO_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// The command that writes an input as YUV4MPEG2 with a size and rate of its own or these.
///
/// The scale filter converts to one range and matrix, whatever the input has: of both, the stream only states the range.
pub(super) fn command(input: &str, size: [Option<Side>; 2], rate: Option<Rate>) -> Vec<String> {
    let [width, height] = [(size[0], 'w'), (size[1], 'h')].map(|(side, letter)| match side {
        Some(side) => side.get().to_string(),
        // Frames are 4:2:0, hence even.
        None => format!("trunc(i{letter}/2)*2"),
    });
    let rate = rate.map_or_else(String::new, |rate| format!("fps={},", rate.per_second()));
    let filter = format!("{rate}scale=w={width}:h={height}:out_color_matrix=bt601:out_range=limited");
    let mut command = vec!["ffmpeg", "-nostdin", "-loglevel", "error"];
    if input.starts_with("rtsp") && is_url(input) {
        // Lost UDP packets damage many frames.
        command.extend(["-rtsp_transport", "tcp"]);
    }
    command.extend(["-i", input, "-an", "-vf", &filter, "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]);
    command.into_iter().map(str::to_owned).collect()
}

/// Streams and devices are live; a network stream is opened again when it ends. A file is neither.
pub(super) fn policy(input: &str) -> Policy {
    match (is_url(input), input.starts_with("/dev/")) {
        (true, _) => Policy { live: true, reopen: Reopen::AfterErrorOrEnd },
        (_, true) => Policy { live: true, reopen: Reopen::AfterError },
        _ => Policy { live: false, reopen: Reopen::Never },
    }
}

/// What to configure for an input, to be pasted.
pub(in super::super) fn advice(input: &str) -> String {
    let command: Vec<String> = command(input, [None; 2], None).iter().map(|word| format!("{word:?}")).collect();
    format!(
        "source {input}: a network stream or a video is read through ffmpeg; install it, and put this into a configuration file, \
         below a line package = \"FILE.unet\", for unet-edge run --config FILE:\n\n[source]\nkind = \"process\"\ncommand = [{}]\n\nThe preset has the same command, with width, height and rate as \
         further keys:\n\n[source]\nkind = \"process\"\npreset = \"ffmpeg\"\ninput = {input:?}",
        command.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_videos_need_ffmpeg() {
        for word in ["rtsp://10.0.0.2:554/h264", "https://x/y.m3u8", "clip.MP4", "folder/cam.avi"] {
            assert!(is_input(word), "{word}");
        }
        for word in ["/dev/video0", "a.png", "clip.y4m", "-", "://x", "C:/folder", "a b://c", "folder.d/x"] {
            assert!(!is_input(word), "{word}");
        }
    }

    #[test]
    fn a_network_stream_is_live_and_a_file_is_not() {
        let policies = ["rtsp://x", "/dev/video0", "a.mp4"].map(policy);
        let found = policies.map(|policy| (policy.live, policy.reopen));
        let expected = [(true, Reopen::AfterErrorOrEnd), (true, Reopen::AfterError), (false, Reopen::Never)];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_advice_is_a_configuration_that_is_read() {
        for input in ["rtsp://user:pass@10.0.0.2/stream?a=1&b=2", "http://x/cam.mjpg"] {
            let advice = advice(input);
            let blocks: Vec<&str> = advice.split("[source]").skip(1).collect();
            assert_eq!(blocks.len(), 2);
            let sources = blocks.into_iter().map(|block| {
                let block = block.split("\n\n").next().unwrap();
                let text = format!("package = \"a\"\n[source]{block}");
                crate::config::parse("a", &text).unwrap().source
            });
            let commands: Vec<String> = sources
                .map(|source| {
                    let shown = format!("{source:?}");
                    shown.split("output").next().unwrap().to_owned()
                })
                .collect();
            assert_eq!(commands[0], commands[1]);
            assert!(commands[0].contains("\"-f\", \"yuv4mpegpipe\", \"-\"]"), "{}", commands[0]);
            assert_eq!(commands[0].contains("-rtsp_transport"), input.starts_with("rtsp"));
        }
    }

    /// Decodes with the real program where there is one: a Motion JPEG stream of full range, made here.
    #[test]
    fn ffmpeg_understands_the_command() {
        use super::super::super::{Arrival, FrameSlot, parse_word};
        use image::codecs::jpeg::JpegEncoder;
        if std::process::Command::new("ffmpeg").arg("-version").output().is_err() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mjpeg");
        let mut bytes = Vec::new();
        for value in [0, 255] {
            let image = image::RgbImage::from_pixel(17, 9, image::Rgb([value; 3]));
            JpegEncoder::new_with_quality(&mut bytes, 100).encode_image(&image).unwrap();
        }
        std::fs::write(&path, bytes).unwrap();
        let command = command(path.to_str().unwrap(), [None; 2], None).join(" ");
        let mut source = parse_word(&format!("process:{command}")).unwrap().open().unwrap();
        let mut slot = FrameSlot::default();
        for luma in [16, 235] {
            let arrival = source.next_frame(&mut slot, std::time::Duration::from_secs(30)).unwrap();
            assert_eq!((arrival, slot.format.width, slot.format.height), (Arrival::Frame, 16, 8));
            assert_eq!(slot.bytes[0], luma);
        }
    }
}
