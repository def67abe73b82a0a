# frozen_string_literal: true

require "json"
require "openssl"
require "time"
require "uri"
require "vidcache/rails/hubspot_http"

module Vidcache
  # `rails vidcache:check`: whether all is there that the app needs, in plain words, with what to do where it is not.
  # Asks HubSpot, writes nothing, and calls the app's own webhook with a delivery that says nothing, signed as HubSpot
  # would sign it.
  #
  # @api private
  class Check
    # What was looked at: `:ok`, `:wrong`, or `:open` where nobody can tell.
    Finding = Struct.new(:how, :text)

    SCOPES = %w[crm.objects.contacts.read crm.objects.contacts.write].freeze
    TOKEN_INFO = "/oauth/v2/private-apps/get/access-token-info"
    # Seconds that HubSpot lets a signature's time be off; and what an answer's header may be off by itself.
    CLOCK = 60
    private_constant :SCOPES, :TOKEN_INFO, :CLOCK

    # What is wrong with a model's `has_vid`, as far as its class tells: for the boot too.
    #
    # @param model [Class]
    # @return [Array<String>]
    def self.model(model)
      found = []
      begin
        model.vidcache_email_in_row?
      rescue ArgumentError => e
        found << e.message
      end
      column = model.vidcache_vid_attribute
      if column && !model.attribute_names.include?(model.attribute_aliases.fetch(column, column))
        found << "#{model.name} says `has_vid vid: :#{column}`, and #{model.table_name} has no such column"
      end
      found << ELSEWHERE % model.name if Vidcache.settings.database? && elsewhere?(model)
      found << Portals.missing(model) unless portal?(model)
      found.concat(job(model))
    end

    def self.portal?(model)
      name = model.vidcache_portal_method
      name.nil? || model.attribute_names.include?(model.attribute_aliases.fetch(name.to_s, name.to_s)) || model.method_defined?(name) ||
        model.private_method_defined?(name)
    end
    private_class_method :portal?

    ELSEWHERE = "%s is in another database than vidcache's tables, so a change of an email would not begin in its transaction: use the file"
    private_constant :ELSEWHERE

    def self.elsewhere?(model)
      model.connection_specification_name != Database::Connection.model.connection_specification_name
    end
    private_class_method :elsewhere?

    def self.job(model)
      job = model.vidcache_job_class
      return ["#{job.name}, the job of #{model.name}, has no perform(user, change)"] unless job.method_defined?(:perform)
      return [NO_RAILTIE % model.name] unless model.method_defined?(:to_global_id)

      own = !job.method_defined?(:vidcache_remember) || job.instance_method(:update).owner != ContactJob::HubspotApi
      own || Vidcache.settings.access_token ? [] : ["config.vidcache.access_token is not set, so #{job.name} cannot call HubSpot"]
    rescue Error => e
      [e.message]
    end
    private_class_method :job

    NO_RAILTIE = "no job can be given a %s: config/application.rb does not say `require \"active_job/railtie\"` (`rails new --minimal` leaves it out)"
    private_constant :NO_RAILTIE

    # @param model [Class, nil] with `has_vid`
    # @param user [Vidcache::Model, nil] of whom to say what a page says
    def initialize(model, user = nil)
      @model = model
      @user = user
      @settings = Vidcache.settings
      @findings = []
    end

    # @return [Array<Finding>]
    def run
      look("the portal") do
        wrong("config.vidcache.portal_id is not set: vidcache does nothing") unless @settings.configured?
        wrong("#{@model.name} says `has_vid portal:`, and config.vidcache.portals is not set: no task and no webhook finds a portal") if unlisted?
        "portal #{@settings.portal_id}"
      end
      return @findings unless @settings.configured?

      @settings.database? ? look_at_the_database : look("the file") { Vidcache.cache.resolve(0) || "#{@settings.path} can be used" }
      look_at_the_model
      look_at_the_token
      look_at_the_webhook
      look("a page") { page } if @user
      @findings
    end

    private

    # @yieldreturn [String, nil] what is right; nil: nobody can tell
    # @raise what is wrong, in words
    def look(what)
      said = yield
      @findings << Finding.new(said ? :ok : :open, "#{what}: #{said || "could not be looked at"}")
    rescue StandardError => e
      words = e.is_a?(Error) || e.is_a?(ArgumentError) ? e.message : "#{e.class}, which is no answer"
      @findings << Finding.new(:wrong, "#{what}: #{words}")
    end

    def wrong(text)
      raise Error, text
    end

    # The tables, whose they are, and whether what is said of them may be believed: the role, the isolation, the secret.
    def look_at_the_database
      look("the database") do
        cache = Vidcache.cache
        cache.look
        began = Database::Connection.clock
        cache.decide(0, nil)
        took = ((Database::Connection.clock - began) * 1000).round(1)
        "its tables in schema #{cache.schema} can be used, and are under this app's secret; #{kept}; a page's look takes #{took} ms, and " \
          "#{waits(cache)}"
      end
    end

    def kept
      age = @settings.max_age
      age.zero? ? "each page asks" : "what it answered is kept for #{age} s"
    end

    # Whoever changes a table keeps its readers waiting, until the app's own timeouts end that.
    def waits(cache)
      limits = cache.timeouts.reject { |_, limit| limit == "0" }
      return "waits for a table that is locked (by a migration, say) for as long as it is: #{NO_LIMIT}" if limits.empty?

      "waits for a table that is locked no longer than #{limits.map { |name, limit| "#{limit} (#{name})" }.join(" or ")}"
    end

    NO_LIMIT = "set lock_timeout or statement_timeout (variables, in config/database.yml)"
    private_constant :NO_LIMIT

    def look_at_the_model
      return look("the model") { wrong("no model has `has_vid` yet, or MODEL=… says another one") } unless @model

      problems = Check.model(@model)
      problems.each { |problem| look("the model") { wrong(problem) } }
      look("the model") { "#{@model.name}, email: :#{@model.vidcache_email_attribute}, job: #{@model.vidcache_job}" } if problems.empty?
      look("the queue") { queue } if problems.empty?
    end

    def queue
      job = @model.vidcache_job_class
      name = job.queue_adapter_name.to_s
      lacks = JobQueue.lacks(job.queue_adapter) or return "#{name} keeps its jobs"
      wrong(JobQueue.sentence(job, lacks)) if ::Rails.env.production?
      "#{name}, which #{lacks}: not for production"
    end

    def look_at_the_token
      return unless @settings.access_token

      look("the token") do
        answer = HubspotHttp.call("POST", TOKEN_INFO, { tokenKey: @settings.access_token })
        clock(answer)
        next read_one if answer.code.to_i != 200

        info = JSON.parse(answer.body)
        of = info["hubId"]
        portal = @settings.portal_id
        wrong("it belongs to portal #{of}, and config.vidcache.portal_id is #{portal}") if of != portal
        missing = SCOPES - Array(info["scopes"])
        wrong("it lacks the scope #{missing.join(" and ")}: HubSpot, the private app, Scopes") if missing.any?
        "of this portal, with the scopes that the job needs"
      end
    end

    # Of a token that is no private app's: whether contacts can be read, and no more.
    def read_one
      case HubspotHttp.call("GET", "#{@settings.api_path}?limit=1").code.to_i
      when 200 then "reads contacts; whether it may write them, and of which portal it is, HubSpot does not say of such a token"
      when 401 then wrong("HubSpot does not take it: copy it anew from the private app, and see that it was not rotated")
      when 403 then wrong("it may not read contacts: give the private app the scopes #{SCOPES.join(" and ")}")
      end
    end

    def clock(answer)
      date = answer["date"] if answer.respond_to?(:each_header)
      off = date ? (Time.now - Time.httpdate(date)).round : 0
      return if off.abs < CLOCK

      look("the clock") { wrong("it is #{off.abs} s #{off.positive? ? "ahead of" : "behind"} HubSpot's: webhooks are refused from 300 s on") }
    end

    def look_at_the_webhook
      look("the webhook") do
        next "none, since config.vidcache.client_secret is not set: edits inside HubSpot are noticed late" unless @settings.client_secret

        address = @settings.webhook_url or wrong("config.vidcache.webhook_url is not set: set it to the whole address that is entered at HubSpot")
        status = deliver(URI(address)).code.to_i
        wrong("#{address[/\A[^?]*/]} answered a signed delivery with #{status}: #{WEBHOOK.fetch(status, "see the log there")}") if status != 204
        "#{address[/\A[^?]*/]} is reached from here, and takes what is signed"
      end
    end

    WEBHOOK = { 401 => "it has another client secret or another webhook_url", 404 => "there is no such route: post …, to: Vidcache::Webhook",
                503 => "it cannot use its file, or lacks a setting" }.freeze
    private_constant :WEBHOOK

    def unlisted?
      @model&.vidcache_portal_method && !@settings.several?
    end

    # An event that says nothing, of this portal: nothing is written.
    def deliver(url)
      now = (Time.now.to_f * 1000).to_i.to_s
      body = JSON.generate([{ portalId: @settings.portal_id, subscriptionType: "vidcache.check" }])
      signature = [OpenSSL::HMAC.digest("SHA256", @settings.client_secret, "POST#{url}#{body}#{now}")].pack("m0")
      headers = { "X-HubSpot-Signature-v3" => signature, "X-HubSpot-Request-Timestamp" => now, "Content-Type" => "application/json" }
      Net::HTTP.start(url.host, url.port, use_ssl: url.scheme == "https", open_timeout: 5, read_timeout: 10) do |http|
        http.post(url.request_uri, body, headers)
      end
    end

    def page
      Vidcache.cache.explain(@user.vidcache_key, @user.vidcache_email).first
    end
  end
end
