# frozen_string_literal: true

require "etc"
require "fileutils"
require "tmpdir"

# A server of the tests' own, in a folder of its own under /tmp, since a socket's path has 107 bytes at the most. Such
# servers refuse to run as root: where root starts the tests, the server runs as the first of `users` that there is.
class OwnServer
  # @param users [Array<String>] names, the best first
  # @return [Etc::Passwd, nil] whom root runs a server as
  def self.unprivileged(users)
    users.filter_map { |name| Etc.getpwnam(name) rescue nil }.first # rubocop:disable Style/RescueModifier
  end

  # @return [String]
  attr_reader :folder

  # @param prefix [String] of the folder's name
  # @param users [Array<String>]
  def initialize(prefix, users)
    @folder = Dir.mktmpdir(prefix, "/tmp")
    user = OwnServer.unprivileged(users) if Process.euid.zero?
    FileUtils.touch("#{@folder}/log")
    FileUtils.chown_R(user.uid, user.gid, @folder) if user
    @as = user ? ["setpriv", "--reuid=#{user.uid}", "--regid=#{user.gid}", "--clear-groups"] : []
  end

  private

  # Runs a program to its end, or raises what it said.
  def run(*command)
    system(*@as, *command, **log_to) || raise(log)
  end

  # Starts the server, and waits until the block says that it is ready.
  # @return [Integer] its pid
  def start_and_wait(*command)
    pid = spawn(*@as, *command, **log_to, pgroup: true)
    until yield
      raise log if Process.wait(pid, Process::WNOHANG)

      sleep 0.02
    end
    pid
  end

  def log_to
    { in: File::NULL, out: ["#{@folder}/log", "a"], err: %i[child out], chdir: @folder }
  end

  def log
    File.read("#{@folder}/log")
  end
end
