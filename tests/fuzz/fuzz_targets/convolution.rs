//! Every compute kernel against the scalar one on one convolution, in buffers that end where the contract lets reads end.

#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use unet_engine::inference::kernel::{ConvShape, Convolution, Grid, InputView, Kernel, OutputView, PackedConv};
use unet_fuzz::numbers::{Numbers, Values};

/// Maximum multiply-accumulates of a run, so that an input takes milliseconds.
const MACS_MAX: u64 = 300_000;
/// Maximum bytes of a tensor, likewise.
const BYTES_MAX: usize = 1 << 20;

fuzz_target!(|data: &[u8]| -> Corpus {
    match Case::arbitrary(&mut Unstructured::new(data)) {
        Ok(Some(case)) => case.check(),
        Ok(None) | Err(_) => return Corpus::Reject,
    }
    Corpus::Keep
});

struct Case {
    convolution: Convolution,
    input: Grid,
    first_in: usize,
    input_bytes: Vec<u8>,
    output: Grid,
    first_out: usize,
    output_bytes: Vec<u8>,
    /// Bytes before either tensor, so that neither is aligned.
    shift: usize,
    split: usize,
}

impl Case {
    /// `None` if the shape makes no tensor, or too much work.
    fn arbitrary(bytes: &mut Unstructured<'_>) -> Result<Option<Case>> {
        let is_large = bytes.ratio(1, 16)?;
        let upsample = bytes.ratio(1, 3)?;
        let sides = if is_large { 1..=255 } else { 1..=5 };
        let pads = if is_large { 0..=255 } else { 0..=5 };
        let strides = if upsample { 1..=1 } else { 1..=3 };
        let groups = *bytes.choose(&[1, 1, 2, 3, 8, 40])?;
        let shape = ConvShape {
            kernel_size: [bytes.int_in_range(sides.clone())?, bytes.int_in_range(sides)?],
            pads: [
                bytes.int_in_range(pads.clone())?,
                bytes.int_in_range(pads.clone())?,
                bytes.int_in_range(pads.clone())?,
                bytes.int_in_range(pads)?,
            ],
            strides: [bytes.int_in_range(strides.clone())?, bytes.int_in_range(strides)?],
            dilations: [bytes.int_in_range(1..=3)?, bytes.int_in_range(1..=3)?],
            channels_in: groups * bytes.int_in_range(1..=if is_large { 3 } else { 80 / groups })?,
            channels_out: groups * bytes.int_in_range(1..=if is_large { 3 } else { 80 / groups })?,
            groups,
            upsample,
        };
        let size = [bytes.int_in_range(1..=12)?, bytes.int_in_range(1..=70)?];
        let Some([height, width]) = shape.output_size(size[0], size[1]) else { return Ok(None) };
        let fan_in = shape.depth() * shape.kernel_size[0] * shape.kernel_size[1];
        if shape.macs([height, width]) > MACS_MAX {
            return Ok(None);
        }
        let border = shape.border() + bytes.int_in_range(0..=1)?;
        let (first_in, behind_in) = (bytes.int_in_range(0..=17)?, bytes.int_in_range(0..=17)?);
        let (first_out, behind_out) = (bytes.int_in_range(0..=17)?, bytes.int_in_range(0..=17)?);
        let border_out = bytes.int_in_range(0..=2)?;
        let grids = (
            Grid::new(size[0], size[1], border, first_in + shape.channels_in + behind_in),
            Grid::new(height, width, border_out, first_out + shape.channels_out + behind_out),
        );
        let (Ok(input), Ok(output)) = grids else { return Ok(None) };
        if input.bytes() > BYTES_MAX || output.bytes() > BYTES_MAX {
            return Ok(None);
        }
        let shift = bytes.int_in_range(0..=3)?;

        let values = Values::arbitrary(bytes)?;
        let mut numbers = Numbers::arbitrary(bytes, values)?;
        let zero_points = if bytes.arbitrary()? { shape.channels_out } else { 1 };
        let is_symmetric = bytes.arbitrary()?;
        let usual = [0.02, 0.1, 0.003, 1.0 / 64.0, -0.02][bytes.int_in_range(0..=4)?];
        let is_tied = bytes.ratio(1, 4)?;
        let spread = 1.0 / (fan_in as f32).sqrt();
        let mut multipliers: Vec<f32> = (0..shape.channels_out)
            .map(|_| if is_tied { 1.0 / 64.0 } else { usual * spread * numbers.factor() })
            .collect();
        if bytes.ratio(1, 8)? {
            // Any bits: zero, the smallest, the largest, NaN.
            let index = numbers.below(multipliers.len() as u64) as usize;
            multipliers[index] = f32::from_bits(bytes.arbitrary()?);
        }
        let clamp: [u8; 2] = if bytes.arbitrary()? { [0, 255] } else { bytes.arbitrary()? };
        let convolution = Convolution {
            shape,
            weights: numbers.weights(fan_in * shape.channels_out),
            weight_zero_points: (0..zero_points)
                .map(|_| if is_symmetric { 0 } else { numbers.below(256) as i32 - 128 })
                .collect(),
            bias: numbers.biases(shape.channels_out),
            multipliers,
            x_zero_point: bytes.arbitrary()?,
            y_zero_point: bytes.arbitrary()?,
            clamp,
        };
        Ok(Some(Case {
            convolution,
            input,
            first_in,
            // The border too is random: it is read like any pixel.
            input_bytes: numbers.pixels(shift + input.bytes()),
            output,
            first_out,
            output_bytes: numbers.pixels(shift + output.bytes()),
            shift,
            split: bytes.int_in_range(0..=height)?,
        }))
    }

    fn check(&self) {
        let Ok(reference) = PackedConv::new(Kernel::Scalar, &self.convolution, self.input) else { return };
        let expected = self.run(&reference, self.output.height());
        for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
            let conv = PackedConv::new(kernel, &self.convolution, self.input)
                .unwrap_or_else(|error| panic!("{kernel} refuses what scalar accepts: {error}"));
            let found = self.run(&conv, self.split);
            if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
                let (found, expected) = (found[at], expected[at]);
                panic!(
                    "{kernel}: expected {expected} at byte {at}, found {found}, {:?} {:?}",
                    self.convolution.shape, self.output
                );
            }
        }
    }

    /// The whole output buffer, in two parts.
    fn run(&self, conv: &PackedConv, split: usize) -> Vec<u8> {
        let mut bytes = self.output_bytes.clone();
        let channels = self.first_in..self.first_in + self.convolution.shape.channels_in;
        let input = InputView::new(self.input, channels, &self.input_bytes[self.shift..]).expect("a fitting buffer");
        let channels = self.first_out..self.first_out + self.convolution.shape.channels_out;
        let output = OutputView::new(self.output, channels, &mut bytes[self.shift..]).expect("a fitting buffer");
        let (mut above, mut below) = output.split_at_row(split);
        let mut scratch = vec![0; conv.scratch()];
        conv.run(&input, &mut below, &mut scratch);
        conv.run(&input, &mut above, &mut scratch);
        bytes
    }
}
