# frozen_string_literal: true

require "vidcache/value"

module Vidcache
  # What a page may say of a user: email and id, id alone, or nothing. Frozen; compared by value;
  # can be shared between Ractors.
  #
  # @example
  #   case cache.decide(user.id, user.email)
  #   in {reason: :agreed, email:, id:} then ...
  #   in {id: Integer => id} then ...
  #   in {id: nil} then ...
  #   end
  class Decision
    include Value

    # @return [String, nil] the email to name, normalised (trimmed, ASCII letters in lower case), frozen
    #   UTF-8. Only when {#agreed?}.
    attr_reader :email

    # @return [Integer, nil] the number of the external id. A page gives it as text, +"vid:901"+: it can be greater than
    #   2^53, and portals have contacts that other products have bound to bare numbers. nil for a user without a
    #   contact, and for one whose first contact was another user's before
    attr_reader :id

    # @return [Symbol] why: +:agreed+, +:change_outstanding+, +:email_differs+, +:email_unconfirmed+, +:email_absent+,
    #   +:not_linked+ or +:stale+
    attr_reader :reason

    # Decisions come from {Cache#decide}.
    # @api private
    def initialize(email, id, reason)
      @email = email
      @id = id
      @reason = reason
      freeze
    end

    # @return [Boolean] whether the page may name the email: the app and HubSpot agree on it, and no change
    #   of it is outstanding
    def agreed?
      @reason == :agreed
    end

    # For the server's own code, and *not for a page*, not even as JSON: it says neither how old it is nor how long the
    # email may be named, and the page would have to be kept from caches. {Cache#page_data} (in Rails
    # `hubspot_tracking_data`) is for that.
    # @return [Hash{Symbol => Object}] +email+, +id+ and +reason+
    def to_h
      { email: @email, id: @id, reason: @reason }
    end

    # What `render json: decision` prints: no email, since JSON that has none of {Cache#page_data}'s guards must not
    # name one.
    # @return [Hash{String => String, nil}] +"id"+, as a page gives it, and +"reason"+
    def as_json(*)
      { "id" => (@id && "vid:#{@id}"), "reason" => @reason.name }
    end

    # @return [String] without the email, which has no place in a log
    def inspect
      id = " id=#{@id}" if @id
      "#<#{self.class} #{@reason}#{id}>"
    end
    alias to_s inspect

    # What +pp+ prints: as {#inspect}, and so without the email.
    # @api private
    def pretty_print(printer)
      printer.text(inspect)
    end

    # A decision is of one moment, and what is dumped is kept: in a cache, a session, a job's arguments.
    # @return [void]
    # @raise [TypeError]
    def marshal_dump
      raise TypeError, "a #{self.class} is not dumped: it would keep an email, and be old where it is read. Ask for it anew"
    end

    # Neither is it written as YAML.
    # @return [void]
    # @raise [TypeError]
    def encode_with(_coder)
      marshal_dump
    end
  end
end
