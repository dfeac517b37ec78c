//! A network exported with folded upsampling: with integer values, the interpreter computes exactly the numbers of the
//! unfolded network, and the integer engine runs the quantized file byte for byte like the interpreter.

use std::collections::BTreeMap;

use unet_engine::inference::{EngineOptions, KernelChoice};
use unet_host::export::float_onnx;
use unet_host::export::fold_upsample::fold_upsampling;
use unet_host::export::graph::{Convolution, Graph as HostGraph, OUTPUT_NAME, Operator};
use unet_host::quantize::Format;
use unet_host::steps::quantize;
use unet_tests::random::Random;
use unet_tests::{Data, Graph, Tensor};

use crate::integer_engine::{check, kernels};
use crate::quantization_parity::inputs;
use crate::tiny_run::{VARIANTS, train};

fn whole(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.integer(-60, 60) as f32).collect()
}

#[test]
fn whole_numbers_come_out_the_same_at_every_place_and_size() {
    let mut random = Random::new(3);
    for [channels, out, height, width] in [[1, 1, 1, 1], [2, 3, 1, 4], [3, 1, 5, 2], [4, 6, 7, 9]] {
        let conv = Convolution {
            weight: whole(&mut random, 9 * channels * out),
            bias: whole(&mut random, out),
            channels_out: out,
            channels_in: channels,
            groups: 1,
            kernel: [3; 2],
            stride: 1,
            pads: [1; 4],
            relu: true,
        };
        let mut graph = HostGraph { input: [channels, height, width], nodes: vec![] };
        let large = graph.push("large", Operator::UpsampleNearest, vec![0]);
        graph.push(OUTPUT_NAME, Operator::Conv(conv), vec![large]);
        let folded = fold_upsampling(&graph).unwrap();
        assert_ne!(folded, graph);
        let image = Data::F32(whole(&mut random, channels * height * width));
        let image = BTreeMap::from([("image".to_owned(), Tensor::new(&[1, channels, height, width], image).unwrap())]);
        let logits = |graph: &HostGraph| {
            let onnx = Graph::from_bytes(&float_onnx::write(graph).unwrap()).unwrap();
            onnx.run(&image).unwrap()[OUTPUT_NAME].clone()
        };
        let expected = logits(&graph);
        assert_eq!(expected.shape(), [1, out, 2 * height, 2 * width]);
        assert_eq!(logits(&folded), expected, "{height}x{width}");
    }
}

#[test]
fn the_integer_engine_runs_the_quantized_file_as_the_interpreter_does() {
    let variant = VARIANTS.iter().find(|variant| variant.fold_upsample).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (run, report) = train(folder.path(), variant);
    assert!(report.verification.verified && report.macs < report.macs_unfolded, "{report:?}");
    quantize::quantize(&run, Format::Qlinear, 16).unwrap();
    let model = std::fs::read(run.dir.int8_onnx()).unwrap();
    let graph = Graph::from_bytes(&model).unwrap();
    let count = |operator: &str| graph.nodes().iter().filter(|node| node.op_type == operator).count();
    // Two levels, each with four phases instead of one convolution: 6 + 4 + 8 + 1, and a skip concatenated at each.
    assert_eq!(["Resize", "DepthToSpace", "Concat", "QLinearConv"].map(count), [0, 2, 4, 19]);
    let frames = inputs(&run, 2);
    for kernel in kernels() {
        for threads in [1, 3] {
            check(&model, "logits", &frames, EngineOptions { kernel: KernelChoice::Only(kernel), threads });
        }
    }
    let options = EngineOptions { threads: 2, ..EngineOptions::default() };
    for node in graph.nodes().iter().filter(|node| node.output[0].starts_with("up.")) {
        check(&model, &node.output[0], &frames[..1], options);
    }
}
