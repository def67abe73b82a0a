# frozen_string_literal: true

module Vidcache
  # Which models give their bare ids as user keys. Of two that do, user 1 and customer 1 would be one person to the
  # file, and each would be told to HubSpot as the other: the second raises when it is loaded. The classes of one
  # table's hierarchy are one model, and so is a class that is loaded again under its name.
  #
  # @api private
  module Keys
    @mutex = Mutex.new
    @bare = []
    @models = []

    # @param model [Class] with `has_vid`
    # @return [void]
    # @raise [ArgumentError] another model gives bare ids
    def self.claim(model)
      # One that is abstract has no rows, and who has no name cannot be told from itself loaded again.
      return if model.abstract_class?

      name = model.base_class.name or return
      @mutex.synchronize do
        @models |= [name]
        @bare.delete(name)
        next unless model.vidcache_key_method.to_s == "id" && model.vidcache_key_prefix.nil?
        raise ArgumentError, clash(name, @bare.first) if @bare.any?

        @bare << name
      end
    end

    # Before the app's code is loaded again: a model may have gone, or have another name.
    # @return [void]
    def self.clear
      Portals.clear
      @mutex.synchronize { [@bare, @models].each(&:clear) }
    end

    # @return [Array<Class>] the models that are loaded and have `has_vid`
    def self.models
      @mutex.synchronize { @models.dup }.filter_map(&:safe_constantize).select { |model| model.respond_to?(:vidcache_key_method) }
    end

    # @param model [Class] of Active Record
    # @param id [Object] a row's primary key, an Array where it is of several columns
    # @return [ActiveRecord::Base, nil] the row as the database has it, whatever a default scope hides
    def self.row(model, id)
      model.unscoped.find_by(Array(model.primary_key).zip(Array(id)).to_h)
    end

    # @param model [Class]
    # @param name [Symbol, String]
    # @return [Boolean] whether the model has a method of its own in the place of the attribute's
    def self.overridden?(model, name)
      (model.method_defined?(name) || model.private_method_defined?(name)) && model.instance_method(name).owner == model
    end

    def self.clash(name, other)
      "#{name} and #{other} both have `has_vid` with their bare ids as keys, so #{other.underscore.humanize.downcase} 1 and " \
        "#{name.underscore.humanize.downcase} 1 would be one person to vidcache, and to HubSpot. Give one of them keys of its own: " \
        "`has_vid prefix: \"#{name.underscore.dasherize.tr("/", "-")}-\"` in #{name}, or `key:` with a method that no other model's " \
        "keys can equal (of UUIDs, any method that returns them)"
    end
    private_class_method :clash
  end
end
