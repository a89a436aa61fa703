# The gem "wechat" (Eric-Guo/wechat) with the token that wxtokend keeps: it never fetches, and calls once more if
# WeChat refuses a token. In Rails: config/initializers/wechat_wxtokend.rb, with wxtokend.rb beside it.
require "wechat"
require_relative "wxtokend"

module WxtokendToken
  # The gem asks before every call, also for the jsapi ticket.
  def token
    second = attempts[appid]&.fetch(:refreshed, false)
    attempts[appid] = { used: keeper.token, second: second }
    attempts[appid][:used]
  end

  # The gem asks for this when WeChat refused a call, and then calls once more. Where that is of no use, WeChat's
  # refusal goes on to the app: the gem by itself would answer nil, without an error.
  def refresh
    attempt = attempts.fetch(appid)
    other = keeper.replacement(attempt[:used]) unless attempt[:second]
    raise($! || "wxtokend has no other token") unless other

    attempt[:refreshed] = true
    other
  end

  def keeper
    @keeper ||= Wxtokend.new(appid)
  end

  # What this thread did last: the gem does not say which token was refused.
  private def attempts
    Thread.current[:wxtokend_attempts] ||= {}
  end
end

Wechat::Token::PublicAccessToken.prepend(WxtokendToken)
