//! Arbitrary bytes, and damaged models and packages: loading them gives an error or an engine that runs, never panics,
//! and uses bounded memory.

#![no_main]

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::process::abort;
use std::sync::{Mutex, PoisonError};

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use prost::Message;
use tract_onnx::pb::ModelProto;
use unet_engine::inference::Engine;
use unet_engine::package::{MANIFEST_NAME, Package};
use unet_fuzz::damage;
use unet_fuzz::graph::Case;
use unet_test_support::tiny_package;
use unet_shared::manifest::TensorEntry;

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

fuzz_target!(
    init: {
        std::panic::set_hook(Box::new(remember));
        let whole = package(&mut Unstructured::new(&[]), false).expect("no input is needed");
        let package = Package::parse(whole).expect("the tiny package is valid");
        Engine::load(&package).expect("the tiny package's model runs");
    },
    |data: &[u8]| -> Corpus {
        match catch_unwind(AssertUnwindSafe(|| check(data))) {
            Ok(Ok(())) => Corpus::Keep,
            Ok(Err(_)) => Corpus::Reject,
            Err(_) => {
                eprintln!("{}", LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner));
                abort()
            }
        }
    }
);

/// The engine turns panics of tract into errors, so these must not stop the fuzzer. Our own panics are bugs even if
/// they are caught.
fn remember(panic: &PanicHookInfo<'_>) {
    let file = panic.location().map_or("", |location| location.file());
    if ["edge/src", "shared/src"].iter().any(|ours| file.contains(ours)) {
        eprintln!("{panic}");
        abort();
    }
    *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
}

fn check(data: &[u8]) -> Result<()> {
    let mut bytes = Unstructured::new(data);
    match bytes.int_in_range(0..=7)? {
        0 => load(bytes.take_rest(), &tiny_package::input(), &tiny_package::output()),
        1 => {
            let mut package = bytes.take_rest().to_vec();
            damage::seal(&mut package);
            open(package);
        }
        2..=3 => open(package(&mut bytes, true)?),
        kind => {
            let mut case = Case::arbitrary(&mut bytes)?;
            if kind != 4 {
                damage::model(&mut case.model, &mut bytes)?;
            }
            let mut onnx = case.model.encode_to_vec();
            if kind == 4 {
                damage::bytes(&mut onnx, &mut bytes)?;
            }
            load(&onnx, &case.input, &case.output);
        }
    }
    Ok(())
}

/// Loads a model and runs it on a frame; any error is fine.
fn load(onnx: &[u8], input: &TensorEntry, output: &TensorEntry) {
    if let Ok(mut engine) = Engine::from_onnx(onnx, input, output) {
        let frame = vec![7; input.shape.iter().product()];
        let _ = engine.run(&frame);
    }
}

fn open(bytes: Vec<u8>) {
    if let Ok(package) = Package::parse(bytes) {
        let _ = Engine::load(&package);
    }
}

/// The tiny package, damaged at one level or not at all.
fn package(bytes: &mut Unstructured<'_>, damaged: bool) -> Result<Vec<u8>> {
    let (manifest, mut members) = tiny_package::parts();
    let layer = if damaged { bytes.int_in_range(0..=3)? } else { 4 };
    if layer == 0 {
        let mut model = ModelProto::decode(members[0].1.as_slice()).expect("the tiny model");
        damage::model(&mut model, bytes)?;
        members[0].1 = model.encode_to_vec();
    }
    let mut document = damage::manifest(manifest, &members);
    if layer == 1 {
        for _ in 0..bytes.int_in_range(1..=3)? {
            damage::document(&mut document, bytes)?;
        }
    }
    let mut json = serde_json::to_vec_pretty(&document).expect("a document can be serialized");
    if layer == 2 {
        damage::bytes(&mut json, bytes)?;
    }
    members.insert(0, (MANIFEST_NAME.to_owned(), json));
    let mut package = damage::archive(&members);
    if layer == 3 {
        damage::bytes(&mut package, bytes)?;
    }
    damage::seal(&mut package);
    Ok(package)
}
