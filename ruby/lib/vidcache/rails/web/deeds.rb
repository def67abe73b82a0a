# frozen_string_literal: true

require "net/http"
require "openssl"
require "timeout"
require "vidcache/rails/web/people"
require "vidcache/rails/web/screens"

module Vidcache
  class Web
    # What the buttons of the operators' page do. Each says where to go then.
    #
    # @api private
    class Deeds
      # Seconds that a person waits for HubSpot.
      PATIENCE = 20
      # Seconds in which no job of the user's may tell HubSpot, while they are forgotten.
      LEASE = 60
      private_constant :PATIENCE, :LEASE

      def initialize(visit)
        @visit = visit
        @cache = Vidcache.cache
      end

      # By a user's key, a contact's id (`vid:901`, or a number with `by` saying so), or an email, which goes no further
      # than the app's own database.
      #
      # @return [String]
      def search
        text = @visit.field("what").to_s.strip
        raise Stop.new(400, "Say whom: a user's id, a contact's id or an email.") if text.empty?
        return contact(text) if @visit.field("by") == "contact" || text.start_with?("vid:")
        return address(People.by_email(text) || nobody) if text.include?("@")

        address(text.bytesize > Visit::MAX_KEY ? nobody : text)
      end

      # Reads the user's contact from HubSpot. To read tells HubSpot nothing.
      # @return [String]
      def read
        key = @visit.user_key
        vid = @cache.resolve(key) or raise Stop.new(409, "The user is linked to no contact, so there is none to read: “Retry” looks for one.")
        patiently { ContactReader.new.read([vid]) }
        address(key, "read")
      end

      # Enqueues the jobs of the user's outstanding changes anew; where there is none, one that looks for their contact,
      # and makes none.
      # @return [String]
      def retry
        user = People.by_key(@visit.user_key) or raise Stop.new(404, "The app has no such user, so there is no job.")
        changes = Change.outstanding(user.vidcache_key)
        waits = changes.any? || @cache.resolve(user.vidcache_key).nil?
        raise Stop.new(409, "Nothing waits: the user has a contact, and no change is outstanding.") unless waits

        changes.each { |change| user.class.enqueue_vidcache_job(user, change["token"], wait: left(change), creates: false) }
        user.class.enqueue_vidcache_job(user, nil, creates: false) if changes.empty?
        address(user.vidcache_key, "retry")
      end

      # @return [String]
      def forget
        key = @visit.user_key
        lease = @cache.lease(key, LEASE) or raise Stop.new(409, "A job of this user's is at work. Try again in a minute.")
        begin
          @cache.forget(key)
        ensure
          @cache.release(key, lease)
        end
        address(key, "forget")
      end

      # Merges the two contacts that the confirmation named, if the conflict is between them still.
      # @return [String]
      def merge
        key = @visit.user_key
        conflict = Screens.conflict(key)
        asked = [@visit.vid("contact"), @visit.vid("other")]
        raise Stop.new(409, "The conflict is between other contacts now. Look at it anew.") unless asked == [conflict.vid, conflict.holder]

        patiently { ContactReader.new.merge(conflict.vid, conflict.holder) }
        address(key, "merge")
      end

      private

      def contact(text)
        digits = text.delete_prefix("vid:")
        raise Stop.new(400, "That is no contact's id.") unless digits.match?(/\A[1-9]\d{0,18}\z/)

        "/contact?id=#{digits}"
      end

      def nobody
        raise Stop.new(404, "The app has no such user.")
      end

      def address(key, done = nil)
        "/user?key=#{Rack::Utils.escape(key.to_s)}#{"&done=#{done}" if done}"
      end

      # A job of the app's own may not ask again when it runs whether pages are done with the former email.
      def left(change)
        left = (change["begun_at"].to_i / 1000.0) + Vidcache.settings.quiet_period - Time.now.to_f
        left if left.positive?
      end

      # Whatever HubSpot's way of failing is, a person reads it.
      def patiently(&block)
        Timeout.timeout(PATIENCE, &block)
      rescue Busy, CannotOpen
        raise
      rescue Error => e
        raise Stop.new(502, "HubSpot was asked, and it was not done: #{e.message}")
      rescue SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError, Net::ProtocolError => e
        raise Stop.new(502, "HubSpot could not be asked (#{e.class}). Whether a merge was carried out, its contact page there says.")
      end
    end
  end
end
