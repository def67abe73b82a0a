# frozen_string_literal: true

require_relative "helper"
require_relative "support/processes"
require_relative "support/app_folder"

# The README's Rails quick start, in a fresh app: the code blocks that a comment `<!-- quick-start: PATH -->` stands
# before. A block for a layout may be a line of it, which then goes to the end of the body.
class Vidcache::QuickStartTest < Minitest::Test
  README = ENV.fetch("QUICK_START") { File.expand_path("../../../README.md", __dir__) }
  BLOCK = /^<!-- quick-start: (\S+) -->\s*^```\w+\n(.*?)^```$/m

  LAYOUT = "app/views/layouts/application.html.erb"
  PARTS = ["config/initializers/vidcache.rb", "app/models/user.rb", "app/jobs/hubspot_contact_job.rb", LAYOUT].freeze

  def setup
    @blocks = File.exist?(README) ? File.read(README).scan(BLOCK).to_h : {}
    skip "no quick start in #{README} yet" if @blocks.empty?
    skip HubspotDouble.missing if HubspotDouble.missing
    @processes = Processes.new
    folder = Dir.mktmpdir("quick-start-", SCRATCH)
    @double = HubspotDouble.new(@processes, folder)
    @app = AppFolder.new(folder)
  end

  def teardown
    @processes&.stop_all
  end

  def test_it_has_all_its_parts_and_is_short
    assert_equal PARTS.sort, @blocks.keys.sort
    assert_operator @blocks.values.sum { |text| text.lines.grep_v(/\A\s*(#|\z)/).size }, :<=, 30
  end

  def test_a_fresh_app_with_it_makes_no_duplicate
    install
    visitor = Visitor.new(@app.serve(@processes, HUBSPOT_PORTAL: HubspotDouble::PORTAL, HUBSPOT_API: @double.url, HUBSPOT_TOKEN: "test"))
    visitor.get("/sign_up")
    assert_includes visitor.page, "hs-script-loader"
    visitor.submit("/sign_up", "email" => "ann@shop.test")
    @app.wait_until(visitor) { { "email" => "ann@shop.test" } <= visitor.said }
    id = visitor.said.fetch("id")

    visitor.get("/settings")
    visitor.submit("/settings", "email" => "ann@new.test")
    assert_equal({ "id" => id }, visitor.said, "the page that the change redirects to")
    assert_equal %w[ann@shop.test], @double.emails
    @app.wait_until(visitor) { visitor.said != { "id" => id } }
    assert_equal({ "id" => id, "email" => "ann@new.test" }, visitor.said)
    assert_equal %w[ann@new.test], @double.emails
    assert_empty @double.state.fetch("duplicates")
  end

  # A HubSpot that cannot be reached is no HubSpot that says yes.
  def test_while_hubspot_refuses_the_page_gives_the_id_alone
    install
    visitor = Visitor.new(@app.serve(@processes, HUBSPOT_PORTAL: HubspotDouble::PORTAL, HUBSPOT_API: @double.url, HUBSPOT_TOKEN: "test"))
    visitor.get("/sign_up")
    visitor.submit("/sign_up", "email" => "ann@shop.test")
    @app.wait_until(visitor) { visitor.said.key?("email") }
    @double.configure(rate_limit_next: 1)
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "ann@new.test")
    @app.wait_until(visitor) { File.read(@app.file("log/production.log")).include?("Retrying HubspotContactJob") }
    visitor.get("/")
    assert_equal %w[id], visitor.said.keys
  end

  def test_without_a_portal_the_same_app_runs
    install
    visitor = Visitor.new(@app.serve(@processes, HUBSPOT_PORTAL: nil))
    visitor.get("/sign_up")
    visitor.submit("/sign_up", "email" => "ann@shop.test")
    assert_equal 200, visitor.status
    refute_includes visitor.page, "hs-script-loader"
  end

  private

  def install
    @blocks.each do |path, text|
      text = AppFolder::FILES.fetch(LAYOUT).sub("</body>") { "#{text}</body>" } if path == LAYOUT && !text.include?("</body>")
      @app.write(path, text)
    end
    # The defaults are 15 and 10 s.
    @app.write("config/initializers/patience.rb", <<~RUBY)
      Rails.application.config.vidcache.quiet_period = 4
      Rails.application.config.vidcache.page_deadline = 1
      Rails.application.config.vidcache.api_url = ENV["HUBSPOT_API"]
    RUBY
  end
end
