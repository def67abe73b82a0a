# frozen_string_literal: true

require "etc"
require "fileutils"
require "tmpdir"
begin
  require "mysql2"
rescue LoadError
  nil
end

# A MariaDB of a test's own: on a socket in a folder of its own.
class MariadbServer
  SETTINGS = %w[--no-defaults --skip-networking --skip-log-bin --innodb-buffer-pool-size=8M --innodb-log-file-size=4M
                --innodb-flush-log-at-trx-commit=0].freeze

  # @return [String, nil] why there can be none
  def self.missing
    return "MariaDB's server is not installed" unless program("mariadbd") && program("mariadb-install-db")

    "the gem mysql2 is not installed" unless defined?(Mysql2)
  end

  # @return [String, nil] its path
  def self.program(name)
    [*ENV.fetch("PATH", "").split(":"), "/usr/sbin"].map { |folder| "#{folder}/#{name}" }.find { |path| File.executable?(path) }
  end

  def initialize
    @folder = Dir.mktmpdir("mariadb", "/tmp") # A socket's path has 107 bytes at the most.
    FileUtils.touch("#{@folder}/log")
    user = %w[mysql nobody].filter_map { |name| Etc.getpwnam(name) rescue nil }.first if Process.euid.zero? # rubocop:disable Style/RescueModifier
    FileUtils.chown_R(user.uid, user.gid, @folder) if user
    @as = user ? ["setpriv", "--reuid=#{user.uid}", "--regid=#{user.gid}", "--clear-groups"] : []
    made = system(*command("mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
                           "--datadir=#{@folder}/data"), **log_to)
    made ? start : raise(log)
  end

  # @return [String] the socket
  def socket
    "#{@folder}/socket"
  end

  # @return [String] a new database
  def database
    client.query("CREATE DATABASE app CHARACTER SET utf8mb4")
    "app"
  end

  def stop
    Process.kill("KILL", @pid)
    Process.wait(@pid)
    FileUtils.rm_rf(@folder)
  end

  private

  def start
    places = ["--datadir=#{@folder}/data", "--socket=#{socket}", "--pid-file=#{@folder}/pid"]
    @pid = spawn(*command("mariadbd", *SETTINGS, *places), **log_to, pgroup: true)
    until File.socket?(socket)
      raise log if Process.wait(@pid, Process::WNOHANG)

      sleep 0.1
    end
  end

  def client
    verbose = $VERBOSE
    $VERBOSE = nil # The gem is older than what Ruby warns of.
    Mysql2::Client.new(socket: socket, username: "root")
  ensure
    $VERBOSE = verbose
  end

  def command(program, *arguments)
    [*@as, self.class.program(program), *arguments]
  end

  def log_to
    { in: File::NULL, out: ["#{@folder}/log", "a"], err: %i[child out], chdir: @folder }
  end

  def log
    File.read("#{@folder}/log")
  end
end
