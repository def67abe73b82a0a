# frozen_string_literal: true

require "json"
require "active_support/concern"

module Vidcache
  # A portal per tenant: `has_vid portal: :hubspot_portal`. Each portal has a file of its own, and which one is asked,
  # with which token, is said by where the code runs: within {Vidcache.in_portal}. What a model, a job, a tag or a
  # webhook does goes there by itself.
  #
  # A user has one portal at a time. The update that changes it begins a change in the new one, as if the email were
  # new there; what the former portal's file knows of them stays until the row is destroyed, and is of no use to any
  # page.
  #
  # @api private
  module Portals
    extend ActiveSupport::Concern

    # In the place of a portal: whoever's it is has none, and vidcache does nothing for them.
    NONE = false

    ONE_COLUMN = "has_vid takes `vid:` or `portal:`, not both: a contact's id means nothing in another portal, and the column does not say " \
                 "of which portal it is"

    @mutex = Mutex.new
    @models = {}

    class << self
      # @return [Integer, Object, false, nil] of the block that runs; nil: none was said, so the one of the settings
      def current
        Thread.current[:vidcache_portal]
      end

      # @param portal [Integer, Object, false, nil] as {current} gives it
      # @return [Object] what the block returns
      def with(portal)
        before = Thread.current[:vidcache_portal]
        Thread.current[:vidcache_portal] = portal
        yield
      ensure
        Thread.current[:vidcache_portal] = before
      end

      # @return [String, nil] what tells apart what is kept in one place of each portal; nil: none was said
      def suffix
        "/#{current}" if current
      end

      # @param given [Object] what the app calls a portal
      # @return [Integer, Object, false] as given if it is no integer, so that opening its file says what is wrong
      def number(given)
        given.nil? || given == "" ? NONE : Integer(given, exception: false) || given
      end

      # @return [Boolean] whether vidcache does anything in this app, here or in whichever portal the user is in
      def anywhere?
        Vidcache.configured? || Vidcache.settings.several?
      end

      # @return [Array<Integer>, nil] the portals that are to be gone over; nil: there is one, or one was said
      def to_go_over
        Vidcache.settings.portals if current.nil?
      end

      # For what goes over all that is known: the tasks, the reconcile. Once, where there is one portal; where there are
      # several, once in each, unless one was said.
      #
      # @yieldparam portal [Integer, nil]
      # @return [Array] what the block returned
      # @raise as {in_each}
      def each(&block)
        portals = to_go_over
        portals.nil? ? [yield(current)] : in_each(portals, &block)
      end

      # Where the block raises in one portal, the others have their turn first.
      #
      # @param portals [Array<Integer>]
      # @yieldparam portal [Integer]
      # @return [Array] what the block returned
      # @raise what the block raised first
      def in_each(portals)
        failed = nil
        done = portals.map do |portal|
          with(portal) { yield portal }
        rescue StandardError => e
          failed ||= e
        end
        failed ? raise(failed) : done
      end

      # For what is to be forgotten: a user may have been in any portal before, and the file of each knows of those who
      # were. Of portals that are not listed only the one that was said is among them.
      #
      # @yieldparam portal [Integer, nil]
      # @return [Array] what the block returned
      def everywhere
        portals = ((Vidcache.settings.portals || [current]) | [*current]) - [NONE]
        portals.map { |portal| with(portal) { yield portal } }
      end

      # Whose page it is that a tag or its data stands on: the portal that was said; otherwise the user's. A user of
      # another portal than the page's is nobody there, since that portal knows nothing of them.
      #
      # @param user [Vidcache::Model, nil]
      # @yieldparam user [Vidcache::Model, nil]
      def of_page(user)
        # The user is asked, and not their class: they may stand in a decorator.
        return yield(user) unless user.respond_to?(:vidcache_says_portal?) && user.vidcache_says_portal?
        return Vidcache.in_portal(user.vidcache_portal) { yield user } if current.nil?

        yield(user.vidcache_in_portal? ? user : nil)
      end

      # @param body [String] a webhook's
      # @return [Array<Integer>, nil] the app's portals that it has events of; nil: the app has one, or it is not JSON
      def of_webhook(body)
        portals = Vidcache.settings.portals or return
        events = JSON.parse(body)
        Array(events).grep(Hash).map { |event| event["portalId"] }.uniq & portals
      rescue JSON::ParserError
        nil
      end

      # Either every model says its portal or none does: one that does not would write into whichever file is open to
      # who calls it.
      #
      # @param model [Class] with `has_vid`
      # @return [void]
      # @raise [ArgumentError]
      def claim(model)
        return if model.abstract_class?

        name = model.base_class.name or return
        says = !model.vidcache_portal_method.nil?
        other = @mutex.synchronize do
          @models[name] = says
          @models.key(!says)
        end
        return if other.nil?

        with, without = says ? [name, other] : [other, name]
        @mutex.synchronize { @models.delete(name) }
        raise ArgumentError, "#{with} says `has_vid portal:`, and #{without} does not: in an app with a portal for each tenant every model " \
                             "with `has_vid` says whose portal its users are in"
      end

      # Before the app's code is loaded again.
      # @return [void]
      def clear
        @mutex.synchronize { @models.clear }
      end
    end

    included do
      class_attribute :vidcache_portal_method, instance_accessor: false
    end

    class_methods do
      # The rows that a backfill, the reconcile and the operators' page go over. Of others than those of the portal that
      # was said each is read, and left out; so to be overridden where the portal is no column of the model's own:
      #
      #     def self.vidcache_rows
      #       joins(:tenant).where(tenants: { hubspot_portal: Vidcache.settings.portal_id })
      #     end
      #
      # @return [ActiveRecord::Relation] the rows of the portal that was said, as far as the database can tell
      def vidcache_rows
        method = vidcache_portal_method
        name = method && attribute_aliases.fetch(method.to_s, method.to_s)
        # Of an attribute that the model overrides, the method counts.
        Portals.current && name && column_names.include?(name) && !Keys.overridden?(self, method) ? where(name => Portals.current) : all
      end
    end

    # @return [Integer, Object, nil] the portal that HubSpot has this user's contact in; nil: none
    # @raise [ArgumentError] the model has no such attribute or method
    def vidcache_portal
      name = self.class.vidcache_portal_method or return Portals.current || nil
      raise ArgumentError, Portals.missing(self.class) unless respond_to?(name, true)

      Portals.number(__send__(name)) || nil
    end

    # @return [Boolean] whether the model says whose portal its users are in
    # @api private
    def vidcache_says_portal?
      !self.class.vidcache_portal_method.nil?
    end

    # @return [Boolean] whether the user is of the portal that was said; true where none was
    # @api private
    def vidcache_in_portal?
      self.class.vidcache_portal_method.nil? || Portals.current.nil? || vidcache_portal == Portals.current
    end

    # @param model [Class]
    # @return [String]
    def self.missing(model)
      "#{model.name} says `has_vid portal: :#{model.vidcache_portal_method}`, and it has no such attribute or method"
    end

    # Put before the methods of a model that says `portal:`.
    module Within
      CALLBACKS = %i[begin_vidcache_change_of_email begin_vidcache_change_of_email_that_came_late join_vidcache_transaction_of_the_new_row
                     forget_whose_vidcache_key_it_was forget_in_vidcache].freeze

      (%i[hubspot_email_due? vidcache_untold? vidcache_decision hubspot_email_will_change! vidcache_email_changes
          link_vidcache_known_vid] + CALLBACKS).each do |name|
        define_method(name) { |*given| Vidcache.in_portal(vidcache_portal) { super(*given) } }
      end
      CALLBACKS.each { |name| private(name) }
      private_constant :CALLBACKS

      private

      # To HubSpot a user whose portal is another one from now on is one whose email may be told there.
      def vidcache_becomes_usable?(before)
        name = self.class.vidcache_portal_method.to_s
        super || (has_attribute?(name) && will_save_change_to_attribute?(self.class.attribute_aliases.fetch(name, name)))
      end
    end

    # The class's side of {Within}.
    module Each
      # Of each portal, where none was said.
      # @see Model::ClassMethods#retry_email_changes
      def retry_email_changes(**options)
        Portals.each { super(**options) }.sum
      end
    end
  end
end
