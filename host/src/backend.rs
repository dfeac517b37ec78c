//! The backends of burn that the program can compute with.

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// A backend of burn that `--backend` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// burn's own CPU backend: the default.
    Flex,
    /// The CPU backend on ndarray.
    Ndarray,
    /// NVIDIA cards.
    Cuda,
    /// Vulkan, Metal or DirectX 12.
    Wgpu,
}

/// A backend that cannot be used here.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The program was built without it.
    #[error(
        "this program was built without the backend {name}; available: {built_in}; to add it: cargo build --release -p unet-host \
         --features {name}"
    )]
    NotBuiltIn {
        /// The requested backend.
        name: &'static str,
        /// The backends that are built in.
        built_in: String,
    },
    /// It is built in, but has no device or driver.
    #[error("backend {name} found no device: {advice}")]
    NoDevice {
        /// The requested backend.
        name: &'static str,
        /// What to do.
        advice: &'static str,
    },
}

impl Default for Backend {
    /// The first one that is built in.
    fn default() -> Self {
        Self::built_in().first().copied().unwrap_or(Self::Flex)
    }
}

impl Backend {
    /// The name, as `--backend` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        }
    }

    /// The backends that the program was built with.
    pub fn built_in() -> Vec<Self> {
        let all = [
            (Self::Flex, cfg!(feature = "flex")),
            (Self::Ndarray, cfg!(feature = "ndarray")),
            (Self::Cuda, cfg!(feature = "cuda")),
            (Self::Wgpu, cfg!(feature = "wgpu")),
        ];
        all.into_iter().filter(|(_, built)| *built).map(|(backend, _)| backend).collect()
    }

    /// The device to compute on, without automatic differentiation.
    ///
    /// # Errors
    /// If the backend is not built in, or its driver or device is missing.
    pub fn device(self) -> Result<Device, BackendError> {
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            #[expect(
                deprecated,
                reason = "burn deprecates its ndarray backend; this project offers it as long as burn has it"
            )]
            Self::Ndarray => Ok(Device::ndarray()),
            #[cfg(feature = "cuda")]
            Self::Cuda => first_device(
                burn::tensor::DeviceType::Cuda,
                self.name(),
                "install the NVIDIA driver so that `nvidia-smi` lists a card, or train with --backend flex",
            ),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => first_device(
                burn::tensor::DeviceType::Wgpu,
                self.name(),
                "install a Vulkan driver so that `vulkaninfo` lists a card, or train with --backend flex",
            ),
            #[allow(unreachable_patterns, reason = "unreachable if every backend is built in")]
            _ => Err(BackendError::NotBuiltIn {
                name: self.name(),
                built_in: Self::built_in().iter().map(|b| b.name()).collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

/// The first device of a kind whose driver is loaded at run time. The driver's wrapper may panic if the driver is missing,
/// which counts as no device.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn first_device(
    kind: burn::tensor::DeviceType,
    name: &'static str,
    advice: &'static str,
) -> Result<Device, BackendError> {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = std::panic::catch_unwind(|| Device::enumerate(kind).into_iter().next());
    std::panic::set_hook(quiet);
    found.ok().flatten().ok_or(BackendError::NoDevice { name, advice })
}

/// The device for unit tests.
#[cfg(test)]
pub(crate) fn test_device() -> Device {
    Backend::built_in()[0].device().expect("the first backend is built in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_not_built_in_says_how_to_get_it() {
        for backend in [Backend::Flex, Backend::Ndarray, Backend::Cuda, Backend::Wgpu] {
            if Backend::built_in().contains(&backend) {
                continue;
            }
            let message = backend.device().expect_err("not built in").to_string();
            assert!(message.contains(&format!("--features {}", backend.name())), "{message}");
        }
    }
}
