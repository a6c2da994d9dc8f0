#!/usr/bin/env bash
# Installs what firmware-test and arm-test need: libraries of the targets, cross linkers, QEMU.
# Safe to run again. Needs root for packages, not for rustup's own targets.
#
#   TARGETS="..."   the targets to prepare (default: all below)
#   C_FIRMWARE=1    also arm-none-eabi-gcc and newlib (800 MB), for C on bare metal
#
# Where rustup can add the targets it does. Where it cannot, on Debian or Ubuntu, the distribution's
# own compiler and its sources stand in, linked as the toolchain `debian`; `cargo xtask` finds either.
set -euo pipefail

BARE="thumbv6m-none-eabi thumbv7m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf"
LINUX="aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf"
TARGETS=${TARGETS:-$BARE $LINUX}
PACKAGES="qemu-system-arm qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  gcc-arm-linux-gnueabihf libc6-dev-armhf-cross pkg-config valgrind ${C_FIRMWARE:+gcc-arm-none-eabi libnewlib-arm-none-eabi}"
export DEBIAN_FRONTEND=noninteractive

SUDO=
[ "$(id -u)" = 0 ] || SUDO=sudo
apt() { $SUDO apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }
installed() { dpkg-query -W -f='${db:Status-Status}\n' "$@" 2>/dev/null | grep -vqx installed && return 1; dpkg-query -W "$@" >/dev/null 2>&1; }
install_packages() {
  # shellcheck disable=SC2086
  installed "$@" && return
  apt update || true
  apt install -y --no-install-recommends "$@"
}

command -v apt-get >/dev/null || { echo "no apt here: install QEMU and the cross linkers by hand, then rustup target add $TARGETS"; exit 1; }
# shellcheck disable=SC2086
install_packages $PACKAGES

# shellcheck disable=SC2086
if rustup target add $TARGETS 2>/dev/null; then
  echo "rustup has the targets"
  exit 0
fi

install_packages rustc-web cargo-web rust-web-src lld-22
RL=/usr/lib/rustlib
HOST=$RL/$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
VERSION=$(dpkg-query -W -f='${Version}' libstd-rust-web-dev)
$SUDO mkdir -p "$HOST/bin"
$SUDO ln -sf /usr/bin/lld-22 "$HOST/bin/rust-lld"
rustup toolchain link debian /usr

T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
ready() { [ "$(cat "$RL/$1/.stamp" 2>/dev/null)" = "$VERSION" ]; }
stamp() { echo "$VERSION" | $SUDO tee "$RL/$1/.stamp" >/dev/null; }

# The distribution's own library of 64-bit ARM, unpacked beside the host's. A private apt state: no
# foreign architecture is added to the system.
arm64() {
  local name=aarch64-unknown-linux-gnu
  ready $name && return
  mkdir -p "$T"/lists/partial "$T"/cache/archives/partial
  cat > "$T/apt.conf" <<CONF
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State::lists "$T/lists";
Dir::Cache "$T/cache";
CONF
  (cd "$T" && APT_CONFIG=$T/apt.conf apt-get -q update && APT_CONFIG=$T/apt.conf apt-get -q download "libstd-rust-web-dev:arm64=$VERSION")
  $SUDO rm -rf "${RL:?}/$name"
  dpkg-deb --fsys-tarfile "$T"/libstd-rust-web-dev_*_arm64.deb | $SUDO tar -x -C / ./usr/lib/rustlib/$name
  stamp $name
}

# Libraries built once from the distribution's sources, so that the project needs no nightly flag.
from_source() { # crates, targets...
  local crates=$1 need=() t
  shift
  for t in "$@"; do ready "$t" || need+=("$t"); done
  [ ${#need[@]} -gt 0 ] || return 0
  local dir=$T/${crates//,/-}
  mkdir -p "$dir/src"
  echo '#![no_std]' > "$dir/src/lib.rs"
  printf '[package]\nname = "s"\nversion = "0.0.0"\nedition = "2021"\n[profile.release]\nopt-level = 3\ncodegen-units = 1\n[workspace]\n' > "$dir/Cargo.toml"
  (cd "$dir" && RUSTC_BOOTSTRAP=1 RUSTFLAGS="-C embed-bitcode=yes" nice cargo +debian build -q --release \
    --target-dir "$dir/target" -Z build-std="$crates" "${need[@]/#/--target=}")
  for t in "${need[@]}"; do
    $SUDO rm -rf "${RL:?}/$t"
    $SUDO mkdir -p "$RL/$t/lib"
    find "$dir/target/$t/release/deps" -name 'lib*.rlib' ! -name 'libs-*' -exec $SUDO cp {} "$RL/$t/lib/" \;
    stamp "$t"
  done
}

bare=() hard=()
for t in $TARGETS; do
  case $t in
    *-none-*) bare+=("$t") ;;
    aarch64-unknown-linux-gnu) arm64 ;;
    *) hard+=("$t") ;;
  esac
done
[ ${#bare[@]} -eq 0 ] || from_source core,alloc "${bare[@]}"
[ ${#hard[@]} -eq 0 ] || from_source std,panic_abort "${hard[@]}"
rustc +debian -V
