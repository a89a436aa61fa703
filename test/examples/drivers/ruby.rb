require_relative "loop"
require "#{ENV.fetch('EXAMPLES')}/ruby/wxtokend"

wechat = Wxtokend.new(APPID, directory: DIRECTORY, api: API)
serve { |method, path| wechat.call(path, { reader: APPID }, method == "POST" ? { name: "中文" } : nil) }
