//! Whether the parts of a package are consistent: preprocessing, classes, model entry and golden vectors. The ONNX graph is compared
//! with the manifest when it is loaded, in [`crate::inference`].

use std::collections::BTreeSet;

use unet_shared::manifest::{Manifest, TensorEntry};

use super::{Package, PackageFault};

/// # Errors
///
/// The first contradiction.
pub(super) fn check(package: &Package) -> Result<(), PackageFault> {
    let manifest = &package.manifest;
    check_preprocess(manifest)?;
    check_classes(manifest)?;
    check_quantization("model input", &manifest.model.input)?;
    check_quantization("model output", &manifest.model.output)?;
    check_files(package)?;
    check_golden(package)
}

fn check_preprocess(manifest: &Manifest) -> Result<(), PackageFault> {
    let spec = &manifest.preprocess;
    if let Err(error) = spec.validate() {
        return Err(PackageFault::inconsistent("preprocessing", "a valid one", error.to_string()));
    }
    let expected = [1, spec.channels.count(), spec.height as usize, spec.width as usize];
    if manifest.model.input.shape != expected {
        return Err(PackageFault::inconsistent(
            "model input against the preprocessing",
            shape_text(expected),
            shape_text(manifest.model.input.shape),
        ));
    }
    Ok(())
}

fn check_classes(manifest: &Manifest) -> Result<(), PackageFault> {
    let [_, _, height, width] = manifest.model.input.shape;
    let classes = manifest.classes.len();
    if classes == 0 || classes > 255 {
        return Err(PackageFault::inconsistent("classes", "1 to 255", classes.to_string()));
    }
    let expected = [1, classes, height, width];
    if manifest.model.output.shape != expected {
        return Err(PackageFault::inconsistent(
            format!("model output against {classes} classes and the input"),
            shape_text(expected),
            shape_text(manifest.model.output.shape),
        ));
    }
    match manifest.label_table() {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(PackageFault::inconsistent("label values of the classes", "distinct ones", error.to_string()))
        }
    }
}

fn check_quantization(what: &str, tensor: &TensorEntry) -> Result<(), PackageFault> {
    if let Err(error) = tensor.quantization.validate() {
        return Err(PackageFault::inconsistent(format!("quantization of {what}"), "a valid one", error.to_string()));
    }
    Ok(())
}

/// Every file that the manifest uses is a member, and every member is used.
fn check_files(package: &Package) -> Result<(), PackageFault> {
    let manifest = &package.manifest;
    let golden = manifest.golden.iter().flat_map(|entry| [&entry.input, &entry.mask]);
    let used: BTreeSet<&str> = golden.chain([&manifest.model.file]).map(String::as_str).collect();
    if let Some(name) = used.iter().find(|name| package.member(name).is_none()) {
        return Err(PackageFault::inconsistent("file that the manifest uses", format!("a member {name}"), "none"));
    }
    if let Some((name, _)) = package.members().find(|(name, _)| !used.contains(name)) {
        return Err(PackageFault::inconsistent("members", "only ones that the manifest uses", name));
    }
    Ok(())
}

fn check_golden(package: &Package) -> Result<(), PackageFault> {
    let [_, channels, height, width] = package.manifest.model.input.shape;
    let classes = package.manifest.classes.len();
    if package.manifest.golden.is_empty() {
        return Err(PackageFault::inconsistent("golden vectors", "at least one", "none"));
    }
    // The preprocessing is valid, so these products cannot overflow.
    let (input_bytes, mask_bytes) = (channels * height * width, height * width);
    for (entry, golden) in package.manifest.golden.iter().zip(package.golden()) {
        for (name, expected, found) in
            [(&entry.input, input_bytes, golden.input.len()), (&entry.mask, mask_bytes, golden.mask.len())]
        {
            if found != expected {
                let (expected, found) = (format!("{expected} bytes"), format!("{found} bytes"));
                return Err(PackageFault::inconsistent(format!("golden vector {name}"), expected, found));
            }
        }
        if let Some(id) = golden.mask.iter().find(|&&id| usize::from(id) >= classes) {
            let expected = format!("class ids below {classes}");
            return Err(PackageFault::inconsistent(format!("golden mask {}", entry.mask), expected, id.to_string()));
        }
    }
    Ok(())
}

fn shape_text(shape: [usize; 4]) -> String {
    crate::shape::text(&shape)
}
