//! How tensor shapes are written in messages: `1x3x256x256`.

/// The dimensions joined by `x`.
pub(crate) fn text(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}
