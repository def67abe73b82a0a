# frozen_string_literal: true

require_relative "helper"
begin
  require "action_controller/caching/actions"
  require "action_controller/caching/pages"
  # As their railties do.
  ActionController::Base.include(ActionController::Caching::Actions, ActionController::Caching::Pages)
rescue LoadError
  nil # Said by the test.
end

# Whole actions and pages that are kept on the server, by the gems that do so: the next visitor gets them.
class Vidcache::ServerCachesTest < Vidcache::RailsTest
  FOLDER = Dir.mktmpdir("pages-", SCRATCH)

  class KeptController < ActionController::Base
    self.perform_caching = true
    cattr_accessor :user
    self.page_cache_directory = FOLDER if respond_to?(:page_cache_directory=)
    caches_action :acted if respond_to?(:caches_action)
    caches_page :paged if respond_to?(:caches_page)

    def acted = render(inline: "<%= hubspot_tracking_tag(controller.user) %>")
    def paged = acted
  end

  TestApp.add_routes do
    get "/acted", to: "vidcache/server_caches_test/kept#acted"
    get "/paged", to: "vidcache/server_caches_test/kept#paged"
  end

  def test_no_page_that_carries_an_identity_is_kept_for_the_next_visitor
    skip "actionpack-action_caching and actionpack-page_caching are not here" unless KeptController.respond_to?(:caches_page)

    session = ActionDispatch::Integration::Session.new(TestApp)
    KeptController.user = agreed_user
    %w[/acted /paged].each do |path|
      session.get(path)
      assert_includes session.response.body, "ann@shop.test"
    end
    KeptController.user = nil
    %w[/acted /paged].each do |path|
      session.get(path)
      refute_match(/ann@shop\.test|vid:901/, session.response.body)
    end
    assert_equal ["paged.html"], Dir.children(FOLDER), "a page that names nobody is kept, as ever"
    refute_includes KeptController.action_methods, "caching_allowed?"
  end
end
