# frozen_string_literal: true

# An embedded identity cache for HubSpot: {Vidcache.open} opens one.
module Vidcache
  # Answer loads `json` and `date`, which take more than twice as long as all the rest of this library. A page needs
  # neither, and Rails has loaded both.
  autoload :Answer, "vidcache/answer"

  # Opens the file of a portal, creating it with mode 0600 where there is none.
  #
  # The file holds no email, only keyed fingerprints. It is private to this library: nothing else in the
  # process may open it, not the sqlite3 gem and not +File.read+, or the locks on it are lost.
  #
  # @param path [String, Pathname] in a folder that exists, on a local disk
  # @param portal_id [Integer, String] the HubSpot account's id, from 1 to 2^63 - 1
  # @param secret [String, nil] what the file's key is wrapped under: at least 16 bytes, kept outside the file.
  #   Without one the key lies open in the file, so whoever has the file can test a guessed email against it
  # @param loader_host [String] the host of HubSpot's loader, copied from the portal's own embed code (in HubSpot:
  #   Settings, Tracking code), whose src is +//HOST/PORTAL.js+: +js-eu1.hs-scripts.com+ for portals in the EU data
  #   centre, +js-na2+, +js-ap1+ and others elsewhere
  # @param memory [Integer] the most bytes that the in-process table takes
  # @param busy_timeout [Numeric] how long a call waits for other processes' writes before {Busy}; the beginning of a
  #   change, which a visitor may be waiting for, 2 s at most. In seconds, at most 3600
  # @param page_deadline [Numeric] how long after it was rendered a page may name an email; a page that runs later
  #   gives the id alone. A worker tells HubSpot of a change when pages rendered before the change are older than this.
  #   Where processes that share a file have different ones, the longest counts. In seconds, from 0.1 to 3600
  # @param synchronous [Symbol] whether a write that returned survives a power failure. +:full+ (the default): it
  #   does. +:normal+: it survives a crash of the process, and a power failure may take the last writes, the beginning
  #   of a change among them: then a page may name an email that HubSpot holds no more
  # @param old_secrets [Array<String>] what +secret+ was before, the newest first. A file that was made or last opened
  #   with one of these is opened, and its key is wrapped anew under +secret+, which is one row: afterwards the old ones
  #   are not needed
  # @return [Cache]
  # @raise [InvalidPortal, InvalidSecret, InvalidOption] for the arguments
  # @raise [CannotOpen, UnsupportedFilesystem] for the place
  # @raise [NotACache, NewerSchema, WrongPortal, WrongSecret, Corrupt] for what is in the file, which
  #   is left as it was
  # @raise [Busy] when another process is at work in it for too long
  def self.open(path, portal_id:, secret: nil, loader_host: "js.hs-scripts.com", memory: 32 * 1024 * 1024,
                busy_timeout: 5.0, page_deadline: 10.0, synchronous: :full, old_secrets: [])
    Cache.__send__(:native_open, path, portal_id, [secret, loader_host, memory, busy_timeout, page_deadline, synchronous, old_secrets])
  end

  # Checks that a request was signed by HubSpot, in any of its versions; of version 3 also that it was signed within the
  # last five minutes. Takes the same time whatever the signature is.
  #
  # @param secret [String] the HubSpot app's client secret
  # @param method [String] the request's
  # @param uri [String] the whole address that HubSpot called, with its query, as it is known outside
  # @param body [String] the bytes as they came
  # @param signature_v3 [String, nil] the header `X-HubSpot-Signature-v3`; where there is one it alone counts
  # @param timestamp [String, nil] `X-HubSpot-Request-Timestamp`
  # @param signature [String, nil] `X-HubSpot-Signature`, of version 1 or 2
  # @param version [String, nil] `X-HubSpot-Signature-Version`
  # @param take_v1 [Boolean] whether a webhook without v3 may be signed by v1, which names no time and no address:
  #   whoever has seen a delivery, with whatever headers, can send it again, to another endpoint too, for a day
  # @param take_v2 [Boolean] the same for v2, which names no time
  # @param now [Time]
  # @return [nil]
  # @raise [InvalidSignature, InvalidOption, InvalidSecret]
  def self.verify_signature(secret, method:, uri:, body:, signature_v3: nil, timestamp: nil, signature: nil, version: nil, take_v1: false,
                            take_v2: false, now: Time.now)
    request = { method: method, uri: uri, body: body, signature_v3: signature_v3, timestamp: timestamp, signature: signature,
                version: version, take_v1: take_v1, take_v2: take_v2 }
    native_verify_signature(secret, request, (now.to_r * 1000).floor)
  end

  # Puts a file that will not open away, with its -wal and -shm, under a name beside it. For a person to call, and no
  # other process may have it open.
  #
  # @param path [String, Pathname]
  # @return [String] where it is now
  # @raise [Error]
  def self.move_aside(path)
    native_move_aside(path)
  end

  # Puts a copy of a backup ({Cache#backup}) in the place of the file at +path+, while nobody has that open. All that
  # HubSpot said of every contact is doubted in it first: no page names an email until the contact was read again. What
  # was at +path+ is moved aside.
  #
  # @param backup [String, Pathname]
  # @param path [String, Pathname]
  # @return [String, nil] where what was at +path+ is now
  # @raise [Busy] while any process, this one included, has the file open
  # @raise [Error] for what is in the backup, and for the places; then the file is as it was, or moved aside
  def self.restore(backup, path)
    native_restore(backup, path)
  end

  # The script that a page of the app's own loads, to be served as a static file: it takes what {Cache#page_data} says.
  # Its types stand beside it. In a Rails app with Propshaft or Sprockets it is an asset.
  #
  # @param classic [Boolean] for `<script src>`, where it makes `window.vidcache`; else an ES module that exports `show`
  #   and `signedOut`
  # @return [String] its path
  def self.page_script_path(classic: false)
    name = classic ? "vidcache.classic.js" : "vidcache.js"
    # In the gem, or in a checkout.
    %w[../../page ../../../page].map { |folder| File.expand_path("#{folder}/#{name}", __dir__) }.find { |path| File.file?(path) }
  end

  # Which HubSpot contact is this user, and may this page name their email? See {Vidcache.open}.
  #
  # A +user_id+ is an Integer of 64 bits, or a String of 1 to 255 bytes of UTF-8 (a UUID, say); +42+ and +"42"+ are
  # one user. It is never an email. Anything else raises {InvalidUserKey}.
  #
  # *Threads* may share a cache. Look-ups ({#resolve}, {#decide}, {#snippet}, {#page_data}) take microseconds and hold
  # the GVL; whatever may wait releases it, and a Timeout, +Thread#kill+ or Ctrl-C ends the wait with nothing written.
  #
  # *Fork*: a cache opened before a fork works in parent and child, each with a connection of its own. Child
  # and parent may close theirs without the other noticing.
  #
  # *Ractors* may share a cache: it is frozen.
  #
  # Every method raises {Closed} after {#close}, {Storage} or {Corrupt} when the file fails, and {Busy} when it
  # waited for longer than +busy_timeout+. All are {Error}s.
  class Cache
    # The rows of one transaction, as many as the core takes: fewer would halve the rate of random UUIDs.
    IMPORT_BATCH = 100_000
    private_constant :IMPORT_BATCH

    class << self
      undef_method :new
      undef_method :allocate
      private :native_open
    end

    # @!method resolve(user_id)
    #   @return [Integer, nil] the contact (vid) that the user is linked to now, nil when there is none
    #   @raise [InvalidUserKey]

    # @!method decide(user_id, email)
    #   What a page may say of the user.
    #   @param user_id [Integer, String]
    #   @param email [String, nil] what the app believes the user's email to be; up to 254 bytes
    #   @return [Decision]
    #   @raise [InvalidUserKey, InvalidEmail]

    # @!method link(user_id, vid)
    #   Says that the user is this contact, without saying which email HubSpot holds for it. It is durable
    #   when this returns.
    #   @param user_id [Integer, String]
    #   @param vid [Integer, String] from 1 to 2^63 - 1; text in decimal
    #   @return [nil]
    #   @raise [InvalidUserKey, InvalidVid, VidTaken] and then nothing was written

    # @!method begin_email_change(user_id)
    #   Begins a change of the user's email: until it is finished or abandoned, no page names one. Call it
    #   _before_ the app's own commit. The worker tells HubSpot a {#quiet_period} later, and then finishes the
    #   change with {#record}.
    #   When this raises, no change was begun, and the app must not change the email.
    #   @param user_id [Integer, String]
    #   @return [Integer] the change's token, from 1 to 2^63 - 1, for the job
    #   @raise [InvalidUserKey]

    # @!method abandon_email_change(user_id, token)
    #   Ends a change that did not happen: the app rolled back, and HubSpot was not told. Ending an ended
    #   change again does nothing.
    #   @param user_id [Integer, String]
    #   @param token [Integer] of {#begin_email_change}
    #   @return [nil]
    #   @raise [InvalidUserKey, UnknownChange, ForeignChange]

    # @!method change_outstanding?(user_id, token)
    #   Whether the user's change is outstanding. A worker asks this before it tells HubSpot, with the user's other jobs
    #   locked out: a queue may deliver a job twice, and the second time the user may be in the middle of the next
    #   change, of which HubSpot must not be told yet.
    #   @param user_id [Integer, String]
    #   @param token [Integer] of {#begin_email_change}
    #   @return [Boolean]
    #   @raise [InvalidUserKey, UnknownChange, ForeignChange]

    # @!method change_outstanding_since(user_id, token)
    #   Since when the user's change has counted for every page that could name the email of their contact: since it was
    #   begun, or, if the contact has become another user's too meanwhile, since that was heard. A worker asks when it
    #   runs, and waits until this is a {#quiet_period} ago.
    #   @param user_id [Integer, String]
    #   @param token [Integer] of {#begin_email_change}
    #   @return [Time, nil] by the app's clock, to the millisecond; nil once the change has ended
    #   @raise [InvalidUserKey, UnknownChange, ForeignChange]

    # @!method quiet_period
    #   How long the worker must wait after the beginning of a change before it tells HubSpot: the longest
    #   +page_deadline+ of any process that used the file within the last day, and 5 s more, which a page view may take
    #   to reach HubSpot.
    #   @return [Float] seconds

    # @!method release(user_id, token)
    #   Ends a {#lease}, so that the user's next job need not wait for its deadline.
    #   @param user_id [Integer, String]
    #   @param token [Integer] of {#lease}
    #   @return [Boolean] false: it had ended already
    #   @raise [InvalidUserKey]

    # @!method resolve_many(user_ids)
    #   {#resolve} for many users.
    #   @param user_ids [Array<Integer, String>]
    #   @return [Array<Integer, nil>] in their order
    #   @raise [InvalidUserKey]

    # @!method apply_webhook(body)
    #   Takes in the body of a webhook: some hundred events, in any order, however often they come; all of it, or what
    #   of it erases a contact. Check the
    #   signature first ({Vidcache.verify_signature}; {Vidcache::Webhook} does both).
    #   @param body [String] the bytes as they came
    #   @return [WebhookReport]
    #   @raise [InvalidWebhook] and then nothing was written but erasures, and the same body will fail again

    # @!method link_shared(user_id, vid)
    #   {#link} to a contact that may be another user's too: the explicit choice that they share it. A change of one's
    #   email then keeps all of them from naming theirs.
    #   @param user_id [Integer, String]
    #   @param vid [Integer, String] from 1 to 2^63 - 1; text in decimal
    #   @return [nil]
    #   @raise [InvalidUserKey, InvalidVid]

    # @!method explain(user_id, email)
    #   Why a page says of the user what it says, for whoever asks: not for a page itself.
    #   @param user_id [Integer, String]
    #   @param email [String, nil] as for {#decide}
    #   @return [Array<String>] a sentence each, the decision first, then what it rests on and the user's last events.
    #     No emails.
    #   @raise [InvalidUserKey, InvalidEmail]

    # @!method export(user_id)
    #   All that the file holds on the user. Of emails it holds keyed fingerprints only.
    #   @param user_id [Integer, String]
    #   @return [String] a JSON object
    #   @raise [InvalidUserKey]

    # @!method refusal(user_id)
    #   Why HubSpot refused the email of a user for good whom it has no contact of: a job that makes contacts of such
    #   users need not try again. {#explain} tells of every user.
    #   @param user_id [Integer, String]
    #   @return [Symbol, nil] +:privacy_deletion+, +:invalid_email+ or +:required_property+; nil for a user with a
    #     contact, or with a change outstanding. +:privacy_deletion+ with or without one where the user's contact was
    #     erased for privacy and they have none now: no job may make them one until the app links or forgets them
    #   @raise [InvalidUserKey]

    # @!method forget(user_id)
    #   Takes out all that is held on the user, and what HubSpot said of their contact unless it is another user's too:
    #   from the file, its free pages and its log. A change that is outstanding goes with it, and so does that their
    #   contact was erased for privacy.
    #   @param user_id [Integer, String]
    #   @return [Boolean] whether anything was held
    #   @raise [InvalidUserKey]

    # @!method stats
    #   What this handle has done in this process. Cheap.
    #   @return [Hash{Symbol => Integer, String, nil}]
    #     +:hits+: look-ups answered from memory. Threads count beside each other without a lock, so this may miss a
    #     few; +:misses+: look-ups that read the file; +:syncs+: how often the table was brought up to date after
    #     commits; +:evictions+: users put out of the table to make room; +:entries+: users in the table; +:bytes+:
    #     bytes that the table takes; +:revision+: the newest revision that the table has seen; +:reopened+: how often
    #     the file, its log or its WAL index was replaced or deleted under us, and opened again; +:log_bytes+: bytes of
    #     the log beside the file, which grows behind a reader that stays, such as a backup; +:passing+: why the file
    #     will not last where it is, if it will not: it is on a container's own layer, or in memory; +:fallback+: why
    #     every look-up reads the file, if it does; +:last_error+: the code of the last failure, such as `busy`

    # @!method verify
    #   Runs SQLite's own check of the file and the library's of its rows. Reads the whole file: minutes at millions of
    #   users. Other threads run meanwhile.
    #   @return [Array<String>] what is wrong; empty when nothing is

    # @!method backup(path)
    #   Copies the file, as of one commit, to a new file of mode 0600; nobody waits for it. Its key stays wrapped under
    #   the secret. See {Vidcache.restore}.
    #   @param path [String, Pathname]
    #   @return [nil]
    #   @raise [CannotOpen] where the new file is there already or cannot be made

    # @!method close
    #   Closes the file, for this process. Closing again does nothing. A cache that nobody refers to any more is
    #   closed by the garbage collector.
    #   @return [nil]

    # @!method closed?
    #   @return [Boolean]

    # @!method portal_id
    #   @return [Integer] the portal that the file belongs to

    # The HTML that puts the decision, and HubSpot's loader, on a page: two +<script>+ elements, to be put in
    # once per page. Whatever the email holds stays inside its string.
    # @param user_id [Integer, String]
    # @param email [String, nil] as for {#decide}
    # @param nonce [String, nil] the page's Content-Security-Policy nonce
    # @return [String] UTF-8
    # @raise [InvalidUserKey, InvalidEmail]
    def snippet(user_id, email, nonce: nil)
      native_snippet(user_id, email, nonce)
    end

    # {#snippet} to the end of a String of the caller's, and why it says what it says: both of one look-up.
    # @param html [String] UTF-8; left as it was when this raises
    # @param user_id [Integer, String]
    # @param email [String, nil] as for {#decide}
    # @param nonce [String, nil] the page's Content-Security-Policy nonce
    # @return [Symbol] as {Decision#reason}
    # @raise [InvalidUserKey, InvalidEmail, InvalidOption, FrozenError]
    def append_snippet(html, user_id, email, nonce: nil)
      native_append_snippet(html, user_id, email, nonce)
    end

    # The HTML for a page whose visitor the app does not know: the loader, and no identity.
    # @param nonce [String, nil] the page's Content-Security-Policy nonce
    # @return [String] UTF-8
    def anonymous_snippet(nonce: nil)
      native_anonymous_snippet(nonce)
    end

    # The HTML for the page after a sign-out: that of {#anonymous_snippet}, and HubSpot's code gives the browser a new
    # usertoken, so that nothing it sends from here on belongs to the former user's contact.
    # @param nonce [String, nil] the page's Content-Security-Policy nonce
    # @return [String] UTF-8
    def signed_out_snippet(nonce: nil)
      native_signed_out_snippet(nonce)
    end

    # What {#snippet} puts on a page, for a page that the app makes itself (a single-page app): to be sent to it as JSON
    # and given to `show` of `vidcache.js`, which keeps the email from being named late. An answer with it must not be
    # cached (`Cache-Control: private, no-store`), neither by HTTP nor by the app.
    #
    # - +"at"+: the time of this call, in milliseconds since 1970
    # - +"ttl"+: how long after that the email may be named, in milliseconds
    # - +"id"+: the contact's external id as a page gives it, +"vid:901"+; missing where there is none
    # - +"email"+: missing where it must not be named
    # @param user_id [Integer, String]
    # @param email [String, nil] as for {#decide}
    # @return [Hash{String => Integer, String}]
    # @raise [InvalidUserKey, InvalidEmail]
    def page_data(user_id, email)
      JSON.parse(native_page_data(user_id, email))
    end

    # {#page_data} for a visitor whom the app does not know.
    # @return [Hash{String => Integer}] +"at"+ and +"ttl"+
    def anonymous_page_data
      JSON.parse(native_anonymous_page_data)
    end

    # {#page_data} for a visitor who has just signed out, as {#signed_out_snippet} for a page.
    # @return [Hash{String => Integer, true}] +"at"+, +"ttl"+ and +"out"+
    def signed_out_page_data
      JSON.parse(native_signed_out_page_data)
    end

    # Records what a HubSpot API call about the user answered: the body of a v1 createOrUpdate or profile answer, or
    # of a v3 contact, told apart by shape. It is durable when this returns. Recording an answer again, or an
    # older one late, changes nothing.
    # @param user_id [Integer, String]
    # @param answer [String, Hash, Array, Object] JSON; a Hash of it, with String or Symbol keys; a client's response
    #   (Net::HTTP, Faraday, Typhoeus), contact, or error: {Answer} lists the shapes
    # @param change [Integer, nil] the token of the change that this finishes. That takes an answer that says which
    #   email the contact holds and since when, read after HubSpot was told.
    # @param asked_at [Time, nil] when the call to HubSpot was begun. After a merge, a deletion, a restoration, a 404 or
    #   {#forget} what HubSpot said before does not count, and HubSpot's own time of the contact may not move for years:
    #   an answer to a call that was begun 5 s after that was heard, or later, is believed all the same
    # @return [Recorded]
    # @raise [ContactMissing, ContactConflict, RateLimited, HubspotError] the answer was an error of HubSpot's: 404,
    #   409, 429, another. After ContactMissing no page names the email of the user's contact until a newer answer is
    #   recorded
    # @raise [Refused] HubSpot will not take the email, however often it is told: the change has ended, {#explain} tells
    #   why, and no page names the email of the user's contact until an answer that is newer than the refusal is
    #   recorded
    # @raise [InvalidUserKey, InvalidAnswer, AnswerWithoutId, AnswerWithoutEmail, UnknownChange, ForeignChange,
    #   VidTaken] and then nothing about the user was written; after a VidTaken what HubSpot said of the contact is
    #   believed all the same
    def record(user_id, answer, change: nil, asked_at: nil)
      asked_at &&= Answer.milliseconds(asked_at)
      Answer.read(answer) { |json| native_record(user_id, json, change, asked_at) }
    end

    # Takes in what an answer says of contacts without saying whose they are: of a search, a batch read or upsert, or of
    # any call that {#record} takes.
    # @param answer [String, Hash, Array, Object] as for {#record}
    # @param asked_at [Time, nil] as for {#record}; not for a search, which finds contacts as they were a while ago
    # @return [Observed]
    # @raise [InvalidAnswer, AnswerWithoutId, ContactMissing, ContactConflict, RateLimited, Refused, HubspotError] and
    #   then nothing was written
    def observe(answer, asked_at: nil)
      asked_at &&= Answer.milliseconds(asked_at)
      Answer.read(answer) { |json| native_observe(json, asked_at) }
    end

    # Linked users whose contacts a job is to read from HubSpot, the longest unread first. Finding nobody takes
    # microseconds, however many users there are. See {Reconcile}, which reads them.
    # @param confirmed [Boolean] false: those whose pages give the id alone since HubSpot has not said which email it
    #   holds for the contact now, but for those who were read within +older_than+ and have not become doubtful since.
    #   True: those whose contact was last read, or its email last confirmed, more than +older_than+ ago
    # @param older_than [Numeric] seconds
    # @param after [UserToRead, nil] the last of a list before
    # @param limit [Integer] from 0 to 2^32 - 1
    # @return [Array<UserToRead>]
    # @raise [InvalidOption]
    def users_to_read(confirmed: false, older_than: 0, after: nil, limit: 100)
      read_at = after&.read_at
      native_users_to_read(confirmed, older_than, after&.vid, read_at && Answer.milliseconds(read_at), limit)
    end

    # @!method users_of(vid)
    #   All users of a contact, by any of the ids that were merged into it.
    #   @param vid [Integer, String]
    #   @return [Array<String>] their keys, an integer in decimal
    #   @raise [InvalidVid]

    # @!method doubt_all
    #   Doubts all that HubSpot has said of every contact: for an old copy of the file that was put back, before
    #   anything renders pages. No page names an email until HubSpot says something newer of the contact, or it is read
    #   by a call that was begun 5 s later ({#users_to_read} lists all of them). Who has which contact stays. 20 s for a
    #   million contacts, in parts, and others write in between; when this raises, call it again.
    #   @return [nil]

    # Users whose email another contact holds, or whose contact is another user's, as {#record} was told by
    # {ContactConflict} and {VidTaken}, in the order of their keys. One is out of the list once HubSpot has merged the
    # two contacts, the user was forgotten, or {#end_conflict}.
    # @param after [Conflict, nil] the last of a list before
    # @param limit [Integer] from 0 to 2^32 - 1
    # @return [Array<Conflict>]
    # @raise [InvalidOption]
    def conflicts(after: nil, limit: 1000)
      native_conflicts(after&.user_id, limit)
    end

    # @!method end_conflict(user_id)
    #   Says that the user's conflict is over: they are agreed, or somebody has decided.
    #   @param user_id [Integer, String]
    #   @return [nil]
    #   @raise [InvalidUserKey]

    # Takes the user's lease: the right to tell HubSpot of the user, which one job has at a time, over all processes
    # that use the file. To be taken before the user's email is read from the app's database, and renewed before each
    # call that writes to HubSpot, for longer than the call can take. No lock of any database is open meanwhile; a
    # process that dies with the lease leaves it to run out.
    # @param user_id [Integer, String]
    # @param seconds [Numeric] from 0.001 to 3600: how long, from now on, by the app's clock
    # @param renew [Integer, nil] the token of a lease that is to go on
    # @return [Integer, nil] the lease's token; nil: another job has it, or the lease to be renewed had ended
    # @raise [InvalidUserKey, InvalidOption]
    def lease(user_id, seconds, renew: nil)
      native_lease(user_id, seconds, renew)
    end

    # {#decide} for many users.
    # @param emails [Hash{Integer, String => String, nil}, Array<Array(Integer | String, String | nil)>] each user's
    #   email
    # @return [Array<Decision>] in their order
    # @raise [InvalidUserKey, InvalidEmail]
    def decide_many(emails)
      native_decide_many(emails.to_a)
    end

    # Takes in what the app has long known, for a first fill: hundreds of thousands of users a second, 100,000 to a
    # transaction. Up to 4,096 users leave the tables of other processes one by one; a larger batch empties those
    # tables. What {#link} or {#record} said stands against it, and so does a later email. Importing again changes
    # nothing.
    # @param rows [Enumerable<Array>] a user's id, their vid, and, if known, the email that HubSpot held and the Time
    #   (`updatedAt`) at which it did
    # @return [ImportReport]
    # @raise [InvalidUserKey, InvalidVid, InvalidEmail, InvalidAnswer] the last for what is no Time, or none of the
    #   years 1970 to 9999; the batches of 100,000 before that one stay
    def import(rows)
      rows.each_slice(IMPORT_BATCH).reduce(ImportReport.new(0, 0)) do |report, batch|
        timed = batch.map { |user_id, vid, email, at| [user_id, vid, email, at && Answer.milliseconds(at)] }
        report + native_import(timed)
      end
    end

    # The changes begun +older_than+ seconds ago or longer and still outstanding, oldest first. Their users' pages
    # give the id alone until an answer that is read now is recorded with the token.
    # @param older_than [Numeric] seconds
    # @param limit [Integer] from 0 to 2^32 - 1
    # @return [Array<StaleChange>]
    # @raise [InvalidOption]
    def stale_changes(older_than:, limit: 1000)
      native_stale_changes(older_than, limit)
    end

    # @return [String] no more than whose file it is
    def inspect
      "#<#{self.class} portal_id=#{portal_id}#{" closed" if closed?}>"
    end
  end
end
