# frozen_string_literal: true

require "active_support/concern"

module Vidcache
  # `has_vid vid: :hubspot_vid`: a column of the app's own with HubSpot's contact ids. The file is a cache, and what it
  # knows of first links stands nowhere else unless in such a column: where the file knows no contact of a user, the
  # column's is linked. Each time an answer about a user is recorded, the contact is written to the column, past all
  # callbacks.
  #
  # @api private
  module VidColumn
    extend ActiveSupport::Concern

    @mutex = Mutex.new
    @models = []

    # @param model [Class] with `has_vid vid:`; by its name, since it may be loaded again
    # @return [void]
    def self.add(model)
      @mutex.synchronize { @models |= [model.name || model] }
    end

    # @return [Array<Class>] the models that have such a column now
    def self.models
      @mutex.synchronize { @models.dup }.filter_map do |model|
        model = model.safe_constantize if model.is_a?(String)
        model if model.respond_to?(:vidcache_vid_attribute) && model.vidcache_vid_attribute
      end
    end

    # @param value [Object] of a column
    # @return [Integer, nil] the contact id that it is; nil: it is none
    def self.vid(value)
      text = value.to_s
      text.to_i if text.match?(/\A[1-9]\d{0,18}\z/) && text.to_i < 2**63
    end

    # Writes a user's contact to the column of the model that has the user. Never raises: HubSpot has been told by now.
    #
    # @param user_id [Integer, String]
    # @param vid [Integer]
    # @return [void]
    def self.write_back(user_id, vid)
      models.each do |model|
        record = model.find_vidcache_user(user_id)
        next if record.nil? || record.vidcache_known_vid == vid

        # In a savepoint: PostgreSQL ends a transaction in which a statement failed.
        model.transaction(requires_new: true) { record.update_columns(model.vidcache_vid_attribute => vid) }
      end
    rescue StandardError => e
      Failure.report(e, during: "a contact was recorded, and is not in the app's own column")
    end

    # What `Cache#record` does besides.
    # @api private
    module Recording
      # @see Cache#record
      def record(user_id, answer, **options)
        super.tap { |recorded| VidColumn.write_back(user_id, recorded.vid) }
      end
    end

    included do
      class_attribute :vidcache_vid_attribute, instance_accessor: false
    end

    # @return [Integer, nil] the contact that the app's own column names; nil without a column, or where it holds no
    #   contact id
    def vidcache_known_vid
      column = self.class.vidcache_vid_attribute
      VidColumn.vid(public_send(column)) if column
    end

    # Links the user to the contact of the column, if the file knows none. It says nothing of the email, which is read
    # later.
    #
    # @return [Boolean] false: the column's contact is another user's, which is reported. No contact is to be made then.
    # @raise [Vidcache::Error]
    def link_vidcache_known_vid
      vid = vidcache_known_vid
      Vidcache.cache.link(vidcache_key, vid) if vid && Vidcache.cache.resolve(vidcache_key).nil?
      true
    rescue VidTaken => e
      Failure.report(e, during: "a job did nothing: the contact in the user's column is another user's")
      false
    end
  end
end
