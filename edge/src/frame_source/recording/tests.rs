use unet_shared::image::ColourEncoding;

use super::super::FrameSlot;
use super::*;
use std::io::ErrorKind;

const NO_BOUNDS: RecorderBounds = RecorderBounds { bytes_max: u64::MAX, frames_max: u64::MAX };
/// Bytes of a recorded frame of 4 bytes, and of a recording with one.
const FRAME: usize = 40 + 4 + 8;
const ONE: usize = 8 + FRAME;

fn slot(sequence: u64, bytes: &[u8]) -> FrameSlot {
    let encoding = Encoding::Pixels(PixelFormat::Yuyv);
    let format = FrameFormat { encoding, width: 2, height: 1, stride: 4, colour: colour(1) };
    FrameSlot { bytes: bytes.to_vec(), format, sequence, captured: Duration::new(7, sequence as u32) }
}

/// One of four encodings.
fn colour(number: usize) -> ColourEncoding {
    ColourEncoding { range: Range::ALL[number % 2], matrix: Matrix::ALL[number / 2] }
}

/// A recording of two frames in a folder.
fn recording() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.uerec");
    let mut recorder = Recorder::create(&path, NO_BOUNDS).unwrap();
    assert_eq!(recorder.record(&slot(5, b"abcd")).unwrap(), Recorded::Written);
    assert_eq!(recorder.record(&slot(0x1_0000_0002, b"efgh")).unwrap(), Recorded::Written);
    assert_eq!((recorder.frames(), recorder.bytes()), (2, (8 + 2 * FRAME) as u64));
    (folder, path)
}

