# frozen_string_literal: true

# One job of a user at a time, among all processes of this host, or of all hosts. Two of them at once could tell HubSpot
# of the older email last. A file's lock on one host, since SQLite's would block every other write for as long as
# HubSpot takes to answer; PostgreSQL's advisory locks on several.
module UserLock
  # @param user [User]
  # @return what the block returns
  def self.hold(user, &block)
    return among_hosts(user.id, &block) if Shop.several_hosts?

    File.open(Shop.data_dir.join("locks/user-#{user.id}"), File::RDWR | File::CREAT) do |file|
      file.flock(File::LOCK_EX)
      yield
    end
  end

  def self.among_hosts(id)
    User.connection.execute("SELECT pg_advisory_lock(#{Integer(id)})")
    yield
  ensure
    User.connection.execute("SELECT pg_advisory_unlock(#{Integer(id)})")
  end
  private_class_method :among_hosts
end
