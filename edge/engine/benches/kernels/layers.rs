//! The layers of a U-Net (base 16, depth 4, 256x256) with random weights, ready to run.

use std::error::Error;

use unet_engine::inference::kernel::{ConvShape, Convolution, Grid, InputView, Kernel, OutputView, PackedConv};

/// The shape of a layer.
#[derive(Clone, Copy)]
pub struct Layer {
    /// Rows and columns of the output.
    pub side: usize,
    /// Input channels.
    pub from: usize,
    /// Output channels.
    pub to: usize,
    /// Rows and columns of taps.
    pub taps: usize,
    /// Whether the input is upsampled by 2.
    pub upsample: bool,
}

const fn layer(side: usize, from: usize, to: usize, taps: usize, upsample: bool) -> Layer {
    Layer { side, from, to, taps, upsample }
}

/// All, in the order of the network.
pub const LAYERS: [Layer; 23] = [
    layer(256, 1, 16, 3, false),
    layer(256, 16, 16, 3, false),
    layer(128, 16, 32, 3, false),
    layer(128, 32, 32, 3, false),
    layer(64, 32, 64, 3, false),
    layer(64, 64, 64, 3, false),
    layer(32, 64, 128, 3, false),
    layer(32, 128, 128, 3, false),
    layer(16, 128, 256, 3, false),
    layer(16, 256, 256, 3, false),
    layer(32, 256, 128, 3, true),
    layer(32, 256, 128, 3, false),
    layer(32, 128, 128, 3, false),
    layer(64, 128, 64, 3, true),
    layer(64, 128, 64, 3, false),
    layer(64, 64, 64, 3, false),
    layer(128, 64, 32, 3, true),
    layer(128, 64, 32, 3, false),
    layer(128, 32, 32, 3, false),
    layer(256, 32, 16, 3, true),
    layer(256, 32, 16, 3, false),
    layer(256, 16, 16, 3, false),
    layer(256, 16, 4, 1, false),
];

impl std::fmt::Display for Layer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Layer { side, from, to, taps, upsample } = self;
        let upsampled = if *upsample { "upsampled" } else { "" };
        write!(formatter, "{side:3}x{side:<3} {from:3} to {to:3} {taps}x{taps} {upsampled:9}")
    }
}

/// A layer packed for a compute kernel, with its buffers.
pub struct Prepared {
    conv: PackedConv,
    grids: [Grid; 2],
    layer: Layer,
    from: Vec<u8>,
    to: Vec<u8>,
    scratch: Vec<i32>,
}

impl Prepared {
    /// Weights and inputs are the same each time.
    pub fn new(kernel: Kernel, layer: Layer) -> Result<Prepared, Box<dyn Error>> {
        let Layer { side, from: channels_in, to: channels_out, taps, upsample } = layer;
        let shape = ConvShape {
            kernel_size: [taps; 2],
            pads: [taps / 2; 4],
            strides: [1, 1],
            dilations: [1, 1],
            channels_in,
            channels_out,
            groups: 1,
            upsample,
        };
        let from = if upsample { side / 2 } else { side };
        let grids = [Grid::new(from, from, 1, channels_in)?, Grid::new(side, side, 1, channels_out)?];
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24)
        };
        // Nearly normal with a standard deviation of 25: a trained network's largest weight is about five of these.
        let mut weight = || ((0..12).map(|_| random()).sum::<f64>() * 25.0 - 150.0).clamp(-127.0, 127.0) as i8;
        let weights = (0..shape.weights()).map(|_| weight()).collect();
        let convolution = Convolution {
            shape,
            weights,
            weight_zero_points: vec![0],
            bias: vec![100; channels_out],
            multipliers: vec![0.0008; channels_out],
            x_zero_point: 0,
            y_zero_point: 0,
            clamp: [0, 255],
        };
        let conv = PackedConv::new(kernel, &convolution, grids[0])?;
        let from = (0..grids[0].bytes()).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (to, scratch) = (vec![0; grids[1].bytes()], vec![0; conv.scratch()]);
        Ok(Prepared { conv, grids, layer, from, to, scratch })
    }

    /// Multiply-accumulates of a run, as the model counts them.
    pub fn macs(&self) -> u64 {
        self.conv.macs()
    }

    /// Computes the layer once.
    pub fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let input = InputView::new(self.grids[0], 0..self.layer.from, &self.from)?;
        let mut output = OutputView::new(self.grids[1], 0..self.layer.to, &mut self.to)?;
        self.conv.run(&input, &mut output, &mut self.scratch);
        Ok(())
    }
}
