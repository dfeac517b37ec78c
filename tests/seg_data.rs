//! Build script of the packages that test on real data: passes on whether `SEG_DATA` was set, as `cfg(seg_data)`, and whether
//! `SEG_TENSORBOARD` was, as `cfg(seg_tensorboard)`.
//!
//! libtest cannot ignore a test at run time, so what is ignored is decided when the tests are compiled.

fn main() {
    for (variable, cfg) in [("SEG_DATA", "seg_data"), ("SEG_TENSORBOARD", "seg_tensorboard")] {
        println!("cargo::rerun-if-env-changed={variable}");
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
}
