//! The allowed edges of the dependency graph. A new one has to be added here first.

use crate::repository::root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// Our packages, and the foreign ones whose place is part of the design.
const WATCHED: [&str; 11] = [
    "unet-shared",
    "unet-data",
    "unet-engine",
    "unet-edge",
    "unet-kernels",
    "unet-onnx",
    "unet-host",
    "unet-tests",
    "unet-test-support",
    "burn",
    "tract-onnx",
];

/// From a package to its dependencies in [`WATCHED`], of any kind (normal, development, build).
const EDGES: [(&str, &[&str]); 9] = [
    ("unet-shared", &[]),
    ("unet-data", &["unet-shared"]),
    ("unet-engine", &["unet-shared", "unet-data", "unet-test-support", "tract-onnx"]),
    ("unet-edge", &["unet-shared", "unet-data", "unet-engine", "unet-test-support"]),
    ("unet-kernels", &[]),
    ("unet-onnx", &["tract-onnx"]),
    (
        "unet-host",
        &[
            "unet-shared",
            "unet-data",
            "unet-engine",
            "unet-kernels",
            "unet-onnx",
            "unet-test-support",
            "burn",
            "tract-onnx",
        ],
    ),
    (
        "unet-tests",
        &["unet-shared", "unet-data", "unet-engine", "unet-host", "unet-onnx", "unet-test-support", "tract-onnx"],
    ),
    ("unet-test-support", &["unet-shared", "unet-onnx"]),
];

/// The allowed dependencies of `unet-shared` outside of its tests. Only the first is not optional.
const SHARED_DEPENDENCIES: [&str; 4] = ["heapless", "serde", "serde_json", "sha2"];

/// The packages of burn, by the prefix of their names.
const BURN: [&str; 2] = ["burn", "cubecl"];

/// The manifests of the workspace's members by package name. Reads nothing outside the repository.
fn manifests() -> BTreeMap<String, Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--no-deps"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Array(packages) = metadata["packages"].take() else { panic!("cargo metadata lists no packages") };
    packages.into_iter().map(|p| (text(&p, "name").to_owned(), p)).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("cargo metadata has no {key}"))
}

fn dependencies(manifest: &Value) -> &[Value] {
    manifest["dependencies"].as_array().expect("cargo metadata lists the dependencies of a package")
}

/// The dependencies of each package in Cargo.lock. The lock file is the graph of all features and platforms, so a
/// package that cannot be reached in it is not reached in any build.
fn locked_graph() -> BTreeMap<String, BTreeSet<String>> {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let named = graph.entry(package["name"].as_str().unwrap().to_owned()).or_default();
        let listed = package.get("dependencies").and_then(|d| d.as_array()).into_iter().flatten();
        // "name", or "name version" if several versions are locked; versions are merged here.
        named.extend(listed.map(|d| d.as_str().unwrap().split(' ').next().unwrap().to_owned()));
    }
    graph
}

/// Everything that can be reached from `start`, itself included.
fn reached(graph: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(name) = open.pop() {
        let next = graph.get(&name).unwrap_or_else(|| panic!("Cargo.lock does not contain {name}"));
        if seen.insert(name) {
            open.extend(next.iter().cloned());
        }
    }
    seen
}

fn is_burn(name: &str) -> bool {
    BURN.iter().any(|&start| name == start || name.starts_with(&format!("{start}-")))
}

#[test]
fn the_edges_are_those_of_the_table() {
    let mut found = BTreeSet::new();
    for (name, manifest) in &manifests() {
        let named = dependencies(manifest).iter().map(|d| text(d, "name"));
        found.extend(named.filter(|d| WATCHED.contains(d)).map(|d| (name.clone(), d.to_owned())));
    }
    let expected: BTreeSet<_> =
        EDGES.iter().flat_map(|&(from, to)| to.iter().map(move |&to| (from.to_owned(), to.to_owned()))).collect();
    let new: Vec<_> = found.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "not in the table: {new:?}; only in the table: {gone:?}");
}

#[test]
fn every_member_is_watched() {
    for name in manifests().keys() {
        assert!(WATCHED.contains(&name.as_str()), "{name} is a member of the workspace and not watched");
    }
}

#[test]
fn nothing_but_tests_depends_on_host() {
    for (name, manifest) in &manifests() {
        if name != "unet-tests" {
            assert!(
                dependencies(manifest).iter().all(|d| text(d, "name") != "unet-host"),
                "{name} depends on the host"
            );
        }
    }
}

#[test]
fn shared_names_only_what_is_listed() {
    let manifests = manifests();
    let normal = dependencies(&manifests["unet-shared"]).iter().filter(|d| d["kind"] != "dev");
    let (mut named, mut always) = (BTreeSet::new(), BTreeSet::new());
    for dependency in normal {
        named.insert(text(dependency, "name"));
        if dependency["optional"] == false {
            always.insert(text(dependency, "name"));
        }
    }
    assert_eq!(named, BTreeSet::from(SHARED_DEPENDENCIES));
    assert_eq!(always, BTreeSet::from(["heapless"]), "dependencies of unet-shared without features");
    assert_eq!(manifests["unet-shared"]["features"].get("default"), None, "shared's default features");
}

#[test]
fn only_the_host_reaches_burn_with_any_feature_on_any_platform() {
    let graph = locked_graph();
    for name in ["unet-edge", "unet-engine", "unet-data", "unet-shared", "unet-kernels"] {
        let found: Vec<_> = reached(&graph, name).into_iter().filter(|n| is_burn(n)).collect();
        assert!(found.is_empty(), "{name} reaches {found:?}");
    }
    for name in ["unet-data", "unet-kernels"] {
        assert!(!reached(&graph, name).iter().any(|n| n.starts_with("tract-")), "{name} reaches tract");
    }
    // The search does find burn where it is.
    assert!(reached(&graph, "unet-host").iter().any(|n| n == "burn"));
}
