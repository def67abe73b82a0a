# frozen_string_literal: true

require "json"
require_relative "../../clients"

# HubSpot's contacts in memory, as the four calls of the job see them: an email is one contact's, reading follows
# merges, and a deleted contact is not there. What a test has it answer instead comes first: `answer_with(:update,
# error)`; `lose(:create)` carries the call out and lets its answer be lost.
class Portal
  # What calls there were; and which emails HubSpot let go of when it was told of others, and when that was.
  attr_reader :calls, :let_go

  # Whether an update of an id that was merged away is carried out for the one that lives. Of HubSpot it is open.
  attr_writer :update_follows

  def initialize(first = 900)
    @contacts = {}
    @merged = {}
    @calls = []
    @let_go = []
    @instead = Hash.new { |all, name| all[name] = [] }
    @next = first
  end

  def emails
    @contacts.values.compact.sort
  end

  def add(email)
    (@next += 1).tap { |vid| @contacts[vid] = email }
  end

  def delete(vid)
    @contacts.delete(vid)
  end

  def there?(vid)
    @contacts.key?(vid)
  end

  # As HubSpot merges today: into a third contact.
  def merge(one, other)
    email = @contacts.delete(one)
    @contacts.delete(other)
    add(email).tap { |vid| @merged[one] = @merged[other] = vid }
  end

  def answer_with(name, *answers)
    @instead[name].concat(answers)
  end

  # From here on it answers as it should.
  def quiet
    @instead.clear
  end

  def lose(name)
    @instead[name] << :lost
  end

  def update(vid, email)
    call(:update, vid, email) do
      vid = living(vid) if @update_follows
      next refuse(404) unless @contacts.key?(vid)
      next refuse(409) if email && @contacts.any? { |other, held| held == email && other != vid }

      @let_go << [@contacts[vid], Time.now] unless @contacts[vid] == email
      @contacts[vid] = email
      contact(vid)
    end
  end

  def create(email)
    call(:create, email) { @contacts.value?(email) ? refuse(409) : contact(add(email)) }
  end

  def read(vid)
    call(:read, vid) do
      vid = living(vid)
      @contacts.key?(vid) ? contact(vid, merged: @merged.select { |_, into| into == vid }.keys) : refuse(404)
    end
  end

  def read_by_email(email)
    call(:read_by_email, email) { @contacts.key(email) ? contact(@contacts.key(email)) : refuse(404) }
  end

  private

  def call(name, *arguments)
    @calls << [name, *arguments]
    instead = @instead[name].shift
    raise instead if instead.is_a?(Exception)
    return instead unless instead.nil? || instead == :lost

    answer = yield
    raise IOError, "the connection was closed" if instead == :lost

    answer
  end

  def refuse(status)
    category, message = status == 404 ? ["OBJECT_NOT_FOUND", "resource not found"] : ["CONFLICT", "Contact already exists."]
    Clients::ApiError.new(status, JSON.generate({ status: "error", category: category, message: message }))
  end

  def living(vid)
    vid = @merged[vid] while @merged.key?(vid)
    vid
  end

  # Which ids were merged into it, only a read tells, since it asks for that.
  def contact(vid, merged: [])
    properties = { email: @contacts[vid], hs_merged_object_ids: merged.join(";").presence }.compact
    { id: vid.to_s, properties: { email: nil, **properties }, updatedAt: Time.now.utc.iso8601(3), archived: false }
  end
end
