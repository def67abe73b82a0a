# frozen_string_literal: true

# Writes the Makefile that builds the extension with cargo. `rake compile` runs both, as does `gem install`.

require "rbconfig"

config = RbConfig::CONFIG
crate = __dir__
# A built gem carries the core, a workspace of the two, and its lock file; in a checkout both are further up.
packaged = File.exist?(File.expand_path("../../Cargo.lock", crate))

runs = lambda do |program|
  system(program, "--version", out: File::NULL, err: File::NULL)
end

cargo = ENV.fetch("CARGO", "cargo")
abort "vidcache: cargo was not found; install Rust 1.89 or newer (https://rustup.rs), or set CARGO to its path." unless runs.call(cargo)

# Where clang-sys, which reads Ruby's headers for the build, looks for it.
libclang = [ENV.fetch("LIBCLANG_PATH", nil), "/usr/lib/llvm*/lib", "/usr/lib*/**", "/usr/local/{lib*,llvm*/lib,opt/llvm*/lib}",
            "/opt/homebrew/opt/llvm*/lib", "/Library/Developer/CommandLineTools/usr/lib",
            "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib"].compact
unless libclang.any? { |folder| File.file?(folder) || Dir.glob("#{folder}/libclang{,-*}.{so,dylib}*").any? }
  abort "vidcache: libclang was not found; install it (Debian: libclang-dev, Alpine: clang-dev, macOS: " \
        "xcode-select --install), or set LIBCLANG_PATH to its folder."
end

if packaged
  # The rb_sys gem knows how to build for other platforms than this one. Only a gem's own crate has the name it expects.
  begin
    require "rb_sys/mkmf"
    require "mkmf"
    create_rust_makefile("vidcache/vidcache") do |rust|
      rust.profile = :release
      rust.extra_cargo_args = ["--locked"]
      rust.clean_after_install = true
    end
    return
  rescue LoadError
    target = File.join(Dir.pwd, "target")
  end
else
  workspace = IO.popen([cargo, "metadata", "--no-deps", "--locked", "--format-version=1", "--manifest-path=#{crate}/Cargo.toml"],
                       err: File::NULL, &:read)
  target = workspace[/"target_directory":"([^"]+)"/, 1]
  abort "vidcache: the core's sources are not here; a gem is built from a checkout by `rake gem`." unless target
end

# Of another platform than the compiler's own, if cargo is told so.
release = [target, ENV.fetch("CARGO_BUILD_TARGET", nil), "release"].compact.join("/")
built = "lib#{packaged ? "vidcache" : "vidcache_ruby"}.#{config["host_os"].include?("darwin") ? "dylib" : "so"}"
library = "vidcache.#{config["DLEXT"]}"

# Variables that RubyGems and rake set, under the names that mkmf gives them.
File.write("Makefile", <<~MAKEFILE)
  CARGO = #{cargo}
  RUBY = #{RbConfig.ruby}
  DESTDIR =
  sitearchdir = #{config["sitearchdir"]}
  RUBYARCHDIR = $(sitearchdir)/vidcache

  .PHONY: all install clean distclean
  all:
  \tRUBY="$(RUBY)" $(CARGO) rustc --release --locked --lib --package vidcache-ruby --manifest-path "#{crate}/Cargo.toml" --target-dir "#{target}"
  \tcp "#{release}/#{built}" #{library}.$$$$ && mv -f #{library}.$$$$ #{library}

  # Renamed into its place: a process that has the old one mapped keeps it, and one that loads it meanwhile finds it
  # whole. What an installed gem was built from and by stays nowhere.
  install: all
  \tmkdir -p "$(DESTDIR)$(RUBYARCHDIR)"
  \tcp #{library} "$(DESTDIR)$(RUBYARCHDIR)/#{library}.$$$$" && chmod 755 "$(DESTDIR)$(RUBYARCHDIR)/#{library}.$$$$" && \\
  \tmv -f "$(DESTDIR)$(RUBYARCHDIR)/#{library}.$$$$" "$(DESTDIR)$(RUBYARCHDIR)/#{library}"
  #{"\trm -rf \"#{target}\" #{library}" if packaged}

  clean:
  \trm -f #{library}

  distclean: clean
  \trm -f Makefile
MAKEFILE
