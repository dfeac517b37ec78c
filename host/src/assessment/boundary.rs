//! Boundary IoU (Cheng et al. 2021): the IoU of a class near its boundary, where large and small objects weigh alike.
//!
//! A class's boundary pixels of width d are those of its pixels that have a pixel of another class at most d steps away, diagonal
//! ones too. Boundary IoU is the IoU of these pixels of the truth and these of the prediction. What is outside of the image and
//! what the label ignores is unknown: it is of no class, makes no boundary, and the prediction there is ignored too, so that a
//! perfect prediction scores 1. (The authors' own code takes the edge of the image for a boundary; here every pixel has a class, and
//! the edge would be one that nobody can miss.)

use serde::Serialize;
use unet_shared::mask::IGNORE_INDEX;

use super::overlap::{Overlap, mean_iou};

/// Widths in pixels of the label, ascending.
pub const WIDTHS: [usize; 2] = [2, 5];

/// Pixels that are compared at once: most blocks of an image have no boundary.
const BLOCK: usize = 32;

/// Boundary IoU of one width over all images, from exact counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(into = "Written")]
pub struct BoundaryIou {
    /// Width in pixels.
    pub width: usize,
    classes: Vec<Overlap>,
}

impl BoundaryIou {
    /// Of a class; none if it has no boundary in truth and prediction.
    pub fn class_iou(&self, class: usize) -> Option<f64> {
        self.classes.get(class).and_then(|overlap| overlap.iou())
    }

    /// The mean over the classes that have one.
    pub fn mean_iou(&self) -> Option<f64> {
        mean_iou(&self.classes)
    }
}

/// [`BoundaryIou`] in JSON.
#[derive(Serialize)]
struct Written {
    width: usize,
    mean_iou: Option<f64>,
    class_iou: Vec<Option<f64>>,
}

impl From<BoundaryIou> for Written {
    fn from(of: BoundaryIou) -> Self {
        let class_iou = of.classes.iter().map(|overlap| overlap.iou()).collect();
        Self { width: of.width, mean_iou: of.mean_iou(), class_iou }
    }
}

/// Counts boundary pixels, image by image.
#[derive(Clone, Debug)]
pub(super) struct BoundaryCounter {
    widths: [Vec<Overlap>; WIDTHS.len()],
    truth: Extremes,
    prediction: Extremes,
}

impl BoundaryCounter {
    pub fn new(classes: usize) -> Self {
        let widths = WIDTHS.map(|_| vec![Overlap::default(); classes]);
        Self { widths, truth: Extremes::default(), prediction: Extremes::default() }
    }

    /// Counts an image of `size` pixels. Ids that are neither a class nor ignored, and masks of another size, are not counted: a
    /// confusion matrix has refused them before.
    pub fn add(&mut self, truth: &[u8], prediction: &[u8], size: (usize, usize)) {
        if truth.len() != prediction.len() || truth.len() != size.0 * size.1 {
            return;
        }
        let known = |id: u8, truth: u8| if truth == IGNORE_INDEX { IGNORE_INDEX } else { id };
        self.truth.start(truth.iter().copied());
        self.prediction.start(prediction.iter().zip(truth).map(|(&id, &truth)| known(id, truth)));
        let mut reached = 0;
        for (width, classes) in WIDTHS.into_iter().zip(&mut self.widths) {
            for extremes in [&mut self.truth, &mut self.prediction] {
                extremes.widen(size, width - reached);
            }
            reached = width;
            let blocks = truth.chunks(BLOCK).zip(prediction.chunks(BLOCK));
            let near = self.truth.blocks().zip(self.prediction.blocks());
            for ((truth, prediction), (true_ids, predicted_ids)) in blocks.zip(near) {
                if true_ids.0 == true_ids.1 && predicted_ids.0 == predicted_ids.1 {
                    continue;
                }
                for at in (0..truth.len()).filter(|&at| truth[at] != IGNORE_INDEX) {
                    let near = [true_ids, predicted_ids].map(|(low, high)| low[at] < high[at]);
                    count(classes, [truth[at], prediction[at]], near);
                }
            }
        }
    }

