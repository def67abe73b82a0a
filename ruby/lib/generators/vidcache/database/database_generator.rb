# frozen_string_literal: true

require "rails/generators/active_record"

module Vidcache
  module Generators
    # `rails generate vidcache:database`
    class DatabaseGenerator < ::Rails::Generators::Base
      include ::ActiveRecord::Generators::Migration

      source_root File.expand_path("templates", __dir__)
      desc "The tables for an app whose processes share no disk, in its own PostgreSQL: a migration, and the setting of the store."
      class_option :database, type: :string, aliases: %w[--db], desc: "of an app with several: the one that the users are in"

      # @!visibility private
      def create_the_migration
        migration_template "migration.rb.tt", File.join(db_migrate_path, "create_vidcache_tables.rb")
      end

      # @!visibility private
      def choose_the_store
        path = "config/initializers/vidcache.rb"
        full = File.join(destination_root, path)
        unless File.exist?(full)
          return say_status(:skip, "#{path} is not there: put `config.vidcache.store = :database` where your app sets it up", :yellow)
        end
        return say_status(:identical, path, :blue) if File.read(full).match?(/^[^#\n]*vidcache\.store\s*=/)

        inject_into_file path, <<~RUBY.indent(2), after: /^Rails\.application\.configure do\n/

          # For an app whose processes share no disk: what is known of users stands in the app's own PostgreSQL.
          config.vidcache.store = :database

        RUBY
      end

      # @!visibility private
      def say_what_is_left
        say <<~TEXT

          What is left to do:
            - `bin/rails db:migrate`, before or while the new version is deployed: without the tables pages go out without a word of who
              their visitors are, and saves of emails fail
            - with a file of before: `bin/rails vidcache:copy FILE=storage/hubspot.vidcache`, on the host that has it, as often as you like
            - `bin/rails vidcache:check`, on the server
        TEXT
      end
    end
  end
end
