#!/usr/bin/env bash
# Builds the C library and installs it; see the help below.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TEXT'
usage: bindings/c/install.sh [--prefix DIR] [--libdir DIR] [--built DIR]

Builds vidcache for C (cargo, in release mode) and installs into DIR, /usr/local by default:

  include/vidcache.h, vidcache.hpp
  lib/libvidcache.so → .so.ABI → .so.VERSION   exports the header's functions and nothing else
  lib/libvidcache.a                            the same; its SQLite and its Rust are local to it
  lib/pkgconfig/vidcache.pc                    pkg-config [--static] --cflags --libs vidcache
  lib/cmake/vidcache/                          find_package(vidcache): vidcache::vidcache, vidcache::static
  share/man/man3/vidcache.3                    where doxygen is installed
  share/doc/vidcache/                          licences; the notices of third parties, and the bill of materials, where
                                               Python is installed

--built installs the libraries that are in DIR, bin/platform's above all, and builds none. DESTDIR is put before the
prefix, as packagers expect. Needs Rust, binutils and nothing else.
TEXT
}

prefix=/usr/local libdir='' built=''
while [ $# -gt 0 ]; do
  case $1 in
    --prefix | --libdir | --built)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      declare "${1#--}=$2"
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
case $prefix in /*) ;; *) echo "install.sh: the prefix must begin with /" >&2; exit 2 ;; esac
libdir=${libdir:-$prefix/lib}
root=${DESTDIR-}

if [ -z "$built" ]; then
  cargo build --release --locked --package vidcache-c >&2
  built=${CARGO_TARGET_DIR:-target}/release
fi
header=include/vidcache.h
version=$(sed -n 's/^#define VIDCACHE_VERSION "\(.*\)"/\1/p' "$header")
abi=$(sed -n 's/^#define VIDCACHE_ABI_VERSION //p' "$header")
lib=$root$libdir
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

install -d "$root$prefix/include" "$lib/pkgconfig" "$lib/cmake/vidcache"
install -m 644 include/vidcache.h include/vidcache.hpp "$root$prefix/include"
install -m 755 "$built/libvidcache_c.so" "$lib/libvidcache.so.$version"
ln -sf "libvidcache.so.$version" "$lib/libvidcache.so.$abi"
ln -sf "libvidcache.so.$abi" "$lib/libvidcache.so"

# Cargo's archive has SQLite's names and Rust's in it: a program with a SQLite of its own, or another Rust library, would
# get one of two at random. One object, of what the functions need, with all names but theirs made local.
mapfile -t names <bindings/c/symbols.txt
ld -r --gc-sections --force-group-allocation "${names[@]/#/--undefined=}" "$built/libvidcache_c.a" -o "$scratch/vidcache.o"
# Without the bitcode of Rust's library, which linkers' plugins of another LLVM fail at.
objcopy --remove-section=.llvmbc --remove-section=.llvmcmd --keep-global-symbols=bindings/c/symbols.txt --strip-debug "$scratch/vidcache.o"
(cd "$scratch" && ar rcsD libvidcache.a vidcache.o)
install -m 644 "$scratch/libvidcache.a" "$lib/libvidcache.a"

# What Rust's library takes of the system's. The compiler itself adds what unwinds (libgcc_s, or libgcc_eh to a program
# that is static altogether, of which there is no libgcc_s).
system_libraries="-lutil -lrt -lpthread -lm -ldl"
cat >"$lib/pkgconfig/vidcache.pc" <<TEXT
prefix=$prefix
includedir=\${prefix}/include
libdir=$libdir

Name: vidcache
Description: May this page's HubSpot snippet name the user's email?
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lvidcache
Libs.private: $system_libraries
TEXT

sed -e "s|@VERSION@|$version|g; s|@ABI@|$abi|g; s|@INCLUDE@|$prefix/include|g; s|@LIBRARIES@|${system_libraries// /;}|g" \
  bindings/c/vidcache-config.cmake.in >"$lib/cmake/vidcache/vidcache-config.cmake"
cat >"$lib/cmake/vidcache/vidcache-config-version.cmake" <<TEXT
set(PACKAGE_VERSION "$version")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION OR PACKAGE_FIND_VERSION_MAJOR GREATER "${version%%.*}"
   OR PACKAGE_FIND_VERSION_MAJOR LESS "${version%%.*}")
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
TEXT

if command -v doxygen >/dev/null; then
  (cat bindings/c/Doxyfile && echo "OUTPUT_DIRECTORY=$scratch/man") | doxygen - >"$scratch/doxygen.log" 2>&1 ||
    { cat "$scratch/doxygen.log" >&2; exit 1; }
  install -d "$root$prefix/share/man/man3"
  # Named for the library, not for the file.
  sed -e 's|^\.TH "[^"]*"|.TH "VIDCACHE"|; s|^include/vidcache.h |vidcache |' "$scratch/man/man/man3/vidcache.h.3" >"$scratch/vidcache.3"
  install -m 644 "$scratch/vidcache.3" "$root$prefix/share/man/man3/vidcache.3"
else
  echo "install.sh: no man page: doxygen is not installed" >&2
fi
documents=$root$prefix/share/doc/vidcache
install -d "$documents"
install -m 644 LICENSE-APACHE LICENSE-MIT "$documents"
if command -v python3 >/dev/null; then
  bin/notices c >"$documents/THIRD-PARTY.txt"
  bin/notices c --bill >"$documents/SBOM.cdx.json"
else
  echo "install.sh: no notices of third parties, which whoever passes the library on must add: python3 is not installed" >&2
fi
echo "vidcache $version is in $root$prefix" >&2
