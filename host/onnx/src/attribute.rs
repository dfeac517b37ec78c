//! Attributes of nodes.

use crate::pb::AttributeProto;
use crate::pb::attribute_proto::AttributeType;

/// A list of sizes.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    list(name, values.iter().map(|&value| value as i64).collect())
}

/// A list of integers, some of which may be negative.
pub fn signed_ints(name: &str, values: &[i64]) -> AttributeProto {
    list(name, values.to_vec())
}

fn list(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto { ints, ..empty(name, AttributeType::Ints) }
}

/// An integer.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: value, ..empty(name, AttributeType::Int) }
}

/// A text.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.as_bytes().to_vec(), ..empty(name, AttributeType::String) }
}

fn empty(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: kind as i32, ..Default::default() }
}
