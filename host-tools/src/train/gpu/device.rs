//! Finds the device that was asked for, or says which ones there are.

use crate::error::{Error, Result};
use crate::train::Device;
use burn_tensor::{Device as BurnDevice, DeviceKind, DeviceType};
use std::sync::OnceLock;

/// Opens a device.
///
/// # Errors
/// If it is not there, or this build or system has no such kind; names the devices that are.
pub(in crate::train) fn open(device: Device) -> Result<BurnDevice> {
    let is_apple = cfg!(target_vendor = "apple");
    let found = match device {
        Device::Vulkan if !is_apple => wgpu().map(|()| BurnDevice::wgpu(DeviceKind::DefaultDevice)),
        Device::Metal if is_apple => wgpu().map(|()| BurnDevice::wgpu(DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        Device::Cuda if has_devices(DeviceType::Cuda) => Some(BurnDevice::cuda(0)),
        _ => None,
    };
    found.ok_or_else(|| {
        let note = match device {
            Device::Cuda if !cfg!(feature = "cuda") => ", in a build without the feature cuda",
            Device::Vulkan if is_apple => ", on an Apple machine",
            Device::Metal if !is_apple => ", on a machine that is not Apple's",
            _ => ", which is not there",
        };
        Error::invalid("device", format!("{device}{note}"), available().join(", "))
    })
}

/// Whether wgpu has a device; looked for once, since every look starts all drivers.
fn wgpu() -> Option<()> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    FOUND.get_or_init(|| has_devices(DeviceType::Wgpu)).then_some(())
}

/// Enumerating loads the driver, which may panic inside the framework where there is none.
fn has_devices(kind: DeviceType) -> bool {
    !list(kind).is_empty()
}

fn list(kind: DeviceType) -> Vec<BurnDevice> {
    std::panic::catch_unwind(|| BurnDevice::enumerate(kind).into_vec()).unwrap_or_default()
}

/// The devices of this machine, as `--device` names them, with the hardware's name.
fn available() -> Vec<String> {
    let mut names = vec!["cpu".to_string()];
    let wgpu = if cfg!(target_vendor = "apple") { Device::Metal } else { Device::Vulkan };
    let mut add = |kind, device: Device| {
        for found in list(kind) {
            let name = found.identity().map_or_else(|| format!("{found:?}"), |identity| identity.name);
            names.push(format!("{device} ({name})"));
        }
    };
    add(DeviceType::Wgpu, wgpu);
    #[cfg(feature = "cuda")]
    add(DeviceType::Cuda, Device::Cuda);
    names
}
