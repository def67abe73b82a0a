# frozen_string_literal: true

require "json"
require "time"
require "timeout"
require "vidcache/rails/hubspot_http"

module Vidcache
  # Why a user is not named, for who sits at the support desk: {Cache#explain}, and what the app and HubSpot know
  # besides. It looks the user up itself, and says what to do.
  #
  # @api private
  class Explanation
    # In the app's cache, for as long as {KEPT} seconds: how the last try of a user's job ended, where it failed, and
    # when the last webhook came. Neither is lost sleep over where there is no cache that processes share.
    module Traces
      KEPT = 30 * 86_400

      module_function

      # @param key [Integer, String] the user's
      # @param error [Exception, nil] nil: it went well
      # @return [void]
      def job(key, error)
        Pulse.count(error ? "failed_jobs" : "jobs")
        return store&.delete("vidcache/job/#{key}") if error.nil?

        words = error.is_a?(Error) ? error.message : error.class.name
        store&.write("vidcache/job/#{key}", { "error" => words, "at" => Time.now.to_i }, expires_in: KEPT)
      rescue StandardError
        nil
      end

      # @return [void]
      def webhook
        store&.write("vidcache/webhook", Time.now.to_i, expires_in: KEPT)
      rescue StandardError
        nil
      end

      # @param users [Integer] who had no contact for longer than an hour when the reconcile looked
      # @return [void]
      def unlinked(users)
        store&.write("vidcache/unlinked#{Portals.suffix}", { "users" => users, "at" => Time.now.to_i }, expires_in: KEPT)
      rescue StandardError
        nil
      end

      # @return [Hash, nil] what {unlinked} kept of the portal
      def last_unlinked
        read("unlinked#{Portals.suffix}")
      end

      # @return [Object, nil]
      def read(name)
        store&.read("vidcache/#{name}")
      rescue StandardError
        nil
      end

      def store
        ::Rails.cache if ::Rails.respond_to?(:cache)
      end
      private_class_method :store
    end

    # @param model [Class] with `has_vid`
    # @param id [String, nil] the user's key
    # @param email [String, nil] by which they are looked up where there is no id
    # @param ask [Boolean] whether HubSpot is asked, which may take seconds
    def initialize(model, id: nil, email: nil, ask: true)
      @model = model
      @ask = ask
      @user = id ? model.find_vidcache_user(id) : model.find_vidcache_user_by_email(email)
      @key = @user&.vidcache_key || id
    end

    # @return [Array<String>] a sentence each; no emails
    def sentences
      return ["There is no such user in #{@model.name}."] if @key.nil?
      return in_portal if @user.nil? || @user.class.vidcache_portal_method.nil?
      return ["The user has no portal, so no page and no job of theirs does anything."] unless @user.vidcache_portal

      Vidcache.in_portal(@user.vidcache_portal) { in_portal }
    end

    private

    def in_portal
      @held = JSON.parse(Vidcache.cache.export(@key))
      [*nobody, *told, *whose, *confirmed, *changes, *unlinked, *at_hubspot, *webhooks]
    end

    def nobody
      ["There is no user #{@key} in #{@model.name} any more, or it is hidden by a default scope."] unless @user
    end

    def told
      Vidcache.cache.explain(@key, @user&.vidcache_email)
    rescue InvalidEmail
      ["The app's email is no address that HubSpot could hold, so no page names it.", *Vidcache.cache.explain(@key, nil).drop(1)]
    end

    def reason
      @reason ||= @user.vidcache_decision.reason
    end

    def whose
      conflict = @held["conflict"] or return
      return unless conflict["holder"]

      users = Vidcache.cache.users_of(conflict["holder"].to_i)
      of = users.empty? ? "no user's of the app" : "user #{users.join(" and ")}'s"
      "Contact #{conflict["holder"]} is #{of}; the user's own is #{@held["vid"] ? "contact #{@held["vid"]}" : "none"}. " \
        "`rails vidcache:merge CONFLICT=#{@key}` merges the two."
    end

    def confirmed
      "The model's `has_vid if:` says no: the address may not be used until it is confirmed." if @user && !@user.vidcache_usable?
    end

    def changes
      return unless @user

      open = @held["changes"].reject { |change| change["ended_at"] }
      return past_the_callbacks if open.empty?

      begun = Time.at(open.map { |change| change["begun_at"].to_i }.min / 1000)
      due = begun + Vidcache.settings.quiet_period
      return "Its job tells HubSpot at #{utc(due)}, when no page can name the former email any more." if due > Time.now

      "Its job should have told HubSpot at #{utc(due)}. #{last_job} An hour after the change began, `rails vidcache:reconcile` makes another job."
    end

    def past_the_callbacks
      return unless reason == :email_differs && @held["conflict"].nil? && @held["changes"].none? { |change| change["refused"] }

      "No change is on its way. So the email was changed inside HubSpot, or written in the app past `has_vid` (update_columns, SQL): then " \
        "begin it: `#{@model.name}.transaction { user.hubspot_email_will_change! }`."
    end

    def unlinked
      return unless @user && @held["vid"].nil? && @held["changes"].all? { |change| change["ended_at"] } && @user.vidcache_usable?

      "#{last_job} `rails vidcache:backfill` and the hourly `vidcache:reconcile` look for a contact; CREATE=1 makes one."
    end

    def last_job
      trace = Traces.read("job/#{@key}") or return "Of a job that failed nothing is known: it was lost, or there was none."
      "Its last job failed at #{utc(Time.at(trace["at"]))}: #{trace["error"]}."
    end

    # Whether the contact is there: a deletion that no webhook told is known to HubSpot alone.
    def at_hubspot
      return unless @ask && @held["vid"] && Vidcache.settings.access_token

      answer = Timeout.timeout(15) { HubspotHttp.call("GET", "#{Vidcache.settings.api_path}/#{@held["vid"]}") }
      return "HubSpot has no contact #{@held["vid"]} now: it was deleted, and `vidcache:reconcile` will hear of it." if answer.code.to_i == 404

      "HubSpot does not take the token." if [401, 403].include?(answer.code.to_i)
    rescue StandardError => e
      "HubSpot could not be asked: #{e.class}."
    end

    def webhooks
      return "Webhooks are not set up, so edits inside HubSpot are noticed late." unless Vidcache.settings.client_secret

      at = Traces.read("webhook")
      at ? "The last webhook came at #{utc(Time.at(at))}." : "No webhook is known to have come: `rails vidcache:check` tries the way."
    end

    def utc(time)
      time.getutc.strftime("%Y-%m-%d %H:%M:%S UTC")
    end
  end
end
