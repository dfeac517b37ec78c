//! The package and the compute kernel that runs it.

use std::io;
use std::path::Path;

use super::Finding;
use crate::config::Config;
use unet_engine::error::chain;
use unet_engine::inference::kernel::Kernel;
use unet_engine::inference::{Description, Engine, EngineOptions, InferenceError, KernelChoice};
use unet_engine::package::{Package, PackageError};

const SUBJECT: &str = "package";

pub(super) fn examine(config: Option<&Config>) -> Vec<Finding> {
    let Some(config) = config else { return vec![kernel(None, KernelChoice::Auto, 1)] };
    let EngineOptions { kernel: choice, threads } = config.engine;
    let (mut findings, description) = package(&config.package, &config.engine, config);
    findings.push(kernel(description.as_ref(), choice, threads));
    findings
}

/// Loads it as the program would, and runs its golden vectors.
fn package(path: &Path, options: &EngineOptions, config: &Config) -> (Vec<Finding>, Option<Description>) {
    let package = match Package::read(path) {
        Ok(package) => package,
        Err(error) => {
            let advice = match &error {
                PackageError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    "copy it there, or fix the path; relative paths start at the working directory of the program"
                }
                PackageError::Read { .. } => "grant the user read permission",
                _ => "copy it again; if that does not help, create it again with unet-host of this version",
            };
            return (vec![Finding::problem(SUBJECT, chain(&error), advice)], None);
        }
    };
    let manifest = &package.manifest;
    let engine = match Engine::load_with(&package, options) {
        Ok(engine) => engine,
        Err(error) => {
            let found = format!("{} was rejected: {}", path.display(), chain(&error));
            let advice = match error {
                InferenceError::TractLogits { .. } => "kernel = \"auto\" runs the integer engine",
                _ => {
                    "create it again with unet-host of this version; try kernel = \"scalar\" to rule out a faulty kernel"
                }
            };
            return (vec![Finding::problem(SUBJECT, found, advice)], None);
        }
    };
    let golden = manifest.golden.len();
    let found = format!("{}: {}, golden vectors {golden} of {golden} passed", path.display(), manifest.name);
    let mut findings = vec![Finding::ok(SUBJECT, found)];
    let classes: Vec<&str> = manifest.classes.iter().map(|class| class.name.as_str()).collect();
    if let Err(errors) = config.resolve(&classes) {
        let advice = "configure classes of this package, or use the package that the configuration was written for";
        let problem = |error: &crate::config::ConfigError| {
            Finding::problem("configuration", format!("{}:{}: {}", errors.file, error.line, error.problem), advice)
        };
        findings.extend(errors.errors.iter().map(problem));
    }
    (findings, Some(engine.describe()))
}

fn kernel(description: Option<&Description>, choice: KernelChoice, threads: usize) -> Finding {
    const SUBJECT: &str = "kernel";
    let best = Kernel::best();
    let available: Vec<_> =
        Kernel::ALL.iter().filter(|kernel| kernel.is_available()).map(|kernel| kernel.name()).collect();
    let runs = match (description, choice) {
        (Some(description), _) => format!("{} runs", description.kernel),
        (None, KernelChoice::Auto) => format!("{best} would run"),
        (None, KernelChoice::Only(kernel)) => format!("{kernel} would run"),
        (None, KernelChoice::Tract) => "tract would run".to_owned(),
    };
    let found = format!("{runs}, threads {threads}; this CPU supports {}", available.join(", "));
    let cores = std::thread::available_parallelism().map_or(threads, usize::from);
    if let Some(description) = description
        && let Some(reason) = &description.left_to_tract
        && choice != KernelChoice::Tract
    {
        let advice = "it runs, but slowly; export and quantize the model with unet-host";
        let share = if description.nodes.is_empty() { "the whole graph" } else { "a part of the graph" };
        Finding::warning(SUBJECT, format!("{found}; tract runs {share}: {reason}"), advice)
    } else if choice != KernelChoice::Auto && choice != KernelChoice::Only(best) {
        Finding::warning(SUBJECT, found, format!("kernel = \"auto\" selects {best}, which is faster"))
    } else if threads > cores {
        let found = format!("{found}; cores {cores}");
        Finding::warning(SUBJECT, found, format!("threads = {cores} or fewer is faster"))
    } else if best == Kernel::Scalar {
        Finding::warning(SUBJECT, found, "only the slow reference; a 64-bit operating system has faster kernels")
    } else {
        Finding::ok(SUBJECT, found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn tiny(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("tiny.unet");
        let (manifest, members) = unet_test_support::tiny_package::parts();
        unet_engine::package::write(&path, manifest, members).unwrap();
        path
    }

    fn config(package: &Path, rest: &str) -> Config {
        let text = format!("package = {package:?}\n{rest}\n[source]\nkind = \"y4m\"\npath = \"-\"\n");
        crate::config::parse("a.toml", &text).unwrap()
    }

    fn findings(config: &Config) -> Vec<(Verdict, String)> {
        examine(Some(config)).into_iter().map(|finding| (finding.verdict, finding.found)).collect()
    }

    #[test]
    fn a_package_is_loaded_and_its_classes_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = tiny(folder.path());
        let found = findings(&config(&path, ""));
        assert_eq!(found[0], (Verdict::Ok, format!("{}: tiny, golden vectors 1 of 1 passed", path.display())));
        assert!(found.len() == 2 && found[1].1.starts_with(&format!("{} runs", Kernel::best())), "{found:?}");
        let found = findings(&config(&path, "[regions]\nwithout = [\"darkk\"]"));
        assert_eq!(found[1].0, Verdict::Problem);
        assert!(
            found[1].1.starts_with("a.toml:3: regions: without: ") && found[1].1.contains("dark, bright"),
            "{found:?}"
        );
    }

    #[test]
    fn a_package_that_cannot_be_loaded_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent.unet");
        let found = findings(&config(&absent, ""));
        assert!(found[0].0 == Verdict::Problem && found[0].1.contains("absent.unet"), "{found:?}");
        let path = tiny(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[700] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        let found = findings(&config(&path, ""));
        assert!(found[0].0 == Verdict::Problem && found[0].1.contains("is damaged"), "{found:?}");
    }

    #[test]
    fn a_slower_kernel_than_the_best_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = tiny(folder.path());
        if Kernel::best() != Kernel::Scalar {
            let found = findings(&config(&path, "[engine]\nkernel = \"scalar\""));
            assert!(found[1].0 == Verdict::Warning && found[1].1.starts_with("scalar runs"), "{found:?}");
        }
        assert_eq!(kernel(None, KernelChoice::Tract, 1).verdict, Verdict::Warning);
        assert_eq!(kernel(None, KernelChoice::Auto, 10_000).verdict, Verdict::Warning);
    }
}
