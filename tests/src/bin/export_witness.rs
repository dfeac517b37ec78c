//! Writes real frames and the logits of a run's network as `.npy`, for `peers/check_onnx.py`.
//!
//! `export-witness RUN DIRECTORY [FRAMES]` takes FRAMES (default 16) frames spread over the validation split of the
//! run, and writes `frames.npy` (f32, N, C, H, W, the input of the exported f32 file), `logits.npy` (f32, N, K, H, W,
//! computed by burn from the run's weights), and, for a quantized run, `frames_u8.npy` (u8, the input of the int8
//! file).

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use unet_data::Split;
use unet_host::segmenter::BurnSegmenter;
use unet_host::steps::open_run::spread;
use unet_host::steps::provenance::QuantizationNote;
use unet_host::steps::verify::VERIFIED_FRAMES;
use unet_host::steps::{OpenRun, Weights};
use unet_tests::{Data, Tensor, npy};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(frames) => {
            eprintln!("{frames} frames");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("export-witness: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<usize, Box<dyn Error>> {
    let (run, directory, frames) = match arguments {
        [run, directory] => (run, Path::new(directory), VERIFIED_FRAMES),
        [run, directory, frames] => (run, Path::new(directory), frames.parse()?),
        _ => return Err("usage: export-witness RUN DIRECTORY [FRAMES]".into()),
    };
    let run = OpenRun::open(Path::new(run))?;
    let device = run.config.backend.device()?;
    let preprocess = run.config.preprocess;
    let burn = BurnSegmenter::new(&run.model(Weights::Best, &device)?, run.config.backend, &device, preprocess);
    let dataset = run.data(None)?;
    let samples = spread(dataset.split(Split::Val), frames);
    let (width, height) = (preprocess.width as usize, preprocess.height as usize);
    let channels = preprocess.channels.count();
    let quantization = QuantizationNote::load(&run).ok().map(|note| note.model.input.quantization);
    let (mut values, mut logits, mut bytes) = (vec![], vec![], vec![]);
    for sample in &samples {
        let (_, planes) = run.planes(sample)?;
        logits.extend(burn.logits(&planes));
        for (channel, plane) in planes.chunks_exact(width * height).enumerate() {
            let table = preprocess.float_table(channel);
            values.extend(plane.iter().map(|&v| table[usize::from(v)]));
            if let Some(q) = quantization {
                let table = preprocess.quantized_table(channel, q.scale, u8::try_from(q.zero_point)?);
                bytes.extend(plane.iter().map(|&v| table[usize::from(v)]));
            }
        }
    }
    std::fs::create_dir_all(directory)?;
    let shape = |planes| [samples.len(), planes, height, width];
    let write = |name: &str, planes, data| -> Result<(), Box<dyn Error>> {
        Ok(npy::write(&directory.join(name), &Tensor::new(&shape(planes), data)?)?)
    };
    write("frames.npy", channels, Data::F32(values))?;
    write("logits.npy", run.config.model.classes, Data::F32(logits))?;
    if quantization.is_some() {
        write("frames_u8.npy", channels, Data::U8(bytes))?;
    }
    Ok(samples.len())
}