    pub fn finish(self) -> Vec<BoundaryIou> {
        WIDTHS.into_iter().zip(self.widths).map(|(width, classes)| BoundaryIou { width, classes }).collect()
    }
}

/// Counts a pixel of class `truth` that is predicted as `prediction`: whether each is a boundary pixel.
fn count(classes: &mut [Overlap], [truth, prediction]: [u8; 2], [in_truth, in_prediction]: [bool; 2]) {
    if let Some(class) = classes.get_mut(usize::from(truth)).filter(|_| in_truth) {
        class.truth += 1;
        class.both += u64::from(in_prediction && truth == prediction);
    }
    if let Some(class) = classes.get_mut(usize::from(prediction)).filter(|_| in_prediction) {
        class.predicted += 1;
    }
}

/// The lowest and the highest id around each pixel, unknown ones left out. A pixel of known id has another class around it exactly
/// if they differ.
#[derive(Clone, Debug, Default)]
struct Extremes {
    low: Vec<u8>,
    high: Vec<u8>,
    rows: Vec<u8>,
}

impl Extremes {
    /// The ids themselves.
    fn start(&mut self, ids: impl Iterator<Item = u8> + Clone) {
        self.low.clear();
        self.low.extend(ids);
        self.high.clear();
        // What is unknown changes neither: 255 is above every class, and 0 is not above any.
        self.high.extend(self.low.iter().map(|&id| if id == IGNORE_INDEX { 0 } else { id }));
    }

    /// Extends what is around a pixel by `steps` on all sides.
    fn widen(&mut self, size: (usize, usize), steps: usize) {
        widen(&mut self.low, &mut self.rows, size, steps, u8::min);
        widen(&mut self.high, &mut self.rows, size, steps, u8::max);
    }

    /// Lowest and highest ids, block by block.
    fn blocks(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.low.chunks(BLOCK).zip(self.high.chunks(BLOCK))
    }
}

/// Sets each value to the extreme of those at most `steps` away: first along its row, then along its column. `rows` is memory of any
/// content.
fn widen(
    values: &mut [u8],
    rows: &mut Vec<u8>,
    (width, height): (usize, usize),
    steps: usize,
    extreme: impl Fn(u8, u8) -> u8 + Copy,
) {
    if values.len() != width * height || values.is_empty() {
        return;
    }
    // Whole slices at a time, which the compiler turns into vector instructions.
    let merge = |to: &mut [u8], from: &[u8]| to.iter_mut().zip(from).for_each(|(to, &from)| *to = extreme(*to, from));
    rows.clear();
    rows.extend_from_slice(values);
    for (to, from) in rows.chunks_exact_mut(width).zip(values.chunks_exact(width)) {
        for step in 1..=steps.min(width - 1) {
            merge(to, &from[step..]);
            merge(&mut to[step..], from);
        }
    }
    values.copy_from_slice(rows);
    for (y, to) in values.chunks_exact_mut(width).enumerate() {
        let near = y.saturating_sub(steps)..(y + steps + 1).min(height);
        for from in rows.chunks_exact(width).skip(near.start).take(near.len()) {
            merge(to, from);
        }
    }
}

