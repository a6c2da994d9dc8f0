#!/usr/bin/env bash
# Installs what `cargo xtask gpu-test` needs: Mesa's Vulkan drivers, among them lavapipe, which runs on the
# CPU. Safe to run again. Where there is no apt, a Vulkan driver must be there already.
set -euo pipefail
command -v apt-get >/dev/null || exit 0
dpkg-query -W -f='${db:Status-Status}\n' mesa-vulkan-drivers libvulkan1 2>/dev/null | grep -cx installed | grep -qx 2 && exit 0
SUDO=
[ "$(id -u)" = 0 ] || SUDO=sudo
export DEBIAN_FRONTEND=noninteractive
$SUDO apt-get -q -o DPkg::Lock::Timeout=300 update || true
$SUDO apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends mesa-vulkan-drivers libvulkan1
