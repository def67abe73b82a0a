# frozen_string_literal: true

# Writes the Makefile that builds the extension with cargo. `rake compile` runs both, as does `gem install`.

require "rbconfig"

config = RbConfig::CONFIG
crate = __dir__

runs = lambda do |program|
  system(program, "--version", out: File::NULL, err: File::NULL)
end

cargo = ENV.fetch("CARGO", "cargo")
unless runs.call(cargo)
  abort "vidcache: cargo was not found; install Rust 1.89 or newer (https://rustup.rs), or set CARGO to its path."
end

# Where clang-sys, which reads Ruby's headers for the build, looks for it.
libclang = [ENV["LIBCLANG_PATH"], "/usr/lib/llvm*/lib", "/usr/lib*/**", "/usr/local/{lib*,llvm*/lib,opt/llvm*/lib}",
  "/opt/homebrew/opt/llvm*/lib", "/Library/Developer/CommandLineTools/usr/lib",
  "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib"].compact
unless libclang.any? { |folder| File.file?(folder) || Dir.glob("#{folder}/libclang{,-*}.{so,dylib}*").any? }
  abort "vidcache: libclang was not found; install it (Debian: libclang-dev, Alpine: clang-dev, macOS: " \
    "xcode-select --install), or set LIBCLANG_PATH to its folder."
end

built = "#{config["host_os"].include?("darwin") ? "libvidcache_ruby.dylib" : "libvidcache_ruby.so"}"
library = "vidcache.#{config["DLEXT"]}"
workspace = IO.popen([cargo, "metadata", "--no-deps", "--locked", "--format-version=1", "--manifest-path=#{crate}/Cargo.toml"], &:read)
target = workspace[/"target_directory":"([^"]+)"/, 1] or abort "vidcache: cargo metadata failed in #{crate}."

# Variables that RubyGems and rake set, under the names that mkmf gives them.
File.write("Makefile", <<~MAKEFILE)
  CARGO = #{cargo}
  RUBY = #{RbConfig.ruby}
  DESTDIR =
  sitearchdir = #{config["sitearchdir"]}
  RUBYARCHDIR = $(sitearchdir)/vidcache

  .PHONY: all install clean distclean
  all:
  \tRUBY="$(RUBY)" $(CARGO) build --release --locked -p vidcache-ruby --manifest-path "#{crate}/Cargo.toml"
  \trm -f #{library} && cp "#{target}/release/#{built}" #{library}

  # Removed first: a process that has the old one mapped keeps it.
  install: all
  \tmkdir -p "$(DESTDIR)$(RUBYARCHDIR)"
  \trm -f "$(DESTDIR)$(RUBYARCHDIR)/#{library}"
  \tcp #{library} "$(DESTDIR)$(RUBYARCHDIR)/#{library}"
  \tchmod 755 "$(DESTDIR)$(RUBYARCHDIR)/#{library}"

  clean:
  \trm -f #{library}

  distclean: clean
  \trm -f Makefile
MAKEFILE
