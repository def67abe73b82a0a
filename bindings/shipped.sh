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
  RUSTFLAGS+=" --remap-path-prefix=$(rustc --print sysroot)=/rust --remap-path-prefix=$tools=/rust"
  case ${CARGO_TARGET_DIR-} in
    "" | "$checkout"/*) ;;
    *) RUSTFLAGS+=" --remap-path-prefix=$CARGO_TARGET_DIR=/vidcache/target" ;;
  esac
  export RUSTFLAGS
}

# for_older_systems : what is built for this machine's platform runs with $glibc, too, where zig is there to link it.
for_older_systems() {
  local host name cc=$checkout/tmp/shipped/cc
  host=$(rustc -vV | sed -n 's/^host: //p')
  [[ $host = *-linux-gnu ]] && [ -x "$tools/bin/cargo-zigbuild" ] || return 0
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
$tools/bin/cargo-zigbuild zig cc -- -fno-sanitize=all -target ${host/-unknown/}.$glibc "\$@" || exit
[ -z "\${stripped-}" ] || strip --strip-debug "\$output"
TEXT
  chmod +x "$cc"
  name=${host//-/_}
  export "CC_$name=$cc" "CARGO_TARGET_${name^^}_LINKER=$cc"
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
