//! Arbitrary bytes as a recording: reading them gives frames, an error of one line, or the end. It never panics, and
//! allocates no memory for bytes that do not exist.

#![no_main]

use libfuzzer_sys::fuzz_target;
use unet_edge::frame_source::FrameSlot;
use unet_edge::frame_source::recording::{Read, RecordingReader};

fuzz_target!(|data: &[u8]| {
    let mut reader = match RecordingReader::new(data) {
        Ok(reader) => reader,
        Err(error) => return check(&error.to_string()),
    };
    let mut slot = FrameSlot::default();
    let mut bytes = 8;
    loop {
        match reader.next(&mut slot) {
            Ok(Read::Frame) => {
                // Making a view of the pixels must not panic either.
                let _ = slot.view();
                let start = bytes + 40;
                assert_eq!(data[start..start + slot.bytes.len()], slot.bytes);
                bytes = start + slot.bytes.len() + 8;
            }
            Ok(Read::Cut | Read::End) => break,
            Err(error) => {
                check(&error.to_string());
                break;
            }
        }
    }
    assert!(bytes <= data.len());
    assert!(slot.bytes.capacity() <= data.len() + (2 << 20));
    assert!(matches!(reader.next(&mut slot), Ok(Read::End)));
});

fn check(text: &str) {
    assert!(!text.contains('\n') && text.len() < 300, "{text}");
}
