//! Pixels of each class.

use unet_shared::mask::IGNORE_INDEX;

/// Pixels of each class; ignored pixels do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    counts: [u32; 256],
    pixels: u32,
}

impl Default for Shares {
    fn default() -> Self {
        Shares { counts: [0; 256], pixels: 0 }
    }
}

impl Shares {
    /// Counts from zero. Sides are at most 16384, so a u32 holds every count.
    pub(super) fn count<'a>(&mut self, rows: impl Iterator<Item = &'a [u8]>) {
        *self = Shares::default();
        // Neighbours mostly have the same class; two tables avoid waiting for the count just written.
        let mut odd = [0u32; 256];
        for row in rows {
            let (pairs, rest) = row.as_chunks::<2>();
            for &[one, two] in pairs {
                self.counts[usize::from(one)] += 1;
                odd[usize::from(two)] += 1;
            }
            for &id in rest {
                self.counts[usize::from(id)] += 1;
            }
        }
        for (count, odd) in self.counts.iter_mut().zip(odd) {
            *count += odd;
        }
        self.counts[usize::from(IGNORE_INDEX)] = 0;
        self.pixels = self.counts.iter().sum();
    }

    /// Pixels of a class.
    pub fn count_of(&self, class: u8) -> u32 {
        self.counts[usize::from(class)]
    }

    /// Pixels of all classes, without ignored ones.
    pub fn pixels(&self) -> u32 {
        self.pixels
    }

    /// Share of a class in percent; 0 if no pixel counts.
    pub fn percent(&self, class: u8) -> f64 {
        if self.pixels == 0 { 0.0 } else { f64::from(self.count_of(class)) * 100.0 / f64::from(self.pixels) }
    }
}
