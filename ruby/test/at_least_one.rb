# frozen_string_literal: true

# Minitest is content with no tests at all; `rake test` is not.

require "minitest"

Minitest.after_run do
  tests = Minitest::Runnable.runnables.sum { |suite| suite.runnable_methods.size }
  abort "no tests ran" if tests.zero?
end
