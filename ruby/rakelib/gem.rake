# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "rubygems/package"
require_relative "../lib/vidcache/version"

# The gem carries what it is built from: the core, the command, the extension, and a workspace of the three with a lock
# file of their own.
module GemPackage
  ROOT = File.expand_path("../..", __dir__)
  STAGE = "#{ROOT}/ruby/pkg/stage".freeze
  PACKAGES = "#{ROOT}/ruby/pkg".freeze
  # Those that a release has gems for. Each is compiled on its own machine, or in a container.
  PLATFORMS = %w[x86_64-linux-gnu x86_64-linux-musl aarch64-linux-gnu aarch64-linux-musl x86_64-darwin arm64-darwin].freeze

  module_function

  # @return [String] the folder that the gem is built in
  def stage
    FileUtils.rm_rf(STAGE)
    FileUtils.mkdir_p(STAGE)
    FileUtils.cp_r(["#{ROOT}/src", *%w[.cargo README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE Cargo.lock].map { |name| "#{ROOT}/#{name}" }], STAGE)
    FileUtils.cp_r(%w[vidcache.gemspec lib sig ext exe].map { |name| "#{ROOT}/ruby/#{name}" }, STAGE)
    FileUtils.mkdir_p("#{STAGE}/command")
    FileUtils.cp_r("#{ROOT}/command/src", "#{STAGE}/command")
    # A link, of which the gem has the file.
    FileUtils.rm("#{STAGE}/command/src/serve/style.css")
    FileUtils.cp("#{ROOT}/ruby/lib/vidcache/rails/web/style.css", "#{STAGE}/command/src/serve")
    FileUtils.mkdir_p("#{STAGE}/page")
    FileUtils.cp(%w[vidcache.js vidcache.classic.js vidcache.d.ts].map { |name| "#{ROOT}/page/#{name}" }, "#{STAGE}/page")
    FileUtils.rm_f(Dir["#{STAGE}/{lib,ext}/**/*.{so,bundle}", "#{STAGE}/ext/**/{Makefile,mkmf.log}"])
    write_manifests
    prune_lock_file
    STAGE
  end

  # The core's own manifest, without what the gem has no need of; the extension's, under the name that rb_sys looks for.
  def write_manifests
    core = File.read("#{ROOT}/Cargo.toml")
    core = replace(core, /^members = \[.*?\]/m, 'members = [".", "command", "ext/vidcache"]')
    core = core.sub(/^#[^\n]*\n(?:#[^\n]*\n)*(?=default-members)/, "").sub(/^default-members = \[.*?\]\n/m, "")
    File.write("#{STAGE}/Cargo.toml", for_users(core))
    File.write("#{STAGE}/command/Cargo.toml", for_users(File.read("#{ROOT}/command/Cargo.toml")))

    extension = File.read("#{ROOT}/ruby/ext/vidcache/Cargo.toml")
    extension = replace(extension, 'path = "../../.."', 'path = "../.."')
    extension = replace(extension, 'path = "../../../command"', 'path = "../../command"')
    extension = replace(extension, 'name = "vidcache_ruby"', 'name = "vidcache"')
    File.write("#{STAGE}/ext/vidcache/Cargo.toml", extension)
  end

  # @return [String] a manifest without what is for tests
  def for_users(manifest)
    manifest.gsub(/^\[(?:dev-dependencies|profile\.torture)\]\n.*?(?=^\[|\z)/m, "")
  end

  def replace(text, part, by)
    text.sub(part, by).tap { |replaced| abort "rake gem: no #{part.inspect} in the manifest" if replaced == text }
  end

  # Cargo drops what nobody needs any more, and changes no version: that is checked.
  def prune_lock_file
    before = locked
    cargo = ENV.fetch("CARGO", "cargo")
    system(cargo, "metadata", "--offline", "--format-version=1", "--manifest-path=#{STAGE}/Cargo.toml", out: File::NULL, err: File::NULL) ||
      system(cargo, "metadata", "--format-version=1", "--manifest-path=#{STAGE}/Cargo.toml", out: File::NULL) ||
      abort("rake gem: cargo cannot read the staged workspace")
    added = locked - before
    abort "rake gem: the lock file changed: #{added.join(", ")}" unless added.empty?
  end

  def locked
    File.read("#{STAGE}/Cargo.lock").scan(/^name = "(.+)"\nversion = "(.+)"/).map { |pair| pair.join(" ") }
  end

  # @yieldparam spec [Gem::Specification] to be changed
  # @return [String] the gem's path
  def build(folder)
    # The same sources make the same bytes: of one time, the last commit's.
    ENV["SOURCE_DATE_EPOCH"] ||= IO.popen(%w[git log -1 --format=%ct], chdir: ROOT, err: File::NULL, &:read)[/\d+/] || "315619200"
    Dir.chdir(folder) do
      spec = Gem::Specification.load("vidcache.gemspec").dup
      yield spec if block_given?
      FileUtils.mv(Gem::Package.build(spec), PACKAGES)
      "#{PACKAGES}/#{spec.file_name}"
    end
  end

  # @return [String] this machine's, with musl told apart from glibc, which older RubyGems leave out
  def platform
    local = Gem::Platform.local
    return "#{local.cpu}-darwin" if local.os == "darwin"

    "#{local.cpu}-#{local.os}-#{RbConfig::CONFIG["host_os"].include?("musl") ? "musl" : "gnu"}"
  end

  # Rust asks for libgcc_s on musl unless zig links, and many images of Alpine have none:
  # https://github.com/rust-lang/rust/issues/82521
  def check_alone(library)
    needed, status = Open3.capture2("readelf", "--dynamic", library)
    abort "rake gem:compile: readelf could not read #{library}" unless status.success?
    abort "rake gem:compile: the library asks for libgcc_s.so.1, which not every system with musl has: bin/setup zig" if needed.include?("libgcc_s")
  end

  # @param format [Array<String>] none for the notices, `--bill` for the bill of materials
  # @return [String] what of others is in the library, and under which terms
  def notices(platform, *format)
    cpu, system, libc = platform.sub(/\Aarm64/, "aarch64").split("-")
    triple = system == "darwin" ? "#{cpu}-apple-darwin" : "#{cpu}-unknown-#{system}-#{libc}"
    said, status = Open3.capture2("#{ROOT}/bin/notices", "ruby", "--platform", triple, *format)
    status.success? ? said : abort("rake gem:native: bin/notices failed, and a gem with others' code in it must carry their notices")
  end

  # @return [Array<String>] what a gem requires of Ruby that has libraries of these, and of none between them
  def rubies(versions)
    oldest, *, newest = versions.map { |version| version.split(".").map(&:to_i) }.sort.then { |sorted| [sorted.first, *sorted, sorted.last] }
    missing = (oldest.last..newest.last).map { |minor| "#{oldest.first}.#{minor}" } - versions
    abort "rake gem:native: no library of Ruby #{missing.join(" and ")}, which the gem would claim" if missing.any? || oldest.first != newest.first
    [">= #{oldest.join(".")}", "< #{newest.first}.#{newest.last + 1}.dev"]
  end

  # A gem with libraries in it, one for each Ruby that it is for: no Rust is needed to install it.
  #
  # @param libraries [Hash{String => String}] such as "3.3" to the library's path
  def build_native(platform, libraries)
    folder = stage
    libraries.each do |ruby, library|
      FileUtils.mkdir_p("#{folder}/lib/vidcache/#{ruby}")
      FileUtils.cp(library, "#{folder}/lib/vidcache/#{ruby}/vidcache#{File.extname(library)}")
    end
    File.write("#{folder}/THIRD-PARTY.txt", notices(platform))
    File.write("#{folder}/SBOM.cdx.json", notices(platform, "--bill"))
    build(folder) do |spec|
      # In three parts: an older RubyGems drops "gnu" from the text, and plain "linux" is installed on musl, too.
      spec.platform = Gem::Platform.new(platform.split("-", 3))
      # An older one takes a gem for musl where there is glibc.
      spec.required_rubygems_version = ">= 3.3.22" if platform.end_with?("-musl")
      spec.extensions = []
      spec.required_ruby_version = rubies(libraries.keys)
      spec.files = spec.files.grep_v(%r{\A(?:ext|src|command)/|\ACargo\.}) + Dir["lib/vidcache/*/vidcache.{so,bundle}"] +
                   ["THIRD-PARTY.txt", "SBOM.cdx.json"]
    end
  end
end

# The test of the installed gem has the module alone.
return unless defined?(Rake::TaskManager)

desc "Build the gem that is compiled where it is installed: pkg/vidcache-VERSION.gem"
task :gem do
  puts GemPackage.build(GemPackage.stage)
end

namespace :gem do
  native = "#{GemPackage::PACKAGES}/native"

  desc "Compile for this platform and this Ruby, into pkg/native/PLATFORM/RUBY/"
  task compile: :compile do
    folder = "#{native}/#{GemPackage.platform}/#{RUBY_VERSION[/\A\d+\.\d+/]}"
    FileUtils.mkdir_p(folder)
    FileUtils.cp(Dir["lib/vidcache/vidcache.{so,bundle}"], folder)
    GemPackage.check_alone("#{folder}/vidcache.so") if GemPackage.platform.end_with?("-musl")
    sh "strip", GemPackage.platform.end_with?("-darwin") ? "-x" : "--strip-unneeded", *Dir["#{folder}/vidcache.{so,bundle}"]
    puts "#{folder}/"
  end

  desc "Build a gem for each platform that pkg/native/ has libraries of"
  task :native do
    platforms = Dir["#{native}/*/"].map { |path| File.basename(path) }
    abort "rake gem:native: nothing in pkg/native/; run `rake gem:compile` on each platform first" if platforms.empty?
    (GemPackage::PLATFORMS - platforms).each do |platform|
      puts "#{platform}: skipped because pkg/native/ has no library of it: it takes `rake gem:compile` on such a machine"
    end
    platforms.sort.each do |platform|
      libraries = Dir["#{native}/#{platform}/*/vidcache.{so,bundle}"].to_h { |path| [File.basename(File.dirname(path)), path] }
      puts GemPackage.build_native(platform, libraries)
    end
  end
end
