# Sourced by what builds packages, at the top of the checkout: how the compilers make what is shipped.

# What bin/setup platform has installed, and the oldest glibc that packages are for.
checkout=$PWD
tools=$checkout/tmp/platform/tools
glibc=2.28

# nothing_of_this_machine : no path of it is in what is built.
# https://doc.rust-lang.org/rustc/command-line-arguments.html
nothing_of_this_machine() {
  local cargo=${CARGO_HOME:-$HOME/.cargo}
  RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }--remap-path-prefix=$checkout=/vidcache --remap-path-prefix=$cargo/registry/src=/crates"
  RUSTFLAGS+=" --remap-path-prefix=$(rustc --print sysroot)=/rust --remap-path-prefix=$(realpath "$tools" 2>/dev/null || echo "$tools")=/rust"
  case ${CARGO_TARGET_DIR-} in
    "" | "$checkout"/*) ;;
    *) RUSTFLAGS+=" --remap-path-prefix=$CARGO_TARGET_DIR=/vidcache/target" ;;
  esac
  export RUSTFLAGS
}

# as_zig TRIPLE : as zig calls it.
as_zig() {
  local of=${1/-unknown/}
  # Zig has another name for the processor.
  of=${of/#i686/x86}
  [[ $1 != *gnu ]] || of=$of.$glibc
  echo "$of"
}

# by_zig TRIPLE : what is built for it is compiled and linked by zig.
by_zig() {
  local name=${1//-/_} of cc
  of=$(as_zig "$1")
  cc=$checkout/tmp/shipped/$of
  mkdir -p "${cc%/*}"
  # As cargo-zigbuild links for another platform; here no option names one, so that cargo's folders are as they are. For
  # --strip-debug zig would take the names, too, of which UniFFI makes its languages' parts.
  cat >"$cc" <<TEXT
#!/bin/sh
for word; do
  shift
  case \$word in -Wl,--strip-debug) stripped=yes; continue ;; esac
  [ "\${previous-}" != -o ] || output=\$word
  previous=\$word
  set -- "\$@" "\$word"
done
export CARGO_ZIGBUILD_ZIG_COMMAND=$tools/bin/python CARGO_ZIGBUILD_ZIG_COMMAND_ARGS="-m ziglang"
$tools/bin/cargo-zigbuild zig cc -- -fno-sanitize=all -target $of "\$@" || exit
[ -z "\${stripped-}" ] || strip --strip-debug "\$output"
TEXT
  chmod +x "$cc"
  export "CC_$name=$cc" "CARGO_TARGET_${name^^}_LINKER=$cc"
}

# for_older_systems : what is built for this machine's platform runs with $glibc, too, and on a musl without libgcc_s, which
# Rust asks for there and many images of Alpine lack; where zig is there to link it.
for_older_systems() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  [[ $host = *-linux-* ]] && [ -x "$tools/bin/cargo-zigbuild" ] || return 0
  by_zig "$host"
}

# standard_library TRIPLE : cargo has Rust's own for it, or builds it; fails where its sources are not here either.
standard_library() {
  local sysroot sources
  sysroot=$(rustc --print sysroot)
  [ ! -d "$sysroot/lib/rustlib/$1/lib" ] || return 0
  if [ ! -d "$sysroot/lib/rustlib/src/rust/library" ]; then
    # Cargo mixes their absolute path into every name that it makes: one path for all clones that share the tools.
    sources=$(realpath -e "$tools/rust-$(rustc --version | cut -d' ' -f2)/library" 2>/dev/null) || return 1
    export __CARGO_TESTS_ONLY_SRC_ROOT=$sources
  fi
  # What cargo has on nightly alone: -Zbuild-std.
  export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind
}

musl=$(uname -m)-unknown-linux-musl

# can_have_musl : whether for_musl has what it needs, and what is built so can be run: maturin runs a part of it.
can_have_musl() { [ -x "$tools/bin/cargo-zigbuild" ] && [ -e "/lib/ld-musl-$(uname -m).so.1" ] && (standard_library "$musl"); }

# for_musl : what cargo builds is for musl, on this machine's processor.
for_musl() {
  by_zig "$musl"
  standard_library "$musl" || return
  # A shared library cannot be made with a C library that is linked in.
  export CARGO_BUILD_TARGET=$musl RUSTFLAGS="$RUSTFLAGS -Ctarget-feature=-crt-static"
}

# SQLite's JSON, and its loading of extensions, for which it keeps every function that it has: 0.13 MB more than what a
# build in the checkout leaves out. And what zstd has for levels of compression above the command's, and to decode faster
# than rows are read: 0.1 MB.
without_what_nothing_asks_for() {
  local what flags
  flags=$(sed -n 's/^LIBSQLITE3_FLAGS = "\(.*\)"/\1/p' "$checkout/.cargo/config.toml")
  export LIBSQLITE3_FLAGS="$flags -DSQLITE_OMIT_JSON -DSQLITE_OMIT_LOAD_EXTENSION"
  export CFLAGS="${CFLAGS:+$CFLAGS }-DHUF_FORCE_DECOMPRESS_X1 -DZSTD_FORCE_DECOMPRESS_SEQUENCES_SHORT -DDYNAMIC_BMI2=0"
  for what in GREEDY LAZY LAZY2 BTLAZY2 BTOPT BTULTRA; do CFLAGS+=" -DZSTD_EXCLUDE_${what}_BLOCK_COMPRESSOR"; done
}

# compiled COMMAND… : runs it by these. Other flags than the tests' have a folder of their own.
compiled() {
  (
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$checkout/target}/shipped
    nothing_of_this_machine
    without_what_nothing_asks_for
    for_older_systems
    "$@"
  )
}
