# frozen_string_literal: true

# Minitest is content with no tests at all; `rake test` is not.

require "minitest"

class AtLeastOne < Minitest::Reporter
  def record(_result)
    @ran = true
  end

  def report
    io.puts "no tests ran" unless @ran
  end

  def passed?
    @ran
  end
end

def Minitest.plugin_at_least_one_init(options)
  reporter << AtLeastOne.new(options[:io], options)
end
Minitest.extensions << "at_least_one"
