//! Build script of the packages that test on real data: passes on whether `SEG_DATA` was set, as `cfg(seg_data)`.
//!
//! libtest cannot ignore a test at run time, so what is ignored is decided when the tests are compiled.

fn main() {
    println!("cargo::rerun-if-env-changed=SEG_DATA");
    println!("cargo::rustc-check-cfg=cfg(seg_data)");
    if std::env::var_os("SEG_DATA").is_some_and(|path| !path.is_empty()) {
        println!("cargo::rustc-cfg=seg_data");
    }
}
