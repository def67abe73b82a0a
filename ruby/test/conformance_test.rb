# frozen_string_literal: true

require "test_helper"

# The cases of tests/conformance, which every language replays.
class ConformanceTest < CacheTest
  FOLDER = File.expand_path("../../tests/conformance", __dir__)
  CODES = JSON.parse(File.read(File.join(FOLDER, "codes.json")))

  test "every code has its class with its number" do
    CODES.each do |name, code|
      error = Vidcache.const_get(name.split("_").map(&:capitalize).join)
      assert_equal [name.to_sym, code["number"]], [error.code, error.code_number]
    end
    classes = Vidcache.constants.map { |name| Vidcache.const_get(name) }.grep(Class)
    assert_equal CODES.size, classes.count { |klass| klass < Vidcache::Error && klass.const_defined?(:CODE, false) }
  end

  Dir[File.join(FOLDER, "*.json")].sort.each do |file|
    next if File.basename(file) == "codes.json"

    JSON.parse(File.read(file)).fetch("cases").each do |kase|
      test "#{File.basename(file, ".json")}: #{kase["name"]}" do
        @changes = {}
        open_as({})
        kase["steps"].each.with_index(1) { |step, number| replay(step, "step #{number}") }
      end
    end
  end

  private

  def replay(step, place)
    found = call(step)
    flunk "#{place}: #{found.inspect}, and not #{step["fails"]}" if step["fails"]
    check(step["gives"], found, place) if step.key?("gives")
  rescue Vidcache::Error => e
    assert_equal step["fails"]&.to_sym, e.code, "#{place}: #{e.message}"
  end

  def check(expected, found, place)
    if expected.is_a?(Hash) && found.is_a?(String)
      expected["has"].each { |text| assert_includes found, text, place }
      expected["lacks"].each { |text| refute_includes found, text, place }
    elsif expected.is_a?(Hash)
      named = expected.slice(*found.keys)
      assert_equal named, found.slice(*named.keys), place
    elsif expected.nil?
      assert_nil found, place
    else
      assert_equal expected, found, place
    end
  end

  def call(step)
    user = text(step["user"])
    case step["call"]
    when "open" then open_as(step)
    when "close" then @open.close
    when "write" then File.write(in_folder(step), step["text"])
    when "patch" then File.write(in_folder(step), [step["hex"]].pack("H*"), step["at"], mode: "r+b")
    when "resolve" then @open.resolve(user)&.then { |vid| {"vid" => vid} }
    when "decide"
      decision = @open.decide(user, text(step["email"]))
      {"email" => decision.email, "id" => decision.id, "reason" => decision.reason.name}
    when "snippet"
      step.key?("user") ? @open.snippet(user, text(step["email"]), nonce: step["nonce"]) : @open.anonymous_snippet
    when "signed_out_snippet" then @open.signed_out_snippet(nonce: step["nonce"])
    when "page_data"
      step.key?("user") ? @open.page_data(user, text(step["email"])) : @open.anonymous_page_data
    when "signed_out_page_data" then @open.signed_out_page_data
    when "quiet_period" then (@open.quiet_period * 1000).round
    when "link_shared" then @open.link_shared(user, step["vid"])
    when "observe" then @open.observe(body(step)).then { |seen| { "contacts" => seen.contacts, "missing" => seen.missing } }
    when "apply_webhook" then @open.apply_webhook(body(step)).to_h.transform_keys(&:to_s)
    when "resolve_many" then @open.resolve_many(step["users"])
    when "decide_many" then @open.decide_many(step["users"].zip(step["emails"])).map { |decision| decision.reason.name }
    when "explain" then @open.explain(user, text(step["email"])).join("\n")
    when "export" then @open.export(user)
    when "forget" then @open.forget(user)
    when "link" then @open.link(user, step["vid"])
    when "record"
      recorded = @open.record(user, body(step), change: change(step))
      {"vid" => recorded.vid, "email_observed" => recorded.email_observed?}
    when "begin_email_change" then @changes[step["as"]] = @open.begin_email_change(user)
    when "abandon_email_change" then @open.abandon_email_change(user, change(step))
    when "is_change_outstanding" then @open.change_outstanding?(user, change(step))
    when "change_outstanding_since"
      since = @open.change_outstanding_since(user, change(step))
      assert_in_delta Time.now, since, 60 if since
      !since.nil?
    when "stale_changes"
      sleep 0.002
      @open.stale_changes(older_than: 0).map(&:user_id)
    when "import"
      rows = step["rows"].map { |row| [row["user"], row["vid"], row["email"], row["at"]&.then { |at| Time.at(at / 1000r) }] }
      @open.import(rows).to_h.transform_keys(&:to_s)
    when "verify" then @open.verify.size
    else flunk "no such call: #{step["call"]}"
    end
  end

  def open_as(step)
    @open&.close
    options = step.key?("page_deadline_ms") ? {page_deadline: step["page_deadline_ms"] / 1000.0} : {}
    secret = step.fetch("secret", SECRET)
    @open = open_cache(File.join(@folder, step.fetch("file", "cache")), portal_id: step.fetch("portal", PORTAL), secret: secret, **options)
  end

  def in_folder(step)
    File.join(@folder, step.fetch("file"))
  end

  def change(step)
    step["change"].is_a?(String) ? @changes.fetch(step["change"]) : step["change"]
  end

  def body(step)
    step["answer"]&.to_json || text(step["body"])
  end

  def text(value)
    return value unless value.is_a?(Hash)

    value.key?("hex") ? [value["hex"]].pack("H*") : value["text"] * value["times"]
  end
end
