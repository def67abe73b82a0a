# frozen_string_literal: true

require "etc"
require "fileutils"

# Servers that peers need: each on a unix socket in one temporary folder, and ended by its pid.
class Servers
  Missing = Class.new(StandardError)

  def initialize(folder)
    @folder = folder
    @pids = []
  end

  def redis
    socket = "#{@folder}/redis.sock"
    start("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", @folder)
    wait_for(socket)
  end

  def memcached
    socket = "#{@folder}/memcached.sock"
    # It is root only where it is told to.
    start("memcached", "-s", socket, "-m", "256", *(["-u", "root"] if root?))
    wait_for(socket)
  end

  # The folder of the socket. It may take a moment more before it takes connections.
  def postgres
    programs = [*ENV["PATH"].split(":"), *Dir["/usr/lib/postgresql/*/bin"].reverse]
    initdb, server = %w[initdb postgres].map do |name|
      programs.map { |place| "#{place}/#{name}" }.find { |path| File.executable?(path) } or raise Missing, "there is no #{name}"
    end
    data = "#{@folder}/postgres"
    Dir.mkdir(data, 0o700)
    as = []
    if root?
      # It refuses to be root.
      user = Etc.getpwnam("postgres")
      File.chown(user.uid, user.gid, data)
      FileUtils.chmod(0o711, @folder)
      as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    end
    system(*as, initdb, "-D", data, "-U", "bench", "-A", "trust", "-N", chdir: data, out: File::NULL, err: File::NULL) or
      raise Missing, "initdb failed"
    start(*as, server, "-D", data, "-k", data, "-c", "listen_addresses=", chdir: data)
    wait_for("#{data}/.s.PGSQL.5432")
    data
  rescue ArgumentError
    raise Missing, "it refuses to be root, and there is no user postgres"
  end

  def stop
    # PostgreSQL ends at once on INT; the others do too.
    @pids.each { |pid| Process.kill(:INT, pid) }
    @pids.each { |pid| Process.wait(pid) }
    @pids.clear
  end

  private

  def root?
    Process.uid.zero?
  end

  def start(program, *arguments, **options)
    @pids << spawn(program, *arguments, out: File::NULL, err: File::NULL, in: File::NULL, **options)
  rescue Errno::ENOENT
    raise Missing, "there is no #{program}"
  end

  def wait_for(socket)
    400.times do
      return socket if File.socket?(socket)
      if Process.wait(@pids.last, Process::WNOHANG)
        @pids.pop
        raise Missing, "the server ended at once"
      end
      sleep 0.025
    end
    raise Missing, "the server does not answer"
  end
end
