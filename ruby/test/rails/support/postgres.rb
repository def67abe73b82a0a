# frozen_string_literal: true

require_relative "own_server"
begin
  require "pg"
rescue LoadError
  nil
end

# A PostgreSQL of the tests' own, on a socket, ended with the process that started it.
class PostgresServer < OwnServer
  USERS = %w[postgres nobody].freeze
  SETTINGS = %w[listen_addresses= fsync=off jit=off max_connections=60].freeze

  class << self
    # @return [String, nil] why there can be none
    def missing
      return "PostgreSQL's server is not installed" unless programs
      return "root has no user postgres or nobody to run PostgreSQL as" if Process.euid.zero? && unprivileged(USERS).nil?

      "the gem pg is not installed" unless defined?(PG)
    end

    # @return [PostgresServer] one for the whole process
    def get
      @get ||= new.tap { |server| at_end(server) }
    end

    # @return [String, nil] the folder of the newest server's programs
    def programs
      newest = Dir["/usr/lib/postgresql/*/bin"].sort_by { |folder| -folder[/\d+/].to_i }
      [*newest, *ENV.fetch("PATH", "").split(":")].find { |folder| %w[initdb postgres].all? { |name| File.executable?("#{folder}/#{name}") } }
    end

    private

    # Whatever ends the process, but not in the children of a fork.
    def at_end(server)
      pid = Process.pid
      stop = -> { server.stop if Process.pid == pid }
      # Minitest runs at the end itself.
      defined?(Minitest) ? Minitest.after_run(&stop) : at_exit(&stop)
    end
  end

  attr_reader :pid

  # @param settings [Array<String>] besides those of all
  def initialize(settings = [])
    super("pg", USERS)
    @settings = SETTINGS + settings
    @databases = 0
    run(program("initdb"), "--no-sync", "--auth=trust", "--username=app", "--encoding=UTF8", "--locale=C", "-D", "#{@folder}/data")
    start
  end

  # @return [void]
  def start
    options = @settings.flat_map { |setting| ["-c", setting] }
    @pid = start_and_wait(program("postgres"), "-D", "#{@folder}/data", "-k", @folder, *options) { ready? }
  end

  # @param signal [String] QUIT: at once, as after a crash; INT: in order
  # @return [void]
  def down(signal = "QUIT")
    Process.kill(signal, @pid)
    Process.wait(@pid)
    @pid = nil
  end

  # @return [void]
  def stop
    down if @pid
    FileUtils.rm_rf(@folder)
  end

  # @return [String] the address of a new database
  def database
    name = "app#{@databases += 1}"
    connect("postgres") { |connection| connection.exec("CREATE DATABASE #{name}") }
    url(name)
  end

  # @return [String]
  def url(name)
    "postgresql://app@#{@folder.gsub("/", "%2F")}/#{name}"
  end

  # A connection that is nobody's else.
  def connect(name)
    connection = PG.connect(host: @folder, user: "app", dbname: name)
    yield connection
  ensure
    connection&.close
  end

  private

  def program(name)
    "#{self.class.programs}/#{name}"
  end

  def ready?
    connect("postgres") { true }
  rescue PG::Error
    false
  end
end