#[test]
fn the_layout_is_the_documented_one() {
    let (_folder, path) = recording();
    let bytes = std::fs::read(path).unwrap();
    let expected = [
        b"UEREC001FRAM".as_slice(),
        // Full range, BT.601.
        &[5, 2, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        // 7 s and 5 ns: 0x1_a13b_8605.
        &[0x05, 0x86, 0x3b, 0xa1, 1, 0, 0, 0],
        b"abcdEND\0\x05\0\0\0",
    ]
    .concat();
    assert_eq!(bytes[..ONE], expected);
    assert_eq!(bytes[bytes.len() - 8..], *b"END\0\x02\0\0\0");
    for (number, encoding) in ENCODINGS.into_iter().enumerate() {
        for colour in (0..4).map(colour) {
            let format = FrameFormat { encoding, width: 1, height: 2, stride: 3, colour };
            let header = Header { format, len: 4, sequence: 5, captured: Duration::from_nanos(6) };
            let bytes = header.to_bytes();
            let (has_luma, has_chroma) = match encoding {
                Encoding::Pixels(format) => (format.has_luma(), format.has_chroma()),
                Encoding::Jpeg => (false, false),
            };
            let range = if has_luma { 1 + u8::from(colour.range == Range::Full) } else { 0 };
            let matrix = if has_chroma { 1 + u8::from(colour.matrix == Matrix::Bt709) } else { 0 };
            assert_eq!(bytes[4..8], [number as u8, range, matrix, 0]);
            let (read, stated) = Header::from_bytes(&bytes).unwrap();
            assert_eq!(read.to_bytes(), bytes);
            assert_eq!(stated.range, has_luma.then_some(colour.range));
            assert_eq!(stated.matrix, has_chroma.then_some(colour.matrix));
        }
    }
    let refused = |at: usize, value: u8| {
        let mut bytes = bytes[8..8 + HEADER_LEN].to_vec();
        bytes[at] = value;
        Header::from_bytes(bytes.as_slice().try_into().unwrap()).is_none()
    };
    assert!(refused(4, 11) && refused(5, 3) && refused(6, 3) && refused(7, 1));
}

#[test]
fn frames_are_read_as_they_were_written() {
    let (_folder, path) = recording();
    let mut reader = RecordingReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut read = FrameSlot::default();
    for expected in [slot(5, b"abcd"), slot(0x1_0000_0002, b"efgh")] {
        assert_eq!(reader.next(&mut read).unwrap(), Read::Frame);
        assert_eq!((&read.bytes, read.format, read.sequence), (&expected.bytes, expected.format, expected.sequence));
        assert_eq!(read.captured, expected.captured);
    }
    assert_eq!(reader.next(&mut read).unwrap(), Read::End);
}

#[test]
fn a_cut_recording_is_read_up_to_its_last_complete_frame() {
    let (_folder, path) = recording();
    let bytes = std::fs::read(path).unwrap();
    for length in 8..bytes.len() {
        let mut reader = RecordingReader::new(&bytes[..length]).unwrap();
        let mut read = FrameSlot::default();
        let mut frames = 0;
        let end = loop {
            match reader.next(&mut read).unwrap() {
                Read::Frame => frames += 1,
                other => break other,
            }
        };
        let at_frame = (length - 8).is_multiple_of(FRAME);
        assert_eq!((frames, end), ((length - 8) / FRAME, if at_frame { Read::End } else { Read::Cut }), "{length}");
        assert_eq!(reader.next(&mut read).unwrap(), Read::End);
    }
    // Zeros that were allocated but never written.
    let zeros = [&bytes[..ONE], &[0; 200]].concat();
    let mut reader = RecordingReader::new(zeros.as_slice()).unwrap();
    let mut read = FrameSlot::default();
    assert_eq!([reader.next(&mut read).unwrap(), reader.next(&mut read).unwrap()], [Read::Frame, Read::Cut]);
}

#[test]
fn other_files_are_refused() {
    let error = RecordingReader::new(b"YUV4MPEG2".as_slice()).unwrap_err();
    assert_eq!(error.to_string(), "expected a recording, which begins with UEREC001, found YUV4MPEG");
    let error = RecordingReader::new(b"".as_slice()).unwrap_err();
    assert!(error.to_string().ends_with("found nothing"));
    let (_folder, path) = recording();
    let mut bytes = std::fs::read(path).unwrap();
    let problem =
        |bytes: &[u8]| RecordingReader::new(bytes).unwrap().next(&mut FrameSlot::default()).unwrap_err().to_string();
    bytes[12] = 11;
    assert_eq!(problem(&bytes), "frame 0: expected a frame header, found other bytes");
    bytes[12] = 5;
    bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(problem(&bytes), "frame 0: expected at most 67108864 bytes, found 4294967295");
    // The header says 64 MiB, 76 bytes exist: no more than a step is allocated.
    bytes[28..32].copy_from_slice(&(64u32 << 20).to_le_bytes());
    let mut read = FrameSlot::default();
    assert_eq!(RecordingReader::new(bytes.as_slice()).unwrap().next(&mut read).unwrap(), Read::Cut);
    assert!(read.bytes.capacity() <= 1 << 20);
}

#[test]
fn limits_apply_to_the_whole_folder() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("recordings");
    let bounds = RecorderBounds { bytes_max: (2 * ONE + FRAME) as u64, frames_max: 1 };
    let mut first = Recorder::create_in(&place, "1", bounds).unwrap();
    assert_eq!(first.record(&slot(0, b"abcd")).unwrap(), Recorded::Written);
    assert_eq!(first.record(&slot(1, b"abcd")).unwrap(), Recorded::Full);
    let bounds = RecorderBounds { frames_max: 9, ..bounds };
    let mut second = Recorder::create_in(&place, "2", bounds).unwrap();
    let mut record = |bytes: &[u8]| second.record(&slot(0, bytes)).unwrap();
    assert_eq!([record(b"abcd"), record(b"abcde"), record(b"")], [Recorded::Written, Recorded::Full, Recorded::Full]);
    let total: u64 = ["1.uerec", "2.uerec"].map(|name| place.join(name).metadata().unwrap().len()).iter().sum();
    assert_eq!(total, 2 * ONE as u64);
    let error = Recorder::create_in(&place, "2", bounds).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_frames_only() {
    // A device on which every write fails.
    let path = std::path::Path::new("/dev/full");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let mut recorder = Recorder::after_magic(file, path, NO_BOUNDS);
    // The second time the device cannot be truncated to the whole frames.
    for kind in [ErrorKind::StorageFull, ErrorKind::InvalidInput] {
        assert_eq!(recorder.record(&slot(0, b"abcd")).unwrap_err().kind(), kind);
        assert_eq!((recorder.frames(), recorder.bytes()), (0, 8));
    }
}

#[test]
fn a_recording_is_a_source() {
    use super::super::clip::ClipSpec;
    use super::super::colour::Said;
    use super::super::{Arrival, FrameSource, Kind};
    use super::replay::Replay;

    let (_folder, path) = recording();
    let mut spec = ClipSpec::once(&path);
    let mut source = Replay::open(&spec, Said::default()).unwrap();
    let mut read = FrameSlot::default();
    let next = |source: &mut Replay, read: &mut FrameSlot| source.next_frame(read, Duration::ZERO);
    assert_eq!(next(&mut source, &mut read).unwrap(), Arrival::Frame);
    assert_eq!((read.bytes.as_slice(), read.sequence), (b"abcd".as_slice(), 5));
    assert!(
        read.captured > Duration::ZERO
            && source.describe().ends_with("a.uerec: recording, yuyv 2x1, range full (stated), matrix bt601 (stated)")
    );
    assert_eq!(next(&mut source, &mut read).unwrap(), Arrival::Frame);
    assert_eq!(next(&mut source, &mut read).unwrap(), Arrival::End);
    spec.repeat = true;
    // Cut within the second frame: each round has one frame and one error.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let mut source = Replay::open(&spec, Said::default()).unwrap();
    for sequence in [5, 11, 17] {
        assert_eq!(next(&mut source, &mut read).unwrap(), Arrival::Frame);
        assert_eq!(read.sequence, sequence);
        let error = next(&mut source, &mut read).unwrap_err();
        assert_eq!(error.kind(), Kind::SkipFrame);
        assert!(error.to_string().ends_with("recording is cut after 1 complete frames"));
    }
    std::fs::write(&path, b"").unwrap();
    assert_eq!(Replay::open(&spec, Said::default()).unwrap_err().kind(), Kind::Fatal);
}

#[test]
fn recordings_without_range_and_matrix_are_read_as_before() {
    use super::super::clip::ClipSpec;
    use super::super::colour::Said;
    use super::super::{Arrival, FrameSource};
    use super::replay::Replay;

    let (_folder, path) = recording();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[13..15].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let full = Said { range: Some(Range::Full), matrix: None };
    for (configured, expected, described) in [
        (Said::default(), colour(0), "range limited (assumed), matrix bt601 (assumed)"),
        (full, colour(1), "range full (configured), matrix bt601 (assumed)"),
    ] {
        let mut source = Replay::open(&ClipSpec::once(&path), configured).unwrap();
        let mut read = FrameSlot::default();
        assert_eq!(source.next_frame(&mut read, Duration::ZERO).unwrap(), Arrival::Frame);
        assert_eq!(read.view().unwrap().unwrap().encoding(), expected);
        assert!(source.describe().ends_with(described), "{}", source.describe());
    }
}
