# frozen_string_literal: true

require "test_helper"

# The documentation: all that is public has it, and it is of what the running extension has.
class DocsTest < CacheTest
  LIB_FILES = Dir[File.join(LIB, "**/*.rb")].freeze

  def hostile?
    false
  end

  def setup
    super
    require "yard"
    YARD::Logger.instance.level = YARD::Logger::ERROR
    YARD::Registry.clear
    YARD.parse(LIB_FILES)
  rescue LoadError
    skip "yard is not installed"
  end

  def public_objects(*types)
    YARD::Registry.all(*types).select do |object|
      parents = [object] + Array.new(20).each_with_object([]) { |_, list| list << (list.last || object).namespace }.compact
      object.path.start_with?("Vidcache") && object.visibility == :public && parents.none? do |parent|
        parent.respond_to?(:tag) && (parent.tag(:api)&.text == "private" || parent.has_tag?(:private))
      end
    end
  end

  test "everything public is documented" do
    objects = public_objects(:class, :module, :method, :constant)
    assert_operator objects.size, :>, 100
    assert_empty objects.select { |object| object.docstring.blank? && object.tags.empty? }.map(&:path) - ["Vidcache"]
    methods = objects.grep(YARD::CodeObjects::MethodObject).reject { |method| method.name == :initialize }
    assert_empty methods.reject { |method| method.has_tag?(:return) || method.has_tag?(:see) || method.has_tag?(:overload) }.map(&:path)
    wrong = methods.reject { |method| (method.tags(:param).map { |tag| tag.name.delete("*&:") } - names(method)).empty? }
    assert_empty wrong.map(&:path), "parameters that are not there"
  end

  test "what is documented is what the extension has" do
    [Vidcache::Cache, Vidcache::Decision, Vidcache::Recorded, Vidcache::StaleChange, Vidcache::Observed, Vidcache::WebhookReport,
     Vidcache::ImportReport, Vidcache::ContactConflict, Vidcache::RateLimited, Vidcache::HubspotError, Vidcache::VidTaken].each do |klass|
      documented = YARD::Registry.at(klass.name).meths(inherited: false, included: false, scope: :instance, visibility: :public).map(&:name)
      assert_equal klass.public_instance_methods(false).sort, (documented - [:initialize]).sort.uniq, klass
    end
    classes = YARD::Registry.at("Vidcache::Error").docstring.to_s.scan(/\+([A-Z]\w+)\+/).flatten
    codes = Vidcache.constants.map { |name| Vidcache.const_get(name) }.select { |klass| klass.is_a?(Class) && klass.const_defined?(:CODE, false) }
    assert_empty codes.map { |klass| klass.name.delete_prefix("Vidcache::") } - classes, "Vidcache::Error lists them all"
  end

  test "each native method takes as many arguments as its documentation says" do
    YARD::Registry.at("Vidcache::Cache").meths(inherited: false, scope: :instance).each do |method|
      next unless method.signature.nil? || method.source.nil?

      assert_equal names(method).size, Vidcache::Cache.instance_method(method.name).arity, method.path
    end
  end

  private

  def names(method)
    method.parameters.map { |name, _| name.to_s.delete("*&:") }
  end
end
