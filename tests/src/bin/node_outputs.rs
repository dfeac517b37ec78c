//! Writes every tensor that a quantized model computes as `.npy`, node by node, for `peers/check_onnx.py`.
//!
//! `node-outputs MODEL.onnx FRAMES.npy DIRECTORY [tract|interpreter|integer]`: FRAMES holds N frames of the model's input type
//! (N, C, H, W). For each frame there is a folder `frame_0000` with one file a tensor, `tensors.json` (name to file), and
//! `whole/` with the outputs of the whole graph run at once. Each node reads what the nodes before it gave in the same
//! runtime, so whoever feeds the same files to a node elsewhere compares that node alone.
//!
//! `integer` is the project's engine, for files whose tensors are all u8: the whole graph runs up to each tensor in turn, and a
//! graph that the engine does not cover entirely is refused.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use unet_engine::inference::Engine;
use unet_shared::manifest::TensorEntry;
use unet_shared::quantization::Quantization;
use unet_tests::node_models::{cut_node, decode, with_output};
use unet_tests::{Data, Fault, Graph, Tensor, npy, stock_tract};

const USAGE: &str = "usage: node-outputs MODEL.onnx FRAMES.npy DIRECTORY [tract|interpreter|integer]";

/// What computes a model's outputs from its inputs.
type Runtime = fn(&[u8], &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, Fault>;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("node-outputs: {fault}");
            ExitCode::from(2)
        }
    }
}

fn interpret(bytes: &[u8], inputs: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, Fault> {
    let graph = Graph::from_bytes(bytes)?;
    let mut values = graph.run(inputs)?;
    values.retain(|name, _| graph.outputs().contains(&name.as_str()));
    Ok(values)
}

fn run(arguments: &[String]) -> Result<(), Fault> {
    let (paths, runtime): (&[String], Option<Runtime>) = match arguments {
        [paths @ .., runtime] if paths.len() == 3 => match runtime.as_str() {
            "interpreter" => (paths, Some(interpret)),
            "tract" => (paths, Some(stock_tract::run)),
            "integer" => (paths, None),
            _ => return Err(Fault::new(USAGE)),
        },
        paths if paths.len() == 3 => (paths, Some(stock_tract::run)),
        _ => return Err(Fault::new(USAGE)),
    };
    let (model, frames, directory) = (Path::new(&paths[0]), Path::new(&paths[1]), Path::new(&paths[2]));
    let bytes = fs::read(model).map_err(|e| file_fault(model, e))?;
    let graph = Graph::from_bytes(&bytes)?;
    let [input] = graph.inputs()[..] else {
        return Err(Fault::new(format!("{}: expected one input, found {:?}", model.display(), graph.inputs())));
    };
    let frames = single_frames(&npy::read(frames)?)?;
    let mut taps = if runtime.is_none() { taps(&bytes, &graph, input)? } else { vec![] };
    for (index, frame) in frames.into_iter().enumerate() {
        let folder = directory.join(format!("frame_{index:04}"));
        let inputs = BTreeMap::from([(input.to_owned(), frame)]);
        if let Some(runtime) = runtime {
            write_all(&folder, &node_by_node(&bytes, &graph, inputs.clone(), runtime)?)?;
            write_all(&folder.join("whole"), &runtime(&bytes, &inputs)?)?;
        } else {
            let mut values = inputs.clone();
            for tap in &mut taps {
                values.insert(tap.output().name.clone(), run_engine(tap, &inputs[input])?);
            }
            write_all(&folder, &values)?;
            values.retain(|name, _| graph.outputs().contains(&name.as_str()));
            write_all(&folder.join("whole"), &values)?;
        }
        eprintln!("{}", folder.display());
    }
    Ok(())
}

/// The integer engine once for each node, with the node's tensor as the graph's output.
fn taps(bytes: &[u8], graph: &Graph, input: &str) -> Result<Vec<Engine>, Fault> {
    let names: Vec<&str> = graph.nodes().iter().flat_map(|node| &node.output).map(String::as_str).collect();
    let shapes = stock_tract::shapes(bytes, &[&[input], &names[..]].concat())?;
    let quantization = Quantization { scale: 1.0, zero_point: 0 };
    let entry = |name: &str, shape| TensorEntry { name: name.to_owned(), shape, quantization };
    let image = entry(input, shapes[0]);
    let engines = names.iter().zip(&shapes[1..]).map(|(name, &shape)| {
        let engine = Engine::from_onnx(&with_output(bytes, name)?, &image, &entry(name, shape))
            .map_err(|error| Fault::new(format!("tensor {name}: {}", chain(&error))))?;
        match engine.name() {
            "integer" => Ok(engine),
            other => Err(Fault::new(format!(
                "tensor {name}: expected a graph that the integer engine covers, found one for {other}"
            ))),
        }
    });
    engines.collect()
}

fn run_engine(engine: &mut Engine, frame: &Tensor) -> Result<Tensor, Fault> {
    let Data::U8(bytes) = frame.data() else {
        return Err(Fault::new(format!("expected frames of u8, found {:?}", frame.data().data_type())));
    };
    let shape = engine.output().shape;
    let values = engine.run(bytes).map_err(|error| Fault::new(chain(&error)))?;
    Tensor::new(&shape, Data::U8(values.to_vec()))
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Every computed tensor, where each node reads those before it. Nodes that touch no 8-bit tensor are interpreted.
fn node_by_node(
    bytes: &[u8],
    graph: &Graph,
    mut values: BTreeMap<String, Tensor>,
    runtime: Runtime,
) -> Result<BTreeMap<String, Tensor>, Fault> {
    let model = decode(bytes)?;
    for (index, proto) in graph.nodes().iter().enumerate() {
        // The interpreter says which type and shape the output has.
        values.extend(graph.run_node(proto, &values)?);
        if let Some(node) = cut_node(&model, graph, index, &values)? {
            let inputs = node.inputs.iter().map(|name| (name.clone(), values[name].clone())).collect();
            values.extend(runtime(&node.bytes, &inputs)?);
        }
    }
    Ok(values)
}

/// N frames (N, C, H, W) as N tensors (1, C, H, W).
fn single_frames(frames: &Tensor) -> Result<Vec<Tensor>, Fault> {
    let [count, channels, height, width] = frames.nchw()?;
    let mut proto = frames.to_proto("frames");
    proto.dims = vec![1, channels as i64, height as i64, width as i64];
    let size = proto.raw_data.len() / count.max(1);
    let bytes = std::mem::take(&mut proto.raw_data);
    let chunks = bytes.chunks_exact(size.max(1));
    chunks
        .map(|raw| Tensor::from_proto(&tract_onnx::pb::TensorProto { raw_data: raw.to_vec(), ..proto.clone() }))
        .collect()
}

fn write_all(folder: &Path, values: &BTreeMap<String, Tensor>) -> Result<(), Fault> {
    fs::create_dir_all(folder).map_err(|e| file_fault(folder, e))?;
    let mut files = serde_json::Map::new();
    for (index, (name, tensor)) in values.iter().enumerate() {
        // A tensor's name may hold anything, a file's may not.
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let file = format!("{index:03}_{plain}.npy");
        npy::write(&folder.join(&file), tensor)?;
        files.insert(name.clone(), file.into());
    }
    let list: PathBuf = folder.join("tensors.json");
    fs::write(&list, serde_json::Value::from(files).to_string()).map_err(|e| file_fault(&list, e))
}

fn file_fault(path: &Path, error: std::io::Error) -> Fault {
    Fault::new(format!("{}: {error}", path.display()))
}
