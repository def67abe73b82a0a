# frozen_string_literal: true

require_relative "helper"
require_relative "support/processes"
require_relative "support/app_folder"

# `rails generate vidcache:install` in a fresh app, and what it made at work against the HubSpot double.
class Vidcache::InstallGeneratorTest < Minitest::Test
  GENERATE = <<~RUBY
    require "./config/environment"
    require "rails/generators"
    Rails::Generators.invoke("vidcache:install", ARGV + ["--quiet"], behavior: :invoke, destination_root: Rails.root.to_s)
  RUBY

  def setup
    @processes = Processes.new
    @folder = Dir.mktmpdir("generated-", SCRATCH)
    @app = AppFolder.new(@folder)
  end

  def teardown
    @processes.stop_all
  end

  def test_it_writes_what_an_app_needs_and_a_second_time_nothing
    @app.write(".gitignore", "/log/*\n/tmp/*")
    @app.run(GENERATE)
    assert_equal "/log/*\n/tmp/*\n/storage/*.vidcache*\n", File.read(@app.file(".gitignore"))
    assert_path_exists @app.file("storage")
    assert_includes File.read(@app.file("app/models/user.rb")), %(has_vid email: :email, key: :id, job: "HubspotContactJob")
    assert_match(%r{hubspot_tracking_tag\(current_user\) %>\n\s*</body>}, File.read(@app.file("app/views/layouts/application.html.erb")))
    assert_includes File.read(@app.file("app/jobs/hubspot_contact_job.rb")), "class HubspotContactJob < Vidcache::ContactJob"
    assert_includes File.read(@app.file("config/routes.rb")), 'post "/hubspot/webhooks", to: Vidcache::Webhook'
    initializer = File.read(@app.file("config/initializers/vidcache.rb"))
    assert_match(/embed code.*\n(?:.*\n)?  # config\.vidcache\.loader_host = /, initializer)
    assert_match(/^  # config\.vidcache\.no_store = false$/, initializer)
    assert_match(/^  config\.vidcache\.webhook_url = ENV\["HUBSPOT_WEBHOOK_URL"\]$/, initializer)
    before = contents
    @app.run(GENERATE)
    assert_equal before, contents
    assert_equal "", @app.run("require './config/environment'; print Vidcache.configured? ? 'configured' : ''"), "no portal, no vidcache"
  end

  def test_with_a_column_it_writes_the_migration_and_says_so_in_the_model
    with_column = GENERATE.sub("ARGV", %(["--vid-column"]))
    @app.run(with_column)
    migrations = Dir[@app.file("db/migrate/*_add_hubspot_vid_to_users.rb")]
    assert_equal 1, migrations.size
    migration = File.read(migrations.first)
    assert_match(/class AddHubspotVidToUsers < ActiveRecord::Migration\[\d\.\d\]\n.*add_column :users, :hubspot_vid, :bigint/m, migration)
    assert_includes File.read(@app.file("app/models/user.rb")), "has_vid email: :email, key: :id, vid: :hubspot_vid, job:"
    before = contents
    @app.run(with_column)
    assert_equal before, contents
    output = @app.run(GENERATE.sub("ARGV + [\"--quiet\"]", %(["--vid-column=other_vid"])))
    assert_includes output, "add `vid: :other_vid` to it"
  end

  def test_where_devise_confirms_addresses_the_model_asks_for_that
    @app.write("app/models/user.rb", "class User < ApplicationRecord\n  devise :database_authenticatable,\n         :confirmable\nend\n")
    without_devise = GENERATE.sub('"./config/environment"', '"./config/application"')
    @app.run(without_devise)
    assert_includes File.read(@app.file("app/models/user.rb")), %(has_vid email: :email, key: :id, if: :confirmed?, job: "HubspotContactJob")
    assert_includes File.read(@app.file("app/views/layouts/application.html.erb")), "hubspot_tracking_tag(current_user)"
    @app.write("app/views/layouts/application.html.erb", "<html><body>\n</body></html>")
    @app.write("app/models/current.rb", "")
    @app.write("app/controllers/concerns/authentication.rb", "") # Rails 8's own.
    @app.write("app/models/customer.rb", "class Customer < ApplicationRecord\n  # devise :confirmable, one day\nend\n")
    @app.run(without_devise.sub("ARGV", %(["Customer"])))
    refute_includes File.read(@app.file("app/models/customer.rb")), "confirmed?"
    assert_includes File.read(@app.file("app/views/layouts/application.html.erb")), "hubspot_tracking_tag(Current.user)"
  end

  def test_a_model_or_layout_that_is_not_there_is_said_and_costs_nothing
    File.delete(@app.file("app/views/layouts/application.html.erb"))
    output = @app.run(GENERATE.sub("ARGV + [\"--quiet\"]", "[\"Customer\"]"))
    assert_includes output, "app/models/customer.rb is not there"
    assert_includes output, "application.html.erb is not there"
    assert_includes output, "`config.vidcache.loader_host` to the host of the portal's own embed code"
    assert_includes output, "see that the layout's `current_user` is"
    assert_includes output, "HUBSPOT_WEBHOOK_URL"
    assert_path_exists @app.file("config/initializers/vidcache.rb")
  end

  def test_what_it_made_makes_no_duplicate
    skip HubspotDouble.missing if HubspotDouble.missing
    double = HubspotDouble.new(@processes, @folder)
    @app.run(GENERATE)
    # The defaults are 15 and 10 s.
    @app.write("config/initializers/vidcache_test.rb", <<~RUBY)
      Rails.application.config.vidcache.quiet_period = 3
      Rails.application.config.vidcache.page_deadline = 1
      Rails.application.config.vidcache.api_url = #{double.url.inspect}
    RUBY
    visitor = Visitor.new(@app.serve(@processes, HUBSPOT_PORTAL: HubspotDouble::PORTAL, HUBSPOT_TOKEN: "test"))
    visitor.get("/sign_up")
    visitor.submit("/sign_up", "email" => "ann@shop.test")
    @app.wait_until(visitor) { visitor.said["email"] == "ann@shop.test" }

    visitor.get("/settings")
    visitor.submit("/settings", "email" => "ann@new.test")
    assert_equal %w[id], visitor.said.keys
    assert_equal %w[ann@shop.test], double.emails
    @app.wait_until(visitor) { visitor.said["email"] == "ann@new.test" }
    assert_equal %w[ann@new.test], double.emails

    # Another contact has the email: the page gives the id alone until that one lets it go.
    double.create("taken@elsewhere.test")
    visitor.get("/settings")
    visitor.submit("/settings", "email" => "taken@elsewhere.test")
    assert_equal %w[id], visitor.said.keys
    assert_includes rake("vidcache:stale", "OLDER_THAN" => "0"), "1 outstanding"
    double.change("taken@elsewhere.test", to: "other@elsewhere.test")
    @app.wait_until(visitor) { visitor.said["email"] == "taken@elsewhere.test" }
    assert_empty double.state.fetch("duplicates")
    assert_includes rake("vidcache:verify"), "vidcache: nothing is wrong\n"
  end

  private

  def rake(task, env = {})
    script = "require './config/environment'; require 'rake'; Rails.application.load_tasks; Rake::Task[#{task.inspect}].invoke"
    @app.run(script, HUBSPOT_PORTAL: HubspotDouble::PORTAL, **env.transform_keys(&:to_sym))
  end

  def contents
    Dir.glob(["{app,config}/**/*", ".gitignore"], base: @folder).select { |file| File.file?(@app.file(file)) }
       .to_h { |file| [file, File.read(@app.file(file))] }
  end
end
