# frozen_string_literal: true

require "test_helper"

# The types in sig/, checked by rbs' own hook while the tests that give what the types ask for run once more.
class SigTest < CacheTest
  GEM = File.expand_path("..", __dir__)
  # These give wrong types on purpose.
  EXCEPT = "/an_unknown_keyword_is_an_argument_error/"

  def hostile?
    false
  end

  def setup
    super
    skip "rbs is not here, or not for this Ruby" unless Gem::Specification.find_all_by_name("rbs").any? && RUBY_VERSION < "3.2"
  end

  def checked(signatures, files, *options)
    environment = { "RBS_TEST_TARGET" => "Vidcache,Vidcache::*", "RBS_TEST_OPT" => "-I #{signatures}", "RBS_TEST_LOGLEVEL" => "error",
                    "RBS_TEST_RAISE" => "true", "VIDCACHE_GC" => nil }
    requires = files.flat_map { |file| ["-r./test/#{file}_test.rb"] }
    Open3.capture2e(environment, RbConfig.ruby, "-W0", "-Ilib", "-Itest", "-rrbs/test/setup", *requires, "-e", "", "--", *options, chdir: GEM)
  end

  test "what the tests pass and get is of the types that the signatures say" do
    output, status = checked("sig", %w[answer cache values threads], "--exclude", EXCEPT)
    assert status.success?, output
    assert_match(/[1-9]\d* runs/, output)
  end

  test "a wrong signature would be noticed" do
    wrong = File.read("#{GEM}/sig/vidcache.rbs").sub("def resolve: (user_id user_id) -> Integer?", "def resolve: (user_id user_id) -> String")
    File.write("#{@folder}/vidcache.rbs", wrong)
    output, status = checked(@folder, %w[values cache], "-n", "/a_link_alone/")
    refute_predicate status, :success?
    assert_includes output, "[Vidcache::Cache#resolve] ReturnTypeError: expected `::String` but returns"
  end

  test "the signatures name every public method and class of the core and nothing else" do
    require "rbs"
    loader = RBS::EnvironmentLoader.new
    loader.add(path: Pathname("#{GEM}/sig"))
    environment = RBS::Environment.from_loader(loader).resolve_type_names
    declared = environment.class_decls.select { |name, _| name.to_s.start_with?("::Vidcache::") }
    # `Statements` is what `Vidcache::Database`, of the Rails layer, is made of: no class for others.
    here = Vidcache.constants.map { |name| Vidcache.const_get(name) }.grep(Module).reject { |found| found.name.match?(/::(Testing|Statements)\z/) }
    # The core's table may have codes of other languages.
    here.reject! { |found| found.const_defined?(:CODE, false) && declared.keys.none? { |name| name.to_s == "::#{found.name}" } }
    assert_equal here.map { |found| "::#{found.name}" }.sort, declared.keys.map(&:to_s).sort
    declared.each do |name, entry|
      found = Object.const_get(name.to_s)
      members = entry.decls.flat_map { |declaration| declaration.decl.members }
      signed = members.grep(RBS::AST::Members::MethodDefinition).select(&:instance?).map(&:name) +
               members.grep(RBS::AST::Members::AttrReader).map(&:name)
      assert_equal found.public_instance_methods(false).sort, (signed - [:initialize]).sort, name
    end
  end
end
