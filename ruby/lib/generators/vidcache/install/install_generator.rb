# frozen_string_literal: true

require "rails/generators/named_base"

module Vidcache
  # `rails generate vidcache:…`
  module Generators
    # `rails generate vidcache:install [MODEL]`
    class InstallGenerator < ::Rails::Generators::Base
      source_root File.expand_path("templates", __dir__)
      desc "Sets vidcache up: the initializer, the worker's job, the webhooks' route, the model, the layout, the folder of the file.\n" \
           "MODEL is that of the users whom HubSpot has contacts for (User)."
      class_option :vid_column, type: :string, lazy_default: "hubspot_vid", banner: "NAME",
                                desc: "a column for HubSpot's contact ids, with its migration: the file is a cache, and the links that it " \
                                      "knows stand in the app's database too (hubspot_vid)"
      argument :model, type: :string, default: "User", banner: "MODEL", desc: "the model of the users that HubSpot has contacts for"

      # @!visibility private
      def copy_initializer
        template "initializer.rb.tt", "config/initializers/vidcache.rb"
      end

      # @!visibility private
      def copy_job
        template "hubspot_contact_job.rb.tt", "app/jobs/hubspot_contact_job.rb"
      end

      # @!visibility private
      def route_the_webhooks
        return say_status(:skip, "config/routes.rb is not there", :yellow) unless exists?("config/routes.rb")
        return say_status(:identical, "config/routes.rb", :blue) if read("config/routes.rb").include?("Vidcache::Webhook")

        route 'post "/hubspot/webhooks", to: Vidcache::Webhook'
      end

      # @!visibility private
      def ignore_the_file
        empty_directory "storage"
        create_file ".gitignore", "" unless exists?(".gitignore")
        append_once ".gitignore", "/storage/*.vidcache*\n"
      end

      # @!visibility private
      def add_the_column
        return unless column
        made = "db/migrate/*_#{migration}.rb"
        return say_status(:identical, made, :blue) if Dir.glob(File.join(destination_root, made)).any?

        template "migration.rb.tt", "db/migrate/#{Time.now.utc.strftime("%Y%m%d%H%M%S")}_#{migration}.rb"
      end

      # @!visibility private
      def mark_the_model
        path = "app/models/#{model.underscore}.rb"
        return say_status(:skip, "#{path} is not there: put `#{macro}` into the model", :yellow) unless exists?(path)
        return say_column_is_missing(path) if read(path).include?("has_vid")

        inject_into_class path, model.camelize, "  #{macro}\n"
      end

      # @!visibility private
      def tag_the_layout
        path = "app/views/layouts/application.html.erb"
        # Rails 8's own authentication.
        visitor = exists?("app/models/current.rb") && exists?("app/controllers/concerns/authentication.rb") ? "Current.user" : "current_user"
        tag = "<%= hubspot_tracking_tag(#{visitor}) %>"
        return say_status(:skip, "#{path} is not there: put `#{tag}` at the end of <body>", :yellow) unless exists?(path)
        return say_status(:identical, path, :blue) if read(path).include?("hubspot_tracking_tag")

        inject_into_file path, "    #{tag}\n", before: %r{^[ \t]*</body>}
      end

      # @!visibility private
      def say_what_is_left
        say <<~TEXT

          vidcache is in place. What is left to do:
            - set HUBSPOT_PORTAL, HUBSPOT_TOKEN and, for webhooks, HUBSPOT_CLIENT_SECRET and HUBSPOT_WEBHOOK_URL (the whole address that
              you enter at HubSpot); without a portal vidcache does nothing
            - see that the layout's `current_user` is what your app calls the one who is signed in, nil where nobody is
            - `rails vidcache:check`, here and on the server: it asks HubSpot, and says what is missing
            - `#{model.camelize}.retry_email_changes` once an hour, for jobs that were lost
            - `rails vidcache:backfill` once, for the users that are there already (CREATE=1 makes contacts for whom HubSpot does not have)
            - set `config.vidcache.loader_host` to the host of the portal's own embed code (in HubSpot: Settings, Tracking code)
            - take HubSpot's own embed code out of the layout, if it is there
            - addresses have to be their users' own: without `if: :confirmed?` (or what says so in your app) beside `has_vid`'s `email:`,
              whoever signs up as somebody else's address is linked to that person's contact. Devise's :confirmable is found by itself
        TEXT
      end

      private

      def column
        options[:vid_column].presence&.underscore
      end

      def table
        model.underscore.tr("/", "_").pluralize
      end

      def migration
        "add_#{column}_to_#{table}"
      end

      def macro
        "has_vid email: :email, key: :id#{", vid: :#{column}" if column}#{", if: :confirmed?" if confirmable?}, job: \"HubspotContactJob\""
      end

      # By Devise: `confirmed?` says whether the address was.
      def confirmable?
        path = "app/models/#{model.underscore}.rb"
        exists?(path) && read(path).match?(/^\s*[^#\n]*:confirmable\b/)
      end

      def say_column_is_missing(path)
        return say_status(:identical, path, :blue) unless column && !read(path).match?(/has_vid.*vid: :#{Regexp.escape(column)}\b/)

        say_status(:skip, "#{path} has its has_vid: add `vid: :#{column}` to it", :yellow)
      end

      def exists?(path)
        File.exist?(File.join(destination_root, path))
      end

      def read(path)
        File.read(File.join(destination_root, path))
      end

      def append_once(path, line)
        return if exists?(path) && read(path).lines.include?(line)

        append_to_file path, exists?(path) && read(path).match?(/[^\n]\z/) ? "\n#{line}" : line
      end
    end
  end
end
