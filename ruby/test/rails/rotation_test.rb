# frozen_string_literal: true

require_relative "helper"

# `secret_key_base` is another one tomorrow.
class Vidcache::RotationTest < Vidcache::RailsTest
  OLD = "a" * 64
  NEW = "b" * 64

  def teardown
    Vidcache.settings = nil
    super
  end

  def test_after_a_rotation_saves_and_pages_go_on_where_the_old_base_is_named
    boot(OLD)
    user = User.create!(email: "ann@shop.test")
    Vidcache.cache.record(user.id, { id: "901", properties: { email: "ann@shop.test" }, updatedAt: Time.now.utc.iso8601(3) })
    boot(NEW)
    error = assert_raises(Vidcache::WrongSecret) { user.update!(email: "ann@new.test") }
    assert_includes error.message, "If the secret was changed, give the one before as an old secret"

    boot(NEW, old_secret_key_bases: ["c" * 64, OLD])
    user.reload
    assert_predicate user.vidcache_decision, :agreed?, "no fingerprint has changed"
    assert user.update!(email: "ann@new.test")
    boot(NEW)
    assert_equal :change_outstanding, user.vidcache_decision.reason, "the old one is needed no more"
  end

  def test_a_secret_of_the_app_s_own_is_rotated_by_itself
    boot(OLD, secret: "the first secret of the app")
    Vidcache.cache.link(1, 901)
    boot(NEW, secret: "the second secret of the app", old_secrets: ["the first secret of the app"])
    assert_equal 901, Vidcache.cache.resolve(1)
  end

  def test_the_bases_that_rails_own_rotations_name_are_taken
    boot(OLD)
    Vidcache.cache.link(1, 901)
    # As ActiveSupport::Messages::RotationCoordinator keeps them.
    rotations = Object.new
    rotations.instance_variable_set(:@rotate_options, [{ digest: "SHA1" }, ->(_) { {} }, { secret_key_base: OLD }])
    boot(NEW, verifiers: rotations)
    assert_equal 901, Vidcache.cache.resolve(1)
  end

  private

  App = Struct.new(:config, :root, :secret_key_base, :message_verifiers)

  # As a process that starts anew.
  def boot(base, verifiers: nil, **options)
    @opened&.close
    Vidcache.cache = nil
    configured = Vidcache::Settings::Options.new
    configured.update(portal_id: 62_515, path: "#{@dir}/rotating.vidcache", **options)
    Vidcache.settings = Vidcache::Settings.new(App.new(Struct.new(:vidcache).new(configured), Pathname.new(@dir), base, verifiers))
    @opened = Vidcache.cache
  rescue Vidcache::WrongSecret
    @opened = nil
  end
end
