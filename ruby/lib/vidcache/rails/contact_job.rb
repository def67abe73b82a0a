# frozen_string_literal: true

require "active_job"
require "json"
require "net/http"
require "openssl"
require "vidcache/rails/failure"

module Vidcache
  # Tells HubSpot of a user's email and records what HubSpot answers: the job that `has_vid` enqueues.
  #
  #     class HubspotContactJob < Vidcache::ContactJob
  #     end
  #
  # Its queue has to be one that can wait, so not Active Job's `:inline`.
  #
  # As it stands it calls HubSpot's v3 API with `config.vidcache.access_token`. An app with a client of its own overrides {#update},
  # {#create}, {#read} and {#read_by_email}; each returns what the client hands out, or lets its error out: {Cache#record} says which
  # shapes it takes.
  #
  # What it keeps, whatever they do:
  #
  # - HubSpot is told no sooner than a quiet period after the change began, even if the queue does not wait, and even if
  #   a process with a longer `page_deadline` has come since the job was enqueued;
  # - one job of a user at a time, each with the email as it is then;
  # - a job that is delivered twice, or whose change is no longer outstanding, tells HubSpot nothing;
  # - 404: the contact is gone, so a new one is made. 409: another contact holds the email, so the one that the user has is read and
  #   recorded; a new user is linked to the contact that holds it. 429: tried again when HubSpot says. Whatever else goes
  #   wrong is tried {ATTEMPTS} times over some hours. A change whose job gives up stays outstanding, and its pages give the id alone,
  #   until `retry_email_changes` (hourly, see {Model}) makes another job.
  class ContactJob < ActiveJob::Base
    # How often a job is tried. Its changes are found again after that.
    ATTEMPTS = 10

    # Seconds, for each of connecting, writing and reading. A call that is still under way when the job is tried again could reach
    # HubSpot after the second one's.
    TIMEOUT = 10

    API = "https://api.hubapi.com"
    CONTACTS = "/crm/v3/objects/contacts"
    private_constant :API, :CONTACTS

    # Seconds: 3, 18, 83, 258 and so on.
    LONGER = ->(executions) { (executions**4) + 2 }
    private_constant :LONGER

    retry_on Busy, Storage, HubspotError, Withheld, ContactMissing, ContactConflict, SystemCallError, SocketError, IOError, Timeout::Error,
             OpenSSL::SSL::SSLError, Net::ProtocolError, wait: LONGER, attempts: ATTEMPTS
    rescue_from(RateLimited) { |error| vidcache_later(error.retry_after || LONGER.call(executions), error) }
    discard_on ActiveJob::DeserializationError # The user is gone, and with it every page about them.

    # @param user [Vidcache::Model]
    # @param change [Integer, nil] the token of the change that this job is for, nil for a user whom HubSpot is not known to have
    # @return [void]
    def perform(user, change = nil)
      early = nil
      exclusively(user) do
        next unless user.hubspot_email_due?(change)
        next if (early = vidcache_early(user, change))

        vidcache_tell(user, change)
      end
      vidcache_later(early) if early
    end

    private

    # @!group What an app may override

    # Runs the block with the user's other jobs locked out, on all hosts, and with the user as they are in the database now.
    def exclusively(user, &block)
      user.with_lock(&block)
    end

    # @param vid [Integer]
    # @param email [String, nil]
    # @return [Object] HubSpot's answer
    def update(vid, email)
      hubspot("PATCH", "#{CONTACTS}/#{vid}", properties: { email: email })
    end

    # @param email [String]
    # @return [Object] HubSpot's answer
    def create(email)
      hubspot("POST", CONTACTS, properties: { email: email })
    end

    # @param vid [Integer]
    # @return [Object] HubSpot's answer
    def read(vid)
      hubspot("GET", "#{CONTACTS}/#{vid}?properties=email")
    end

    # @param email [String]
    # @return [Object] HubSpot's answer
    def read_by_email(email)
      hubspot("GET", "#{CONTACTS}/#{URI.encode_www_form_component(email)}?idProperty=email&properties=email")
    end

    # @return [Net::HTTPResponse]
    # @raise [NotConfigured] no `access_token`
    def hubspot(method, path, body = nil)
      token = Vidcache.settings.access_token or raise NotConfigured, "config.vidcache.access_token is not set"
      url = URI(Vidcache.settings.api_url || API)
      headers = { "Authorization" => "Bearer #{token}", "Content-Type" => "application/json" }
      Net::HTTP.start(url.host, url.port, use_ssl: url.scheme == "https", open_timeout: TIMEOUT, read_timeout: TIMEOUT,
                                          write_timeout: TIMEOUT, max_retries: 0) do |http|
        http.send_request(method, path, body && JSON.generate(body), headers)
      end
    end

    # @!endgroup

    # Tells HubSpot of the email and records its answer, which finishes the change.
    def vidcache_tell(user, change)
      email = user.vidcache_email
      vid = Vidcache.cache.resolve(user.vidcache_key)
      vid ? vidcache_update(user, vid, email, change) : vidcache_create(user, email, change)
    rescue VidTaken => e
      # Two users of the app, one contact at HubSpot. This user's pages go on saying what they said.
      Failure.report(e, during: "a job recorded nothing: the contact is another user's")
    end

    def vidcache_update(user, vid, email, change)
      vidcache_record(user, change) { update(vid, email) }
    rescue ContactMissing
      vidcache_create(user, email, change)
    rescue ContactConflict
      # What this one holds is recorded, which ends the change. App and HubSpot do not agree, so pages give the id alone
      # until somebody merges the two.
      vidcache_record(user, change) { read(vid) }
    end

    def vidcache_create(user, email, change)
      return vidcache_nobody_to_tell(user, change) unless email

      vidcache_record(user, change) { create(email) }
    rescue ContactConflict
      # HubSpot knows this person already, from a form or a newsletter.
      vidcache_record(user, change) { read_by_email(email) }
    end

    # No email, of a user whom HubSpot never knew, or knows no more.
    def vidcache_nobody_to_tell(user, change)
      Vidcache.cache.abandon_email_change(user.vidcache_key, change) if change
    end

    # What HubSpot refused is raised by {Cache#record}, whether the client returned it or raised it.
    def vidcache_record(user, change)
      answer = begin
        yield
      rescue Error
        raise
      rescue StandardError => e
        answered = Answer.carried_by?(e)
        e # What a client makes of an error of HubSpot's is an answer too.
      end
      raise Failure.without_email(answer) if answered == false

      Vidcache.cache.record(user.vidcache_key, answer, change: change)
    end

    # @return [Float, nil] seconds that are left of the change's quiet period, by what the file says now
    def vidcache_early(user, change)
      return if change.nil?

      begun = Vidcache.cache.change_outstanding_since(user.vidcache_key, change) || Time.now
      left = begun + Vidcache.settings.quiet_period - Time.now
      left if left.positive?
    end

    def vidcache_later(seconds, error = nil)
      raise error if error && executions >= ATTEMPTS

      retry_job(wait: seconds, error: error)
    end
  end
end
