//! A stream of frames from a file or standard input: YUV4MPEG2, or JPEG images one after another.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::clip::{ClipSpec, has_extension};
use super::colour::{Colour, Said};
use super::deadline_read::Polled;
use super::pace::Pace;
use super::spec::{Policy, Rate, Requirement, SourceKind, SourceSpec};
use super::stream::{FrameStream, StreamError};
use super::{Arrival, FrameSlot, FrameSource, Kind, SourceError};
use crate::clock::{Clock, SystemClock};

/// `kind = "y4m"`, with the keys of a [`ClipSpec`], `range` and `matrix`.
pub(crate) const Y4M: SourceKind = SourceKind {
    name: "y4m",
    read: |section| {
        let (clip, colour) = (ClipSpec::read(section), Said::read(section));
        Some(Arc::new(StreamSpec { form: Form::Y4m(colour), clip: clip? }))
    },
    from_word: |path| Ok(Arc::new(StreamSpec { form: Form::Y4m(Said::default()), clip: ClipSpec::once(path) })),
    claims: |word| word == "-" || has_extension(word, "y4m"),
};

/// `kind = "mjpeg"`, with the keys of a [`ClipSpec`].
pub(crate) const MJPEG: SourceKind = SourceKind {
    name: "mjpeg",
    read: |section| Some(Arc::new(StreamSpec { form: Form::Mjpeg, clip: ClipSpec::read(section)? })),
    from_word: |path| Ok(Arc::new(StreamSpec { form: Form::Mjpeg, clip: ClipSpec::once(path) })),
    claims: |word| has_extension(word, "mjpeg") || has_extension(word, "mjpg"),
};

#[derive(Debug)]
struct StreamSpec {
    form: Form,
    clip: ClipSpec,
}

/// What a stream consists of.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// YUV4MPEG2, with the range and matrix that the configuration says.
    Y4m(Said),
    /// JPEG images.
    Mjpeg,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Y4m(_) => "y4m",
            Form::Mjpeg => "mjpeg",
        }
    }

    fn stream(self, file: File) -> FrameStream<Polled<File>> {
        match self {
            Form::Y4m(configured) => {
                let colour = Colour { configured, ..Colour::default() };
                FrameStream::y4m(Polled(file)).with_colour(colour)
            }
            Form::Mjpeg => FrameStream::mjpeg(Polled(file)),
        }
    }
}

impl StreamSpec {
    fn is_standard_input(&self) -> bool {
        self.clip.path.as_os_str() == "-"
    }
}

impl SourceSpec for StreamSpec {
    fn name(&self) -> String {
        if self.is_standard_input() { "standard input".to_owned() } else { self.clip.path.display().to_string() }
    }

    fn policy(&self) -> Policy {
        self.clip.policy()
    }

    fn interval(&self) -> Option<Duration> {
        self.clip.interval()
    }

    fn requirement(&self) -> Requirement<'_> {
        if self.is_standard_input() {
            Requirement::Nothing("standard input")
        } else {
            Requirement::Path(&self.clip.path)
        }
    }

    fn open(&self) -> Result<Box<dyn FrameSource>, SourceError> {
        Ok(Box::new(StreamFile::open(self)?))
    }
}

/// Frames of a stream.
#[derive(Debug)]
struct StreamFile {
    name: String,
    stream: FrameStream<Polled<File>>,
    // The same file, for the next round.
    again: Option<File>,
    form: Form,
    pace: Pace,
}

impl StreamFile {
    /// Opens the file. The header of a regular file is read at once.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or is not a stream of this form.
    fn open(spec: &StreamSpec) -> Result<Self, SourceError> {
        let (name, standard_input, form) = (spec.name(), spec.is_standard_input(), spec.form);
        let spec = &spec.clip;
        let fatal = |problem: &str, cause| SourceError::new(&name, Kind::Fatal, problem, cause);
        if standard_input && spec.repeat {
            return Err(fatal("expected a file with loop = true, standard input cannot start over", None));
        }
        let file = if standard_input { open_standard_input() } else { open_file(&spec.path) };
        let file = file.map_err(|cause| fatal("could not be opened", Some(cause)))?;
        let again = spec.repeat.then(|| file.try_clone()).transpose();
        let again = again.map_err(|cause| fatal("could not be opened twice", Some(cause)))?;
        let pace = Pace::new(spec.rate.map(Rate::interval));
        let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let mut source = StreamFile { name, stream: form.stream(file), again, form, pace };
        // A pipe may be empty yet.
        if regular {
            source.stream.begin(SystemClock.now()).map_err(|error| source.error(error))?;
        }
        Ok(source)
    }

    fn error(&self, error: StreamError) -> SourceError {
        match error {
            StreamError::Read(cause) => SourceError::new(&self.name, Kind::Fatal, "could not be read", Some(cause)),
            // The frames before it were complete, and the end comes next.
            StreamError::Cut { .. } | StreamError::CutImage { .. } | StreamError::Large { .. } => {
                SourceError::new(&self.name, Kind::SkipFrame, error.to_string(), None)
            }
            error => SourceError::new(&self.name, Kind::Fatal, error.to_string(), None),
        }
    }

    /// Starts over; returns whether that is possible.
    fn rewind(&mut self) -> Result<bool, SourceError> {
        let sequence = self.stream.sequence();
        let Some(file) = &mut self.again else { return Ok(false) };
        let again = file.seek(SeekFrom::Start(0)).and_then(|_| file.try_clone());
        let again =
            again.map_err(|cause| SourceError::new(&self.name, Kind::Fatal, "failed to start over", Some(cause)))?;
        self.stream = self.form.stream(again).with_sequence(sequence);
        Ok(true)
    }
}

