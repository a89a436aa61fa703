require "#{ENV.fetch("EXAMPLES")}/ruby/wxtokend_tickets"

TICKETS = WxtokendTickets.new(ENV.fetch("WECHAT_APPID"), directory: ENV.fetch("WXTOKEND_DIRECTORY"))

$stdout.sync = true

def sign(what, *words)
  case what
  when "page" then TICKETS.page(words[0], nonce: words[1], timestamp: Integer(words[2])).values.join(" ")
  when "ask" then JSON.generate(TICKETS.request_page(words[0]))
  when "sort" then WxtokendTickets.signature(words)
  else TICKETS.card(words[0], timestamp: words[1], nonce_str: words[2], code: words[3])[:signature]
  end
end

$stdin.each_line(chomp: true) do |line|
  puts sign(*line.split("\t"))
rescue StandardError => e
  puts "error #{e.message}"
end
