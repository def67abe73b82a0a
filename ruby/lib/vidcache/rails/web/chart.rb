# frozen_string_literal: true

module Vidcache
  class Web
    # The last day as bars, an hour each: where they stand and how high they are. The picture is SVG in the page, and
    # its colours are the stylesheet's.
    #
    # @api private
    class Chart
      WIDTH = 480
      HEIGHT = 96
      HOURS = 24
      KINDS = %i[email_unconfirmed change_outstanding conflict].freeze
      HOUR = 3600
      private_constant :HOUR

      # A bar, or a part of one.
      Bar = Struct.new(:kind, :x, :y, :width, :height)

      # @param day [Array<Hash{Symbol => Object}>] `:at`, and a number of each of {KINDS}
      # @param now [Time]
      def initialize(day, now = Time.now)
        @day = day
        @last = now.to_i - (now.to_i % HOUR)
      end

      # @return [Integer] how many users the highest bar is
      def top
        @top ||= [@day.map { |sample| KINDS.sum { |kind| sample[kind].to_i } }.max.to_i, 1].max
      end

      # @return [Array<Bar>]
      def bars
        @day.flat_map do |sample|
          at = HOURS - 1 - ((@last - sample[:at].to_i) / HOUR)
          next [] unless at.between?(0, HOURS - 1)

          bottom = HEIGHT
          KINDS.filter_map do |kind|
            height = (sample[kind].to_i * HEIGHT / top.to_f).round(1)
            next if height.zero?

            bottom -= height
            Bar.new(kind, (at * WIDTH / HOURS) + 2, bottom.round(1), (WIDTH / HOURS) - 4, height)
          end
        end
      end
    end
  end
end
