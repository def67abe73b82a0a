# frozen_string_literal: true

require "active_support/concern"

module Vidcache
  # An email that is no attribute of the model: it stands in another table, in a JSON column, or is made of several
  # columns. Nothing of Active Record tells of its changes, so the app says who does, or nothing works: an email whose
  # changes are not begun is never told to HubSpot, and pages give the user's id alone for ever.
  #
  #     class User < ApplicationRecord
  #       has_many :email_addresses
  #       has_vid email: :mail, told_by: "EmailAddress"
  #       def mail = email_addresses.find_by(primary: true)&.address
  #     end
  #
  #     class EmailAddress < ApplicationRecord
  #       belongs_to :user
  #       has_vid_email_of :user
  #     end
  #
  # Where the email is made of the model's own columns it is `told_by: "User"` and, in the same class,
  # `has_vid_email_of :itself`. Where something else writes it (Sequel, SQL, another service) it is `told_by: :app`, and
  # the app calls {#hubspot_email_will_change!} itself.
  module EmailElsewhere
    extend ActiveSupport::Concern

    included do
      class_attribute :vidcache_told_by, instance_accessor: false
    end

    class_methods do
      # @return [Boolean] whether changes of the email are changes of an attribute
      # @raise [ArgumentError] they are not, and nobody tells of them
      # @api private
      def vidcache_email_in_row?
        @vidcache_email_kind ||= EmailElsewhere.kind_of(self)
        @vidcache_email_kind == :attribute
      end
    end

    # Begins a change of the email, where `has_vid` says `told_by: :app`: call it inside the transaction that changes
    # the email, before the email is written. From then on no page names an email of this user. After the commit the job
    # is enqueued; a rollback, of a savepoint too, abandons the change.
    #
    #     User.transaction do
    #       user.hubspot_email_will_change!
    #       DB[:accounts].where(id: user.account_id).update(email: email)
    #     end
    #
    # The transaction has to be one of the model's own connection. Without a cache, and while `has_vid if:` says no, it
    # does nothing.
    #
    # @return [Integer, nil] the change's token, if one was begun
    # @raise [ArgumentError] no transaction is open
    # @raise [Vidcache::Error] it cannot be begun: the email must not be changed then
    def hubspot_email_will_change!
      vidcache_email_changes(vidcache_email)
    end

    # @api private
    def vidcache_email_changes(before)
      return unless Vidcache.configured? && vidcache_usable?

      raise ArgumentError, NO_TRANSACTION unless Change.transaction_open?(self.class)
      # Nothing was agreed on before: a sign-up, as far as HubSpot is concerned.
      return Change.join_transaction(self, nil) && nil if before.nil? && !Forgetting.known?(vidcache_key)

      begin_vidcache_change(before)
      vidcache_change
    end

    NO_TRANSACTION = "hubspot_email_will_change! is called inside the transaction that changes the email: without one nobody would hear " \
                     "whether the change was made, and no job would tell HubSpot of it"
    private_constant :NO_TRANSACTION

    # @param model [Class]
    # @return [Symbol]
    def self.kind_of(model)
      raise ArgumentError, several_columns(model) if model.primary_key.is_a?(Array) && model.vidcache_key_method.to_s == "id"

      name = model.vidcache_email_attribute
      return :attribute if model.attribute_names.include?(model.attribute_aliases.fetch(name, name))

      told_by = model.vidcache_told_by
      raise ArgumentError, none(model, name) if told_by.nil?
      return :elsewhere if told_by.to_s == "app"

      other = told_by.to_s.safe_constantize
      raise ArgumentError, half(model, told_by) unless other.respond_to?(:vidcache_email_owner) && other.vidcache_email_owner

      :elsewhere
    end

    def self.several_columns(model)
      "#{model.name} says `has_vid` without a `key:`, and its primary key is of several columns (#{model.primary_key.join(", ")}): say " \
        "`key:` with a column, or a method, whose integer or text no other user has"
    end

    def self.none(model, name)
      what = "#{model.name} says `has_vid email: :#{name}`, and #{name} is no attribute of it, nor an alias of one"
      return "#{what}, nor a method: #{model.table_name} has #{model.attribute_names.join(", ")}" unless model.method_defined?(name)

      "#{what}: vidcache cannot see it change. Where the email stands in another model, say `told_by: \"EmailAddress\"` beside it, and " \
        "`has_vid_email_of :#{model.model_name.element}` in that model; where it is made of #{model.name}'s own columns, `told_by: " \
        "\"#{model.name}\"` and `has_vid_email_of :itself`; else `told_by: :app`, and call `#{model.model_name.element}" \
        ".hubspot_email_will_change!` in the transaction that changes it"
    end

    def self.half(model, told_by)
      "#{model.name} says `has_vid told_by: #{told_by.to_s.inspect}`, and #{told_by} does not say `has_vid_email_of " \
        ":#{model.model_name.element}`: so nobody tells of a change of the email"
    end

    private_class_method :several_columns, :none, :half

    # The other model's side: whenever a row of it is saved or destroyed, whoever it is of is looked at, before and
    # after. Both are inside the row's transaction, so a change is begun in time.
    #
    # @api private
    module Watched
      extend ActiveSupport::Concern

      included do
        class_attribute :vidcache_email_owner, instance_accessor: false
        before_save :look_at_vidcache_emails
        before_destroy :look_at_vidcache_emails, prepend: true
        after_save :tell_of_vidcache_emails
        after_destroy :tell_of_vidcache_emails
      end

      private

      def look_at_vidcache_emails
        # Whose the row is says in which portal.
        return unless Portals.anywhere?

        @vidcache_emails = vidcache_email_owners.map { |owner| [owner, vidcache_as_in_database(owner)&.vidcache_email] }
      end

      def tell_of_vidcache_emails
        @vidcache_emails&.each do |owner, before|
          now = vidcache_as_in_database(owner)
          now.vidcache_email_changes(before) if now && now.vidcache_email != before
        end
        @vidcache_emails = nil
      end

      # Whose the row is, and whose it was.
      def vidcache_email_owners
        was = Keys.row(self.class, id_in_database) if persisted?
        owners = [was, self].compact.map { |row| row.public_send(self.class.vidcache_email_owner) }.compact.select(&:persisted?).uniq
        stranger = owners.find { |owner| !owner.respond_to?(:vidcache_email) }
        raise ArgumentError, "#{self.class.name} says `has_vid_email_of`, and #{stranger.class.name} has no `has_vid`" if stranger

        owners
      end

      def vidcache_as_in_database(owner)
        Keys.row(owner.class, owner.id)
      end
    end
  end
end
