//! Run-length encoded masks, as COCO's tools write and read them.
//!
//! Pixels are visited column by column, from top to bottom. The counts are the lengths of alternating runs of 0 and 1,
//! beginning with 0, whose first run may be empty. As text, each count is a signed number in base 32 (from the fourth on, its
//! difference to the count two before), least significant digit first, as the characters from `0` on; 32 is added to each
//! digit but the last (pycocotools, `rleToString`).

/// Why counts or a text are not a mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunLengthError {
    /// A character that is not a digit, or a number that does not end.
    #[error("expected run lengths as COCO writes them, found {found:?} at byte {at}")]
    Text {
        /// The character; a space at the end of the text.
        found: char,
        /// Its position.
        at: usize,
    },
    /// A run of negative length or of more than 32 bits.
    #[error("run {run}: expected a length of at least 0, found {found}")]
    Length {
        /// The run's index.
        run: usize,
        /// Its length.
        found: i64,
    },
    /// The runs do not fill the mask.
    #[error("expected runs of {expected} pixels in total, found {found}")]
    Sum {
        /// Width times height.
        expected: u64,
        /// The sum of the runs.
        found: u64,
    },
}

/// A mask of two values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLengths {
    width: usize,
    height: usize,
    counts: Vec<u32>,
}

impl RunLengths {
    /// The pixels of `mask` (row by row, `width * height`) that are `id`.
    ///
    /// # Panics
    /// If the mask has another number of pixels.
    pub fn of(mask: &[u8], width: usize, height: usize, id: u8) -> Self {
        assert_eq!(mask.len(), width * height, "the mask fills its sides");
        let mut counts = vec![0];
        let mut inside = false;
        for x in 0..width {
            for y in 0..height {
                if (mask[y * width + x] == id) != inside {
                    inside = !inside;
                    counts.push(0);
                }
                if let Some(last) = counts.last_mut() {
                    *last += 1;
                }
            }
        }
        Self { width, height, counts }
    }

    /// A mask of stated counts.
    pub fn from_counts(counts: Vec<u32>, width: usize, height: usize) -> Result<Self, RunLengthError> {
        let (expected, found) = ((width * height) as u64, counts.iter().map(|&count| u64::from(count)).sum());
        if expected == found {
            Ok(Self { width, height, counts })
        } else {
            Err(RunLengthError::Sum { expected, found })
        }
    }

    /// Reads the compressed form.
    pub fn parse(text: &str, width: usize, height: usize) -> Result<Self, RunLengthError> {
        let mut counts: Vec<u32> = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let (mut value, mut shift) = (0i64, 0);
            loop {
                let found = bytes.get(at).copied().unwrap_or(b' ');
                let digit = found.wrapping_sub(b'0');
                if digit >= 64 || shift > 30 {
                    return Err(RunLengthError::Text { found: found.into(), at });
                }
                value |= i64::from(digit & 31) << shift;
                shift += 5;
                at += 1;
                if digit & 32 == 0 {
                    if digit & 16 != 0 {
                        value -= 1 << shift;
                    }
                    break;
                }
            }
            let run = counts.len();
            if run > 2 {
                value += i64::from(counts[run - 2]);
            }
            counts.push(u32::try_from(value).map_err(|_| RunLengthError::Length { run, found: value })?);
        }
        Self::from_counts(counts, width, height)
    }

    /// The compressed form.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (run, &count) in self.counts.iter().enumerate() {
            let mut value = i64::from(count);
            if run > 2 {
                value -= i64::from(self.counts[run - 2]);
            }
            loop {
                let digit = (value & 31) as u8;
                value >>= 5;
                let ends = value == if digit & 16 == 0 { 0 } else { -1 };
                text.push(char::from(b'0' + if ends { digit } else { digit | 32 }));
                if ends {
                    break;
                }
            }
        }
        text
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The lengths of the runs.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Number of pixels that are set.
    pub fn area(&self) -> u64 {
        self.counts.iter().skip(1).step_by(2).map(|&count| u64::from(count)).sum()
    }

    /// Left, top, width and height of the smallest box around the pixels that are set; none if there are none.
    pub fn bounds(&self) -> Option<[usize; 4]> {
        let mut bounds: Option<[usize; 4]> = None;
        self.for_each(|x, y| {
            let [left, top, right, bottom] = bounds.unwrap_or([x, y, x, y]);
            bounds = Some([left.min(x), top.min(y), right.max(x), bottom.max(y)]);
        });
        bounds.map(|[left, top, right, bottom]| [left, top, right - left + 1, bottom - top + 1])
    }

    /// Visits the column and row of each pixel that is set.
    pub fn for_each(&self, mut visit: impl FnMut(usize, usize)) {
        let mut at = 0usize;
        for (run, &count) in self.counts.iter().enumerate() {
            let end = at + count as usize;
            if run % 2 == 1 {
                (at..end).for_each(|pixel| visit(pixel / self.height, pixel % self.height));
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What pycocotools 2.0 writes for these masks (`mask.encode(np.asfortranarray(m))["counts"]`), worked out by hand from
    /// its source.
    #[test]
    fn text_is_that_of_pycocotools() {
        // Rows 010 and 011: columns 00, 11, 01.
        let runs = RunLengths::of(&[0, 1, 0, 0, 1, 1], 3, 2, 1);
        assert_eq!((runs.counts(), runs.to_text().as_str()), ([2, 2, 1, 1].as_slice(), "221O"));
        assert_eq!((runs.area(), runs.bounds()), (3, Some([1, 0, 2, 2])));
        // All set: the first run is empty. 16 needs a second digit, since bit 4 is the sign.
        let runs = RunLengths::of(&[7; 16], 4, 4, 7);
        assert_eq!((runs.counts(), runs.to_text().as_str()), ([0, 16].as_slice(), "0`0"));
        // 1000 is 31 * 32 + 8, and 31 is 0 * 32 + 31.
        let runs = RunLengths::of(&[0; 1000], 40, 25, 1);
        assert_eq!((runs.to_text().as_str(), runs.bounds()), ("Xo0", None));
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        assert_eq!(RunLengths::parse("22", 3, 2), Err(RunLengthError::Sum { expected: 6, found: 4 }));
        assert_eq!(RunLengths::parse("2 ", 3, 2), Err(RunLengthError::Text { found: ' ', at: 1 }));
        assert_eq!(RunLengths::parse("`", 3, 2), Err(RunLengthError::Text { found: ' ', at: 1 }));
        assert_eq!(RunLengths::parse("O", 3, 2), Err(RunLengthError::Length { run: 0, found: -1 }));
        assert!(matches!(RunLengths::parse("oooooooooo", 3, 2), Err(RunLengthError::Text { .. })));
    }

    proptest! {
        #[test]
        fn masks_survive_both_forms(width in 1usize..20, height in 1usize..20, seed in prop::collection::vec(0u8..3, 400)) {
            let mask = &seed[..width * height];
            let runs = RunLengths::of(mask, width, height, 1);
            prop_assert_eq!(&RunLengths::parse(&runs.to_text(), width, height).unwrap(), &runs);
            let mut again = vec![0; mask.len()];
            runs.for_each(|x, y| again[y * width + x] = 1);
            prop_assert_eq!(again, mask.iter().map(|&value| u8::from(value == 1)).collect::<Vec<_>>());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}", width in 0usize..9, height in 0usize..9) {
            let _ = RunLengths::parse(&text, width, height);
        }
    }
}
