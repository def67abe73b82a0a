# frozen_string_literal: true

require_relative "processes"

# For tests in this process that call the double over HTTP: one double for all of them, empty for each.
module OverHttp
  MISSING = HubspotDouble.missing

  def self.double
    @double ||= begin
      processes = Processes.new
      Minitest.after_run { processes.stop_all }
      HubspotDouble.new(processes, Dir.mktmpdir("double-", SCRATCH), delay_ms: 0)
    end
  end

  private

  def call_the_double
    skip MISSING if MISSING
    @double = OverHttp.double
    @double.ask("POST", "/_double/reset")
    TestApp.config.vidcache.access_token = "any"
    TestApp.config.vidcache.api_url = @double.url
  end

  def call_nobody
    TestApp.config.vidcache.access_token = TestApp.config.vidcache.api_url = nil
  end
end
