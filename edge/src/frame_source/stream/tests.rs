use unet_shared::image::PixelFormat;

use super::super::Encoding;
use super::*;

const NOW: Duration = Duration::ZERO;

/// Bytes in pieces, with a wait before each.
struct Pieces(Vec<Vec<u8>>, bool);

impl Pieces {
    fn of(bytes: &[u8], size: usize) -> Self {
        Pieces(bytes.chunks(size).rev().map(<[u8]>::to_vec).collect(), false)
    }
}

impl DeadlineRead for Pieces {
    fn read_until(&mut self, buffer: &mut [u8], _deadline: Duration) -> io::Result<Option<usize>> {
        self.1 = !self.1;
        if self.1 {
            return Ok(None);
        }
        let Some(mut piece) = self.0.pop() else { return Ok(Some(0)) };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        if piece.len() > count {
            self.0.push(piece.split_off(count));
        }
        Ok(Some(count))
    }
}

/// Two frames of 2x2: their bytes count up from 10 and 20; the second mark has a parameter.
fn two_frames() -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W2 H2 F25:1\nFRAME\n".to_vec();
    bytes.extend(10..16);
    bytes.extend(b"FRAME Ip\n");
    bytes.extend(20..26);
    bytes
}

fn next(stream: &mut FrameStream<impl DeadlineRead>, slot: &mut FrameSlot) -> Result<Arrival, String> {
    loop {
        match stream.next(slot, NOW) {
            Ok(Arrival::Nothing) => {}
            other => return other.map_err(|error| error.to_string()),
        }
    }
}

#[test]
fn frames_do_not_depend_on_the_pieces() {
    let bytes = two_frames();
    for size in 1..=bytes.len() {
        let mut stream = FrameStream::y4m(Pieces::of(&bytes, size));
        let mut slot = FrameSlot::default();
        for (sequence, first) in [(0, 10), (1, 20)] {
            // Another slot each time, as in a pipeline.
            let arrival = loop {
                slot = FrameSlot::default();
                match stream.next(&mut slot, NOW).unwrap() {
                    Arrival::Nothing => {}
                    other => break other,
                }
            };
            assert_eq!(arrival, Arrival::Frame);
            assert_eq!((slot.sequence, &slot.bytes), (sequence, &(first..first + 6).collect()), "pieces of {size}");
            let view = slot.view().unwrap().unwrap();
            assert_eq!((view.width(), view.height(), view.format()), (2, 2, PixelFormat::I420));
        }
        assert_eq!(next(&mut stream, &mut slot), Ok(Arrival::End));
        assert_eq!(next(&mut stream, &mut slot), Ok(Arrival::End));
    }
}

#[test]
fn a_cut_stream_is_reported_with_its_place() {
    let bytes = two_frames();
    let header = 22;
    for length in 0..bytes.len() {
        let mut stream = FrameStream::y4m(&bytes[..length]);
        let mut slot = FrameSlot::default();
        let problem = loop {
            match next(&mut stream, &mut slot) {
                Ok(Arrival::Frame) => {}
                Ok(_) => break String::new(),
                Err(problem) => break problem,
            }
        };
        let expected = match length {
            0..22 => format!("stream is cut in its header, after {length} bytes"),
            // Right after the header or a frame: a regular end.
            22 | 34 => String::new(),
            23..28 => "stream is cut: frame 0 has 0 of 6 bytes".to_owned(),
            28..34 => format!("stream is cut: frame 0 has {} of 6 bytes", length - 28),
            35..43 => "stream is cut: frame 1 has 0 of 6 bytes".to_owned(),
            _ => format!("stream is cut: frame 1 has {} of 6 bytes", length - 43),
        };
        assert_eq!(bytes[header - 1], b'\n');
        assert_eq!(problem, expected, "cut to {length}");
        assert_eq!(next(&mut stream, &mut slot), Ok(Arrival::End));
    }
}

#[test]
fn other_data_is_refused() {
    let problem = |bytes: &[u8]| next(&mut FrameStream::y4m(bytes), &mut FrameSlot::default()).unwrap_err();
    let long = [b"YUV4MPEG2 W2 H2 X".as_slice(), &[b'x'; HEADER_BYTES_MAX]].concat();
    assert_eq!(problem(&long), "header: expected at most 1024 bytes, found no end of it");
    assert!(problem(&[0; 5000]).starts_with("expected a stream that begins with YUV4MPEG2, found \\x00"));
    assert!(problem(b"YUV4MPEG2 W65535 H65535\n").contains("found 65535"));
    let expected = "frame 0: expected the word FRAME before the pixels, found FRAMES";
    assert_eq!(problem(b"YUV4MPEG2 W2 H2\nFRAMES\n123456"), expected);
    let long_mark = [b"YUV4MPEG2 W2 H2\nFRAME ".as_slice(), &[b'x'; MARK_BYTES_MAX]].concat();
    assert!(problem(&long_mark).starts_with("frame 0: expected the word FRAME"));
}

