//! The project's pseudo-random numbers: initial weights, shuffles, augmentation and the synthetic dataset draw from here and
//! from nowhere else, so that a seed gives the same numbers on every backend and every machine.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). Only integer
//! operations and exactly rounded `f32` arithmetic are used, no library function whose last bit differs by platform.
//! There is no clock and no system entropy: every generator has a seed.

/// The fractional part of the golden ratio times 2^64: SplitMix64's step.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of numbers that depends on its seed alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of a seed. Every seed is equally good, including 0.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The stream of a list of numbers, such as `[seed, epoch, sample]`. Order and length matter: `[1, 2]`, `[2, 1]` and
    /// `[1, 2, 0]` are three unrelated streams. So the draws for one sample do not depend on the samples before it, and a
    /// resumed run and any number of loader threads agree.
    pub fn from_parts(parts: &[u64]) -> Self {
        let mut state = mix(parts.len() as u64 ^ STEP);
        for &part in parts {
            state = mix(state.wrapping_mul(STEP) ^ mix(part.wrapping_add(STEP)));
        }
        Self { state }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// An integer of `0..bound`, each equally likely (Lemire's multiplication with rejection); 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let rejected = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= rejected {
                return (product >> 64) as u64;
            }
        }
    }

    /// An integer from `low` to `high`, both included, each equally likely; `low` if `high` is not above it.
    pub fn between(&mut self, low: i32, high: i32) -> i32 {
        let count = i64::from(high) - i64::from(low) + 1;
        // At most `high`, so it fits.
        (i64::from(low) + self.below(count.max(1) as u64) as i64) as i32
    }

    /// A number of `[0, 1)` on a grid of 2^-24, so every value is exact in `f32`.
    pub fn unit_f32(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / 16_777_216.0
    }

    /// A number from `low` up to `high`, uniformly distributed.
    pub fn range_f32(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit_f32()
    }

    /// True with probability 1/2.
    pub fn flip(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }

    /// A number with mean 0 and variance 1, close to the normal distribution and never beyond +-6: the sum of twelve uniform
    /// 16-bit numbers (Irwin-Hall). It is exact in integers, while Box-Muller's logarithm and cosine differ by platform.
    pub fn normal_f32(&mut self) -> f32 {
        let mut sum = 0i32;
        for _ in 0..3 {
            let bits = self.next_u64();
            for lane in 0..4 {
                sum += ((bits >> (16 * lane)) & 0xffff) as i32;
            }
        }
        // Twice the sum minus twice its mean of 12 * 65535 / 2 is below 2^21, so it is exact in f32.
        (2 * sum - 12 * 65_535) as f32 / 131_072.0
    }

    /// Shuffles the items, every order being equally likely (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// SplitMix64's output function: a bijection of 64 bits in which every input bit reaches every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_of_the_published_seed() {
        let mut rng = Rng::new(1_234_567);
        let drawn: Vec<u64> = (0..5).map(|_| rng.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn order_and_length_of_parts_matter() {
        let first = |parts: &[u64]| Rng::from_parts(parts).next_u64();
        let drawn = [first(&[]), first(&[0]), first(&[0, 0]), first(&[1, 2]), first(&[2, 1]), first(&[1, 2, 0])];
        for (i, a) in drawn.iter().enumerate() {
            for b in &drawn[i + 1..] {
                assert_ne!(a, b, "two lists of parts share a stream");
            }
        }
        assert_eq!(first(&[7, 3]), first(&[7, 3]));
    }

    #[test]
    fn fixed_values_of_each_kind() {
        let mut rng = Rng::from_parts(&[42, 0, 5]);
        assert_eq!(
            (rng.next_u64(), rng.below(1000), rng.unit_f32().to_bits(), rng.normal_f32().to_bits()),
            (17_577_551_887_270_038_275, 469, 1_050_692_128, 1_059_308_800)
        );
        let mut order: Vec<u8> = (0..8).collect();
        rng.shuffle(&mut order);
        assert_eq!(order, [2, 4, 5, 3, 6, 1, 7, 0]);
    }

    #[test]
    fn below_stays_below_and_draws_every_value() {
        let mut rng = Rng::new(3);
        let mut seen = [0u32; 7];
        for _ in 0..7000 {
            seen[rng.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
        assert!(rng.below(u64::MAX) < u64::MAX);
    }

    #[test]
    fn between_draws_both_ends_and_as_below_does() {
        let (mut between, mut below) = (Rng::new(8), Rng::new(8));
        let drawn: Vec<i32> = (0..200).map(|_| between.between(-2, 3)).collect();
        assert!(drawn.iter().all(|&number| number == below.below(6) as i32 - 2));
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&-2), Some(&3)));
        assert_eq!((between.between(7, 7), between.between(7, 3)), (7, 7));
        assert_ne!(between.between(i32::MIN, i32::MAX), between.between(i32::MIN, i32::MAX));
    }

    #[test]
    fn unit_and_normal_have_their_moments() {
        let mut rng = Rng::new(9);
        let draws = 100_000;
        let (mut unit, mut mean, mut square) = (0.0f64, 0.0f64, 0.0f64);
        for _ in 0..draws {
            let u = rng.unit_f32();
            assert!((0.0..1.0).contains(&u));
            unit += f64::from(u);
            let n = f64::from(rng.normal_f32());
            assert!(n.abs() <= 6.0);
            mean += n;
            square += n * n;
        }
        let n = f64::from(draws);
        // Five standard errors each: 0.29/316, 1/316, 1.41/316.
        assert!((unit / n - 0.5).abs() < 0.005);
        assert!((mean / n).abs() < 0.016);
        assert!((square / n - 1.0).abs() < 0.023);
    }

    #[test]
    fn shuffle_keeps_the_items() {
        let mut items: Vec<u32> = (0..100).collect();
        Rng::new(5).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        let mut none: [u8; 0] = [];
        Rng::new(5).shuffle(&mut none);
    }
}
