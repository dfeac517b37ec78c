//! Weights of the classes in the loss.

/// Requested class weights.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    /// 1 for each class.
    Equal,
    /// The inverse square root of the class's share of the training pixels, so that rare classes count more.
    Balanced,
    /// The inverse of the effective number of the class's training pixels: rare classes are weighted by the inverse of
    /// their share; classes larger than average get nearly equal weights.
    Effective,
    /// One number per class.
    Given(Vec<f32>),
}

impl std::str::FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |n: &str| {
            n.trim()
                .parse()
                .map_err(|_| format!("expected none, balanced, effective, or numbers separated by commas, found {n:?}"))
        };
        match text {
            "none" | "equal" => Ok(Self::Equal),
            "balanced" => Ok(Self::Balanced),
            "effective" => Ok(Self::Effective),
            numbers => numbers.split(',').map(number).collect::<Result<_, _>>().map(Self::Given),
        }
    }
}

impl ClassWeights {
    /// The weight of each class from its number of training pixels.
    pub fn of(&self, pixels: &[u64]) -> Vec<f32> {
        match self {
            Self::Equal => vec![1.0; pixels.len()],
            Self::Given(given) => given.clone(),
            Self::Balanced => balanced(pixels),
            Self::Effective => effective(pixels),
        }
    }
}

/// `1 / sqrt(share)` per class.
fn balanced(pixels: &[u64]) -> Vec<f32> {
    scaled(pixels, |n| 1.0 / n.sqrt())
}

/// `(1 - b) / (1 - b^n)` per class of `n` pixels (Cui et al. 2019), with `b = 1 - 1/N` for the average `N` of the classes' pixels.
fn effective(pixels: &[u64]) -> Vec<f32> {
    let present = pixels.iter().filter(|n| **n > 0).count().max(1);
    let average = pixels.iter().sum::<u64>() as f64 / present as f64;
    // ln b, exact for large N too.
    let log = (-1.0 / average.max(2.0)).ln_1p();
    scaled(pixels, |n| 1.0 / -(n * log).exp_m1())
}

/// The weight of each class from its number of pixels, scaled to a mean of 1 over the classes that occur; 0 for one that does not.
fn scaled(pixels: &[u64], weight: impl Fn(f64) -> f64) -> Vec<f32> {
    let raw: Vec<f64> = pixels.iter().map(|&n| if n == 0 { 0.0 } else { weight(n as f64) }).collect();
    let present = raw.iter().filter(|w| **w > 0.0).count().max(1) as f64;
    let mean = (raw.iter().sum::<f64>() / present).max(f64::MIN_POSITIVE);
    raw.iter().map(|w| (w / mean) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_have_a_mean_of_one_and_favour_rare_classes() {
        // Shares 16 : 1 give weights 1 : 4; their mean is 2.5.
        assert_eq!(balanced(&[1600, 100]), [0.4, 1.6]);
        assert_eq!(balanced(&[100, 0]), [1.0, 0.0]);
    }

    #[test]
    fn effective_numbers_by_hand() {
        // 1 and 3 pixels, 2 on average, b = 1/2: 1 / (1 - 1/2) = 2 and 1 / (1 - 1/8) = 8/7; their mean is 11/7.
        let found = effective(&[1, 3, 0]);
        assert!((found[0] - 14.0 / 11.0).abs() < 1e-6 && (found[1] - 8.0 / 11.0).abs() < 1e-6, "{found:?}");
        assert_eq!(found[2], 0.0);
        // Rare: by the inverse of the share. Frequent: alike.
        let found = effective(&[1_000, 10_000, 100_000_000, 300_000_000]);
        assert!((found[0] / found[1] - 10.0).abs() < 0.01 && found[2] / found[3] < 1.6, "{found:?}");
    }
}
