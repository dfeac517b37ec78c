//! From one value for each pixel of the model to one for each pixel of an image, by nearest neighbour: its class, or another value.
//! All kinds of values are mapped alike, so that they match at every pixel.

use unet_shared::mask::{MaskError, mask_to_image};
use unet_shared::preprocess::{Placement, Preprocess};
use unet_shared::tiles::Tile;

/// Whether values already had the size asked for, so that nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsItIs(pub bool);

/// Copies what `tile` keeps to `joined`, which has the size of the tile's image. `values` have the size of the model that `spec`
/// describes; `scratch` is memory of any content.
///
/// # Errors
///
/// If a length does not match its size, or the placement is not within the model's input.
pub fn join_tile<T: Copy + Default>(
    values: &[T],
    spec: &Preprocess,
    placement: Placement,
    tile: &Tile,
    scratch: &mut Vec<T>,
    joined: &mut [T],
) -> Result<(), MaskError> {
    let expected = tile.image.0 * tile.image.1;
    if joined.len() != expected {
        return Err(MaskError::Output { expected, found: joined.len() });
    }
    scratch.resize(tile.width() * tile.height(), T::default());
    mask_to_image(values, spec, placement, tile.width(), tile.height(), scratch)?;
    let (columns, rows) = (&tile.columns, &tile.rows);
    let kept = columns.kept.start - columns.tile.start..columns.kept.end - columns.tile.start;
    let from = scratch.chunks_exact(tile.width()).skip(rows.kept.start - rows.tile.start);
    let to = joined.chunks_exact_mut(tile.image.0).skip(rows.kept.start).take(rows.kept.len());
    for (to, from) in to.zip(from) {
        to[columns.kept.clone()].copy_from_slice(&from[kept.clone()]);
    }
    Ok(())
}

/// Writes values of width and height `size`, of which the image fills `placement`, to `out` at another size of the image, unless
/// they have that size.
///
/// # Errors
///
/// If there is not one value for each pixel, a side is 0 or too large, or the placement is not within the values.
pub fn resize_into<T: Copy + Default>(
    values: &[T],
    size: (u32, u32),
    placement: Placement,
    (width, height): (usize, usize),
    out: &mut Vec<T>,
) -> Result<AsItIs, MaskError> {
    let filled = Placement { x: 0, y: 0, width: size.0, height: size.1 };
    if (size.0 as usize, size.1 as usize) == (width, height) && placement == filled {
        return Ok(AsItIs(true));
    }
    // Of which only the size matters.
    let spec = Preprocess { width: size.0, height: size.1, ..Preprocess::CLASSIC };
    out.resize(width.saturating_mul(height), T::default());
    mask_to_image(values, &spec, placement, width, height, out)?;
    Ok(AsItIs(false))
}

#[cfg(test)]
mod tests {
    use unet_shared::tiles::Grid;

    use super::*;

    #[test]
    fn tiles_are_joined_and_values_enlarged() {
        let tiles = Some("16,4".parse().unwrap());
        let spec = Preprocess { width: 16, height: 16, ..Preprocess::CLASSIC };
        let whole = Placement { x: 0, y: 0, width: 16, height: 16 };
        let (mut scratch, mut joined) = (Vec::new(), vec![0u16; 40 * 16]);
        for tile in Grid::new(tiles, 40, 16).tiles() {
            // Each pixel's column in the image, beyond what a byte holds.
            let values: Vec<u16> = (0..256).map(|at| 1000 + (tile.columns.tile.start + at % 16) as u16).collect();
            join_tile(&values, &spec, whole, &tile, &mut scratch, &mut joined).unwrap();
        }
        assert!(joined.iter().enumerate().all(|(at, &value)| usize::from(value) == 1000 + at % 40), "{joined:?}");
        let tile = Grid::new(tiles, 40, 16).tile(0).unwrap();
        let error = join_tile(&[0u16; 256], &spec, whole, &tile, &mut scratch, &mut joined[1..]).unwrap_err();
        assert_eq!(error, MaskError::Output { expected: 640, found: 639 });

        let mut out = Vec::new();
        let values = [7u16, 8, 9, 10];
        let filled = Placement { x: 0, y: 0, width: 2, height: 2 };
        assert_eq!(resize_into(&values, (2, 2), filled, (2, 2), &mut out), Ok(AsItIs(true)));
        assert_eq!(resize_into(&values, (2, 2), filled, (4, 2), &mut out), Ok(AsItIs(false)));
        assert_eq!(out, [7, 7, 8, 8, 9, 9, 10, 10]);
        let right = Placement { x: 1, width: 1, ..filled };
        assert_eq!(resize_into(&values, (2, 2), right, (1, 2), &mut out), Ok(AsItIs(false)));
        assert_eq!(out, [8, 10]);
    }
}
