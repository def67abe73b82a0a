# frozen_string_literal: true

require_relative "helper"
require_relative "support/processes"
require_relative "support/app_folder"

# Sidekiq beside Puma, on a real Redis: processes that share nothing but the file.
class Vidcache::SidekiqTest < Minitest::Test
  BOOT = <<~RUBY
    #{AppFolder::SIDEKIQ}
    Rails.application.config.vidcache.portal_id = #{HubspotDouble::PORTAL}
    Rails.application.config.vidcache.access_token = "test"
    Rails.application.config.vidcache.api_url = ENV.fetch("HUBSPOT_API")
    Rails.application.config.vidcache.page_deadline = 1
    Rails.application.config.vidcache.quiet_period = 4
  RUBY

  def setup
    skip RedisServer.missing if RedisServer.missing
    skip HubspotDouble.missing if HubspotDouble.missing
    @processes = Processes.new
    folder = Dir.mktmpdir("sidekiq-", SCRATCH)
    @double = HubspotDouble.new(@processes, folder)
    @app = AppFolder.new(folder)
    @app.write("config/initializers/boot.rb", BOOT)
    @app.adopt
    @environment = { HUBSPOT_API: @double.url, REDIS_URL: RedisServer.start(@processes, folder) }
  end

  def teardown
    @processes&.stop_all
  end

  # A job that nobody runs keeps the change outstanding; whoever runs it, all of Puma's processes know at once.
  def test_what_a_sidekiq_that_was_killed_has_left_the_next_one_finishes
    visitor = Visitor.new(@app.serve(@processes, WORKERS: 2, **@environment))
    first = sidekiq
    visitor.get("/sign_up")
    visitor.submit("/sign_up", "email" => "ann@shop.test")
    @app.wait_until(visitor) { visitor.said["email"] == "ann@shop.test" }

    @processes.kill(first)
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "ann@new.test")
    workers = []
    @app.wait_until(visitor) do
      assert_equal %w[id], visitor.said.keys
      workers |= [visitor.page[%r{<p>(\d+)</p>}, 1]].compact
      workers.size == 2
    end
    assert_equal %w[ann@shop.test], @double.emails

    sidekiq
    # The one that was killed may have had the user's lease still, though the page knew of its answer already.
    @app.wait_until(visitor, seconds: 60 + Vidcache::ContactJob::Lease::SECONDS) { visitor.said["email"] == "ann@new.test" }
    20.times { visitor.get("/") && assert_equal("ann@new.test", visitor.said["email"], "of either process") }
    assert_equal %w[ann@new.test], @double.emails
    assert_empty @double.state.fetch("duplicates")
  end

  private

  # @return [Integer] its pid
  def sidekiq
    @app.sidekiq(@processes, **@environment)
  end
end