/// Boundary IoU of a single image.
#[cfg(test)]
pub(crate) fn of_image(truth: &[u8], prediction: &[u8], size: (usize, usize), classes: usize) -> Vec<BoundaryIou> {
    let mut counter = BoundaryCounter::new(classes);
    counter.add(truth, prediction, size);
    counter.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// The definition, pixel by pixel.
    fn reference(truth: &[u8], prediction: &[u8], size: (usize, usize), classes: usize, width: usize) -> Vec<Overlap> {
        let ignored = |at: usize| truth[at] == 255;
        let is_boundary = |mask: &[u8], at: usize| {
            let (x, y) = ((at % size.0) as isize, (at / size.0) as isize);
            let reach = -(width as isize)..=width as isize;
            reach.clone().flat_map(|dy| reach.clone().map(move |dx| (x + dx, y + dy))).any(|(x, y)| {
                let inside = (0..size.0 as isize).contains(&x) && (0..size.1 as isize).contains(&y);
                inside && {
                    let other = y as usize * size.0 + x as usize;
                    !ignored(other) && mask[other] != mask[at]
                }
            })
        };
        let of = |class: usize| {
            let mut overlap = Overlap::default();
            for at in (0..truth.len()).filter(|at| !ignored(*at)) {
                let in_truth = usize::from(truth[at]) == class && is_boundary(truth, at);
                let in_prediction = usize::from(prediction[at]) == class && is_boundary(prediction, at);
                overlap.truth += u64::from(in_truth);
                overlap.predicted += u64::from(in_prediction);
                overlap.both += u64::from(in_truth && in_prediction);
            }
            overlap
        };
        (0..classes).map(of).collect()
    }

    #[test]
    fn counts_are_those_of_the_definition_on_random_masks() {
        let rng = &mut Rng::new(21);
        let mut boundaries = 0;
        for (width, height) in [(1, 1), (1, 13), (13, 1), (2, 2), (3, 7), (17, 12), (40, 9)] {
            for round in 0..30 {
                let classes = 1 + round % 4;
                // From noise to a few spots on one class, with and without ignored pixels.
                let rare = [1, 4, 30][round % 3];
                let mut draw = |ignored: bool| match rng.below(rare) {
                    0 if ignored && rng.below(3) == 0 => 255,
                    0 => rng.below(classes as u64) as u8,
                    _ => 0,
                };
                let truth: Vec<u8> = (0..width * height).map(|_| draw(round % 2 == 0)).collect();
                let prediction: Vec<u8> =
                    truth.iter().map(|&id| if id == 255 || id > 0 { draw(false) } else { id }).collect();
                let found = of_image(&truth, &prediction, (width, height), classes);
                for boundary in found {
                    let expected = reference(&truth, &prediction, (width, height), classes, boundary.width);
                    assert_eq!(boundary.classes, expected, "{width}x{height}, {truth:?} {prediction:?}");
                    boundaries += expected.iter().map(|overlap| overlap.truth).sum::<u64>();
                }
            }
        }
        assert!(boundaries > 1000, "{boundaries}");
    }

    #[test]
    fn a_shifted_edge_by_hand() {
        // Ten columns: the truth changes after five, the prediction after six. Two rows.
        let row = |from: usize| -> Vec<u8> { (0..20).map(|at| u8::from(at % 10 >= from)).collect() };
        let found = of_image(&row(5), &row(6), (10, 2), 3);
        // Width 2, class 0: columns 3 and 4 of the truth, 4 and 5 of the prediction. Class 1: 5, 6 and 6, 7.
        let third = Some(1.0 / 3.0);
        assert_eq!([0, 1, 2].map(|class| found[0].class_iou(class)), [third, third, None]);
        assert_eq!(found[0].mean_iou(), third);
        // Width 5, class 0: columns 0 to 4 and 1 to 5, class 1: 5 to 9 and 6 to 9.
        assert_eq!([0, 1].map(|class| found[1].class_iou(class)), [Some(4.0 / 6.0), Some(4.0 / 5.0)]);
    }

    #[test]
    fn ignored_pixels_and_edges_of_the_image_make_no_boundary() {
        let truth = [0, 0, 0, 255, 255, 255, 255, 255, 255, 1, 1];
        // Wrong only where the label ignores.
        let prediction = [0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 1];
        let found = of_image(&truth, &prediction, (11, 1), 2);
        assert!(found.iter().all(|boundary| boundary.mean_iou().is_none()), "{found:?}");
        let one_class = of_image(&[0; 9], &[0; 9], (3, 3), 2);
        assert!(one_class.iter().all(|boundary| boundary.mean_iou().is_none()), "{one_class:?}");
        // Perfect where it counts.
        let truth = [0, 0, 255, 1, 1, 1, 255, 0, 0];
        let prediction = [0, 0, 0, 1, 1, 1, 0, 0, 0];
        assert_eq!(of_image(&truth, &prediction, (9, 1), 2)[0].mean_iou(), Some(1.0));
    }
}
