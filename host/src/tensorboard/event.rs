//! The messages `Event`, `Summary` and `Image` of TensorBoard, as far as this program uses them, in protobuf's wire format.
//!
//! Field numbers are those of <https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto> and
//! `summary.proto` beside it.

use super::PngPanel;

/// Wire types of protobuf.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// Number of colours of an image: RGB.
const RGB: u64 = 3;

/// An event of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// Seconds since 1970.
    time: f64,
    what: What,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Version(&'static str),
    Summary { step: u64, values: Vec<Value> },
}

/// A value of a summary.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Scalar { tag: String, value: f32 },
    Image(PngPanel),
}

impl Event {
    /// The first event of a file.
    pub(super) fn version(time: f64, version: &'static str) -> Self {
        Self { time, what: What::Version(version) }
    }

    /// Values at a step.
    pub(super) fn summary(time: f64, step: u64, values: Vec<Value>) -> Self {
        Self { time, what: What::Summary { step, values } }
    }

    /// The message's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![];
        key(&mut out, 1, FIXED64);
        out.extend(self.time.to_le_bytes());
        match &self.what {
            What::Version(version) => bytes(&mut out, 3, version.as_bytes()),
            What::Summary { step, values } => {
                number(&mut out, 2, *step);
                let mut summary = vec![];
                values.iter().for_each(|value| bytes(&mut summary, 1, &value.encode()));
                bytes(&mut out, 5, &summary);
            }
        }
        out
    }
}

impl Value {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![];
        match self {
            Self::Scalar { tag, value } => {
                bytes(&mut out, 1, tag.as_bytes());
                key(&mut out, 2, FIXED32);
                out.extend(value.to_le_bytes());
            }
            Self::Image(panel) => {
                bytes(&mut out, 1, panel.tag.as_bytes());
                let mut image = vec![];
                number(&mut image, 1, panel.height.into());
                number(&mut image, 2, panel.width.into());
                number(&mut image, 3, RGB);
                bytes(&mut image, 4, &panel.bytes);
                bytes(&mut out, 4, &image);
            }
        }
        out
    }
}

fn key(out: &mut Vec<u8>, field: u8, wire_type: u8) {
    out.push(field << 3 | wire_type);
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    key(out, field, VARINT);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    key(out, field, BYTES);
    varint(out, content.len() as u64);
    out.extend(content);
}

/// Seven bits a byte, the lowest first; the highest bit of a byte says that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
