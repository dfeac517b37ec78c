//! The hardest pixels of a batch (online hard example mining, Shrivastava et al. 2016).

use super::batch::Batch;

/// Share of the counted pixels that is kept.
const SHARE: f64 = 0.25;

/// True for the [`SHARE`] of pixels with the largest `-log p`, the first of equal ones.
pub(super) fn hardest(batch: &Batch) -> Vec<bool> {
    let parts = batch.map_parts(Vec::new, |losses, block| {
        let weighted = block.counted().filter(|(_, class)| block.weight(*class) > 0.0);
        losses.extend(weighted.map(|(pixel, class)| (block.loss(pixel, class) as f32, (block.first + pixel) as u32)));
    });
    let mut order: Vec<(f32, u32)> = parts.concat();
    let kept = (order.len() as f64 * SHARE).ceil() as usize;
    let mut hard = vec![false; batch.ids.len()];
    if kept > 0 {
        let harder = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        order.select_nth_unstable_by(kept - 1, harder);
        order[..kept].iter().for_each(|(_, pixel)| hard[*pixel as usize] = true);
    }
    hard
}