/// The descriptor itself: `poll` does not see what the standard library has buffered.
fn open_standard_input() -> std::io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        std::io::stdin().as_fd().try_clone_to_owned().map(File::from)
    }
    #[cfg(not(unix))]
    {
        let error = "expected a file on this system, found standard input";
        Err(std::io::Error::new(std::io::ErrorKind::Unsupported, error))
    }
}

/// Does not wait for the other end of a pipe; reading does, until its deadline.
fn open_file(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    }
    options.open(path)
}

impl FrameSource for StreamFile {
    fn describe(&self) -> String {
        let (name, form) = (&self.name, self.form.name());
        match self.stream.format() {
            Some(format) => format!("{name}: {form}, {format}{}", self.stream.colour().describe(format.encoding)),
            None => format!("{name}: {form}"),
        }
    }

    fn next_frame(&mut self, slot: &mut FrameSlot, patience: Duration) -> Result<Arrival, SourceError> {
        let deadline = SystemClock.now() + patience;
        if !self.pace.wait(&SystemClock, patience) {
            return Ok(Arrival::Nothing);
        }
        let before = self.stream.sequence();
        match self.stream.next(slot, deadline).map_err(|error| self.error(error))? {
            // A stream without frames is not repeated.
            Arrival::End if before > 0 && self.rewind()? => {
                self.stream.next(slot, deadline).map_err(|error| self.error(error))
            }
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(path: &Path, repeat: bool) -> StreamSpec {
        StreamSpec { form: Form::Y4m(Said::default()), clip: ClipSpec { repeat, ..ClipSpec::once(path) } }
    }

    fn file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.y4m");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_ends_or_starts_over() {
        let (_folder, path) = file(b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\ncd");
        let mut slot = FrameSlot::default();
        for repeat in [false, true] {
            let mut source = StreamFile::open(&spec(&path, repeat)).unwrap();
            assert!(
                source.describe().ends_with("clip.y4m: y4m, gray8 2x1, range full (assumed)"),
                "{}",
                source.describe()
            );
            for (sequence, bytes) in [(0, b"ab"), (1, b"cd")] {
                assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::Frame);
                assert_eq!((slot.sequence, slot.bytes.as_slice()), (sequence, bytes.as_slice()));
            }
            let third = source.next_frame(&mut slot, Duration::ZERO).unwrap();
            assert_eq!(third, if repeat { Arrival::Frame } else { Arrival::End });
        }
        assert_eq!((slot.sequence, slot.bytes.as_slice()), (2, b"ab".as_slice()));
    }

    #[test]
    fn a_cut_file_loses_its_last_frame() {
        let (_folder, path) = file(b"YUV4MPEG2 W2 H1 Cmono\nFRAME\nabFRAME\nc");
        let mut source = StreamFile::open(&spec(&path, false)).unwrap();
        let mut slot = FrameSlot::default();
        assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::Frame);
        let error = source.next_frame(&mut slot, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), Kind::SkipFrame);
        assert!(error.to_string().ends_with("stream is cut: frame 1 has 1 of 2 bytes"), "{error}");
        assert_eq!(source.next_frame(&mut slot, Duration::ZERO).unwrap(), Arrival::End);
    }

    #[test]
    fn unreadable_files_are_fatal_at_once() {
        for (bytes, expected) in [
            (b"YUV4MPEG2 W0 H0\n".as_slice(), "found 0"),
            (b"YUV4MPEG2 W65535 H65535\n", "found 65535"),
            (b"", "stream is cut in its header, after 0 bytes"),
            (b"\x89PNG\r\n", "found \\x89PNG"),
        ] {
            let (_folder, path) = file(bytes);
            let error = StreamFile::open(&spec(&path, true)).unwrap_err();
            assert!(error.kind() == Kind::Fatal && error.to_string().contains(expected), "{error}");
        }
        let error = StreamFile::open(&spec(Path::new("/no/such/clip.y4m"), false)).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Fatal, "/no/such/clip.y4m: could not be opened"));
        let error = StreamFile::open(&spec(Path::new("-"), true)).unwrap_err();
        assert!(error.to_string().starts_with("standard input: expected a file"), "{error}");
    }

    #[test]
    fn a_loop_without_frames_ends() {
        let (_folder, path) = file(b"YUV4MPEG2 W2 H1 Cmono\n");
        let mut source = StreamFile::open(&spec(&path, true)).unwrap();
        assert_eq!(source.next_frame(&mut FrameSlot::default(), Duration::ZERO).unwrap(), Arrival::End);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_waited_for_no_longer_than_may_be() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let mut source = StreamFile::open(&spec(&path, false)).unwrap();
        let mut slot = FrameSlot::default();
        let patience = Duration::from_millis(10);
        // Nothing is written yet; then half a frame; then the rest.
        assert_eq!(source.next_frame(&mut slot, patience).unwrap(), Arrival::Nothing);
        let mut writer = File::options().write(true).open(&path).unwrap();
        writer.write_all(b"YUV4MPEG2 W2 H1 Cmono\nFRAME\na").unwrap();
        assert_eq!(source.next_frame(&mut slot, patience).unwrap(), Arrival::Nothing);
        writer.write_all(b"b").unwrap();
        assert_eq!(source.next_frame(&mut slot, Duration::from_secs(5)).unwrap(), Arrival::Frame);
        assert_eq!(slot.bytes, b"ab");
        drop(writer);
        assert_eq!(source.next_frame(&mut slot, Duration::from_secs(5)).unwrap(), Arrival::End);
    }
}
