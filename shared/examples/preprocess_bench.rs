//! How long the preprocessing takes, frame after frame, at one thread.
//!
//! `cargo run --release -p unet-shared --features std --example preprocess_bench -- [NAME VALUE...]`
//!
//! Names: `format` (yuyv), `size` (1280x720), `target` (256x256), `channels` (gray, rgb; both unless given), `filter` (area),
//! `set` (scalar, avx2, neon; all that the core has unless given), `frames` (100).
//! `input FILE` holds the frame's bytes in place of random ones, `output FILE` takes the last result.
//! `serve yes` runs as many frames as each line of standard input says, and answers with their milliseconds in one line.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use unet_shared::image::{ImageView, PixelFormat};
use unet_shared::preprocess::{Channels, Filter, Fit, Normalize, Preprocess, Scratch};
use unet_shared::vector::InstructionSet;

type Failure = Box<dyn Error>;

const CHANNELS: [(&str, Channels); 2] = [("gray", Channels::Gray), ("rgb", Channels::Rgb)];
const FILTERS: [(&str, Filter); 3] =
    [("nearest", Filter::Nearest), ("bilinear", Filter::Bilinear), ("area", Filter::Area)];

/// What the arguments ask for.
struct Request {
    format: (&'static str, PixelFormat),
    size: (usize, usize),
    target: (usize, usize),
    channels: Vec<(&'static str, Channels)>,
    filter: (&'static str, Filter),
    sets: Vec<InstructionSet>,
    frames: usize,
    input: Option<String>,
    output: Option<String>,
    serve: bool,
}

fn main() -> Result<(), Failure> {
    let request = Request::from_arguments()?;
    let ((width, height), (_, format)) = (request.size, request.format);
    let bytes = match &request.input {
        Some(path) => std::fs::read(path).map_err(|fault| format!("{path}: {fault}"))?,
        None => noise(width * height * 4),
    };
    let view = ImageView::packed(&bytes, width, height, format)?;
    for &(name, channels) in &request.channels {
        for &set in &request.sets {
            let mut bench = Bench::new(&request, channels, set, width);
            if request.serve {
                for line in std::io::stdin().lock().lines() {
                    let times = bench.run(&view, line?.trim().parse()?)?;
                    let times: Vec<String> = times.iter().map(f64::to_string).collect();
                    println!("{}", times.join(" "));
                    std::io::stdout().flush()?;
                }
            } else {
                let mut times = bench.run(&view, request.frames)?;
                times.sort_by(f64::total_cmp);
                let ((w, h), (filter, _), set) = (request.target, request.filter, set.name());
                println!(
                    "{width}x{height} {} to {w}x{h} {name:4} {filter} {set:6} least {:.4} ms, median {:.4} ms",
                    request.format.0,
                    times[0],
                    times[times.len() / 2]
                );
            }
            if let Some(path) = &request.output {
                std::fs::write(path, &bench.out).map_err(|fault| format!("{path}: {fault}"))?;
            }
        }
    }
    Ok(())
}

impl Request {
    fn from_arguments() -> Result<Self, Failure> {
        let mut request = Self {
            format: ("yuyv", PixelFormat::Yuyv),
            size: (1280, 720),
            target: (256, 256),
            channels: CHANNELS.to_vec(),
            filter: ("area", Filter::Area),
            sets: InstructionSet::ALL.into_iter().filter(|set| set.is_available()).collect(),
            frames: 100,
            input: None,
            output: None,
            serve: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "format" => request.format = named(&PixelFormat::ALL.map(|format| (format.name(), format)), &value)?,
                "size" => request.size = sides(&value)?,
                "target" => request.target = sides(&value)?,
                "channels" => request.channels = vec![named(&CHANNELS, &value)?],
                "filter" => request.filter = named(&FILTERS, &value)?,
                "set" => request.sets = vec![named(&InstructionSet::ALL.map(|set| (set.name(), set)), &value)?.1],
                "frames" => {
                    request.frames = value.parse().ok().filter(|&frames| frames > 0).ok_or("frames: no number")?
                }
                "input" => request.input = Some(value),
                "output" => request.output = Some(value),
                "serve" => request.serve = true,
                _ => return Err(format!("unknown name {name}; the head of the example says what there is").into()),
            }
        }
        if let Some(set) = request.sets.iter().find(|set| !set.is_available()) {
            return Err(format!("set: this core lacks {}", set.name()).into());
        }
        if request.serve {
            // The best of them: the last.
            request.sets.drain(..request.sets.len() - 1);
        }
        Ok(request)
    }
}

fn named<T: Copy>(all: &[(&'static str, T)], name: &str) -> Result<(&'static str, T), Failure> {
    let found = all.iter().find(|(of, _)| *of == name).copied();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    found.ok_or_else(|| format!("expected {}, found {name}", names.join(", ")).into())
}

fn sides(text: &str) -> Result<(usize, usize), Failure> {
    let (width, height) = text.split_once('x').ok_or_else(|| format!("expected WxH, found {text}"))?;
    Ok((width.parse()?, height.parse()?))
}

/// The preprocessing with all that it needs, so that a frame allocates nothing.
struct Bench {
    preprocess: Preprocess,
    set: InstructionSet,
    row: Vec<u8>,
    resized: Vec<u16>,
    sums: Vec<u32>,
    taps: Vec<u16>,
    out: Vec<u8>,
}

impl Bench {
    fn new(request: &Request, channels: Channels, set: InstructionSet, image_width: usize) -> Self {
        let preprocess = Preprocess {
            width: request.target.0 as u32,
            height: request.target.1 as u32,
            channels,
            fit: Fit::Stretch,
            filter: request.filter.1,
            normalize: Normalize::Unit,
            ..Preprocess::CLASSIC
        };
        let needed = preprocess.scratch_len(image_width);
        Self {
            row: vec![0; needed.row],
            resized: vec![0; needed.resized],
            sums: vec![0; needed.sums],
            taps: vec![0; needed.taps],
            out: vec![0; preprocess.input_len()],
            preprocess,
            set,
        }
    }

    /// Milliseconds of each frame.
    fn run(&mut self, view: &ImageView<'_>, frames: usize) -> Result<Vec<f64>, Failure> {
        let Self { preprocess, set, row, resized, sums, taps, out } = self;
        (0..frames)
            .map(|_| {
                let start = Instant::now();
                preprocess.run_on(*set, view, out, &mut Scratch { row, resized, sums, taps })?;
                Ok(start.elapsed().as_secs_f64() * 1e3)
            })
            .collect()
    }
}

/// The same bytes each time.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|index| (index.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect()
}
