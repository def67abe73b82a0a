# frozen_string_literal: true

require "json"
require "vidcache/rails/failure"
require "vidcache/rails/hubspot_http"

module Vidcache
  # Reads contacts from HubSpot, a hundred a call, and takes in what it says of them. To read tells HubSpot nothing, so
  # no page has to be waited for.
  #
  # @api private
  class ContactReader
    # What HubSpot reads in one call.
    BATCH = 100

    # How often a call is tried that HubSpot answers with 429.
    ATTEMPTS = 5

    # Seconds to wait where HubSpot says nothing of it, the longest of its short limits; and what is too long to wait
    # here.
    PAUSE = 10
    TOO_LONG = 60

    private_constant :ATTEMPTS, :PAUSE, :TOO_LONG

    # @return [Integer] how many calls were made
    attr_reader :calls

    # @param rate [Numeric] the most calls a second
    def initialize(rate: 5)
      @least = 1.0 / Float(rate)
      @next_at = 0.0
      @calls = 0
    end

    # @param vids [Array<Integer>] at most {BATCH}
    # @return [Hash{Integer => Array<String>}] the emails of the contacts that are there, in lower case. Not to be kept
    # @raise [RateLimited] for longer than a minute
    # @raise [HubspotError, NotConfigured, SystemCallError, Timeout::Error]
    def read(vids)
      body = { inputs: vids.map { |vid| { id: vid.to_s } }, properties: HubspotHttp::PROPERTIES }
      observed, results = take { call("POST", "#{path}/batch/read", body) }
      found = results.to_h { |contact| [contact["id"].to_i, emails(contact)] }
      # An id that HubSpot leaves out without a word was merged into another, which a GET follows.
      (vids - observed.contacts - observed.missing).each do |vid|
        contact = read_one(vid)
        found[vid] = emails(contact) if contact
      end
      found
    end

    # @param emails [Array<String>] at most {BATCH}, in lower case
    # @return [Hash{String => Integer}] which contacts have them, whether as their first or another one
    # @raise as {#read}
    def read_by_email(emails)
      body = { idProperty: "email", inputs: emails.map { |email| { id: email } }, properties: HubspotHttp::PROPERTIES }
      _, results = take { call("POST", "#{path}/batch/read", body) }
      results.each_with_object({}) { |contact, found| emails(contact).each { |email| found[email] = contact["id"].to_i } }
    rescue Error => e
      # HubSpot takes no email of that form, and refuses them all for one.
      raise unless e.code == :refused
      return {} if emails.one?

      emails.each_slice((emails.size / 2.0).ceil).map { |half| read_by_email(half) }.reduce(:merge)
    end

    # Merges two contacts at HubSpot. No way back.
    # @param primary [Integer] whose values stay
    # @param other [Integer]
    # @return [Integer] the id that lives
    def merge(primary, other)
      body = { primaryObjectId: primary.to_s, objectIdToMerge: other.to_s }
      observed, = take { call("POST", "#{path}/merge", body) }
      read([primary, other]) # By the old ids, so that both are known to stand for the one that lives.
      observed.contacts.first || primary
    end

    private

    def read_one(vid)
      take { call("GET", "#{path}/#{vid}?properties=#{HubspotHttp::PROPERTIES.join(",")}") }.last.first
    rescue ContactMissing
      # HubSpot's words name no id: said as a batch says it, so that it is kept of which.
      gone = { category: "OBJECT_NOT_FOUND", context: { ids: [vid.to_s] } }
      Vidcache.cache.observe(JSON.generate(status: "COMPLETE", results: [], numErrors: 1, errors: [gone]), asked_at: Time.now)
      nil
    end

    def emails(contact)
      properties = contact["properties"].to_h
      [properties["email"], *properties["hs_additional_emails"].to_s.split(";")].compact.map { |email| email.strip.downcase }
    end

    def take
      attempts = 0
      begin
        wait_for_turn
        asked_at = Time.now
        answer = yield
        observed = Vidcache.cache.observe(answer, asked_at: asked_at)
        json = JSON.parse(answer.body)
        [observed, json["results"] || [json]]
      rescue RateLimited => e
        pause = e.retry_after || PAUSE
        raise if (attempts += 1) >= ATTEMPTS || pause > TOO_LONG

        sleep(pause)
        retry
      end
    end

    def wait_for_turn
      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      sleep(@next_at - now) if @next_at > now
      @next_at = [@next_at, now].max + @least
    end

    def path
      Vidcache.settings.api_path
    end

    def call(method, path, body = nil)
      @calls += 1
      HubspotHttp.call(method, path, body)
    end
  end
end
