//! Arbitrary bytes as a YUV4MPEG2 stream: reading them gives valid frames, an error of one line, or the end, and never
//! panics. The result does not depend on how the bytes are split into reads.

#![no_main]

use std::io;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use unet_edge::frame_source::stream::FrameStream;
use unet_edge::frame_source::{Arrival, FRAME_BYTES_MAX, FrameSlot, DeadlineRead};

fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    let whole = read(FrameStream::y4m(bytes));
    let pieces = Pieces { bytes, size: usize::from(size).max(1), wait: false };
    assert_eq!(whole, read(FrameStream::y4m(pieces)));
});

/// A reader that returns its bytes in pieces, and would block before each.
struct Pieces<'a> {
    bytes: &'a [u8],
    size: usize,
    wait: bool,
}

impl DeadlineRead for Pieces<'_> {
    fn read_until(&mut self, buffer: &mut [u8], _deadline: Duration) -> io::Result<Option<usize>> {
        self.wait = !self.wait;
        if self.wait {
            return Ok(None);
        }
        let count = self.size.min(self.bytes.len()).min(buffer.len());
        let (piece, rest) = self.bytes.split_at(count);
        buffer[..count].copy_from_slice(piece);
        self.bytes = rest;
        Ok(Some(count))
    }
}

/// The last frame, how many there were, and how it ended.
fn read(mut stream: FrameStream<impl DeadlineRead>) -> (Vec<u8>, u64, String) {
    let mut slot = FrameSlot::default();
    let mut last = Vec::new();
    loop {
        match stream.next(&mut slot, Duration::ZERO) {
            Ok(Arrival::Nothing) => {}
            Ok(Arrival::Frame) => {
                assert!(slot.bytes.len() <= FRAME_BYTES_MAX);
                let view = slot.view().expect("pixels").expect("a whole frame");
                assert_eq!(view.data().len(), slot.bytes.len());
                assert_eq!(slot.sequence + 1, stream.sequence());
                last.clone_from(&slot.bytes);
            }
            Ok(Arrival::End) => return (last, stream.sequence(), String::new()),
            Err(error) => {
                let text = error.to_string();
                assert!(!text.contains('\n') && text.len() < 300, "{text}");
                // After an error only the end follows.
                assert!(matches!(stream.next(&mut slot, Duration::ZERO), Ok(Arrival::End)));
                return (last, stream.sequence(), text);
            }
        }
    }
}
