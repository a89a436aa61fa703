# Answers each line "ID METHOD PATH" on stdin with "ID<TAB>answer<TAB>JSON" or "ID<TAB>error<TAB>TEXT", all at once.
require "json"

APPID, DIRECTORY, API = ENV.values_at("WECHAT_APPID", "WXTOKEND_DIRECTORY", "WECHAT_API")
$stdout.sync = true
Thread.report_on_exception = false

def serve
  writing = Mutex.new
  threads = $stdin.each_line.map do |line|
    Thread.new(*line.split) do |id, method, path|
      result = begin
        "answer\t#{JSON.generate(yield(method, path))}"
      rescue StandardError => e
        "error\t#{e.class}: #{e.message.tr("\n", ' ')}"
      end
      writing.synchronize { $stdout.puts "#{id}\t#{result}" }
    end
  end
  threads.each(&:join)
end
