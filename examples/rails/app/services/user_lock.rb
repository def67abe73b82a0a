# frozen_string_literal: true

# One job of a user at a time, among all processes of this host. Two of them at once could tell HubSpot of the older
# email last. On several hosts take PostgreSQL's advisory locks, or `user.with_lock`; with SQLite that would block every
# other write for as long as HubSpot takes to answer.
module UserLock
  # @param user [User]
  # @return what the block returns
  def self.hold(user)
    File.open(Shop.data_dir.join("locks/user-#{user.id}"), File::RDWR | File::CREAT) do |file|
      file.flock(File::LOCK_EX)
      yield
    end
  end
end