#[test]
fn raw_frames_follow_each_other() {
    let encoding = Encoding::Pixels(PixelFormat::Gray8);
    let format =
        FrameFormat { encoding, width: 3, height: 1, stride: 3, colour: unet_shared::image::ColourEncoding::JPEG };
    let mut stream = FrameStream::raw(Pieces::of(&[1, 2, 3, 4, 5, 6, 7], 2), format, 3).with_sequence(7);
    let mut slot = FrameSlot::default();
    for expected in [[1, 2, 3], [4, 5, 6]] {
        assert_eq!(next(&mut stream, &mut slot), Ok(Arrival::Frame));
        assert_eq!(slot.bytes, expected);
    }
    assert_eq!((slot.sequence, slot.format), (8, format));
    assert_eq!(next(&mut stream, &mut slot), Err("stream is cut: frame 9 has 1 of 3 bytes".to_owned()));
}

#[test]
fn buffers_are_reused() {
    let bytes: Vec<u8> = b"YUV4MPEG2 W2 H2 Cmono\n".iter().copied().chain(b"FRAME\n1234".repeat(20)).collect();
    let mut stream = FrameStream::y4m(bytes.as_slice());
    let mut slot = FrameSlot::default();
    let mut seen = std::collections::BTreeSet::new();
    while next(&mut stream, &mut slot) == Ok(Arrival::Frame) {
        assert_eq!(slot.bytes, b"1234");
        seen.insert(slot.bytes.as_ptr() as usize);
    }
    assert_eq!((stream.sequence(), seen.len()), (20, 2));
}

/// A JPEG image with a thumbnail in a segment, and restart and stuffed bytes in its scan; 3 by 2 pixels.
fn image(fill: u8) -> Vec<u8> {
    [
        b"\xff\xd8\xff\xe1\x00\x08\xff\xd8\xff\xd9\x01\x02".as_slice(),
        b"\xff\xff\xc0\x00\x0b\x08\x00\x02\x00\x03\x01\x01\x11\x00\xff\xda\x00\x03\x00",
        &[fill, 0xff, 0, 0xff, 0xd3, fill, 0xff, 0xd9],
    ]
    .concat()
}

/// The frames of a stream with its last error, and how many bytes were skipped.
fn images(bytes: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<Arrival, String>, u64) {
    let mut stream = FrameStream::mjpeg(Pieces::of(bytes, size));
    let (mut slot, mut frames) = (FrameSlot::default(), Vec::new());
    loop {
        match next(&mut stream, &mut slot) {
            Ok(Arrival::Frame) => {
                assert_eq!((slot.sequence, slot.format.encoding), (frames.len() as u64, Encoding::Jpeg));
                frames.push(slot.bytes.clone());
            }
            end => return (frames, end, stream.images.skipped()),
        }
    }
}

#[test]
fn images_follow_each_other_whatever_is_between_them() {
    let all = [image(1), image(2), image(3)];
    let between = b"\r\n--boundary\r\nContent-Type: image/jpeg\r\n\r\n\xff\xff";
    for between in [b"".as_slice(), b"\0", between] {
        let bytes = [&all[0], between, &all[1], between, &all[2], b"\0\0"].concat();
        for size in [1, 2, 3, 7, bytes.len()] {
            let (frames, end, skipped) = images(&bytes, size);
            assert_eq!((frames.as_slice(), end), (all.as_slice(), Ok(Arrival::End)), "pieces of {size}");
            assert_eq!(skipped, 2 * between.len() as u64 + 2);
        }
    }
    let mut stream = FrameStream::mjpeg(all[0].as_slice());
    assert_eq!(stream.format(), None);
    let mut slot = FrameSlot::default();
    assert_eq!(next(&mut stream, &mut slot), Ok(Arrival::Frame));
    assert_eq!((slot.format.width, slot.format.height, stream.format()), (3, 2, Some(slot.format)));
}

#[test]
fn a_cut_image_is_one_frame() {
    let [first, second] = [image(1), image(2)];
    for length in 2..first.len() {
        // An image that is cut within a segment contains the start of the next one.
        if !(12..first.len() - 1).contains(&length) || (13..31).contains(&length) {
            continue;
        }
        let (frames, end, _) = images(&[&first[..length], &second].concat(), 5);
        assert_eq!(frames.last(), Some(&second), "cut to {length}");
        assert_eq!((frames.len(), end), (2, Ok(Arrival::End)), "cut to {length}");
    }
    let (frames, end, _) = images(&[&first, &second[..20]].concat(), 5);
    let expected = "stream is cut: frame 1 ends after 20 bytes, without an end marker";
    assert_eq!((frames.len(), end), (1, Err(expected.to_owned())));
}

#[test]
fn other_bytes_are_no_stream_of_images() {
    for (bytes, found) in [(b"".as_slice(), "nothing"), (b"GIF89a", "GIF89a"), (&[0; 1 << 17], "\\x00\\x00\\x00\\x00")]
    {
        let (frames, end, _) = images(bytes, 4000);
        let problem = end.unwrap_err();
        assert!(
            frames.is_empty() && problem.starts_with("expected JPEG images one after another, found "),
            "{problem}"
        );
        assert!(problem.contains(found), "{problem}");
    }
}
