# frozen_string_literal: true

require "fileutils"
require "openssl"
require "pathname"
require "active_support/ordered_options"
require "vidcache/rails/webhook_address"

module Vidcache
  # `config.vidcache` with the defaults filled in.
  class Settings
    # Seconds that a page view may take from the browser to HubSpot: the least that {#quiet_period} should be longer
    # than {#page_deadline}.
    TRANSIT = 5.0

    # Seconds: the longest {#quiet_period} that any process's `page_deadline` can ask for.
    # @api private
    LONGEST = 3600 + TRANSIT

    # @param app [Rails::Application, nil] nil where the helpers are used without one: then nothing is configured
    # @param portal [Integer, Object, false, nil] whose they are in an app with a portal for each tenant ({Portals})
    def initialize(app, portal = nil)
      @app = app
      @portal = portal
      @of = {}
      @options = app ? app.config.vidcache : ActiveSupport::OrderedOptions.new
      @respect_do_not_track = @options[:respect_do_not_track] ? true : false # Every page asks.
      @no_store = @options[:no_store] != false
    end

    # @param portal [Integer, Object, false]
    # @return [Settings] as they are in that portal
    # @api private
    def of(portal)
      @of[portal] || (@of = @of.merge(portal => self.class.new(@app, portal)))[portal]
    end

    # @return [Boolean] whether the app has said which portal is its
    def configured?
      @portal.nil? ? @options.portal_id.present? : @portal != Portals::NONE
    end

    # @return [Integer, Object] as given if it is no integer, so that opening the cache says what is wrong with it
    def portal_id
      given = @portal.nil? ? @options.portal_id : @portal
      Integer(given, exception: false) || given
    end

    # @return [Boolean] whether each tenant has a portal of its own
    def several?
      !@options.portals.nil?
    end

    # @return [Array<Integer>, nil] all portals of the app, where each tenant has one; nil: it has one
    def portals
      listed = @options.portals
      listed = listed.call if listed.respond_to?(:call)
      listed&.filter_map { |portal| Portals.number(portal) || nil }&.uniq
    end

    # By default of the environment: tests do not touch development's file, nor do the processes of parallel_tests one
    # another's. Of one portal among several it has the portal in its name.
    # @return [Pathname]
    # @raise [NotConfigured] what was said for a portal is no id of one
    def path
      number = ENV.fetch("TEST_ENV_NUMBER", nil) if ::Rails.env.test?
      path = @app.root.join(@options.path.presence || "storage/hubspot.#{"#{::Rails.env}#{number}." unless ::Rails.env.production?}vidcache")
      return path unless @portal
      # Anything else would name another folder.
      raise NotConfigured, NO_NUMBER % @portal.inspect[0, 40] unless portal_id.is_a?(Integer) && portal_id.positive?

      path.sub_ext(".#{portal_id}#{path.extname}")
    end

    # @return [Symbol] `:file`, for the processes of one host, or `:database`, where they share no disk: see {Database}
    def store
      (@options[:store].presence || :file).to_sym
    end

    # @return [Boolean]
    def database?
      store == :database
    end

    # The schema of the app's database that the tables are in: the first that the app's own tables are looked for in, by
    # its `database.yml`. Not the one that is current: tenants change that.
    #
    # @return [String]
    # @api private
    def database_schema
      config = Database::Connection.model.connection_db_config.configuration_hash
      listed = config[:schema_search_path].to_s.split(",").map { |name| name.strip.delete('"') }
      listed.find { |name| !["", "$user"].include?(name) } || "public"
    end

    # When the file that is there now was made, or the tables were set up: what was known before that is not in it. Of a
    # copy this is when it was copied, where the file system keeps no older time.
    #
    # @return [Time, nil] nil: there is none, or its file system does not say
    # @api private
    def born_at
      return Vidcache.cache.made_at if Vidcache.in_database?

      File.birthtime(path)
    rescue NotImplementedError, SystemCallError
      nil
    end

    # What the file's key is wrapped under. Not from the app's `key_generator`: what that returns changes with
    # `load_defaults`, and a file of another secret is refused.
    #
    # @return [String] bytes
    def secret
      @options.secret || derived(@app.secret_key_base)
    end

    # What {secret} was before: `config.vidcache.old_secrets`, and what was derived of
    # `config.vidcache.old_secret_key_bases` and of those that the app's rotations name
    # (`message_verifiers.rotate(secret_key_base: …)`, Rails 7.1).
    #
    # @return [Array<String>] bytes
    def old_secrets
      bases = Array(@options.old_secret_key_bases) + rotated_bases
      Array(@options.old_secrets) + bases.uniq.map { |base| derived(base) }
    end

    # @return [Float] seconds
    def page_deadline
      (@options.page_deadline.presence || 10).to_f
    end

    # For how long a process keeps what the app's database answered: 0, not at all, so that each page asks.
    #
    # @return [Float] seconds
    def max_age
      (@options.max_age.presence || 0).to_f
    end

    # How long the worker waits before it tells HubSpot of a change: `config.vidcache.quiet_period`, or else what the
    # file says ({Cache#quiet_period}). Never less than the file asks for: another process, with a longer
    # `page_deadline`, may have rendered pages that name the old email still. That is warned of once.
    #
    # @return [Float] seconds
    # @raise [Vidcache::Error] the file cannot be read
    def quiet_period
      wished = @options.quiet_period.presence&.to_f
      return wished || (page_deadline + TRANSIT) unless Vidcache.configured?

      of_file = Vidcache.cache.quiet_period
      return wished || of_file if wished.nil? || wished > of_file - TRANSIT

      warn_of_a_longer_deadline(wished, of_file)
      of_file
    end

    # @return [String, nil] what {ContactJob} calls HubSpot with, without the line's end that files and secret stores
    #   put after it
    # @raise [NotConfigured] it cannot be one: whatever HTTP client was given it would repeat it in its error
    def access_token
      token = of_portal(:access_token).to_s.strip
      raise NotConfigured, "config.vidcache.access_token has a blank or a line's end in it" if token.match?(/[^!-~]/)

      token.presence
    end

    # @return [String, nil] the HubSpot app's, that its webhooks are signed with; without a line's end, too
    def client_secret
      of_portal(:client_secret).to_s.strip.presence
    end

    # @return [String, nil] the whole address that HubSpot calls, and so signs
    def webhook_url
      @options.webhook_url.to_s.scrub.strip.presence
    end

    # @return [Array<String>] the versions of signatures that webhooks may have: `v3`, and `v1` or `v2` where they are
    #   listed
    def webhook_signatures
      Array(@options.webhook_signatures.presence || "v3").map(&:to_s)
    end

    # @return [Boolean] whether what the proxy says of the address that was called is believed ({WebhookAddress})
    def trust_proxy?
      @options.trust_proxy ? true : false
    end

    # @return [Symbol] `:raise` or `:save`: what becomes of a user's save while the file cannot be used ({Unavailable})
    def when_unavailable
      (@options.when_unavailable.presence || (::Rails.env.development? ? :save : :raise)).to_sym
    end

    # @return [String, nil] another address than HubSpot's, for {ContactJob}; a double's, in tests
    def api_url
      @options.api_url.presence
    end

    # @return [String] the path of HubSpot's contacts, whose first part names the version of its API
    def api_path
      (@options.api_path.presence || "/crm/v3/objects/contacts").to_s.chomp("/")
    end

    # @return [Boolean] whether visitors whose browser says `DNT: 1` or `Sec-GPC: 1` get no tracking code
    def respect_do_not_track?
      @respect_do_not_track
    end

    # @return [Boolean] whether pages that carry an identity are sent with `no-store`, which keeps them from the
    #   browser's back/forward cache
    def no_store?
      @no_store
    end

    # @return [self]
    # @raise [ArgumentError] the worker would not wait for pages that may still name the old email, or webhooks'
    #   signatures are of no version that there is, or their address can be none
    def check
      unknown = webhook_signatures - %w[v1 v2 v3]
      raise ArgumentError, "config.vidcache.webhook_signatures lists what is neither v3, v2 nor v1" unless unknown.empty?
      raise ArgumentError, "config.vidcache.when_unavailable is neither :raise nor :save" unless %i[raise save].include?(when_unavailable)
      raise ArgumentError, "config.vidcache.store is neither :file nor :database" unless %i[file database].include?(store)
      raise ArgumentError, ONE_PORTAL if several? && database?
      raise ArgumentError, MAX_AGE unless max_age.zero? || max_age.between?(1, page_deadline / 2)
      raise ArgumentError, BOTH if several? && @options.portal_id.present?
      raise ArgumentError, "config.vidcache.portals is neither a list of portals nor a Proc that returns one" unless list_of_portals?

      wrong = webhook_url && WebhookAddress.problem(webhook_url, secure: ::Rails.env.production?)
      raise ArgumentError, "config.vidcache.webhook_url #{wrong}" if wrong

      wished = @options.quiet_period.presence&.to_f
      return self if !configured? || wished.nil? || wished > page_deadline

      raise ArgumentError,
            "config.vidcache.quiet_period (#{wished} s) must be longer than config.vidcache.page_deadline " \
            "(#{page_deadline} s): a page may name an email for so long after it was rendered, and the worker must not " \
            "tell HubSpot of a change before the last page that names the old email is older than that"
    end

    # Says at boot what nobody would notice: neither a loader that another data centre's portals have nor a webhook that
    # was meant for another server makes an error.
    #
    # @return [self]
    def advise
      return self unless configured? && ::Rails.env.production?

      warn(NO_LOADER_HOST) if @options.loader_host.blank?
      warn(NO_WEBHOOK_URL) if client_secret && webhook_url.nil?
      self
    end

    # Without a secret, a token or anything else that `config.vidcache` and the app hold.
    # @return [String]
    def inspect
      "#<#{self.class} portal_id=#{portal_id.inspect}>"
    end
    alias to_s inspect

    # What +pp+ prints: as {#inspect}.
    # @api private
    def pretty_print(printer)
      printer.text(inspect)
    end

    # Opens the file, making its folder if need be; or the tables.
    #
    # @return [Vidcache::Cache, Vidcache::Database]
    # @raise [Vidcache::NotConfigured, Vidcache::Error]
    def open
      raise NotConfigured, several? ? NO_PORTAL : "config.vidcache.portal_id is not set" unless configured?
      raise NotConfigured, ONE_PORTAL if @portal && database?
      return open_database if database?

      make_folder(path.dirname)
      Vidcache.open(path, portal_id: portal_id, secret: secret, old_secrets: old_secrets, page_deadline: page_deadline, **options_given)
              .tap { |cache| warn_of_a_passing_place(cache) if ::Rails.env.production? }
    end

    # `config.vidcache`: what it prints of itself are the settings' names, since their values are secrets.
    # @api private
    class Options < ActiveSupport::OrderedOptions
      # @return [String]
      def inspect
        "#<#{self.class} #{keys.sort.join(", ")}>"
      end
      alias to_s inspect

      # What +pp+ prints: as {#inspect}.
      def pretty_print(printer)
        printer.text(inspect)
      end

      # The setting of that name, which is a method of every Hash too.
      def store(*given)
        given.empty? ? self[:store] : super
      end
    end

    NO_LOADER_HOST =
      "config.vidcache.loader_host is not set, so pages load HubSpot's code from js.hs-scripts.com. Some portals have another " \
      "host: copy the one in the portal's own embed code (in HubSpot: Settings, Tracking code). Once it is set, even to this one, " \
      "nothing is said here."
    NO_WEBHOOK_URL =
      "config.vidcache.webhook_url is not set, so every webhook is refused: whoever sends one would say himself which address it " \
      "was signed for. Set it to the whole address that is entered at HubSpot."
    NO_PREFIX = "config.vidcache.store = :database looks for its tables without the app's table_name_prefix and suffix: use the file"
    NO_PORTAL = "config.vidcache.portals is set, and nothing says which portal is meant: Vidcache.cache(portal), or Vidcache.in_portal(portal) { … }"
    MAX_AGE = "config.vidcache.max_age is 0, or from 1 s to half of config.vidcache.page_deadline, which is shortened by it"
    ONE_PORTAL = "config.vidcache.store = :database is for one portal: with one for each tenant use the file"
    BOTH = "config.vidcache.portals and config.vidcache.portal_id are both set: where each tenant has a portal there is none for the rest, so " \
           "leave portal_id out (the generated initializer takes it from HUBSPOT_PORTAL)"
    NO_NUMBER = "%s is no portal: HubSpot's ids of portals are positive integers"
    private_constant :NO_PREFIX, :NO_LOADER_HOST, :NO_WEBHOOK_URL, :NO_PORTAL, :ONE_PORTAL, :MAX_AGE, :BOTH, :NO_NUMBER

    private

    # A setting that each portal has its own of: a Proc is given the portal.
    def of_portal(name)
      given = @options[name]
      return given unless given.respond_to?(:call)

      given.call(portal_id) if configured?
    end

    def open_database
      raise NotConfigured, NO_PREFIX if [::ActiveRecord::Base.table_name_prefix, ::ActiveRecord::Base.table_name_suffix].any?(&:present?)

      given = { loader_host: @options.loader_host.presence, memory: @options.memory.presence }.compact
      Database.open(schema: database_schema, portal_id: portal_id, secret: secret, old_secrets: old_secrets, page_deadline: page_deadline,
                    max_age: max_age, **given)
    end

    # What root makes belongs to the owner of the folder above, whose processes are to use it; as the file does.
    def make_folder(folder)
      return if folder.directory?

      make_folder(folder.parent)
      folder.mkdir
      above = folder.parent.stat
      folder.lchown(above.uid, above.gid) if Process.euid.zero?
    rescue Errno::EEXIST
      nil
    rescue SystemCallError => e
      raise CannotOpen, "cannot open #{path}: its folder cannot be made: #{e.class.new.message} (os error #{e.errno}): " \
                        "#{folder.parent} #{rights(folder.parent)}; " \
                        "this process is of user #{Process.euid} and group #{Process.egid}; the path is config.vidcache.path"
    end

    def rights(folder)
      found = folder.stat
      format("has mode %<mode>04o, owner %<uid>d and group %<gid>d", mode: found.mode & 0o7777, uid: found.uid, gid: found.gid)
    rescue SystemCallError
      "cannot be looked at"
    end

    def derived(base)
      OpenSSL::HMAC.digest("SHA256", base, "vidcache: fingerprints of emails, 1")
    end

    # Rails keeps them to itself, so this asks for no more than is there.
    def rotated_bases
      rotations = %i[message_verifiers message_encryptors].flat_map do |name|
        Array(@app.public_send(name).instance_variable_get(:@rotate_options)) if @app.respond_to?(name)
      end
      rotations.grep(Hash).filter_map { |rotation| rotation[:secret_key_base] }
    end

    def list_of_portals?
      @options.portals.nil? || @options.portals.respond_to?(:call) || @options.portals.is_a?(Array)
    end

    def warn(text)
      ::Rails.logger&.warn("vidcache: #{text}")
    end

    # What else Vidcache.open takes: what the app leaves out has the core's default.
    def options_given
      names = Vidcache.method(:open).parameters.filter_map { |kind, name| name if kind == :key }
      (names - %i[secret old_secrets page_deadline]).to_h { |name| [name, of_portal(name).presence] }.compact
    end

    def warn_of_a_passing_place(cache)
      why = cache.stats[:passing]
      warn("#{path} is on #{why}, and everything that it knows with it. Mount a volume at its folder, or set config.vidcache.path") if why
    end

    def warn_of_a_longer_deadline(wished, of_file)
      return if @warned

      @warned = true
      warn("config.vidcache.quiet_period (#{wished} s) is not longer than the page_deadline of a process that has used " \
           "the file within the last day (#{of_file - TRANSIT} s): jobs wait #{of_file} s instead")
    end
  end
end
