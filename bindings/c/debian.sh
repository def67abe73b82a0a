#!/usr/bin/env bash
# Builds Debian's packages of the C library; see the help below.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TEXT'
usage: bindings/c/debian.sh [--built DIR] [FOLDER]

Builds into FOLDER, the current one by default, of what bindings/c/install.sh installs:

  libvidcacheABI_VERSION_ARCH.deb     the library, and what is told of third parties' code in it
  libvidcache-dev_VERSION_ARCH.deb    header, archive, pkg-config, CMake, man page

Of the time of SOURCE_DATE_EPOCH, or of the last commit. DEBFULLNAME and DEBEMAIL say who maintains them; without, the
address is that of the last commit. Needs dpkg-dev besides what install.sh needs.
TEXT
}

built=()
case ${1-} in
  -h | --help) usage; exit 0 ;;
  --built) built=(--built "${2:?a folder}"); shift 2 ;;
  -*) usage >&2; exit 2 ;;
esac
into=$(realpath "${1:-.}")
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
upstream=$(sed -n 's/^#define VIDCACHE_VERSION "\(.*\)"/\1/p' include/vidcache.h)
# Debian's own, if there will be one, takes its place: -1 and on.
version=$upstream-0upstream1
abi=$(sed -n 's/^#define VIDCACHE_ABI_VERSION //p' include/vidcache.h)
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
maintainer="${DEBFULLNAME:-The vidcache authors} <${DEBEMAIL:-$(git log -1 --format=%ae)}>"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umask 022

all=$scratch/all library=$scratch/libvidcache$abi development=$scratch/libvidcache-dev
DESTDIR=$all bindings/c/install.sh --prefix /usr --libdir "/usr/lib/$triplet" "${built[@]}"
mkdir -p "$library/usr/lib/$triplet" "$library/DEBIAN" "$development/DEBIAN"
mv "$all/usr/lib/$triplet"/libvidcache.so.* "$library/usr/lib/$triplet/"
strip --remove-section=.comment --remove-section=.note --strip-unneeded "$library/usr/lib/$triplet"/libvidcache.so.*.*
strip --remove-section=.comment --strip-debug --enable-deterministic-archives "$all/usr/lib/$triplet/libvidcache.a"
# A library is not a program.
chmod 644 "$library/usr/lib/$triplet"/libvidcache.so.*.*
mkdir -p "$development/usr/share"
mv "$all/usr/lib" "$all/usr/include" "$development/usr/"
if [ -d "$all/usr/share/man" ]; then
  mv "$all/usr/share/man" "$development/usr/share/"
  gzip -9n "$development"/usr/share/man/man3/*
fi

# What Debian asks of each: https://www.debian.org/doc/debian-policy/ch-docs.html
for package in "$library" "$development"; do
  documents=$package/usr/share/doc/${package##*/}
  mkdir -p "$documents"
  gzip -9nc CHANGELOG.md >"$documents/changelog.gz"
  printf '%s (%s) unstable; urgency=medium\n\n  * Built of the release of that number.\n\n -- %s  %s\n' vidcache "$version" "$maintainer" \
    "$(LC_ALL=C date --utc --rfc-email --date "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$documents/changelog.Debian.gz"
  {
    printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: vidcache\n\n'
    printf 'Files: *\nCopyright: %s\nLicense: Expat or Apache-2.0\n' "$(sed -n 's/^Copyright (c) //p' LICENSE-MIT)"
    printf 'Comment: What of others is compiled in, and its terms: THIRD-PARTY.txt of libvidcache%s.\n\n' "$abi"
    printf 'License: Expat\n'
    sed '1,4d; s/^$/./; s/^/ /' LICENSE-MIT
    printf '\nLicense: Apache-2.0\n On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0.\n'
  } >"$documents/copyright"
done
mv "$all"/usr/share/doc/vidcache/{THIRD-PARTY.txt,SBOM.cdx.json} "$library/usr/share/doc/libvidcache$abi/"
gzip -9n "$library/usr/share/doc/libvidcache$abi/THIRD-PARTY.txt" "$library/usr/share/doc/libvidcache$abi/SBOM.cdx.json"

# What the library itself asks for. dpkg-shlibdeps would take the glibc of this machine, where some functions have moved.
shared=$library/usr/lib/$triplet/libvidcache.so.$abi
needs="libc6 (>= $(readelf --version-info "$shared" | grep -o 'GLIBC_2[0-9.]*' | sort -uV | tail -n 1 | cut -d_ -f2))"
if readelf --dynamic "$shared" | grep 'NEEDED.*libgcc_s' >/dev/null; then needs+=", libgcc-s1"; fi

# dpkg-gensymbols reads debian/control where it stands.
mkdir "$scratch/debian"
printf 'Source: vidcache\n\nPackage: libvidcache%s\nArchitecture: %s\n' "$abi" "$architecture" >"$scratch/debian/control"
cd "$scratch"
dpkg-gensymbols -q -v"$version" -p"libvidcache$abi" -P"libvidcache$abi" -O"$library/DEBIAN/symbols"
# Which release a function came with is the changelog's to tell; a program needs a library that is no older.
sed -i "s/ $version\$/ $upstream/; 1a * Build-Depends-Package: libvidcache-dev" "$library/DEBIAN/symbols"
printf 'libvidcache %s libvidcache%s (>= %s)\n' "$abi" "$abi" "$upstream" >"$library/DEBIAN/shlibs"
printf 'activate-noawait ldconfig\n' >"$library/DEBIAN/triggers"

# control NAME SECTION DEPENDS SUMMARY : and what all descriptions share.
control() {
  cat <<TEXT
Package: $1
Source: vidcache
Version: $version
Architecture: $architecture
Multi-Arch: same
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$scratch/$1" | cut -f1)
Section: $2
Priority: optional
Depends: $3
Description: $4
 Answers of a local file which HubSpot contact a user is, and whether a page may
 name the user's email, so that a tracking snippet makes no duplicate contact
 while a change of the email is on its way.
TEXT
}
control "libvidcache$abi" libs "$needs" "identity cache for HubSpot's tracking snippet (library)" >"$library/DEBIAN/control"
control libvidcache-dev libdevel "libvidcache$abi (= $version)" "identity cache for HubSpot's tracking snippet (development)" >"$development/DEBIAN/control"

for package in "$library" "$development"; do
  (cd "$package" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  # dpkg-deb gives what is newer than the release the release's time, and sorts.
  find "$package" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group --build "$package" "$into/${package##*/}_${version}_$architecture.deb" >/dev/null
done
