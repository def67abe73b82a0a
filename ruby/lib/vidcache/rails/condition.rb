# frozen_string_literal: true

require "active_support/concern"

module Vidcache
  # `has_vid if: :confirmed?`: until the answer is yes, neither pages nor jobs use the user's email. Who signs up with
  # somebody else's address would be linked to that person's contact, and their next change would rewrite it.
  #
  # An update that turns the answer to yes is a change of the email for HubSpot, and begun as one: where the user is
  # linked already, HubSpot may hold another address, which pages named before. An update that leaves the answer at no
  # tells HubSpot nothing, whatever it does to the email.
  #
  # @api private
  module Condition
    extend ActiveSupport::Concern

    included do
      class_attribute :vidcache_condition, instance_accessor: false
    end

    # @return [Boolean] whether pages and jobs may use the email of this user
    def vidcache_usable?
      condition = self.class.vidcache_condition
      return true if condition.nil?
      return !!__send__(condition) unless condition.is_a?(Proc)

      # A lambda without arguments is called without any, as Rails does it.
      !!(condition.arity.zero? ? instance_exec(&condition) : instance_exec(self, &condition))
    end

    private

    # @return [String, nil] the email that HubSpot may know the user by, and pages could name, before this update. Never
    #   one that nobody had confirmed: it may be another person's
    def vidcache_email_before
      if self.class.vidcache_condition.nil?
        return self.class.vidcache_email_in_row? ? attribute_in_database(vidcache_email_column) : vidcache_email
      end
      return vidcache_email unless has_changes_to_save?

      Keys.row(self.class, id_in_database)&.vidcache_email
    end

    def vidcache_becomes_usable?(before)
      !self.class.vidcache_condition.nil? && before != vidcache_email
    end
  end
end
