import java.io.IOException;
import java.io.UncheckedIOException;
import me.chanjar.weixin.common.enums.TicketType;

/**
 * WxJava with the token and the tickets that wxtokend keeps. Use it in place of {@code WxtokendMpService.Config} if the
 * account has {@code tickets}; then {@code createJsapiSignature} fetches nothing.
 * <pre>
 * WxtokendMpTickets config = new WxtokendMpTickets("wx0123456789abcdef", "/run/wxtokend");
 * config.setAppId("wx0123456789abcdef");
 * </pre>
 */
public class WxtokendMpTickets extends WxtokendMpService.Config {
    private final transient WxtokendTickets tickets;

    public WxtokendMpTickets(String appid, String directory) {
        super(new Wxtokend(appid, directory));
        tickets = new WxtokendTickets(appid, directory);
    }

    @Override
    public String getTicket(TicketType type) {
        try {
            return tickets.ticket(type == TicketType.WX_CARD ? "card" : type == TicketType.SDK ? "sdk" : "jsapi");
        } catch (IOException problem) {
            throw new UncheckedIOException(problem);
        }
    }

    /** The file always holds the newest one. */
    @Override
    public boolean isTicketExpired(TicketType type) {
        return false;
    }

    @Override
    public void expireTicket(TicketType type) { }

    @Override
    public void updateTicket(TicketType type, String ticket, int seconds) { }
}
