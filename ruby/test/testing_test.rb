# frozen_string_literal: true

require "test_helper"
require "vidcache/testing"

class TestingTest < CacheTest
  include Vidcache::Testing::Minitest

  USUAL = <<~HTML
    <script>var _hsq = window._hsq = window._hsq || []; _hsq.push(["identify", { email: "ann\\u0040shop.test", id: 5 }]);</script>
  HTML

  test "a page with an agreed email passes and the same page after a change does not" do
    vidcache_confirm(1, email: EMAIL)
    html = vidcache.snippet(1, EMAIL)
    assert_names_email EMAIL.upcase, html
    assert_names_no_unconfirmed_email html
    assert_names_no_unconfirmed_email html, 1
    assert_raises(Minitest::Assertion) { assert_names_no_email html }
    assert_raises(Minitest::Assertion) { assert_names_no_unconfirmed_email html, 2 }
    vidcache.begin_email_change(1)
    assert_raises(Minitest::Assertion) { assert_names_no_unconfirmed_email html }
    assert_names_no_email vidcache.snippet(1, "new@shop.test")
    vidcache_confirm(1, email: "new@shop.test")
    assert_names_email "new@shop.test", vidcache.snippet(1, "new@shop.test")
    assert_equal 901, Vidcache::Testing::Page.new(vidcache.snippet(1, nil)).id
  end

  test "data for a page of the app's own is read wherever it stands in JSON" do
    vidcache_confirm(1, email: EMAIL)
    data = vidcache.page_data(1, EMAIL)
    [data, { me: [{ name: "Ann", email: "not@read.test", hubspot: data }] }].each do |answer|
      assert_names_email EMAIL, answer.to_json
      assert_equal [EMAIL], Vidcache::Testing::Page.new(answer.to_json).emails
      assert_equal 901, Vidcache::Testing::Page.new(answer.to_json).id
    end
    assert_names_email EMAIL, { html: vidcache.snippet(1, EMAIL) }.to_json
    assert_raises(Minitest::Assertion) { assert_names_no_unconfirmed_email({ html: USUAL }.to_json, 2) }
    vidcache.begin_email_change(1)
    assert_raises(Minitest::Assertion) { assert_names_no_unconfirmed_email data.to_json }
    assert_names_no_email vidcache.page_data(1, EMAIL).to_json
  end

  test "the usual snippet is caught however it is quoted" do
    [USUAL, USUAL.tr('"', "'"), USUAL.sub("email:", '"email" :')].each do |html|
      assert_equal [EMAIL], Vidcache::Testing::Page.new(html).emails, html
      assert_raises(Minitest::Assertion) { assert_names_no_unconfirmed_email html }
    end
    assert_names_no_email "<p>email: \"ann@shop.test\"</p><script>log({email: 'x@y.test'})</script>"
    vidcache_confirm(1, email: EMAIL)
    assert_names_no_unconfirmed_email USUAL
  end

  test "each test has a cache of its own that goes with it" do
    assert_nil vidcache.resolve(1)
    first = vidcache
    vidcache_stop
    assert_predicate first, :closed?
    refute_same first, vidcache
  end

  test "rspec has the same" do
    skip "there is no rspec here" unless system("rspec", "--version", out: File::NULL, err: File::NULL)
    File.write("#{@folder}/page_spec.rb", <<~RUBY)
      require "vidcache/testing"
      RSpec.configure { |config| config.include Vidcache::Testing::RSpec }
      RSpec.describe "a page" do
        it "names what is agreed" do
          vidcache_confirm(1, email: "ann@shop.test")
          expect(vidcache.snippet(1, "ann@shop.test")).to name_email("Ann@shop.test")
          expect(vidcache.snippet(1, "ann@shop.test")).to name_no_unconfirmed_email
          expect(vidcache.snippet(1, "new@shop.test")).to name_no_email
          expect(#{USUAL.inspect}).not_to name_no_unconfirmed_email(2)
        end
        it "fails by its name" do
          expect(#{USUAL.inspect}).to name_no_unconfirmed_email
        end
      end
    RUBY
    output, = Open3.capture2e({ "RUBYLIB" => LIB }, "rspec", "--no-color", "#{@folder}/page_spec.rb", chdir: @folder)
    assert_includes output, "2 examples, 1 failure", output
    assert_includes output, "expected the page to name no email that HubSpot is not known to hold, and it names"
  end
end
