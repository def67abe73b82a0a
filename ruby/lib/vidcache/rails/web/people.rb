# frozen_string_literal: true

require "vidcache/rails/keys"

module Vidcache
  class Web
    # The app's users, by what an operator knows of them.
    #
    # @api private
    module People
      module_function

      # @return [Array<Class>] with `has_vid`. Where the app's code is loaded as it is used, `User` if nobody was
      def models
        found = Keys.models
        found = ["User".safe_constantize].compact.select { |model| model.respond_to?(:vidcache_key_method) } if found.empty?
        found
      end

      # @param key [String]
      # @return [Vidcache::Model, nil]
      def by_key(key)
        models.each do |model|
          user = model.find_vidcache_user(key)
          return user if user
        end
        nil
      end

      # @param email [String]
      # @return [String, nil] the user's key
      def by_email(email)
        models.each do |model|
          user = model.find_vidcache_user_by_email(email)
          return user.vidcache_key.to_s if user
        end
        nil
      end

      # The newest users with an email who are linked to no contact; of the portal that was said, where one was.
      #
      # @param model [Class]
      # @param looked_at [Integer] how many of the newest are looked at
      # @param before [Time] they signed up before that, as far as the model says
      # @return [Array<Vidcache::Model>]
      def unlinked(model, looked_at, before)
        scope = model.vidcache_rows.unscope(:order).order(Array(model.primary_key).to_h { |column| [column, :desc] }).limit(looked_at)
        made_at = (Model::MADE_AT & model.column_names).first
        scope = scope.where(model.arel_table[made_at].lt(before)) if made_at
        users = scope.select(&:vidcache_in_portal?)
        users.zip(Vidcache.cache.resolve_many(users.map(&:vidcache_key))).filter_map { |user, vid| user if vid.nil? && user.vidcache_email }
      end
    end
  end
end
