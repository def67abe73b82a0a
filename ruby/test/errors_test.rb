# frozen_string_literal: true

require "test_helper"

class ErrorsTest < CacheTest
  CODES = JSON.parse(File.read(File.expand_path("../../tests/conformance/codes.json", __dir__)))
              .transform_values { |about| about["number"] }.freeze

  test "there is a class for every code and each knows its name and number" do
    classes = ObjectSpace.each_object(Class).select { |klass| klass < Vidcache::Error && klass.const_defined?(:CODE, false) }
    assert_equal CODES, classes.to_h { |klass| [klass.code.name, klass.code_number] }
    assert_equal CODES.keys.map { |name| name.split("_").map(&:capitalize).join }.sort,
                 classes.map { |klass| klass.name.delete_prefix("Vidcache::") }.sort
    assert_operator Vidcache::Error, :<, StandardError
    assert_equal [:invalid_user_key, 101], [Vidcache::InvalidUserKey.code, Vidcache::InvalidUserKey.code_number]
    assert_equal [:internal, 501], [Vidcache::Internal.new("x").code, Vidcache::Internal.new("x").code_number]
    assert_nil Vidcache::Error.code
  end

  # The value classes are missing when the extension is loaded without its Ruby layer, and it panics.
  test "a panic is an error that can be rescued and its message is printed nowhere" do
    script = 'require "vidcache/version"; begin; require "vidcache/vidcache"; rescue Vidcache::Internal => e; puts e.message; end'
    output, status = Open3.capture2e(RbConfig.ruby, "-I#{LIB}", "-e", script)
    assert status.success?, output
    assert_match(/\Ainternal error: a panic at \S+\.rs:\d+:\d+; please report it\n\z/, output)
  end

  test "an exception of Ruby's own on the way in is not swallowed" do
    path = Object.new
    def path.to_path = raise("boom")
    assert_equal "boom", assert_raises(RuntimeError) { open_cache(path) }.message
  end
end
