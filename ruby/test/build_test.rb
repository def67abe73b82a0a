# frozen_string_literal: true

require "test_helper"

class BuildTest < CacheTest
  EXTCONF = File.expand_path("../ext/vidcache/extconf.rb", __dir__)

  # Runs in a folder of its own, where the Makefile would go.
  def extconf(environment, *options)
    Open3.capture2e(environment, RbConfig.ruby, *options, EXTCONF, chdir: @folder)
  end

  test "without cargo the build says so in one sentence" do
    output, status = extconf({ "CARGO" => nil, "PATH" => @folder })
    refute_predicate status, :success?
    assert_match(/\Avidcache: cargo was not found; .*\n\z/, output)
    refute_path_exists "#{@folder}/Makefile"
  end

  test "without libclang the build says so in one sentence" do
    File.write("#{@folder}/no_files.rb", "def Dir.glob(*) = []")
    output, status = extconf({ "LIBCLANG_PATH" => nil }, "-r#{@folder}/no_files")
    refute_predicate status, :success?
    assert_match(/\Avidcache: libclang was not found; .*\n\z/, output)
  end

  test "a library of another version than Ruby's part is not used" do
    FileUtils.mkdir_p("#{@folder}/vidcache")
    File.write("#{@folder}/vidcache/version.rb", 'module Vidcache; VERSION = "0.0.1"; end')
    told = 'begin; require "vidcache"; rescue LoadError => e; print e.message; end'
    output, status = Open3.capture2e(RbConfig.ruby, "-I#{@folder}", "-I#{File.expand_path("../lib", __dir__)}", "-e", told)
    assert status.success?, output
    assert_equal "vidcache: this is version 0.0.1, and its native library #{Vidcache::VERSION}; install vidcache again", output
  end

  test "with both it writes a makefile that installs where it is told" do
    output, status = extconf({})
    assert status.success?, output
    makefile = File.read("#{@folder}/Makefile")
    assert_includes makefile, "cargo rustc --release --locked --lib --package vidcache-ruby".sub("cargo", "$(CARGO)")
    assert_includes makefile, "RUBYARCHDIR = $(sitearchdir)/vidcache"
  end
end
