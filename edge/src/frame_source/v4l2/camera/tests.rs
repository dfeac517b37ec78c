use super::super::list_cameras;
use super::*;

#[test]
fn frame_numbers_continue_after_32_bits() {
    let mut counter = Counter::default();
    let numbers = [u32::MAX - 1, u32::MAX, 0, 3].map(|found| counter.count(found));
    assert_eq!(numbers, [0xffff_fffe, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0003]);
}

#[test]
fn only_monotonic_timestamps_are_used() {
    let at = |flags, timestamp| captured(&Buffer { flags, timestamp, ..Buffer::of(0) });
    let monotonic = abi::FLAG_TIMESTAMP_MONOTONIC;
    assert_eq!(at(monotonic | 1, [7, 250_000]), Some(Duration::from_millis(7250)));
    assert_eq!(at(0, [7, 250_000]), None);
    // Copied from elsewhere.
    assert_eq!(at(0x4000, [7, 250_000]), None);
    for timestamp in [[0, 0], [-1, 0], [1, -1], [1, 1_000_000]] {
        assert_eq!(at(monotonic, timestamp), None);
    }
}

#[test]
fn errors_say_what_to_do() {
    let open = |device: &str| Camera::open(&CameraSpec::of(device)).unwrap_err();
    let error = open("/dev/no-such-camera");
    assert_eq!(error.kind(), Kind::Retry);
    assert!(error.to_string().starts_with("/dev/no-such-camera: could not be opened: "), "{error}");
    assert!(error.to_string().ends_with("with unet-edge cameras"), "{error}");
    let error = open("/dev/null");
    let expected = "/dev/null: expected a camera, found a file that is not a video device";
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Fatal, expected));
    let busy = device_error("x", &DeviceError::Call { call: "VIDIOC_S_FMT", error: Errno::BUSY });
    assert!(busy.kind() == Kind::Retry && busy.to_string().ends_with("; another program may be using it"), "{busy}");
}

/// A frame of a real camera, if `UNET_EDGE_TEST_CAMERA` names one, as it does on the emulated board.
#[test]
fn a_real_camera_delivers_frames() {
    let Some(device) = std::env::var_os("UNET_EDGE_TEST_CAMERA") else { return };
    let device = std::path::PathBuf::from(device);
    let found = list_cameras().into_iter().find(|camera| camera.device == device).expect("the camera is listed");
    let mut slot = FrameSlot::default();
    for format in found.formats.iter().filter_map(|format| format.known) {
        let spec = CameraSpec { format: Some(format), ..CameraSpec::of(&device) };
        let mut camera = Camera::open(&spec).unwrap();
        println!("{}", camera.describe());
        let mut last: Option<(u64, Duration)> = None;
        let mut capacity = 0;
        for number in 0..5 {
            assert_eq!(camera.next_frame(&mut slot, Duration::from_secs(5)).unwrap(), Arrival::Frame);
            assert_eq!(slot.format.encoding, format.encoding());
            if let Some(view) = slot.view() {
                view.unwrap();
            }
            assert!(last.is_none_or(|(sequence, captured)| slot.sequence > sequence && slot.captured > captured));
            assert!(SystemClock.now().saturating_sub(slot.captured) < Duration::from_secs(5));
            last = Some((slot.sequence, slot.captured));
            // The buffer is reused.
            assert!(number == 0 || slot.bytes.capacity() == capacity);
            capacity = slot.bytes.capacity();
        }
    }
}
