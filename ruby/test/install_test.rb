# frozen_string_literal: true

require "test_helper"
require "rubygems/package"

# The gem itself, built and installed as its users install it. Compiling it takes minutes.
class InstallTest < CacheTest
  GEM = File.expand_path("..", __dir__)
  TRY = <<~RUBY
    require "vidcache"
    cache = Vidcache.open(ARGV[0], portal_id: 62515, secret: "thirty-two bytes kept out of it.")
    cache.link(1, 901)
    abort "no script for pages" unless File.read(Vidcache.page_script_path).include?("export")
    print cache.resolve(1), " ", $LOADED_FEATURES.grep(%r{vidcache\\.(so|bundle)}).first
  RUBY

  # A stand-in for the rb_sys gem, which builds for other platforms: it says what it was asked for.
  RB_SYS = <<~RUBY
    def create_rust_makefile(target)
      rust = Struct.new(:profile, :extra_cargo_args, :clean_after_install).new
      yield rust
      File.write("Makefile", [target, *rust].join(" "))
    end
  RUBY

  def self.built
    @built ||= begin
      output, status = Open3.capture2e("rake", "gem", chdir: GEM)
      raise output unless status.success?
      output.lines.last.chomp
    end
  end

  def install(gem, home, environment = {})
    environment = { "GEM_HOME" => home, "GEM_PATH" => home, "RUBYOPT" => nil, "RUBYLIB" => nil, "CARGO_TARGET_DIR" => nil }.merge(environment)
    Open3.capture2e(environment, RbConfig.ruby, "-S", "gem", "install", "--local", "--no-document", "--env-shebang", gem, chdir: @folder)
  end

  def run_installed(home, script = TRY)
    environment = { "GEM_HOME" => home, "GEM_PATH" => home, "RUBYOPT" => nil, "RUBYLIB" => nil }
    output, status = Open3.capture2e(environment, RbConfig.ruby, "-e", script, path, chdir: @folder)
    assert status.success?, output
    output
  end

  # The gem's executable, on the file that `run_installed` has made.
  def assert_command(home)
    environment = { "GEM_HOME" => home, "GEM_PATH" => home, "RUBYOPT" => nil, "RUBYLIB" => nil,
                    "VIDCACHE_SECRET" => "thirty-two bytes kept out of it." }
    run = ->(*arguments) { Open3.capture3(environment, "#{home}/bin/vidcache", *arguments, chdir: @folder) }
    said, _, status = run.call("show", "1", "--json", "--file", path)
    assert_equal [0, "901"], [status.exitstatus, JSON.parse(said)["vid"]]
    _, told, status = run.call("show", "--file", path)
    assert_equal 2, status.exitstatus
    assert_includes told, "Usage: vidcache show"
    said, _, status = run.call("show", "n\xC3\xBC".b, "--json", "--file", path)
    assert_equal 1, status.exitstatus, said
  end

  test "the gem has all that it is built from and nothing else" do
    package = Gem::Package.new(self.class.built)
    files = package.contents
    folders = files.map { |file| file[%r{\A[^/]+/}] || file }.uniq.sort
    assert_equal %w[.cargo/ CHANGELOG.md Cargo.lock Cargo.toml LICENSE-APACHE LICENSE-MIT README.md command/ exe/ ext/ lib/ page/ sig/ src/], folders
    assert_empty files.grep_v(%r{\.(rb|rbs|rake|tt|erb|css|rs|js|ts|sql|toml|md)\z|\ACargo\.lock\z|\ALICENSE-|\Aexe/vidcache\z})
    listed = IO.popen(%w[git ls-files lib sig ext exe ../src ../command/src], chdir: GEM, &:readlines)
    tracked = listed.map { |file| file.chomp.delete_prefix("../") }
    skip "this is no git checkout" if tracked.empty?
    assert_empty tracked.select { |file|
                   File.exist?("#{GEM}/#{file}") || File.exist?("#{GEM}/../#{file}")
                 } - files, "what is in the repository is in the gem"
    assert_includes files, "src/snippet.min.js"
    assert_equal %w[page/vidcache.classic.js page/vidcache.d.ts page/vidcache.js], files.grep(%r{\Apage/}).sort
    assert_equal %w[vidcache], package.spec.executables
    assert_equal Vidcache::VERSION, package.spec.version.to_s
    assert_operator File.size(self.class.built), :<, 1 << 20
  end

  test "its lock file names what it is built from and no test library" do
    Gem::Package.new(self.class.built).extract_files(@folder)
    lock = File.read("#{@folder}/Cargo.lock")
    %w[vidcache vidcache-command vidcache-ruby magnus rusqlite serde_json].each { |crate| assert_includes lock, %(name = "#{crate}"\n) }
    %w[proptest stateright tempfile uniffi cbindgen criterion].each { |crate| refute_includes lock, %(name = "#{crate}"\n) }
  end

  test "the built gem installs into an empty home and leaves no debris" do
    home = "#{@folder}/home"
    output, status = install(self.class.built, home)
    assert status.success?, output
    vid, library = run_installed(home).split
    assert_equal "901", vid
    assert_command(home)
    assert_match %r{\A#{Regexp.escape(File.realpath(home))}/.*/vidcache/vidcache\.(so|bundle)\z}, library
    # RubyGems keeps the library twice, in extensions/ and in lib/.
    built = Dir.glob("#{home}/**/*", File::FNM_DOTMATCH).select { |file| File.file?(file) && file.match?(/\.(so|bundle|o|a|rlib|rmeta|d)\z/) }
    assert built.all? { |file| file.match?(%r{/vidcache/vidcache\.(so|bundle)\z}) }, built.join("\n")
    assert_includes 1..2, built.size
    assert_empty Dir["#{home}/**/target"]
    size = Dir["#{home}/gems/**/*"].sum { |file| File.file?(file) ? File.size(file) : 0 }
    assert_operator size, :<, 16 << 20
    native(File.dirname(library))
  end

  # From the library that was just made: the same code as `rake gem:native`, and no compiler to be found.
  def native(folder)
    load "#{GEM}/rakelib/gem.rake" unless defined?(GemPackage)
    library = Dir["#{folder}/vidcache.{so,bundle}"].first
    libraries = { RUBY_VERSION[/\A\d+\.\d+/] => library }
    gem = GemPackage.build_native(GemPackage.platform, libraries)
    bytes = File.binread(gem)
    assert_equal bytes, File.binread(GemPackage.build_native(GemPackage.platform, libraries)), "the same sources make the same gem"
    assert_includes gem, "-#{GemPackage.platform}.gem", "plain linux would be installed on musl, too"
    assert_empty Gem::Package.new(gem).contents.grep(%r{\A(ext|src|command)/|Cargo})
    Gem::Package.new(gem).extract_files("#{@folder}/unpacked")
    assert_match(/^libsqlite3-sys \d/, File.read("#{@folder}/unpacked/THIRD-PARTY.txt"))
    assert_includes File.read("#{@folder}/unpacked/SBOM.cdx.json"), "libsqlite3-sys"
    home = "#{@folder}/native"
    output, status = install(gem, home, "CARGO" => "/nowhere/cargo")
    assert status.success?, output
    vid, library = run_installed(home).split
    assert_equal "901", vid
    assert_command(home)
    assert_includes library, "/lib/vidcache/#{RUBY_VERSION[/\A\d+\.\d+/]}/vidcache."
    File.write(library, "no library")
    refusal = 'begin; require "vidcache"; rescue LoadError => e; print e.message; end'
    assert_match(/\Avidcache: this gem was compiled for Ruby .* \(gem install vidcache --platform ruby\)/, run_installed(home, refusal))
    (GemPackage::PLATFORMS - [GemPackage.platform]).each { |other| warn "the gem for #{other}: skipped because this is no such machine" }
  end

  test "a gem claims the Rubies that it has libraries of and no other" do
    load "#{GEM}/rakelib/gem.rake" unless defined?(GemPackage)
    assert_equal [">= 3.1", "< 3.4.dev"], GemPackage.rubies(%w[3.3 3.1 3.2])
    assert_equal [">= 3.9", "< 3.11.dev"], GemPackage.rubies(%w[3.10 3.9])
    _, refused = capture_io { assert_raises(SystemExit) { GemPackage.rubies(%w[3.1 3.3]) } }
    assert_includes refused, "no library of Ruby 3.2"
  end

  test "without cargo gem install says so in one sentence" do
    output, status = install(self.class.built, "#{@folder}/home", "CARGO" => "/nowhere/cargo")
    refute_predicate status, :success?
    assert_match(/^vidcache: cargo was not found; install Rust/, output)
  end

  test "where the rb_sys gem is present it writes the makefile" do
    Gem::Package.new(self.class.built).extract_files(@folder)
    FileUtils.mkdir_p("#{@folder}/stand-in/rb_sys")
    File.write("#{@folder}/stand-in/rb_sys/mkmf.rb", RB_SYS)
    output, status = Open3.capture2e(RbConfig.ruby, "-I#{@folder}/stand-in", "#{@folder}/ext/vidcache/extconf.rb", chdir: @folder)
    assert status.success?, output
    assert_equal "vidcache/vidcache release --locked true", File.read("#{@folder}/Makefile")
  end

  test "a gem that was built without the core says how it is built" do
    FileUtils.mkdir_p("#{@folder}/a/b/ext")
    FileUtils.cp("#{GEM}/ext/vidcache/extconf.rb", "#{@folder}/a/b/ext")
    output, status = Open3.capture2e(RbConfig.ruby, "#{@folder}/a/b/ext/extconf.rb", chdir: @folder)
    refute_predicate status, :success?
    assert_equal "vidcache: the core's sources are not here; a gem is built from a checkout by `rake gem`.\n", output
  end
end
