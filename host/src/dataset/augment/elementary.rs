//! Powers, sine and cosine from additions, multiplications, divisions and square roots only: IEEE 754 fixes their rounding, so
//! results are equal on every machine, unlike those of the platform's math library.

/// Steps of an exponent between two integers.
pub(super) const STEPS: i32 = 64;

/// `base` to the power of `steps / STEPS`, for a base of at least 0.
pub(super) fn power(base: f64, steps: i32) -> f64 {
    let (whole, mut fraction) = (steps.unsigned_abs() / STEPS as u32, steps.unsigned_abs() % STEPS as u32);
    let mut result = (0..whole).fold(1.0, |product, _| product * base);
    let mut root = base;
    while fraction != 0 {
        root = root.sqrt();
        fraction *= 2;
        if fraction >= STEPS as u32 {
            result *= root;
            fraction -= STEPS as u32;
        }
    }
    if steps < 0 { 1.0 / result } else { result }
}

/// Sine and cosine of an angle of at most half a right angle, by their Taylor series to the 16th power.
pub(super) fn sine_cosine(degrees: f64) -> (f64, f64) {
    debug_assert!(degrees.abs() <= 45.0);
    let angle = degrees * (std::f64::consts::PI / 180.0);
    let (mut sine, mut cosine, mut term) = (angle, 1.0, angle);
    for factor in 2..17 {
        term = term * angle / f64::from(factor);
        let signed = if factor % 4 < 2 { term } else { -term };
        if factor % 2 == 0 {
            cosine += signed;
        } else {
            sine += signed;
        }
    }
    (sine, cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_the_library() {
        assert_eq!(
            [power(2.0, 0), power(2.0, 64), power(2.0, -64), power(0.25, 32), power(3.0, 128)],
            [1.0, 2.0, 0.5, 0.5, 9.0]
        );
        for steps in -130..130 {
            for base in [0.1, 0.7, 1.0, 2.0, 9.0] {
                let expected = f64::powf(base, f64::from(steps) / 64.0);
                assert!((power(base, steps) / expected - 1.0).abs() < 1e-14, "{base} to the {steps}/64");
            }
        }
        assert_eq!(power(0.0, 90), 0.0);
    }

    #[test]
    fn sine_and_cosine_are_those_of_the_library() {
        assert_eq!(sine_cosine(0.0), (0.0, 1.0));
        for degrees in -45..=45 {
            let (expected, found) = (f64::from(degrees).to_radians().sin_cos(), sine_cosine(f64::from(degrees)));
            assert!((expected.0 - found.0).abs() < 1e-13 && (expected.1 - found.1).abs() < 1e-13, "{degrees}");
        }
    }
}
