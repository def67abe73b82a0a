# frozen_string_literal: true

require "json"

# Medians of rounds, as on the Rust side: in each round every subject has its turn, with the empty loop timed beside
# it and taken off, and a ratio is one of neighbours in time.
class Rounds
  # +code+ is what is timed, with +key+ (of the subject's keys, in turn) and +on+ to work with. A string, so that no
  # block call is timed along.
  Subject = Struct.new(:id, :keys, :count, :baseline, :loop, :empty, :on, keyword_init: true)

  def initialize(facts:, rounds:)
    @facts = facts
    @rounds = rounds
    @subjects = []
  end

  def add(id, code, on:, keys:, count: keys.size, baseline: nil)
    @subjects << Subject.new(id: id, keys: keys, count: count, baseline: baseline, loop: timed(code), empty: timed(""), on: on)
  end

  def run
    times = @subjects.to_h { |subject| [subject.id, []] }
    @rounds.times do |round|
      GC.start
      @subjects.rotate(round).each { |subject| times[subject.id] << nanoseconds(subject, round) }
    end
    @subjects.each { |subject| report(subject, times) }
  end

  def fact(id, **values)
    @facts.puts(JSON.generate({ id: id, **values }))
  end

  private

  def timed(code)
    eval(<<~RUBY, binding, __FILE__, __LINE__ + 1) # rubocop:disable Security/Eval
      lambda do |keys, on, from, to|
        start = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
        i = from
        while i < to
          key = keys[i]
          #{code}
          i += 1
        end
        Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond) - start
      end
    RUBY
  end

  # Slow subjects take a part of the keys, another one in each round.
  def nanoseconds(subject, round)
    from = round * subject.count % (subject.keys.size - subject.count + 1)
    to = from + subject.count
    # Once unmeasured where that is cheap: so that the keys are where they would be in a busy process.
    subject.loop.call(subject.keys, subject.on, from, to) if subject.count >= 10_000
    time = subject.loop.call(subject.keys, subject.on, from, to)
    (time - subject.empty.call(subject.keys, subject.on, from, to)).fdiv(subject.count)
  end

  def report(subject, times)
    own = times[subject.id]
    values = { median_ns: median(own) }
    if (baseline = times[subject.baseline])
      values.update(baseline: median(baseline), ratio: median(own.zip(baseline).map { |time, base| time / base }))
    end
    fact(subject.id, **values)
  end

  def median(numbers)
    numbers.sort[numbers.size / 2]
  end
end
