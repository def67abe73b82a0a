# frozen_string_literal: true

require "fileutils"
require "rbconfig"

# A fresh Rails app with users who sign in and change their email, and without a word of vidcache but
# its `require`. Tests add the rest.
class AppFolder
  GEM = File.expand_path("../../..", __dir__)

  FILES = {
    "config/application.rb" => <<~RUBY,
      $LOAD_PATH.unshift(#{File.join(GEM, "lib").inspect})
      require "logger"
      require "rails"
      require "active_record/railtie"
      require "active_job/railtie"
      require "action_controller/railtie"
      require "action_view/railtie"
      require "vidcache" # Bundler.require does this in an app with a Gemfile.

      class FreshApp < Rails::Application
        config.load_defaults 6.1
        config.root = File.expand_path("..", __dir__)
        config.secret_key_base = "0" * 64
        config.eager_load = Rails.env.production?
        config.active_support.deprecation = :stderr
        config.active_job.queue_adapter = :async
      end
    RUBY
    "config/environment.rb" => <<~RUBY,
      require_relative "application"
      Rails.application.initialize!
    RUBY
    "config.ru" => <<~RUBY,
      require_relative "config/environment"
      run Rails.application
    RUBY
    "config/database.yml" => <<~YAML,
      <%= Rails.env %>:
        adapter: sqlite3
        database: db/app.sqlite3
        pool: 10
        timeout: 5000
    YAML
    "config/puma.rb" => <<~RUBY,
      workers Integer(ENV.fetch("WORKERS", 0))
      preload_app!
      threads 1, 5
      bind "tcp://127.0.0.1:\#{ENV.fetch("PORT")}"
    RUBY
    "config/routes.rb" => <<~RUBY,
      Rails.application.routes.draw do
        root "users#home"
        get "/settings", to: "users#settings"
        post "/settings", to: "users#update"
        get "/up", to: ->(_) { [200, {}, [Process.pid.to_s]] }
        get "/sign_up", to: "users#sign_up"
        post "/sign_up", to: "users#create"
      end
    RUBY
    "app/models/application_record.rb" => <<~RUBY,
      class ApplicationRecord < ActiveRecord::Base
        self.abstract_class = true
      end
    RUBY
    "app/models/user.rb" => <<~RUBY,
      class User < ApplicationRecord
      end
    RUBY
    "app/jobs/application_job.rb" => <<~RUBY,
      class ApplicationJob < ActiveJob::Base
      end
    RUBY
    "app/controllers/application_controller.rb" => <<~RUBY,
      class ApplicationController < ActionController::Base
        helper_method def current_user
          User.find_by(id: session[:user_id])
        end
      end
    RUBY
    "app/controllers/users_controller.rb" => <<~RUBY,
      class UsersController < ApplicationController
        def home
          render html: "<p>\#{Process.pid}</p>".html_safe, layout: true
        end

        def sign_up
          render inline: '<%= form_with(url: "/sign_up", local: true) { |f| f.text_field(:email) } %>', layout: true
        end

        def settings
          render inline: '<%= form_with(url: "/settings", local: true) { |f| f.text_field(:email) } %>', layout: true
        end

        def create
          session[:user_id] = User.create!(email: params[:email]).id
          redirect_to "/"
        end

        def update
          current_user.update!(email: params[:email])
          redirect_to "/settings"
        end
      end
    RUBY
    "app/views/layouts/application.html.erb" => <<~HTML
      <!DOCTYPE html>
      <html>
        <head><%= csrf_meta_tags %></head>
        <body>
          <%= yield %>
        </body>
      </html>
    HTML
  }.freeze

  SCHEMA = <<~RUBY
    require "./config/environment"
    ActiveRecord::Schema.verbose = false
    ActiveRecord::Schema.define { create_table(:users) { |t| t.string :email } }
    ActiveRecord::Base.connection.execute("PRAGMA journal_mode = WAL")
    ActiveRecord::Base.connection_pool.disconnect! # Empties the log: the file alone is copied.
  RUBY

  # For an initializer of an app whose worker is {#sidekiq}.
  SIDEKIQ = <<~RUBY
    require "sidekiq"
    Rails.application.config.active_job.queue_adapter = :sidekiq
    Redis.silence_deprecations = true if defined?(Redis) && Redis.respond_to?(:silence_deprecations=)
    redis = { url: ENV.fetch("REDIS_URL") }
    Sidekiq.configure_client { |config| config.redis = redis }
    Sidekiq.configure_server do |config|
      config.redis = redis
      # How often it looks for jobs whose wait is over.
      (config.respond_to?(:options) ? config.options : config)[:poll_interval_average] = 0.5
    end
  RUBY

  attr_reader :path

  def initialize(path)
    @path = path
    FILES.each { |name, text| write(name, text) }
    FileUtils.mkdir_p([file("log"), file("tmp"), file("db")])
    @@database ||= begin # Making it takes a boot of Rails, so that is done once.
      run(SCHEMA)
      File.binread(file("db/app.sqlite3"))
    end
    File.binwrite(file("db/app.sqlite3"), @@database)
  end

  def file(name)
    File.join(@path, name)
  end

  def write(name, text)
    FileUtils.mkdir_p(File.dirname(file(name)))
    File.write(file(name), text)
  end

  # Makes it an app with vidcache, as the README does.
  def adopt
    layout = "app/views/layouts/application.html.erb"
    write("app/models/user.rb", "class User < ApplicationRecord\n  has_vid email: :email\nend\n")
    write("app/jobs/hubspot_contact_job.rb", "class HubspotContactJob < Vidcache::ContactJob\nend\n")
    write(layout, FILES.fetch(layout).sub("</body>") { "<%= hubspot_tracking_tag(current_user) %></body>" })
  end

  # @param ruby [String] run in a process of its own, in the app's folder
  # @return [String] what it printed
  # @raise [RuntimeError] it failed
  def run(ruby, **env)
    # A script that ends while a job of the queue in memory begins may hang for ever: Ruby kills the queue's thread, and
    # if that thread is inside `require`, RubyGems 3.3 raises ("RUBYGEMS_ACTIVATION_MONITOR.owned?") in the place of the
    # kill, and the queue rescues what is raised.
    script = "#{ruby}\n$stdout.flush\nexit!(true)"
    output = IO.popen([environment(env), RbConfig.ruby, "-e", script, { chdir: @path, err: %i[child out] }], &:read)
    $?.success? ? output : raise(output)
  end

  # Starts Puma and waits until it serves.
  #
  # @return [Integer] its port
  def serve(processes, **env)
    port = Processes.free_port
    command = %w[puma --config config/puma.rb --environment production config.ru]
    pid = start(processes, *command, log: "log/puma.log", PORT: port, **env)
    processes.wait(pid) { Net::HTTP.get_response(URI("http://127.0.0.1:#{port}/up")).code == "200" rescue false } # rubocop:disable Style/RescueModifier
    port
  end

  # @return [Integer] the pid of its worker
  def sidekiq(processes, **env)
    command = ["sidekiq", "--environment", "production", "--concurrency", "2", "--require", @path]
    start(processes, *command, log: "log/sidekiq.log", **env)
  end

  # @param log [String] in the app's folder
  # @return [Integer] the pid
  def start(processes, *command, log:, **env)
    processes.start(*command, env: environment(env), log: file(log), chdir: @path)
  end

  # Loads the visitor's page anew until the block says something else than nil or false.
  def wait_until(visitor, seconds: 60)
    Timeout.timeout(seconds) do
      until yield
        sleep 0.1
        visitor.get("/")
      end
    end
  rescue Timeout::Error
    jobs = File.read(file("log/production.log")).lines.grep(/Job|vidcache/).last(10).join
    raise Processes::Failed, "after #{seconds} s the page said #{visitor.said}:\n#{jobs}"
  end

  private

  def environment(env)
    { "RAILS_ENV" => "production", "DATABASE_URL" => nil, "RUBYOPT" => nil }.merge(env.to_h { |name, value| [name.to_s, value&.to_s] })
  end
end
