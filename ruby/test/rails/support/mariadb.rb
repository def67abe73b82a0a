# frozen_string_literal: true

require_relative "own_server"
begin
  require "mysql2"
rescue LoadError
  nil
end

# A MariaDB of a test's own, on a socket.
class MariadbServer < OwnServer
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
    super("mariadb", %w[mysql nobody])
    run(self.class.program("mariadb-install-db"), "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
        "--datadir=#{@folder}/data")
    places = ["--datadir=#{@folder}/data", "--socket=#{socket}", "--pid-file=#{@folder}/pid"]
    @pid = start_and_wait(self.class.program("mariadbd"), *SETTINGS, *places) { File.socket?(socket) }
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

  def client
    verbose = $VERBOSE
    $VERBOSE = nil # The gem is older than what Ruby warns of.
    Mysql2::Client.new(socket: socket, username: "root")
  ensure
    $VERBOSE = verbose
  end
end
