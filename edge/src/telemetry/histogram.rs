//! Latencies in a fixed number of buckets: exact below 64 µs, then 64 buckets per octave, so that a quantile is too large by at
//! most 1/64. Recording allocates nothing.

use std::time::Duration;

/// Bits and buckets per octave.
const BITS: u32 = 6;
const BUCKETS_OCTAVE: usize = 1 << BITS;
/// Longer times count as this one: 71 minutes.
const MICROSECONDS_MAX: u64 = u32::MAX as u64;
const BUCKETS: usize = (u32::BITS - BITS + 1) as usize * BUCKETS_OCTAVE;

/// Counts of durations in microseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
    sum: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: Box::new([0; BUCKETS]), total: 0, sum: 0, max: 0 }
    }
}

fn bucket(microseconds: u64) -> usize {
    if microseconds < BUCKETS_OCTAVE as u64 {
        return microseconds as usize;
    }
    let shift = microseconds.ilog2() - BITS;
    // The bits below the highest one are the position within the octave.
    (shift as usize) * BUCKETS_OCTAVE + (microseconds >> shift) as usize
}

/// The largest value of a bucket.
fn bucket_last(bucket: usize) -> u64 {
    let octave = (bucket / BUCKETS_OCTAVE) as u64;
    if octave == 0 {
        return bucket as u64;
    }
    let place = (bucket % BUCKETS_OCTAVE + BUCKETS_OCTAVE) as u64;
    ((place + 1) << (octave - 1)) - 1
}

impl Histogram {
    /// Records a duration.
    pub fn record(&mut self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(MICROSECONDS_MAX);
        self.counts[bucket(microseconds)] += 1;
        self.total += 1;
        self.sum += microseconds;
        self.max = self.max.max(microseconds);
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// Maximum in microseconds.
    pub fn max_us(&self) -> u64 {
        self.max
    }

    /// Mean in microseconds; 0 if empty.
    pub fn mean_us(&self) -> u64 {
        self.sum.checked_div(self.total).unwrap_or(0)
    }

    /// The end of the first bucket up to which there are at least `per_mille` of the durations, in microseconds: 500 for the
    /// median, 990 for p99. 0 if empty.
    pub fn quantile_us(&self, per_mille: u64) -> u64 {
        let rank = (u128::from(self.total) * u128::from(per_mille.min(1000))).div_ceil(1000).max(1);
        let mut seen = 0u128;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u128::from(count);
            if seen >= rank {
                return bucket_last(index).min(self.max);
            }
        }
        0
    }

    /// p50, p90 and p99 in microseconds.
    pub fn summary_us(&self) -> [u64; 3] {
        [500, 900, 990].map(|per_mille| self.quantile_us(per_mille))
    }

    /// Removes all durations.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.total, self.sum, self.max) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_one_to_a_hundred() {
        let mut histogram = Histogram::default();
        for microseconds in 1..=100 {
            histogram.record(Duration::from_micros(microseconds));
        }
        // 64 to 127 still have a bucket each.
        assert_eq!(histogram.summary_us(), [50, 90, 99]);
        assert_eq!((histogram.quantile_us(0), histogram.quantile_us(1000)), (1, 100));
        assert_eq!((histogram.count(), histogram.mean_us(), histogram.max_us()), (100, 50, 100));
        histogram.clear();
        assert_eq!((histogram.summary_us(), histogram.count(), histogram.mean_us()), ([0; 3], 0, 0));
    }

    #[test]
    fn buckets_of_the_second_octave_hold_two_values() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_micros(128));
        histogram.record(Duration::from_micros(1000));
        assert_eq!(histogram.quantile_us(500), 129);
        // Never more than the maximum.
        assert_eq!(histogram.quantile_us(1000), 1000);
    }

    #[test]
    fn long_durations_count_as_the_maximum() {
        let mut histogram = Histogram::default();
        histogram.record(Duration::MAX);
        assert_eq!((histogram.max_us(), histogram.quantile_us(500)), (MICROSECONDS_MAX, MICROSECONDS_MAX));
        assert_eq!(bucket(MICROSECONDS_MAX), BUCKETS - 1);
    }

    #[test]
    fn buckets_have_no_gaps() {
        for index in 1..BUCKETS {
            assert_eq!(bucket(bucket_last(index)), index);
            assert_eq!(bucket(bucket_last(index - 1) + 1), index);
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_at_most_a_64th_too_large(
            mut values in proptest::collection::vec((0u32..30, any::<u32>()), 1..200),
            per_mille in 0u64..=1000,
        ) {
            let mut histogram = Histogram::default();
            let mut values: Vec<u64> = values.drain(..).map(|(shift, value)| u64::from(value >> shift)).collect();
            for &value in &values {
                histogram.record(Duration::from_micros(value));
            }
            values.sort_unstable();
            let rank = (values.len() as u64 * per_mille).div_ceil(1000).max(1) as usize;
            let (exact, found) = (values[rank - 1], histogram.quantile_us(per_mille));
            prop_assert!(exact <= found && found <= exact + exact / 64, "{exact} {found}");
        }
    }
}
