//! Where one JPEG image of a stream ends and the next begins. Segments are passed over by their length, since they may contain
//! images of their own, such as thumbnails.

/// What a piece of the stream brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet; all bytes are used.
    More,
    /// An image begins.
    Begun,
    /// The image is complete, or another one begins before its end.
    Complete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before an image, after so many bytes of its start.
    #[default]
    Outside,
    Start(u8),
    /// In entropy-coded data, or before a marker.
    Data,
    /// After 0xff.
    Marker,
    /// After a marker, before the bytes of its length.
    Length,
    LengthLow(u8),
    Segment(u16),
}

/// The place in a stream of JPEG images.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    state: State,
    skipped: u64,
}

impl Images {
    /// Whether an image has begun and is not complete.
    pub(super) fn is_within(&self) -> bool {
        !matches!(self.state, State::Outside | State::Start(_))
    }

    /// Bytes between images so far.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Gives the current image up; the next one is searched.
    pub(super) fn abandon(&mut self) {
        self.state = State::Outside;
    }

    /// Appends bytes of the current image to `image`, up to its end; returns how many bytes are used.
    pub(super) fn feed(&mut self, bytes: &[u8], image: &mut Vec<u8>) -> (usize, Step) {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match self.state {
                State::Outside | State::Start(_) => {
                    at += 1;
                    if self.start(byte) {
                        image.extend_from_slice(&[0xff, 0xd8, 0xff]);
                        return (at, Step::Begun);
                    }
                }
                State::Data | State::Segment(_) => {
                    let rest = &bytes[at..];
                    let count = match self.state {
                        State::Segment(left) => rest.len().min(usize::from(left)),
                        _ => rest.iter().position(|&byte| byte == 0xff).map_or(rest.len(), |place| place + 1),
                    };
                    image.extend_from_slice(&rest[..count]);
                    at += count;
                    self.state = match self.state {
                        State::Segment(left) if usize::from(left) > count => State::Segment(left - count as u16),
                        State::Segment(_) => State::Data,
                        _ if rest[count - 1] == 0xff => State::Marker,
                        _ => State::Data,
                    };
                }
                // The image was cut, and 0xff belongs to the next one.
                State::Marker if byte == 0xd8 => {
                    image.pop();
                    self.state = State::Start(1);
                    return (at, Step::Complete);
                }
                State::Marker | State::Length | State::LengthLow(_) => {
                    image.push(byte);
                    at += 1;
                    if self.marker(byte) {
                        return (at, Step::Complete);
                    }
                }
            }
        }
        (at, Step::More)
    }

    /// A byte before an image; returns whether it completes the start of one, 0xff 0xd8 0xff.
    fn start(&mut self, byte: u8) -> bool {
        let found = if let State::Start(found) = self.state { found } else { 0 };
        let (state, skipped) = match (found, byte) {
            (1, 0xd8) => (State::Start(2), 0),
            (2, 0xff) => (State::Marker, 0),
            (_, 0xff) => (State::Start(1), u64::from(found)),
            _ => (State::Outside, u64::from(found) + 1),
        };
        (self.state, self.skipped) = (state, self.skipped + skipped);
        state == State::Marker
    }

    /// A byte of a marker or of its length; returns whether it is the end marker.
    fn marker(&mut self, byte: u8) -> bool {
        self.state = match (self.state, byte) {
            (State::Length, high) => State::LengthLow(high),
            (State::LengthLow(high), low) => match u16::from_be_bytes([high, low]).saturating_sub(2) {
                0 => State::Data,
                left => State::Segment(left),
            },
            (_, 0xd9) => {
                self.state = State::Outside;
                return true;
            }
            // Fill bytes.
            (_, 0xff) => State::Marker,
            // Tables, frames, scans, application data and comments. Other codes have no length.
            (_, 0xc0..=0xcf | 0xda..=0xef | 0xfe) => State::Length,
            _ => State::Data,
        };
        false
    }
}

/// Width and height in the header of an image.
pub(super) fn size(image: &[u8]) -> Option<(u32, u32)> {
    let mut rest = image.get(2..)?;
    loop {
        match rest {
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, code @ 0xc0..=0xcf, _, _, _, sides @ ..] if !matches!(code, 0xc4 | 0xc8 | 0xcc) => {
                let [height, width] = *sides.as_chunks::<2>().0.first_chunk::<2>()?;
                return Some((u16::from_be_bytes(width).into(), u16::from_be_bytes(height).into()));
            }
            [0xff, _, high, low, ..] => rest = rest.get(2 + usize::from(u16::from_be_bytes([*high, *low]))..)?,
            _ => return None,
        }
    }
}
