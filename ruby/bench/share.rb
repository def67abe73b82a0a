# frozen_string_literal: true

# How much of its turn at the GVL a thread gets done beside others that never pause, who get the same turns. A look-up
# that released the GVL would lose its turn each time.
module Share
  BUSY = 3
  ALONE = 0.5 # seconds
  BESIDE = 3.2 # of Ruby's turns of 0.1 s each thread has eight

  module_function

  # @return [Array<Float>] of what it does alone, per second, and of its share beside them: 1.0 is all of it
  def measure(rounds:, &work)
    shares = Array.new(rounds) do
      alone = per_second(ALONE, &work)
      busy = Array.new(BUSY) { Thread.new { loop { 1 + 1 } } }
      beside = per_second(BESIDE, &work)
      busy.each(&:kill).each(&:join)
      [alone, beside * (BUSY + 1) / alone]
    end
    shares.transpose.map { |numbers| numbers.sort[rounds / 2] }
  end

  def per_second(seconds)
    count = 0
    start = now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    while now < start + seconds
      yield
      count += 1
      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
    count / (now - start)
  end
end
