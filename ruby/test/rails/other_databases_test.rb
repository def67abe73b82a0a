# frozen_string_literal: true

require_relative "helper"
require_relative "support/app_folder"
require_relative "support/mariadb"

# `config.vidcache.store = :database` in an app whose database is no PostgreSQL: one sentence, when a server boots and
# to whoever saves an email, and pages go out.
class Vidcache::OtherDatabasesTest < Minitest::Test
  INITIALIZER = <<~RUBY
    Rails.application.configure do
      config.vidcache.store = :database
      config.vidcache.portal_id = 62_515
      config.vidcache.loader_host = "js.hs-scripts.com"
    end
  RUBY
  SCRIPT = <<~RUBY
    $PROGRAM_NAME = "puma"
    require "./config/environment"
    ActiveRecord::Schema.verbose = false
    ActiveRecord::Schema.define { create_table(:users, force: true) { |t| t.string :email } }
    def error
      yield && nil
    rescue StandardError => e
      [e.class, e.message]
    end
    User.reset_column_information # Which a server asks for when it boots.
    created = error { User.create!(email: "ann@shop.test") }
    User.insert_all([{ email: "bob@shop.test" }])
    changed = error { User.last.update!(email: "bob@new.test") }
    puts JSON.generate([created, changed, User.pluck(:email), Vidcache::Health.problem, ApplicationController.helpers.hubspot_tracking_tag(User.last)])
  RUBY

  def setup
    @app = AppFolder.new(Dir.mktmpdir("other-", SCRATCH)).tap(&:adopt)
    @app.write("config/initializers/vidcache.rb", INITIALIZER)
  end

  def test_sqlite_is_refused
    assert_refused("SQLite")
  end

  def test_mariadb_is_refused
    skip MariadbServer.missing if MariadbServer.missing
    server = MariadbServer.new
    @app.write("config/database.yml", <<~YAML)
      production:
        adapter: mysql2
        socket: #{server.socket}
        username: root
        database: #{server.database}
    YAML
    assert_refused("Mysql2")
  ensure
    server&.stop
  end

  private

  def assert_refused(adapter)
    sentence = "config.vidcache.store = :database needs PostgreSQL, and the app's database is #{adapter}: use the file " \
               "(config.vidcache.store = :file), which serves the processes of one host"
    error = ["Vidcache::UnsupportedDatabase", sentence]
    assert_equal [error, error, %w[bob@shop.test], "unsupported_database", ""], JSON.parse(@app.run(SCRIPT).lines.last)
    log = File.read(@app.file("log/production.log"))
    assert_equal 1, log.scan("vidcache: the database cannot be used, so pages go out without HubSpot's tracking code, and whoever signs up or " \
                             "saves an email is shown an error: Vidcache::UnsupportedDatabase: #{sentence}").size
  end
end
