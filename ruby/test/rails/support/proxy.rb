# frozen_string_literal: true

require "socket"

# Stands between an app and its PostgreSQL, and is slow, silent or gone as a test wants it.
class Proxy
  attr_reader :port

  # @param path [String] the server's socket
  def initialize(path)
    @path = path
    @held = false
    @mutex = Mutex.new
    @released = ConditionVariable.new
    @sockets = []
    @server = TCPServer.new("127.0.0.1", 0)
    @port = @server.addr[1]
    Thread.new { loop { serve(@server.accept) } }.report_on_exception = false
  end

  # From now on nothing goes through, and nobody is told.
  def hold
    @mutex.synchronize { @held = true }
  end

  # What was held goes through.
  def release
    @mutex.synchronize do
      @held = false
      @released.broadcast
    end
  end

  # Ends all that is open.
  def cut
    @mutex.synchronize { @sockets.each { |socket| socket.shutdown rescue nil }.clear } # rubocop:disable Style/RescueModifier
  end

  def stop
    @server.close
    release
    cut
  end

  private

  def serve(client)
    server = UNIXSocket.new(@path)
    @mutex.synchronize { @sockets.push(client, server) }
    [[client, server], [server, client]].each { |from, to| Thread.new { pass(from, to) }.report_on_exception = false }
  rescue SystemCallError
    client.close # The server is not there.
  end

  def pass(from, to)
    loop do
      some = from.readpartial(65_536)
      @mutex.synchronize { @released.wait(@mutex) while @held }
      to.write(some)
    end
  rescue IOError, SystemCallError
    [from, to].each { |socket| socket.shutdown rescue nil } # rubocop:disable Style/RescueModifier
  end
end
