require_relative "loop"
$LOAD_PATH.unshift("#{ENV.fetch('STUBS')}/ruby")
require "#{ENV.fetch('EXAMPLES')}/ruby/wechat_gem"

token = Wechat::Token::PublicAccessToken.new(APPID, "a-secret")
token.keeper.file = "#{DIRECTORY}/wx_access_token_#{APPID}"
token.keeper.socket = "#{DIRECTORY}/control.sock"
api = Wechat::ApiBase.new(token)
serve do |method, path|
  api.request(method, path, { reader: APPID }, method == "POST" ? "中文" : nil)
rescue Wechat::AccessTokenExpiredError => e
  { errcode: e.message.to_i }
end
